"""Every text that the screen shows or says, in English: one table, from which the catalogues of the other languages are made.

Rules
- A text is known by its key, which is also its context in a catalogue. A slot in braces is filled by `Tongue.say`.
- Verb first where it asks for something, at most 12 words a line, reading age 10, no exclamation marks.
- Nothing is claimed ahead of the facts, in any language: "coming" only where somebody said so.
- A text that counts something has a form for one and one for more; its number is in the slot `n`.
- What starts with "say_" is only heard, never shown: recorded once for all places, and so without slots.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kiosk.guidance import CASES
from kiosk.messages import COVERT_PHRASE, Choice, Language


@dataclass(frozen=True)
class Plural:
    """A text that depends on how many: `one` and `many` in English, as many forms as a language has in its catalogue."""

    one: str
    many: str


Text = str | Plural

OWN_NAMES: dict[Language, str] = {
    Language.ENGLISH: "English",
    Language.SPANISH: "Español",
    Language.FRENCH: "Français",
    Language.CHINESE: "中文",
    Language.ARABIC: "العربية",
    Language.HINDI: "हिन्दी",
}
"""What each language calls itself; never translated."""

TEXTS: dict[str, Text] = {
    # idle
    "hello": "Hello. We are here.",
    "hello_other": "Welcome. We are here.",
    "hello_alone": "Hello.",
    "touch_or_press": "Touch if you need us, or press the button.",
    "touch": "Touch if you need us.",
    "idle_unreached": "I cannot reach the staff’s phones now.",
    "idle_unreached_do": "Touch and I keep trying, or call {number}.",
    "opening_press": "Morning test: press the button now.",
    "opening_touch": "Morning test: touch “I need help” now.",
    "opening_body": "Then touch “Yes, it is the test”.",
    "opening_real": "If not, it is real.",
    "walk_test": "A technician tests this desk until {time}.",
    "proving": "I test myself now. No one called.",
    "tested": "I tested myself today at {time}",
    "maybe_test": "Is this the morning test?",
    "listening": "I listen for help words · no sound is kept",
    "voice_off_press": "Voice is off · touch or press",
    "voice_off": "Voice is off · touch for help",
    "deaf_press": "I cannot hear now · touch or press",
    "deaf": "I cannot hear now · touch for help",
    "paused_press": "Microphone off for now · touch or press",
    "paused": "Microphone off for now · touch for help",
    # the start, and a hub that is away
    "starting": "One moment.",
    "starting_body": "I am starting.",
    "gone": "This unit cannot call for you.",
    "gone_body": "Call {number}, or call out loud.",
    "gone_go": "Or go to a person: {refuge}.",
    "gone_ask": "Or ask a person near you.",
    "gone_kept": "You asked for help. I keep trying to pass it on.",
    "gone_next": "I keep trying by myself.",
    # a check
    "need_help": "Do you need help?",
    "heard": "I heard “{phrase}”",
    "asked_to_look": "I have asked the staff to look over.",
    "not_asked_to_look": "I cannot reach the staff’s phones. I keep trying.",
    "coming_to_look": "{name} is coming to look, {eta}.",
    "check_next_tier": "No answer: I ask more people to look.",
    "check_raise": "No answer: I call for help.",
    # the waiting line
    "stay": "Stay here. I am with you.",
    "telling": "Telling the staff",
    "telling_line": "I am telling the staff.",
    "asked": "I asked the staff",
    "asked_tier": "I asked {tier} too",
    "not_asked": "I cannot reach the staff yet",
    "shows_none": "No phone shows it yet",
    "shows_1": "{a}’s phone shows it",
    "shows_2": "{a}’s and {b}’s phones show it",
    "shows_more": Plural("{a}’s, {b}’s and one more phone show it", "{a}’s, {b}’s and {n} more phones show it"),
    "tier_staff": "the staff",
    "tier_manager": "the manager",
    "waiting": "Waiting for an answer",
    "waiting_declined": "One person cannot come. I keep asking.",
    "nobody_answered": "No one has answered yet",
    "waiting_for": "Waiting for {name}",
    "cannot_reach": "I cannot reach the staff’s phones.",
    "nobody_listens": "No staff phone is listening now.",
    "keep_trying": "I keep trying. Ask anyone near you, or call {number}.",
    "lost_line": "I cannot reach the staff’s phones now. I keep trying.",
    "late": "{name} is later than they said.",
    "late_asking": "{name} is later than they said. I am asking again.",
    "not_told_worse": "You did not answer. I asked the staff to hurry.",
    "told_fine": "I told the staff you say you are fine.",
    "told_fine_look": "They should still look.",
    "fine_not_told": "You say you are fine. I keep trying to tell staff.",
    # what the person told, shown as told
    "you_said": "You said: {what}",
    "you_said_name": "You said: {what}. Your name: {name}",
    "your_name": "Your name: {name}",
    # a person, no alarm
    "person": "I ask for a person to come.",
    "person_body": "No alarm. Take your time.",
    "person_next": Plural("No answer in 1 second: I ask {tier} too.", "No answer in {n} seconds: I ask {tier} too."),
    # on the way, here, over
    "coming": "{name} is coming, {eta}.",
    "others_coming": "{name} is coming too",
    "eta_now": "any time now",
    "eta_half": "in less than a minute",
    "eta": Plural("in about 1 minute", "in about {n} minutes"),
    "here": "{name} is here.",
    "here_somebody": "A member of staff is here.",
    "here_body": "You can talk now.",
    "here_next": "No one there? Touch “I still need help”.",
    "thanks": "Thank you.",
    "thanks_body": "This call is over. Touch again if you need us.",
    # a check-in
    "still_ok": "Are you still OK?",
    "still_ok_body": "Touch any of these, or press the button.",
    "still_ok_touch": "Touch any of these.",
    # what happens by itself
    "next_tier": Plural("No answer in 1 second: I ask {tier} too.", "No answer in {n} seconds: I ask {tier} too."),
    "next_emergency": Plural(
        "No answer in 1 second: I show how to call {number}.", "No answer in {n} seconds: I show how to call {number}."
    ),
    "next_ask_again": "If {name} is late, I ask again.",
    "next_ask_again_all": "If no one gets here, I ask again.",
    "next_check_in": Plural("In 1 second I ask if you are still OK.", "In {n} seconds I ask if you are still OK."),
    "next_check_in_missed": "No answer: I ask the staff to hurry.",
    "keep_asking": "I keep asking the staff.",
    "keep_reaching": "I keep trying to reach the staff.",
    # touches
    "b_help": "I need help",
    "b_person": "I need a person",
    "b_person_note": "no alarm",
    "b_yes_help": "Yes, help me",
    "b_fine": "I’m fine",
    "b_fine_now": "I’m fine now",
    "b_call": "Call {number} myself",
    "b_still_help": "I still need help",
    "b_real": "I really need help",
    "b_test": "Yes, it is the test",
    "b_ok": "Yes",
    "b_worse": "It is worse",
    "b_later": "Ask me later",
    "b_back": "Back",
    "b_back_steps": "Back to the steps",
    "b_steps": "Show the steps",
    "b_next": "Next",
    "b_first": "First step again",
    "b_again": "Say it again",
    "b_other": "It is something else",
    "b_unsure": "I am not sure",
    "b_name": "Tell my name",
    "what": "What is happening? Touch what fits.",
    "which": "Which is it? Touch the picture.",
    "which_next": "Not sure? I show the first steps soon.",
    "step": "{title} · step {n} of {of}",
    # on a step
    "defibrillator_ask": "Ask the staff where it is.",
    "lasted": "It has lasted {clock}.",
    "lasted_long": "More than 5 minutes. Call {number} now.",
    "breathe_in": "Breathe in",
    "breathe_out": "Breathe out",
    "push": "Push",
    # language and look
    "b_view": "Language",
    "view": "Language and look",
    "letters": "Letters",
    "b_letters": "{percent} %",
    "b_light": "Light",
    "b_dark": "Dark",
    "b_contrast": "Strong",
    "b_low": "Buttons lower",
    "b_voice": "Voice on",
    "b_no_voice": "Voice off",
    # a name
    "name": "What may we call you?",
    "name_body": "A first name is enough. You can leave it out.",
    "b_done": "Done",
    "b_leave": "Leave it out",
    "b_erase": "Erase",
    "b_space": "Space",
    # what it hears and keeps
    "ear": "What I hear, and what I keep",
    "ear_listens": "I listen for a few help words.",
    "ear_keeps": "No sound is kept. No sound leaves this unit.",
    "ear_log": "I keep which words, how sure, and when:",
    "ear_line": "{time} · “{phrase}” · {score}",
    "heard_word": "a help word",
    "ear_none": "I have heard no help words yet.",
    "ear_staff_see": "Staff see that the microphone is off.",
    "ear_back": Plural("I will listen again in 1 minute.", "I will listen again in {n} minutes."),
    "b_pause": "Turn the microphone off",
    "b_resume": "Turn the microphone on",
    # the emergency page
    "call_from": "Call from any phone:",
    "call_from_drill": "The number would be:",
    "nobody_call": "No one here has answered yet. Call now.",
    "unreached_call": "I cannot reach the staff. Call now.",
    "call_if": "Call {number} if you cannot wait.",
    "call_police": "Police: {police}",
    "read_out": "Read this out:",
    "speaks": "I speak {language}.",
    "lang_en": "English",
    "lang_es": "Spanish",
    "lang_fr": "French",
    "lang_zh": "Chinese",
    "lang_ar": "Arabic",
    "lang_hi": "Hindi",
    "phone_here": "Phone here: {phone}",
    "name_is": "Name: {name}",
    "started_now": "This began less than a minute ago.",
    "started": Plural("It is 1 minute since this began.", "It is {n} minutes since this began."),
    "card_people": "Say how many people need help.",
    "card_awake": "Say if they are awake and breathing.",
    "card_age": "Say about how old they are.",
    "card_danger": "Say if there is danger here.",
    "meet": "Meet the ambulance crew here: {meet}",
    "defibrillator_is": "Defibrillator: {defibrillator}",
    "so_far": "So far:",
    "tl_opened": "{clock} help was asked for",
    "tl_tier": "{clock} {tier} asked too",
    "tl_coming": "{clock} {name} said: coming",
    "tl_late": "{clock} {name} is late",
    "tl_here": "{clock} {name} is here",
    "tl_none": "No one has answered.",
    "tl_steps": "Steps shown here: {title}",
    "b_code": "Show it for a phone",
    "b_card": "Show the words",
    "code": "Point a phone’s camera here.",
    "code_body": "It takes the place and the words with it.",
    "drill": "This is a drill",
    "drill_no_call": "This is a drill. Do not call {number}.",
    "drill_step": "Do not call {number} now. In real need:",
    # only heard
    "say_need_help": "Do you need help? Touch the screen.",
    "say_telling": "I am telling the staff. Stay here. I am with you.",
    "say_what": "What is happening? Touch what fits.",
    "say_which": "Which is it? Touch the picture.",
    "say_seen": "The staff can see your call.",
    "say_asking_more": "No answer yet. I am asking more people.",
    "say_coming": "Someone is coming to you.",
    "say_late": "They are later than they said. I am asking again.",
    "say_here": "Someone is here. You can talk now.",
    "say_still_ok": "Are you still OK? Touch yes.",
    "say_missed": "You did not answer. I asked the staff to hurry.",
    "say_nobody": "No one has answered yet. Call the number on the screen.",
    "say_unreached": "I cannot reach the staff. Call the number on the screen.",
    "say_gone": "This unit cannot call for you. Call the number on the screen, or call out loud.",
    "say_person": "I ask for a person to come. Take your time.",
    "say_drill": "This is a drill.",
    "say_no_call": "Do not call the number on the screen.",
    "say_drill_step": "Do not call now. This step is for a real case.",
    "say_opening_press": "Morning test. Press the button now. Then touch yes on the screen.",
    "say_opening_touch": "Morning test. Touch the largest button now. Then touch yes on the screen.",
    "say_test": "Is this the morning test? Then touch yes.",
    "say_thanks": "Thank you. This call is over.",
    "say_voice": "I speak now.",
}
"""The texts that are no part of the guidance."""

PHRASES: dict[str, str] = {
    "help": "help",
    "help_me": "help me",
    "somebody_help": "somebody help",
    "ambulance": "call an ambulance",
    "police": "call the police",
    "breathe": "I can’t breathe",
    "chest": "chest pain",
    "heart": "heart attack",
    "faint": "I feel faint",
    "fallen": "I’ve fallen",
    "leave_alone": "leave me alone",
    "let_go": "let go of me",
}
"""How a phrase id is read back: as it was heard, in the language of the ear, and so never translated."""
HEARD_WORD = "help_word"
"""Stands in the log for a phrase that might give somebody away."""
NEVER_READ_BACK = frozenset({COVERT_PHRASE, "angela", "yellow_umbrella", "blue_suitcase"})
"""Covert phrases, and what stands for one in an incident: no screen says that there are such."""


def step_key(choice: Choice, at: int, line: int | str) -> str:
    """Return the key of a line of a step: 0 is its headline, "spoken" what is read aloud. Steps count from 0."""
    return f"{choice.value}.{at + 1}.{line}"


def every_text() -> Mapping[str, Text]:
    """Return every text by its key, those of the guidance too, in the order in which they are reviewed."""
    texts = dict(TEXTS)
    for choice, case in CASES.items():
        texts[f"{choice.value}.title"] = case.title
        texts[f"{choice.value}.tile"] = case.tile
        texts |= {f"{choice.value}.{name}": said for name, said in (("told", case.told), ("heard", case.heard)) if said}
        for at, step in enumerate(case.steps):
            texts |= {step_key(choice, at, line): said for line, said in enumerate(step.lines())}
            if case.aloud:
                texts[step_key(choice, at, "spoken")] = step.spoken or " ".join(step.lines())
    return texts


def prompts() -> Mapping[str, Text]:
    """Return what can be heard, by key: each has a recording in every language."""
    return {key: text for key, text in every_text().items() if key.startswith("say_") or key.endswith(".spoken")}

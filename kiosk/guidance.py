"""What a person can do while they wait: a few steps for each case, as data that a clinician can review.

Rules
- Every step names its source and its picture. Nobody has signed any of it off yet: `sign_off` says so, and `stayby check`
  tells it to a technician (`review`).
- Verb first, one thing at a time, at most 12 words a line and two lines under a headline, reading age 10.
- Slots: `{number}` is the emergency number of the place, `{police}` that of the police, `{defibrillator}` where the
  defibrillator is. A step with a slot says in `spoken` what is read aloud, since a voice was recorded once for all places.
- No medicine is advised but a person's own inhaler. The breathing pace is wrong for choking, chest and breath, and so it is
  nowhere near them, nor where nobody knows what is wrong.
- "I don't feel safe" shows nothing that would give the person away to somebody who looks over their shoulder. Its steps
  open only by the person's own touch, never by what was heard, and are not read aloud.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from kiosk.messages import Choice


class Pace(StrEnum):
    """What moves on a step's page: a circle to breathe with, the beat of CPR, or a clock that counts up."""

    BREATHING = "breathing"
    CPR = "cpr"
    TIMER = "timer"


IN_S, OUT_S = 4.0, 6.0
"""Breathing: six breaths a minute (moderate evidence)."""
BEATS_PER_MIN = 110
"""CPR: 100 to 120 a minute (NHS text)."""
LONG_SEIZURE_S = 300.0
"""A seizure of more than five minutes needs an ambulance (Epilepsy Ireland text)."""


@dataclass(frozen=True)
class Step:
    """One thing to do: a headline, up to two lines under it, its picture, and where it is taken from.

    `countries` are the only ones (ISO 3166, two letters) where it is shown, `not_in` those where it is not.
    """

    headline: str
    body: tuple[str, ...]
    picture: str
    source: str
    spoken: str = ""
    pace: Pace | None = None
    countries: tuple[str, ...] = ()
    not_in: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """Return the texts from top to bottom."""
        return (self.headline, *self.body)


@dataclass(frozen=True)
class SignOff:
    """Who reviewed a case, for which country and when (ISO 8601 date)."""

    by: str
    country: str
    on: str


@dataclass(frozen=True)
class Case:
    """The steps for one choice.

    `title` stands above each step, `tile` under its picture where it can be chosen. `told` is what the emergency card says
    of it, `heard` what it says while only a phrase suggests it. `grave`: staff are told that it cannot wait.
    """

    title: str
    tile: str
    picture: str
    told: str
    steps: tuple[Step, ...]
    heard: str = ""
    grave: bool = False
    aloud: bool = True
    sign_off: SignOff | None = None

    def shown_in(self, country: str) -> tuple[int, ...]:
        """Return which steps, by number from 0, are shown in a country (two letters, or empty)."""
        return tuple(at for at, step in enumerate(self.steps) if _shown(step, country))


def _shown(step: Step, country: str) -> bool:
    return (not step.countries or country in step.countries) and country not in step.not_in


CALL_RED = "Touch the red button for what to say."
ASK_NEAR = "Ask someone near you to call."
SPOKEN_CALL = "Call the number on the screen now. Ask someone near you to call."
ST_JOHN = "St John Ambulance Cymru; Australian Red Cross; NHS text"
ASTHMA = "Asthma + Lung UK text"
CHOKING = "American Heart Association 2025, as reported by Harvard Health"
CPR = "NHS text on CPR"
FALLS = "NHS text on falls"
BLEEDING = "British Red Cross; selfinjurysupport"
SEIZURES = "Epilepsy Ireland text"
STROKE = "St John Ambulance text on stroke"
ROBBERY = "Security-trade guidance on robbery"
ANI = "Ask for ANI"
CODE_ADAM = "Code Adam"
FIRST_AID_OF_MIND = "WHO psychological first aid: look, listen, link"
MIND = "NHS and Mind as quoted"
GRIEF = "Child Bereavement UK; Hospiscare"

CASES: dict[Choice, Case] = {
    Choice.CHEST_OR_BREATHING: Case(
        title="Chest or breathing",
        tile="Chest or breathing",
        picture="chest",
        told="Trouble with the chest or with breathing.",
        heard="Someone spoke of the chest or of breathing.",
        grave=True,
        steps=(
            Step("Call {number} now.", (ASK_NEAR, CALL_RED), "call", ST_JOHN, spoken=SPOKEN_CALL),
            Step("Sit down. Sit up straight.", ("Lean your back on something.", "Do not lie down."), "sit_up", ST_JOHN),
            Step("Rest. Do not walk.", ("Make tight clothes loose.",), "loosen", ST_JOHN),
            Step("Use your own inhaler, if you have one.", ("Use it as you were shown.",), "inhaler", ASTHMA),
        ),
    ),
    Choice.CHEST_PAIN: Case(
        title="Chest pain",
        tile="Chest pain",
        picture="chest",
        told="Chest pain.",
        heard="Someone spoke of chest pain.",
        grave=True,
        steps=(
            Step(
                "Call {number} now.",
                (ASK_NEAR, "Say: chest pain."),
                "call",
                ST_JOHN,
                spoken="Call the number on the screen now. Ask someone near you to call. Say: chest pain.",
            ),
            Step("Sit on the floor. Lean back.", ("Bend your knees.",), "sit_floor", ST_JOHN),
            Step("Rest. Do not walk.", ("Make tight clothes loose.",), "loosen", ST_JOHN),
            Step(
                "Stay with them. Keep watching.",
                ("Not breathing well? Touch “It is something else”.",),
                "stay_with",
                ST_JOHN,
            ),
        ),
    ),
    Choice.BREATHING: Case(
        title="Hard to breathe",
        tile="I cannot breathe",
        picture="breath",
        told="Cannot breathe well.",
        heard="Someone said that they cannot breathe.",
        grave=True,
        steps=(
            Step("Sit up straight.", ("Do not lie down.",), "sit_up", ASTHMA),
            Step(
                "Use your own inhaler. One puff.",
                ("Wait half a minute. Then one more puff.", "You can take up to ten."),
                "inhaler",
                ASTHMA,
                countries=("GB",),
            ),
            Step(
                "Use your own inhaler, if you have one.",
                ("Use it as you were shown.",),
                "inhaler",
                ASTHMA,
                not_in=("GB",),
            ),
            Step(
                "Not better soon? Call {number}.",
                (ASK_NEAR, CALL_RED),
                "call",
                ASTHMA,
                spoken="Not better soon? Call the number on the screen.",
            ),
            Step("Stay sitting. Rest.", ("Make tight clothes loose.",), "loosen", ASTHMA),
        ),
    ),
    Choice.CHOKING: Case(
        title="Choking",
        tile="Choking",
        picture="choking",
        told="Choking.",
        grave=True,
        steps=(
            Step("Cough. Keep coughing.", ("Cannot cough? Point at your throat.",), "cough", CHOKING),
            Step(
                "Hit their back five times.",
                ("Hit hard, between the shoulders.", "Use the heel of your hand."),
                "back_blows",
                CHOKING,
            ),
            Step(
                "Then pull into the belly five times.",
                ("Stand behind them. Pull in and up.", "Not for a baby."),
                "belly",
                CHOKING,
            ),
            Step(
                "Five and five. Go on until it is out.",
                ("Ask someone to call {number} now.",),
                "five_and_five",
                CHOKING,
                spoken="Five and five. Go on until it is out. Ask someone to call the number on the screen.",
            ),
            Step(
                "A baby? Hit the back five times.",
                ("Then push on the chest five times.", "Hold the head low."),
                "baby",
                CHOKING,
            ),
        ),
    ),
    Choice.COLLAPSE: Case(
        title="Collapsed",
        tile="Collapsed",
        picture="collapsed",
        told="A person has collapsed.",
        grave=True,
        steps=(
            Step(
                "Not breathing well? Call {number}.",
                ("Put the phone on loud, beside you.",),
                "call",
                CPR,
                spoken="Not breathing well? Call the number on the screen. Put the phone on loud, beside you.",
            ),
            Step(
                "Push hard and fast.",
                ("In the middle of the chest, with both hands.", "Push with the beat."),
                "push_chest",
                CPR,
                pace=Pace.CPR,
            ),
            Step(
                "Send someone to get the defibrillator.",
                ("It is here: {defibrillator}", "You keep pushing."),
                "defibrillator",
                CPR,
                spoken="Send someone to get the defibrillator. You keep pushing. Do not stop.",
                pace=Pace.CPR,
            ),
        ),
    ),
    Choice.BLEEDING: Case(
        title="Bleeding",
        tile="Bleeding",
        picture="bleeding",
        told="A person is bleeding.",
        grave=True,
        steps=(
            Step("Press hard on it. Do not stop.", ("Use a clean cloth, or your hands.",), "press", BLEEDING),
            Step("Put more cloth on top.", ("Do not take the first one off.",), "more_cloth", BLEEDING),
            Step("Something stuck in it? Leave it in.", ("Press beside it.",), "stuck", BLEEDING),
            Step(
                "A lot of blood? Call {number}.",
                (ASK_NEAR, CALL_RED),
                "call",
                BLEEDING,
                spoken="A lot of blood? Call the number on the screen.",
            ),
        ),
    ),
    Choice.SEIZURE: Case(
        title="A seizure",
        tile="A seizure",
        picture="seizure",
        told="A seizure (a fit).",
        grave=True,
        steps=(
            Step(
                "Clear the space. I count the time.",
                ("Move hard things away.",),
                "clear_space",
                SEIZURES,
                pace=Pace.TIMER,
            ),
            Step(
                "Put something soft under the head.",
                ("Do not hold them down.",),
                "cushion",
                SEIZURES,
                pace=Pace.TIMER,
            ),
            Step("Put nothing in the mouth.", ("Stay with them.",), "nothing_in_mouth", SEIZURES, pace=Pace.TIMER),
            Step("It stops? Roll them on their side.", ("Talk to them.",), "on_side", SEIZURES, pace=Pace.TIMER),
            Step(
                "Over five minutes? Call {number}.",
                ("Call too if it is their first one.",),
                "call",
                SEIZURES,
                spoken="Over five minutes? Call the number on the screen. Call too if it is their first one.",
                pace=Pace.TIMER,
            ),
        ),
    ),
    Choice.STROKE: Case(
        title="Signs of a stroke",
        tile="Face, arm, speech",
        picture="stroke",
        told="Signs of a stroke.",
        grave=True,
        steps=(
            Step(
                "Call {number} now.",
                ("Say: it may be a stroke.", ASK_NEAR),
                "call",
                STROKE,
                spoken="Call the number on the screen now. Say: it may be a stroke.",
            ),
            Step(
                "Look at the face. Does one side hang?",
                ("Can they lift both arms?", "Can they speak well?"),
                "face_arms",
                STROKE,
            ),
            Step("When did it start? Note the time.", ("The doctors will ask for it.",), "note_time", STROKE),
            Step("Give them no food and no drink.", ("Stay with them.",), "no_food", STROKE),
        ),
    ),
    Choice.FALL: Case(
        title="A fall",
        tile="A fall",
        picture="fallen",
        told="A person has had a fall.",
        heard="Someone said that they fell.",
        steps=(
            Step("Do not lift them.", ("Head, neck or back hurt? Keep still.",), "keep_still", FALLS),
            Step("Keep them warm.", ("Put a coat over them.",), "coat", FALLS),
            Step("Talk to them. Stay with them.", ("Ask where it hurts.",), "stay_with", FALLS),
            Step(
                "Bad pain? Call {number}.",
                (ASK_NEAR, CALL_RED),
                "call",
                FALLS,
                spoken="Bad pain? Call the number on the screen.",
            ),
        ),
    ),
    Choice.SOMEONE_HURT: Case(
        title="Someone is hurt",
        tile="Someone is hurt",
        picture="hurt",
        told="Someone is hurt.",
        heard="Someone spoke of a person who is ill or hurt.",
        steps=(
            Step(
                "Not awake, not breathing well? Call {number}.",
                ("Then touch “It is something else”.", "Touch “Collapsed” there."),
                "call",
                CPR,
                spoken="Not awake, not breathing well? Call the number on the screen.",
            ),
            Step("Keep them still. Do not lift them.", ("Keep the head and the neck still.",), "keep_still", FALLS),
            Step("Press hard on any bleeding.", ("Use a cloth. Do not stop.",), "press", BLEEDING),
            Step("Keep them warm. Talk to them.", ("Stay with them.",), "coat", FALLS),
        ),
    ),
    Choice.NOT_SAFE: Case(
        title="While you wait",
        tile="I don’t feel safe",
        picture="door",
        told="",
        aloud=False,
        steps=(
            Step("Keep your distance.", ("Leave the way out clear.",), "way_out", ROBBERY),
            Step(
                "Ask staff for a quiet room.",
                ("You can speak to them alone.", "Ask for a phone if you want one."),
                "quiet_room",
                ANI,
            ),
            Step("Do not argue. Do not follow.", ("Call {police} when you can.",), "stay_back", ROBBERY),
        ),
    ),
    Choice.ROBBERY: Case(
        title="While you wait",
        tile="A theft",
        picture="theft",
        told="",
        aloud=False,
        steps=(
            Step("Do as they say. Keep back.", ("Leave the way out clear.",), "way_out", ROBBERY),
            Step("Do not follow them.", ("Let them go.",), "stay_back", ROBBERY),
            Step("When they are gone, call {police}.", ("Say what they looked like.",), "call", ROBBERY),
        ),
    ),
    Choice.LOST_CHILD: Case(
        title="A lost child",
        tile="A lost child",
        picture="lost_child",
        told="A child is lost.",
        steps=(
            Step(
                "Tell the staff what the child wears.",
                ("Tell them the shoes too.", "Say the name and the age."),
                "child_clothes",
                CODE_ADAM,
            ),
            Step(
                "Ask someone to stand at each door.", ("You can stay here. I am with you.",), "watch_doors", CODE_ADAM
            ),
            Step(
                "Not found in ten minutes? Call {police}.",
                ("Call at once if you fear the worst.",),
                "call",
                CODE_ADAM,
                spoken="Not found in ten minutes? Call the police.",
            ),
        ),
    ),
    Choice.OVERWHELMED: Case(
        title="It is all too much",
        tile="All too much",
        picture="too_much",
        told="It is all too much for someone.",
        steps=(
            Step(
                "You can sit down. I stay with you.",
                ("Chest pain, or hard to breathe?", "Then touch “It is something else”."),
                "sit_chair",
                MIND,
            ),
            Step(
                "Breathe with the circle, if you like.",
                ("In as it grows. Out as it gets small.",),
                "breathe",
                "About six breaths a minute: moderate evidence",
                pace=Pace.BREATHING,
            ),
            Step("This will pass.", ("It is worst at about ten minutes.", "Then it gets less."), "wave", MIND),
            Step(
                "What would help you now?",
                ("A chair? Water? Less noise?", "Tell the staff when they come."),
                "water",
                MIND,
            ),
        ),
    ),
    Choice.PERSON: Case(
        title="A person for you",
        tile="I need a person",
        picture="two_people",
        told="",
        steps=(
            Step("Take your time.", ("You do not have to tell me why.",), "two_people", GRIEF),
            Step("You can ask for a chair or water.", ("You can ask for a quiet place too.",), "sit_chair", GRIEF),
            Step(
                "Breathe with the circle, if you like.",
                ("In as it grows. Out as it gets small.",),
                "breathe",
                "About six breaths a minute: moderate evidence",
                pace=Pace.BREATHING,
            ),
        ),
    ),
    Choice.SOMETHING_ELSE: Case(
        title="While you wait",
        tile="Something else",
        picture="something",
        told="",
        steps=(
            Step("Stay here. Sit if you can.", ("Take your time.",), "sit_chair", FIRST_AID_OF_MIND),
            Step("Tell a person near you.", ("Say what would help you now.",), "two_people", FIRST_AID_OF_MIND),
            Step(
                "Worse? Call {number}.",
                (CALL_RED,),
                "call",
                FIRST_AID_OF_MIND,
                spoken="Is it worse? Call the number on the screen.",
            ),
        ),
    ),
}
"""Every case, the gravest first."""

GRAVEST_FIRST: tuple[Choice, ...] = tuple(CASES)

GROUPS: dict[Choice, tuple[Choice, ...]] = {
    Choice.CHEST_OR_BREATHING: (Choice.CHEST_PAIN, Choice.BREATHING, Choice.CHOKING),
    Choice.SOMEONE_HURT: (Choice.COLLAPSE, Choice.BLEEDING, Choice.SEIZURE, Choice.STROKE, Choice.FALL),
    Choice.NOT_SAFE: (),
    Choice.SOMETHING_ELSE: (Choice.LOST_CHILD, Choice.OVERWHELMED, Choice.ROBBERY, Choice.PERSON),
}
"""What is asked next after one of the four first choices; "I am not sure" opens the choice's own steps."""


def group_of(choice: Choice) -> Choice:
    """Return the first choice under which a case is found: itself if it is one."""
    return next((group for group, cases in GROUPS.items() if choice in cases), choice)


def review(country: str) -> str:
    """Return how much of the guidance a clinician has signed off for a country (two letters, or empty), in one line."""
    signed = [case.sign_off for case in CASES.values() if case.sign_off and case.sign_off.country == country]
    if not signed:
        return f"guidance: {len(CASES)} cases, not yet reviewed by a clinician"
    last = max(signed, key=lambda one: one.on)
    return f"guidance: {len(signed)} of {len(CASES)} cases reviewed for {country}, last by {last.by} on {last.on}"


def gravest(choices: Sequence[Choice]) -> Choice:
    """Return the gravest of some choices."""
    return min(choices, key=GRAVEST_FIRST.index)

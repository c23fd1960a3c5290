"""The pages of a desk where nothing is open, and those beside an alert: languages and look, a name, what the unit hears.

Rules
- The quiet desk is welcoming and dull: a greeting, two ways to ask, six languages by their own names.
- What the page says of the microphone is what the hub says of it; a pause is shown when it is so, and not before.
- Every key of the keyboard can be hit with a thumb: at most nine in a row, four rows.
"""

from dataclasses import replace

from kiosk.local import REST_S, other_greeting
from kiosk.messages import Hearing, Language, Reach, Show, Touch, TouchAction
from kiosk.page import TEXT_PERCENTS, Button, Card, Does, Go, Key, Kind, Line, Look, Page, Style, Theme
from kiosk.scene import Desk, Place, Scene, phrase_words
from kiosk.texts import HEARD_WORD, OWN_NAMES

BUTTON_UNSURE = frozenset({"button", "button-loop", "button-stuck"})
"""Faults under which the screen does not send anybody to the button; of the covert one it never says anything."""

LOG_LINES = 4
LOOK_SIGN = "Aa"

LATIN = ("abcdefg", "hijklmn", "opqrstu", "vwxyz")
LETTERS: dict[Language, tuple[str, ...]] = {
    Language.ENGLISH: LATIN,
    Language.SPANISH: ("abcdefghi", "jklmnñopq", "rstuvwxyz", "áéíóúü"),
    Language.FRENCH: ("abcdefghi", "jklmnopqr", "stuvwxyzç", "éèêëîïô"),
    Language.CHINESE: LATIN,
    Language.ARABIC: ("ابتثجحخدذ", "رزسشصضطظع", "غفقكلمنهو", "يأآةىئء"),
    Language.HINDI: LATIN,
}
"""The letters of each keyboard. Chinese and Hindi names are written in Latin ones: their own need an input method."""


def button_works(show: Show | None, desk: Desk) -> bool:
    """Return whether anybody may be sent to the panic button."""
    return desk.button and not (show and any(fault.code in BUTTON_UNSURE for fault in show.faults))


# --- nothing is open --------------------------------------------------------------------------------------------------


def _hearing(place: Place, show: Show) -> str:
    if show.hearing is Hearing.LISTENING:
        return place.say("listening")
    key = {Hearing.OFF: "voice_off", Hearing.PAUSED: "paused"}.get(show.hearing, "deaf")
    return place.say(f"{key}_press" if button_works(show, place.desk) else key)


def _person(place: Place) -> Button:
    touch = Touch(action=TouchAction.PERSON)
    return Button(place.say("b_person"), touch, note=place.say("b_person_note"))


def language_row(place: Place, style: Style = Style.SMALL) -> tuple[Button, ...]:
    """Return the languages by their own names, the present one marked."""
    look = place.local.look
    return tuple(
        Button(name, replace(look, language=language), Style.CHOSEN if language is look.language else style)
        for language, name in OWN_NAMES.items()
    )


def idle(place: Place, show: Show) -> Page:
    """Return the page of a quiet desk."""
    reached = show.reach is Reach.OK
    headline, body = _greeting(place, show) if reached else _alone(place)
    return place.page(
        Kind.IDLE,
        top=(Button(_hearing(place, show), Go.EAR, Style.SMALL),),
        headline=headline,
        body=body,
        buttons=(place.help(), _person(place), place.call()),
        row=(*language_row(place), Button(LOOK_SIGN, Go.VIEW, Style.SMALL)),
        margin=place.say("tested", time=show.tested_at) if _tells_of_test(show) else "",
        corner=(),
        prompts=place.aloud(f"say_opening_{show.opening}") if reached and show.opening else (),
    )


def _tells_of_test(show: Show) -> bool:
    """Return whether the desk says that it proved itself today: not where more about tests stands."""
    return bool(show.tested_at) and not (show.opening or show.proving or show.walk_until)


def _greeting(place: Place, show: Show) -> tuple[str, tuple[str, ...]]:
    """Return the greeting; in the minute of the opening press what staff are to do now; that the unit is being tested."""
    if show.opening is not None:
        return place.say(f"opening_{show.opening}"), (place.say("opening_body"), place.say("opening_real"))
    hello = "hello_other" if other_greeting(place.local, place.now_s) else "hello"
    tested = (place.say("walk_test", time=show.walk_until),) if show.walk_until else ()
    tested = (place.say("proving"),) if show.proving else tested
    return place.say(hello), (place.say("touch_or_press" if button_works(show, place.desk) else "touch"), *tested)


def _alone(place: Place) -> tuple[str, tuple[str, ...]]:
    do = place.say("idle_unreached_do", number=place.number)
    return place.say("hello_alone"), (place.say("idle_unreached"), do)


def starting(place: Place) -> Page:
    """Return the page before the hub has spoken."""
    return place.page(
        Kind.STARTING,
        headline=place.say("starting"),
        body=(place.say("starting_body"),),
        buttons=(place.help(),),
    )


def telling(place: Place, *, drill: bool = False) -> Page:
    """Return the page of a call that the hub has not shown yet."""
    person = place.local.asking and not place.local.telling
    return place.page(
        Kind.TELLING,
        mark=place.say("drill") if drill else "",
        headline=place.say("person" if person else "stay"),
        body=(place.say("person_body"),) if person else (),
        waiting=(Line(place.say("telling"), done=False),),
        prompts=place.aloud("say_person" if person else "say_telling"),
    )


def thanks(place: Place) -> Page:
    """Return the page after the end."""
    return place.page(
        Kind.CLOSED,
        mark=place.say("drill") if place.local.drill else "",
        headline=place.say("thanks"),
        body=(place.say("thanks_body"),),
        buttons=(place.help(),),
        prompts=place.aloud("say_thanks"),
    )


def gone(place: Place) -> Page:
    """Return the page of a unit that cannot call: the number, the voice, other people, and the steps all the same."""
    local, refuge, drill = place.local, place.face.refuge, place.local.drill
    told = local.telling or local.asking
    to_people = place.say("gone_go", refuge=refuge) if refuge else place.say("gone_ask")
    kept = (place.say("gone_kept"),) if told else ()
    steps = Button(place.say("b_steps"), Go.STEPS)
    somebody = told or local.incident is not None or place.now_s - local.touched_s < REST_S
    return place.page(
        Kind.GONE,
        headline=place.say("gone"),
        body=(place.say("drill_no_call" if drill else "gone_body", number=place.number), to_people, *kept),
        buttons=(place.call(), steps, *(() if told else (place.help(Style.PLAIN),))),
        corner=(),
        bottom=place.say("gone_next"),
        prompts=place.aloud("say_no_call" if drill else "say_gone") if somebody else (),
    )


# --- how the screen looks and speaks ----------------------------------------------------------------------------------


def _choice(text: str, does: Does, *, chosen: bool, note: str = "") -> Button:
    return Button(text, does, Style.CHOSEN if chosen else Style.PLAIN, note=note)


def _letters(place: Place, look: Look) -> tuple[Button, ...]:
    return tuple(
        _choice(
            place.say("b_letters", percent=percent),
            replace(look, text_percent=percent),
            chosen=percent == look.text_percent,
            note=place.say("letters"),
        )
        for percent in TEXT_PERCENTS
    )


def _themes(place: Place, look: Look) -> tuple[Button, ...]:
    return tuple(
        _choice(place.say(f"b_{theme.value}"), replace(look, theme=theme), chosen=theme is look.theme)
        for theme in Theme
    )


def view(place: Place) -> Page:
    """Return the page for language and look: keys are three languages, three languages, three sizes, three colours."""
    look = place.local.look
    languages = language_row(place, Style.PLAIN)
    voices = (
        _choice(place.say("b_voice"), replace(look, voice=True), chosen=look.voice),
        _choice(place.say("b_no_voice"), replace(look, voice=False), chosen=not look.voice),
    )
    return place.page(
        Kind.VIEW,
        **({"top_left": place.summary} if isinstance(place, Scene) else {}),
        top=(),
        headline=place.say("view"),
        keys=(languages[:3], languages[3:], _letters(place, look), _themes(place, look)),
        row=(
            _choice(place.say("b_low"), replace(look, low=not look.low), chosen=look.low),
            *(voices if place.desk.speaker else ()),
        ),
        corner=(place.call(), place.back()),
        bottom="",
        prompts=place.aloud("say_voice") if place.local.voiced else (),
    )


# --- a name -----------------------------------------------------------------------------------------------------------


def _keys(place: Place) -> tuple[tuple[Button, ...], ...]:
    *rows, last = [
        [Button(letter.upper(), Key(letter)) for letter in row] for row in LETTERS[place.local.look.language]
    ]
    last += [Button(place.say("b_space"), Key(" ")), Button(place.say("b_erase"), Key(""))]
    return tuple(tuple(row) for row in (*rows, last))


def name(scene: Scene) -> Page:
    """Return the page on which a person may tell their name, or leave it out."""
    entry = scene.local.entry.strip()
    touch = Touch(action=TouchAction.NAME, incident=scene.incident.id, name=entry or None)
    done = (Button(scene.say("b_done"), touch, Style.MAIN),) if entry else ()
    return scene.page(
        Kind.NAME,
        top=(),
        top_left=scene.summary,
        headline=scene.say("name"),
        body=(scene.say("name_body"),),
        keys=_keys(scene),
        entry=scene.local.entry,
        bottom="",
        corner=(scene.call(), Button(scene.say("b_leave"), Go.BACK), *done),
    )


# --- what it hears and keeps ------------------------------------------------------------------------------------------


def _log(place: Place, show: Show) -> Card:
    zone = place.desk.zone
    lines = tuple(
        place.say(
            "ear_line",
            time=f"{one.at.astimezone(zone):%H:%M}",
            phrase=place.say("heard_word") if one.phrase == HEARD_WORD else phrase_words(one.phrase),
            score=f"{one.score:.1f}",
        )
        for one in show.heard[:LOG_LINES]
    )
    return Card(place.say("ear_log"), "", lines or (place.say("ear_none"),))


def _pause(place: Place, show: Show) -> tuple[Button, ...]:
    if show.hearing is Hearing.PAUSED:
        return (Button(place.say("b_resume"), Touch(action=TouchAction.RESUME)),)
    if show.hearing is Hearing.OFF:
        return ()
    return (Button(place.say("b_pause"), Touch(action=TouchAction.PAUSE)),)


def ear(place: Place, show: Show, age_s: float) -> Page:
    """Return the page that says what the microphone is for, with all that was kept of it."""
    paused: tuple[str, ...] = ()
    if show.hearing is Hearing.PAUSED:
        paused = (place.say("ear_staff_see"),) if show.reach is Reach.OK else (_hearing(place, show),)
        if show.hearing_back_s is not None:
            minutes = max(1, round((show.hearing_back_s - age_s) / 60))
            paused = (*paused, place.say("ear_back", n=minutes))
    elif show.hearing is not Hearing.LISTENING:
        paused = (_hearing(place, show),)
    return place.page(
        Kind.EAR,
        headline=place.say("ear"),
        body=(*paused, place.say("ear_keeps")) if paused else (place.say("ear_listens"), place.say("ear_keeps")),
        card=_log(place, show),
        buttons=_pause(place, show),
        corner=(place.call(), place.back()),
    )

"""What board and pager show, in words: from the model to one `View`, the same for the page and the terminal.

Rules
- Pure: no clock, no I/O. Times of day and monotonic seconds are handed in.
- Nothing is said ahead of the facts: "coming" is a responder's own word, "has it" their device's.
- Texts are plain text; whoever shows them must not read them as markup.
"""

import math
from dataclasses import dataclass
from typing import Literal

from kiosk.board.fault_words import FaultView, fault_view, for_manager, said_once
from kiosk.board.model import Desk, Incident, Model
from kiosk.board.replies import Answers, Delivery, Pending
from kiosk.guidance import CASES
from kiosk.messages import (
    COVERT_PHRASE,
    OPENING,
    Choice,
    CloseReply,
    Duty,
    Face,
    Id,
    Language,
    Name,
    Outcome,
    Person,
    Record,
    Severity,
    Snapshot,
    State,
    Status,
    Trigger,
    UnitState,
)
from kiosk.texts import OWN_NAMES, PHRASES

Tone = Literal["grave", "alert", "check"]
Sound = Literal["emergency", "check", ""]
Look = Literal["wide", "main", "plain", "quiet"]
ReplyKind = Literal["coming", "here", "close", "call_next", "undo"]


class Button(Record):
    """One answer that can be given now; `key` tells it apart within its alert and is the pager's key."""

    key: str
    label: str
    kind: ReplyKind
    look: Look = "plain"
    eta_s: int | None = None
    outcome: Outcome | None = None


class AlertView(Record):
    """One open incident as it is shown.

    `going` is whether a person is on the way or there: if not, it is red and sounds. `seen` is whether the desk knows that
    this device shows it. `marks` are what nobody may overlook: a covert call, a drill. `ask_note` is what a line of text is
    asked with, where one can be sent along; `closing` says that it is being closed and can still be kept open. `card` is what
    opens the card for an emergency call, `call` the number and what to say there, for when nothing else can be loaded.
    """

    incident: str
    unit: Id
    revision: int
    state: State
    tone: Tone
    head: str
    place: str
    clock: str
    silent: bool
    drill: bool
    marks: tuple[str, ...]
    going: bool
    seen: bool
    sound: Sound
    lines: tuple[str, ...]
    who: tuple[str, ...]
    next: str
    note: str
    note_bad: bool
    buttons: tuple[Button, ...]
    ask_close: str = ""
    ask_note: str = ""
    closing: str = ""
    card: str = ""
    call: tuple[str, ...] = ()


class View(Record):
    """The whole of what is shown. `connected` is whether this device can hear at all; `down` says why not.

    `crowd` counts the alerts where there are too many to read at a glance; `waiting` are desks that wait for somebody.
    """

    connected: bool
    down: str
    me: Name
    duty: Duty
    manager: bool
    headline: str
    title: str
    crowd: str
    alerts: tuple[AlertView, ...]
    sound: Sound
    desks: str
    waiting: tuple[str, ...]
    faults: tuple[FaultView, ...]


CROWD = 8
"""From more open alerts than this on, they are counted in words, and those beyond are shown in short."""


HEADS: dict[Severity, str] = {
    Severity.CHECK: "PLEASE CHECK",
    Severity.ALERT: "HELP NOW",
    Severity.GRAVE: "GRAVE: HELP NOW",
}
TRIGGERS: dict[Trigger, str] = {
    Trigger.BUTTON: "Pressed the button.",
    Trigger.TOUCH: "Touched “I need help”.",
    Trigger.COVERT: "Called for help in secret.",
    Trigger.DRILL: "Started as a drill.",
}
REQUEST_HEAD = "PLEASE COME"
SILENT_MARK = "SILENT: go quietly. Show nothing at the desk."
DRILL_MARK = "This is a drill. Do as if it were real, but call no ambulance."
OPENING_MARK = (
    "The morning’s press of the button. If none of you pressed it, go and look. "
    "Touch “Coming” or “I’m here”: that proves the whole way."
)
MAYBE_TEST_MARK = "Maybe the morning’s test: {who} asked for it just before. Until the desk says so, it is real."
ASK_NOTE = "What happened? One line, or leave it empty."
CASE_WORDS: dict[Choice, str] = {
    Choice.BREATHING: "hard to breathe",
    Choice.STROKE: "signs of a stroke",
    Choice.NOT_SAFE: "they do not feel safe",
    Choice.OVERWHELMED: "it is all too much",
    Choice.PERSON: "they need a person",
}
"""What a case is called among staff, where that is not what its tile says."""


def within(text: str) -> str:
    """Return a text as it stands within a sentence."""
    return text if text.startswith("I ") else text[:1].lower() + text[1:]


def _choice_line(choice: Choice) -> str:
    meant = f" ({CASE_WORDS[choice]})" if choice is Choice.STROKE else ""
    return f"Touched: {within(CASES[choice].tile)}{meant}."


def _guess_line(choice: Choice) -> str:
    words = CASE_WORDS.get(choice) or within(CASES[choice].tile)
    return f"It may be: {words}.{'' if CASES[choice].aloud else ' The screen does not show it.'}"


CHOICES: dict[Choice, str] = {choice: _choice_line(choice) for choice in Choice}
GUESSES: dict[Choice, str] = {choice: _guess_line(choice) for choice in Choice}
DUTIES: dict[Duty, str] = {
    Duty.ON: "",
    Duty.BREAK: " · you are on break: asked last",
    Duty.OFF: " · you are off duty: asked last",
}
NAMED = 4
"""So many colleagues are named in the headline; of the rest, how many."""
LANGUAGES: dict[Language, str] = {
    Language.ENGLISH: "English",
    Language.SPANISH: "Spanish",
    Language.FRENCH: "French",
    Language.CHINESE: "Chinese",
    Language.ARABIC: "Arabic",
    Language.HINDI: "Hindi",
}
"""The languages as staff call them."""
DELIVERIES: dict[Delivery, str] = {
    Delivery.NONE: "",
    Delivery.HELD: "",
    Delivery.AGAIN: "Not closed: somebody called there again. Look at it.",
    Delivery.SENDING: "Sending your answer…",
    Delivery.LATE: "Your answer is not delivered yet. Still trying.",
    Delivery.FAILED: "Your answer did not arrive. Answer again, or call the desk.",
}
COMING = tuple(
    Button(key=key, label=label, kind="coming", eta_s=minutes * 60, look=look)
    for key, label, minutes, look in (
        ("c", "Coming · 1 min", 1, "main"),
        ("2", "2 min", 2, "plain"),
        ("5", "5 min", 5, "plain"),
    )
)
COMING_TOO = (COMING[0].model_copy(update={"look": "wide", "label": "Coming too · 1 min"}), *COMING[1:])
"""What is offered once somebody else is on the way."""
HERE = Button(key="h", label="I’m here", kind="here")
CANNOT = Button(key="n", label="I can’t: ask the next", kind="call_next", look="quiet")
LOOKED = Button(key="f", label="I looked: all fine", kind="close", outcome=Outcome.FALSE_ALARM, look="quiet")
CLOSE = (
    Button(key="r", label="Real", kind="close", outcome=Outcome.REAL),
    Button(key="f", label="False alarm", kind="close", outcome=Outcome.FALSE_ALARM),
    Button(key="t", label="Test", kind="close", outcome=Outcome.TEST),
)
CLOSE_FOR = tuple(one.model_copy(update={"look": "quiet"}) for one in CLOSE)
"""The same for whoever is not the one at the desk."""
END_DRILL = Button(key="t", label="End the drill", kind="close", outcome=Outcome.TEST, look="wide")
UNDO = Button(key="u", label="Undo: keep it open", kind="undo", look="main")
CLOSED_AS = {Outcome.REAL: "real", Outcome.FALSE_ALARM: "a false alarm", Outcome.TEST: "a test"}


def clock(seconds: float) -> str:
    """Return `m:ss`, or `h:mm:ss` from an hour on."""
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def phrase_words(phrase: str) -> str:
    """Return a phrase id as it was spoken: `breathe` → “I can’t breathe”; which covert phrase it was is not said."""
    if phrase == COVERT_PHRASE:
        return "the covert phrase"
    return f"“{PHRASES.get(phrase) or phrase.replace('_', ' ').replace('-', ' ')}”"


def _names(people: tuple[Person, ...], me: Id) -> str:
    return ", ".join(["you"] * any(one.id == me for one in people) + [one.name for one in people if one.id != me])


def _told(snapshot: Snapshot) -> tuple[str, ...]:
    """Return what the person said, touched, or left unanswered."""
    lines = _how_it_began(snapshot)
    if snapshot.phrase:
        lines.append(f"Heard {phrase_words(snapshot.phrase)}.")
    elif snapshot.trigger is Trigger.VOICE:
        lines.append("Heard a call for help.")
    if snapshot.choice and not snapshot.request:
        lines.append(CHOICES[snapshot.choice])
    elif snapshot.guess:
        lines.append(GUESSES[snapshot.guess])
    if snapshot.name:
        lines.append(f"First name: {snapshot.name}.")
    if snapshot.language is not (snapshot.home_language or Language.ENGLISH):
        lines.append(f"Screen speaks: {OWN_NAMES[snapshot.language]} ({LANGUAGES[snapshot.language]}).")
    if snapshot.says_fine:
        lines.append("Touched “I’m fine now”. Please look anyway.")
    return (*lines, *_asked_now(snapshot))


def _how_it_began(snapshot: Snapshot) -> list[str]:
    """Return what opened the incident, and what of it must not be told at the desk."""
    if snapshot.request:
        return [f"A person at {snapshot.place} would like somebody to come. No alarm."]
    lines = [] if snapshot.trigger is Trigger.VOICE else [TRIGGERS[snapshot.trigger]]
    if snapshot.trigger is Trigger.TOUCH and any(one.what == "told_person" for one in snapshot.timeline[:2]):
        lines = ["Asked for a person first. It is more than that now."]
    if snapshot.covert and snapshot.trigger is Trigger.COVERT:
        lines.append("The desk shows it as a request for a person. Say nothing there of the covert call.")
    elif snapshot.covert:
        lines.append("A covert call came too: somebody may be threatened. Say nothing of it at the desk.")
    return lines


def _asked_now(snapshot: Snapshot) -> list[str]:
    """Return what the screen asks them, and what they left unanswered."""
    lines = []
    if snapshot.state is State.CHECKING and not snapshot.silent:
        lines.append("The screen asks them now: do you need help?")
    if snapshot.check_ins_missed:
        lines.append(f"Did not answer “Are you still OK?” ({snapshot.check_ins_missed}×).")
    elif snapshot.check_in_open:
        lines.append("The screen asks them now: are you still OK?")
    return lines


def going_words(incident: Incident, me: str, now_s: float) -> list[str]:
    """Return who is on the way, and how long still; `me` is said as "you" ("" names everybody)."""
    lines = []
    for one in incident.snapshot.coming:
        mine = one.responder.id == me
        left_s = incident.left_s(one.eta_s, now_s)
        if left_s >= 0:
            lines.append(f"{'You are' if mine else f'{one.responder.name} is'} coming, {clock(left_s)} left.")
        else:
            lines.append(f"{'You are' if mine else f'{one.responder.name} is'} {clock(-left_s)} late.")
    return lines


def _who(incident: Incident, me: Id, now_s: float) -> tuple[str, ...]:
    """Return who has it, who goes, who cannot."""
    snapshot = incident.snapshot
    if snapshot.here is not None:
        return ("You are at the desk.",) if snapshot.here.id == me else (f"{snapshot.here.name} is at the desk.",)
    lines = going_words(incident, me, now_s) or ["Nobody is going yet."]
    if snapshot.seen:
        lines.append(f"Has it on screen: {_names(snapshot.seen, me)}.")
    if snapshot.declined:
        lines.append(f"Cannot come: {_names(snapshot.declined, me)}.")
    if snapshot.emergency:
        lines.append("Nobody has answered." if snapshot.silent else "The desk shows the emergency number.")
    return tuple(lines)


def _next(incident: Incident, now_s: float) -> str:
    step = incident.snapshot.next
    if step is None:
        return ""
    left_s = incident.left_s(step.in_s, now_s)
    unless = f"No answer in {clock(left_s)}" if left_s > 0 else "No answer"
    tiers, tier = incident.snapshot.tiers, incident.snapshot.tier
    asks = tiers[tier] if tier < len(tiers) else "everyone"
    told = incident.snapshot.silent or incident.snapshot.emergency
    texts = {
        "ask_next_tier": f"{unless}: the desk asks {asks} too.",
        "raise": f"{unless}: it becomes a full alert.",
        "emergency_page": "" if told else f"{unless}: the desk shows the emergency number.",
    }
    return texts.get(step.what, "")


def answered(snapshot: Snapshot) -> bool:
    """Return whether a person is on the way or at the desk."""
    return snapshot.here is not None or bool(snapshot.coming)


def reminded(snapshot: Snapshot) -> bool:
    """Return whether a responder has been at the desk for so long that the unit asks them to close."""
    return snapshot.state is State.ATTENDED and any(entry.what == "remind" for entry in snapshot.timeline)


def sound_of(snapshot: Snapshot, me: Id) -> Sound:
    """Return what this device sounds for an incident: nothing once a person goes, or when others are asked and not we."""
    declined = any(one.id == me for one in snapshot.declined)
    not_asked = bool(snapshot.asked) and all(one.id != me for one in snapshot.asked)
    if snapshot.here is not None and snapshot.here.id == me and reminded(snapshot):
        return "check"
    if answered(snapshot) or ((declined or not_asked) and not snapshot.emergency):
        return ""
    return "check" if snapshot.severity is Severity.CHECK or snapshot.silent else "emergency"


def _closes(snapshot: Snapshot, me: Id) -> bool:
    """Return whether it is this person who is to close it."""
    return snapshot.here is None or snapshot.here.id == me


def buttons_of(snapshot: Snapshot, me: Id) -> tuple[Button, ...]:
    """Return the answers that make sense now."""
    if snapshot.state is State.ATTENDED:
        return (END_DRILL,) if snapshot.drill else CLOSE if _closes(snapshot, me) else CLOSE_FOR
    if any(one.responder.id == me for one in snapshot.coming):
        later = tuple(one.model_copy(update={"look": "quiet", "label": f"In {one.label}"}) for one in COMING[1:])
        return (HERE.model_copy(update={"look": "wide"}), *later, CANNOT)
    if any(one.id == me for one in snapshot.declined):
        return (*COMING, HERE)
    looked = (LOOKED,) if snapshot.state is State.CHECKING else ()
    return (*(COMING_TOO if snapshot.coming else COMING), HERE, CANNOT, *looked)


def _head(snapshot: Snapshot) -> str:
    head = REQUEST_HEAD if snapshot.request else HEADS[snapshot.severity]
    return f"DRILL · {head}" if snapshot.drill else head


def marks_of(snapshot: Snapshot) -> tuple[str, ...]:
    """Return what nobody may overlook."""
    marks = (SILENT_MARK,) if snapshot.silent else ()
    if snapshot.maybe_test:
        by = next((one.who for one in snapshot.timeline if one.what == "test_asked"), "somebody")
        return (*marks, MAYBE_TEST_MARK.format(who=by))
    if not snapshot.drill:
        return marks
    return (*marks, OPENING_MARK if snapshot.scenario == OPENING else DRILL_MARK)


def _ask_close(snapshot: Snapshot, me: Id) -> str:
    if snapshot.state is not State.ATTENDED:
        return ""
    if snapshot.here is not None and not _closes(snapshot, me):
        return f"{snapshot.here.name} {'ends' if snapshot.drill else 'closes'} it. If they cannot, you can:"
    still = "Still open. " if reminded(snapshot) else ""
    return f"{still}Is the drill over?" if snapshot.drill else f"{still}{'Is it over? ' * bool(still)}How did it end?"


def _held(held: Pending | None, now_s: float) -> dict[str, object]:
    """Return what a card shows while a close can still be taken back: that it is closing, and one button."""
    if held is None or not isinstance(held.reply, CloseReply):
        return {}
    closing = f"Closing as {CLOSED_AS[held.reply.outcome]}."
    note = f"{closing[:-1]} in {math.ceil(held.first_s - now_s)} s."
    return {"closing": closing, "note": note, "ask_close": "", "ask_note": "", "buttons": (UNDO,)}


def _card(snapshot: Snapshot) -> str:
    if snapshot.drill:
        return "Ambulance card (drill)"
    police = snapshot.silent or snapshot.choice in {Choice.NOT_SAFE, Choice.ROBBERY}
    return "Need the police" if police else "Need an ambulance"


def call_lines(snapshot: Snapshot, face: Face | None) -> tuple[str, ...]:
    """Return which number to call and what to say first; a drill says that nobody is called."""
    number = face.emergency_number if face else "the emergency number"
    where = f"{face.address}, {snapshot.place}" if face and face.address else snapshot.place
    call = f"DRILL: do not call {number}." if snapshot.drill else f"Call {number}."
    return (call, f"Say where: {where}")


def alert_view(
    incident: Incident, me: Id, answers: Answers, now_s: float, desk: Desk | None, *, connected: bool
) -> AlertView:
    """Return one incident, and its desk, as they are shown to `me`."""
    snapshot = incident.snapshot
    desk_lost = connected and desk is not None and desk.lost(now_s)
    delivery = answers.delivery(snapshot.id, now_s)
    lost = ("This desk does not report any more. Go and look.",) if desk_lost else ()
    shown = AlertView(
        incident=snapshot.id,
        unit=snapshot.unit,
        revision=snapshot.revision,
        state=snapshot.state,
        tone=snapshot.severity.value,
        head=_head(snapshot),
        place=snapshot.place,
        clock=clock(incident.elapsed_s(now_s)) + " or more" * incident.unsure,
        silent=snapshot.silent,
        drill=snapshot.drill,
        marks=marks_of(snapshot),
        going=answered(snapshot),
        seen=any(one.id == me for one in snapshot.seen),
        sound=sound_of(snapshot, me),
        lines=(*lost, *_told(snapshot)),
        who=_who(incident, me, now_s),
        next=_next(incident, now_s),
        note=DELIVERIES[delivery],
        note_bad=delivery in {Delivery.LATE, Delivery.FAILED, Delivery.AGAIN},
        buttons=buttons_of(snapshot, me),
        ask_close=_ask_close(snapshot, me),
        ask_note=ASK_NOTE if snapshot.state is State.ATTENDED and not snapshot.drill else "",
        card=_card(snapshot),
        call=call_lines(snapshot, desk.status.face if desk else None),
    )
    return shown.model_copy(update=_held(answers.held(snapshot.id, now_s), now_s))


def _desk_faults(desk: Desk, now_s: float) -> list[FaultView]:
    place = desk.status.place
    if desk.lost(now_s):
        return [FaultView(what=f"{place}: It does not report.", do="Go and look. Check its power and its network.")]
    return [fault_view(place, one) for one in desk.status.faults]


@dataclass(frozen=True, slots=True)
class DesksView:
    """What is shown of all desks: how many are ready, which wait for somebody, and what is wrong with them."""

    line: str
    waiting: tuple[str, ...] = ()
    faults: tuple[FaultView, ...] = ()


DESKS_UNKNOWN = DesksView("The desks are unknown while not connected.")


def desks_view(model: Model, now_s: float) -> DesksView:
    """Return what is shown of all desks. There may be a thousand: whoever asks often keeps it until `model.changes`."""
    desks = model.desks()
    here = [desk.status for desk in desks if not desk.lost(now_s)]
    told = [fault for desk in desks for fault in _desk_faults(desk, now_s)]
    return DesksView(_desks_line(len(desks), [one.state for one in here]), _waiting(here), tuple(told))


def _desks_line(number: int, here: list[UnitState]) -> str:
    if number == 0:
        return "No desk has reported yet."
    ready, testing = here.count(UnitState.READY), here.count(UnitState.TESTING)
    rest = number - ready - testing
    parts = [f"{ready} of {number} desks ready"]
    parts += [f"{testing} in test"] * bool(testing) + [f"{rest} not right"] * bool(rest)
    return " · ".join(parts)


def _waiting(here: list[Status]) -> tuple[str, ...]:
    return tuple(
        f"{one.place} waits for the morning’s press: press its button, then touch “Yes, it is the test” there."
        for one in here
        if one.opening
    )


def _headline(me: Id, my_name: str, model: Model, duty: Duty, now_s: float) -> str:
    others = [one.name for one in model.listeners(now_s) if one.responder != me]
    more = len(others) - NAMED
    if more > 1:
        others[NAMED:] = [f"{more} more"]
    listens = f"{', '.join([my_name, *others[:-1]])} and {others[-1]} listen" if others else f"only {my_name} listens"
    return f"Connected · {listens}{DUTIES[duty]}"


def _crowd(alerts: tuple[AlertView, ...]) -> str:
    if len(alerts) <= CROWD:
        return ""
    alone = sum(not one.going for one in alerts)
    return f"{len(alerts)} alerts are open. " + (
        f"{alone} have nobody on the way yet." if alone else "All have somebody."
    )


def _loudest(alerts: tuple[AlertView, ...]) -> Sound:
    sounds = {one.sound for one in alerts}
    return "emergency" if "emergency" in sounds else "check" if "check" in sounds else ""


def _title(alerts: tuple[AlertView, ...], *, connected: bool) -> str:
    if not connected:
        return "NOT CONNECTED · Stayby"
    return f"({len(alerts)}) {alerts[0].head} · {alerts[0].place}" if alerts else "Stayby"


def make_view(
    model: Model,
    answers: Answers,
    me: Id,
    my_name: str,
    now_s: float,
    *,
    down: str,
    faults: tuple[FaultView, ...] = (),
    duty: Duty = Duty.ON,
    manager: bool = False,
    desks: DesksView | None = None,
) -> View:
    """Return the whole of what is shown; `down` says why this device cannot hear ("" when it can).

    `desks` is what `desks_view` said within the last second, if it was kept.
    """
    connected = not down
    alerts = tuple(
        alert_view(one, me, answers, now_s, model.desk(one.snapshot.unit), connected=connected)
        for one in model.open_incidents()
    )
    of_desks = (desks or desks_view(model, now_s)) if connected else DESKS_UNKNOWN
    told = said_once((*faults, *of_desks.faults))
    return View(
        connected=connected,
        down=down,
        me=my_name,
        duty=duty,
        manager=manager,
        headline=_headline(me, my_name, model, duty, now_s) if connected else "NOT CONNECTED",
        title=_title(alerts, connected=connected),
        crowd=_crowd(alerts),
        alerts=alerts,
        sound=_loudest(alerts),
        desks=of_desks.line,
        waiting=of_desks.waiting,
        faults=tuple(map(for_manager, told)) if manager else told,
    )

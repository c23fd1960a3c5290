"""What travels over MQTT between unit and staff, and over the unit's own bus: types, topics, and one parser for each.

Rules
- Snapshots, not deltas: a reader is right after one message; of one incident the highest revision wins.
- Every type is frozen. Readers ignore unknown keys (a newer writer may add some); writers never send any.
- Bytes become types here and nowhere else. Anything malformed raises `BadMessage` with one line that says what and where.
- Nothing here carries sound or a transcript: a phrase id, a score, a time.
"""

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

T = TypeVar("T")

MAX_REPLY_BYTES = 8 * 1024
MAX_SNAPSHOT_BYTES = 64 * 1024
MAX_BUS_LINE_BYTES = 128 * 1024

ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,31}$"
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
TURNS_TEXT = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
"""What changes the direction of the text around it: a name of any script needs none of these."""


def _plain(given: object) -> object:
    """Return a name as it may be shown anywhere: on one line, with nothing in it that a terminal or a text obeys.

    Cleaned and not refused: who has an odd name on their device is still somebody who can come.
    """
    if not isinstance(given, str):
        return given
    kept = (char for char in given if char.isspace() or _harmless(char))
    return " ".join("".join(kept).split())


def _harmless(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cs"} and char not in TURNS_TEXT


Name = Annotated[str, BeforeValidator(_plain), StringConstraints(min_length=1, max_length=40, strip_whitespace=True)]
"""What people are called, in any script. Text and nothing else: whoever shows it escapes it."""
LAST_TIER = 9
"""Asked when everyone is, whatever a unit calls its tiers."""
Tier = Annotated[int, Field(ge=1, le=LAST_TIER)]
LONG_S = 10 * 365 * 86400.0


def _within_reach(seconds: float) -> float:
    return max(-LONG_S, min(LONG_S, seconds))


Span = Annotated[float, AfterValidator(_within_reach)]
"""Seconds, cut at ten years: what a broken clock says of an alert may be absurd, and the alert is taken all the same."""
Score = Annotated[float, Field(ge=-1000.0, le=1000.0, allow_inf_nan=False)]


COVERT_PHRASE = "covert_phrase"
"""What stands for the store's covert phrase in an incident: which one it is stays in the ear."""

OPENING = "opening"
"""The scenario of the morning's press: it proves every hop, a human answer included, and is a drill everywhere."""

HELP_WORD = "help_word"
"""What stands at the desk for a phrase that could give away who said it."""


class BadMessage(ValueError):
    """A payload or line that is not one of our messages; its text is one line for the log."""


class State(StrEnum):
    """Where an incident stands. IDLE has no incident; CLOSED is the last snapshot of one."""

    IDLE = "idle"
    CHECKING = "checking"
    RAISED = "raised"
    COMING = "coming"
    ATTENDED = "attended"
    CLOSED = "closed"


class Severity(StrEnum):
    """How loud an incident may be: check (please look), alert (a person asked), grave (and does not answer, or said so)."""

    CHECK = "check"
    ALERT = "alert"
    GRAVE = "grave"


class Trigger(StrEnum):
    """What opened the incident."""

    BUTTON = "button"
    TOUCH = "touch"
    VOICE = "voice"
    COVERT = "covert"
    DRILL = "drill"


class Language(StrEnum):
    """A language of the screen (ISO 639-1)."""

    ENGLISH = "en"
    SPANISH = "es"
    FRENCH = "fr"
    CHINESE = "zh"
    ARABIC = "ar"
    HINDI = "hi"


class Choice(StrEnum):
    """What the person touched under "What is happening?"; also what a heard phrase suggests until they touch.

    The four first ones are asked first and may be told alone; each of the others is a case of one of them
    (`guidance.GROUPS`). PERSON is also what "I need a person" opens: no alarm.
    """

    CHEST_OR_BREATHING = "chest_or_breathing"
    SOMEONE_HURT = "someone_hurt"
    NOT_SAFE = "not_safe"
    SOMETHING_ELSE = "something_else"
    CHEST_PAIN = "chest_pain"
    BREATHING = "breathing"
    CHOKING = "choking"
    COLLAPSE = "collapse"
    BLEEDING = "bleeding"
    SEIZURE = "seizure"
    STROKE = "stroke"
    FALL = "fall"
    ROBBERY = "robbery"
    LOST_CHILD = "lost_child"
    OVERWHELMED = "overwhelmed"
    PERSON = "person"


class Outcome(StrEnum):
    """How a responder closed the incident."""

    REAL = "real"
    FALSE_ALARM = "false_alarm"
    TEST = "test"


class Reach(StrEnum):
    """Whether the unit can tell anybody: the broker is away, nobody is listening there, or somebody is."""

    DISCONNECTED = "disconnected"
    NOBODY = "nobody"
    OK = "ok"


class Hearing(StrEnum):
    """What the ear is doing: listening, switched off (config or hours), paused by a person, or deaf (a fault)."""

    LISTENING = "listening"
    OFF = "off"
    PAUSED = "paused"
    DEAF = "deaf"


class Record(BaseModel):
    """A frozen record; unknown keys are ignored so that a newer writer does not silence an older reader."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


# --- what a snapshot is made of ---------------------------------------------------------------------------------------


class Person(Record):
    """A responder as staff and customer know them."""

    id: Id
    name: Name


class Going(Record):
    """A responder who said that they are on the way, with what is left of the time they gave."""

    responder: Person
    eta_s: Span = Field(ge=0)


class NextStep(Record):
    """What happens by itself if nobody does anything: `what` in `in_s` seconds."""

    what: Literal["ask_next_tier", "raise", "emergency_page", "ask_again", "check_in", "check_in_missed", "remind"]
    in_s: Span = Field(ge=0)


class Entry(Record):
    """One line of the timeline: seconds since the incident opened, a code (see `docs/architecture.md`), and who or what."""

    t_s: Span
    what: str
    who: str = ""


class Snapshot(Record):
    """The whole of one incident at one revision; retained on the incident topic, shown on the screen and the board.

    `elapsed_s` is the unit's own measure at sending, so that a reader needs no agreement about the time of day.
    `asked` are the responders whose device should have it, `seen` those whose device said that it shows it.
    `covert`: while the desk already showed this incident, somebody called covertly as well; nothing at the desk may tell.
    `scenario` is what a drill plays, or `OPENING` for the press that proves a desk in the morning. `maybe_test`: it began in the
    minute in which that press was asked for, and the desk asks now whether it is it; until somebody says so, it is real.
    `choice` and `name` are what the person said of themselves, `guess` is what a heard phrase suggests of it; they leave
    the snapshot when the incident closes. `language` is the one that the screen shows while it is open,
    `home_language` the store's own (None from an older unit).
    """

    v: Literal[1] = 1
    store: Id
    unit: Id
    place: str
    id: str = Field(min_length=1, max_length=64)
    revision: int = Field(ge=1)
    state: State
    severity: Severity
    trigger: Trigger
    phrase: str | None = None
    score: Score | None = None
    silent: bool = False
    covert: bool = False
    drill: bool = False
    scenario: Id | None = None
    maybe_test: bool = False
    choice: Choice | None = None
    guess: Choice | None = None
    name: Name | None = None
    language: Language = Language.ENGLISH
    home_language: Language | None = None
    says_fine: bool = False
    check_in_open: bool = False
    check_ins_missed: int = 0
    tier: int = Field(ge=1)
    tiers: tuple[str, ...]
    asked: tuple[Person, ...] = ()
    seen: tuple[Person, ...] = ()
    declined: tuple[Person, ...] = ()
    coming: tuple[Going, ...] = ()
    here: Person | None = None
    reach: Reach
    emergency: bool = False
    opened_at: datetime
    elapsed_s: Span = Field(ge=0)
    next: NextStep | None = None
    timeline: tuple[Entry, ...] = ()
    outcome: Outcome | None = None
    closed_by: Person | None = None

    @property
    def request(self) -> bool:
        """Whether it is a request for a person, and no alarm: a touch opened it so, and it never became more."""
        asked = self.trigger is Trigger.TOUCH and self.choice is Choice.PERSON
        return asked and self.severity is Severity.CHECK and self.state is not State.CHECKING


CALLS_AGAIN = frozenset(
    {"pressed", "pressed_covert", "touched_help", "told_worse", "told_person", "told_choice", "drill_became_real"}
)
"""What a timeline says when somebody calls again, or tells that it is another case than whoever looked had known."""


def calls_after(timeline: Iterable[Entry], known_s: float, *, attended: bool) -> bool:
    """Return whether somebody called after `known_s`; a phrase counts where no responder is `attended` to talk with."""
    calls = CALLS_AGAIN if attended else CALLS_AGAIN | {"heard"}
    return any(entry.t_s > known_s and entry.what in calls for entry in timeline)


# --- MQTT: what responders and units say of themselves ----------------------------------------------------------------


class ReplyBase(Record):
    """Common to all replies: `reply_id` is new for each touch of a human, so that a redelivered reply counts once."""

    v: Literal[1] = 1
    reply_id: str = Field(min_length=8, max_length=64)
    incident: str = Field(min_length=1, max_length=64)
    responder: Id


class SeenReply(ReplyBase):
    """The responder's device shows the alert."""

    kind: Literal["seen"] = "seen"


class ComingReply(ReplyBase):
    """The responder is on the way and expects to be there in `eta_s` seconds."""

    kind: Literal["coming"] = "coming"
    eta_s: float = Field(ge=10, le=1800)


class HereReply(ReplyBase):
    """The responder is at the desk."""

    kind: Literal["here"] = "here"


class CloseReply(ReplyBase):
    """The responder looked and closes the incident, as they knew it: when somebody called again after `known_s`, it stays open.

    `known_s` is the `t_s` of the last entry of the timeline that they had; None closes whatever came since.
    """

    kind: Literal["close"] = "close"
    outcome: Outcome
    note: str = Field(default="", max_length=200)
    known_s: Span | None = None


class CallNextReply(ReplyBase):
    """The responder cannot come: ask the next one."""

    kind: Literal["call_next"] = "call_next"


class StartDrill(Record):
    """A responder begins a drill at this unit; `drill` becomes the incident's id, so that it can begin only once.

    With the scenario `OPENING` nothing is raised yet: the unit waits a minute for the button's press. That is a real alert of
    this id, and becomes the drill when somebody at the desk says that it is the test.
    """

    v: Literal[1] = 1
    kind: Literal["start_drill"] = "start_drill"
    responder: Id
    drill: str = Field(pattern=r"^drill-[0-9a-f]{16,32}$")
    scenario: Id


Reply = SeenReply | ComingReply | HereReply | CloseReply | CallNextReply


class Duty(StrEnum):
    """What a responder is doing now, by the rota and by their own word. It never decides whether they listen."""

    ON = "on"
    BREAK = "break"
    OFF = "off"


SAID_MOST = 2**53
"""More than any clock says, and a whole number in every program."""


class Presence(Record):
    """Who is listening on one of their devices, and on which tier. `listening` is true only while it really shows the board.

    `desks` are the tiers at single desks now, by the store's rota; `tier` holds at every other one. Who is on break or off duty
    is on the last tier: still asked when everyone is. A break is the person's: `duty_said` is when they last began or ended one
    (Unix seconds, and more than any that their devices had said before); each device takes over the highest that it hears
    from another one that listens, and of two alike the one without a break.
    """

    v: Literal[1] = 1
    responder: Id
    device: Id
    name: Name
    tier: Tier
    desks: dict[Id, Tier] = Field(default={}, max_length=1000)
    duty: Duty = Duty.ON
    duty_said: int = Field(default=0, ge=0, le=SAID_MOST)
    listening: bool

    def tier_at(self, unit: str) -> int:
        """Return the tier on which this responder is asked by a unit."""
        return self.desks.get(unit, self.tier)


def asked_at(devices: Iterable[Presence], unit: str) -> int:
    """Return the tier of one person at a unit, by all their devices that listen.

    A break on one of them is a break on all; else the lowest tier counts: asked too early is a walk for nothing, too late is not.
    """
    said = list(devices)
    on_break = any(one.duty is Duty.BREAK for one in said)
    return LAST_TIER if on_break else min((one.tier_at(unit) for one in said), default=LAST_TIER)


PRESENCE_FRESH_S = 45.0
"""A responder's device says every 15 s that it listens; one that was not heard for this long does not."""
PRESENCE_KEPT_S = 20.0
"""The same for what the broker kept: a broker that lost its power told nobody which devices went with it."""


def heard_at_s(now_s: float, *, retained: bool) -> float:
    """Return when a device counts as heard whose presence comes now."""
    return now_s - (PRESENCE_FRESH_S - PRESENCE_KEPT_S) if retained else now_s


class Fault(Record):
    """One thing that is wrong: what (code and plain words), where, and what to do now."""

    code: Id
    where: str
    says: str
    do: str


class Face(Record):
    """What the screen says about this unit and place, and staff's handover card too; empty where nothing is known.

    `country` is ISO 3166 with two letters. `defibrillator` is where it hangs, `refuge` where people are when this unit cannot
    call, `meet` where an ambulance crew is met.
    """

    store: str
    unit: str
    place: str
    address: str
    emergency_number: str
    police_number: str = ""
    phone: str = ""
    country: str = ""
    defibrillator: str = ""
    refuge: str = ""
    meet: str = ""


class UnitState(StrEnum):
    """A unit as the staff side sees it; LOST is its will."""

    READY = "ready"
    TESTING = "testing"
    FAULT = "fault"
    LOST = "lost"


class LinkHealth(Record):
    """How well a unit is connected: breaks of its link to the broker in the last 24 h, as far back as its hub runs.

    In milliseconds, the longest of the last minute: how long the broker took to confirm a status, and the button a command.
    `button_bad` is how many of a thousand frames on the button's cable came damaged or had to be said again.
    """

    drops: int = Field(default=0, ge=0)
    broker_ms: int | None = None
    button_ms: float | None = None
    button_bad: int | None = None


class Status(Record):
    """How the unit is. `beat` grows with each sending; a reader that sees none for 20 s calls the unit lost.

    `opening`: it waits for the press of a morning's proof. `face` is what an ambulance is told of the place (None from an older
    unit, and in a will). `at` is the unit's own time of day as it said this, `run` names the start of its hub: two that
    take turns are two units with one identity. Neither they nor `link` are known of an older unit. `last_proven` is when a
    human last answered an opening press, `self_proven` when the unit last proved itself, without a human.
    """

    v: Literal[1] = 1
    store: Id
    unit: Id
    place: str
    state: UnitState
    faults: tuple[Fault, ...] = ()
    last_proven: datetime | None = None
    opening: bool = False
    face: Face | None = None
    version: str = ""
    beat: int = 0
    at: datetime | None = None
    run: str = Field(default="", max_length=16)
    link: LinkHealth | None = None
    self_proven: datetime | None = None


PROOF_PATTERN = r"^proof-[0-9a-f]{16}$"


class Proof(Record):
    """A unit proves its way to the board, once a day: no call, and nobody is told. `proof` is new each time."""

    v: Literal[1] = 1
    store: Id
    unit: Id
    proof: str = Field(pattern=PROOF_PATTERN)


class ProofSeen(Proof):
    """The store's board has a unit's proof, and says so to it."""


# --- topics -----------------------------------------------------------------------------------------------------------

PREFIX = "stayby/1"


def status_topic(store: str, unit: str) -> str:
    """Return the topic of a unit's retained `Status` (and its will)."""
    return f"{PREFIX}/{store}/{unit}/status"


def incident_topic(store: str, unit: str) -> str:
    """Return the topic of a unit's retained `Snapshot`."""
    return f"{PREFIX}/{store}/{unit}/incident"


def reply_topic(store: str, unit: str, responder: str) -> str:
    """Return the topic on which one responder answers one unit; only they may write it."""
    return f"{PREFIX}/{store}/{unit}/reply/{responder}"


def presence_topic(store: str, responder: str, device: str = "+") -> str:
    """Return the topic of the retained `Presence` (and the will) of a responder's device; without one, the filter of all."""
    return f"{PREFIX}/{store}/staff/{responder}/{device}"


def proof_topic(store: str, unit: str) -> str:
    """Return the topic on which a unit says its `Proof`; only it may write it."""
    return f"{PREFIX}/{store}/{unit}/proof"


def proof_seen_topic(store: str, unit: str) -> str:
    """Return the topic on which the store's board answers a `Proof`; only it may write it."""
    return f"{PREFIX}/{store}/{unit}/proof/seen"


def tells_presence(topic: str) -> bool:
    """Return whether a `Presence` travels on a topic."""
    return topic.removeprefix(f"{PREFIX}/").split("/")[1:2] == ["staff"]


# --- parsers ----------------------------------------------------------------------------------------------------------


def one_line(error: ValidationError) -> str:
    """Return the first fault of a pydantic error as one line: where, why, and how many more."""
    first, *more = error.errors(include_url=False, include_input=False)
    where = ".".join(str(part) for part in first["loc"]) or "the whole message"
    tail = f" (and {len(more)} more)" if more else ""
    return f"{where}: {first['msg']}{tail}"


def _parse(adapter: TypeAdapter[T], what: str, payload: bytes, limit_bytes: int) -> T:
    if len(payload) > limit_bytes:
        raise BadMessage(f"{what}: {len(payload)} bytes, more than the {limit_bytes} that are allowed; ignored")
    try:
        return adapter.validate_json(payload)
    except ValidationError as error:
        raise BadMessage(f"{what}: {one_line(error)}; ignored") from None


_REPLY: TypeAdapter[Reply | StartDrill] = TypeAdapter(Annotated[Reply | StartDrill, Field(discriminator="kind")])
_PRESENCE = TypeAdapter(Presence)
_SNAPSHOT = TypeAdapter(Snapshot)
_STATUS = TypeAdapter(Status)
_PROOF = TypeAdapter(Proof)
_PROOF_SEEN = TypeAdapter(ProofSeen)


def parse_reply(topic: str, payload: bytes) -> Reply | StartDrill:
    """Return the reply in `payload`, or the drill that it begins.

    Raise `BadMessage` if it is neither, or speaks for another than its topic's responder.
    """
    reply = _parse(_REPLY, f"reply on {topic}", payload, MAX_REPLY_BYTES)
    if topic.rsplit("/", 1)[-1] != reply.responder:
        raise BadMessage(f"reply on {topic}: it claims to come from {reply.responder!r}; ignored")
    return reply


def parse_presence(topic: str, payload: bytes) -> Presence:
    """Return the presence in `payload`; raise `BadMessage` if it is none, or speaks for another than its topic's device."""
    presence = _parse(_PRESENCE, f"presence on {topic}", payload, MAX_REPLY_BYTES)
    if topic.rsplit("/", 2)[1:] != [presence.responder, presence.device]:
        whose = f"{presence.responder}/{presence.device}"
        raise BadMessage(f"presence on {topic}: it claims to come from {whose!r}; ignored")
    return presence


def _own_topic(topic: str, kind: str, record: Snapshot | Status | Proof) -> None:
    if topic != f"{PREFIX}/{record.store}/{record.unit}/{kind}":
        raise BadMessage(f"{kind} on {topic}: it claims to come from {record.store}/{record.unit}; ignored")


def parse_snapshot(topic: str, payload: bytes) -> Snapshot:
    """Return the snapshot in `payload`; raise `BadMessage` if it is none, or another unit's than its topic's."""
    snapshot = _parse(_SNAPSHOT, f"incident on {topic}", payload, MAX_SNAPSHOT_BYTES)
    _own_topic(topic, "incident", snapshot)
    return snapshot


def parse_status(topic: str, payload: bytes) -> Status:
    """Return the status in `payload`; raise `BadMessage` if it is none, or another unit's than its topic's."""
    status = _parse(_STATUS, f"status on {topic}", payload, MAX_SNAPSHOT_BYTES)
    _own_topic(topic, "status", status)
    return status


def parse_proof(topic: str, payload: bytes) -> Proof:
    """Return the proof in `payload`; raise `BadMessage` if it is none, or another unit's than its topic's."""
    proof = _parse(_PROOF, f"proof on {topic}", payload, MAX_REPLY_BYTES)
    _own_topic(topic, "proof", proof)
    return proof


def parse_proof_seen(topic: str, payload: bytes) -> ProofSeen:
    """Return the board's answer in `payload`; raise `BadMessage` if it is none, or for another unit than its topic's."""
    seen = _parse(_PROOF_SEEN, f"answer on {topic}", payload, MAX_REPLY_BYTES)
    _own_topic(topic, "proof/seen", seen)
    return seen


# --- the unit's own bus: JSON lines between hub and leaves ------------------------------------------------------------


class Role(StrEnum):
    """Who speaks on the bus. `status` is a technician's terminal: it asks once and goes."""

    LISTEN = "listen"
    UI = "ui"
    STATUS = "status"


class Hello(Record):
    """A leaf's first line; `again` where the same process had the hub's ear before."""

    kind: Literal["hello"] = "hello"
    role: Role
    version: str = ""
    again: bool = False


class Detection(Record):
    """The ear heard a phrase. `strong` is set when a grave phrase passed its own, stricter threshold.

    `opens` is the case that the phrase suggests, if any.
    `audio_end_s` is CLOCK_MONOTONIC at the capture of the last sample that the decision rests on.
    """

    kind: Literal["detection"] = "detection"
    phrase: Id
    score: Score
    grave: bool = False
    strong: bool = False
    covert: bool = False
    opens: Choice | None = None
    audio_end_s: float
    chirp_s: float | None = None
    """CLOCK_MONOTONIC at which the chirp of a daily proof began, where one surely stands in the sound before it."""


class Ear(Record):
    """The ear's own health, about once a second: it doubles as its heartbeat. Levels are dB below full scale."""

    kind: Literal["ear"] = "ear"
    state: Hearing
    faults: tuple[Fault, ...] = ()
    model: str = ""
    level_dbfs: float | None = None
    noise_dbfs: float | None = None
    audio_s: float = 0.0
    gaps: int = 0
    own_voice: bool = False
    """It does not listen at this moment, because the unit itself speaks."""
    knows_proof: bool = True
    """Its model knows the phrase of the daily proof."""


class Speaking(Record):
    """A prompt is played by the unit's own speaker between these times (CLOCK_MONOTONIC): the hub tells the ear.

    Sent before the first sound, with a generous end; sent again with the same start and the true end when it is done.
    """

    kind: Literal["speaking"] = "speaking"
    start_s: float
    end_s: float


class ProofSound(Record):
    """The screen says how it stands with the sound of the daily proof. Unlike `Speaking`, the ear is not told: it is to hear it.

    `begins` is sent before the first sound, with a generous end; `ended` at the true one. `cut` is one that was ended early.
    `touched`: somebody touched the screen, now or lately, and nothing is played (any more). `off`: it is to be silent at
    this hour. `broken`: it cannot play; `says` and `do` are for a technician. Times are CLOCK_MONOTONIC.
    """

    kind: Literal["proof_sound"] = "proof_sound"
    proof: str = Field(pattern=PROOF_PATTERN)
    attempt: int = Field(ge=1, le=9)
    what: Literal["begins", "ended", "cut", "touched", "off", "broken"]
    start_s: float = 0.0
    end_s: float = 0.0
    says: str = ""
    do: str = ""


class TouchAction(StrEnum):
    """What a touch on the screen can mean."""

    HELP = "help"
    PERSON = "person"
    FINE = "fine"
    CHOOSE = "choose"
    STILL_OK = "still_ok"
    WORSE = "worse"
    LATER = "later"
    NAME = "name"
    LANGUAGE = "language"
    TEST = "test"
    PAUSE = "pause"
    RESUME = "resume"


class Touch(Record):
    """A person touched the screen. `incident` is what they saw when they touched, so that a late touch means what it meant.

    PERSON asks for somebody to come, with no alarm. LANGUAGE says what the screen shows from now on, with an incident or
    without. TEST says that a press was the morning's test. PAUSE and RESUME are for the microphone.
    """

    kind: Literal["touch"] = "touch"
    action: TouchAction
    incident: str | None = None
    choice: Choice | None = None
    name: Name | None = None
    language: Language | None = None


class ScreenBeat(Record):
    """The screen's own health, once a second from the drawing loop; `revision` is what it shows now."""

    kind: Literal["beat"] = "beat"
    incident: str | None = None
    revision: int = 0
    faults: tuple[Fault, ...] = ()


class AskStatus(Record):
    """A technician asks how the unit is.

    With `meter` the button's lowest and highest volts since this connection last asked so are measured too: who asks again
    within 2 s misses nothing between.
    """

    kind: Literal["ask_status"] = "ask_status"
    meter: bool = False


class AskButton(Record):
    """A technician asks for the button itself: its port, to flash it, or that it proves its watchdog.

    A lent port comes back when the asker's connection to the bus ends, and after 180 s at the latest.
    """

    kind: Literal["ask_button"] = "ask_button"
    action: Literal["lend", "self_test"]


class WalkTrigger(StrEnum):
    """By what a technician calls in a walk test: either button, the screen, a phrase, the store's covert phrase."""

    BUTTON = "button"
    COVERT = "covert"
    TOUCH = "touch"
    PHRASE = "phrase"
    SILENT = "silent"


class AskWalk(Record):
    """A technician begins a walk test, announces the next call, says whose a held one was, or ends it.

    It lasts as long as the connection on which it was begun, and `for_s` at the most.
    """

    kind: Literal["ask_walk"] = "ask_walk"
    action: Literal["begin", "expect", "mine", "real", "end"]
    by: Name | None = None
    for_s: float = Field(default=1800.0, ge=60, le=3600)
    trigger: WalkTrigger | None = None


class AskProof(Record):
    """Somebody asks the unit to prove itself now; each hop is told as it goes. It goes on when they do not wait for it."""

    kind: Literal["ask_proof"] = "ask_proof"


class HeardPhrase(Record):
    """One line of what the ear kept: which phrase, how sure, when. Covert phrases are not among them.

    What somebody in fear of another said is `HELP_WORD`: the log stands at the desk for both.
    """

    phrase: Id
    score: Score
    at: datetime


class Show(Record):
    """Hub to screen: the whole of what is so. Sent on each change and every second.

    `opening` is what the opening press is waited for by: a press of the button, or a touch where there is none.
    `told` is whether the broker has taken anything of this incident: before that, nobody was asked. `heard` are the last
    phrases, newest first; `hearing_back_s` is when a paused ear listens again by itself.
    """

    kind: Literal["show"] = "show"
    face: Face
    incident: Snapshot | None = None
    told: bool = False
    hearing: Hearing
    reach: Reach
    listeners: int = 0
    faults: tuple[Fault, ...] = ()
    heard: tuple[HeardPhrase, ...] = ()
    hearing_back_s: float | None = Field(default=None, ge=0)
    opening: Literal["press", "touch"] | None = None
    walk_until: str = ""
    """Until when a walk test goes on here, local time, "10:45"; empty without one."""
    touch_tested: bool = False
    """The touch that called was a technician's test and is over: nothing opens by it."""
    proving: str = ""
    """The daily proof that goes on; empty without one."""
    tested_at: str = ""
    """When the unit proved itself today, local time, "05:31"; empty where it did not."""


class PlayProof(Record):
    """Hub to screen: play the sound of the daily proof, `gain_db` louder than a prompt by day; answered by `ProofSound`."""

    kind: Literal["play_proof"] = "play_proof"
    proof: str = Field(pattern=PROOF_PATTERN)
    attempt: int = Field(ge=1, le=9)
    gain_db: float = Field(ge=-60, le=0)


class PauseEar(Record):
    """Hub to ear: capture no sound, or listen again. Said to each ear that says hello, and on each change."""

    kind: Literal["pause_ear"] = "pause_ear"
    paused: bool


class DetectionTaken(Record):
    """Hub to ear: the detection that rests on sound up to `audio_end_s` is safe; forget it."""

    kind: Literal["taken"] = "taken"
    audio_end_s: float


class ButtonAnswer(Record):
    """Hub to technician: whether it did what `AskButton` asked, in one line; after a self-test, when it is over."""

    kind: Literal["button"] = "button"
    ok: bool
    says: str


LoopWord = Literal["unknown", "normal", "pressed", "cut", "short", "odd"]
MeterWord = Literal["off", "waiting", "running", "missing"]


class ButtonHealth(Record):
    """The button as its link knows it. Counts of frames are since the hub's start, presses since the unit's own.

    `says` is one line about what is wrong with the link or its version, empty while nothing is. `own_repeats` are
    commands that the hub had to say again, `repeated_frames` what the unit did. The round trip is that of a command and its
    acknowledgement: smoothed, and the worst of the last minute.

    Lowest and highest volts are those of `samples` readings, one a millisecond, since the asker last asked; None where the
    unit has told none; of `unseen_s` of that time nothing is known. A firmware whose `meter` is missing tells the volts twice a
    second only.
    """

    port: str
    up: bool = False
    says: str = ""
    firmware: str = ""
    build: str = ""
    reset_cause: str = ""
    loop: LoopWord = "unknown"
    loop_volts: float | None = None
    covert_loop: LoopWord = "unknown"
    covert_volts: float | None = None
    lid_open: bool = False
    presses: int = 0
    covert_presses: int = 0
    frames: int = 0
    bad_frames: int = 0
    repeated_frames: int = 0
    own_repeats: int = 0
    unit_bad_frames: int = 0
    round_trip_ms: float | None = None
    round_trip_worst_ms: float | None = None
    local_alarm: bool = False
    up_for_s: float | None = None
    meter: MeterWord = "off"
    loop_low_volts: float | None = None
    loop_high_volts: float | None = None
    covert_low_volts: float | None = None
    covert_high_volts: float | None = None
    samples: int = 0
    unseen_s: float = 0.0


class StatusAnswer(Record):
    """Hub to technician: the status as staff see it, and what is open."""

    kind: Literal["status"] = "status"
    status: Status
    incident: Snapshot | None = None
    reach: Reach
    listeners: tuple[Person, ...] = ()
    hearing: Hearing = Hearing.OFF
    own_voice: bool = False
    unsent: int = 0
    button: ButtonHealth | None = None
    ear: Ear | None = None
    walk_until: str = ""
    proving: bool = False


class WalkSays(Record):
    """Hub to technician: what became of what they asked in a walk test, or that a call came, and with which figures.

    `came` is a call that may be theirs and waits for their word; `real` is one for which staff are called now; `over` ends it.
    """

    kind: Literal["walk"] = "walk"
    what: Literal["begun", "expecting", "refused", "came", "mine", "real", "over"]
    says: str = ""
    until: str = ""
    trigger: WalkTrigger | None = None
    phrase: str = ""
    score: Score | None = None
    after_s: float | None = None
    level_dbfs: float | None = None
    noise_dbfs: float | None = None


class Hop(StrEnum):
    """What the daily proof tries, in this order; sound is the way from speaker to microphone, model and hub."""

    BUTTON = "button"
    SOUND = "sound"
    BROKER = "broker"
    BOARD = "board"


class HopFound(Record):
    """What the daily proof found of one hop. `do` stands where it failed; `score` is how sure the ear was of the test phrase."""

    hop: Hop
    result: Literal["ok", "missed", "left_out"]
    says: str
    do: str = ""
    score: Score | None = None


class ProofSays(Record):
    """Hub to whoever asked for a proof: that it begins, each hop, and its end; or why it does not begin, or broke off.

    `not_now` and `broken_off` say nothing of the unit: somebody needs the desk.
    """

    kind: Literal["proof"] = "proof"
    what: Literal["begun", "hop", "passed", "missed", "not_now", "broken_off"]
    says: str = ""
    hop: HopFound | None = None


FromLeaf = (
    Hello | Detection | Ear | Speaking | ProofSound | Touch | ScreenBeat | AskStatus | AskButton | AskWalk | AskProof
)
ToLeaf = Show | DetectionTaken | PauseEar | Speaking | PlayProof | StatusAnswer | ButtonAnswer | WalkSays | ProofSays

_FROM_LEAF: TypeAdapter[FromLeaf] = TypeAdapter(Annotated[FromLeaf, Field(discriminator="kind")])
_TO_LEAF: TypeAdapter[ToLeaf] = TypeAdapter(Annotated[ToLeaf, Field(discriminator="kind")])


def parse_from_leaf(line: bytes) -> FromLeaf:
    """Return what a leaf said in one line; raise `BadMessage` otherwise."""
    return _parse(_FROM_LEAF, "line from a leaf", line, MAX_BUS_LINE_BYTES)


def parse_to_leaf(line: bytes) -> ToLeaf:
    """Return what the hub said in one line; raise `BadMessage` otherwise."""
    return _parse(_TO_LEAF, "line from the hub", line, MAX_BUS_LINE_BYTES)

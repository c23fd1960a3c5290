"""What can happen to an incident: every input of the incident machine, as a frozen type.

Rules
- An event states a fact from outside; it never says what to do about it.
- Times are not in events: the machine is told `now` beside each.
"""

from dataclasses import dataclass

from kiosk.messages import Choice, Language, Outcome, Person, Reach, Snapshot


@dataclass(frozen=True)
class TestAsked:
    """The morning's opening press that was asked for: the id of its drill, and who began it."""

    drill: str
    by: Person


@dataclass(frozen=True)
class ButtonPressed:
    """The panic button was pressed `age_s` seconds ago; `covert` is its second, hidden input.

    `test` is the opening press that this one may be.
    """

    covert: bool = False
    age_s: float = 0.0
    test: TestAsked | None = None


@dataclass(frozen=True)
class HelpTouched:
    """A person touched "I need help", or "Yes, help me". `test` is the opening press that this may be."""

    test: TestAsked | None = None


@dataclass(frozen=True)
class PersonTouched:
    """A person touched "I need a person": somebody to come, and no alarm."""


@dataclass(frozen=True)
class FineTouched:
    """A person touched "I'm fine"."""


@dataclass(frozen=True)
class ChoiceTouched:
    """A person said what is happening."""

    choice: Choice


@dataclass(frozen=True)
class NameGiven:
    """A person gave their first name."""

    name: str


@dataclass(frozen=True)
class LanguageChosen:
    """The screen shows another language from now on."""

    language: Language


@dataclass(frozen=True)
class StillOkTouched:
    """A person answered a check-in: yes."""


@dataclass(frozen=True)
class WorseTouched:
    """A person answered a check-in: it is worse."""


@dataclass(frozen=True)
class LaterTouched:
    """A person answered a check-in: ask me later."""


@dataclass(frozen=True)
class TestTouched:
    """A person said that the call was the morning's opening press: "Yes, it is the test"."""


@dataclass(frozen=True)
class PhraseHeard:
    """The ear heard a phrase; `strong` means a grave one above its own stricter threshold, `opens` what it suggests."""

    phrase: str
    score: float
    strong: bool = False
    covert: bool = False
    opens: Choice | None = None


@dataclass(frozen=True)
class ResponderSeen:
    """A responder's device says that it shows the alert."""

    responder: Person
    reply_id: str


@dataclass(frozen=True)
class ResponderComing:
    """A responder says that they are on the way, for `eta_s` seconds."""

    responder: Person
    reply_id: str
    eta_s: float


@dataclass(frozen=True)
class ResponderHere:
    """A responder says that they are at the desk."""

    responder: Person
    reply_id: str


@dataclass(frozen=True)
class ResponderClosed:
    """A responder looked, and closes the incident."""

    responder: Person
    reply_id: str
    outcome: Outcome


@dataclass(frozen=True)
class ResponderDeclined:
    """A responder cannot come, or must leave: the next one, please."""

    responder: Person
    reply_id: str


@dataclass(frozen=True)
class Listener:
    """A responder whose device is really showing the board now."""

    person: Person
    tier: int


@dataclass(frozen=True)
class ReachChanged:
    """Whether staff can be told at all, and who listens."""

    reach: Reach
    listeners: tuple[Listener, ...] = ()


@dataclass(frozen=True)
class FoundOpen:
    """The broker still holds an open incident of this unit that the unit itself lost."""

    snapshot: Snapshot


@dataclass(frozen=True)
class DrillStarted:
    """Staff began a drill at this unit; `drill` is the incident's id."""

    drill: str
    scenario: str
    by: Person


@dataclass(frozen=True)
class TimePassed:
    """The machine's deadline may have come."""


Reply = ResponderSeen | ResponderComing | ResponderHere | ResponderClosed | ResponderDeclined
Event = (
    ButtonPressed
    | HelpTouched
    | PersonTouched
    | FineTouched
    | ChoiceTouched
    | NameGiven
    | LanguageChosen
    | StillOkTouched
    | WorseTouched
    | LaterTouched
    | TestTouched
    | PhraseHeard
    | Reply
    | ReachChanged
    | FoundOpen
    | DrillStarted
    | TimePassed
)

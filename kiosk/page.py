"""What a screen consists of, apart from its pixels: the words that pages are built with, and that layout, voice and tests read.

Rules
- Everything is frozen. A `Page` holds texts in the person's own language, and what each touch does.
- A `Button` does one of five things: tells the hub (`Touch`), moves on this screen (`Go`), changes how this screen looks and
  speaks (`Look`), types (`Key`), or moves on the pages of a technician (`Service`).
- What moves (a circle, a beat) is named by `Pace`, and drawn by wall time; everything else on a page stands still.
"""

from dataclasses import dataclass
from enum import StrEnum

from kiosk.guidance import Pace
from kiosk.messages import Choice, Language, State, Touch


class Kind(StrEnum):
    """Which page it is; the picture cross-fades when it changes."""

    IDLE = "idle"
    STARTING = "starting"
    GONE = "gone"
    TELLING = "telling"
    CHECKING = "checking"
    WAITING = "waiting"
    COMING = "coming"
    CASES = "cases"
    STEPS = "steps"
    CHECK_IN = "check_in"
    ATTENDED = "attended"
    CLOSED = "closed"
    EMERGENCY = "emergency"
    VIEW = "view"
    NAME = "name"
    EAR = "ear"
    PIN = "pin"
    FINDINGS = "findings"
    CORNERS = "corners"
    TAPPED = "tapped"


SERVICE_KINDS = frozenset({Kind.PIN, Kind.FINDINGS, Kind.CORNERS, Kind.TAPPED})
"""The pages of a technician: in English, and of one size."""


class Go(StrEnum):
    """A touch that only changes what this screen shows."""

    EMERGENCY = "emergency"
    BACK = "back"
    STEPS = "steps"
    NEXT = "next"
    AGAIN = "again"
    CHOICES = "choices"
    CASES = "cases"
    UNSURE = "unsure"
    VIEW = "view"
    NAME = "name"
    EAR = "ear"
    CODE = "code"
    CARD = "card"


class Service(StrEnum):
    """A touch on a technician's page."""

    ENTER = "enter"
    LOOK = "look"
    MORE = "more"
    CORNERS = "corners"
    FINDINGS = "findings"
    CLOSE = "close"


class Theme(StrEnum):
    """The colours: by day, by night or against glare, and with the strongest contrast."""

    LIGHT = "light"
    DARK = "dark"
    CONTRAST = "contrast"


TEXT_PERCENTS = (100, 150, 200)


@dataclass(frozen=True)
class Look:
    """How this screen looks and speaks to the person in front of it; it goes back to the store's own when they have gone.

    `low`: everything that can be touched stands in the lower half, for a person in a wheelchair. `voice`: prompts are read
    aloud.
    """

    language: Language = Language.ENGLISH
    theme: Theme = Theme.LIGHT
    text_percent: int = 100
    low: bool = False
    voice: bool = True


@dataclass(frozen=True)
class Key:
    """A key of the screen's keyboard: a letter to add, or "" to erase the last one."""

    letter: str


class Style(StrEnum):
    """How a button looks: the obvious one, another one, the one already chosen, the emergency number, or a small one."""

    MAIN = "main"
    PLAIN = "plain"
    CHOSEN = "chosen"
    CALL = "call"
    SMALL = "small"


Does = Touch | Go | Look | Key | Service


@dataclass(frozen=True)
class Button:
    """Something to touch. `picture` names a vector picture, `note` is a smaller second line."""

    text: str
    does: Does
    style: Style = Style.PLAIN
    picture: str = ""
    note: str = ""


@dataclass(frozen=True)
class Line:
    """One item of the waiting line; `done` is a fact, not a hope."""

    text: str
    done: bool


@dataclass(frozen=True)
class Finding:
    """One line of a technician's page: well, wrong, or not looked at (`ok` None), and what to do now."""

    ok: bool | None
    text: str
    do: str = ""


@dataclass(frozen=True)
class Card:
    """What to read to the emergency service: where first, then the rest in the order in which it is asked; `code` is for a phone.

    With `code` the card shows it as a QR code instead of the lines.
    """

    title: str
    lead: str
    lines: tuple[str, ...]
    code: str = ""


@dataclass(frozen=True)
class Page:
    """One whole screen, apart from its pixels. `incident` is whose page it is, for touches.

    Top to bottom: the top line (`top_left`, `mark`, `top_right`, and `top` to touch); on the left what is so (`picture`,
    `kicker`, `headline`, `body`, `waiting`); on the right what can be done (`ask`, `buttons`, or `keys` with what was typed in
    `entry`); the bottom line (`bottom` and `corner`), and `row`, which stands in its place or above it. `margin` is a small word
    below what is so, the first to give way to larger text. The emergency page has `number` and `card`. `prompts` are the keys of
    what is read aloud when the page turns (see `texts.prompts`), `choice` is whose
    steps are shown, `step` which one (from 0). A technician's page has `findings`, or a mark to be touched in a corner,
    `mark_at` (from 0, clockwise from the top left).
    """

    kind: Kind
    top_left: str
    top_right: str = ""
    mark: str = ""
    top: tuple[Button, ...] = ()
    picture: str = ""
    pace: Pace | None = None
    kicker: str = ""
    headline: str = ""
    body: tuple[str, ...] = ()
    margin: str = ""
    waiting: tuple[Line, ...] = ()
    ask: str = ""
    buttons: tuple[Button, ...] = ()
    keys: tuple[tuple[Button, ...], ...] = ()
    entry: str = ""
    bottom: str = ""
    row: tuple[Button, ...] = ()
    corner: tuple[Button, ...] = ()
    number: str = ""
    card: Card | None = None
    red: bool = False
    incident: str | None = None
    state: State = State.IDLE
    choice: Choice | None = None
    step: int = 0
    prompts: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    mark_at: int | None = None

    def texts(self) -> tuple[str, ...]:
        """Return every text on the page, top to bottom."""
        parts = [self.top_left, self.mark, self.top_right, *_of(self.top), self.kicker, self.headline, *self.body]
        parts += [self.margin]
        parts += [line.text for line in self.waiting]
        parts += [text for one in self.findings for text in (one.text, one.do)]
        parts += [self.number, *((self.card.title, self.card.lead, *self.card.lines) if self.card else ())]
        parts += [self.ask, self.entry, *_of(self.buttons), *(text for row in self.keys for text in _of(row))]
        parts += [self.bottom, *_of(self.row), *_of(self.corner)]
        return tuple(part for part in parts if part)


def _of(buttons: tuple[Button, ...]) -> list[str]:
    return [text for button in buttons for text in (button.text, button.note)]

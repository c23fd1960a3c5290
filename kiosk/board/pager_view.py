"""What the pager draws, and what its keys are: from a `View` to lines for a terminal.

Rules
- Pure: no clock, no I/O.
- Every text goes through `printable`: names, places and notes come from elsewhere, and a terminal obeys what it is sent.
- What matters most stands first: connection, what is being typed, then the alerts. A small terminal loses the end, not the start.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from kiosk.board.handover import Handover
from kiosk.board.view import AlertView, Button, View
from kiosk.messages import Snapshot

JOINERS = "\u200c\u200d"
"""They shape the letters of several scripts, and do nothing else."""
NOT_KNOWN = "\ufffd"
COMBINED_MOST = 4
FULL_LINES = 12
OTHER_LINES = 8
STYLES = {"grave": "bright_white on dark_red", "alert": "bright_white on dark_red", "check": ""}
ESCAPE, ENTER, RUB_OUT, CLEAR = "escape", "enter", "rub out", "clear"
NAMED = {"\r": ENTER, "\n": ENTER, "\x7f": RUB_OUT, "\x08": RUB_OUT, "\x15": CLEAR}
ARROWS = {"A": "k", "B": "j"}
OPENS_SEQUENCE = "[O"
NOTE_MOST = 200


def printable(text: str) -> str:
    """Return `text` without anything that a terminal would obey, and with no more marks on a letter than a language has."""
    out: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks <= COMBINED_MOST:
            out.append(char if char.isprintable() or char in JOINERS else NOT_KNOWN)
    return "".join(out)


# --- keys -------------------------------------------------------------------------------------------------------------


class Keys:
    """From what a terminal sends to keys: arrows become j and k, what else begins with Esc and goes on is no key at all."""

    def __init__(self) -> None:
        self._sequence = ""

    def feed(self, char: str) -> str:
        """Take one character; return the key that it completes, or ""."""
        if not self._sequence:
            self._sequence = "\x1b" if char == "\x1b" else ""
            return "" if self._sequence else NAMED.get(char, char)
        if self._sequence == "\x1b" and char in OPENS_SEQUENCE:
            self._sequence += char
            return ""
        if self._sequence == "\x1b":
            self._sequence = ""
            return self.feed(char) if char != "\x1b" else ESCAPE
        if "@" <= char <= "~":
            self._sequence = ""
            return ARROWS.get(char, "")
        return ""

    @property
    def pending(self) -> bool:
        """Whether something was begun that may go on."""
        return bool(self._sequence)

    def rest(self) -> str:
        """Nothing came after what was begun: return Esc if that was all of it."""
        begun, self._sequence = self._sequence, ""
        return ESCAPE if begun == "\x1b" else ""


@dataclass(frozen=True, slots=True)
class Note:
    """A line that is being typed to go with a close; `knew` is what that was decided on."""

    incident: str
    place: str
    button: Button
    text: str = ""
    knew: Snapshot | None = None

    def typed(self, key: str) -> "Note":
        """Return it with one more key typed."""
        text = {RUB_OUT: self.text[:-1], CLEAR: ""}.get(key, self.text + key if len(key) == 1 else self.text)
        return replace(self, text=printable(text)[:NOTE_MOST])


# --- drawing ----------------------------------------------------------------------------------------------------------


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style)


def _lines(lines: tuple[str, ...], style: str = "") -> Text:
    return Text("\n").join(_text(line, style) for line in lines if line)


def _key_lines(alert: AlertView) -> tuple[str, ...]:
    return "  ".join(f"[{button.key}] {button.label}" for button in alert.buttons), "[a] Need an ambulance"


def _border(alert: AlertView) -> str:
    return "green" if alert.going else "yellow" if alert.tone == "check" else "white"


def alert_panel(alert: AlertView, *, selected: bool) -> Panel:
    """Return one alert with all that is known of it; the selected one with its keys."""
    body = Text("\n").join(
        part
        for part in (
            _text(alert.place, "bold"),
            _lines(alert.marks, "bold"),
            _lines(alert.lines),
            _lines((*alert.who, alert.next, alert.note, alert.ask_close), "bold"),
            _lines(_key_lines(alert)) if selected else Text(),
        )
        if part
    )
    title = _text(f"{'> ' if selected else ''}{alert.head}  {alert.clock}", "bold")
    style = "" if alert.going else STYLES[alert.tone]
    return Panel(body, title=title, title_align="left", style=style, border_style=_border(alert))


def short_line(alert: AlertView, *, selected: bool) -> Text:
    """Return one alert on one line."""
    who = "somebody goes" if alert.going else "nobody is going"
    silent = " · SILENT" if alert.silent else ""
    line = f"{'>' if selected else ' '} {alert.head}  {alert.clock}  {alert.place} · {who}{silent}"
    return Text(printable(line), "" if alert.going else STYLES[alert.tone], no_wrap=True, overflow="ellipsis")


def _connection(view: View) -> RenderableType:
    if view.connected:
        return _text(f" {view.headline} ", "bright_white on dark_green")
    return Panel(
        _text(f"NOT CONNECTED. No alert can reach you here. {view.down}"), style="bold bright_white on dark_red"
    )


def _note(note: Note) -> Panel:
    asks = f"{note.place}: closes as “{note.button.label}”. A line about it, if you like. No names of customers."
    body = Text("\n").join([_text(asks), _text(f"{note.text}▏", "bold"), _text("[Enter] close it  [Esc] go back")])
    return Panel(body, border_style="yellow")


def _alerts(view: View, selected: str, room: int) -> Iterator[RenderableType]:
    whole = room >= FULL_LINES * len(view.alerts)
    for alert in view.alerts[: len(view.alerts) if whole else room]:
        mine = alert.incident == selected
        yield alert_panel(alert, selected=mine) if whole or mine else short_line(alert, selected=mine)
    if not whole and len(view.alerts) > room:
        yield _text(f"  and {len(view.alerts) - room} more", "bold")


def shown(view: View, height: int | None) -> tuple[AlertView, ...]:
    """Return the alerts that a terminal of so many lines really shows; all where it has no end (None)."""
    return view.alerts if height is None else view.alerts[: _room(height)]


def _room(height: int) -> int:
    return max(1, height - OTHER_LINES)


def render(
    view: View, selected: str, oops: str, *, height: int | None = None, note: Note | None = None,
    card: Handover | None = None,
) -> RenderableType:  # fmt: skip
    """Return the whole view for a terminal of `height` lines (None: without an end)."""
    room = _room(height) if height is not None else FULL_LINES * max(1, len(view.alerts))
    parts: list[RenderableType] = [_connection(view)]
    parts += [_text(oops, "bold yellow")] * bool(oops)
    parts += [_note(note)] if note else []
    parts += [_text(view.crowd, "bold")] * bool(view.crowd)
    if card is not None:
        parts += [*(short_line(one, selected=one.incident == selected) for one in view.alerts[:room]), card_text(card)]
        return Group(*parts)
    parts += list(_alerts(view, selected, room))
    if not view.alerts and view.connected:
        parts.append(Text("\nNo open alert.\n"))
    parts += [_text(line) for line in (view.desks, *view.waiting)]
    parts += [_text(f"  {fault.what}. {fault.do}", "yellow") for fault in view.faults]
    parts.append(Text("[j] next alert  [b] break  [q] quit"))
    return Group(*parts)


def card_text(card: Handover) -> Panel:
    """Return the card for an emergency call as text, in the order in which it is asked."""
    call = (
        "DRILL: do not call." if card.drill else f"Call {card.number}." if card.number else "Call the emergency number."
    )
    police = f"  Police: {card.police}." if card.police and not card.drill else ""
    said = tuple(f"{one.text}{'  (never aloud at the desk)' if one.covert else ''}" for one in card.say)
    blocks = [
        ("", (f"{call}{police}",)),
        ("Say", said),
        ("Look, and say", card.look),
        ("Done so far", card.done),
        ("Here", tuple(f"{name}: {value}" for name, value in card.facts)),
        ("Not set for this desk", card.lacks),
        ("What happened", tuple(f"{one.at}  {one.since}  {one.says}" for one in card.lines)),
    ]
    body = Text("\n").join(
        Text("\n").join(
            [*([_text(head, "bold")] * bool(head)), *(_text(f"  {line}" if head else line) for line in lines)]
        )
        for head, lines in blocks
        if lines
    )
    title = _text(f"{card.head} · {card.place} · began {card.began}, card of {card.at}", "bold")
    return Panel(body, title=title, title_align="left", subtitle=_text("[a] back to the alerts"))

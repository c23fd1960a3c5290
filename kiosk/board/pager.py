"""`stayby pager`: the board in a terminal. Keys act on the selected alert; without a terminal, lines of standard input do.

The selection stays with its alert when others move above it, so that a key means what the person saw.
"""

import contextlib
import queue
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from kiosk.board.station import AnswerRefused, Ask, Station
from kiosk.board.view import AlertView, View
from kiosk.config import BoardConfig

TICK_S = 1.0
SETTLE_S = 0.7
OOPS_S = 5.0
KEYS_KEPT = 64
BELL_S = {"emergency": 3.0, "check": 8.0, "cut": 10.0}
NEXT_KEYS, QUIT_KEY = ("j", "\t"), "q"
STYLES = {"grave": "white on dark_red", "alert": "white on dark_red", "check": ""}


def printable(text: str) -> str:
    """Return `text` without anything that a terminal would obey: names come from elsewhere."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _alert_panel(alert: AlertView, *, selected: bool) -> RenderableType:
    marks = ["SILENT: go quietly. Show nothing at the desk."] * alert.silent + ["This is a drill."] * alert.drill
    text = Text(f"{printable(alert.place)}\n", "bold")
    for line in (*marks, *alert.lines):
        text.append(f"{printable(line)}\n", "not bold")
    for line in (*alert.who, alert.next, alert.note, alert.ask_close):
        text.append(f"{printable(line)}\n" if line else "")
    keys = "  ".join(f"[{button.key}] {button.label}" for button in alert.buttons)
    text.append(keys if selected else "", "not bold")
    text.rstrip()
    title = Text(f"{'> ' if selected else ''}{alert.head}  {alert.clock}", "bold")
    border = "green" if alert.going else "yellow" if alert.tone == "check" else "white"
    style = "" if alert.going else STYLES[alert.tone]
    return Panel(text, title=title, title_align="left", style=style, border_style=border)


def render(view: View, selected: str, oops: str) -> RenderableType:
    """Return the whole view for the terminal."""
    parts: list[RenderableType] = []
    if view.connected:
        parts.append(Text(f" {printable(view.headline)} ", "white on dark_green"))
    else:
        parts.append(
            Panel(
                Text(f"NOT CONNECTED\nNo alert can reach you here. {printable(view.down)}"), style="bold white on red"
            )
        )
    parts += [_alert_panel(alert, selected=alert.incident == selected) for alert in view.alerts]
    if not view.alerts and view.connected:
        parts.append(Text("\nNo open alert.\n"))
    if oops:
        parts.append(Text(oops, "bold yellow"))
    parts.append(Text(printable(view.desks)))
    parts += [Text(f"  {printable(fault.what)}. {printable(fault.do)}", "yellow") for fault in view.faults]
    parts.append(Text("[j] next alert  [q] quit", "dim"))
    return Group(*parts)


def _what_changed(view: View) -> str:
    """Return what is worth a new print where no terminal shows the clock running."""
    alerts = [one.model_dump_json(include={"incident", "revision", "note"}) for one in view.alerts]
    return "\n".join([str(view.connected), view.headline, view.desks, *alerts, *(one.what for one in view.faults)])


class Pager:
    """One run of the pager: the station, the keys, and what the terminal shows."""

    def __init__(self, config: BoardConfig, stdin: TextIO, console: Console) -> None:
        self._stdin, self._console = stdin, console
        self._wake = threading.Event()
        self._keys: queue.Queue[str] = queue.Queue(KEYS_KEPT)
        self._death: BaseException | None = None
        self._closing = False
        self._selected = ""
        self._settled_s = 0.0
        self._rang_s = float("-inf")
        self._oops, self._oops_s = "", 0.0
        self._printed = ""
        self._station = Station(config, "pager", self._wake.set, self._die)

    def _die(self, error: BaseException) -> None:
        self._death = error
        self._wake.set()

    def stop(self, *_: object) -> None:
        """End the run within a second; it may be called from a signal handler, so it takes no lock."""
        self._closing = True

    # --- keys ---------------------------------------------------------------------------------------------------------

    def _read_keys(self) -> None:
        try:
            while read := self._stdin.read(1) if self._stdin.isatty() else self._stdin.readline().strip(" \r"):
                for key in read if self._stdin.isatty() else read.split():
                    with contextlib.suppress(queue.Full):  # keys that nobody takes are a cat on the keyboard
                        self._keys.put_nowait(key)
                self._wake.set()
        except (OSError, ValueError) as error:
            self._die(error)

    @contextlib.contextmanager
    def _single_keys(self) -> Iterator[None]:
        if not self._stdin.isatty():
            yield
            return
        number = self._stdin.fileno()
        before = termios.tcgetattr(number)
        tty.setcbreak(number)
        try:
            yield
        finally:
            termios.tcsetattr(number, termios.TCSADRAIN, before)

    def _press(self, key: str, view: View, now_s: float) -> None:
        alert = next((one for one in view.alerts if one.incident == self._selected), None)
        if key == QUIT_KEY:
            self.stop()
        elif key in NEXT_KEYS:
            self._select_next(view)
        elif alert is not None and (now_s >= self._settled_s or not self._stdin.isatty()):
            self._answer(key, alert, now_s)

    def _answer(self, key: str, alert: AlertView, now_s: float) -> None:
        button = next((one for one in alert.buttons if one.key == key), None)
        if button is None:
            self._say(f"[{printable(key)}] does nothing here now.", now_s)
            return
        ask = Ask(
            incident=alert.incident, unit=alert.unit, kind=button.kind, eta_s=button.eta_s, outcome=button.outcome
        )
        try:
            self._station.answer(ask, now_s)
        except AnswerRefused as error:
            self._say(str(error), now_s)

    def _say(self, text: str, now_s: float) -> None:
        self._oops, self._oops_s, self._printed = text, now_s, ""

    def _select_next(self, view: View) -> None:
        ids = [one.incident for one in view.alerts]
        if ids:
            self._selected = ids[(ids.index(self._selected) + 1) % len(ids)] if self._selected in ids else ids[0]
        self._printed = ""

    def _keep_selection(self, view: View, now_s: float) -> None:
        ids = [one.incident for one in view.alerts]
        if ids and self._selected not in ids:
            self._selected = ids[0]
            self._settled_s = now_s + SETTLE_S

    # --- the run ------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Show and answer until told to stop; return the exit code."""
        threading.Thread(target=self._read_keys, name="keys", daemon=True).start()
        screen = Live(console=self._console, auto_refresh=False, screen=True) if self._console.is_terminal else None
        with contextlib.ExitStack() as stack:
            stack.callback(self._station.close)
            stack.enter_context(self._single_keys())
            if screen is not None:
                stack.enter_context(screen)
            self._station.listen(time.monotonic(), listening=True)
            while not self._closing and self._death is None:
                self._turn(time.monotonic(), screen)
                self._wake.wait(TICK_S)
        if self._death is not None:
            print(f"pager: a thread died ({self._death!r}); please report this", file=sys.stderr)
        return 0 if self._death is None else 1

    def _turn(self, now_s: float, screen: Live | None) -> None:
        self._wake.clear()
        self._station.take_inbox(now_s)
        view = self._station.view(now_s)
        self._keep_selection(view, now_s)
        while not self._keys.empty():
            self._press(self._keys.get(), view, now_s)
        self._station.tick(now_s)
        self._show(self._station.view(now_s), now_s, screen)

    def _show(self, view: View, now_s: float, screen: Live | None) -> None:
        oops = self._oops if now_s - self._oops_s < OOPS_S else ""
        picture = render(view, self._selected, oops)
        if screen is not None:
            screen.update(picture, refresh=True)
        elif (changed := _what_changed(view)) != self._printed:
            self._printed = changed
            self._console.print(picture)
        for alert in view.alerts:
            with contextlib.suppress(AnswerRefused):  # it closed between drawing and saying so
                self._station.seen(alert.incident, now_s)
        self._ring(view, now_s)

    def _ring(self, view: View, now_s: float) -> None:
        kind = view.sound or ("" if view.connected else "cut")
        if kind and now_s - self._rang_s >= BELL_S[kind]:
            self._rang_s = now_s
            self._console.bell()
            self._console.file.flush()


def run(config: BoardConfig) -> int:
    """Run the pager in this terminal until `q`, SIGTERM or Ctrl-C; return the exit code."""
    pager = Pager(config, sys.stdin, Console())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pager.stop)
    return pager.run()

"""`stayby pager`: the board in a terminal. Keys act on the selected alert; without a terminal, lines of standard input do.

The selection stays with its alert when others move above it, so that a key means what the person saw. On a pipe, a line is keys
with spaces between; `r:` and a text closes with that line of text. Rich draws it, and Textual would not earn its place: one
screen, single keys and no widgets need no event loop beside the one that listens to the broker.
"""

import contextlib
import io
import queue
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from datetime import datetime
from typing import TextIO

from rich.console import Console
from rich.live import Live

from kiosk.board.handover import Handover, handover
from kiosk.board.pager_view import ENTER, ESCAPE, Keys, Note, printable, render, shown
from kiosk.board.station import AnswerRefused, Ask, Station
from kiosk.board.view import AlertView, Button, View
from kiosk.config import BoardConfig
from kiosk.messages import Snapshot

TICK_S = 1.0
SETTLE_S = 0.7
OOPS_S = 5.0
SEQUENCE_S = 0.05
"""What a key sends after Esc comes at once; this late, Esc was touched alone."""
KEYS_KEPT = 512
BELL_S = {"emergency": 3.0, "check": 8.0, "cut": 10.0}
NEXT_KEYS, BACK_KEY, QUIT_KEY, CARD_KEY, BREAK_KEY = ("j", "\t"), "k", "q", "a", "b"


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
        self._codes = Keys()
        self._note: Note | None = None
        self._card = ""
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
            while read := self._stdin.read(1) if self._stdin.isatty() else self._stdin.readline():
                for key in read if self._stdin.isatty() else [read.strip()] if ":" in read else read.split():
                    with contextlib.suppress(queue.Full):  # keys that nobody takes are a cat on the keyboard
                        self._keys.put_nowait(key)
                self._wake.set()
        except (OSError, ValueError) as error:
            self._die(error)

    def _take_keys(self, view: View, now_s: float) -> None:
        if self._keys.empty() and self._codes.pending and (key := self._codes.rest()):
            self._press(key, view, now_s)
        while not self._keys.empty():
            key = self._keys.get()
            if not self._stdin.isatty():
                self._press_line(key, view, now_s)
            elif key := self._codes.feed(key):
                self._press(key, view, now_s)

    def _press_line(self, line: str, view: View, now_s: float) -> None:
        """Take one key from a pipe, or a key, a colon and a line of text."""
        key, _, text = line.partition(":")
        alert = self._alert(view)
        if text and alert is not None:
            self._answer(key, alert, now_s, note=text.strip()[:200])
        else:
            self._press(key, view, now_s)

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

    def _alert(self, view: View) -> AlertView | None:
        return next((one for one in view.alerts if one.incident == self._selected), None)

    def _press(self, key: str, view: View, now_s: float) -> None:
        alert = self._alert(view)
        if self._note is not None:
            self._type(self._note, key, view, now_s)
        elif key == QUIT_KEY:
            self.stop()
        elif key in NEXT_KEYS or key == BACK_KEY:
            self._select(view, -1 if key == BACK_KEY else 1)
        elif key == BREAK_KEY:
            self._take_break(now_s)
        elif key in {CARD_KEY, ESCAPE}:
            self._turn_card(alert, now_s, close=key == ESCAPE)
        elif alert is not None and (now_s >= self._settled_s or not self._stdin.isatty()):
            self._answer(key, alert, now_s, ask=self._stdin.isatty())

    def _type(self, note: Note, key: str, view: View, now_s: float) -> None:
        """Take a key of the line that goes with a close; it goes to the alert for which it was begun, or nowhere."""
        alert = next((one for one in view.alerts if one.incident == note.incident), None)
        self._note = None if key in {ENTER, ESCAPE} or alert is None else note.typed(key)
        if alert is None:
            self._say("That alert is closed already. Your line was not sent.", now_s)
        elif key == ENTER:
            self._answer(note.button.key, alert, now_s, note=note.text, knew=note.knew)

    def _take_break(self, now_s: float) -> None:
        on = self._station.rest.on
        self._station.take_break(now_s, on=not on)
        self._say("Your break is over." if on else "On break: asked last. You still get every alert here.", now_s)

    def _turn_card(self, alert: AlertView | None, now_s: float, *, close: bool) -> None:
        if alert is None and not self._card:
            self._say("No alert is open: there is no card.", now_s)
        self._card = "" if self._card or close or alert is None else alert.incident
        self._printed = ""

    def _answer(
        self,
        key: str,
        alert: AlertView,
        now_s: float,
        *,
        note: str = "",
        ask: bool = False,
        knew: Snapshot | None = None,
    ) -> None:
        button = next((one for one in alert.buttons if one.key == key), None)
        if button is None:
            self._say(f"[{printable(key)}] does nothing here now.", now_s)
        elif ask and button.kind == "close":
            held = self._station.model.incident(alert.incident)
            self._note = Note(alert.incident, alert.place, button, knew=held.snapshot if held else None)
        else:
            self._send(button, alert, note, now_s, knew)

    def _send(self, button: Button, alert: AlertView, note: str, now_s: float, knew: Snapshot | None) -> None:
        ask = Ask(
            incident=alert.incident, unit=alert.unit, kind=button.kind, eta_s=button.eta_s, outcome=button.outcome,
            note=note,
        )  # fmt: skip
        try:
            self._station.answer(ask, now_s, knew=knew)
        except AnswerRefused as error:
            self._say(str(error), now_s)

    def _say(self, text: str, now_s: float) -> None:
        self._oops, self._oops_s, self._printed = text, now_s, ""

    def _select(self, view: View, by: int) -> None:
        ids = [one.incident for one in view.alerts]
        if ids:
            self._selected = ids[(ids.index(self._selected) + by) % len(ids)] if self._selected in ids else ids[0]
        self._card = ""
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
                self._wake.wait(SEQUENCE_S if self._codes.pending else TICK_S)
        if self._death is not None:
            print(f"pager: a thread died ({self._death!r}); please report this", file=sys.stderr)
        return 0 if self._death is None else 1

    def _turn(self, now_s: float, screen: Live | None) -> None:
        self._wake.clear()
        self._station.take_inbox(now_s)
        view = self._station.view(now_s)
        self._keep_selection(view, now_s)
        self._take_keys(view, now_s)
        self._station.tick(now_s)
        self._show(self._station.view(now_s), now_s, screen)

    def _show(self, view: View, now_s: float, screen: Live | None) -> None:
        oops = self._oops if now_s - self._oops_s < OOPS_S else ""
        height = self._console.height if screen is not None else None
        picture = render(view, self._selected, oops, height=height, note=self._note, card=self._card_now(now_s))
        if screen is not None:
            screen.update(picture, refresh=True)
        elif (changed := _what_changed(view)) != self._printed:
            self._printed = changed
            self._console.print(picture)
        for alert in shown(view, height):
            with contextlib.suppress(AnswerRefused):  # it closed between drawing and saying so
                self._station.seen(alert.incident, now_s)
        self._ring(view, now_s)

    def _card_now(self, now_s: float) -> Handover | None:
        incident = self._station.model.incident(self._card) if self._card else None
        if incident is None:
            self._card = ""
            return None
        desk = self._station.model.desk(incident.snapshot.unit)
        return handover(incident, desk, now_s, datetime.now().astimezone())

    def _ring(self, view: View, now_s: float) -> None:
        kind = view.sound or ("" if view.connected else "cut")
        if kind and now_s - self._rang_s >= BELL_S[kind]:
            self._rang_s = now_s
            self._console.bell()
            self._console.file.flush()


def run(config: BoardConfig) -> int:
    """Run the pager in this terminal until `q`, SIGTERM or Ctrl-C; return the exit code."""
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a key or a letter that this terminal's encoding lacks ends nothing
    pager = Pager(config, sys.stdin, Console())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pager.stop)
    return pager.run()

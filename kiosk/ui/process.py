"""The screen's process: one loop that takes what the hub shows, draws it, and passes on what is touched.

The bus thread and the remote's thread only enqueue; this module's loop alone touches state. A thread that dies takes the
process with it, and the hub sends the whole state again to the next one.
"""

import logging
import os
import queue
import signal
import tempfile
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from kivy.base import EventLoop, runTouchApp, stopTouchApp
from kivy.clock import Clock

from kiosk.bus import Leaf, runtime_socket
from kiosk.config import UnitConfig
from kiosk.messages import Face, Fault, Hello, Role, ScreenBeat, Show, ToLeaf, Touch
from kiosk.page import Button, Does, Look, Page
from kiosk.pages import HUB_GONE_S, Desk, Local, at_home, page, settle, touched
from kiosk.ui.catalogues import load as load_catalogue
from kiosk.ui.layout import Layout, lay_out
from kiosk.ui.paint import Painter
from kiosk.ui.panel import panel_fault, panels
from kiosk.ui.remote import RemoteServer, Request
from kiosk.ui.touches import Touches
from kiosk.ui.window import find_fonts, open_window

log = logging.getLogger(__name__)

INBOX = 256
REFRESH_S = 0.2
BEAT_S = 1.0
PANEL_S = 5.0
DEBOUNCE_S = 0.3
"""A second touch so soon is the same finger, or the same panel seen twice."""
AIM_S = 0.25
"""A touch so soon after the page changed by itself was aimed at the page before."""
PRESSED_S = 0.15
EXIT_THREAD_DIED = 70


def _die(error: BaseException) -> NoReturn:
    log.critical("screen: a thread died (%r); the process ends, and systemd starts it again", error)
    os._exit(EXIT_THREAD_DIED)


class Screen:
    """Everything of one run; `run` returns when it is told to stop."""

    def __init__(self, config: UnitConfig, remote: Path | None) -> None:
        unit = config.unit
        face = Face(
            store=unit.store,
            unit=unit.id,
            place=unit.place,
            address=unit.address,
            emergency_number=unit.emergency_number,
            police_number=unit.police_number,
            phone=unit.phone,
            country=unit.country,
            defibrillator=unit.defibrillator,
            refuge=unit.refuge,
            meet=unit.meet,
        )
        self._ui = config.ui
        self._panels = panels() if config.ui.fullscreen else None
        self._desk = Desk(face, button=config.button is not None, speaker=config.speaker is not None)
        self._window = open_window(config.ui)
        self._painter = Painter(self._window, *find_fonts())
        self._inbox: queue.Queue[ToLeaf | bool | Request] = queue.Queue(INBOX)
        self._show: Show | None = None
        self._shown_s = time.monotonic()
        self._local = at_home(Local(), Look(language=config.ui.language))
        self._page: Page | None = None
        self._layout = Layout(ground=(0.0, 0.0, 0.0))
        self._before: tuple[Page, Layout] | None = None
        self._changed_s = self._touched_s = self._refreshed_s = float("-inf")
        self._pressed: Button | None = None
        self._still = True
        self._shots: list[Request] = []
        self._taken = 0
        self._touches = Touches(self._send)
        self._leaf = Leaf(
            runtime_socket(unit.run_dir),
            Hello(role=Role.UI),
            on_message=self._inbox.put,
            on_link=self._inbox.put,
            on_bad=lambda text: log.warning("screen: %s", text),
            on_death=_die,
        )
        if remote is not None:
            log.warning("screen: it can be touched and seen through %s; for tests and demos only", remote)
            RemoteServer(remote, self._inbox.put, _die)

    def run(self) -> None:
        """Show and listen until SIGTERM, SIGINT, or the window is closed."""
        # Kivy reads the panel on a thread of its own, which must not die in silence either.
        threading.excepthook = lambda args: _die(args.exc_value or RuntimeError(args.exc_type.__name__))
        window = self._window
        window.bind(on_touch_down=self._on_touch, on_resize=self._on_resize, on_flip=self._on_flip)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopTouchApp())
        Clock.schedule_interval(lambda _: self._step(time.monotonic()), 0)
        Clock.schedule_interval(lambda _: self._beat(time.monotonic()), BEAT_S)
        if self._panels is not None:
            Clock.schedule_interval(lambda _: self._look_for_panels(), PANEL_S)
        self._refresh(time.monotonic())
        runTouchApp()
        self._leaf.close()

    # --- what comes in ------------------------------------------------------------------------------------------------

    def _step(self, now_s: float) -> None:
        news = False
        while True:
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                break
            self._take(message, now_s)
            news = True
        if news or now_s - self._refreshed_s >= REFRESH_S:
            self._refresh(now_s)
        self._still = self._painter.step(now_s)
        if self._shots and self._still:
            self._window.canvas.ask_update()

    def _take(self, message: ToLeaf | bool | Request, now_s: float) -> None:
        if isinstance(message, Show):
            self._show, self._shown_s = message, now_s
            self._touches.shown(message)
        elif isinstance(message, Request):
            self._do(message, now_s)
        elif message is True:
            self._touches.linked(now_s)

    def _send(self, touch: Touch) -> bool:
        return self._leaf.send(touch)

    def _beat(self, now_s: float) -> None:
        if now_s - self._shown_s >= HUB_GONE_S:
            return  # nobody reads; a beat would only fill the socket of a hub that hangs
        incident = self._show.incident if self._show else None
        self._leaf.send(
            ScreenBeat(
                incident=incident.id if incident else None,
                revision=incident.revision if incident else 0,
                faults=self._faults(),
            )
        )

    def _faults(self) -> tuple[Fault, ...]:
        faults = []
        if self._panels is not None and (fault := panel_fault(self._panels)):
            faults.append(fault)
        width, height = (int(side) for side in self._window.size)
        if self._ui.fullscreen and (width, height) != (self._ui.width, self._ui.height):
            faults.append(
                Fault(
                    code="panel_size",
                    where="kiosk.toml [ui]",
                    says=f"the panel is {width} x {height}, the file says {self._ui.width} x {self._ui.height}",
                    do="set width and height to the panel's, so that nothing is cut off",
                )
            )
        if self._layout.cramped:
            faults.append(
                Fault(
                    code="screen_cramped",
                    where="screen",
                    says=f"a text does not fit the panel: {self._layout.cramped[0][:60]}",
                    do="shorten it in kiosk.toml, or use a larger panel",
                )
            )
        return tuple(faults)

    def _look_for_panels(self) -> None:
        """End, to be started again, when a panel was plugged in: Kivy reads only those that were there at its start."""
        now = panels()
        if now == self._panels:
            return
        log.warning("screen: touch panels were %s, now %s", self._panels or "none", now or "none")
        self._panels = now
        if now:
            stopTouchApp()

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _refresh(self, now_s: float, *, by_touch: bool = False) -> None:
        self._refreshed_s = now_s
        self._touches.send_due(now_s)
        self._local = settle(self._local, self._show, now_s)
        self._touches.speaks(self._local.look.language, self._show, now_s)
        self._local = self._waiting(self._local, now_s)
        if self._pressed and now_s - self._touched_s >= PRESSED_S:
            self._pressed = None
            self._draw(self._page, now_s, fade=False)
        tongue = load_catalogue(self._local.look.language)
        desk = replace(self._desk, zone=datetime.now().astimezone().tzinfo or UTC)
        new = page(self._show, self._local, desk, now_s, self._shown_s, tongue)
        if new == self._page:
            return
        old = self._page
        turned = old is None or (old.kind, old.headline) != (new.kind, new.headline)
        if turned:
            self._pressed = None
            self._before = (old, self._layout) if old is not None and not by_touch else None
            self._changed_s = now_s
        self._draw(new, now_s, fade=turned and old is not None)

    def _waiting(self, local: Local, now_s: float) -> Local:
        """Return `local` with what is not confirmed yet."""
        touches = self._touches
        return replace(local, telling=touches.telling, asking=touches.asking, unheard=touches.unheard(now_s))

    def _draw(self, new: Page | None, now_s: float, *, fade: bool) -> None:
        if new is None:
            return
        width, height = self._window.size
        self._page = new
        self._layout = lay_out(new, width, height, self._painter.measure, pressed=self._pressed)
        self._painter.show(self._layout, now_s, fade=fade)

    def _on_resize(self, *_: object) -> None:
        self._painter.resized()
        self._draw(self._page, time.monotonic(), fade=False)

    # --- touches ------------------------------------------------------------------------------------------------------

    def _on_touch(self, _window: object, event: Any) -> bool:
        """Take a touch when the finger lands: a hand that shakes or slides has still said it."""
        now_s = time.monotonic()
        if now_s - self._touched_s < DEBOUNCE_S:
            return True
        aimed_before = self._before is not None and now_s - self._changed_s < AIM_S
        shown, layout = self._before if aimed_before and self._before else (self._page, self._layout)
        button = layout.hit(event.x, self._window.height - event.y)
        if button is None or shown is None:
            return True
        self._touched_s = now_s
        self._taken += 1
        self._pressed = button
        self._draw(self._page, now_s, fade=False)
        self._act(button.does, shown, now_s)
        return True

    def _act(self, does: Does, shown: Page, now_s: float) -> None:
        self._local = touched(self._local, does, now_s)
        if isinstance(does, Touch):
            log.info("screen: touched %s (incident %s)", does.action, does.incident)
            self._touches.add(does, shown.state, now_s)
        self._refresh(now_s, by_touch=True)

    # --- for tests and demos ------------------------------------------------------------------------------------------

    def _do(self, request: Request, now_s: float) -> None:
        doing = {
            "page": self._do_page,
            "tap": self._do_tap,
            "touch": self._do_touch,
            "shot": self._do_shot,
        }
        do = doing.get(request.do)
        if do is None:
            request.failed(f"{request.do!r} is not one of {', '.join(doing)}")
            return
        self._refresh(now_s)
        try:
            do(request)
        except (KeyError, TypeError, ValueError) as error:
            request.failed(f"{request.do}: {error!r} is missing or no good")

    def _do_page(self, request: Request) -> None:
        shown = self._page
        assert shown is not None  # noqa: S101 - `_do` has just refreshed
        request.done(
            kind=shown.kind.value,
            incident=shown.incident,
            texts=list(shown.texts()),
            buttons=[hot.button.text for hot in self._layout.hots],
            cramped=self._layout.cramped,
            size=[int(side) for side in self._window.size],
            still=self._still,
        )

    def _do_tap(self, request: Request) -> None:
        wanted = str(request.args["text"])
        hot = next((hot for hot in self._layout.hots if hot.button.text == wanted), None)
        if hot is None:
            request.failed(f"no button {wanted!r}; there are {[hot.button.text for hot in self._layout.hots]}")
            return
        wait_s = max(self._changed_s + AIM_S, self._touched_s + DEBOUNCE_S) - time.monotonic()
        if wait_s > 0:  # who reads a button has seen its page, and lifts the finger between two touches
            Clock.schedule_once(lambda _: self._do_tap(request), wait_s)
            return
        self._finger(request, hot.box.x + hot.box.w / 2, hot.box.y + hot.box.h / 2)

    def _do_touch(self, request: Request) -> None:
        self._finger(request, float(request.args["x"]), float(request.args["y"]))

    def _finger(self, request: Request, x: float, y: float) -> None:
        """Put a finger down and up where SDL would: in the queue of Kivy's SDL touch provider."""
        provider = next(one for one in EventLoop.input_providers if type(one).__name__ == "SDL2MotionEventProvider")
        width, height = self._window.size
        for action in ("fingerdown", "fingerup"):
            provider.q.appendleft((action, 1, x / width, y / height, 1.0))
        before = self._taken
        Clock.schedule_once(lambda _: request.done(taken=self._taken > before), 2 / 30)

    def _do_shot(self, request: Request) -> None:
        Path(str(request.args["path"])).parent.mkdir(parents=True, exist_ok=True)
        self._shots.append(request)

    def _on_flip(self, *_: object) -> None:
        """Take the pictures that were asked for, after the frame is drawn and before it is shown."""
        if not self._still:
            return
        while self._shots:
            request = self._shots.pop()
            self._write_shot(Path(str(request.args["path"])))
            request.done()

    def _write_shot(self, path: Path) -> None:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            name = self._window.screenshot(name=f"{folder}/shot.png")
            Path(name).replace(path)

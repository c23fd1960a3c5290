"""The screen's process: one loop that takes what the hub shows, draws it, and passes on what is touched.

The bus thread and the remote's thread only enqueue; this module's loop alone touches state. A thread that dies takes the
process with it, and the hub sends the whole state again to the next one.
"""

import logging
import os
import queue
import signal
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from kivy.base import runTouchApp, stopTouchApp
from kivy.clock import Clock

from kiosk.bus import Leaf, runtime_socket
from kiosk.config import SpeakerSection, UnitConfig
from kiosk.corners import corrected
from kiosk.duty import Part
from kiosk.guidance import Pace
from kiosk.local import visible
from kiosk.messages import (
    Face,
    Fault,
    Hello,
    PlayProof,
    ProofSound,
    Role,
    ScreenBeat,
    Show,
    State,
    ToLeaf,
    Touch,
    TouchAction,
)
from kiosk.notify import how_it_is, watchdog
from kiosk.page import SERVICE_KINDS, Button, Does, Go, Key, Kind, Look, Page, Service, Theme
from kiosk.pages import HUB_GONE_S, Desk, Local, at_home, page, settle, touched
from kiosk.pages_service import service_page
from kiosk.scene import Place
from kiosk.tongue import Tongue
from kiosk.ui import catalogues
from kiosk.ui.hands import Hands, View
from kiosk.ui.kept import Kept
from kiosk.ui.layout import Layout, lay_out
from kiosk.ui.night import Backlight, aside, dimmed, is_night
from kiosk.ui.paint import Painter
from kiosk.ui.panel import panel_fault, panels
from kiosk.ui.remote import RemoteServer, Request
from kiosk.ui.said import Said
from kiosk.ui.technician import Found, Looked, PinSeen, Seen, Technician, Unkept
from kiosk.ui.touches import Touches
from kiosk.ui.voice import Voice
from kiosk.ui.window import fonts, give_back, open_window, own_dir

log = logging.getLogger(__name__)

INBOX = 256
REFRESH_S = 0.2
REST_S = 0.04
"""So long a screen on which nothing moves waits for news before it looks for a finger again."""
BEAT_S = 1.0
PANEL_S = 5.0
AT_DESK_S = 120.0
"""So long after a finger on the panel somebody may still stand there: nothing is played to prove the unit."""
DEBOUNCE_S = 0.3
"""A second touch so soon is the same finger, if it meets the same button or another page than the first."""
SAME_FINGER_S = 0.06
"""A second touch so soon is the same finger wherever it lands: a panel seen through two drivers, or a palm."""
AIM_S = 0.25
"""A touch so soon after the page changed by itself was aimed at the page before."""
PRESSED_S = 0.15
CATALOGUE_S = 5.0
"""So far apart the languages that nobody asked for yet are read, while the screen rests."""
TIDY_S = 5.0
QUIET = frozenset({Kind.IDLE, Kind.STARTING, Kind.GONE})
"""The pages from which a technician's visit may begin: nobody is looked after there."""
WORDS = {Pace.BREATHING: ("breathe_in", "breathe_out"), Pace.CPR: ("push",)}
"""What stands in what moves, one for each phase."""
EXIT_THREAD_DIED = 70


def _die(error: BaseException) -> NoReturn:
    log.critical("screen: a thread died (%r); the process ends, and systemd starts it again", error)
    os._exit(EXIT_THREAD_DIED)


def _face(config: UnitConfig) -> Face:
    unit = config.unit
    return Face(
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


class Screen:
    """Everything of one run; `run` returns when it is told to stop."""

    def __init__(self, config: UnitConfig, remote: Path | None) -> None:
        run_dir = config.unit.run_dir
        self._ui, self._speaker = config.ui, config.speaker or SpeakerSection()
        self._panels = panels() if config.ui.fullscreen else None
        self._desk = Desk(
            _face(config),
            button=config.button is not None,
            speaker=config.speaker is not None,
            zone=datetime.now().astimezone().tzinfo or UTC,
            home=catalogues.load(config.ui.language),
        )
        self._window = open_window(config.ui)
        self._painter = Painter(self._window, fonts())
        self._inbox: queue.Queue[ToLeaf | bool | Request | Seen] = queue.Queue(INBOX)
        self._show: Show | None = None
        self._shown_s = time.monotonic()
        self._kept, self._backlight = Kept(own_dir(config)), Backlight()
        self._page: Page | None = None
        self._drawn_look = Look()
        self._layout = Layout(ground=(0.0, 0.0, 0.0))
        self._before: tuple[Page, Layout] | None = None
        self._changed_s = self._touched_s = self._refreshed_s = self._finger_s = float("-inf")
        self._pressed: Button | None = None
        self._touched: Button | None = None
        self._posed = self._night = self._turns = self._untidy = False
        self._unread = list(catalogues.TRANSLATED)
        self._catalogue_faults: tuple[Fault, ...] = ()
        self._taken = 0
        self._owed_s: float | None = None
        self._watchdog = watchdog(time.monotonic)
        self._hands = Hands(self._window, self._view, lambda: self._taken, counts=remote is not None)
        self._touches = Touches(self._send)
        self._leaf = Leaf(
            runtime_socket(run_dir),
            Hello(role=Role.UI),
            on_message=self._inbox.put,
            on_link=self._inbox.put,
            on_bad=lambda text: log.warning("screen: %s", text),
            on_death=_die,
        )
        self._voice = Voice(self._speaker.device, self._leaf.send) if config.speaker else None
        self._said = Said(self._voice)
        self._local = self._restored()
        self._technician = Technician(config, own_dir(config), self._inbox.put, _die)
        if remote is not None:
            log.warning("screen: it can be touched and seen through %s; for tests and demos only", remote)
            RemoteServer(remote, self._inbox.put, _die)

    def _restored(self) -> Local:
        """Return what was touched before this process began; a call for help that nobody confirmed is sent again.

        What else was told is told again by `Touches.tells`, as soon as the open incident is shown not to have it.
        """
        local, now_s = self._kept.load(), time.monotonic()
        for waits, action in ((local.telling, TouchAction.HELP), (local.asking, TouchAction.PERSON)):
            if waits:
                self._touches.add(Touch(action=action), State.IDLE, now_s)
        return local

    def run(self) -> None:
        """Show and listen until SIGTERM, SIGINT, or the window is closed."""
        # Kivy reads the panel on a thread of its own, which must not die in silence either.
        threading.excepthook = lambda args: _die(args.exc_value or RuntimeError(args.exc_type.__name__))
        window = self._window
        window.bind(on_touch_down=self._on_touch, on_touch_move=self._on_move, on_touch_up=self._on_lift)
        window.bind(on_resize=self._on_resize, on_flip=self._on_flip)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopTouchApp())
        signal.signal(signal.SIGUSR1, lambda *_: self._technician.ask_corners())
        Clock.schedule_interval(lambda _: self._step(), 0)
        Clock.schedule_interval(lambda _: self._beat(time.monotonic()), BEAT_S)
        if self._panels is not None:
            Clock.schedule_interval(lambda _: self._look_for_panels(), PANEL_S)
        Clock.schedule_interval(lambda _: self._read_a_catalogue(), CATALOGUE_S)
        Clock.schedule_interval(lambda _: self._tidy(), TIDY_S)
        self._refresh(time.monotonic())
        runTouchApp()
        self._watchdog.stopping()
        if self._voice is not None:
            self._voice.stop()
        self._leaf.close()

    # --- what comes in ------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        message = self._next(REST_S if self._rests() else 0.0)
        news = message is not None
        while message is not None:
            self._take(message, time.monotonic())
            message = self._next(0.0)
        now_s = time.monotonic()
        self._turns |= self._mind_technician(now_s)
        if news or self._turns or now_s - self._refreshed_s >= REFRESH_S:
            self._refresh(now_s)
        if (began_s := self._said.beat_began_s) is not None:
            self._painter.pace_from_s = began_s
        self._painter.step(now_s)
        self._pose(now_s)

    def _next(self, wait_s: float) -> ToLeaf | bool | Request | Seen | None:
        """Return what came next, within `wait_s`; None when nothing did."""
        try:
            return self._inbox.get(timeout=wait_s)
        except queue.Empty:
            return None

    def _rests(self) -> bool:
        """Whether the next frame would be this one: nothing moves, fades, turns, is pressed, or is to be photographed."""
        busy = self._turns or self._pressed or self._hands.shots
        return not (busy or self._painter.fades or self._painter.moves)

    def _pose(self, now_s: float) -> None:
        """Stand still for the picture that was asked for, if no page fades; else where this minute has the page."""
        self._posed = bool(self._hands.shots) and not self._painter.fades
        if self._posed:
            self._painter.hold(self._hands.shots[0].args["since_s"])
            self._window.canvas.ask_update()
        self._painter.shift(*((0, 0) if self._posed else self._aside(now_s)))

    def _aside(self, now_s: float) -> tuple[int, int]:
        return aside(self._page.kind, now_s) if self._page else (0, 0)

    def _take(self, message: ToLeaf | bool | Request | Seen, now_s: float) -> None:
        if isinstance(message, Show):
            self._show, self._shown_s = message, now_s
            self._touches.shown(message)
            if not message.proving:
                self._end_proof(now_s)
        elif isinstance(message, PlayProof):
            self._prove(message, now_s)
        elif isinstance(message, Request):
            self._refresh(now_s)
            self._hands.do(message)
        elif isinstance(message, PinSeen | Unkept | Found | Looked):
            self._technician.take(message, now_s)
        elif message is True:
            self._touches.linked(now_s)
        elif message is False:
            self._end_proof(now_s)

    # --- the daily proof ----------------------------------------------------------------------------------------------

    def _prove(self, order: PlayProof, now_s: float) -> None:
        """Play the sound of the daily proof, where nobody is at the desk and the voice may be heard at this hour."""
        said = ProofSound(proof=order.proof, attempt=order.attempt, what="touched", start_s=now_s, end_s=now_s)
        if now_s - self._finger_s < AT_DESK_S or self._page is None or self._page.kind is not Kind.IDLE:
            self._leaf.send(said)
        elif self._voice is None or not self._volume():
            off = {"what": "off", "says": "the screen is to be silent at this hour, by [speaker]"}
            self._leaf.send(said.model_copy(update=off))
        else:
            self._voice.prove(order, self._speaker.volume_percent, now_s)

    def _touched_in_proof(self, now_s: float) -> None:
        """Somebody is at the desk: the proof can wait."""
        if self._show is not None and self._show.proving:
            self._end_proof(now_s)
            touched = ProofSound(proof=self._show.proving, attempt=1, what="touched", start_s=now_s, end_s=now_s)
            self._leaf.send(touched)

    def _end_proof(self, now_s: float) -> None:
        if self._voice is not None:
            self._voice.end_proof(now_s)

    def _send(self, touch: Touch) -> bool:
        return self._leaf.send(touch)

    def _duty(self, now_s: float) -> list[Part]:
        """Return what must be so for the screen to be on duty; `_beat`, which asks, is turned by the clock that draws."""
        drawn_s = now_s if self._owed_s is None else self._owed_s
        return [
            Part("no frame of what was drawn", drawn_s),
            Part("no turn of the thread to the hub", self._leaf.turned_s),
        ]

    def _beat(self, now_s: float) -> None:
        self._watchdog.look(self._duty(now_s), how_it_is(fault.code for fault in self._faults()))
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
        voice = self._voice.fault() if self._voice is not None else None
        panel = panel_fault(self._panels) if self._panels is not None else None
        single = (panel, self._size_fault(), self._cramped_fault(), voice, self._kept.fault(), self._backlight.fault())
        several = (*self._painter.faults(), *self._catalogue_faults)
        return (*(fault for fault in single if fault), *several)

    def _size_fault(self) -> Fault | None:
        width, height = (int(side) for side in self._window.size)
        if not self._ui.fullscreen or (width, height) == (self._ui.width, self._ui.height):
            return None
        return Fault(
            code="panel_size",
            where="kiosk.toml [ui]",
            says=f"the panel is {width} x {height}, the file says {self._ui.width} x {self._ui.height}",
            do="set width and height to the panel's, so that nothing is cut off",
        )

    def _cramped_fault(self) -> Fault | None:
        if not self._layout.cramped:
            return None
        return Fault(
            code="screen_cramped",
            where="screen",
            says=f"a text does not fit the panel: {self._layout.cramped[0][:60]}",
            do="shorten it in kiosk.toml, or use a larger panel",
        )

    def _read_a_catalogue(self) -> None:
        """Read one more language while nobody waits for anything: its faults are known, and a switch to it is at once."""
        if self._unread and self._page is not None and self._page.kind is Kind.IDLE:
            catalogues.load(self._unread.pop())
            self._catalogue_faults = () if self._unread else catalogues.faults()

    def _tidy(self) -> None:
        """Give back memory once after pages were drawn, while nothing moves."""
        if self._untidy and self._rests():
            self._untidy = False
            give_back()

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

    def _refresh(self, now_s: float) -> None:
        self._refreshed_s = now_s
        by_touch, self._turns = self._turns, False
        clock = datetime.now().astimezone()
        self._night = is_night(self._ui.night, clock)
        self._settle(now_s)
        if self._pressed and now_s - self._touched_s >= PRESSED_S:
            self._pressed = None
            self._draw(self._page, now_s, fade=False)
        look = self._local.look
        new = self._page_now(replace(self._desk, zone=clock.tzinfo or UTC), now_s)
        self._said.turned(new, look, self._volume(), now_s)
        self._backlight.set(dimmed(new.kind, night=self._night))
        if new == self._page and look == self._drawn_look:
            return
        old = self._page
        turned = old is None or (old.kind, old.headline) != (new.kind, new.headline)
        if turned:
            self._pressed = None
            self._before = (old, self._layout) if old is not None and not by_touch else None
            self._changed_s = now_s
        if old is None or (old.pace, old.incident, old.step) != (new.pace, new.incident, new.step):
            self._painter.pace_from_s = now_s
        self._draw(new, now_s, fade=turned and old is not None)

    def _page_now(self, desk: Desk, now_s: float) -> Page:
        """Return what is to be shown: what is so, or over a quiet desk the page of a technician."""
        visit = self._technician.visit
        if visit is None:
            return page(self._show, self._local, desk, now_s, self._shown_s, self._tongue())
        face = self._show.face if self._show else desk.face
        place = Place(face, self._local, desk, self._tongue(), now_s)
        return service_page(visit, place, self._technician.in_force)

    def _mind_technician(self, now_s: float) -> bool:
        """Open or shut the pages of a technician; return whether that changes what is shown. Any call shuts them."""
        opening = self._show.opening if self._show else None
        local = self._local
        calls = bool(visible(self._show) or opening or local.telling or local.asking or local.unheard)
        may = self._page is not None and self._page.kind in QUIET
        return self._technician.mind(now_s, may=may, calls=calls)

    def _settle(self, now_s: float) -> None:
        """Bring what was touched here up to date with what is so, keep it, and tell the hub what it lacks."""
        self._touches.send_due(now_s)
        home = Look(language=self._ui.language, theme=Theme.DARK if self._night else Theme.LIGHT)
        local = settle(at_home(self._local, home), self._show, now_s)
        telling, asking, unheard = self._touches.telling, self._touches.asking, self._touches.unheard(now_s)
        self._local = replace(local, telling=telling, asking=asking, unheard=unheard)
        self._touches.tells(self._local, self._show, now_s)
        self._kept.save(self._local)

    def _tongue(self) -> Tongue:
        return catalogues.load(self._local.look.language)

    def _volume(self) -> int:
        return self._speaker.night_volume_percent if self._night else self._speaker.volume_percent

    def _draw(self, new: Page | None, now_s: float, *, fade: bool) -> None:
        if new is None:
            return
        self._page, self._drawn_look, self._untidy = new, self._local.look, True
        self._layout = self._laid_out(new)
        words = [self._tongue().say(key) for key in WORDS.get(new.pace, ())] if new.pace else []
        self._painter.show(self._layout, now_s, fade=fade, words=words)
        self._owed_s = self._owed_s or now_s

    def _laid_out(self, new: Page) -> Layout:
        width, height = self._window.size
        return lay_out(new, width, height, self._painter.measure, self._drawn_look, self._pressed)

    def _press(self, button: Button) -> None:
        """Show a button as under a finger, and draw nothing else anew: a touch must be seen at once."""
        self._pressed = button
        if self._page is None:
            return
        self._layout = self._laid_out(self._page)
        for hot in self._layout.hots:
            if hot.button == button:
                self._painter.redraw(self._layout, hot.drawn)

    def _on_resize(self, *_: object) -> None:
        self._technician.size = (float(self._window.width), float(self._window.height))
        self._painter.resized()
        self._draw(self._page, time.monotonic(), fade=False)

    # --- touches ------------------------------------------------------------------------------------------------------

    def _on_touch(self, _window: object, event: Any) -> bool:
        """Take a touch when the finger lands: a hand that shakes or slides has still said it."""
        now_s = self._finger_s = time.monotonic()
        self._touched_in_proof(now_s)
        aimed_before = self._before is not None and now_s - self._changed_s < AIM_S
        shown, layout = self._before if aimed_before and self._before else (self._page, self._layout)
        x, y = self._at(event)
        button = layout.hit(x * self._window.width, y * self._window.height)
        self._technician.hold.down(event.uid, (x, y), now_s, free=button is None)
        if button is None:
            self._technician.tapped((event.sx, 1 - event.sy), now_s)
        if button is None or shown is None or self._same_finger(button, now_s):
            return True
        self._touched, self._touched_s = button, now_s
        self._taken += 1
        if shown.kind is not Kind.PIN:  # a key that lights up can be read from afar; the PIN's next dot is its answer
            self._press(button)
        self._act(button.does, shown, now_s)
        return True

    def _at(self, event: Any) -> tuple[float, float]:
        """Return where a finger is, as a share of the panel from its top left, however the panel lies behind the picture."""
        return corrected(self._technician.in_force, (event.sx, 1 - event.sy))

    def _on_move(self, _window: object, event: Any) -> bool:
        self._technician.hold.moved(event.uid, self._at(event))
        return True

    def _on_lift(self, _window: object, event: Any) -> bool:
        self._technician.hold.up(event.uid)
        return True

    def _same_finger(self, button: Button, now_s: float) -> bool:
        """Whether this touch is the last one seen twice: who types fast touches one key after another of the same page."""
        since_s = now_s - self._touched_s
        page_turned = self._changed_s >= self._touched_s
        return since_s < SAME_FINGER_S or (since_s < DEBOUNCE_S and (page_turned or button == self._touched))

    def _act(self, does: Does, shown: Page, now_s: float) -> None:
        # The page turns with the next frame: this one shows at once that the touch was taken.
        self._turns = True
        if shown.kind in SERVICE_KINDS and isinstance(does, Key | Service):
            self._technician.touched(does, now_s)
            return
        self._technician.close("somebody wants help")
        self._local = touched(self._local, does, now_s)
        if isinstance(does, Touch):
            log.info("screen: touched %s (incident %s)", does.action, does.incident)
            self._touches.add(does, shown.state, now_s)
        if does is Go.AGAIN and self._page is not None:
            self._said.again(self._page, self._local.look, self._volume(), now_s)

    # --- for tests and demos ------------------------------------------------------------------------------------------

    def _view(self) -> View:
        shown = self._page
        assert shown is not None  # noqa: S101 - `_take` has just refreshed
        return View(
            page=shown,
            layout=self._layout,
            look=self._local.look,
            size=(int(self._window.size[0]), int(self._window.size[1])),
            said=self._said.last,
            aside=self._aside(time.monotonic()),
            still=not self._painter.fades,
            began_s=self._painter.pace_from_s,
            free_s=max(self._changed_s + AIM_S, self._touched_s + DEBOUNCE_S),
        )

    def _on_flip(self, *_: object) -> None:
        self._owed_s = None
        self._hands.flipped()
        if self._posed and self._hands.shots:
            self._hands.take()

"""Does what tests and demos ask of the screen: says what it shows, touches it as a finger would, and takes its picture."""

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kivy.base import EventLoop
from kivy.clock import Clock
from kivy.graphics.opengl import GL_RGB, GL_UNSIGNED_BYTE, glFinish, glReadPixels

from kiosk.page import Look, Page
from kiosk.ui.remote import Request
from kiosk.ui.shapes import Hot, Layout

HELD_S = 4.0
"""At which moment of its movement what moves is photographed: a breath drawn in."""
TAKEN_S = 0.1
"""After which time a touch has been taken, or never is."""
WATCHED_PX = 40
"""The side of the square around a touch in which its answer must be seen."""


@dataclass(frozen=True)
class View:
    """What the screen shows at a moment."""

    page: Page
    layout: Layout
    look: Look
    size: tuple[int, int]
    said: tuple[str, ...]
    aside: tuple[int, int]
    still: bool
    began_s: float
    free_s: float
    """When the next touch would be taken."""


@dataclass(frozen=True)
class Watched:
    """A touch whose answer is awaited: where it was, how many were taken before it, and the pixels that were there.

    `landed_s` is when the finger landed, `cpu_s` the processor time of this process at that moment.
    """

    request: Request
    at: tuple[float, float]
    taken: int
    before: bytes
    landed_s: float
    cpu_s: float


@dataclass
class Hands:
    """`see` says what is shown, `taken` how many touches were taken so far; `counts`: a frame is one once it is drawn."""

    window: Any
    see: Callable[[], View]
    taken: Callable[[], int]
    counts: bool
    frames: int = 0
    shots: list[Request] = field(default_factory=list)
    _watched: Watched | None = None
    _lying: list[tuple[float, float]] = field(default_factory=list)

    def do(self, request: Request) -> None:
        """Do one request, now or with the next frames."""
        doing = {
            "page": self._page,
            "tap": self._tap,
            "touch": self._touch,
            "hold": self._hold,
            "shot": self._shot,
            "frames": self._frames,
        }
        do = doing.get(request.do)
        if do is None:
            request.failed(f"{request.do!r} is not one of {', '.join(doing)}")
            return
        try:
            do(request)
        except (KeyError, TypeError, ValueError) as error:
            request.failed(f"{request.do}: {error!r} is missing or no good")

    def _page(self, request: Request) -> None:
        view = self.see()
        page = view.page
        request.done(
            kind=page.kind.value,
            incident=page.incident,
            texts=list(page.texts()),
            buttons=[hot.button.text for hot in view.layout.hots],
            middles=[_middle(hot) for hot in view.layout.hots],
            cramped=view.layout.cramped,
            left_out=view.layout.left_out,
            size=list(view.size),
            look=asdict(view.look),
            choice=page.choice,
            step=page.step,
            pace=page.pace,
            prompts=list(page.prompts),
            said=list(view.said),
            aside=list(view.aside),
            still=view.still,
            began_s=view.began_s,
            free_s=view.free_s,
        )

    def _frames(self, request: Request) -> None:
        request.done(frames=self.frames, at_s=time.monotonic())

    def _tap(self, request: Request) -> None:
        wanted = str(request.args["text"])
        view = self.see()
        hot = next((hot for hot in view.layout.hots if hot.button.text == wanted), None)
        if hot is None:
            request.failed(f"no button {wanted!r}; there are {[hot.button.text for hot in view.layout.hots]}")
            return
        wait_s = view.free_s - time.monotonic()
        if wait_s > 0:  # who reads a button has seen its page, and lifts the finger between two touches
            Clock.schedule_once(lambda _: self._tap(request), wait_s)
            return
        self._finger(request, *_middle(hot))

    def _touch(self, request: Request) -> None:
        self._finger(request, float(request.args["x"]), float(request.args["y"]))

    def _hold(self, request: Request) -> None:
        """Put fingers down side by side and let them lie, or lift all that lie."""
        points = [(float(x), float(y)) for x, y in request.args["at"]]
        for finger, (x, y) in enumerate(points or self._lying, 2):
            self._say("fingerdown" if points else "fingerup", finger, x, y)
        self._lying = points
        Clock.schedule_once(lambda _: request.done(), TAKEN_S)

    def _finger(self, request: Request, x: float, y: float) -> None:
        """Put a finger down and up where SDL would: in the queue of Kivy's SDL touch provider, and in the mouse's if asked."""
        before = self.taken()
        if request.args.get("watch"):
            self._watch(request, x, y)
            return
        self._land(x, y, int(request.args.get("times", 1)))
        if request.args.get("mouse"):
            self.window.dispatch("on_mouse_down", x, y, "left", [])
            self.window.dispatch("on_mouse_up", x, y, "left", [])
        Clock.schedule_once(lambda _: request.done(taken=self.taken() - before), TAKEN_S)

    def _land(self, x: float, y: float, times: int = 1) -> None:
        for action in ("fingerdown", "fingerup") * times:
            self._say(action, 1, x, y)

    def _say(self, action: str, finger: int, x: float, y: float) -> None:
        provider = next(one for one in EventLoop.input_providers if type(one).__name__ == "SDL2MotionEventProvider")
        width, height = self.window.size
        provider.q.appendleft((action, finger, x / width, y / height, 1.0))

    def _watch(self, request: Request, x: float, y: float) -> None:
        """Look at the pixels around a point, and a moment later touch it from a thread of its own, as a panel does."""
        taken, before = self.taken(), self._around(x, y)

        def land() -> None:
            self._watched = Watched(request, (x, y), taken, before, time.monotonic(), time.process_time())
            self._land(x, y)

        threading.Timer(float(request.args["after_s"]), land).start()

    # --- frames -------------------------------------------------------------------------------------------------------

    def flipped(self) -> None:
        """Count a frame that is drawn and shown next; if it is the first with the answer to a watched touch, say so."""
        self.frames += 1
        if self.counts:
            glFinish()  # where no panel takes the picture, Mesa would put off drawing it, and leave most of them out
        watched = self._watched
        if watched is None or self.taken() == watched.taken or self._around(*watched.at) == watched.before:
            return
        self._watched = None
        seen_s, worked_s = time.monotonic() - watched.landed_s, time.process_time() - watched.cpu_s
        watched.request.done(taken=True, seen_s=seen_s, worked_s=worked_s)

    def _around(self, x: float, y: float) -> bytes:
        """Return the pixels around a point, once they are all drawn."""
        left, low = int(x) - WATCHED_PX // 2, int(self.window.size[1] - y) - WATCHED_PX // 2
        return bytes(glReadPixels(max(0, left), max(0, low), WATCHED_PX, WATCHED_PX, GL_RGB, GL_UNSIGNED_BYTE))

    # --- pictures -----------------------------------------------------------------------------------------------------

    def _shot(self, request: Request) -> None:
        Path(str(request.args["path"])).parent.mkdir(parents=True, exist_ok=True)
        request.args["since_s"] = float(request.args.get("since_s", HELD_S))
        self.shots.append(request)

    def take(self) -> None:
        """Take the first picture that was asked for: of the frame that is drawn, before it is shown."""
        request = self.shots.pop(0)
        path = Path(str(request.args["path"]))
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            name = self.window.screenshot(name=f"{folder}/shot.png")
            Path(name).replace(path)
        request.done()


def _middle(hot: Hot) -> tuple[float, float]:
    return hot.box.x + hot.box.w / 2, hot.box.y + hot.box.h / 2

"""Lets tests and demos see and touch the screen as a person would: a Unix socket that is only there when asked for.

One JSON object a line. Requests: {"do": "page"}, {"do": "tap", "text": …}, {"do": "touch", "x": …, "y": …} (pixels from the
top left; "mouse": true sends it through the mouse as well, as a panel with two drivers does; "watch": true lands
"after_s" later and answers when the first frame is drawn that answers it), {"do": "hold", "at": [[x, y], …]} (fingers that
lie until the next one; with an empty list all are lifted), {"do": "shot", "path": …}
("since_s": …: what moves, as it is so long after its beginning), {"do": "frames"}. Each is answered by {"ok": true, …} or
{"ok": false, "why": …}.
"""

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANSWER_S = 10.0
MAX_LINE_BYTES = 16 * 1024


class RemoteError(RuntimeError):
    """The screen could not do what was asked, or is not there."""


@dataclass
class Request:
    """What was asked, and where the answer goes."""

    do: str
    args: dict[str, Any]
    answer: "queue.Queue[dict[str, Any]]" = field(default_factory=lambda: queue.Queue(1))

    def done(self, **facts: object) -> None:
        """Answer that it was done."""
        self.answer.put_nowait({"ok": True, **facts})

    def failed(self, why: str) -> None:
        """Answer that it was not done, and why."""
        self.answer.put_nowait({"ok": False, "why": why})


class RemoteServer:
    """The screen's end: a thread that reads requests and hands them on; `on_request` may only enqueue."""

    def __init__(
        self, path: Path, on_request: Callable[[Request], None], on_death: Callable[[BaseException], None]
    ) -> None:
        self._on_request, self._on_death = on_request, on_death
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(2)
        threading.Thread(target=self._run, name="remote", daemon=True).start()

    def _run(self) -> None:
        try:
            while True:
                peer, _ = self._listener.accept()
                # A caller that goes away early ends its own conversation and nothing else.
                with peer, contextlib.suppress(OSError):
                    self._serve(peer)
        except BaseException as error:  # noqa: BLE001 - whatever kills this thread must take the process with it
            self._on_death(error)

    def _serve(self, peer: socket.socket) -> None:
        with peer.makefile("rwb") as lines:
            while line := lines.readline(MAX_LINE_BYTES):
                lines.write(json.dumps(self._answer(line)).encode() + b"\n")
                lines.flush()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            args = json.loads(line)
            request = Request(str(args.pop("do")), args)
        except (ValueError, KeyError, AttributeError, TypeError):
            return {"ok": False, "why": "not a request: one JSON object with a key `do` a line"}
        self._on_request(request)
        try:
            return request.answer.get(timeout=ANSWER_S)
        except queue.Empty:
            return {"ok": False, "why": f"the screen did not answer in {ANSWER_S:g} s"}


class ScreenRemote:
    """The other end, for tests and demos. Every method raises `RemoteError` when it cannot be done."""

    def __init__(self, path: Path, timeout_s: float = 15.0) -> None:
        self._path, self._timeout_s = Path(path), timeout_s

    def _ask(self, **request: object) -> dict[str, Any]:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(self._timeout_s)
                sock.connect(str(self._path))
                sock.sendall(json.dumps(request).encode() + b"\n")
                with sock.makefile("rb") as lines:
                    line = lines.readline()
        except OSError as error:
            raise RemoteError(f"screen remote {self._path}: {error}; is `stayby ui --remote` running?") from None
        if not line:
            raise RemoteError(f"screen remote {self._path}: it went away before it answered")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise RemoteError(f"screen remote: {answer['why']}")
        return answer

    def page(self) -> dict[str, Any]:
        """Return what is shown: `kind`, `incident`, `texts` top to bottom, `buttons`, `cramped`, `size`, and how.

        `middles` are the middles of the `buttons` in pixels from the top left. `look` is how it looks, `step` and `pace` what it
        shows of the guidance, `prompts` what belongs to it, `said` what was said last, `aside` by how many pixels it stands
        aside, `still` whether no page fades, `began_s` when its pace began, `free_s` when the next touch would be taken
        (CLOCK_MONOTONIC).
        """
        return self._ask(do="page")

    def tap(self, text: str) -> None:
        """Touch the middle of the button with this text, through Kivy's own input."""
        self._ask(do="tap", text=text)

    def touch(self, x: float, y: float, *, times: int = 1, mouse: bool = False) -> int:
        """Touch a point at once, in pixels from the top left corner, as a panel would: too soon is too soon.

        `times` and `mouse`: the panel says the same touch so often, and says it through the mouse too. Returns how many were
        taken.
        """
        return int(self._ask(do="touch", x=x, y=y, times=times, mouse=mouse)["taken"])

    def hold(self, *at: tuple[float, float]) -> None:
        """Put fingers down at these points, in pixels from the top left, and let them lie; without any, lift those that lie."""
        self._ask(do="hold", at=at)

    def watch(self, x: float, y: float, after_s: float) -> tuple[float, float]:
        """Touch a point that can be touched now; return the seconds until the first frame is drawn that answers it.

        The finger lands `after_s` from now, in a thread of its own as a panel's does; the seconds begin there, and end when the
        pixels around the point have changed. The second figure is the processor time that the screen took for it.
        """
        answer = self._ask(do="touch", x=x, y=y, watch=True, after_s=after_s)
        return float(answer["seen_s"]), float(answer["worked_s"])

    def shot(self, path: Path, since_s: float = 4.0) -> None:
        """Write the frame now shown, once no page fades, as a PNG to `path`, whole or not at all.

        What moves stands as it does `since_s` after its beginning, and the picture in its middle: two frames of the same page
        are the same.
        """
        self._ask(do="shot", path=str(Path(path).absolute()), since_s=since_s)

    def frames(self) -> tuple[int, float]:
        """Return how many frames were drawn so far, and when they were counted (CLOCK_MONOTONIC)."""
        answer = self._ask(do="frames")
        return int(answer["frames"]), float(answer["at_s"])

    def wait_page(self, kind: str, timeout_s: float = 10.0) -> dict[str, Any]:
        """Return the page once it is of `kind`; raise `RemoteError` when it is not within `timeout_s`."""
        return self.wait(lambda page: bool(page["kind"] == kind), f"a page of kind {kind!r}", timeout_s)

    def wait(self, wanted: Callable[[dict[str, Any]], bool], what: str, timeout_s: float = 10.0) -> dict[str, Any]:
        """Return the page once `wanted(page)`; `what` names it for the error."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                page = self.page()
            except RemoteError:
                if time.monotonic() > deadline_s:
                    raise
                page = {"kind": "none yet", "texts": []}
            else:
                if wanted(page):
                    return page
            if time.monotonic() > deadline_s:
                raise RemoteError(
                    f"screen remote: no {what} in {timeout_s:g} s; it shows {page['kind']}: {page['texts']}"
                )
            time.sleep(0.02)

"""A secondary way, whatever it is: what it is called, whether it is told of covert calls, and the thread that tells it.

Each way has a thread of its own, so that one that hangs delays no other. The main thread hands it one notice at a time; the
thread only puts what came of it on the inbox.
"""

import hashlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from kiosk.relay.notice import Notice
from kiosk.relay.outbox import Waiting


class NotTold(OSError):
    """A way could not be told; its text is one line for a technician, without secrets.

    `again_in_s` is when the receiver wants it again; `never` is whether it wants no more of it.
    """

    def __init__(self, says: str, *, again_in_s: float | None = None, never: bool = False) -> None:
        super().__init__(says)
        self.again_in_s, self.never = again_in_s, never


class Way(Protocol):
    """One receiver of notices. `key` is the same after a restart, `name` is for people and holds no secret."""

    name: str
    key: str
    silent: bool

    def tell(self, notice: Notice) -> None:
        """Tell it, within a bounded time; raise `NotTold`."""

    def stop(self) -> None:
        """End what is under way; from another thread."""


def way_key(kind: str, address: str) -> str:
    """Return a way's key: it does not give away its address, which may hold a password."""
    return f"{kind}-{hashlib.sha256(address.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Came:
    """What came of telling one notice: told (`error` is None), or not."""

    waiting: Waiting
    error: NotTold | None


class Teller:
    """The thread of one way; `put` and `on_death` run on it and may only enqueue."""

    def __init__(self, way: Way, put: Callable[[Came], None], on_death: Callable[[BaseException], None]) -> None:
        self.way, self.busy = way, False
        self._put, self._on_death = put, on_death
        self._work: queue.Queue[Waiting] = queue.Queue(1)
        threading.Thread(target=self._run, name=way.name, daemon=True).start()

    def give(self, waiting: Waiting) -> None:
        """Hand it a notice; only when it is not `busy`, which the owner sets back when `Came` arrived."""
        self.busy = True
        self._work.put_nowait(waiting)

    def _run(self) -> None:
        try:
            while True:
                waiting = self._work.get()
                self._put(Came(waiting, self._tell(waiting.notice)))
        except BaseException as error:  # noqa: BLE001 - whatever kills this thread must take the process with it
            self._on_death(error)

    def _tell(self, notice: Notice) -> NotTold | None:
        try:
            self.way.tell(notice)
        except NotTold as error:
            return error
        except OSError as error:  # no room on the disk, no more files: no other way may end for it
            return NotTold(f"{error.strerror or error}; look at this machine's disk and memory")
        return None

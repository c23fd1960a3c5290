"""The hub's one inbox: threads put, the main thread takes, and no flood can grow it without bound or lock it up.

What is bounded by its nature (acknowledgements, presses, link changes) is never refused and never waits. What strangers can flood
either waits for room (the bus: a leaf is slowed down, nothing is lost) or is refused (MQTT: retained and sent again anyway; its
thread must not wait, since it holds a lock that `publish` needs).
"""

import queue
import threading
from typing import Any

ROOM = 500


class Inbox:
    """A queue with room for `room` items of the kind that can be flooded."""

    def __init__(self, room: int = ROOM) -> None:
        self._queue: queue.SimpleQueue[tuple[Any, bool]] = queue.SimpleQueue()
        self._room = threading.BoundedSemaphore(room)

    def put(self, item: object) -> None:
        """Put something that is bounded by its nature."""
        self._queue.put((item, False))

    def put_when_room(self, item: object) -> None:
        """Put something, waiting for room."""
        self._room.acquire()
        self._queue.put((item, True))

    def offer(self, item: object) -> bool:
        """Put something if there is room; return whether there was."""
        if not self._room.acquire(blocking=False):
            return False
        self._queue.put((item, True))
        return True

    def take(self, timeout_s: float) -> Any:
        """Return the oldest item, or None when none came in time."""
        try:
            item, took_room = self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if took_room:
            self._room.release()
        return item

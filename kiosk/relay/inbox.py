"""What threads put for the relay's main thread. Of a topic only the newest message is kept, since they are whole states."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from kiosk.mqtt import LinkEvent, Received
from kiosk.relay.way import Came

TOPICS_MOST = 25_000
EVENTS_MOST = 100_000


@dataclass(frozen=True, slots=True)
class DrillCame:
    """What came of asking a unit for a drill: `says` is why it did not begin, or ""."""

    unit: str
    says: str


class Inbox:
    """`put` from any thread; `take` from the main one. A flood of new topics is refused: what is retained comes again."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._events: deque[LinkEvent | Came | DrillCame] = deque(maxlen=EVENTS_MOST)
        self._topics: dict[str, Received] = {}

    def put(self, event: LinkEvent | Came | DrillCame) -> None:
        """Take an event."""
        with self._lock:
            if not isinstance(event, Received):
                self._events.append(event)
            elif event.topic in self._topics or len(self._topics) < TOPICS_MOST:
                self._topics[event.topic] = event
        self._wake()

    def take(self) -> list[LinkEvent | Came | DrillCame]:
        """Return what is there, what is no message first."""
        with self._lock:
            events = [*self._events, *self._topics.values()]
            self._events.clear()
            self._topics.clear()
        return events

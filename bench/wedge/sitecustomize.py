"""Makes one thread of a service hang when SIGUSR2 comes: for tests and measurements, by PYTHONPATH, never shipped.

WEDGE names the thread (mqtt, button-link, capture). It hangs in its next wait for the system, as one does whose driver hangs.
WEDGE_FRESH_S shortens how long a thread may be silent, where nobody wants to wait for the real time.
"""

import os
import select
import selectors
import signal
import threading
from collections.abc import Callable
from typing import Any

WEDGED = threading.Event()


def hanging(wait: Callable[..., Any]) -> Callable[..., Any]:
    """Return `wait`, in which the thread hangs once it is to."""

    def wait_or_hang(*arguments: Any, **named: Any) -> Any:
        if WEDGED.is_set() and threading.current_thread().name == os.environ["WEDGE"]:
            threading.Event().wait()
        return wait(*arguments, **named)

    return wait_or_hang


if "WEDGE" in os.environ:
    signal.signal(signal.SIGUSR2, lambda *_: WEDGED.set())
    select.select = hanging(select.select)
    selectors.DefaultSelector.select = hanging(selectors.DefaultSelector.select)  # type: ignore[method-assign]  # on purpose
if "WEDGE_FRESH_S" in os.environ:
    from kiosk import duty

    duty.FRESH_S = float(os.environ["WEDGE_FRESH_S"])

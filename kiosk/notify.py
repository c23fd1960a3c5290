"""What a service tells systemd, as sd_notify(3) has it: that it is on duty, that it lives, and in one line how it is.

By hand, because what there is does not fit: `sdnotify` swallows its errors and was last released in 2017; `systemd-python` and
`cysystemd` are native code, of which the hub loads none. The protocol is one datagram of `NAME=value` lines.
"""

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping, MutableMapping

from kiosk.duty import Part, lacking, unfed_line

log = logging.getLogger("stayby")

SOCKET = "NOTIFY_SOCKET"
STATUS_MOST = 300
FEED_S = 1.0
"""So often at most: systemd asks for twice in its WatchdogSec, and each is a datagram."""


def address_of(environment: Mapping[str, str]) -> str | None:
    """Return where systemd listens, as a socket takes it; None when nobody does."""
    named = environment.get(SOCKET, "")
    if named.startswith("@"):
        return f"\0{named[1:]}"
    return named if named.startswith("/") else None


def one_line(text: str) -> str:
    """Return a text as one line that systemd shows whole."""
    return " ".join(text.split())[:STATUS_MOST]


class Notifier:
    """Tells systemd, where it listens. What cannot be told is logged once: a watchdog that hears nothing then does its work."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._failed = False

    def tell(self, *lines: str) -> None:
        """Send these lines as one datagram; never waits."""
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._failed:
                log.error("systemd's socket %s: %s; restart this service", self._address.replace("\0", "@"), error)
            self._failed = True
        else:
            self._failed = False


class Watchdog:
    """Feeds systemd's watchdog while every part does its duty: `look` about once a second. The first time says "ready" too."""

    def __init__(self, notifier: Notifier, clock: Callable[[], float]) -> None:
        self._notifier, self._clock = notifier, clock
        self._fed_s = float("-inf")
        self._unfed = ""
        self._status = ""
        self._ready = False

    def stopping(self) -> None:
        """Say that it ends as it was asked to: until it has ended, nobody is to expect food."""
        self._notifier.tell("STOPPING=1", "STATUS=ending")

    def look(self, parts: Iterable[Part], says: str) -> bool:
        """Feed when nothing is lacking; else say what is, once, and let systemd end this process. Return whether it was fed."""
        now_s = self._clock()
        if now_s - self._fed_s < FEED_S and not self._unfed:
            return True
        lacks = lacking(parts, now_s)
        status = one_line(unfed_line(lacks) if lacks else says)
        changed = [f"STATUS={status}"] if status != self._status else []
        self._status = status
        if lacks and not self._unfed:
            log.error("%s", status)
        self._unfed = status if lacks else ""
        if not lacks:
            self._fed_s = now_s
            changed += ["WATCHDOG=1"] if self._ready else ["READY=1", "WATCHDOG=1"]
            self._ready = True
        if changed:
            self._notifier.tell(*changed)
        return not lacks


def watchdog(clock: Callable[[], float], environment: MutableMapping[str, str] = os.environ) -> Watchdog:
    """Return this service's watchdog. Its children are no service: what they inherit no longer names systemd's socket."""
    address = address_of(environment)
    with contextlib.suppress(KeyError):
        del environment[SOCKET]
    return Watchdog(Notifier(address), clock)


def how_it_is(faults: Iterable[str]) -> str:
    """Return one line of a service whose duty is done, with the codes of the faults that it shows."""
    codes = ", ".join(faults)
    return f"on duty; faults shown: {codes}" if codes else "on duty, no fault"

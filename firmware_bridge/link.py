"""The thread between the serial port and the hub's inbox: opens by path, reopens for ever, dies only aloud."""

import errno
import logging
import os
import select
import termios
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

import serial

from firmware_bridge.events import ButtonEvent, DownReason, LinkStatistics, Pressed, PressId
from firmware_bridge.protocol import BAUD, Beacon
from firmware_bridge.session import ButtonSession

TICK_S = 0.05
REOPEN_S = 0.2
WRITE_TIMEOUT_S = 0.5
PULSE_S = 0.1
CONTROL_FLAGS = 2
"""Their place in what tcgetattr returns."""
HUB_SILENT_S = 5.0
"""A hub that sets the beacon does so each second; one that calls nothing for so long hangs."""
JOIN_S = 5.0
EXIT_SOFTWARE = 70

# An unplugged port raises any of these, TypeError from inside pyserial when the file descriptor has gone under it.
_PORT_ERRORS = (serial.SerialException, OSError, TypeError, termios.error)

log = logging.getLogger(__name__)


def end_process(error: BaseException) -> None:
    """Take the whole process down at once, so that systemd brings it back: a hub without its button is no hub."""
    log.critical("the button link died: %r; the process ends so that it is started anew", error, exc_info=error)
    logging.shutdown()
    os._exit(EXIT_SOFTWARE)


class ButtonLink:
    """The panic button on a serial port.

    `put` is called from the link's thread only, with one event at a time, and must not block. `stored` are press ids
    that the hub has stored already (the newest 1024 are plenty): when the unit repeats one, it is acknowledged and not
    put again. `on_death` is called when the thread cannot go on; it is not expected to return.
    """

    def __init__(
        self,
        port: str,
        put: Callable[[ButtonEvent], None],
        *,
        stored: Iterable[PressId] = (),
        on_death: Callable[[BaseException], None] = end_process,
    ) -> None:
        self._port = port
        self._put = put
        self._on_death = on_death
        self._session = ButtonSession(port, stored)
        self._lock = threading.Lock()
        self._hub_s: float | None = None
        self.started_s = self.turned_s = time.monotonic()
        """When the link's thread last turned, twenty times a second; one that does not hangs."""
        self._wake_out, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._closing = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="button-link", daemon=True)

    def start(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def close(self) -> None:
        """End the thread and let the port go; the unit notices after 2 s."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake()
        if self._thread.ident is not None:
            self._thread.join(JOIN_S)
        self._closed = True
        os.close(self._wake_in)
        os.close(self._wake_out)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ack(self, press: Pressed) -> None:
        """Let the unit forget the press. Call it only after the press has been stored durably."""
        self._called()
        with self._lock:
            self._session.ack(press.press_id)
        self._wake()

    def set_beacon(self, beacon: Beacon) -> None:
        """Show this until told otherwise. From now on call this each second: without a call the unit counts us as gone."""
        self._hub_s = time.monotonic()
        with self._lock:
            self._session.set_beacon(beacon, time.monotonic())
        self._wake()

    def self_test(self) -> None:
        """Make the unit hang for its watchdog to catch it; `SelfTested` follows within 3 s."""
        self._called()
        with self._lock:
            self._session.self_test(time.monotonic())
        self._wake()

    def meter(self, for_s: float) -> None:
        """Have the unit measure for so long from now: `Metered` comes ten times a second; ask again before it ends."""
        self._called()
        with self._lock:
            self._session.meter(time.monotonic() + for_s)
        self._wake()

    def statistics(self) -> LinkStatistics:
        """Return counts for the technicians' status."""
        self._called()
        with self._lock:
            return self._session.statistics()

    def _called(self) -> None:
        """Note that whoever sets the beacon lives."""
        if self._hub_s is not None:
            self._hub_s = time.monotonic()

    # ---- the thread ----

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                port = self._open()
                if port is not None:
                    self._serve(port)
                self._wait(None, REOPEN_S)
        except BaseException as error:  # noqa: BLE001 - whatever it is, a link that died must be heard of
            self._on_death(error)

    def _open(self) -> serial.Serial | None:
        port = serial.Serial()
        port.port = self._port
        port.baudrate = BAUD
        port.timeout = 0
        port.write_timeout = WRITE_TIMEOUT_S
        port.exclusive = True
        try:
            port.open()
            _keep_dtr(port)
        except _PORT_ERRORS as error:
            _close(port)
            self._note_closed(*_why_not_open(self._port, error))
            return None
        with self._lock:
            self._session.opened(time.monotonic())
        return port

    def _serve(self, port: serial.Serial) -> None:
        try:
            while not self._closing.is_set() and not self._wants_reopening():
                self._write(port)
                if self._wait(port, TICK_S):
                    self._read(port)
            if not self._closing.is_set():
                _pulse_dtr(port)
        except _PORT_ERRORS as error:
            log.info("%s: %s; trying to open it again", self._port, error)
            self._note_closed(DownReason.UNPLUGGED, f"{self._port} is gone ({error}): plug the button in again")
        finally:
            _close(port)

    def _wants_reopening(self) -> bool:
        with self._lock:
            return self._session.wants_reopening(time.monotonic())

    def _write(self, port: serial.Serial) -> None:
        now_s, hub_s = time.monotonic(), self._hub_s
        with self._lock:
            self._session.mute(now_s, on=hub_s is not None and now_s - hub_s > HUB_SILENT_S)
            self._session.tick(now_s)
            output = self._session.take_output()
        self._put_events()
        if output:
            port.write(output)

    def _read(self, port: serial.Serial) -> None:
        data = port.read(max(1, port.in_waiting))  # readable and yet empty is an unplugged port: read() says so
        with self._lock:
            self._session.receive(data, time.monotonic())
        self._put_events()

    def _note_closed(self, kind: DownReason, reason: str) -> None:
        with self._lock:
            self._session.closed(kind, reason, time.monotonic())
        self._put_events()

    def _put_events(self) -> None:
        with self._lock:
            events = self._session.take_events()
        for event in events:
            self._put(event)

    def _wait(self, port: serial.Serial | None, timeout_s: float) -> bool:
        self.turned_s = time.monotonic()
        watched = [self._wake_out] if port is None else [self._wake_out, port.fileno()]
        readable, _, _ = select.select(watched, [], [], timeout_s)
        if self._wake_out in readable:
            os.read(self._wake_out, 4096)
        return len(readable) > (self._wake_out in readable)

    def _wake(self) -> None:
        if self._closed:
            return
        try:
            os.write(self._wake_in, b"!")
        except BlockingIOError:
            return  # the pipe is full: the thread will wake up anyway


def _keep_dtr(port: serial.Serial) -> None:
    """Let DTR stay as it is when the port is closed: its next edge, at the next opening, would reset an Arduino."""
    settings = termios.tcgetattr(port.fileno())
    settings[CONTROL_FLAGS] &= ~termios.HUPCL
    termios.tcsetattr(port.fileno(), termios.TCSANOW, settings)


def _pulse_dtr(port: serial.Serial) -> None:
    """Pull the reset pin of an Arduino."""
    log.warning("%s: nothing comes; pulsing DTR, in case the chip hangs", port.port)
    try:
        port.dtr = False
        time.sleep(PULSE_S)
        port.dtr = True
    except OSError as error:
        log.info("%s has no DTR (%s)", port.port, error)


def _close(port: serial.Serial) -> None:
    try:
        port.close()
    except _PORT_ERRORS as error:
        log.debug("closing %s: %s", port.port, error)


def _why_not_open(port: str, error: Exception) -> tuple[DownReason, str]:
    number = getattr(error, "errno", None)
    if number in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
        return DownReason.NO_PORT, f"{port} does not exist: plug the button in, or set button.port to its path"
    if number == errno.EACCES:
        return DownReason.CANNOT_OPEN, f"{port} may not be opened: add this user to the group dialout"
    if number in {errno.EBUSY, errno.EAGAIN}:
        return DownReason.CANNOT_OPEN, f"{port} is held by another program: end that program"
    return DownReason.CANNOT_OPEN, f"{port} cannot be opened ({error}): set button.port to the Stayby button"

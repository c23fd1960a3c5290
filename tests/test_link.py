"""The link's thread on real pseudo-terminals: a simulated unit, wrong devices, pulled plugs, and its own death."""

import os
import pty
import subprocess
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from firmware_bridge import diagnosis
from firmware_bridge import link as link_module
from firmware_bridge.events import (
    ButtonEvent,
    DownReason,
    HostWasLost,
    LidClosed,
    LidOpened,
    LinkDown,
    LinkUp,
    LoopFault,
    LoopRestored,
    Pressed,
    Released,
    SelfTested,
)
from firmware_bridge.link import EXIT_SOFTWARE, ButtonLink
from firmware_bridge.protocol import Beacon, Input, LoopState
from firmware_bridge.simulator import SimulatedButton, SimulatorError
from firmware_bridge.simulator.control import ControlSocket, ask

DEADLINE_S = 15.0
E = TypeVar("E", bound=ButtonEvent)


class Inbox:
    """Collects events as the hub's inbox does; waits for one with a deadline."""

    def __init__(self) -> None:
        self.events: list[ButtonEvent] = []
        self._taken = 0
        self._changed = threading.Condition()

    def put(self, event: ButtonEvent) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def next(self, kind: type[E]) -> E:
        """Return the next event of this kind, skipping others."""
        with self._changed:
            end_s = time.monotonic() + DEADLINE_S
            while True:
                for at, event in enumerate(self.events[self._taken :], self._taken):
                    if isinstance(event, kind):
                        self._taken = at + 1
                        return event
                left_s = end_s - time.monotonic()
                assert left_s > 0, f"no {kind.__name__} within {DEADLINE_S:.0f} s, only {self.events}"
                self._changed.wait(left_s)

    def count(self, kind: type[ButtonEvent]) -> int:
        with self._changed:
            return sum(isinstance(event, kind) for event in self.events)


def wait_until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end_s, "it did not become true in time"
        threading.Event().wait(0.01)


@pytest.fixture
def port(tmp_path: Path) -> Path:
    return tmp_path / "button"


@pytest.fixture
def unit(port: Path) -> Iterator[SimulatedButton]:
    with SimulatedButton(port) as unit:
        yield unit


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@contextmanager
def linked(port: Path, inbox: Inbox) -> Iterator[ButtonLink]:
    """A link whose death fails the test."""
    died: list[BaseException] = []
    with ButtonLink(str(port), inbox.put, on_death=died.append) as link:
        yield link
    assert died == []


@contextmanager
def device(port: Path, says: bytes) -> Iterator[None]:
    """Some other device at `port`, that goes on saying the same."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    port.symlink_to(os.ttyname(slave))
    stop = threading.Event()

    def talk() -> None:
        while not stop.wait(0.05):
            try:
                if says:
                    os.write(master, says)
            except BlockingIOError:
                continue  # nobody reads: a real line would lose it too

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        port.unlink()
        os.close(slave)
        os.close(master)


@pytest.mark.parts
def test_a_press_arrives_and_is_kept_until_acknowledged(port: Path, unit: SimulatedButton, inbox: Inbox) -> None:
    with linked(port, inbox) as link:
        assert inbox.next(LinkUp).firmware == "2.0"
        unit.press()
        pressed = inbox.next(Pressed)
        unit.release()
        inbox.next(Released)
        wait_until(lambda: link.statistics().repeated_frames > 3)
        link.ack(pressed)
        repeated = link.statistics().repeated_frames
        frames = link.statistics().frames
        wait_until(lambda: link.statistics().frames > frames + 2)
        assert link.statistics().repeated_frames <= repeated + 2
        assert inbox.count(Pressed) == 1


@pytest.mark.parts
def test_a_new_link_knows_what_the_hub_has_stored(port: Path, unit: SimulatedButton, inbox: Inbox) -> None:
    with linked(port, inbox):
        inbox.next(LinkUp)
        unit.press()
        first = inbox.next(Pressed)
        unit.release()
        inbox.next(Released)
    later = Inbox()
    with ButtonLink(str(port), later.put, stored=[first.press_id]) as link:
        later.next(LinkUp)
        frames = link.statistics().frames
        wait_until(lambda: link.statistics().frames > frames + 3)
        assert later.count(Pressed) == 0
    forgetful = Inbox()
    with ButtonLink(str(port), forgetful.put) as link:
        forgetful.next(LinkUp)
        frames = link.statistics().frames
        wait_until(lambda: link.statistics().frames > frames + 3)
        assert forgetful.count(Pressed) == 0


@pytest.mark.parts
def test_a_press_while_unplugged_comes_after_the_replug(port: Path, unit: SimulatedButton, inbox: Inbox) -> None:
    with linked(port, inbox) as link:
        inbox.next(LinkUp)
        unit.unplug()
        down = inbox.next(LinkDown)
        assert down.kind is DownReason.UNPLUGGED
        assert str(port) in down.reason
        assert "plug the button in" in down.reason
        unit.press()
        wait_until(lambda: unit.outputs().led)
        unit.release()
        unit.plug()
        wait_until(lambda: inbox.count(LinkUp) == 2 and inbox.count(Pressed) == 1)
        link.ack(inbox.next(Pressed))
        assert (inbox.count(Pressed), inbox.count(LinkDown)) == (1, 1)


@pytest.mark.parts
def test_loop_faults_come_and_go(port: Path, unit: SimulatedButton, inbox: Inbox) -> None:
    with linked(port, inbox):
        inbox.next(LinkUp)
        unit.cut()
        assert inbox.next(LoopFault).kind is LoopState.CUT
        unit.short()
        assert inbox.next(LoopFault).kind is LoopState.SHORT
        unit.normal()
        inbox.next(LoopRestored)


@pytest.mark.parts
def test_the_beacon_is_renewed_and_set_again_after_a_reset(port: Path, unit: SimulatedButton, inbox: Inbox) -> None:
    with linked(port, inbox) as link:
        inbox.next(LinkUp)
        link.set_beacon(Beacon.ALERT)
        wait_until(lambda: unit.outputs().relay)
        unit.reset()
        assert inbox.next(LinkUp).reset_cause == "pin"
        wait_until(lambda: unit.outputs().relay)
        link.set_beacon(Beacon.OFF)
        wait_until(lambda: not unit.outputs().relay)
        assert inbox.count(LinkDown) == 0


@pytest.mark.parts
def test_a_hub_that_hangs_leaves_the_unit_to_help_itself_until_it_calls_again(
    port: Path, unit: SimulatedButton, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "HUB_SILENT_S", 1.0)
    with linked(port, inbox) as link:
        inbox.next(LinkUp)
        link.set_beacon(Beacon.OFF)
        unit.press()
        pressed = inbox.next(Pressed)
        unit.release()
        wait_until(lambda: unit.outputs().relay)
        link.ack(pressed)
        link.set_beacon(Beacon.OFF)
        assert inbox.next(HostWasLost).away_s > 1.0
        wait_until(lambda: not unit.outputs().relay)
        assert inbox.count(LinkDown) == 0


@pytest.mark.parts
def test_opening_the_port_may_reset_the_unit(port: Path, inbox: Inbox) -> None:
    with SimulatedButton(port, reset_on_open=True) as unit:
        with linked(port, inbox):
            assert inbox.next(LinkUp).reset_cause == "pin"
            unit.press()
            first = inbox.next(Pressed)
            unit.release()
            inbox.next(Released)
        later = Inbox()
        with linked(port, later):
            assert later.next(Pressed).press_id == first.press_id


@pytest.mark.parts
def test_closing_the_port_leaves_dtr_alone_so_that_the_next_opening_resets_nothing(
    port: Path, unit: SimulatedButton, inbox: Inbox
) -> None:
    """A pseudo-terminal has no DTR; whether the kernel drops it is in the port's settings."""

    def port_settings(set_flag: int = 0) -> int:
        descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY)
        settings = termios.tcgetattr(descriptor)
        settings[link_module.CONTROL_FLAGS] |= set_flag
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)
        os.close(descriptor)
        return int(settings[link_module.CONTROL_FLAGS])

    assert port_settings(termios.HUPCL) & termios.HUPCL, "as a serial port begins"
    with linked(port, inbox):
        inbox.next(LinkUp)
        unit.press()
    assert not port_settings() & termios.HUPCL


@pytest.mark.parts
def test_the_self_test_proves_the_watchdog(port: Path, unit: SimulatedButton, inbox: Inbox) -> None:
    with linked(port, inbox) as link:
        inbox.next(LinkUp)
        link.self_test()
        tested = inbox.next(SelfTested)
        assert (tested.passed, inbox.next(LinkUp).reset_cause) == (True, "watchdog")
        assert unit.outputs().relay is False


@pytest.mark.parts
def test_a_covert_press_a_covert_loop_and_the_lid_are_told_as_such(
    port: Path, unit: SimulatedButton, inbox: Inbox
) -> None:
    with linked(port, inbox) as link:
        inbox.next(LinkUp)
        unit.press(covert=True)
        pressed = inbox.next(Pressed)
        assert (pressed.input, pressed.count) == (Input.COVERT, 1)
        link.ack(pressed)
        unit.release(covert=True)
        assert inbox.next(Released).input is Input.COVERT
        unit.cut(covert=True)
        assert inbox.next(LoopFault).input is Input.COVERT
        unit.normal(covert=True)
        assert inbox.next(LoopRestored).input is Input.COVERT
        unit.lid(True)
        inbox.next(LidOpened)
        unit.lid(False)
        inbox.next(LidClosed)


@pytest.mark.parts
def test_a_dead_wire_shows_and_its_repair_too(port: Path, unit: SimulatedButton, inbox: Inbox) -> None:
    with linked(port, inbox):
        inbox.next(LinkUp)
        unit.wire(up=False)
        assert inbox.next(LinkDown).kind is DownReason.SILENT
        unit.wire(up=True)
        inbox.next(LinkUp)


@pytest.mark.parts
def test_a_held_port_and_a_missing_port_say_so(port: Path, unit: SimulatedButton, inbox: Inbox) -> None:
    with linked(port, inbox):
        inbox.next(LinkUp)
        other = Inbox()
        with linked(port, other):
            down = other.next(LinkDown)
            assert down.kind is DownReason.CANNOT_OPEN
            assert "held by another program" in down.reason
    assert unit.outputs().relay is False


@pytest.mark.parts
def test_a_wrong_device_is_named_and_the_right_one_still_found(port: Path, inbox: Inbox) -> None:
    with linked(port, inbox):
        missing = inbox.next(LinkDown)
        assert (missing.kind, inbox.count(LinkDown)) == (DownReason.NO_PORT, 1)
        assert "does not exist: plug the button in" in missing.reason
        with device(port, b"$GPGGA,123519,4807.038,N,01131.000,E\r\n"):
            wrong = inbox.next(LinkDown)
            assert wrong.kind is DownReason.WRONG_DEVICE
            assert wrong.reason == f"{port} sends bytes but no frame of ours: set button.port to the Stayby button"
        assert inbox.next(LinkDown).kind is DownReason.UNPLUGGED
        with SimulatedButton(port):
            inbox.next(LinkUp)


@pytest.mark.parts
def test_a_unit_that_comes_back_under_another_name_is_found_by_its_path(
    port: Path, inbox: Inbox, tmp_path: Path
) -> None:
    """One path by udev; what it points to changes with each plug."""
    with SimulatedButton(tmp_path / "ttyUSB0") as first, SimulatedButton(tmp_path / "ttyUSB1") as second:
        assert (tmp_path / "ttyUSB0").readlink() != (tmp_path / "ttyUSB1").readlink()
        port.symlink_to(tmp_path / "ttyUSB0")
        with linked(port, inbox) as link:
            inbox.next(LinkUp)
            port.unlink()
            port.symlink_to(tmp_path / "ttyUSB1")
            first.unplug()
            assert inbox.next(LinkDown).kind is DownReason.UNPLUGGED
            inbox.next(LinkUp)
            second.press()
            link.ack(inbox.next(Pressed))
            second.replug()
            inbox.next(LinkUp)
            assert link.statistics().opened == 3
            assert [event.kind for event in inbox.events if isinstance(event, LinkDown)].count(DownReason.NO_PORT) == 0


@pytest.mark.parts
def test_a_silent_port_is_opened_again_and_again_which_pulses_dtr(
    port: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "PULSES_S", (1.0, 1.0, 60.0))
    with SimulatedButton(port, reset_on_open=True) as unit, linked(port, inbox) as link:
        assert inbox.next(LinkUp).reset_cause == "pin"
        unit.freeze(True)
        assert inbox.next(LinkDown).kind is DownReason.SILENT
        wait_until(lambda: link.statistics().opened >= 3)
        assert inbox.count(LinkDown) == 1, "silence is told once"
        unit.freeze(False)
        inbox.next(LinkUp)
        opened = link.statistics().opened
        frames = link.statistics().frames
        wait_until(lambda: link.statistics().frames > frames + 6)
        assert link.statistics().opened == opened, "a port that speaks stays open"


def test_a_silent_device_is_named(port: Path, inbox: Inbox) -> None:
    with device(port, b""), linked(port, inbox):
        assert inbox.next(LinkDown).kind is DownReason.SILENT


def test_an_echoing_device_is_no_button(port: Path, inbox: Inbox) -> None:
    with device(port, bytes.fromhex("0002410381b30000")), linked(port, inbox) as link:
        assert inbox.next(LinkDown).kind in {DownReason.WRONG_DEVICE, DownReason.NO_HEARTBEAT}
        assert link.statistics().bad_frames > 0


def test_a_file_is_no_port(port: Path, inbox: Inbox) -> None:
    port.write_text("not a serial port")
    with linked(port, inbox):
        down = inbox.next(LinkDown)
        assert down.kind is DownReason.CANNOT_OPEN
        assert "\n" not in down.reason


# ---- a link never dies in silence ----


def test_a_death_is_told(port: Path) -> None:
    died: list[BaseException] = []

    def refuse(_: ButtonEvent) -> None:
        raise OverflowError("the inbox is full")

    with ButtonLink(str(port), refuse, on_death=died.append):
        wait_until(lambda: bool(died))
    assert isinstance(died[0], OverflowError)


def test_a_death_ends_the_process_by_default(port: Path) -> None:
    program = (
        "import sys, time; from firmware_bridge.link import ButtonLink\n"
        "def put(event): raise OverflowError('the inbox is full')\n"
        "ButtonLink(sys.argv[1], put).start(); time.sleep(60)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(port)], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == EXIT_SOFTWARE
    assert "the button link died: OverflowError('the inbox is full')" in done.stderr


# ---- by hand, from another terminal ----


@pytest.mark.parts
def test_the_control_socket_drives_the_unit(port: Path, unit: SimulatedButton, inbox: Inbox, tmp_path: Path) -> None:
    control = tmp_path / "control.sock"
    with ControlSocket(unit, control), linked(port, inbox):
        inbox.next(LinkUp)
        ask(control, "tap")
        inbox.next(Pressed)
        inbox.next(Released)
        assert ask(control, "status").startswith("plugged, loop 2.50 V")
        with pytest.raises(SimulatorError, match="cannot 'explode': it knows press, release"):
            ask(control, "explode")
        with pytest.raises(SimulatorError, match=r"listens at .* already"), ControlSocket(unit, control):
            pass
    with pytest.raises(SimulatorError, match="start one with stayby sim run"):
        ask(control, "tap")


@pytest.mark.parts
def test_the_command_line_runs_a_unit(port: Path, inbox: Inbox, tmp_path: Path) -> None:
    control = str(tmp_path / "control.sock")
    sim = [sys.executable, "-c", "from firmware_bridge.simulator.cli import app; app()"]
    with subprocess.Popen([*sim, "run", "--port", str(port), "--control", control], stdout=subprocess.PIPE) as running:
        with linked(port, inbox):
            inbox.next(LinkUp)
            wait_until(Path(control).exists)
            subprocess.run([*sim, "tap", "--control", control], check=True, timeout=DEADLINE_S)
            inbox.next(Pressed)
        running.terminate()
        assert running.wait(DEADLINE_S) == 0
    assert not port.is_symlink()
    gone = subprocess.run([*sim, "tap", "--control", control], capture_output=True, text=True, check=False)
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)

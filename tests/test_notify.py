"""What a service says to systemd, heard at the other end of a real socket; and when it is fed, in virtual time."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.systemd_ear import SystemdEar
from kiosk.duty import FRESH_S, PATIENT_S, Part, lacking, outside
from kiosk.notify import STATUS_MOST, Notifier, Watchdog, address_of, how_it_is, one_line, watchdog


@pytest.fixture(params=["a path", "an abstract name"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SystemdEar]:
    with SystemdEar(tmp_path / "notify", abstract=request.param == "an abstract name") as ear:
        yield ear


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[SystemdEar]:
    with SystemdEar(tmp_path / "notify") as ear:
        yield ear


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_systemd_hears_it_by_either_kind_of_name(systemd: SystemdEar) -> None:
    Notifier(address_of(systemd.env)).tell("READY=1", "STATUS=on duty")
    assert systemd.hear(1.0)
    assert (systemd.ready_s is not None, systemd.status) == (True, "on duty")


def test_the_first_look_at_a_whole_duty_says_ready_and_each_later_one_feeds(ear: SystemdEar) -> None:
    clock = Clock()
    dog = Watchdog(Notifier(ear.name), clock)
    for _ in range(3):
        clock.now_s += 1
        assert dog.look((), "on duty")
    ear.hear(1.0)
    assert ear.lines == ["STATUS=on duty", "READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]


def test_what_lacks_is_not_fed_and_said_once_until_it_is_whole_again(
    ear: SystemdEar, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    dog = Watchdog(Notifier(ear.name), clock)
    assert dog.look((), "on duty")
    hangs = Part("no turn of the MQTT thread", clock.now_s)
    clock.now_s += FRESH_S + 1
    with caplog.at_level(logging.ERROR):
        assert not dog.look([hangs], "on duty")
        assert not dog.look([hangs], "on duty")
    assert [one.message for one in caplog.records] == [
        "the duty is not done: no turn of the MQTT thread for 11 s; systemd ends this process and starts it anew"
    ]
    ear.hear(1.0)
    assert (ear.meals, ear.status) == (1, caplog.records[0].message)
    assert dog.look((), "on duty")
    ear.hear(1.0)
    assert (ear.meals, ear.status) == (2, "on duty")


def test_a_part_that_never_did_its_work_is_never_ready(ear: SystemdEar) -> None:
    clock = Clock()
    dog = Watchdog(Notifier(ear.name), clock)
    assert not dog.look([Part("no sound", float("-inf"))], "on duty")
    ear.hear(1.0)
    assert ear.ready_s is None


def test_a_socket_that_is_gone_is_logged_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier(str(tmp_path / "nobody"))
    notifier.tell("WATCHDOG=1")
    notifier.tell("WATCHDOG=1")
    assert len(caplog.records) == 1
    assert "restart this service" in caplog.text


def test_without_systemd_nothing_is_told() -> None:
    dog = watchdog(Clock(), {})
    assert dog.look((), "on duty")
    dog.stopping()


def test_a_child_does_not_inherit_systemds_socket(ear: SystemdEar) -> None:
    code = "import os, subprocess, sys, time; from kiosk.notify import watchdog; watchdog(time.monotonic).look((), 'here'); "
    code += "print(subprocess.run(['env'], capture_output=True, text=True, check=True).stdout)"
    done = subprocess.run([sys.executable, "-c", code], env=ear.env, capture_output=True, text=True, check=True)
    assert "NOTIFY" not in done.stdout
    assert ear.hear(1.0)
    assert ear.status == "here"


@pytest.mark.parametrize("named", ["", "run/notify", "vsock:2:1234"])
def test_a_name_that_is_no_unix_socket_is_nobody(named: str) -> None:
    assert address_of({"NOTIFY_SOCKET": named}) is None


@given(st.text())
def test_a_status_is_one_line(text: str) -> None:
    line = one_line(text)
    assert len(line) <= STATUS_MOST
    assert len(line.splitlines()) <= 1


def test_the_status_names_the_faults() -> None:
    assert how_it_is([]) == "on duty, no fault"
    assert how_it_is(["broker", "disk"]) == "on duty; faults shown: broker, disk"


# --- what "the duty is done" means ------------------------------------------------------------------------------------

seconds = st.floats(0, 1e6)


@given(st.lists(seconds), seconds, st.booleans())
def test_a_part_that_worked_within_its_time_never_lacks(silent_s: list[float], now_s: float, shown: bool) -> None:
    fresh = [Part("x", now_s - min(one, FRESH_S), shown=shown) for one in silent_s]
    assert lacking(fresh, now_s) == ()


@given(st.floats(PATIENT_S + 1, 1e6), st.booleans())
def test_no_fault_excuses_a_thread_that_hangs_for_ever(silent_s: float, shown: bool) -> None:
    assert len(lacking([Part("a thread", 0.0, shown=shown)], silent_s)) == 1


@given(st.floats(FRESH_S + 1, PATIENT_S))
def test_a_thread_whose_fault_is_shown_has_more_time(silent_s: float) -> None:
    assert lacking([Part("a thread", 0.0, shown=True)], silent_s) == ()
    assert len(lacking([Part("a thread", 0.0, shown=False)], silent_s)) == 1


@given(st.floats(FRESH_S + 1, 1e9))
def test_what_only_the_world_can_deliver_is_excused_while_its_fault_is_shown(silent_s: float) -> None:
    assert lacking([outside("no sound", 0.0, shown=True)], silent_s) == ()
    assert lacking([outside("no sound", 0.0, shown=False)], silent_s) == (f"no sound for {silent_s:.0f} s",)

"""A technician at the real screen: two fingers, the PIN, the real doctor, four corners; and that whoever calls comes first."""

import json
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kiosk.config import load_unit
from kiosk.corners import CORNERS, Turned, arrives
from kiosk.doctor.parts import touch_corners
from kiosk.doctor.record import Check, doctor_socket
from kiosk.messages import Touch, TouchAction
from kiosk.page import Key, Service
from kiosk.pins import store_pin
from kiosk.ui.layout_service import marks
from kiosk.ui.technician import Found, Looked, PinSeen, Seen, Technician
from kiosk.visit import HOLD_S, LOCKED_S, TRIES, At
from tests.screen import ROOT, Rig, check, config, show, snapshot

PIN = "271828"
STORED = store_pin(PIN)
SIZE = (800, 480)
FREE = ((60.0, 150.0), (60.0, 300.0))
"""Two places of the resting page where nothing can be touched."""


def toml(run_dir: Path) -> str:
    """The settings of the screen as a file, for doctor."""
    tables = json.loads(config(run_dir, *SIZE, service={"pin": STORED}))
    return "\n".join(
        f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
        for name, table in tables.items()
    )


class Asked:
    """What systemd does for stayby-doctor.socket: a process for each connection, which speaks into it."""

    def __init__(self, run_dir: Path) -> None:
        file = run_dir / "kiosk.toml"
        file.write_text(toml(run_dir), encoding="utf-8")
        self._command = [sys.executable, "-m", "kiosk", "doctor", "--for-screen", "--config", str(file)]
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(doctor_socket(run_dir)))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return  # closed
            with peer:
                subprocess.run(self._command, stdout=peer.fileno(), cwd=ROOT, check=False, timeout=60)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A screen with a PIN, and a doctor who can be asked."""
    run_dir = tmp_path_factory.mktemp("visit") / "run"
    run_dir.mkdir()
    asked = Asked(run_dir)
    with Rig(run_dir, *SIZE, more={"service": {"pin": STORED}}) as rig:
        yield rig
    asked.close()


def all_pages(rig: Rig, page: dict[str, Any]) -> Iterator[str]:
    """Yield the texts of all pages of findings, the shown one first."""
    first = more = next(one for one in page["buttons"] if one.startswith("More"))
    while True:
        yield from page["texts"]
        rig.remote.tap(more)
        page = rig.remote.wait(partial(_offers_not, more), "next findings")
        more = next(one for one in page["buttons"] if one.startswith("More"))
        if more == first:
            return


def _offers_not(button: str, page: dict[str, Any]) -> bool:
    return button not in page["buttons"]


def corners(rig: Rig) -> dict[str, Any]:
    """Have root ask for the four corners."""
    rig.hub.show(show())
    rig.remote.wait(lambda page: page["kind"] == "idle" and page["still"], "still idle page")
    assert rig.process is not None
    rig.process.send_signal(signal.SIGUSR1)
    return rig.remote.wait_page("corners")


@contextmanager
def asked_by_root(rig: Rig) -> "Iterator[subprocess.Popen[str]]":
    """Run `stayby doctor --corners` with a systemctl that knows this screen alone."""
    rig.remote.wait(lambda page: page["kind"] == "idle" and page["still"], "still idle page")
    assert rig.process is not None
    systemctl = rig.run_dir / "systemctl"
    line = "kill --kill-whom=main --signal=SIGUSR1 stayby-ui.service"
    systemctl.write_text(f'#!/bin/sh\n[ "$*" = "{line}" ] && kill -USR1 {rig.process.pid}\n')
    systemctl.chmod(0o755)
    file = rig.run_dir / "kiosk.toml"
    file.write_text(toml(rig.run_dir), encoding="utf-8")
    command = [sys.executable, "-m", "kiosk", "doctor", "--corners", "--config", str(file)]
    env = {**os.environ, "PATH": f"{rig.run_dir}:{os.environ['PATH']}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env) as doctor:
        yield doctor


def tap_all(rig: Rig, turned: Turned, tap: str = "Tap") -> None:
    """Touch each mark on a panel that lies so."""
    for corner, mark in zip(CORNERS, marks(*SIZE), strict=True):
        asks = partial(_says, f"{tap} the mark, {corner}")
        rig.remote.wait(asks, f"mark {corner}")
        x, y = arrives(turned, mark)

        def touched(x: float = x, y: float = y, asks: Callable[[dict[str, Any]], bool] = asks) -> bool:
            rig.remote.touch(x * SIZE[0], y * SIZE[1])
            return not asks(rig.remote.page())

        check(touched, "touch of a mark")  # sooner than 0.4 s after the last it is the same finger


def _says(text: str, page: dict[str, Any]) -> bool:
    return text in page["texts"]


# --- on the screen ----------------------------------------------------------------------------------------------------


@pytest.mark.parts
def test_two_fingers_and_the_pin_show_all_that_doctor_finds(rig: Rig) -> None:
    rig.remote.wait_page("idle")
    rig.remote.hold(*FREE)
    rig.remote.wait(lambda page: page["kind"] == "pin", "page for the PIN", HOLD_S + 10)
    rig.remote.hold()
    for digit in PIN:
        rig.remote.tap(digit)
    page = rig.remote.wait(lambda page: "● ● ● ● ● ●" in page["texts"], "six dots")
    assert not [text for text in page["texts"] if PIN in text]
    rig.remote.tap("OK")
    page = rig.remote.wait(lambda page: "Look again" in page["buttons"], "all findings", 60)
    told = " ".join(all_pages(rig, page))
    assert "OK · configuration" in told
    assert "not tested · touch corners: nobody has tapped the four corners yet" in told
    assert "WRONG · network" in told
    assert page["cramped"] == []
    kept = [path for path in rig.run_dir.rglob("*") if path.is_file() and path.suffix in {".json", ".new"}]
    assert kept
    assert not [path for path in kept if PIN in path.read_text()]
    rig.remote.tap("Close")
    rig.remote.wait_page("idle")


@pytest.mark.parts
def test_whoever_calls_comes_first(rig: Rig) -> None:
    corners(rig)
    rig.hub.show(show(snapshot()))
    assert rig.remote.wait_page("waiting")["incident"] == "i-1"
    assert rig.process is not None
    rig.process.send_signal(signal.SIGUSR1)  # not while somebody is looked after
    rig.hub.show(show(snapshot(revision=2, elapsed_s=30)))
    assert rig.remote.wait(lambda page: "0:30" in page["texts"], "a later clock")["kind"] == "waiting"
    page = corners(rig)
    assert page["buttons"] == ["I need help"]
    rig.remote.tap("I need help")
    rig.hub.wait(Touch, lambda touch: touch.action is TouchAction.HELP)
    rig.remote.wait_page("telling")


@pytest.mark.parts
def test_a_mirrored_panel_is_found_set_right_by_the_second_four_and_told_to_doctor(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with Rig(run_dir, *SIZE) as rig, asked_by_root(rig) as doctor:
        rig.remote.wait_page("corners")
        tap_all(rig, Turned.MIRRORED_X)
        rig.remote.wait(lambda page: "Once more: tap the mark, top left" in page["texts"], "marks once more")
        tap_all(rig, Turned.MIRRORED_X, "Once more: tap")
        page = rig.remote.wait_page("tapped")
        assert "Touch is right" in page["texts"]
        assert "Findings" not in page["buttons"]  # root asked for the corners, and for nothing else
        told, _ = doctor.communicate(timeout=30)
        assert doctor.returncode == 0
        assert "each corner is where it was touched; the panel lies 'mirrored-x', and is taken so" in " ".join(
            told.split()
        )
        assert rig.process is not None
        rig.process.kill()
        rig.process.wait(10)
        rig.start()  # it outlives the screen, and a power cut
        rig.remote.wait(lambda page: page["kind"] == "idle" and page["still"], "still idle page")
        page = rig.remote.page()
        x, y = page["middles"][page["buttons"].index("I need help")]
        rig.remote.touch(SIZE[0] - x, y)
        rig.hub.wait(Touch, lambda touch: touch.action is TouchAction.HELP)


# --- without pixels ---------------------------------------------------------------------------------------------------


@pytest.fixture
def inbox() -> "queue.Queue[Seen]":
    return queue.Queue()


def technician(run_dir: Path, inbox: "queue.Queue[Seen]") -> Technician:
    run_dir.mkdir(exist_ok=True)
    return Technician(load_unit(toml(run_dir)), run_dir, inbox.put, lambda error: pytest.fail(repr(error)))


def opened(one: Technician, now_s: float = 100.0) -> None:
    one.hold.down("a", (0.1, 0.3), now_s - HOLD_S, free=True)
    one.hold.down("b", (0.1, 0.6), now_s - HOLD_S, free=True)
    assert one.mind(now_s, may=True, calls=False)
    one.hold.up("a")
    one.hold.up("b")


def types(one: Technician, inbox: "queue.Queue[Seen]", pin: str, now_s: float = 100.0) -> None:
    for digit in pin:
        one.touched(Key(digit), now_s)
    one.touched(Service.ENTER, now_s)
    seen = inbox.get(timeout=20)
    assert isinstance(seen, PinSeen)
    one.take(seen, now_s)


def at(one: Technician) -> At | None:
    return one.visit.at if one.visit else None


def test_five_wrong_pins_lock_it_for_a_screen_that_starts_again_too(
    tmp_path: Path, inbox: "queue.Queue[Seen]", caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    one = technician(tmp_path / "run", inbox)
    opened(one)
    for _ in range(TRIES):
        types(one, inbox, "314159")
    again = technician(tmp_path / "run", inbox)
    opened(again)
    assert again.visit is not None
    assert again.visit.locked_s == pytest.approx(LOCKED_S)
    again.touched(Key("2"), 100.0)
    again.touched(Service.ENTER, 100.0)
    assert inbox.empty()
    later_s = 100.0 + LOCKED_S
    again.close("a while")
    opened(again, later_s)
    types(again, inbox, PIN, later_s)
    assert at(again) is At.FINDINGS
    assert "a wrong PIN, 5 in a row" in caplog.text
    for secret in ("314159", PIN, STORED):
        assert secret not in caplog.text
        assert not [path for path in (tmp_path / "run").glob("pin*") if secret in path.read_text()]


def test_a_try_that_cannot_be_kept_is_not_taken(tmp_path: Path, inbox: "queue.Queue[Seen]") -> None:
    one = technician(tmp_path / "run", inbox)
    (tmp_path / "run" / "pin.json").mkdir()
    opened(one)
    for digit in PIN:
        one.touched(Key(digit), 100.0)
    one.touched(Service.ENTER, 100.0)
    assert inbox.empty()
    assert one.visit is not None
    assert "No PIN is taken" in one.visit.says


def test_a_doctor_who_is_away_or_ends_early_is_one_line(tmp_path: Path, inbox: "queue.Queue[Seen]") -> None:
    one = technician(tmp_path / "run", inbox)
    opened(one)
    types(one, inbox, PIN)
    told = inbox.get(timeout=20)
    assert isinstance(told, Looked)
    one.take(told, 100.0)
    assert one.visit is not None
    assert "No such file or directory" in one.visit.why
    assert "`sudo stayby doctor`" in one.visit.why
    for said, why in ((b"", "ended before"), (b"not a finding\n", "no finding")):
        path = doctor_socket(tmp_path / "run")
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen()
            one.touched(Service.LOOK, 100.0)
            peer, _ = listener.accept()
            with peer:
                peer.sendall(said)
            one.take(inbox.get(timeout=20), 100.0)
        assert why in one.visit.why, said


def test_what_comes_for_a_visit_that_is_over_is_forgotten(tmp_path: Path, inbox: "queue.Queue[Seen]") -> None:
    one = technician(tmp_path / "run", inbox)
    opened(one)
    for digit in PIN:
        one.touched(Key(digit), 100.0)
    one.touched(Service.ENTER, 100.0)
    assert one.mind(101.0, may=False, calls=True)
    opened(one, 102.0)
    one.take(inbox.get(timeout=20), 102.0)
    assert at(one) is At.PIN
    assert not isinstance(one.visit, Found)


def test_it_does_not_open_where_somebody_is_looked_after(tmp_path: Path, inbox: "queue.Queue[Seen]") -> None:
    one = technician(tmp_path / "run", inbox)
    for may, calls in ((False, False), (True, True)):
        for finger, place in (("a", (0.1, 0.3)), ("b", (0.1, 0.6))):
            one.hold.down(finger, place, 100.0 - HOLD_S, free=True)
        assert not one.mind(100.0, may=may, calls=calls)
        one.hold.up("a")
        one.hold.up("b")
        one.ask_corners()
        assert not one.mind(100.0, may=may, calls=calls)
        assert not one.mind(101.0, may=True, calls=False)  # a wish is not kept for later


# --- four corners, again without pixels -------------------------------------------------------------------------------


def taps(one: Technician, turned: Turned, now_s: float) -> float:
    """Touch the marks one after the other on a panel that lies so; return when the last was touched."""
    for mark in marks(*SIZE):
        now_s += 1
        one.tapped(arrives(turned, mark), now_s)
    return now_s


def at_the_corners(run_dir: Path, inbox: "queue.Queue[Seen]") -> Technician:
    one = technician(run_dir, inbox)
    one.ask_corners()
    assert one.mind(100.0, may=True, calls=False)
    return one


def kept(run_dir: Path) -> Check:
    return touch_corners(load_unit(toml(run_dir)))


@pytest.mark.parametrize("turned", [one for one in Turned if one is not Turned.RIGHT])
def test_a_way_that_is_proven_twice_is_in_force_and_stays(
    tmp_path: Path, inbox: "queue.Queue[Seen]", turned: Turned
) -> None:
    one = at_the_corners(tmp_path / "run", inbox)
    now_s = taps(one, turned, 100.0)
    assert (at(one), one.in_force) == (At.CORNERS, turned)
    now_s = taps(one, turned, now_s)
    assert (at(one), one.in_force) == (At.TAPPED, turned)
    one.touched(Service.CORNERS, now_s)
    assert one.visit is not None
    assert one.visit.trial is None  # four are enough, now that it is known
    taps(one, turned, now_s)
    assert (at(one), one.in_force) == (At.TAPPED, turned)
    check(lambda: kept(tmp_path / "run").ok, "kept corners")
    assert technician(tmp_path / "run", inbox).in_force is turned


def test_a_way_that_the_second_four_do_not_prove_is_none(tmp_path: Path, inbox: "queue.Queue[Seen]") -> None:
    one = at_the_corners(tmp_path / "run", inbox)
    now_s = taps(one, Turned.MIRRORED_X, 100.0)
    taps(one, Turned.MIRRORED_Y, now_s)
    assert (at(one), one.in_force) == (At.TAPPED, Turned.RIGHT)
    check(lambda: kept(tmp_path / "run").ok is False, "kept corners")
    assert "top for bottom" in kept(tmp_path / "run").says
    assert technician(tmp_path / "run", inbox).in_force is Turned.RIGHT


def test_a_trial_that_somebody_s_call_ends_is_none(tmp_path: Path, inbox: "queue.Queue[Seen]") -> None:
    one = at_the_corners(tmp_path / "run", inbox)
    now_s = taps(one, Turned.SWAPPED, 100.0)
    assert one.in_force is Turned.SWAPPED
    assert one.mind(now_s, may=False, calls=True)
    assert (one.visit, one.in_force) == (None, Turned.RIGHT)
    assert kept(tmp_path / "run").ok is None


def test_what_kiosk_toml_says_is_changed_there_alone(tmp_path: Path, inbox: "queue.Queue[Seen]") -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    config = load_unit(toml(run_dir).replace("[ui]", '[ui]\ntouch = "right"'))
    one = Technician(config, run_dir, inbox.put, lambda error: pytest.fail(repr(error)))
    one.ask_corners()
    one.mind(100.0, may=True, calls=False)
    taps(one, Turned.MIRRORED_X, 100.0)
    assert (at(one), one.in_force) == (At.TAPPED, Turned.RIGHT)


def test_corners_that_cannot_be_written_down_say_so(tmp_path: Path, inbox: "queue.Queue[Seen]") -> None:
    one = at_the_corners(tmp_path / "run", inbox)
    (tmp_path / "run" / "state").write_text("no folder")
    taps(one, Turned.RIGHT, 100.0)
    assert one.visit is not None
    assert one.visit.kept
    one.take(inbox.get(timeout=20), 200.0)
    assert not one.visit.kept

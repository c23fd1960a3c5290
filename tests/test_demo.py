"""The whole store: each story plays to its end with its pictures, and any one part can be killed in mid-incident."""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.demo.browser import Phone, browser, open_phone
from kiosk.demo.stage import SAM, Part, Stage, wait_for
from kiosk.demo.webhook import BadPost, words
from kiosk.messages import Reach, State
from kiosk.relay.webhook import signature
from kiosk.ui.remote import ScreenRemote

pytestmark = [pytest.mark.parts, pytest.mark.timeout(300)]

MEASURES = {
    "press": {"press_to_board_s", "board_answer_to_screen_s"},
    "voice": {"phrase_end_to_board_s", "board_answer_to_screen_s"},
    "unanswered": {"press_to_board_s", "press_to_next_tier_s", "press_to_emergency_page_s", "board_answer_to_screen_s"},
}


@pytest.mark.parametrize("story", list(MEASURES))
def test_a_story_plays_to_its_end_and_leaves_nothing_behind(story: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "kiosk", "demo", "--story", story, "--headless", "--report", str(out)]
    with tempfile.TemporaryDirectory(prefix="sb-") as scratch:  # a short path: Chromium puts sockets there
        env = {**os.environ, "TMPDIR": scratch}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        assert not list(Path(scratch).glob("stayby-demo-*"))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((out / "report.json").read_text())
    assert report["ok"] is True
    assert report["story"] == story
    assert set(report["measures"]) == MEASURES[story]
    assert all(set(event) == {"t_s", "source", "what"} for event in report["events"])
    kiosk, boards = list(out.glob("*-kiosk.png")), list(out.glob("*-board-sam.png"))
    assert len(kiosk) == len(boards) >= 5


def test_a_story_that_is_not_there_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kiosk", "demo", "--story", "x"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there are: press, voice, unanswered" in done.stderr


def test_by_hand_a_press_is_told_by_the_webhook_and_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="sb-") as scratch:
        env = {"TMPDIR": scratch, "XDG_RUNTIME_DIR": scratch}
        demo = Part("demo", [sys.executable, "-m", "kiosk", "demo", "--headless"], tmp_path, env)
        demo.start()
        wait_for("the relay", lambda: _relay_is_connected(demo, Path(scratch)), 60.0)
        tap = [sys.executable, "-m", "kiosk", "sim", "tap"]
        subprocess.run(tap, check=True, capture_output=True, env={**os.environ, **env})
        wait_for("the webhook", lambda: "  webhook: Help now · Service desk 3. " in demo.said())
        demo.signal(signal.SIGINT)
        wait_for("its end", lambda: demo.ended() is not None)
        assert demo.ended() == 0, demo.said()
        assert not list(Path(scratch).glob("stayby-demo-*"))
    assert "has ended" not in demo.said()
    assert "Traceback" not in demo.said()


def _relay_is_connected(demo: Part, scratch: Path) -> bool:
    assert demo.ended() is None, demo.said()
    logs = list(scratch.glob("stayby-demo-*/relay.log"))
    return "The store is open" in demo.said() and any("connected to the broker" in log.read_text() for log in logs)


def test_a_post_that_the_relay_did_not_sign_just_now_is_refused() -> None:
    secret, now_s = secrets.token_urlsafe(), time.time()
    body = json.dumps({"data": {"title": "Over · \x1b[2J", "text": "It is over.\nBoard.", "notice": "Board."}}).encode()
    signed = signature(secret.encode(), "msg_1", int(now_s), body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now_s)), "webhook-signature": signed}
    assert words(headers, body, secret, now_s) == "Over ·  [2J. It is over."
    for wrong, then_s in (
        (headers, now_s + 301),
        (headers | {"webhook-id": "msg_2"}, now_s),
        (headers | {"webhook-timestamp": "soon"}, now_s),
        ({}, now_s),
    ):
        with pytest.raises(BadPost):
            words(wrong, body, secret, then_s)
    empty = headers | {"webhook-signature": signature(secret.encode(), "msg_1", int(now_s), b"[]")}
    with pytest.raises(BadPost, match="none of the relay's"):
        words(empty, b"[]", secret, now_s)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Part, Phone]]:
    """A store with a press that waits for an answer, and Sam's board open on a phone."""
    with (
        Stage(tmp_path_factory.mktemp("store"), escalation={"escalate_s": 600.0, "check_in_s": 600.0}) as stage,
        browser() as running,
    ):
        stage.start_unit()
        part = stage.start_board()
        phone = open_phone(running, stage.board_page(SAM), "Sam")
        wait_for("Sam to be known", lambda: _incident(stage) == (Reach.OK, None))
        stage.tap_button()
        phone.wait_alert()
        yield stage, part, phone


def _incident(stage: Stage) -> tuple[Reach, str | None] | None:
    status = stage.status()
    return (status.reach, status.incident.id if status.incident else None) if status else None


@pytest.mark.parametrize("victim", ["alertd", "listen", "ui", "board", "mosquitto"])
def test_kill_9_of_any_part_in_mid_incident(victim: str, store: tuple[Stage, Part, Phone]) -> None:
    stage, board, phone = store
    before = wait_for("the incident", lambda: _incident(stage))
    if victim == "mosquitto":
        stage.broker.restart()
    elif victim == "board":
        board.kill()
        phone.page.locator("body.down").wait_for()
        board.start()
    else:
        stage.parts[victim].kill()
        stage.parts[victim].start()
    wait_for("the same incident, and staff to hear it", lambda: _incident(stage) == before)
    status = stage.status()
    assert status is not None
    assert status.incident is not None
    assert status.incident.state is State.RAISED
    assert [entry.what for entry in status.incident.timeline].count("raised") == 1
    page = ScreenRemote(stage.screen_remote).wait(
        lambda page: page["incident"] == before[1], "the incident on the screen"
    )
    # away for longer than the grace, staff were out of reach for a while, and the page with the number came
    assert page["kind"] in {"waiting", "emergency"}
    phone.page.locator("body:not(.down) article").wait_for()
    assert phone.page.locator("article").count() == 1
    assert phone.page.locator("article").get_attribute("data-incident") == before[1]


def test_the_hub_goes_on_while_the_screen_is_frozen_or_crashes(store: tuple[Stage, Part, Phone]) -> None:
    stage, _, phone = store
    ui = stage.parts["ui"]
    ui.signal(signal.SIGSTOP)
    wait_for("the fault", lambda: _has_fault(stage, "screen"))
    phone.touch("2 min")
    phone.wait_text("coming")
    ui.signal(signal.SIGSEGV)
    ui.signal(signal.SIGCONT)
    wait_for("its end", lambda: ui.ended() is not None)
    phone.touch("I’m here")
    wait_for(
        "the answer", lambda: (answer := stage.status()) and answer.incident and answer.incident.state is State.ATTENDED
    )
    ui.start()
    ScreenRemote(stage.screen_remote).wait_page("attended", 30.0)
    wait_for("the end of the fault", lambda: not _has_fault(stage, "screen"))


def _has_fault(stage: Stage, code: str) -> bool:
    status = stage.status()
    return status is not None and code in {fault.code for fault in status.status.faults}

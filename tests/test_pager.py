"""The pager for real: its own process, on pipes and in a terminal, against mosquitto with TLS."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.board.pager_view import CLEAR, ESCAPE, RUB_OUT, Keys, Note, printable
from kiosk.board.view import CLOSE
from kiosk.demo.broker import PrivateBroker
from kiosk.messages import CloseReply, ComingReply, Duty, Entry, Face, Going, Outcome, Severity, State
from tests.board_parts import PATIENCE_S, PRIYA, SAM, Desk, Program, board_toml, desk, until
from tests.broker import broker

pytestmark = pytest.mark.parts
__all__ = ["broker"]


class Output:
    """What a file descriptor said so far."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.text = ""

    def read(self) -> str:
        """Return what it said, with what comes within a moment."""
        if select.select([self._number], [], [], 0.1)[0]:
            self.text += os.read(self._number, 65536).decode(errors="replace")
        return self.text

    def wait_for(self, text: str) -> None:
        """Read until `text` is there; what was read is then forgotten."""
        deadline_s = time.monotonic() + PATIENCE_S
        while text not in self.text:
            assert time.monotonic() < deadline_s, f"no {text!r} in {self.text[-2000:]!r}"
            if select.select([self._number], [], [], 0.1)[0]:
                self.text += os.read(self._number, 65536).decode(errors="replace")
        self.text = self.text.partition(text)[2]


class Pager:
    """`stayby pager` on pipes: lines in, text out."""

    def __init__(self, folder: Path, broker: PrivateBroker) -> None:
        config = board_toml(folder, broker.section_for_responder("priya"))
        self.program = Program("pager", config, folder / "pager.log")
        assert self.program.process.stdout is not None
        self.output = Output(self.program.process.stdout.fileno())

    def press(self, keys: str) -> None:
        assert self.program.process.stdin is not None
        self.program.process.stdin.write(keys.encode() + b"\n")
        self.program.process.stdin.flush()


@contextlib.contextmanager
def terminal(folder: Path, broker: PrivateBroker) -> Iterator[tuple[subprocess.Popen[bytes], int, Output]]:
    """Run Sam's pager in a terminal; yield its process, where keys go, and what it shows."""
    ours, theirs = pty.openpty()
    config = board_toml(folder, broker.section_for_responder("sam"), SAM)
    command = [sys.executable, "-c", "from kiosk.cli import app; app()", "pager", "--config", str(config)]
    environment = {**os.environ, "TERM": "xterm", "LANG": "C.UTF-8"}
    run = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    try:
        yield run, ours, Output(ours)
    finally:
        run.kill()
        run.wait()
        os.close(ours)


@pytest.fixture
def unit(broker: PrivateBroker) -> Iterator[Desk]:
    with desk(broker) as one:
        yield one


@pytest.fixture
def pager(tmp_path: Path, broker: PrivateBroker) -> Iterator[Pager]:
    running = Pager(tmp_path, broker)
    yield running
    running.program.close()


def test_a_whole_alert_by_keys(pager: Pager, unit: Desk) -> None:
    until(unit.listening)
    pager.output.wait_for("No open alert.")
    unit.say(name="Ana")
    pager.output.wait_for("HELP NOW")
    pager.output.wait_for("First name: Ana.")
    unit.reply("seen")
    pager.press("2")
    coming = unit.reply("coming")
    assert isinstance(coming, ComingReply)
    assert coming.eta_s == 120
    unit.say(revision=2, state=State.COMING, coming=(Going(responder=PRIYA, eta_s=119),), seen=(PRIYA,))
    pager.output.wait_for("You are coming")
    pager.press("x")
    pager.output.wait_for("[x] does nothing here now.")
    pager.press("h")
    unit.reply("here")
    unit.say(revision=3, state=State.ATTENDED, here=PRIYA, seen=(PRIYA,))
    pager.output.wait_for("How did it end?")
    pager.press("t")
    close = unit.reply("close")
    assert isinstance(close, CloseReply)
    assert close.outcome is Outcome.TEST
    unit.say(revision=4, state=State.CLOSED)
    pager.output.wait_for("No open alert.")
    pager.press("q")
    assert pager.program.process.wait(PATIENCE_S) == 0
    until(lambda: not unit.listening())


def test_a_graver_alert_does_not_take_the_keys_away(pager: Pager, unit: Desk, broker: PrivateBroker) -> None:
    unit.say()
    pager.output.wait_for("> HELP NOW")
    with desk(broker, "returns", "Returns desk") as other:
        other.say(severity=Severity.GRAVE)
        pager.output.wait_for("Returns desk")
        other.reply("seen")
        pager.press("n")
        assert unit.reply("call_next").incident == unit.incident
        pager.press("j h")
        assert other.reply("here").incident == other.incident
        assert [one.kind for one in other.replies] == ["seen", "here"]


def test_a_killed_broker_is_said_and_met_again(pager: Pager, unit: Desk, broker: PrivateBroker) -> None:
    until(unit.listening)
    broker.kill()
    pager.output.wait_for("NOT CONNECTED")
    unit.presences.clear()
    broker.start()
    pager.output.wait_for("Connected")
    until(unit.listening)
    assert pager.program.end(signal.SIGTERM) == 0
    until(lambda: not unit.listening())


def test_a_killed_pager_is_missed(pager: Pager, unit: Desk) -> None:
    until(unit.listening)
    pager.program.end(signal.SIGKILL)
    until(lambda: not unit.listening())


def test_in_a_terminal_single_keys_answer_and_the_bell_rings(tmp_path: Path, broker: PrivateBroker, unit: Desk) -> None:
    with terminal(tmp_path, broker) as (run, ours, output):
        output.wait_for("No open alert.")
        unit.say(place="\x1b]0;owned\x07")
        output.wait_for("\ufffd]0;owned\ufffd")
        output.wait_for("\x07")
        until(lambda: os.write(ours, b"h") and unit.read().replies and unit.replies[-1].kind == "here")
        os.write(ours, b"q")
        assert run.wait(PATIENCE_S) == 0


def test_the_card_for_an_ambulance_is_text(pager: Pager, unit: Desk) -> None:
    face = Face(
        store="harbour", unit=unit.unit, place=unit.place, address="12 Quay\x1b[2J Street", emergency_number="999",
        meet="the north entrance",
    )  # fmt: skip
    unit.beat(face=face)
    unit.say(severity=Severity.GRAVE)
    pager.output.wait_for("> GRAVE: HELP NOW")
    pager.press("a")
    pager.output.wait_for("Call 999.")
    pager.output.wait_for("The address is 12 Quay\ufffd[2J Street.")
    pager.output.wait_for("We meet the crew here: the north entrance.")
    pager.output.wait_for("Not set for this desk")
    pager.press("c")
    assert unit.reply("coming").incident == unit.incident


def test_a_line_of_text_goes_with_a_close(pager: Pager, unit: Desk) -> None:
    unit.say(state=State.ATTENDED, here=PRIYA)
    pager.output.wait_for("How did it end?")
    pager.press("r:Swept up the glass. \x1b[2J")
    close = unit.reply("close")
    assert isinstance(close, CloseReply)
    assert close.outcome is Outcome.REAL
    assert close.note.startswith("Swept up the glass.")
    assert close.known_s is not None


def test_who_is_on_break_is_asked_last_and_hears_still(pager: Pager, unit: Desk) -> None:
    until(unit.listening)
    pager.press("b")
    until(lambda: unit.read().presences["priya"].duty is Duty.BREAK)
    assert (unit.presences["priya"].tier, unit.presences["priya"].listening) == (9, True)
    pager.press("b")
    until(lambda: unit.read().presences["priya"].duty is Duty.ON)
    assert unit.presences["priya"].tier == 1


def test_in_a_terminal_a_line_is_typed_and_sent_with_the_close(
    tmp_path: Path, broker: PrivateBroker, unit: Desk
) -> None:
    with terminal(tmp_path, broker) as (run, ours, output):
        output.wait_for("No open alert.")
        unit.say(state=State.ATTENDED, here=SAM)
        output.wait_for("How did it end?")
        until(lambda: os.write(ours, b"r") and "A line about it" in output.read())
        os.write(ours, "gla\u00df 测试q\x7f\r".encode())
        close = unit.reply("close")
        assert isinstance(close, CloseReply)
        assert close.note.endswith("gla\u00df 测试")
        os.write(ours, b"q")
        assert run.wait(PATIENCE_S) == 0


def test_a_close_is_not_sent_where_somebody_called_again_while_its_line_was_typed(
    tmp_path: Path, broker: PrivateBroker, unit: Desk
) -> None:
    with terminal(tmp_path, broker) as (run, ours, output):
        output.wait_for("No open alert.")
        unit.say(state=State.ATTENDED, here=SAM)
        output.wait_for("How did it end?")
        until(lambda: os.write(ours, b"r") and "A line about it" in output.read())
        unit.say(state=State.ATTENDED, here=SAM, severity=Severity.GRAVE, timeline=(Entry(t_s=9, what="told_worse"),))
        output.wait_for("GRAVE")
        os.write(ours, b"\r")
        output.wait_for("Not closed: somebody called there again.")
        assert not [one for one in unit.read().replies if one.kind == "close"]
        os.write(ours, b"q")
        assert run.wait(PATIENCE_S) == 0


def test_nothing_in_a_name_is_obeyed_by_a_terminal() -> None:
    assert printable("Zoë 测试 \x1b[2J\x07\u202e") == "Zoë 测试 \ufffd[2J\ufffd\ufffd"
    assert printable("\u0646\u200c\u0627 \u0915\u094d\u200d\u0937") == "\u0646\u200c\u0627 \u0915\u094d\u200d\u0937"
    assert printable("a" + "\u0301" * 50) == "a" + "\u0301" * 4


@given(st.text())
def test_no_text_at_all_is_obeyed_by_a_terminal(text: str) -> None:
    assert not [char for char in printable(text) if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}]


def pressed(sent: str) -> list[str]:
    keys = Keys()
    found = [key for key in map(keys.feed, sent) if key]
    return [*found, *([keys.rest()] if keys.pending else [])]


def test_arrows_and_other_long_keys_are_no_answers() -> None:
    assert pressed("\x1b[B\x1b[Ac") == ["j", "k", "c"]
    assert pressed("\x1b[15~\x1bOP\x1b[1;5Ch") == ["h"]
    assert pressed("c\x1b") == ["c", ESCAPE]
    assert pressed("\x1bx\x15\x7f") == ["x", CLEAR, RUB_OUT]


@given(st.text())
def test_no_bytes_from_a_keyboard_upset_the_keys(sent: str) -> None:
    assert all(pressed(sent))


def test_a_typed_line_has_an_end() -> None:
    note = Note("one", "Desk", CLOSE[0])
    for key in ["x"] * 300:
        note = note.typed(key)
    assert len(note.text) == 200
    assert note.typed(RUB_OUT).text == "x" * 199
    assert note.typed("\x1b").text == note.text
    assert note.typed(CLEAR).text == ""

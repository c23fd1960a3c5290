"""The unit's bus on a real socket, and the inbox behind it: nothing is lost, nothing locks up, nothing grows without bound."""

import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.bus import BusError, BusServer, Leaf, Lines, ask, encode
from kiosk.demo.stage import wait_for
from kiosk.inbox import Inbox
from kiosk.messages import (
    MAX_BUS_LINE_BYTES,
    AskStatus,
    Hello,
    Reach,
    Role,
    ScreenBeat,
    Status,
    StatusAnswer,
    UnitState,
)

HELLO = Hello(role=Role.UI)
ANSWER = StatusAnswer(status=Status(store="s", unit="u", place="Desk", state=UnitState.READY), reach=Reach.OK)


@given(st.lists(st.binary(max_size=50).filter(lambda line: b"\n" not in line)), st.integers(1, 20))
def test_lines_come_back_however_the_stream_is_cut(lines: list[bytes], piece: int) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cutter = Lines()
    got = [line for at in range(0, len(stream), piece) for line in cutter.feed(stream[at : at + piece])]
    assert got == lines


def test_an_endless_line_is_cut_off_once_and_the_next_is_whole() -> None:
    cutter = Lines()
    got = [line for _ in range(5) for line in cutter.feed(b"x" * MAX_BUS_LINE_BYTES)]
    got += cutter.feed(b"end\nnext\n")
    assert len(got) == 2
    assert got[1] == b"next"


class Hub:
    """A bus server whose callbacks only enqueue."""

    def __init__(self, path: Path) -> None:
        self.came: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.server = BusServer(
            path,
            on_message=lambda number, message: self.came.put(("message", (number, message))),
            on_bad=lambda number, text: self.came.put(("bad", (number, text))),
            on_gone=lambda number: self.came.put(("gone", number)),
            on_death=lambda error: self.came.put(("death", error)),
        )

    def take(self, kind: str) -> Any:
        got, what = self.came.get(timeout=10)
        assert got == kind, what
        return what


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    made = Hub(tmp_path / "bus.sock")
    yield made
    made.server.close()


def leaf(path: Path, got: list[object], linked: list[bool]) -> Leaf:
    return Leaf(path, HELLO, got.append, linked.append, got.append, got.append)


def test_a_leaf_comes_back_when_the_hub_does(tmp_path: Path) -> None:
    path = tmp_path / "bus.sock"
    got: list[object] = []
    linked: list[bool] = []
    made = leaf(path, got, linked)
    assert not made.send(ScreenBeat())
    for again in (False, True):
        hub = Hub(path)
        number, hello = hub.take("message")
        assert hello == HELLO.model_copy(update={"again": again}), "a hub that starts anew knows who did not"
        assert wait_for("the beat", lambda: made.send(ScreenBeat()))
        assert hub.take("message") == (number, ScreenBeat())
        assert hub.server.send(number, ANSWER)
        wait_for("the answer", lambda: ANSWER in got)
        got.clear()
        hub.server.close()
    wait_for("the end of the second link", lambda: linked == [True, False, True, False])
    made.close()


def test_garbage_is_told_and_the_line_after_it_is_heard(hub: Hub, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.connect(str(tmp_path / "bus.sock"))
        stranger.sendall(b"\x00\xff{\n" + encode(HELLO))
        assert "line from a leaf" in hub.take("bad")[1]
        assert hub.take("message")[1] == HELLO
    assert hub.take("gone") == 1


def test_a_leaf_that_does_not_read_is_dropped_and_the_hub_never_waits(hub: Hub, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as frozen:
        frozen.connect(str(tmp_path / "bus.sock"))
        frozen.sendall(encode(HELLO))
        number, _ = hub.take("message")
        assert not all(hub.server.send(number, ANSWER) for _ in range(100_000))
        assert hub.take("gone") == number
    assert not hub.server.send(number, ANSWER)


def test_asking_where_nobody_answers_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BusError, match="is `stayby alertd` running"):
        ask(tmp_path / "none.sock", AskStatus(), 0.5)


def test_a_run_folder_that_cannot_be_made_says_which_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BusError, match="run_dir"):
        Hub(tmp_path / "file" / "bus.sock")


# --- the inbox --------------------------------------------------------------------------------------------------------


def test_the_inbox_refuses_a_flood_and_still_takes_what_matters() -> None:
    inbox = Inbox(room=3)
    assert [inbox.offer(number) for number in range(5)] == [True, True, True, False, False]
    inbox.put("acknowledged")
    assert [inbox.take(0.0) for _ in range(5)] == [0, 1, 2, "acknowledged", None]
    assert inbox.offer("room again")


def test_whoever_may_wait_waits_for_room_and_loses_nothing() -> None:
    inbox = Inbox(room=2)

    def write() -> None:
        for number in range(100):
            inbox.put_when_room(number)

    writer = threading.Thread(target=write)
    writer.start()
    assert [inbox.take(5.0) for _ in range(100)] == list(range(100))
    writer.join()

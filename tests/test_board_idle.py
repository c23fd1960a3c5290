"""A store's device that nobody touches is signed out, but nobody on the way, at a desk, or alone listening."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from kiosk.board.page import Board
from kiosk.demo.broker import PrivateBroker
from kiosk.messages import State
from kiosk.store_config import load_store
from tests.board_parts import PINS, PRIYA, desk, store_toml, until
from tests.broker import broker
from tests.running_board import Browserless, RunningBoard, stream

pytestmark = pytest.mark.parts
__all__ = ["broker"]


class HereBoard(RunningBoard):
    """A board that runs in this process."""

    def __init__(self, folder: Path, broker: PrivateBroker, port: int) -> None:
        self.folder, self.ca_file, self._known = folder, broker.folder / "ca.pem", {}
        self.url = f"http://127.0.0.1:{port}/"


def run_board(folder: Path, broker: PrivateBroker, watch: Callable[[RunningBoard], None]) -> None:
    """Run a board that signs out after five seconds, and `watch` it from a thread."""
    store = load_store(store_toml(folder, broker).read_text())

    async def both() -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as sock:
            board = Board(store, idle_s=5.0)
            serving = asyncio.create_task(board.serve(sock))
            try:
                await asyncio.to_thread(watch, HereBoard(folder, broker, sock.getsockname()[1]))
            finally:
                board._stop()
                await serving

    asyncio.run(both())


def by_pin(board: RunningBoard, who: str) -> Browserless:
    device = Browserless(board)
    assert device.sign_in(who, PINS[who]) == 303
    return device


def test_nobody_at_a_desk_is_signed_out(broker: PrivateBroker, tmp_path: Path) -> None:
    def watch(board: RunningBoard) -> None:
        with desk(broker) as unit, stream(by_pin(board, "priya")) as at_desk, ExitStack() as later:
            unit.say(state=State.ATTENDED, here=PRIYA)
            at_desk.wait(lambda view: view["alerts"])
            own = later.enter_context(stream(board.signed_in("sam"), "own"))
            idle = later.enter_context(stream(sam := by_pin(board, "sam"), "idle"))
            assert idle.ended.wait(20), "nobody touched Sam's"
            assert "so you were signed out" in sam.ask("GET", "/sign-in")[2].decode()
            own.wait(lambda view: view["alerts"])
            assert not at_desk.ended.is_set()
            assert not own.ended.is_set(), "one's own phone stays signed in"
            unit.say(revision=2, state=State.CLOSED)
            assert at_desk.ended.wait(20)

    run_board(tmp_path, broker, watch)


def test_the_only_one_who_listens_stays_until_somebody_else_does(broker: PrivateBroker, tmp_path: Path) -> None:
    def watch(board: RunningBoard) -> None:
        with stream(by_pin(board, "priya")) as alone:
            alone.wait(lambda view: view["connected"])
            assert not alone.ended.wait(8), "nobody else would hear"
            sam = by_pin(board, "sam")
            with stream(sam) as other:
                while not alone.ended.wait(0.5):
                    assert sam.send("/alive", {"page": "test-page", "touched": True})[0] == 204
                assert not other.ended.is_set(), "Sam touched his"

    run_board(tmp_path, broker, watch)


def test_of_two_whom_nobody_touches_one_stays(broker: PrivateBroker, tmp_path: Path) -> None:
    """After a restart of the board everybody's time begins anew, and ends together."""

    def watch(board: RunningBoard) -> None:
        with stream(by_pin(board, "priya")) as one, stream(by_pin(board, "sam")) as other:
            until(lambda: one.ended.is_set() or other.ended.is_set())
            left = other if one.ended.is_set() else one
            assert not left.ended.wait(3), "nobody else would hear"

    run_board(tmp_path, broker, watch)


def test_while_somebody_calls_nobody_is_signed_out(broker: PrivateBroker, tmp_path: Path) -> None:
    def watch(board: RunningBoard) -> None:
        with desk(broker) as unit, stream(by_pin(board, "priya")) as one, stream(by_pin(board, "sam")) as other:
            unit.say()
            one.wait(lambda view: view["alerts"])
            assert not one.ended.wait(8)
            assert not other.ended.is_set()
            unit.say(revision=2, state=State.CLOSED)
            until(lambda: one.ended.is_set() or other.ended.is_set())

    run_board(tmp_path, broker, watch)

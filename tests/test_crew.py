"""The board's crew: one person's pages, and what their devices say of them beside each other."""

import asyncio
import time
from contextlib import closing, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from kiosk.board.accounts import board_config
from kiosk.board.crew import ALIVE_S, PAGES_MOST, Crew, TooManyPages
from kiosk.board.station import PRESENCE_EVERY_S, Station
from kiosk.demo.broker import PrivateBroker
from kiosk.messages import parse_presence, presence_topic
from kiosk.mqtt import MqttLink, Received
from kiosk.store_config import StoreConfig, load_store
from tests.board_parts import store_toml, until
from tests.broker import STORE, broker

pytestmark = pytest.mark.parts
__all__ = ["broker"]


@pytest.fixture
def store(tmp_path: Path, broker: PrivateBroker) -> StoreConfig:
    return load_store(store_toml(tmp_path, broker).read_text())


def test_a_new_page_takes_the_place_of_one_that_sleeps_and_of_none_that_is_seen(store: StoreConfig) -> None:
    async def play() -> None:
        crew = Crew(store, lambda: None, print)
        first, *_ = [await crew.open_page("priya", f"page-{number}", "her phone", 0.0) for number in range(PAGES_MOST)]
        with pytest.raises(TooManyPages):
            await crew.open_page("priya", "one more", "her phone", 1.0)
        first.left_s, first.streams, first.alive_s = None, 1, -1.0  # its line stands, and nobody is at the other end
        with pytest.raises(TooManyPages):
            await crew.open_page("priya", "one more", "her phone", 1.0)
        await crew.open_page("priya", "one more", "her phone", ALIVE_S)
        assert first.ended
        assert first.changed.is_set()
        assert len(crew.members["priya"].pages) == PAGES_MOST
        await crew.close()

    asyncio.run(play())


def test_a_device_that_nobody_looks_at_unsays_no_other_device(store: StoreConfig, broker: PrivateBroker) -> None:
    config = board_config(store, store.staff[0])
    heard: SimpleQueue[Any] = SimpleQueue()
    topic = presence_topic(STORE, "priya")

    def turn(*stations: Station) -> bool:
        for one in stations:
            one.take_inbox(time.monotonic())
            one.tick(time.monotonic())
        return all(one.connected for one in stations)

    def listening(*stations: Station) -> list[bool]:
        """Return what was said of her until it was that she listens."""
        said: list[bool] = []
        while not said or not said[-1]:
            turn(*stations)
            with suppress(Empty):
                event = heard.get(timeout=0.02)
                said += [parse_presence(topic, event.payload).listening] if isinstance(event, Received) else []
        return said

    with (
        closing(MqttLink(broker.section_for_unit("desk-3"), "test-ear", (topic,), heard.put, heard.put)),
        closing(Station(config, "pager", lambda: None, heard.put)) as pager,
    ):
        board = Station(config, "board", lambda: None, heard.put)
        until(lambda: turn(pager, board))
        pager.listen(time.monotonic(), listening=True)
        listening(pager, board)
        board.tick(time.monotonic() + 2 * PRESENCE_EVERY_S)
        board.close()
        assert listening(pager) == [False, True], "its goodbye alone, and her pager's word against it"

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
from kiosk.board.station import PRESENCE_EVERY_S, Standing, Station
from kiosk.demo.broker import PrivateBroker
from kiosk.messages import Presence, parse_presence, presence_topic
from kiosk.mqtt import Connected, MqttLink, Received
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
    said: list[Presence] = []
    topic = presence_topic(STORE, "priya")

    def hear() -> bool:
        with suppress(Empty):
            event = heard.get(timeout=0.02)
            assert not isinstance(event, BaseException), event
            said.extend([parse_presence(topic, event.payload)] if isinstance(event, Received) else [])
            return isinstance(event, Connected)
        return False

    def connected(one: Station) -> bool:
        one.take_inbox(time.monotonic())
        return one.connected

    with closing(MqttLink(broker.section_for_unit("desk-3"), "test-ear", (topic,), heard.put, heard.put)):
        until(hear)
        with closing(Station(config, "pager", lambda: None, heard.put)) as pager:
            board = Station(config, "board", lambda: None, heard.put)
            until(lambda: connected(pager) and connected(board))
            pager.listen(time.monotonic(), listening=True)
            board.tick(time.monotonic() + 2 * PRESENCE_EVERY_S)
            board.close()
            pager.stand(Standing(5), time.monotonic())
            until(lambda: hear() or (said and said[-1].tier == 5))
            assert [one.listening for one in said].count(False) == 3, "two that came in, and one goodbye"

"""The board's crew: one person's pages, and what their devices say of them beside each other."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from kiosk.board.accounts import board_config
from kiosk.board.crew import ALIVE_S, PAGES_MOST, Crew, TooManyPages
from kiosk.board.station import REST_MOST_S, Station
from kiosk.demo.broker import PrivateBroker
from kiosk.messages import SAID_MOST, Duty, Presence, parse_presence, presence_topic
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


@contextmanager
def two_devices(
    store: StoreConfig, broker: PrivateBroker
) -> Iterator[tuple[Station, Station, Callable[[], list[Presence]]]]:
    """Run Priya's board and pager, both shown; and what a unit hears of each of them, with every word that came."""
    config = board_config(store, store.staff[0])
    heard: SimpleQueue[Any] = SimpleQueue()
    said: dict[str, Presence] = {}

    def turn() -> bool:
        for one in (board, pager):
            one.take_inbox(time.monotonic())
        with suppress(Empty):
            while True:
                event = heard.get(timeout=0.02)
                assert not isinstance(event, BaseException), event
                if isinstance(event, Received):
                    presence = parse_presence(event.topic, event.payload)
                    said[presence.device.partition("-")[0]] = presence
        return board.connected and pager.connected

    ear = MqttLink(
        broker.section_for_unit("desk-3"), "test-ear", (presence_topic(STORE, "priya"),), heard.put, heard.put
    )
    with closing(ear), ExitStack() as stack:
        board = stack.enter_context(closing(Station(config, "board", lambda: None, heard.put)))
        pager = stack.enter_context(closing(Station(config, "pager", lambda: None, heard.put)))
        until(turn)
        for one in (board, pager):
            one.listen(time.monotonic(), listening=True)
        until(lambda: turn() and {name for name, one in said.items() if one.listening} == {"board", "pager"})
        yield board, pager, lambda: [said[name] for name in ("board", "pager") if turn()]


def all_stand(hears: Callable[[], list[Presence]], duty: Duty) -> bool:
    return {here.duty for here in hears()} == {duty}


def test_a_device_that_goes_unsays_no_other_device(store: StoreConfig, broker: PrivateBroker) -> None:
    with two_devices(store, broker) as (board, pager, hears):
        board.close()
        until(lambda: [one.listening for one in hears()] == [False, True])
        assert pager.listening


def test_a_break_on_one_device_is_a_break_on_all_until_one_of_them_ends_it(
    store: StoreConfig, broker: PrivateBroker
) -> None:
    with two_devices(store, broker) as (board, pager, hears):
        for one, other, on in ((board, pager, True), (pager, board, False), (pager, board, True)):
            one.take_break(time.monotonic(), on=on)
            until(partial(all_stand, hears, duty := Duty.BREAK if on else Duty.ON))
            assert (one.standing.duty, other.standing.duty) == (duty, duty)
        pager.tick(time.monotonic() + REST_MOST_S + 1.0)
        until(partial(all_stand, hears, Duty.ON))


def test_the_highest_word_that_there_can_be_stops_nobody_and_a_break_can_still_be_ended(store: StoreConfig) -> None:
    config, now_s = board_config(store, store.staff[0]), time.monotonic()
    with closing(Station(config, "board", lambda: None, print)) as board:
        here = Presence(
            responder="priya",
            device="other",
            name="Priya",
            tier=1,
            duty=Duty.BREAK,
            duty_said=SAID_MOST,
            listening=True,
        )
        topic = presence_topic(STORE, "priya", "other")
        board._take_message(Received(topic, here.model_dump_json().encode(), retained=False), now_s)
        assert board.rest.on
        board.take_break(now_s, on=False)
        assert (board.rest.on, board.rest.said) == (False, SAID_MOST)
        assert not board.rest.gives_way(here)


def test_two_words_at_once_end_alike_on_both_devices(store: StoreConfig, broker: PrivateBroker) -> None:
    with two_devices(store, broker) as (board, pager, hears):
        now_s = time.monotonic()
        board.take_break(now_s, on=True)
        pager.take_break(now_s, on=False)  # neither has heard the other
        until(lambda: {here.duty_said for here in hears()} == {max(board.rest.said, pager.rest.said)})
        until(lambda: board.rest.on == pager.rest.on and len({here.duty for here in hears()}) == 1)


def test_a_break_ends_with_the_hours_and_with_the_last_sign_out(store: StoreConfig) -> None:
    async def play() -> None:
        crew = Crew(store, lambda: None, print)
        member = crew.members["priya"]
        await crew.open_page("priya", "page", "her phone", 0.0)
        crew.end_breaks({"priya"}, 0.0)
        crew.take_break("priya", on=True, now_s=0.0)
        crew.end_breaks({"priya"}, 1.0)
        assert member.resting.on
        await crew.close()
        assert member.resting.on, "kept while her page is away"
        crew.end_breaks(set(), 2.0)
        assert not member.resting.on

    asyncio.run(play())


def test_a_break_ends_with_the_hours_of_the_rota(tmp_path: Path, broker: PrivateBroker) -> None:
    rota = '[[rota]]\ntier = 1\nstaff = ["priya"]\nhours = "08:00-16:00"\n'
    store = load_store(store_toml(tmp_path, broker).read_text() + rota)

    async def play() -> None:
        crew = At(store, lambda: None, print)
        member = crew.members["priya"]
        await crew.open_page("priya", "page", "her phone", 0.0)
        on_break = []
        for hour, minute in ((15, 58), (15, 59), (16, 0), (16, 1)):
            crew.at = crew.at.replace(hour=hour, minute=minute)
            await crew.turn(0.0)
            if minute == 58:
                crew.take_break("priya", on=True, now_s=0.0)
            on_break.append(member.resting.on)
        assert on_break == [True, True, False, False]
        await crew.close()

    asyncio.run(play())


class At(Crew):
    """A crew at an hour that a test sets."""

    at = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

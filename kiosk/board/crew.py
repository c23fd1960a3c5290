"""The staff who have the board open: for each person one `Station`, their pages, and whether they are on break.

A station is made when the first page of a person opens its stream, and closed a moment after the last one is gone and nothing of
theirs is under way. So the broker's rules hold for each person, and a board that dies takes everybody on it away at once.
All of it belongs to the one asyncio loop; a station's link only calls `news`, which wakes that loop.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from kiosk import rota
from kiosk.board.accounts import board_config, standing, zone_of
from kiosk.board.station import AnswerRefused, Rest, Station
from kiosk.messages import Duty, Id
from kiosk.store_config import StaffSection, StoreConfig

if TYPE_CHECKING:
    from kiosk.board.fault_words import FaultView

PAGES_MOST = 16
"""One person's open pages."""
ALIVE_S = 15.0
RELOAD_S = 5.0
LEAVE_S = 10.0
SAY_S = 0.9
"""Pages hear from the board about once a second, also when nothing is new."""
CONNECT_S = 5.0
CLOSERS = 32

log = logging.getLogger("stayby.board")


class TooManyPages(Exception):
    """This person has more pages open than anybody can look at."""


@dataclass(slots=True)
class Page:
    """One open browser page: whose session, when it last gave a sign of life, and since when its stream is gone.

    `reaches`: whether an alert on it would be seen or heard. A page that is hidden and makes no sound has nobody listen.
    """

    session: str
    alive_s: float
    left_s: float | None
    reaches: bool = True
    streams: int = 0
    ended: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def shows(self, now_s: float) -> bool:
        """Return whether a person can be looking at it; a reload gets a moment of grace."""
        if self.ended:
            return False
        if self.left_s is not None:
            return now_s - self.left_s < RELOAD_S
        return now_s - self.alive_s < ALIVE_S

    def listens(self, now_s: float) -> bool:
        """Return whether an alert on it would reach a person."""
        return self.reaches and self.shows(now_s)


@dataclass(slots=True)
class Member:
    """One of the staff as the board has them now."""

    staff: StaffSection
    station: Station | None = None
    pages: dict[str, Page] = field(default_factory=dict)
    rest: Rest = field(default_factory=Rest)
    off_duty: bool = False
    view_json: str = ""
    said_s: float = 0.0
    left_s: float = 0.0
    closing: asyncio.Future[None] | None = None
    turned: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def resting(self) -> Rest:
        """Whether this person is on break: their station knows, and it is kept while there is none."""
        return self.rest if self.station is None else self.station.rest

    def hear(self, now_s: float) -> None:
        """Take what the link said, and tell it at once; that a desk is still there is told with the next turn."""
        if self.station is None or self.station.take_inbox(now_s):
            self.turn(now_s)

    def turn(self, now_s: float) -> None:
        """Take what the link said, do what is due, and tell every page."""
        self.turned.set()
        if self.station is None:
            return
        self.station.take_inbox(now_s)
        self.station.tick(now_s)
        self.station.listen(now_s, listening=any(page.listens(now_s) for page in self.pages.values()))
        view_json = self.station.view(now_s).model_dump_json(exclude_none=True)
        if view_json == self.view_json and now_s - self.said_s < SAY_S:
            return  # a thousand calm desks say each 5 s how they are: a phone need not wake for that
        self.view_json, self.said_s = view_json, now_s
        for page in self.pages.values():
            page.changed.set()

    def drop_asleep(self, now_s: float) -> None:
        """Make room for a new page: a phone that lost the network and loaded anew leaves lines that nobody reads for minutes.

        Raise `TooManyPages` when every page is before somebody's eyes.
        """
        asleep = [name for name, page in self.pages.items() if not page.shows(now_s)]
        if not asleep:
            raise TooManyPages
        page = self.pages.pop(min(asleep, key=lambda name: self.pages[name].alive_s))
        page.ended = True
        page.changed.set()


class Crew:
    """See the module. `wake()` asks for `take_news` on the loop; `on_death(error)` runs on a link's thread."""

    def __init__(self, store: StoreConfig, wake: Callable[[], None], on_death: Callable[[BaseException], None]) -> None:
        self._store, self._zone = store, zone_of(store)
        self._loop = asyncio.get_running_loop()
        self._wake, self._on_death = wake, on_death
        self._closers = ThreadPoolExecutor(CLOSERS, "goodbye")
        self._news: set[Id] = set()
        self._minute = ""
        self._signed_in: set[Id] = set()
        self.faults: tuple[FaultView, ...] = ()
        self.members = {one.id: Member(one) for one in store.staff}

    # --- pages --------------------------------------------------------------------------------------------------------

    async def open_page(self, staff: Id, name: str, session: str, now_s: float) -> Page:
        """Return a person's page of this name, with a station behind it; raise `AccountFault` or `TooManyPages`."""
        member = self.members[staff]
        if member.closing is not None:
            await asyncio.shield(member.closing)
        page = member.pages.get(name)
        if page is None or page.ended or page.session != session:
            if len(member.pages) >= PAGES_MOST:
                member.drop_asleep(now_s)
            page = member.pages[name] = Page(session, now_s, now_s)
        if member.station is None:
            member.station = self._station(member)
            member.turn(now_s)
        return page

    def _station(self, member: Member) -> Station:
        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to wake
                self._loop.call_soon_threadsafe(self._take_note, member.staff.id)

        config = board_config(self._store, member.staff)
        return Station(
            config,
            "board",
            wake,
            self._on_death,
            stands=lambda on_break: standing(self._store, member.staff.id, self.now(), on_break=on_break),
            rest=member.rest,
            manager=member.staff.role == "manager",
        )

    def _take_note(self, staff: Id) -> None:
        self._news.add(staff)
        self._wake()

    def end_sessions(self, still_in: Callable[[str], bool]) -> None:
        """End the pages of every session that is over: their streams close, and nobody listens there any more."""
        for member in self.members.values():
            for page in member.pages.values():
                if not page.ended and not still_in(page.session):
                    page.ended = True
                    page.changed.set()

    def sessions_that_go(self) -> set[str]:
        """Return the sessions with an open page of somebody who is needed: on the way, at a desk, the only one who listens.

        While an alert has nobody at its desk, everybody who listens is.
        """
        listen = [
            (one, one.station) for one in self.members.values() if one.station is not None and one.station.listening
        ]
        kept = [one for one, station in listen if len(listen) == 1 or station.engaged or station.called]
        return {page.session for one in kept for page in one.pages.values()}

    # --- the loop -----------------------------------------------------------------------------------------------------

    async def take_news(self, now_s: float) -> None:
        """Turn those to whom something happened."""
        news, self._news = self._news, set()
        for staff in news:
            self.members[staff].hear(now_s)
            await asyncio.sleep(0)  # where hundreds of alerts are open a turn is long: requests come in between

    async def turn(self, now_s: float) -> None:
        """Turn everybody; about once a second. `faults` are shown to all."""
        self._news.clear()
        self._stand(now_s)
        for member in self.members.values():
            self._mind_pages(member, now_s)
            if member.station is not None:
                member.station.board_faults = self.faults
                member.turn(now_s)
                await asyncio.sleep(0)

    def now(self) -> datetime:
        """Return the time of day at the store."""
        return datetime.now(self._zone) if self._zone is not None else datetime.now().astimezone()

    def _stand(self, now_s: float) -> None:
        """Look at the rota once a minute: hours have no seconds. Whose hours are over has no break any more."""
        now = self.now()
        minute = now.isoformat(timespec="minutes")
        if minute == self._minute:
            return
        self._minute = minute
        for member in self.members.values():
            before = member.off_duty
            member.off_duty = rota.duty(self._store, member.staff.id, now) is Duty.OFF
            if member.off_duty and not before:
                self._end_break(member, now_s, "their hours are over")
            elif member.station is not None:
                member.station.stand(now_s)
            elif member.rest.over(now_s):
                self._end_break(member, now_s, "nobody ended it")

    def take_break(self, staff: Id, *, on: bool, now_s: float) -> None:
        """Begin or end somebody's break, by their own word; raise `AnswerRefused` where they have no board open."""
        member = self.members[staff]
        if member.station is None:
            raise AnswerRefused("Open the board first.")
        member.station.take_break(now_s, on=on)
        member.turn(now_s)

    def end_breaks(self, signed_in: Collection[Id], now_s: float) -> None:
        """End the break of everybody who is signed in nowhere any more; one that another device of theirs says is its own."""
        for staff in self._signed_in - set(signed_in):
            self._end_break(self.members[staff], now_s, "they signed out")
        self._signed_in = set(signed_in)

    def _end_break(self, member: Member, now_s: float, why: str) -> None:
        if not member.resting.on:
            return
        log.info("the break of %s is over: %s", member.staff.id, why)
        member.rest = Rest()
        if member.station is not None:
            member.station.take_break(now_s, on=False)
            member.turn(now_s)

    async def start_drill(self, staff: Id, unit: Id, scenario: Id) -> str:
        """Begin a drill as one of the staff, whether or not their board is open; return its id or raise `AnswerRefused`."""
        member = self.members[staff]
        if member.closing is not None:
            await asyncio.shield(member.closing)
        if member.station is None:
            member.station, member.left_s = self._station(member), time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                while member.station is not None and not member.station.connected:
                    member.turned.clear()
                    await member.turned.wait()
        if member.station is None:
            raise AnswerRefused("You were signed out meanwhile. Nothing was begun.")
        return member.station.start_drill(unit, scenario)

    def _mind_pages(self, member: Member, now_s: float) -> None:
        for name, page in list(member.pages.items()):
            gone = page.streams == 0 and (page.ended or (page.left_s is not None and now_s - page.left_s > RELOAD_S))
            if gone:
                del member.pages[name]
        if member.pages or member.station is None:
            member.left_s = now_s
        elif now_s - member.left_s > LEAVE_S and not member.station.answers.under_way():
            self._let_go(member)

    def _let_go(self, member: Member) -> None:
        """Close a person's station, beside the loop: it says goodbye to the broker."""
        member.rest = member.resting
        station, member.station, member.view_json = member.station, None, ""
        if station is not None:
            member.closing = self._loop.run_in_executor(self._closers, station.close)
            member.closing.add_done_callback(lambda _: setattr(member, "closing", None))

    def hurry_pages(self) -> None:
        """Wake every stream, so that it sees that the board ends."""
        for member in self.members.values():
            for page in member.pages.values():
                page.changed.set()

    async def close(self) -> None:
        """Say goodbye for everybody, all at once."""
        for member in self.members.values():
            if member.station is not None:
                self._let_go(member)
        await asyncio.gather(*(one.closing for one in self.members.values() if one.closing is not None))
        self._closers.shutdown(wait=False)

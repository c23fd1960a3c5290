"""Who of the staff may sign in, how a PIN is tried, and what each of them has of `store.toml`: broker, tier, duty.

A try is counted before it is looked at, and the count survives a restart: guessing gets slow, whoever guesses, from wherever.
Whoever is signed in already stays so and can answer.
"""

import asyncio
import functools
import hashlib
import logging
import math
import zoneinfo
from datetime import datetime, tzinfo

from pydantic import ValidationError

from kiosk import pins, rota
from kiosk.board.gate import Account
from kiosk.board.sessions import Session, Sessions
from kiosk.board.station import Standing
from kiosk.config import CREDENTIALS, BoardConfig, BrokerSection, ResponderSection
from kiosk.messages import Id, Person
from kiosk.store_config import StaffSection, StoreConfig

TRIES_AT_ONCE = 2
DESKS_SAID = 300
"""A presence has room for so many desks with a tier of their own (8 KiB)."""
NOBODYS_PIN = pins.store_pin("703914")

log = logging.getLogger("stayby.board")


class AccountFault(ValueError):
    """What the configuration leaves undone for somebody or for all; one line that says what to do."""


class NotSignedIn(Exception):
    """A try that failed; its text is for the person. It never says whether the name or the PIN was wrong."""


# --- what store.toml says of somebody ---------------------------------------------------------------------------------


def standing(store: StoreConfig, staff: Id, now: datetime, *, on_break: bool) -> Standing:
    """Return how somebody stands by the rota at local time `now`; only the desks that a line names can differ."""
    named = {desk for line in store.rota for desk in line.desks}
    tiers = {desk: rota.tier_at(store, staff, desk, now, on_break=on_break) for desk in sorted(named)}
    tier = rota.tier_at(store, staff, "", now, on_break=on_break)
    differ = {desk: one for desk, one in tiers.items() if one != tier}
    if len(differ) > DESKS_SAID:  # asked too early at some desk is a walk for nothing, asked too late is not
        tier, differ = min(tier, *differ.values()), {}
    return Standing(tier, differ, rota.duty(store, staff, now, on_break=on_break))


def zone_of(store: StoreConfig) -> tzinfo | None:
    """Return the store's time zone, None for this machine's own; raise `AccountFault` when there is none of that name."""
    try:
        return zoneinfo.ZoneInfo(store.store.zone) if store.store.zone else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        wrong = f"[store] zone: {store.store.zone!r} is no time zone"
        raise AccountFault(f'{wrong}; write it like "Europe/London", or leave it out') from None


def board_config(store: StoreConfig, staff: StaffSection) -> BoardConfig:
    """Return what a station of one of the staff needs; raise `AccountFault` when they cannot sign in at the broker."""
    given = {key: getattr(staff, key) for key in CREDENTIALS}
    place = {"host": store.broker.host, "port": store.broker.port, "ca_file": store.broker.ca_file}
    try:
        broker = BrokerSection.model_validate({**place, **given})
    except ValidationError:
        wrong = f"[[staff]] {staff.id}: no sign-in at the broker"
        raise AccountFault(
            f"{wrong}; give them cert_file and key_file, or username and password, and restart stayby-board"
        ) from None
    return BoardConfig(
        responder=ResponderSection(store=store.store.id, id=staff.id, name=staff.name, tier=1), broker=broker
    )


# --- signing in -------------------------------------------------------------------------------------------------------


class Accounts:
    """The staff of one store, by id."""

    def __init__(self, store: StoreConfig, sessions: Sessions) -> None:
        self.staff: dict[Id, StaffSection] = {one.id: one for one in store.staff}
        self._sessions = sessions
        self._trying = asyncio.Semaphore(TRIES_AT_ONCE)

    def person(self, staff: Id) -> Person:
        """Return one of the staff as a customer knows them."""
        return Person(id=staff, name=self.staff[staff].name)

    def with_pin(self) -> list[Person]:
        """Return who can sign in by a PIN, by name."""
        found = [self.person(one.id) for one in self.staff.values() if one.pin is not None]
        return sorted(found, key=lambda one: (one.name.casefold(), one.id))

    def mark(self, staff: Id) -> str:
        """Return what stands for the PIN in force: a session that a former PIN began is over."""
        pin = self.staff[staff].pin
        return hashlib.sha256(pin.get_secret_value().encode()).hexdigest()[:16] if pin is not None else ""

    def account(self, session: Session) -> Account | None:
        """Return whose session it is, if they still are of the staff and their PIN is still the one they signed in with."""
        one = self.staff.get(session.staff)
        if one is None or (session.kind == "pin" and session.mark != self.mark(one.id)):
            return None
        return Account(self.person(one.id), manager=one.role == "manager")

    async def try_pin(self, staff: str, pin: str, address: str) -> Id:
        """Return whose PIN it is; raise `NotSignedIn`."""
        known = self.staff.get(staff)
        whats = self._sessions.whats(staff[:40], address)
        if wait_s := self._sessions.wait_s(whats):
            raise NotSignedIn(_wait(wait_s))
        self._sessions.count_try(whats)
        stored = known.pin.get_secret_value() if known is not None and known.pin is not None else None
        async with self._trying:
            fits = await asyncio.to_thread(_fits, pin, stored)
        if known is not None and fits:
            self._sessions.forgive(whats)
            self._sessions.note_place(address)
            return known.id
        log.warning("a wrong PIN for %s from %s", known.id if known is not None else "an unknown name", address)
        wait_s = self._sessions.wait_s(whats)
        raise NotSignedIn(f"Name and PIN do not fit. {_wait(wait_s) if wait_s else 'Try again.'}")


@functools.cache
def _nobodys_pin() -> str:
    """Return what a PIN is looked at beside where there is none: that takes as long."""
    return pins.store_pin("271828")


def _fits(pin: str, stored: str | None) -> bool:
    try:
        return pins.pin_fits(pin, stored or _nobodys_pin()) and stored is not None
    except pins.PinError as error:
        log.error("[[staff]] pin: %s", error)
        return False


def _wait(wait_s: float) -> str:
    minutes = math.ceil(wait_s / 60)
    return f"Too many wrong tries. Wait {minutes} minute{'s' * (minutes > 1)}, or ask a manager to let you in."

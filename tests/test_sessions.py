"""Sessions, invitations and wrong PINs: kept through restarts, over when they are over, and no wait that a clock makes longer."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.board.accounts import AccountFault, Accounts, NotSignedIn, board_config, standing, zone_of
from kiosk.board.sessions import ASIDE_S, FILE, LASTS_S, Sessions, digest, invite, wait_after_s
from kiosk.board.sign_in import ends_words
from kiosk.messages import LAST_TIER, Duty, Presence
from kiosk.pins import store_pin
from kiosk.store_config import StoreConfig, load_store

MONDAY = datetime(2026, 11, 23).astimezone()
NOW_S = 1_800_000_000.0
STORED = {"sam": store_pin("2704"), "alex": store_pin("8315")}


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


MADE: list[Sessions] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().close()


def kept(folder: Path, on_fault: Callable[[str], None], clock: Callable[[], float] = time.time) -> Sessions:
    """Return sessions that the test's end closes."""
    MADE.append(Sessions(folder, on_fault, clock))
    return MADE[-1]


def test_who_opens_it_at_the_same_moment_is_waited_for(tmp_path: Path) -> None:
    """`stayby store invite` beside a board that starts: SQLite waits for no lock while it changes to its log of writes."""
    faults: list[str] = []
    together = Barrier(4)

    def open_it(folder: Path) -> None:
        together.wait()
        Sessions(folder, faults.append).close()

    with ThreadPoolExecutor(4) as pool:
        for number in range(20):
            list(pool.map(open_it, [tmp_path / str(number)] * 4))
    assert faults == []


@pytest.fixture
def sessions(tmp_path: Path, clock: Clock) -> Sessions:
    return opened(tmp_path, clock)


def opened(folder: Path, clock: Clock) -> Sessions:
    faults: list[str] = []
    made = kept(folder, faults.append, clock)
    assert faults == []
    return made


def begin(sessions: Sessions, staff: str = "sam", kind: str = "phone", mark: str = "") -> str:
    return sessions.begin(staff, "pin" if kind == "pin" else "phone", mark=mark, device="Phone", address="10.0.0.7")


def store(more: str = "", pins: dict[str, str] = STORED) -> StoreConfig:
    staff = "".join(
        f'[[staff]]\nid = "{who}"\nname = "{who.title()}"\ncert_file = "/x/{who}.pem"\nkey_file = "/x/{who}.key"\npin = "{pin}"\n'
        for who, pin in pins.items()
    )
    return load_store(
        '[store]\nid = "harbour"\nname = "Harbour"\n[broker]\nhost = "b"\nca_file = "/x/ca.pem"\ncert_file = "/x/b.pem"\n'
        f'key_file = "/x/b.key"\n{staff}{more}'
    )


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_a_restart_signs_nobody_out_and_only_digests_are_on_disk(
    tmp_path: Path, clock: Clock, sessions: Sessions
) -> None:
    secret = begin(sessions)
    sessions.close()
    again = opened(tmp_path, clock)
    found = again.find(secret)
    assert found is not None
    assert found.staff == "sam"
    assert again.find(secret[:-1] + ("A" if secret[-1] != "A" else "B")) is None
    assert again.find("") is None
    again.close()
    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in on_disk
    assert digest(secret).encode() in on_disk
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("kind", ["pin", "phone"])
def test_a_session_ends_when_its_time_is_over(kind: str, sessions: Sessions, clock: Clock) -> None:
    secret = begin(sessions, kind=kind)
    clock.now_s += LASTS_S["pin" if kind == "pin" else "phone"] - 1
    assert sessions.find(secret) is not None
    clock.now_s += 1
    assert sessions.find(secret) is None
    assert sessions.all() == []


def test_a_phone_is_told_in_its_last_week_and_what_to_do() -> None:
    day_s = 24 * 3600.0
    assert ends_words("phone", 7 * day_s + 1, manager=False) == ""
    assert ends_words("pin", 60.0, manager=False) == ""
    assert "for 6 more days. Then no alert reaches it. Ask a manager" in ends_words("phone", 6.9 * day_s, manager=False)
    assert "for 1 more day. Then" in ends_words("phone", 1.5 * day_s, manager=False)
    assert "until today only. Then no alert reaches it. Go to" in ends_words("phone", 60.0, manager=True)


def test_a_manager_ends_one_or_all(sessions: Sessions) -> None:
    one, other, alex = begin(sessions), begin(sessions), begin(sessions, "alex")
    sessions.end(digest(one))
    assert [sessions.find(each) is not None for each in (one, other, alex)] == [False, True, True]
    sessions.end_all("sam")
    assert [sessions.find(each) is not None for each in (one, other, alex)] == [False, False, True]


def test_an_invitation_works_once_and_within_a_day(sessions: Sessions, clock: Clock) -> None:
    code, late = sessions.invite("sam"), sessions.invite("alex")
    assert sessions.invited(code) == sessions.invited(code) == "sam"
    assert sessions.use_invitation(code) == "sam"
    assert sessions.use_invitation(code) is None
    clock.now_s += 24 * 3600
    assert sessions.use_invitation(late) is None
    assert sessions.use_invitation("") is None


def test_another_process_invites_beside_a_running_board(tmp_path: Path) -> None:
    running = kept(tmp_path, print)
    assert running.use_invitation(invite(tmp_path, "sam")) == "sam"


# --- what goes wrong with the file ------------------------------------------------------------------------------------


def test_a_broken_file_is_put_aside_and_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"junk" * 1000)
    faults: list[str] = []
    sessions = kept(tmp_path, faults.append)
    assert sessions.find(begin(sessions)) is not None
    assert len(faults) == 1
    assert "kept as sessions.broken" in faults[0]
    aside = tmp_path / "sessions.broken"
    assert aside.exists()
    now = aside.stat().st_mtime
    os.utime(aside, (now - ASIDE_S - 60.0,) * 2)
    begin(sessions)
    assert not aside.exists()


def test_a_folder_that_cannot_be_is_told_and_the_board_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    faults: list[str] = []
    sessions = kept(tmp_path / "file", faults.append)
    assert sessions.find(begin(sessions)) is not None
    assert "a restart of the board will sign everybody out" in faults[0]
    with pytest.raises(OSError, match="check"):
        invite(tmp_path / "file", "sam")


def test_a_disk_that_takes_nothing_more_signs_nobody_out(tmp_path: Path) -> None:
    faults: list[str] = []
    sessions = kept(tmp_path, faults.append)
    before = begin(sessions)
    sessions._db.execute("PRAGMA query_only=ON")  # as a full or read-only disk: every write fails
    after = begin(sessions)
    assert sessions.find(before) is not None
    assert sessions.find(after) is not None
    assert len(faults) == 1


def test_a_file_that_breaks_later_locks_nobody_out(tmp_path: Path) -> None:
    with closing(Sessions(tmp_path, print)) as before:
        secrets = [begin(before) for _ in range(60)]
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:4096] + b"\xaa" * (path.stat().st_size - 4096))
    faults: list[str] = []
    sessions = kept(tmp_path, faults.append)
    assert sessions.find(secrets[0]) is None, "everybody signs in again"
    assert sessions.find(begin(sessions)) is not None
    assert sessions.guesses() == []
    assert len(faults) == 1
    assert "kept as sessions.broken" in faults[0]


def test_whom_a_manager_signed_out_stays_out_although_the_disk_took_nothing(tmp_path: Path) -> None:
    sessions = kept(tmp_path, lambda _: None)
    lost = begin(sessions)
    sessions.make_sure()
    assert sessions.find(lost) is not None, "a disk that works needs no such thing"
    sessions._db.execute("PRAGMA query_only=ON")  # as a full or read-only disk: every write fails
    sessions.end_all("sam")
    sessions.make_sure()
    assert kept(tmp_path, print).find(lost) is None


# --- guessing ---------------------------------------------------------------------------------------------------------


def test_waits_grow_from_a_minute_to_an_hour(sessions: Sessions, clock: Clock) -> None:
    waits = []
    for _ in range(13):
        sessions.count_try(["staff:sam"])
        waits.append(sessions.wait_s(["staff:sam"]))
    assert waits == [0, 0, 0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert sessions.wait_s(["staff:alex"]) == 0
    clock.now_s += 3600
    assert sessions.wait_s(["staff:sam"]) == 0


def test_the_count_holds_through_a_restart_and_a_clock_set_back(
    tmp_path: Path, clock: Clock, sessions: Sessions
) -> None:
    for _ in range(5):
        sessions.count_try(["staff:sam"])
    sessions.close()
    clock.now_s -= 7200
    again = opened(tmp_path, clock)
    assert again.wait_s(["staff:sam"]) == 60
    again.forgive(["staff:sam"])
    assert again.wait_s(["staff:sam"]) == 0


@given(st.integers(min_value=0, max_value=10_000), st.sampled_from(["staff:sam", "from:10.0.0.7"]))
def test_no_wait_is_longer_than_an_hour_and_none_shrinks(times: int, what: str) -> None:
    assert 0 <= wait_after_s(what, times) <= wait_after_s(what, times + 1) <= 3600


async def _says(accounts: Accounts, who: str, pin: str, address: str = "10.0.0.7") -> str:
    try:
        return await accounts.try_pin(who, pin, address)
    except NotSignedIn as error:
        return str(error)


def test_the_answer_never_tells_whether_name_or_pin_was_wrong(sessions: Sessions) -> None:
    accounts = Accounts(store(), sessions)

    async def tries() -> list[list[str]]:
        return [[await _says(accounts, who, "1111", f"from {who}") for _ in range(6)] for who in ("sam", "nobody")]

    known, unknown = asyncio.run(tries())
    assert known == unknown
    assert known[0] == "Name and PIN do not fit. Try again."
    assert known[5].startswith("Too many wrong tries. Wait 1 minute,")


def test_many_tries_at_once_are_still_counted_one_by_one(sessions: Sessions) -> None:
    accounts = Accounts(store(), sessions)

    async def guess() -> list[str]:
        pins = [str(number) for number in range(2695, 2725)]
        return await asyncio.gather(*(_says(accounts, "sam", pin) for pin in pins))

    said = asyncio.run(guess())
    assert sum(one.startswith("Name and PIN") for one in said) <= 5
    assert "sam" not in said


def test_one_address_that_tries_everybody_waits_too(sessions: Sessions) -> None:
    for number in range(15):
        sessions.count_try([f"staff:{number}", "from:10.0.0.7"])
    assert sessions.wait_s(["staff:sam", "from:10.0.0.7"]) == 60
    assert sessions.wait_s(["staff:sam", "from:10.0.0.8"]) == 0


def test_who_guesses_from_elsewhere_does_not_lock_out_the_stores_own_device(sessions: Sessions) -> None:
    accounts = Accounts(store(), sessions)

    async def tries() -> list[str]:
        before = await _says(accounts, "alex", "8315", "the till")
        for number in range(6):
            await _says(accounts, "sam", "1111", f"guest {number % 2}")
        elsewhere = await _says(accounts, "sam", "2704", "guest 3")
        return [before, elsewhere, await _says(accounts, "sam", "2704", "the till")]

    before, elsewhere, at_the_till = asyncio.run(tries())
    assert (before, at_the_till) == ("alex", "sam")
    assert elsewhere.startswith("Too many wrong tries.")


def test_many_known_devices_give_nobody_more_than_fifty_tries(sessions: Sessions) -> None:
    tried = 0
    for number in range(60):
        sessions.note_place(device := f"device {number // 4}")
        if not sessions.wait_s(whats := sessions.whats("sam", device)):
            sessions.count_try(whats)
            tried += 1
    assert tried == 50


def test_a_right_pin_forgets_the_wrong_ones(sessions: Sessions) -> None:
    accounts = Accounts(store(), sessions)

    async def tries() -> list[str]:
        return [await _says(accounts, "sam", pin) for pin in ("1", "22", "x", "", "2704", "٢٧٠٤")]

    assert asyncio.run(tries())[4:] == ["sam", "sam"]
    assert sessions.guesses() == []


def test_a_session_of_a_changed_pin_or_of_somebody_who_left_is_over(sessions: Sessions) -> None:
    before = Accounts(store(), sessions)
    by_pin = sessions.find(begin(sessions, kind="pin", mark=before.mark("sam")))
    by_phone = sessions.find(begin(sessions))
    assert by_pin is not None
    assert by_phone is not None
    assert before.account(by_pin) is not None
    changed = Accounts(store(pins={**STORED, "sam": STORED["alex"]}), sessions)
    assert changed.account(by_pin) is None
    assert changed.account(by_phone) is not None
    assert Accounts(store(pins={"alex": STORED["alex"]}), sessions).account(by_phone) is None


# --- what store.toml says of somebody ---------------------------------------------------------------------------------

ROTA = """
[[rota]]
tier = 1
staff = ["sam"]
desks = ["desk-3"]
hours = "08:00-16:00"
[[rota]]
tier = 2
staff = ["sam"]
hours = "08:00-16:00"
"""


def test_the_rota_says_the_tier_at_each_desk_and_the_duty() -> None:
    with_rota = store(ROTA)
    day, night = MONDAY.replace(hour=9), MONDAY.replace(hour=20)
    now = standing(with_rota, "sam", day, on_break=False)
    assert (now.tier, now.desks, now.duty) == (2, {"desk-3": 1}, Duty.ON)
    off = standing(with_rota, "sam", night, on_break=False)
    assert (off.tier, off.desks, off.duty) == (LAST_TIER, {}, Duty.OFF)
    away = standing(with_rota, "sam", day, on_break=True)
    assert (away.tier, away.desks, away.duty) == (LAST_TIER, {}, Duty.BREAK)


def test_a_rota_of_a_thousand_desks_still_fits_a_presence() -> None:
    desks = ", ".join(f'"desk-{number}"' for number in range(1000))
    now = standing(store(f'[[rota]]\ntier = 1\nstaff = ["sam"]\ndesks = [{desks}]\n'), "sam", MONDAY, on_break=False)
    presence = Presence(
        responder="sam", device="phone", name="Sam", tier=now.tier, desks=now.desks, duty=now.duty, listening=True
    )
    assert presence.tier_at("desk-999") == 1
    assert len(presence.model_dump_json()) < 8 * 1024


def test_who_has_no_sign_in_at_the_broker_is_told_in_one_line() -> None:
    bare = store().staff[0].model_copy(update={"cert_file": None, "key_file": None})
    with pytest.raises(AccountFault, match=r"\[\[staff\]\] sam: no sign-in at the broker; give them"):
        board_config(store(), bare)
    assert board_config(store(), store().staff[0]).broker.cert_file == Path("/x/sam.pem")


def test_the_zone_of_the_store() -> None:
    assert zone_of(store()) is None
    assert sqlite3.sqlite_version_info >= (3, 35)  # DELETE … RETURNING

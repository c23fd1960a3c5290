"""What secondary ways are told: who may know, what is news, the words; the outbox on disk; addresses and programs."""

import os
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from kiosk.messages import Choice, Outcome, Person, Reach, Severity, Snapshot, State, Trigger
from kiosk.relay import command as command_module
from kiosk.relay.cli import NO_RELAY, relay_command
from kiosk.relay.command import Command, refusal
from kiosk.relay.notice import SECONDARY, Facts, Notice, change, notice, over, plain, text, title, told
from kiosk.relay.notify import prioritised
from kiosk.relay.outbox import RETRY_MOST_S, WAITING_MOST, WAITING_MOST_S, Outbox, Waiting
from kiosk.relay.relay import backoff_s
from kiosk.relay.way import Came, NotTold, Teller
from kiosk.relay.webhook import WAIT_MOST_S, Webhook, body, secret_bytes, signature
from kiosk.store_config import CommandSection, WebhookSection
from tests.board_parts import until
from tests.relay_parts import SECRET, Receiver
from tests.store_files import store_text

SAM = Person(id="sam", name="Samantha-Unmistakable")
AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
OPEN_STATES = [State.CHECKING, State.RAISED, State.COMING, State.ATTENDED]


def snapshot(**facts: Any) -> Snapshot:
    base: dict[str, Any] = {
        "store": "harbour", "unit": "desk-3", "place": "a place that the unit says", "id": "one", "revision": 1,
        "state": State.RAISED, "severity": Severity.ALERT, "trigger": Trigger.BUTTON, "tier": 1, "tiers": ("staff",),
        "reach": Reach.OK, "opened_at": datetime(2026, 11, 22, tzinfo=UTC), "elapsed_s": 0.0,
    }  # fmt: skip
    return Snapshot(**{**base, **facts})


def facts(before: Facts | None = None, *, may_know: bool = False, **more: Any) -> Facts | None:
    return told(snapshot(**more), "Service desk 3", before, silent=may_know)


def known(**more: Any) -> Facts:
    found = facts(may_know=True, **more)
    assert found is not None
    return found


# --- who may know -----------------------------------------------------------------------------------------------------

COVERT: list[dict[str, Any]] = [{"silent": True}, {"covert": True}, {"trigger": Trigger.COVERT}]


@pytest.mark.parametrize("covert", COVERT)
@pytest.mark.parametrize("state", [*OPEN_STATES, State.CLOSED])
def test_a_covert_call_is_not_there_for_who_may_not_know(covert: dict[str, Any], state: State) -> None:
    assert facts(**covert, state=state) is None
    assert facts(known(id="another"), **covert, state=state) is None


@given(
    st.sampled_from(COVERT), st.sampled_from(OPEN_STATES), st.sampled_from(Severity), st.booleans(), st.booleans(),
    st.sampled_from(OPEN_STATES), st.sampled_from(Severity),
)  # fmt: skip
def test_a_covert_call_in_what_was_told_changes_nothing_but_who_goes(
    covert: dict[str, Any], state: State, severity: Severity, emergency: bool, drill: bool, before_state: State,
    before_severity: Severity,
) -> None:  # fmt: skip
    before = facts(state=before_state, severity=before_severity)
    now = facts(before, **covert, revision=2, state=state, severity=severity, emergency=emergency, drill=drill)
    assert before is not None
    assert now is not None
    moved = state if state in {State.COMING, State.ATTENDED} else before_state
    assert now == before.model_copy(update={"state": moved, "revision": 2})
    ended = facts(now, **covert, revision=3, state=State.CLOSED, outcome=Outcome.REAL)
    assert ended is not None
    assert change(now, ended) == "closed"


@pytest.mark.parametrize("covert", COVERT)
def test_who_may_know_is_told_to_go_quietly(covert: dict[str, Any]) -> None:
    assert "go quietly" in text(known(**covert))
    assert "go quietly" not in text(known(**covert, state=State.CLOSED))


@given(st.text(max_size=40), st.sampled_from(Choice), st.sampled_from([*OPEN_STATES, State.CLOSED]))
def test_nothing_of_the_person_or_the_staff_goes_out(name: str, choice: Choice, state: State) -> None:
    private = f"Zz{plain(name)[:30]}".strip()
    one = notice(
        "msg_1", "opened",
        known(name=private, choice=choice, guess=choice, phrase="breathe", state=state, here=SAM, seen=(SAM,)), AT,
    )  # fmt: skip
    said = one.model_dump_json() + body(one).decode()
    assert private not in said
    assert "Samantha" not in said
    assert choice.value not in said.replace('"request"', "")
    assert "breathe" not in said
    assert SECONDARY in said


# --- what is news -----------------------------------------------------------------------------------------------------


def test_a_call_that_may_be_the_morning_test_is_told_as_real_and_only_that_it_is_the_test_is_news() -> None:
    maybe = known(maybe_test=True)
    assert maybe.urgency == "emergency"
    assert "Until the desk says so, it is real." in text(maybe)
    assert change(maybe, known(revision=2)) is None
    turned = known(revision=2, drill=True)
    assert (change(maybe, turned), turned.urgency) == ("changed", "calm")


def test_what_is_news_and_what_is_not() -> None:
    first = known()
    assert change(None, first) == "opened"
    assert change(None, known(state=State.CLOSED)) is None
    assert change(first, known(revision=9, seen=(SAM,), opened_at=datetime(2026, 1, 1, tzinfo=UTC))) is None
    assert change(first, known(revision=2, state=State.COMING)) == "changed"
    assert change(first, known(revision=2, severity=Severity.GRAVE)) == "changed"
    assert change(first, known(revision=2, emergency=True)) == "changed"
    assert change(first, known(revision=2, state=State.CLOSED)) == "closed"
    assert change(first, over(first)) == "closed"
    assert change(over(first), over(first)) is None
    assert change(first, known(id="another")) == "opened"


def test_words_and_urgency() -> None:
    grave = known(severity=Severity.GRAVE, emergency=True)
    assert (title(grave), grave.urgency) == ("Grave: help now · Service desk 3", "emergency")
    assert text(grave) == f"Nobody has answered.\n{SECONDARY}"
    drill = known(drill=True)
    assert (title(drill), drill.urgency) == ("DRILL: Help now · Service desk 3", "calm")
    asked = known(trigger=Trigger.TOUCH, choice=Choice.PERSON, severity=Severity.CHECK)
    assert (title(asked), asked.urgency) == ("Please come · Service desk 3", "check")
    over_ = known(state=State.CLOSED, outcome=Outcome.FALSE_ALARM)
    assert (title(over_), over_.urgency) == ("Over · Service desk 3", "calm")
    assert text(over_).startswith("It is over. It was a false alarm.")


# --- the outbox -------------------------------------------------------------------------------------------------------


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Outbox]:
    one = Outbox(tmp_path / "outbox.sqlite", pytest.fail)
    yield one
    one.close()


def news(incident: str, revision: int) -> Notice:
    return notice(f"msg_{incident}_{revision}", "changed", known(id=incident, revision=revision), AT)


def put(box: Outbox, one: Notice, at_s: float = 0.0) -> None:
    box.take("everything", one.facts, [("way", one)], at_s)


def test_of_an_incident_always_the_oldest_first_and_incidents_do_not_wait_for_each_other(box: Outbox) -> None:
    for one in (news("a", 1), news("a", 2), news("b", 1)):
        put(box, one)
    first = box.next_due("way", 0.0)
    assert first is not None
    assert first.notice.id == "msg_a_1"
    box.again(first.number, 100.0)
    second = box.next_due("way", 0.0)
    assert second is not None
    assert second.notice.id == "msg_b_1"
    box.done(second.number)
    assert box.next_due("way", 0.0) is None
    later = box.next_due("way", 100.0)
    assert later is not None
    assert (later.notice.id, later.tries) == ("msg_a_1", 1)
    assert box.waiting() == {"way": 2}


def test_a_clock_that_is_set_back_makes_nothing_wait_for_years(box: Outbox) -> None:
    put(box, news("a", 1), 2e9)
    assert box.next_due("way", 1e9) is not None
    assert box.next_due("way", 2e9 - RETRY_MOST_S / 2) is None


def test_what_waits_has_an_end(box: Outbox) -> None:
    many = [("way", news("a", number + 1)) for number in range(WAITING_MOST + 5)]
    box.take("everything", many[-1][1].facts, many, 0.0)
    assert box.drop_old(["way"], 0.0) == 5
    assert box.waiting() == {"way": WAITING_MOST}
    assert box.drop_old(["way"], WAITING_MOST_S + 1) == WAITING_MOST
    put(box, news("a", 1))
    assert box.drop_old(["another"], 0.0) == 1


def test_what_is_told_outlives_the_process_and_a_full_disk_does_not_end_it(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox.sqlite", pytest.fail)
    put(box, news("a", 3))
    box.close()
    again = Outbox(tmp_path / "outbox.sqlite", pytest.fail)
    assert again.told()["everything", "desk-3"].revision == 3
    again.close()
    said: list[str] = []
    nowhere = Outbox(tmp_path / "missing" / "outbox.sqlite", said.append)
    put(nowhere, news("a", 1))
    assert nowhere.waiting() == {"way": 1}
    assert len(said) == 1
    assert "going on in memory" in said[0]
    nowhere.close()


def test_a_memory_that_is_damaged_is_put_aside(tmp_path: Path) -> None:
    path, said = tmp_path / "outbox.sqlite", list[str]()
    path.write_bytes(os.urandom(8192))
    box = Outbox(path, said.append)
    put(box, news("a", 1))
    box.close()
    assert len(said) == 1
    assert "put aside as .broken, began a new one" in said[0]
    again = Outbox(path, pytest.fail)
    assert again.waiting() == {"way": 1}
    again.close()


def test_without_a_relay_table_it_says_what_to_add(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "store.toml"
    path.write_text(store_text(tmp_path))
    with pytest.raises(typer.Exit) as ended:
        relay_command(path)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == f"{path}: {NO_RELAY}\n"


# --- addresses and programs -------------------------------------------------------------------------------------------


def test_the_signature_is_that_of_standard_webhooks() -> None:
    key = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_urgency_goes_into_the_address_unless_one_is_set() -> None:
    assert prioritised("ntfys://host/topic", "emergency") == "ntfys://host/topic?priority=max"
    assert prioritised("gotify://host/token?x=1", "check") == "gotify://host/token?x=1&priority=high"
    assert prioritised("ntfy://host/topic?priority=low", "emergency") == "ntfy://host/topic?priority=low"
    assert prioritised("json://host/", "emergency") == "json://host/"


@pytest.mark.parametrize(
    ("code", "headers", "says", "again_in_s", "never"),
    [
        (302, {"location": "/elsewhere"}, "answered 302, it moved; redirects are not followed", None, False),
        (404, {}, "answered 404; look at the receiver's log", None, False),
        (410, {}, "answered 410, it wants no more", None, True),
        (429, {"retry-after": "7"}, "answered 429", 7.0, False),
        (503, {"retry-after": "99999999"}, "answered 503", WAIT_MOST_S, False),
        (503, {"retry-after": "tomorrow"}, "answered 503", None, False),
    ],
)
def test_what_a_webhook_s_answer_means(
    code: int, headers: dict[str, str], says: str, again_in_s: float | None, never: bool
) -> None:
    receiver = Receiver()
    receiver.answer = (code, headers)
    one = Webhook(WebhookSection(url=receiver.url, secret=SecretStr(SECRET)), 1)
    try:
        with pytest.raises(NotTold) as refused:
            one.tell(notice("msg_1", "opened", known(), AT))
    finally:
        receiver.close()
    assert str(refused.value).startswith(says)
    assert (refused.value.again_in_s, refused.value.never, len(receiver.posts)) == (again_in_s, never, 1)


@given(st.integers(0, 10_000))
def test_pauses_have_an_end(tries: int) -> None:
    assert 0 < backoff_s(tries) <= RETRY_MOST_S


def test_only_a_program_that_nobody_else_can_change_is_run(tmp_path: Path) -> None:
    folder = tmp_path / "hooks"
    folder.mkdir(mode=0o755)
    program = folder / "blink"
    program.write_text("#!/bin/sh\n")
    assert "no program that this user may run" in refusal(program)
    program.chmod(0o755)
    assert refusal(program) == ""
    assert refusal(Path("/bin/sh")) == ""
    assert "not a whole path" in refusal(Path("blink"))
    assert "cannot be found" in refusal(folder / "none")
    assert "no program" in refusal(folder)
    link = tmp_path / "link"
    link.symlink_to(program)
    assert refusal(link) == ""
    folder.chmod(0o777)
    assert refusal(link) == f"others may write {folder}; forbid it (chmod go-w)"
    folder.chmod(0o755 | stat.S_IWGRP)
    assert "others may write" in refusal(link)


def command(folder: Path, body: str) -> Command:
    program = folder / "hook"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return Command(CommandSection(program=program), 1)


def alive(pid_file: Path) -> bool:
    """Return whether the process whose id was written there still runs."""
    stat_file = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    try:
        return stat_file.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_hangs_is_killed_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_module, "RUN_S", 1.0)
    slow = command(tmp_path, f'trap "" TERM HUP; sleep 60 & echo $! >{tmp_path}/child; echo waiting; wait')
    with pytest.raises(NotTold, match="took over 1 s and was killed: waiting; make it end sooner"):
        slow.tell(news("a", 1))
    until(lambda: not alive(tmp_path / "child"))


def test_what_a_program_leaves_behind_is_killed_and_its_flood_is_not_kept(tmp_path: Path) -> None:
    quick = command(tmp_path, f"sleep 60 & echo $! >{tmp_path}/child; head -c 5000000 /dev/zero | tr '\\0' x; exit 0")
    quick.tell(news("a", 1))
    assert quick.said == "x" * 200
    until(lambda: not alive(tmp_path / "child"))


def test_a_program_that_reads_nothing_and_one_that_cannot_run_are_told_apart(tmp_path: Path) -> None:
    command(tmp_path, "exec 0<&-; exit 0").tell(news("a", 1))
    broken = command(tmp_path, "")
    (tmp_path / "hook").write_text("#!/no/such/shell\n")
    with pytest.raises(NotTold, match="cannot be run"):
        broken.tell(news("a", 1))


def test_a_machine_without_room_is_a_way_that_fails_and_no_relay_that_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no-such-folder"))
    came: SimpleQueue[Came | BaseException] = SimpleQueue()
    teller = Teller(Command(CommandSection(program=Path("/usr/bin/true")), 1), came.put, came.put)
    now = facts()
    assert now is not None
    teller.give(Waiting(1, teller.way.key, notice("msg_1", "opened", now, AT), 0))
    said = came.get(timeout=15)
    assert isinstance(said, Came), said
    assert said.error is not None
    assert not said.error.never
    assert "look at this machine's disk" in str(said.error)

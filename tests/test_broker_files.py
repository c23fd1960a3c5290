"""The broker's files: what they say, that no rule is everybody's, and that a real mosquitto runs with what is written."""

import getpass
import os
import queue
import re
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from kiosk.broker_files import acl_of, acl_text, mosquitto_text
from kiosk.config import BrokerSection
from kiosk.config_file import read_store
from kiosk.demo.broker import free_port
from kiosk.messages import ID_PATTERN, presence_topic
from kiosk.mqtt import Connected, MqttLink
from kiosk.store_cli import app
from tests.store_files import write_store

ids = st.lists(st.from_regex(rf"\A{ID_PATTERN[1:-1]}\Z"), max_size=5, unique=True)


@given(ids, ids, st.none() | st.just("homeassistant"))
def test_every_user_stands_once_and_no_rule_is_everybody_s(
    units: list[str], staff: list[str], prefix: str | None
) -> None:
    lines = [line for line in acl_text("harbour", units, staff, prefix).splitlines() if line and line[0] != "#"]
    users = [line for line in lines if line.startswith("user ")]
    assert lines[0] == users[0]
    assert len(users) == len(set(users)) == len(units) + len(staff) + (3 if prefix else 2)
    assert all(re.fullmatch(r"user [a-z0-9_-]+|topic (read|write|readwrite) \S+", line) for line in lines)


def test_without_home_assistant_the_relay_has_nothing_of_it(tmp_path: Path) -> None:
    assert "homeassistant" not in acl_of(read_store(write_store(tmp_path / "a")))
    assert "homeassistant/status" in acl_of(read_store(write_store(tmp_path / "b", extra="\n[home_assistant]\n")))


def test_the_queue_holds_what_a_board_is_handed_when_it_comes_in(tmp_path: Path) -> None:
    for units, queued in ((0, 2000), (1000, 4000), (10_000, 40_000)):
        text = mosquitto_text(tmp_path, "", 8883, "certificate", run_as="mosquitto", units=units)
        assert f"max_queued_messages {queued}\n" in text
    assert "listener 8883\n" in text
    assert "allow_anonymous false\n" in text


# --- stayby store broker ----------------------------------------------------------------------------------------------


def test_what_is_written_is_private_and_whole(tmp_path: Path) -> None:
    store, out = write_store(tmp_path / "etc"), tmp_path / "out"
    for _ in range(2):
        said = CliRunner().invoke(app, ["broker", "--config", str(store), "--out", str(out), "--user", "nobody"])
        assert said.exit_code == 0, said.output
        assert sorted(each.name for each in out.iterdir()) == ["acl", "mosquitto.conf"]
        assert {stat.S_IMODE(each.stat().st_mode) for each in out.iterdir()} == {0o600}
    assert "2 units and 3 staff" in said.output
    if os.geteuid() == 0:
        assert out.owner() == "nobody", "mosquitto reads its rules only after it has become its user"
    assert "still to put there: ca.pem, broker.pem, broker.key, readable for nobody" in said.output


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {
                'cert_file = "{0}/staff-mo.pem"\nkey_file = "{0}/staff-mo.key"': 'username = "staff-mo"\npassword = "x"',
            },
            "staff-mo signs in with a password, and board-harbour with a certificate; mosquitto asks for one of the two",
        ),
        (
            {
                f'cert_file = "{{0}}/{user}.pem"\nkey_file = "{{0}}/{user}.key"': f'username = "{name}"\npassword = "x"'
                for user, name in (
                    ("board-harbour", "board-harbour"),
                    ("staff-sam", "sam"),
                    ("staff-alex", "staff-alex"),
                    ("staff-mo", "staff-mo"),
                )
            },
            "username 'sam' must be 'staff-sam': so the broker's rules name it",
        ),
        ({'id = "returns"': 'id = "desk-3"'}, "'desk-3' stands at [[unit]] 1 already"),
    ],
)
def test_what_the_broker_could_not_keep_is_said_and_nothing_is_written(
    tmp_path: Path, changes: dict[str, str], says: str
) -> None:
    folder = tmp_path / "etc"
    store = write_store(folder, {old.format(folder): new for old, new in changes.items()})
    said = CliRunner().invoke(app, ["broker", "--config", str(store), "--out", str(tmp_path / "out")])
    assert said.exit_code == 1
    assert says in said.output
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["broker", "--config", str(write_store(tmp_path / "etc")), "--out", str(tmp_path / "file" / "out")]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 1
    assert said.output.count("\n") == 1
    assert "name a folder that you may write" in said.output


@pytest.mark.parts
def test_a_real_mosquitto_runs_with_what_was_written(tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    folder = tmp_path / "etc"
    store = write_store(folder, port=port)
    arguments = ["broker", "--config", str(store), "--out", str(folder), "--user", getpass.getuser()]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    with subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(folder / "mosquitto.conf")]) as mosquitto:
        inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        sam = BrokerSection(
            host="127.0.0.1",
            port=port,
            ca_file=folder / "ca.pem",
            cert_file=folder / "staff-sam.pem",
            key_file=folder / "staff-sam.key",
        )
        link = MqttLink(sam, "sam", (presence_topic("harbour", "+"),), inbox.put, inbox.put)
        try:
            while not isinstance(inbox.get(timeout=15.0), Connected):
                assert mosquitto.poll() is None
        finally:
            link.close()
            mosquitto.terminate()

"""The relay for real: its own process against mosquitto with TLS, real receivers, real programs, and kill -9."""

import base64
import hashlib
import hmac
import json
import signal
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from kiosk.demo.broker import PrivateBroker
from kiosk.messages import OPENING, Fault, Going, Outcome, Severity, State, Trigger
from kiosk.relay import home_assistant as ha
from kiosk.relay.notice import SECONDARY
from tests.board_parts import PRIYA, Desk, desk, until
from tests.broker import STORE, private_broker
from tests.relay_parts import SECRET, Listener, Receiver, relay, store_toml

pytestmark = pytest.mark.parts
HOME = "[home_assistant]\n"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    with private_broker(tmp_path / "broker", prefix="homeassistant") as running:
        yield running


@pytest.fixture
def unit(broker: PrivateBroker) -> Iterator[Desk]:
    with desk(broker) as one:
        yield one


@pytest.fixture
def home(broker: PrivateBroker) -> Iterator[Listener]:
    """Return Home Assistant's place at the broker."""
    one = Listener(broker.section_for_home_assistant(), "homeassistant/#", f"stayby/relay/{STORE}/+/+")
    yield one
    one.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


def webhook(receiver: Receiver, **more: str) -> str:
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f'[[webhook]]\nurl = "{receiver.url}"\nsecret = "{SECRET}"\n{lines}'


def state_of(home: Listener, unit: str = "desk-3") -> dict[str, Any]:
    return home.json(ha.state_topic(STORE, unit))


def ways_of(home: Listener) -> list[dict[str, Any]]:
    ways: list[dict[str, Any]] = home.json(ha.health_topic(STORE)).get("ways", [])
    return ways


# --- the webhook ------------------------------------------------------------------------------------------------------


def test_a_webhook_hears_of_each_change_once_in_order_and_signed(
    tmp_path: Path, broker: PrivateBroker, unit: Desk, receiver: Receiver
) -> None:
    with relay(store_toml(tmp_path, broker, webhook(receiver))) as run:
        run.wait_for("connected to the broker")
        unit.say(name="Ana")
        receiver.wait_for(1)
        unit.say(revision=2, seen=(PRIYA,))
        unit.say(revision=3, state=State.COMING, coming=(Going(responder=PRIYA, eta_s=60),))
        receiver.wait_for(2)
        unit.say(revision=4, state=State.ATTENDED, here=PRIYA)
        receiver.wait_for(3)
        unit.say(revision=5, state=State.CLOSED, outcome=Outcome.REAL)
        bodies = receiver.wait_for(4)
    assert [one["type"] for one in bodies] == [
        "incident.opened", "incident.changed", "incident.changed", "incident.closed",
    ]  # fmt: skip
    assert [one["data"]["state"] for one in bodies] == ["raised", "coming", "attended", "closed"]
    assert {one["data"]["notice"] for one in bodies} == {SECONDARY}
    assert "Ana" not in str(receiver.posts)
    assert "Priya" not in str(receiver.posts)
    for _, headers, body in receiver.posts:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert len({headers["webhook-id"] for _, headers, _ in receiver.posts}) == 4


def test_what_fails_is_told_again_with_the_same_id_and_nothing_overtakes_it(
    tmp_path: Path, broker: PrivateBroker, unit: Desk, receiver: Receiver, home: Listener
) -> None:
    receiver.answers = [(500, {})]
    with relay(store_toml(tmp_path, broker, webhook(receiver))) as run:
        run.wait_for("connected to the broker")
        unit.say()
        receiver.wait_for(1)
        unit.say(revision=2, state=State.CLOSED)
        run.wait_for("answered 500; look at the receiver's log")
        assert ways_of(home) or until(lambda: ways_of(home))
        bodies = receiver.wait_for(3)
        run.wait_for("told again")
        until(lambda: ways_of(home)[0]["says"] == "" and ways_of(home)[0]["waiting"] == 0)
    assert [one["type"] for one in bodies] == ["incident.opened"] * 2 + ["incident.closed"]
    assert len({headers["webhook-id"] for _, headers, _ in receiver.posts}) == 2


def test_kill_9_in_the_middle_of_a_delivery_loses_nothing(
    tmp_path: Path, broker: PrivateBroker, unit: Desk, receiver: Receiver
) -> None:
    kills = 2
    with relay(store_toml(tmp_path, broker, webhook(receiver))) as run:
        run.wait_for("connected to the broker")
        receiver.hold.clear()
        unit.say()
        for kill in range(kills):
            receiver.wait_for(kill + 1)
            run.end(signal.SIGKILL)
            run.start()
        unit.say(revision=2, state=State.CLOSED)
        receiver.wait_for(kills + 1)
        receiver.hold.set()
        bodies = receiver.wait_for(kills + 2)
    assert [one["type"] for one in bodies] == ["incident.opened"] * (kills + 1) + ["incident.closed"]
    assert len({headers["webhook-id"] for _, headers, _ in receiver.posts}) == 2


def test_what_happened_while_it_was_down_is_told_when_it_is_back(
    tmp_path: Path, broker: PrivateBroker, unit: Desk, receiver: Receiver
) -> None:
    with relay(store_toml(tmp_path, broker, webhook(receiver))) as run:
        run.wait_for("connected to the broker")
        unit.say()
        receiver.wait_for(1)
        assert run.end() == 0
        unit.say(revision=7, state=State.CLOSED)
        unit.incident = "another-one"
        unit.say()
        run.start()
        bodies = receiver.wait_for(3)
        until(lambda: b"another-one" in receiver.posts[2][2])
    assert [one["type"] for one in bodies] == ["incident.opened", "incident.closed", "incident.opened"]


def test_tls_is_checked_and_the_store_s_own_authority_may_be_named(
    tmp_path: Path, broker: PrivateBroker, unit: Desk
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    receiver = Receiver(context)
    own = webhook(receiver, ca_file=f'"{tmp_path / "ca.pem"}"')
    with relay(store_toml(tmp_path, broker, own + webhook(receiver).replace("/hook", "/other"))) as run:
        run.wait_for("connected to the broker")
        unit.say()
        run.wait_for("certificate verify failed")
        receiver.wait_for(1)
    assert {path for path, _, _ in receiver.posts} == {"/hook"}
    receiver.close()


# --- who is not told --------------------------------------------------------------------------------------------------


def test_a_covert_call_is_told_only_to_a_way_that_is_set_to_be_told(
    tmp_path: Path, broker: PrivateBroker, unit: Desk, receiver: Receiver, home: Listener
) -> None:
    other = Receiver()
    ways = HOME + webhook(receiver, silent="true") + webhook(other)
    covert = {"silent": True, "covert": True, "trigger": Trigger.COVERT}
    with relay(store_toml(tmp_path, broker, ways)) as run:
        run.wait_for("connected to the broker")
        unit.beat()
        unit.say(**covert)
        told = receiver.wait_for(1)[0]["data"]
        assert told["silent"] is True
        assert "go quietly" in told["text"]
        unit.say(revision=2, state=State.CLOSED)
        receiver.wait_for(2)
        unit.incident = "after-it"
        unit.say()
        assert other.wait_for(1)[0]["data"]["incident"] == "after-it"
        until(lambda: state_of(home).get("alert") == "ON")
    assert home.count[ha.state_topic(STORE, "desk-3")] <= 4
    assert not [one for one in other.bodies() if one["data"]["silent"]]
    other.close()


# --- Home Assistant ---------------------------------------------------------------------------------------------------


def test_home_assistant_sees_a_device_for_each_unit_and_what_is_so(
    tmp_path: Path, broker: PrivateBroker, unit: Desk, home: Listener
) -> None:
    fault = Fault(code="mic", where="microphone", says="gives no sound", do="look at its plug")
    with relay(store_toml(tmp_path, broker, HOME)) as run:
        run.wait_for("connected to the broker")
        config = until(lambda: home.json(ha.discovery_topic("homeassistant", STORE, "desk-3")))
        assert config["device"]["name"] == "Stayby Service desk 3"
        assert config["components"]["drill"] == {"platform": "button"}
        assert until(lambda: state_of(home))["available"] == "offline"
        unit.beat(faults=(fault,), version="1.2")
        until(lambda: state_of(home)["connection"] == "ON")
        assert state_of(home)["wrong"] == {"count": 1, "faults": ["microphone: gives no sound; look at its plug"]}
        unit.say(severity=Severity.GRAVE)
        until(lambda: state_of(home)["alert"] == "ON")
        assert (state_of(home)["state"], state_of(home)["severity"]) == ("raised", "grave")
        assert home.json(ha.health_topic(STORE))["state"] == "online"
        run.end(signal.SIGKILL)
        until(lambda: home.json(ha.health_topic(STORE))["state"] == "offline")


def test_home_assistant_is_told_again_at_its_birth_and_of_units_that_left(
    tmp_path: Path, broker: PrivateBroker, home: Listener
) -> None:
    gone = ha.discovery_topic("homeassistant", STORE, "returns")
    here = ha.discovery_topic("homeassistant", STORE, "desk-3")
    with relay(store_toml(tmp_path, broker, HOME)) as run:
        until(lambda: home.json(gone) and home.json(here) and state_of(home))
        before = home.count[here]
        assert home.link.publish("homeassistant/status", b"online") is not None
        until(lambda: home.read().count[here] > before)
        assert run.end() == 0
        store_toml(tmp_path, broker, HOME, ("desk-3",))
        run.start()
        until(lambda: home.read().newest[gone] == b"")
        until(lambda: home.read().newest[ha.state_topic(STORE, "returns")] == b"")
        assert home.newest[here]


def test_a_drill_from_home_assistant_begins_in_the_name_of_who_is_set(
    tmp_path: Path, broker: PrivateBroker, unit: Desk, home: Listener
) -> None:
    ways = '[home_assistant]\ndrill_by = "priya"\n'
    with relay(store_toml(tmp_path, broker, ways)) as run:
        run.wait_for("connected to the broker")
        config = until(lambda: home.json(ha.discovery_topic("homeassistant", STORE, "desk-3")))
        command = config["components"]["drill"]["command_topic"]
        assert home.link.publish(command, b"nonsense") is not None
        run.wait_for("not a press of the drill button")
        assert home.link.publish(command, ha.PRESS.encode()) is not None
        run.wait_for("begun, the unit waits for its button")
        until(lambda: unit.read().drills)
    drill = unit.drills[0]
    assert (drill.responder, drill.scenario) == ("priya", OPENING)


# --- messages and programs --------------------------------------------------------------------------------------------


def test_apprise_gets_plain_words_and_the_urgency(
    tmp_path: Path, broker: PrivateBroker, unit: Desk, receiver: Receiver
) -> None:
    ways = f'[[notify]]\nurl = "json://127.0.0.1:{receiver.port}/in"\n'
    with relay(store_toml(tmp_path, broker, ways)) as run:
        run.wait_for("connected to the broker")
        receiver.answers = [(503, {}), (200, {}), (403, {})]
        unit.say(severity=Severity.GRAVE, place="<b>[x](http://evil)</b>")
        run.wait_for("answered 503, did not take it; look at the service's log")
        told = receiver.wait_for(2)[1]
        run.wait_for("told again")
        unit.say(revision=2, severity=Severity.ALERT)
        run.wait_for("answered 403, does not let us write there")
        unit.say(revision=3, state=State.COMING)
        calm = receiver.wait_for(4)[3]
    assert (told["type"], calm["type"]) == ("failure", "info")
    assert told["title"] == "Grave: help now · Service desk 3"
    assert told["message"] == f"Nobody is going yet.\n{SECONDARY}"
    assert "evil" not in str(receiver.posts)


def program(path: Path, body: str, mode: int = 0o700) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)
    return f'[[command]]\nprogram = "{path}"\n'


def test_a_program_gets_the_alert_on_its_input_and_nothing_else(
    tmp_path: Path, broker: PrivateBroker, unit: Desk
) -> None:
    out = tmp_path / "out"
    ways = program(
        tmp_path / "blink", f'cat >{out}.json; env >{out}.env; echo "$#" >{out}.args; pwd; printf "\\033[2Jhi"'
    )
    with relay(store_toml(tmp_path, broker, ways)) as run:
        run.wait_for("connected to the broker")
        unit.say(place="$(touch /tmp/owned); `id`")
        run.wait_for("command 1 (blink) said: /  [2Jhi")
        assert json.loads(Path(f"{out}.json").read_text())["change"] == "opened"
        assert Path(f"{out}.args").read_text() == "0\n"
        names = {line.partition("=")[0] for line in Path(f"{out}.env").read_text().splitlines()}
    assert names <= {"PATH", "LANG", "PWD", "OLDPWD", "SHLVL", "_"}


def test_each_way_that_is_wrong_is_said_and_leaves_the_others_on(
    tmp_path: Path, broker: PrivateBroker, unit: Desk, receiver: Receiver, home: Listener
) -> None:
    wrong = f'[[webhook]]\nurl = "{receiver.url}"\nsecret = "whsec_not base64!"\n[[notify]]\nurl = "nosuch://x"\n'
    programs = program(tmp_path / "open", "true", 0o777) + program(tmp_path / "fails", "echo no bulb; exit 3")
    with relay(store_toml(tmp_path, broker, wrong + programs + webhook(receiver))) as run:
        run.wait_for("[[webhook]] 1: what follows whsec_ is no Base64; copy the whole secret; correct it in store.toml")
        run.wait_for("connected to the broker")
        unit.say()
        assert receiver.wait_for(1)[0]["type"] == "incident.opened"
        run.wait_for("notify 1 (nosuch): not told: Apprise knows no such service")
        run.wait_for(
            f"command 1 (open): not told: not run: others may write {tmp_path / 'open'}; forbid it (chmod go-w)"
        )
        run.wait_for("command 2 (fails): not told: ended with 3: no bulb; look at the program")
        until(lambda: len([one for one in ways_of(home) if one["says"]]) == 3)


# --- bad input and a bad day ------------------------------------------------------------------------------------------


def test_bad_messages_and_strangers_are_one_line_each(
    tmp_path: Path, broker: PrivateBroker, unit: Desk, receiver: Receiver
) -> None:
    with (
        relay(store_toml(tmp_path, broker, webhook(receiver), ("desk-3",))) as run,
        desk(broker, "returns", "Returns desk") as stranger,
    ):
        run.wait_for("connected to the broker")
        stranger.say()
        run.wait_for("returns is not a [[unit]] of store.toml; nothing of it is relayed")
        for _ in range(3):
            unit.send(f"stayby/1/{STORE}/desk-3/incident", b'{"v":1,"place":"\x1b[2J"}')
        run.wait_for("check who writes there")
        unit.say()
        assert len(receiver.wait_for(1)) == 1
        assert run.said().count("check who writes there") == 1


def test_a_broker_that_dies_is_met_again(tmp_path: Path, broker: PrivateBroker, unit: Desk, receiver: Receiver) -> None:
    with relay(store_toml(tmp_path, broker, HOME + webhook(receiver))) as run:
        run.wait_for("connected to the broker")
        broker.restart()
        until(lambda: run.said().count("INFO connected to the broker") == 2)
        until(lambda: unit.read().connections == 2)
        unit.say()
        receiver.wait_for(1)


def test_a_store_without_units_and_a_drill_by_somebody_without_a_way_in_are_said(
    tmp_path: Path, broker: PrivateBroker, home: Listener
) -> None:
    path = store_toml(tmp_path, broker, '[home_assistant]\ndrill_by = "sam"\n[[staff]]\nid = "sam"\nname = "Sam"\n', ())
    with relay(path) as run:
        run.wait_for("store.toml names no [[unit]], so nothing is relayed")
        run.wait_for("drill_by: sam has no certificate or password at the broker; set theirs in [[staff]]")
        says = until(lambda: home.json(ha.health_topic(STORE)).get("says"))
    assert "names no [[unit]]" in str(says)

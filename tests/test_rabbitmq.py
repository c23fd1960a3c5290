"""A broker that is not mosquitto: a real RabbitMQ, 3.10 or 4, carries an incident from the press to its end."""

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from bench.rabbit_cluster import server
from kiosk.demo.stage import SAM, STORE, UNIT, Stage, wait_for
from kiosk.messages import (
    CloseReply,
    ComingReply,
    HereReply,
    Outcome,
    Reach,
    SeenReply,
    State,
    UnitState,
    incident_topic,
    parse_snapshot,
    parse_status,
    status_topic,
)
from kiosk.mqtt import Connected, MqttLink, Received, Refused
from tests.rabbit import RabbitBroker, knows_mqtt_5
from tests.staff import Staff

pytestmark = [
    pytest.mark.parts,
    pytest.mark.timeout(300),  # it starts slowly where others are at work
    pytest.mark.skipif(server() is None, reason="RabbitMQ is not installed; run `sudo apt install rabbitmq-server`"),
]
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitBroker]:
    with RabbitBroker(tmp_path_factory.mktemp("rabbit") / "broker", [UNIT], ["sam", "alex"]) as running:
        yield running


@pytest.fixture
def stage(tmp_path: Path, rabbit: RabbitBroker) -> Iterator[Stage]:
    with Stage(tmp_path / "stage") as made:
        made.broker = rabbit  # type: ignore[assignment]  # another broker with the same tables
        made.write_config()
        made.start_button()
        made.start_hub()
        yield made


def lies_there(rabbit: RabbitBroker, topic: str) -> bytes:
    """Return what the broker has retained on a topic, as somebody learns it who comes later."""
    inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
    link = MqttLink(rabbit.section_for_responder("alex"), "late", (topic,), inbox.put, inbox.put)
    try:
        while True:
            event = inbox.get(timeout=PATIENCE_S)
            assert not isinstance(event, BaseException), event
            if isinstance(event, Received):
                assert event.retained
                return event.payload
    finally:
        link.close()


def test_an_incident_from_the_press_to_its_end_and_the_will_of_a_hub_that_is_killed(
    stage: Stage, rabbit: RabbitBroker
) -> None:
    with Staff(stage, SAM, PATIENCE_S) as sam:
        sam.wait_status(lambda status: status.state is not UnitState.LOST, PATIENCE_S)
        sam.sign_on()  # what this broker retains it tells nobody who asks with a wildcard
        wait_for("Sam to be known", lambda: (said := stage.status()) and said.reach is Reach.OK, PATIENCE_S)
        stage.tap_button()
        raised = sam.wait(lambda seen: seen.state is State.RAISED and seen.asked, PATIENCE_S)
        sam.reply(SeenReply, raised.id)
        sam.wait(lambda seen: seen.seen, PATIENCE_S)
        sam.reply(ComingReply, raised.id, eta_s=60.0)
        coming = sam.wait(lambda seen: seen.state is State.COMING, PATIENCE_S)
        assert coming.coming[0].responder == SAM.person
        sam.reply(HereReply, raised.id)
        sam.wait(lambda seen: seen.state is State.ATTENDED, PATIENCE_S)
        topic = incident_topic(STORE, UNIT)
        assert parse_snapshot(topic, lies_there(rabbit, topic)).state is State.ATTENDED
        sam.reply(CloseReply, raised.id, outcome=Outcome.REAL)
        closed = sam.wait(lambda seen: seen.state is State.CLOSED, PATIENCE_S)
        assert (closed.id, closed.outcome, closed.closed_by) == (raised.id, Outcome.REAL, SAM.person)
        stage.parts["alertd"].kill()
        sam.wait_status(lambda status: status.state is UnitState.LOST, PATIENCE_S)
    topic = status_topic(STORE, UNIT)
    assert parse_status(topic, lies_there(rabbit, topic)).state is UnitState.LOST


def test_it_is_spoken_to_in_the_newest_version_that_it_knows(rabbit: RabbitBroker) -> None:
    inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
    link = MqttLink(rabbit.section_for_responder("sam"), "asks-for-5", (), inbox.put, inbox.put, version=5)
    refusals = 0
    try:
        while not isinstance(event := inbox.get(timeout=PATIENCE_S), Connected):
            assert isinstance(event, Refused)
            refusals += 1
        assert link.version == (MQTTProtocolVersion.MQTTv5 if knows_mqtt_5() else MQTTProtocolVersion.MQTTv311)
        assert refusals == (0 if knows_mqtt_5() else 1)  # 3.10 breaks off at the first word
    finally:
        link.close()

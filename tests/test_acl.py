"""The broker's rules of access, cell by cell, at the real mosquitto: exactly what should be open is open."""

from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from kiosk.demo.acl import OPEN, STRANGERS, TOPICS, VERSIONS, Probe, acl_broker, try_all
from kiosk.messages import reply_topic

pytestmark = pytest.mark.parts
SIGN_INS_THAT_FAIL = 3


def test_exactly_what_should_be_open_is_open(tmp_path: Path) -> None:
    matrix = try_all(tmp_path / "broker")
    assert matrix.open == set()
    assert matrix.shut == set()
    clients = len(OPEN) + len(STRANGERS) + SIGN_INS_THAT_FAIL
    assert len(matrix.tried) == clients * len(TOPICS) * (2 * len(VERSIONS) + 1)


def test_a_session_that_is_taken_over_hands_nothing_to_who_may_not_read_it(tmp_path: Path) -> None:
    v311, topic = MQTTProtocolVersion.MQTTv311, reply_topic("harbour", "desk-3", "sam")
    with acl_broker(tmp_path / "broker") as broker:

        def write(payload: bytes) -> None:
            with Probe(broker.section_for_responder("sam"), "sam", v311) as sam:
                sam.write([topic], payload, retain=False)

        def come(unit: str) -> dict[str, set[bytes]]:
            with Probe(broker.section_for_unit(unit), "one name for two", v311, keep=True) as probe:
                probe.subscribe([topic], qos=1)
                probe.settle()
                return probe.heard

        come("desk-3")
        write(b"for desk-3")
        assert come("desk-3") == {topic: {b"for desk-3"}}
        write(b"for desk-3 again")
        assert come("returns") == {}

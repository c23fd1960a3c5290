"""The link against a real mosquitto: it connects, comes back, notices silence, and says in one line why it cannot."""

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trustme
from paho.mqtt.enums import MQTTProtocolVersion

from kiosk.config import BrokerSection
from kiosk.demo.broker import PrivateBroker, free_port
from kiosk.messages import incident_topic, presence_topic, reply_topic, status_topic
from kiosk.mqtt import (
    MAX_PACKET_BYTES,
    Acknowledged,
    Connected,
    Disconnected,
    LinkEvent,
    MqttLink,
    Received,
    Refused,
    Will,
    explain,
)
from tests.broker import STORE, broker, make_broker

pytestmark = pytest.mark.parts
__all__ = ["broker", "make_broker"]
PATIENCE_S = 15.0
Event = TypeVar("Event", bound=LinkEvent)
PRESENCE = presence_topic(STORE, "sam", "phone")


class Ear:
    """A link and what it put; `expect` waits for one kind of event and returns it, passing over the others."""

    def __init__(self, section: BrokerSection, name: str, topics: tuple[str, ...] = (), **options: Any) -> None:
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.link = MqttLink(section, f"test-{name}", topics, self.events.put, self.events.put, **options)

    def expect(self, kind: type[Event], within_s: float = PATIENCE_S) -> Event:
        until_s = time.monotonic() + within_s
        while True:
            event = self.events.get(timeout=max(0.01, until_s - time.monotonic()))
            assert not isinstance(event, BaseException), event
            if isinstance(event, kind):
                return event


@contextmanager
def ear(section: BrokerSection, name: str, topics: tuple[str, ...] = (), **options: Any) -> Iterator[Ear]:
    one = Ear(section, name, topics, **options)
    try:
        yield one
    finally:
        one.link.close()


@pytest.mark.parametrize("version", [5, 311])
@pytest.mark.parametrize("sign_in", ["certificate", "password"])
def test_a_message_goes_from_one_to_the_other_and_is_acknowledged(
    make_broker: Callable[..., PrivateBroker], sign_in: str, version: int
) -> None:
    running = make_broker(sign_in=sign_in)
    with (
        ear(running.section_for_unit("desk-3"), "unit", (presence_topic(STORE, "+"),), version=version) as unit,
        ear(running.section_for_responder("sam"), "sam", version=version) as sam,
    ):
        unit.expect(Connected)
        sam.expect(Connected)
        mid = sam.link.publish(PRESENCE, b"here", retain=True)
        assert sam.expect(Acknowledged).mid == mid
        assert unit.expect(Received) == Received(PRESENCE, b"here", retained=False)
    with ear(running.section_for_unit("desk-3"), "late", (presence_topic(STORE, "+"),)) as late:
        late.expect(Connected)
        assert late.expect(Received) == Received(PRESENCE, b"here", retained=True)


def test_a_death_says_the_will_and_a_good_bye_says_it_too(broker: PrivateBroker) -> None:
    with ear(broker.section_for_unit("desk-3"), "unit", (presence_topic(STORE, "+"),)) as unit:
        unit.expect(Connected)
        with ear(broker.section_for_responder("sam"), "sam", will=Will(PRESENCE, b"gone")) as sam:
            sam.expect(Connected)
            with ear(broker.section_for_responder("sam"), "sam", will=Will(PRESENCE, b"gone")) as twin:
                twin.expect(Connected)  # the same name: the broker drops the first, which says its will
                assert unit.expect(Received).payload == b"gone"
            sam.link.close()
            assert unit.expect(Received).payload == b"gone"


def test_two_devices_with_one_name_are_told_so(broker: PrivateBroker) -> None:
    section = broker.section_for_responder("sam")
    with ear(section, "sam") as sam, ear(section, "sam"):
        while "does another device sign in as test-sam?" not in sam.expect(Disconnected).reason:
            pass


def test_a_killed_broker_is_noticed_and_met_again_with_subscriptions(broker: PrivateBroker) -> None:
    with (
        ear(broker.section_for_unit("desk-3"), "unit", (presence_topic(STORE, "+"),)) as unit,
        ear(broker.section_for_responder("sam"), "sam") as sam,
    ):
        unit.expect(Connected)
        sam.expect(Connected)
        broker.kill()
        unit.expect(Disconnected)
        sam.expect(Disconnected)
        assert sam.link.publish(PRESENCE, b"lost") is None
        assert "nothing listens there; start the broker" in sam.expect(Refused).reason
        broker.start()
        unit.expect(Connected)
        sam.expect(Connected)
        sam.link.publish(PRESENCE, b"back")
        assert unit.expect(Received).payload == b"back"


def test_a_broker_that_is_away_says_nothing_of_versions(broker: PrivateBroker) -> None:
    broker.kill()
    with ear(broker.section_for_responder("sam"), "sam") as sam:
        versions, until_s = set(), time.monotonic() + PATIENCE_S
        while sam.link._attempts < 4:
            assert time.monotonic() < until_s
            versions.add(sam.link.version)
            time.sleep(0.01)
        assert versions == {MQTTProtocolVersion.MQTTv5}, "in 3.1.1 nobody is told what the ACL refuses"
        broker.start()
        sam.expect(Connected)


def test_a_small_message_does_not_wait_for_the_one_before_to_be_confirmed(broker: PrivateBroker) -> None:
    with ear(broker.section_for_responder("sam"), "sam") as sam:
        sam.expect(Connected)
        session = sam.link._session
        assert session is not None
        sock = session.client.socket()
        assert isinstance(sock, ssl.SSLSocket)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_frozen_broker_is_noticed(broker: PrivateBroker) -> None:
    with ear(broker.section_for_responder("sam"), "sam", keepalive_s=1) as sam:
        sam.expect(Connected)
        broker.freeze()
        assert "no answer for 2 s; look whether it hangs" in sam.expect(Disconnected).reason
        broker.thaw()
        sam.expect(Connected)


def test_what_the_acl_forbids_is_refused_by_number_and_the_link_stands(broker: PrivateBroker) -> None:
    with ear(broker.section_for_responder("sam"), "sam") as sam:
        sam.expect(Connected)
        mid = sam.link.publish(incident_topic(STORE, "desk-3"), b"forged")
        refused = sam.expect(Refused)
        assert refused.mid == mid
        assert "allow it in its ACL" in refused.reason
        good = sam.link.publish(PRESENCE, b"x")
        assert sam.expect(Acknowledged).mid == good


FORBIDDEN = [
    ("sam", reply_topic(STORE, "desk-3", "priya")),
    ("sam", presence_topic(STORE, "priya", "phone")),
    ("sam", status_topic(STORE, "desk-3")),
    ("sam", reply_topic("other", "desk-3", "sam")),
    ("desk-3", incident_topic(STORE, "returns")),
    ("desk-3", reply_topic(STORE, "desk-3", "sam")),
    ("desk-3", presence_topic(STORE, "sam", "phone")),
]


def test_nobody_can_write_what_is_not_theirs(broker: PrivateBroker) -> None:
    sections = {"sam": broker.section_for_responder("sam"), "desk-3": broker.section_for_unit("desk-3")}
    everything = (reply_topic(STORE, "desk-3", "+"), presence_topic(STORE, "+"), reply_topic("other", "desk-3", "+"))
    with (
        ear(broker.section_for_unit("desk-3"), "reader", everything) as reader,
        ear(sections["sam"], "sam") as sam,
        ear(sections["desk-3"], "desk") as desk,
    ):
        reader.expect(Connected)
        writers = {"sam": sam, "desk-3": desk}
        for writer in writers.values():
            writer.expect(Connected)
        for who, topic in FORBIDDEN:
            mid = writers[who].link.publish(topic, b"forged")
            assert writers[who].expect(Refused).mid == mid, topic
        sam.link.publish(PRESENCE, b"true")
        assert reader.expect(Received).payload == b"true"  # the first that arrived at all


def test_an_outgoing_payload_over_the_limit_is_our_own_fault(broker: PrivateBroker) -> None:
    with ear(broker.section_for_responder("sam"), "sam") as sam:
        sam.expect(Connected)
        with pytest.raises(ValueError, match="the limit is"):
            sam.link.publish(PRESENCE, bytes(MAX_PACKET_BYTES))


def test_a_handler_that_raises_ends_the_thread_aloud(broker: PrivateBroker) -> None:
    deaths: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

    def put(_: LinkEvent) -> None:
        raise RuntimeError("handler")

    link = MqttLink(broker.section_for_responder("sam"), "test-sam", (), put, deaths.put)
    assert "handler" in str(deaths.get(timeout=PATIENCE_S))
    link.close()


# --- why there is no connection, in one line --------------------------------------------------------------------------


def refusal(section: BrokerSection) -> str:
    with ear(section, "sam") as sam:
        reason = sam.expect(Refused).reason
    assert "\n" not in reason
    assert reason.startswith(f"broker {section.host}:{section.port}: ")
    return reason


def test_an_unknown_authority(broker: PrivateBroker, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    section = broker.section_for_responder("sam").model_copy(update={"ca_file": tmp_path / "other.pem"})
    assert f"ca_file {tmp_path}/other.pem did not sign its certificate" in refusal(section)


def test_an_expired_certificate_of_the_broker(make_broker: Callable[..., PrivateBroker]) -> None:
    running = make_broker(not_after=datetime.now(UTC) - timedelta(days=1))
    assert "its certificate has expired" in refusal(running.section_for_responder("sam"))


def test_a_certificate_for_another_name(make_broker: Callable[..., PrivateBroker]) -> None:
    running = make_broker(names=("broker.example",))
    assert "its certificate is for another name than '127.0.0.1'" in refusal(running.section_for_responder("sam"))


def test_our_own_certificate_from_a_stranger(broker: PrivateBroker, tmp_path: Path) -> None:
    stranger = trustme.CA().issue_cert(common_name="staff-sam")
    stranger.private_key_and_cert_chain_pem.write_to_path(tmp_path / "stranger.pem")
    files = {"cert_file": tmp_path / "stranger.pem", "key_file": tmp_path / "stranger.pem"}
    reason = refusal(broker.section_for_responder("sam").model_copy(update=files))
    assert "does not know the authority of our certificate" in reason


def test_our_own_certificate_expired(broker: PrivateBroker, tmp_path: Path) -> None:
    old = broker.authority.issue_cert(common_name="staff-sam", not_after=datetime.now(UTC) - timedelta(days=1))
    old.private_key_and_cert_chain_pem.write_to_path(tmp_path / "old.pem")
    files = {"cert_file": tmp_path / "old.pem", "key_file": tmp_path / "old.pem"}
    assert "has expired; renew it" in refusal(broker.section_for_responder("sam").model_copy(update=files))


def test_a_wrong_password(make_broker: Callable[..., PrivateBroker]) -> None:
    section = make_broker(sign_in="password").section_for_responder("sam")
    wrong = BrokerSection.model_validate({**section.model_dump(), "password": "wrong"})
    reason = refusal(wrong)
    assert "does not let in our user 'staff-sam'" in reason
    assert "wrong" not in reason


def test_no_broker_and_no_name(broker: PrivateBroker) -> None:
    section = broker.section_for_responder("sam")
    nothing = section.model_copy(update={"port": free_port("127.0.0.1")})
    assert "nothing listens there" in refusal(nothing)
    nameless = section.model_copy(update={"host": "no-such-broker.invalid"})
    assert "no such name" in refusal(nameless)


@pytest.mark.parametrize("key", ["ca_file", "cert_file", "key_file"])
def test_a_missing_or_broken_file(broker: PrivateBroker, tmp_path: Path, key: str) -> None:
    section = broker.section_for_responder("sam")
    assert f"{key} {tmp_path}/none.pem: No such file" in refusal(
        section.model_copy(update={key: tmp_path / "none.pem"})
    )
    (tmp_path / "junk.pem").write_text("junk")
    assert f"{key} {tmp_path}/junk.pem" in refusal(section.model_copy(update={key: tmp_path / "junk.pem"}))


def test_a_port_that_does_not_speak_tls(broker: PrivateBroker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        port = server.getsockname()[1]
        assert "does not speak TLS" in refusal(broker.section_for_responder("sam").model_copy(update={"port": port}))


CONNACK, SUBACK_REFUSED = b"\x20\x03\x00\x00\x00", b"\x90\x04%b\x00\x87"


def test_a_refused_subscription_is_not_a_connection(broker: PrivateBroker) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(broker.folder / "broker.pem", broker.folder / "broker.key")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            with context.wrap_socket(server.accept()[0], server_side=True) as peer:
                peer.recv(4096)
                peer.sendall(CONNACK)
                peer.sendall(SUBACK_REFUSED % peer.recv(4096)[2:4])
                peer.recv(4096)

        threading.Thread(target=refuse, daemon=True).start()
        section = broker.section_for_responder("sam").model_copy(update={"port": server.getsockname()[1]})
        with ear(section, "sam", (PRESENCE,)) as sam:
            assert f"does not let us read {PRESENCE} (Not authorized)" in sam.expect(Refused).reason
            assert sam.link.publish(PRESENCE, b"x") is None


def test_any_other_error_still_makes_one_line(broker: PrivateBroker) -> None:
    reason = explain(broker.section_for_responder("sam"), OSError(113, "No route to host"))
    assert reason.endswith("No route to host; check the network and the broker")

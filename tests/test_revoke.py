"""A stolen unit is out by one command: at a real mosquitto, with the files that the command wrote."""

import os
import signal
from pathlib import Path

import pytest

from kiosk.messages import status_topic
from kiosk.mqtt import Acknowledged, Connected, Refused
from tests.provision_parts import Client, make_store, run


@pytest.mark.parts
def test_a_stolen_unit_is_out_at_once_and_everybody_else_stays(tmp_path: Path) -> None:
    made = make_store(tmp_path / "harbour")
    for unit in ("desk-3", "returns"):
        code = made.add_unit(unit, unit)
        assert run("join", made.claim(unit), "--later", "--config", tmp_path / unit / "kiosk.toml", typed=code)[0] == 0
    stolen, other = (made.unit_section(tmp_path / unit) for unit in ("desk-3", "returns"))
    topic = status_topic("harbour", "desk-3")
    with made.broker() as mosquitto, Client(stolen, "thief") as thief, Client(other, "returns") as returns:
        thief.wait(Connected)
        returns.wait(Connected)
        assert thief.wait(Acknowledged, mid=thief.link.publish(topic, b"{}"))
        status, said = run("store", "revoke", "desk-3", "--in", made.folder)
        assert status == 0
        assert "unit-desk-3: out of store.toml; 1 certificate(s) revoked" in said
        assert "sudo stayby store put broker --in" in said
        os.kill(mosquitto.pid, signal.SIGHUP)
        with Client(stolen, "thief again") as again:
            assert "was revoked; ask for a new one" in again.wait(Refused).reason
        mid = thief.link.publish(topic, b"{}")
        assert "Not authorized" in thief.wait(Refused, mid=mid).reason
        with Client(other, "returns again") as again:
            again.wait(Connected)
        assert returns.wait(Acknowledged, mid=returns.link.publish(status_topic("harbour", "returns"), b""))
    with made.broker(), Client(other, "returns") as returns:
        returns.wait(Connected)
        with Client(stolen, "thief") as thief:
            assert "was revoked" in thief.wait(Refused).reason

"""A real Home Assistant core with its mqtt integration takes what the relay announces.

Skipped unless `make homeassistant` put a core there.
"""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kiosk.demo.broker import PrivateBroker
from kiosk.messages import Fault, Severity, State
from tests.board_parts import Desk, desk, until
from tests.broker import private_broker
from tests.relay_parts import relay, store_toml

PYTHON = Path(__file__).parent.parent / "build/homeassistant/bin/python"
pytestmark = [
    pytest.mark.parts,
    pytest.mark.skipif(not PYTHON.exists(), reason="no Home Assistant here; `make homeassistant` installs one"),
]
DRILL = '[home_assistant]\ndrill_by = "priya"\n'
DESK_ALERT = "binary_sensor.stayby_service_desk_3_alert"
BUTTON = "button.stayby_service_desk_3_start_the_opening_press"


class HomeAssistant:
    """A running core that shows what it knows."""

    def __init__(self, folder: Path, broker: PrivateBroker) -> None:
        section = broker.section_for_home_assistant()
        assert section.cert_file is not None
        assert section.key_file is not None
        entry = {
            "broker": section.host, "port": section.port, "protocol": "5", "discovery": True,
            "certificate": section.ca_file.read_text(), "client_cert": section.cert_file.read_text(),
            "client_key": section.key_file.read_text(),
        }  # fmt: skip
        folder.mkdir()
        (folder / "entry.json").write_text(json.dumps(entry))
        self.log = folder / "said"
        with self.log.open("wb") as log:
            command = [PYTHON, Path(__file__).with_name("home_assistant_core.py"), folder]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.version = self._line()["version"]

    def _line(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-3000:]
        return json.loads(line)

    def look(self, word: str = "look") -> dict[str, dict[str, Any]]:
        """Return its devices and entities, after pressing a button if told so."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        shown: dict[str, dict[str, Any]] = self._line()
        return shown

    def state(self, entity: str) -> Any:
        """Return an entity's state, None if there is none."""
        return self.look()["entities"].get(entity, {}).get("state")

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    with private_broker(tmp_path / "broker", prefix="homeassistant") as running:
        yield running


@pytest.fixture
def unit(broker: PrivateBroker) -> Iterator[Desk]:
    with desk(broker) as one:
        yield one


@pytest.fixture
def home(tmp_path: Path, broker: PrivateBroker) -> Iterator[HomeAssistant]:
    one = HomeAssistant(tmp_path / "home", broker)
    yield one
    one.close()


def test_a_real_core_shows_a_device_for_each_unit_and_what_is_so(
    tmp_path: Path, broker: PrivateBroker, unit: Desk, home: HomeAssistant
) -> None:
    fault = Fault(code="mic", where="microphone", says="gives no sound", do="look at its plug")
    with relay(store_toml(tmp_path, broker, DRILL)) as run:
        unit.beat(
            version="1.2", faults=(fault,), last_proven="2026-11-22T08:00:00Z", self_proven="2026-11-22T05:31:00Z"
        )
        unit.say(severity=Severity.GRAVE)
        until(lambda: home.state(DESK_ALERT) == "on")
        shown = home.look()
        assert shown["devices"] == {"Stayby Service desk 3": "1.2", "Stayby Returns desk": None}
        states = {name.partition("service_desk_3_")[2]: one for name, one in shown["entities"].items()}
        assert states["severity"]["state"] == "grave"
        assert states["state"]["state"] == "raised"
        assert states["connection"]["state"] == "on"
        assert states["faults"]["attributes"]["faults"] == ["microphone: gives no sound; look at its plug"]
        assert states["last_proven"]["state"] == "2026-11-22T08:00:00+00:00"
        assert states["self_proven"]["state"] == "2026-11-22T05:31:00+00:00"
        assert states["alert"]["attributes"]["notice"] == "Secondary notice. The board is what counts."
        assert home.state("binary_sensor.stayby_returns_desk_alert") == "unavailable"
        unit.say(revision=2, state=State.CLOSED)
        unit.beat(2)
        until(lambda: home.state(DESK_ALERT) == "off" and home.state(BUTTON) != "unavailable")
        home.look(f"press {BUTTON}")
        until(lambda: unit.read().drills)
        assert unit.drills[0].responder == "priya"
        run.end(signal.SIGKILL)
        until(lambda: home.state(DESK_ALERT) == "unavailable")
    said = home.log.read_text()
    assert "Invalid" not in said, said
    assert "rror" not in said.replace("Error returned from MQTT server", ""), said


def test_what_left_store_toml_leaves_a_real_core(tmp_path: Path, broker: PrivateBroker, home: HomeAssistant) -> None:
    with relay(store_toml(tmp_path, broker, DRILL)) as run:
        until(lambda: len(home.look()["devices"]) == 2 and home.state(BUTTON))
        assert run.end() == 0
        store_toml(tmp_path, broker, "[home_assistant]\n", ("desk-3",))
        run.start()
        until(lambda: list(home.look()["devices"]) == ["Stayby Service desk 3"])
        until(lambda: home.state(BUTTON) is None)
        assert home.state(DESK_ALERT) is not None

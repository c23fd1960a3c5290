"""The bundle for support: what happened is in it, through kill -9, and no secret, no name and no word of anybody."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.black_box import EVERY_S, BlackBox, BoxEvent
from kiosk.bus import Leaf, runtime_socket
from kiosk.config import EscalationSection
from kiosk.demo.stage import SAM, Stage, wait_for
from kiosk.events import ButtonPressed, ChoiceTouched, Event, NameGiven
from kiosk.incident import IncidentMachine
from kiosk.messages import Choice, ComingReply, Fault, Hello, Reach, Role, State, Touch, TouchAction
from kiosk.store import EVENTS_KEPT, Store, kept_events
from tests.staff import Staff

DISK = Fault(code="disk", where="/var", says="full", do="free it")

# --- the black box ----------------------------------------------------------------------------------------------------


def test_the_store_keeps_the_newest_thousand_for_whoever_reads_beside_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db", print)
    store.note_events([BoxEvent(float(number), "fault", "disk") for number in range(EVENTS_KEPT + 30)])
    store.note_events([BoxEvent(5000.0, "over", "disk")])
    found = kept_events(tmp_path / "state.db")
    store.close()
    assert (len(found), found[0].at_unix_s, found[-1]) == (EVENTS_KEPT, 31.0, BoxEvent(5000.0, "over", "disk"))


@given(st.lists(st.floats(0, 3600), min_size=1, max_size=300))
def test_a_fault_that_flaps_is_written_once_a_minute_and_nothing_of_it_is_lost(times: list[float]) -> None:
    box, written, writes = BlackBox(), 0, 0
    for at_s in sorted(times):
        box.fault(DISK, at_s, begins=True)
        found = box.due(at_s)
        written, writes = written + len(found), writes + bool(found)
    assert written + len(box.due(float("inf"))) == len(times)
    assert writes <= max(times) // EVERY_S + 1


def test_the_first_fault_is_written_at_once() -> None:
    box = BlackBox()
    box.fault(DISK, 1e9, begins=True)
    assert box.due(10.0) == [BoxEvent(1e9, "fault", "disk", "/var", "full")]
    box.fault(DISK, 1e9 + 1, begins=False)
    assert box.due(11.0) == []
    assert box.due(10.0 + EVERY_S) == [BoxEvent(1e9 + 1, "over", "disk", "/var")]


def test_steps_of_an_incident_are_noted_once_each_at_once_and_without_what_a_person_told() -> None:
    box, machine = BlackBox(), IncidentMachine(EscalationSection(), lambda: "0123456789abcdef")
    codes: list[str] = []
    told: list[Event] = [ButtonPressed(), ChoiceTouched(Choice.CHEST_PAIN), NameGiven("Maria")]
    for number, event in enumerate(told):
        machine.handle(event, float(number))
        assert machine.incident is not None
        for _ in range(2):
            box.incident(machine.incident, 1e9)
            found = box.due(0.0)
            codes += [one.code for one in found]
            assert "Maria" not in repr(found)
            assert "chest" not in repr(found)
    assert machine.incident is not None
    whole = [entry.what for entry in machine.incident.timeline]
    assert {"opened", "told_choice", "told_name"} <= set(whole)
    assert codes == [what for what in whole if what not in {"told_choice", "told_name"}]


def test_what_names_a_person_leaves_its_code_alone() -> None:
    box = BlackBox()
    box.fault(Fault(code="walk-test", where="unit", says="Kim tests", do=""), 1e9, begins=True)
    assert box.due(0.0) == [BoxEvent(1e9, "fault", "walk-test", "unit")]


# --- the bundle -------------------------------------------------------------------------------------------------------

PASSWORD, COVERT = "hunter2-of-this-unit", "angela"
CUSTOMER = "Maria-José"


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as made:
        made.write_config()
        made.start_broker()
        made.start_button()
        made.start_hub()
        wait_for("the button", lambda: (said := made.status()) and said.button and said.button.up)
        config = made.config_file.read_text()
        config = config.replace("[broker]\n", f'[broker]\nusername = "desk-3"\npassword = "{PASSWORD}"\n')
        made.config_file.write_text(config.replace("[listen]\n", f'[listen]\ncovert_phrase = "{COVERT}"\n'))
        yield made


def bundle(stage: Stage) -> dict[str, str]:
    """Return the files of a new bundle."""
    out = stage.folder / f"out{len(list(stage.folder.glob('out*')))}"
    command = [sys.executable, "-m", "kiosk", "report", "--config", str(stage.config_file), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (path,) = out.iterdir()
    assert path.stat().st_mode & 0o077 == 0
    with tarfile.open(path) as archive:
        found = {Path(one.name).name: archive.extractfile(one) for one in archive.getmembers()}
        return {name: file.read().decode() for name, file in found.items() if file is not None}


def forbidden(stage: Stage) -> set[str]:
    """Return every secret of this unit, and every word of a person that it has heard."""
    keys = [line for path in stage.broker.folder.glob("*.key") for line in path.read_text().splitlines()]
    names = {SAM.person.name, CUSTOMER, CUSTOMER.encode("ascii", "backslashreplace").decode()}
    return {PASSWORD, COVERT, Choice.CHEST_PAIN, *names, *(line for line in keys if len(line) > 20)}


@pytest.mark.parts
def test_what_happened_is_in_it_and_nobody_is(unit: Stage) -> None:
    screen = Leaf(runtime_socket(unit.run_dir), Hello(role=Role.UI), print, print, print, print)
    with Staff(unit, SAM) as sam:
        wait_for("Sam to be known", lambda: (said := unit.status()) and said.reach is Reach.OK)
        unit.tap_button()
        raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
        sam.reply(ComingReply, raised.id, eta_s=60)
        sam.wait(lambda snapshot: snapshot.state is State.COMING)
        for told in (
            Touch(action=TouchAction.CHOOSE, choice=Choice.CHEST_PAIN, incident=raised.id),
            Touch(action=TouchAction.NAME, name=CUSTOMER, incident=raised.id),
        ):
            screen.send(told)
        sam.wait(lambda snapshot: snapshot.name == CUSTOMER and snapshot.choice is Choice.CHEST_PAIN)
        running = bundle(unit)
    unit.parts["alertd"].kill()
    screen.close()
    killed = bundle(unit)
    for files in (running, killed):
        assert set(files) == {"versions.json", "doctor.json", "status.json", "events.json", "config.toml"}
        codes = [one["code"] for one in json.loads(files["events.json"])["events"]]
        assert [code for code in codes if code in {"opened", "coming"}] == ["opened", "coming"]
        found = {word for word in forbidden(unit) for text in files.values() if word in text}
        assert not found
        assert 'place = "Service desk 3"' in files["config.toml"]
    assert json.loads(running["status.json"])["incident"]["state"] == "coming"
    assert json.loads(killed["status.json"]) is None
    hub = next(one for one in json.loads(killed["doctor.json"]) if one["name"] == "hub")
    assert hub["ok"] is False

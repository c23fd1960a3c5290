"""The documents made from the types: they are up to date, the AsyncAPI parser takes them, and what travels fits them."""

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kiosk import events as ev
from kiosk.config import EscalationSection, UnitSection
from kiosk.incident import IncidentMachine
from kiosk.messages import (
    CallNextReply,
    CloseReply,
    ComingReply,
    Face,
    Fault,
    HereReply,
    Outcome,
    Person,
    Presence,
    Proof,
    ProofSeen,
    Reach,
    SeenReply,
    StartDrill,
    Status,
    UnitState,
)
from kiosk.relay import home_assistant as ha
from kiosk.relay.notice import told
from kiosk.schema import DOCS, KINDS, files

HERE = Path(__file__).parent / "asyncapi"
BUILT = Path(__file__).parent.parent / "build" / "asyncapi"
PARTS_OF_A_DEVICE = [(None, False), (ha.Desk(lives=False, version="1.2"), True)]
INSTALL_S, CHECK_S = 280.0, 100.0


def test_what_is_committed_is_what_the_types_say() -> None:
    for name, text in files().items():
        assert (DOCS / name).read_text() == text, f"docs/{name} is old: run `make schema`"


@pytest.fixture(scope="module")
def modules() -> Path:
    """Return the folder of the parser, with exactly what the lock file says; the first time it is fetched with npm."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("npm is not installed: the AsyncAPI document is not checked here")
    lock = (HERE / "package-lock.json").read_bytes()
    stamp = BUILT / "installed"
    if not stamp.exists() or stamp.read_bytes() != lock:
        BUILT.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, BUILT / name)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=BUILT, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot fetch the AsyncAPI parser: {done.stderr.strip().splitlines()[-1:]}")
        stamp.write_bytes(lock)
    return BUILT


def check(modules: Path, document: Path, messages: list[tuple[str, Any]]) -> dict[str, Any]:
    command = ["node", str(HERE / "check.cjs"), str(modules), str(document)]
    done = subprocess.run(
        command, input=json.dumps(messages), capture_output=True, text=True, timeout=CHECK_S, check=False
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def messages() -> list[tuple[str, Any]]:
    """Return what really travels: made by the types and by the machine."""
    sam = Person(id="sam", name="Sam")
    unit = UnitSection(store="harbour", id="desk-3", place="Service desk 3", address="12 Quay Street")
    machine = IncidentMachine(EscalationSection(), lambda: "one")
    machine.handle(ev.ReachChanged(Reach.OK, (ev.Listener(sam, 1),)), 0.0)
    machine.handle(ev.ButtonPressed(), 1.0)
    machine.handle(ev.ResponderComing(sam, "reply-000001", 60.0), 2.0)
    assert machine.incident is not None
    now = datetime.now(UTC)
    fault = Fault(code="button", where="button", says="the loop is cut", do="look at the cable")
    face = Face(
        store="Harbour", unit="desk-3", place="Service desk 3", address="12 Quay Street", emergency_number="112"
    )
    whole = Status(
        store="harbour",
        unit="desk-3",
        place="x",
        state=UnitState.FAULT,
        faults=(fault,),
        last_proven=now,
        face=face,
        at=now,
        run="0a1b2c3d",
        self_proven=now,
    )
    of = {"reply_id": "reply-000001", "incident": "one", "responder": "sam"}
    records = [
        ("incident", machine.snapshot(machine.incident, unit, 3.0, now)),
        ("status", whole),
        ("status", Status(store="harbour", unit="desk-3", place="x", state=UnitState.LOST)),
        (
            "presence",
            Presence(responder="sam", device="phone", name="Sam", tier=1, desks={"returns": 2}, listening=True),
        ),
        ("proof", Proof(store="harbour", unit="desk-3", proof=f"proof-{'0' * 16}")),
        ("proofSeen", ProofSeen(store="harbour", unit="desk-3", proof=f"proof-{'0' * 16}")),
        ("reply", SeenReply(**of)),
        ("reply", ComingReply(**of, eta_s=60.0)),
        ("reply", HereReply(**of)),
        ("reply", CallNextReply(**of)),
        ("reply", CloseReply(**of, outcome=Outcome.REAL)),
        ("reply", StartDrill(responder="sam", drill=f"drill-{'0' * 32}", scenario="chest-pain")),
    ]
    return [(name, record.model_dump(mode="json")) for name, record in records] + relay_messages(machine, unit, fault)


def relay_messages(machine: IncidentMachine, unit: UnitSection, fault: Fault) -> list[tuple[str, Any]]:
    """Return what the relay says and reads: as it is on the wire, what is null left out of an announcement."""
    assert machine.incident is not None
    now = datetime.now(UTC)
    facts = told(machine.snapshot(machine.incident, unit, 3.0, now), unit.place, None, silent=False)
    desk = ha.Desk(lives=True, faults=(fault,), last_proven=now, version="1.2", self_proven=now)
    devices = [
        ha.discovery("harbour", "desk-3", unit.place, one, "1.2", drill=drill) for one, drill in PARTS_OF_A_DEVICE
    ]
    way = ha.WayHealth(way="webhook 1 (hooks.example)", says="answered 500", waiting=2)
    return [
        ("relayState", ha.state(facts, desk).model_dump(mode="json")),
        ("relayState", ha.state(None, None).model_dump(mode="json")),
        *(("relayDiscovery", device.model_dump(mode="json", exclude_none=True)) for device in devices),
        ("relayHealth", ha.Health(state="online", ways=(way,)).model_dump(mode="json")),
        ("relayDrill", ha.PRESS),
        ("relayBirth", ha.BIRTH),
    ]


@pytest.mark.parts
@pytest.mark.timeout(400)  # npm fetches the parser once
def test_the_parser_takes_the_document_and_what_travels_fits_the_schemas(modules: Path) -> None:
    said = check(modules, DOCS / "asyncapi.yaml", messages())
    assert [each for each in said["found"] if each["severity"] < 2] == []
    assert said["refused"] == []
    assert said["channels"] == [kind.topic for kind in KINDS.values()]
    assert dict(said["operations"]) == {
        "sendStatus": "send",
        "sendIncident": "send",
        "receiveReply": "receive",
        "receivePresence": "receive",
        "sendProof": "send",
        "receiveProofSeen": "receive",
        "sendRelayState": "send",
        "sendRelayHealth": "send",
        "sendRelayDiscovery": "send",
        "receiveRelayDrill": "receive",
        "receiveRelayBirth": "receive",
    }


@pytest.mark.parts
@pytest.mark.timeout(400)
def test_the_parser_finds_a_broken_document_and_a_message_that_does_not_fit(modules: Path, tmp_path: Path) -> None:
    for name, text in files().items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("action: send", "action: shout"))
    wrong = [("reply", {"kind": "dance"}), ("status", {"state": "ready"}), ("relayDrill", "press"), ("relayState", {})]
    said = check(modules, tmp_path / "asyncapi.yaml", wrong)
    assert any(each["severity"] == 0 for each in said["found"])
    assert [each["name"] for each in said["refused"]] == [name for name, _ in wrong]

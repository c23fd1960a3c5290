"""`stayby drill` as a program, against a real broker and a real hub: it begins, or says in one line why not."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.demo.stage import SAM, Stage, wait_for
from kiosk.messages import OPENING, CloseReply, Outcome, State
from tests.board_parts import board_toml
from tests.staff import Staff

pytestmark = pytest.mark.parts


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as made:
        made.write_config()
        made.start_broker()
        yield made


def drill(stage: Stage, *arguments: str) -> tuple[int, str]:
    config = board_toml(stage.folder, stage.broker.section_for_responder("sam"), SAM.person)
    command = [sys.executable, "-m", "kiosk", "drill", "--config", str(config), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, (done.stdout + done.stderr).strip()


def test_a_drill_begins_from_a_terminal_and_a_second_one_does_not(stage: Stage) -> None:
    stage.start_hub()
    wait_for("the hub", lambda: (status := stage.status()) is not None and status.reach != "disconnected")
    begun = (0, "The drill has begun at Service desk 3. It ends by itself; any call there makes it real")
    assert drill(stage, "--unit", "desk-3", "--scenario", "chest") == begun, "Sam has never signed on before"
    assert drill(stage, "--unit", "desk-3") == (1, "an incident is open at Service desk 3: close it first")
    with Staff(stage, SAM) as sam:
        raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
        assert (raised.drill, raised.scenario) == (True, "chest")
        assert raised.timeline[1].model_dump(exclude={"t_s"}) == {"what": "drill_started", "who": "Sam"}
        sam.reply(CloseReply, raised.id, outcome=Outcome.TEST)
        sam.wait(lambda snapshot: snapshot.state is State.CLOSED)
        says = "Service desk 3 waits for the press: press its button within a minute, touch yes there, then answer it"
        waits = (0, says)
        assert drill(stage, "--unit", "desk-3", "--scenario", OPENING) == waits
        sam.wait_status(lambda status: status.opening)
        code, says = drill(stage, "--unit", "desk-3", "--scenario", OPENING)
        assert (code, says.startswith("Service desk 3 waits for its opening press already")) == (1, True)
        stage.parts["alertd"].kill()
        sam.wait_status(lambda status: status.state == "lost")
        code, says = drill(stage, "--unit", "desk-3")
        assert (code, says) == (1, "Service desk 3 is lost: see to its power and its network, then try again")


def test_what_cannot_be_is_one_line(stage: Stage) -> None:
    missing = "no unit 'desk-4' of the store 'harbour' ever told its status here: check --unit"
    assert drill(stage, "--unit", "desk-4") == (1, missing)
    assert drill(stage, "--unit", "+")[0] == 2
    code, says = drill(stage, "--unit", "desk-3", "--scenario", "ches")
    assert (code, "\n" in says, says.startswith("--scenario 'ches' is not known; one of: opening, chest,")) == (
        2,
        False,
        True,
    )
    stage.broker.kill()
    code, says = drill(stage, "--unit", "desk-3")
    assert (code, "\n" in says, "broker" in says) == (1, False, True)

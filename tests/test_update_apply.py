"""An update on its way: every phase and every event, the power going at every step, and the real dpkg."""

import ast
import contextlib
import fcntl
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.update import apply, told
from kiosk.update.apply import (
    INSTALLS_MOST,
    PROVES_MOST,
    UNDER_WAY,
    Event,
    Kept,
    Phase,
    State,
    Unreadable,
    after,
    load,
    save,
)
from tests.packages import build
from tests.update_world import World

OLD, NEW = Kept("0.1.0", "old.deb", "0" * 64), Kept("0.2.0", "new.deb", "1" * 64)
START = State(Phase.STAGED, OLD, NEW)
GOES = {
    (Phase.STAGED, Event.WANTED): Phase.INSTALLING,
    (Phase.INSTALLING, Event.DONE): Phase.PROVING,
    (Phase.INSTALLING, Event.FAILED): Phase.GOING_BACK,
    (Phase.INSTALLING, Event.UNTOUCHED): Phase.STAGED,
    (Phase.INSTALLING, Event.RECALLED): Phase.GOING_BACK,
    (Phase.PROVING, Event.DONE): Phase.GOOD,
    (Phase.PROVING, Event.FAILED): Phase.GOING_BACK,
    (Phase.PROVING, Event.RECALLED): Phase.GOING_BACK,
    (Phase.GOING_BACK, Event.DONE): Phase.BACK,
    (Phase.GOOD, Event.RECALLED): Phase.GOING_BACK,
}
"""All other events leave the phase as it is, but for the last of too many beginnings."""

# --- what follows what ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", Event)
def test_every_phase_meets_every_event(phase: Phase, event: Event) -> None:
    before = replace(START, phase=phase)
    found = after(before, event, "why")
    assert found.phase is GOES.get((phase, event), phase)
    if phase not in UNDER_WAY and found.phase is phase:
        assert found == before, "what does not concern it changes nothing"


@pytest.mark.parametrize(("phase", "most"), [(Phase.INSTALLING, INSTALLS_MOST), (Phase.PROVING, PROVES_MOST)])
def test_what_the_power_ends_again_and_again_goes_back(phase: Phase, most: int) -> None:
    state = replace(START, phase=phase)
    for _ in range(most):
        state = after(state, Event.BEGUN)
        assert state.phase is phase
    state = after(state, Event.BEGUN)
    assert state.phase is Phase.GOING_BACK
    assert f"{most} times" in state.why
    for _ in range(20):
        state = after(state, Event.BEGUN)
    assert state.phase is Phase.GOING_BACK, "the way back is tried for ever"


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_whatever_happens_a_version_stays_only_once_proven_and_why_it_went_back_is_kept(happens: list[Event]) -> None:
    state = START
    for event in happens:
        before, state = state, after(state, event, "it broke")
        assert (state.phase is Phase.GOOD) <= (
            before.phase is Phase.GOOD or (before.phase, event) == (Phase.PROVING, Event.DONE)
        )
        assert (state.phase is Phase.BACK) == (NEW.version in state.refused)
        assert state.phase is not Phase.GOING_BACK or state.why
        assert (state.old, state.new) == (OLD, NEW)


@given(
    st.builds(
        State,
        st.sampled_from(Phase),
        st.just(OLD),
        st.builds(Kept, st.text(max_size=9), st.text(max_size=9), st.text(max_size=9)),
        st.lists(st.text(max_size=9), max_size=3).map(tuple),
        st.integers(0, 9),
        st.text(max_size=20),
        st.text(max_size=20),
        refused=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3),
    )
)
def test_what_is_saved_is_what_is_loaded(tmp_path_factory: pytest.TempPathFactory, state: State) -> None:
    folder = tmp_path_factory.mktemp("state")
    save(folder, state)
    found = load(folder)
    assert found is not None
    assert replace(found, at_unix_s=0.0) == state


JSON = st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists)


@settings(max_examples=30)
@given(st.binary(max_size=60) | JSON.map(lambda one: json.dumps(one).encode()))
def test_a_damaged_state_is_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("state")
    (folder / apply.STATE).write_bytes(data)
    with pytest.raises(Unreadable) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_it_needs_nothing_but_debian_s_python(tmp_path: Path) -> None:
    tree = ast.parse(Path(apply.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names <= sys.stdlib_module_names | {"collections.abc"}
    subprocess.run(["/usr/bin/python3", "-I", "-S", apply.__file__, "--folder", tmp_path], check=True)


# --- with the real dpkg -----------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A machine with 0.1.0."""
    return World(tmp_path).make()


def test_a_good_one_stays(world: World) -> None:
    world.wanted("0.1.0", "0.2.0")
    (world.folder / "not-now").write_text("1\n2\n")
    assert world.go() == 0
    assert (world.state().phase, world.runs()) == (Phase.GOOD, "0.2.0")
    assert (world.folder / "proofs").read_text() == "0.2.0\n" * 3
    assert world.go() == 0
    assert world.runs() == "0.2.0"


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"proves": "no"}, "it did not prove itself (sound the microphone did not hear it)"),
        ({"starts": "no"}, "its services did not start"),
    ],
)
def test_a_bad_one_goes_back_by_itself(world: World, facts: dict[str, str], why: str) -> None:
    world.package("0.2.0", **facts)
    world.wanted("0.1.0", "0.2.0")
    assert world.go() == 0
    state = world.state()
    assert (state.phase, state.why, world.runs()) == (Phase.BACK, why, "0.1.0")
    assert state.refused == {"0.2.0": why}


def test_one_that_cannot_be_installed_goes_back(world: World) -> None:
    world.wanted("0.1.0", "0.2.0")
    (world.folder / "fails-postinst").write_text("0.2.0")
    assert world.go() == 0
    assert (world.state().phase, world.runs()) == (Phase.BACK, "0.1.0")
    assert "could not be installed" in world.state().why


def test_one_that_another_s_lock_kept_out_is_tried_again_and_never_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.wanted("0.1.0", "0.2.0")
    with contextlib.ExitStack() as held:
        for name in ("lock-frontend", "lock"):  # as unattended-upgrades holds them
            fcntl.lockf(held.enter_context((world.root / "var/lib/dpkg" / name).open("w")), fcntl.LOCK_EX)
        assert world.go() == 0
    state = world.state()
    assert (state.phase, state.refused, world.runs()) == (Phase.STAGED, {}, "0.1.0")
    assert "lock was locked by another process" in state.why
    monkeypatch.setenv("STAYBY_UPDATE_DIR", str(world.update))
    assert "lock was locked" in told.lines()[0]
    fault = told.Told().fault()
    assert fault is not None
    assert "tried again next night" in fault.do
    save(world.update, after(state, Event.WANTED))
    assert world.go() == 0
    assert (world.state().phase, world.state().why, world.runs()) == (Phase.GOOD, "", "0.2.0")


def test_one_that_never_finds_an_hour_goes_back(world: World) -> None:
    world.wanted("0.1.0", "0.2.0")
    (world.folder / "not-now").write_text("1\n" * 99)
    assert world.go(not_now_s=0.1) == 0
    assert world.state().why == "it found no hour to prove itself (a walk test goes on)"
    assert world.runs() == "0.1.0"


def test_one_that_rotted_on_the_card_is_not_installed(world: World) -> None:
    world.wanted("0.1.0", "0.2.0")
    (world.update / "stayby_0.2.0_amd64.deb").write_bytes(b"rot")
    assert world.go() == 0
    assert world.state().why == "stayby_0.2.0_amd64.deb is damaged on the card"
    assert world.runs() == "0.1.0"


def test_the_way_back_is_tried_until_it_works(world: World) -> None:
    world.package("0.2.0", proves="no")
    world.wanted("0.1.0", "0.2.0")
    (world.folder / "fails-postinst").write_text("0.1.0")
    assert world.go() == 1
    state = world.state()
    assert state.phase is Phase.GOING_BACK
    assert "could not be installed" in state.trouble
    (world.folder / "fails-postinst").unlink()
    assert world.go() == 0
    assert (world.state().phase, world.state().trouble, world.runs()) == (Phase.BACK, "", "0.1.0")


def test_what_a_technician_installs_by_hand_stays(world: World) -> None:
    world.package("0.2.0", proves="no")
    world.wanted("0.1.0", "0.2.0")
    (world.folder / "fails-preinst").write_text("0.1.0")
    assert world.go() == 1
    assert world.state().phase is Phase.GOING_BACK
    command = ["dpkg", "--install", str(world.package("0.3.0"))]
    subprocess.run(command, env=world.environment, check=True, capture_output=True)
    assert world.go() == 0
    assert world.runs() == "0.3.0"
    assert load(world.update) is None, "the update is over"


CALL_IN_THE_MIDST = """#!/bin/sh
echo '{"incident": {"state": "raised"}}' >"$WORLD/status.json"
"""
RESTARTS = """#!/bin/sh
cp "$WORLD/status.json" "$WORLD/at-restart.json"
"""


@pytest.mark.parametrize("begins", ["before", "while the hub starts anew", "while dpkg unpacks"])
def test_while_a_call_is_open_nothing_changes(world: World, begins: str) -> None:
    preinst = CALL_IN_THE_MIDST if begins == "while dpkg unpacks" else "#!/bin/sh\n"
    build(world.folder, "0.2.0", scripts={"preinst": preinst, "postinst": RESTARTS}, starts="yes", proves="yes")
    world.wanted("0.1.0", "0.2.0")
    world.says(incident=None if begins == "while dpkg unpacks" else {"state": "raised"})
    (world.folder / "silent").write_text("1\n2\n" if begins == "while the hub starts anew" else "")
    command = ["/usr/bin/python3", "-I", apply.__file__, "--pause-s=0.02", "--silent-s=30"]
    with subprocess.Popen(command, env=world.environment, stdout=subprocess.PIPE, text=True) as applier:
        assert applier.stdout is not None
        said = next(line for line in applier.stdout if "a call is open" in line or "proving" in line)
        assert said == "a call is open: waiting until staff have closed it\n"
        assert world.state().phase is Phase.INSTALLING
        assert not (world.folder / "at-restart.json").exists(), "hub and screen are let alone"
        world.says(incident=None)
        applier.communicate(timeout=60)
    assert (world.state().phase, world.runs()) == (Phase.GOOD, "0.2.0")


def test_a_technician_takes_one_back(world: World) -> None:
    world.wanted("0.1.0", "0.2.0")
    assert world.go() == 0
    save(world.update, after(world.state(), Event.RECALLED))
    assert world.go() == 0
    assert (world.state().phase, world.runs()) == (Phase.BACK, "0.1.0")
    assert world.state().refused == {"0.2.0": "a technician wanted the version before"}


@pytest.mark.parametrize("proves", ["yes", "no"])
def test_the_power_goes_at_every_step(tmp_path: Path, proves: str) -> None:
    """Before each write, each name, each program: when it is back, one whole version runs, and the right one."""
    ends = {"yes": (Phase.GOOD, "0.2.0"), "no": (Phase.BACK, "0.1.0")}[proves]
    step, died = {"yes": 8, "no": 0}[proves], True  # the beginning is the same
    while died:
        step += 1
        world = World(tmp_path / str(step))
        world.folder.mkdir()
        world.make().package("0.2.0", proves=proves)
        world.wanted("0.1.0", "0.2.0")
        died = world.go(dies_at=step) != 0
        world.start_again()
        assert (world.state().phase, world.runs()) == ends, f"cut at step {step}"
    assert step > 10


@pytest.mark.parametrize("script", ["preinst", "postinst"])
def test_the_power_goes_while_dpkg_is_at_work(world: World, script: str) -> None:
    world.wanted("0.1.0", "0.2.0")
    (world.folder / f"cut-{script}").touch()
    assert world.go() < 0
    assert world.runs() == ""
    assert world.start_again() == 1
    assert (world.state().phase, world.runs()) == (Phase.GOOD, "0.2.0")


def test_one_that_ends_the_power_each_time_goes_back(world: World) -> None:
    world.wanted("0.1.0", "0.2.0")
    for _ in range(INSTALLS_MOST):
        (world.folder / "cut-postinst").touch()
        assert world.go() < 0
    assert world.start_again() == 1
    assert (world.state().phase, world.runs()) == (Phase.BACK, "0.1.0")
    assert "broken off 2 times" in world.state().why


def test_each_phase_has_its_own_line_for_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAYBY_UPDATE_DIR", str(tmp_path))
    assert told.lines() == []
    seen = set()
    for phase in Phase:
        save(tmp_path, replace(START, phase=phase, why="it did not prove itself"))
        (said,) = told.lines()
        assert said.startswith("update: 0.2.0 ")
        seen.add(said)
    assert len(seen) == len(Phase)
    (tmp_path / apply.STATE).write_text("{")
    assert told.lines() == []

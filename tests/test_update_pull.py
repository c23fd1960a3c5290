"""A unit looks for an update: what it takes, what it refuses and why, and that nothing changes before all was looked at."""

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kiosk.bus import Leaf, ask, runtime_socket
from kiosk.config import load_unit
from kiosk.messages import AskStatus, Hello, Role, StatusAnswer, Touch, TouchAction
from kiosk.update import keep, pull
from kiosk.update.apply import Event, Phase, after, save
from kiosk.update.offer import BadOffer
from kiosk.update.package import fields
from tests.board_parts import Program, until
from tests.packages import build
from tests.provision_parts import MadeStore, make_store, run
from tests.update_world import World

KIOSK = """
[unit]
store = "harbour"
id = "desk-3"
place = "Service desk 3"
address = "Harbour Street 1"
country = "GB"
board = "{board}"
state_dir = "{folder}/state"
run_dir = "{folder}/run"

[broker]
host = "localhost"
port = 9
ca_file = "{ca}"
username = "unit-desk-3"
password = "not-a-real-one"
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MadeStore:
    return make_store(tmp_path_factory.mktemp("pull") / "harbour")


@pytest.fixture
def world(tmp_path: Path, store: MadeStore, monkeypatch: pytest.MonkeyPatch) -> World:
    """A unit of the store with 0.1.0, and all that it runs on its path."""
    made = World(tmp_path).make()
    for key, value in made.environment.items():
        monkeypatch.setenv(key, value)
    configure(made, store)
    return made


def configure(world: World, store: MadeStore, board: str = "") -> None:
    text = KIOSK.format(folder=world.folder, ca=store.folder / "board" / "ca.pem", board=board)
    (world.folder / "kiosk.toml").write_text(text)


def update(world: World, *arguments: object) -> tuple[int, str]:
    """Run `stayby update`; return its exit code and what it said."""
    return run("update", "--config", world.folder / "kiosk.toml", *arguments)


def publish(store: MadeStore, package: Path, to: Path) -> Path:
    """Sign a package and copy both files to a stick."""
    code, said = run("store", "update", package, "--in", store.folder)
    assert code == 0, said
    to.mkdir(exist_ok=True)
    for file in (store.folder / "board" / "updates").glob(f"{package.name}*"):
        shutil.copy(file, to)
    return to / package.name


def staged(world: World) -> set[str]:
    return {one.name for one in world.update.glob("stayby_*")}


# --- what is taken ----------------------------------------------------------------------------------------------------


def test_a_good_one_from_a_stick_is_staged_then_installed_and_the_present_one_kept(
    world: World, store: MadeStore
) -> None:
    stick = publish(store, world.package("0.2.0"), world.folder / "stick").parent
    code, said = update(world, "--from", stick)
    assert code == 0, said
    assert "0.2.0 is checked, and 0.1.0 is kept beside it" in said
    assert "it is installed by night" in said
    assert (world.state().phase, world.runs()) == (Phase.STAGED, "0.1.0")
    assert staged(world) == {"stayby_0.1.0_amd64.deb", "stayby_0.2.0_amd64.deb"}
    shutil.rmtree(stick)
    code, said = update(world, "--now")
    assert "what was staged is taken" in said
    assert "0.1.0 proves itself first" in said
    assert (code, world.state().phase, world.runs()) == (0, Phase.GOOD, "0.2.0")
    assert (world.folder / "proofs").read_text() == "0.1.0\n0.2.0\n"


@pytest.mark.parts
def test_a_good_one_from_the_board_and_nothing_new_after_it(world: World, store: MadeStore) -> None:
    publish(store, world.package("0.2.0"), world.folder / "copy")
    path = store.folder / "board" / "store.toml"
    path.write_text(path.read_text().replace("updates_dir", f'state_dir = "{world.folder}/memory"\nupdates_dir'))
    board = Program("board", path, world.folder / "board.log")
    try:
        board.first_line()
        configure(world, store, f"https://127.0.0.1:{store.board_port}")
        code, said = update(world, "--now")
        assert (code, world.runs()) == (0, "0.2.0"), said
        assert update(world, "--now") == (
            0,
            f"https://127.0.0.1:{store.board_port}/updates/amd64: 0.2.0 is what runs here\n",
        )
        publish(store, world.package("0.3.0", proves="no"), world.folder / "copy")
        assert update(world, "--now")[0] == 1
        assert (world.state().phase, world.runs()) == (Phase.BACK, "0.2.0")
        assert staged(world) == {"stayby_0.2.0_amd64.deb", "stayby_0.3.0_amd64.deb"}, (
            "what ran before is not built anew"
        )
        code, said = update(world, "--now")
        assert code == 0
        assert "0.3.0 was tried and went back (it did not prove itself" in said
        assert update(world, "--now", "--anyway")[0] == 1
        assert (world.folder / "proofs").read_text().count("0.3.0") == 6
    finally:
        board.close()


def test_back_to_the_one_before_by_a_technician_s_word(world: World, store: MadeStore) -> None:
    stick = publish(store, world.package("0.2.0"), world.folder / "stick").parent
    assert update(world, "--back")[1].startswith("there is no update to take back")
    assert update(world, "--from", stick, "--now")[0] == 0
    assert update(world, "--back")[0] == 1
    assert (world.state().phase, world.runs()) == (Phase.BACK, "0.1.0")


def test_where_the_one_before_rotted_a_technician_s_stick_takes_over(world: World, store: MadeStore) -> None:
    stick = publish(store, world.package("0.2.0", proves="no"), world.folder / "stick").parent
    assert update(world, "--from", stick)[0] == 0
    (world.update / "stayby_0.1.0_amd64.deb").write_bytes(b"rot")
    state = after(world.state(), Event.WANTED)
    save(world.update, state)
    assert update(world)[0] == 1
    assert world.state().trouble == "stayby_0.1.0_amd64.deb is damaged on the card"
    file = publish(store, world.package("0.3.0"), world.folder / "other")
    assert update(world, "--from", file, "--now")[0] == 1, "by his word alone"
    assert update(world, "--from", file, "--now", "--anyway")[0] == 0
    assert (world.state().phase, world.runs()) == (Phase.GOOD, "0.3.0")
    assert "0.2.0" in world.state().refused


def test_an_older_one_by_a_technician_s_word(world: World, store: MadeStore) -> None:
    file = publish(store, world.package("0.0.9"), world.folder / "stick")
    code, said = update(world, "--from", file, "--now")
    assert (code, said) == (1, f"{file}: 0.0.9 is older than 0.1.0, which runs here; a technician may: --anyway\n")
    assert update(world, "--from", file, "--now", "--anyway")[0] == 0
    assert world.runs() == "0.0.9"


def test_versions_are_compared_as_dpkg_does() -> None:
    for newer, older in (("0.10.0", "0.9.0"), ("1.0", "1.0~rc1"), ("0.2.0+b1", "0.2.0"), ("1.0-2", "1.0-1")):
        assert pull.is_newer(newer, older)
        assert not pull.is_newer(older, newer)
    assert not pull.is_newer("1.0", "1.0")


# --- what is refused --------------------------------------------------------------------------------------------------


def change(file: Path, data: bytes) -> None:
    file.write_bytes(data)


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def make_link(file: Path) -> None:
    other = file.rename(file.parent / "x")
    file.symlink_to(other)


def signature(package: Path) -> Path:
    return package.with_name(f"{package.name}.signed")


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "unsigned": (
        lambda one: signature(one).unlink(),
        "is not signed: stayby_0.2.0_amd64.deb.signed is missing beside it",
    ),
    "wrong signature": (
        lambda one: change(signature(one), signature(one).read_bytes().replace(b'"0.2.0"', b'"0.2.1"')),
        "is not genuine: its signature does not fit its text",
    ),
    "junk beside it": (lambda one: change(signature(one), b"\x00junk"), "is no signature of an update"),
    "a half signature": (
        lambda one: change(signature(one), signature(one).read_bytes()[:80]),
        "is no signature of an update",
    ),
    "a half": (lambda one: change(one, one.read_bytes()[:300]), "the package ends after 300 of"),
    "longer": (lambda one: change(one, one.read_bytes() + b"x"), "the package is longer than the"),
    "another": (lambda one: change(one, b"x" * one.stat().st_size), "the package is not the one that was signed"),
    "a folder": (lambda one: make_folder(signature(one)), "is no file"),
    "a link": (lambda one: make_link(signature(one)), "copy it again"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_wrong_is_one_line_and_changes_nothing(world: World, store: MadeStore, kind: str) -> None:
    spoil, says = REFUSED[kind]
    file = publish(store, world.package("0.2.0"), world.folder / "stick")
    spoil(file)
    code, said = update(world, "--from", file.parent, "--now")
    lines = [line for line in said.splitlines() if "signed by" not in line]
    assert code == 1
    assert says in lines[0]
    assert len(lines) == 1
    assert (world.runs(), (world.update / "state.json").exists()) == ("0.1.0", False)
    assert not any(one.name.endswith(".half") for one in world.update.iterdir())


def test_another_store_s_and_another_machine_s(world: World, store: MadeStore, tmp_path: Path) -> None:
    quay = make_store(tmp_path / "quay", "quay")
    theirs = publish(quay, world.package("0.2.0"), tmp_path / "stick")
    code, said = update(world, "--from", theirs, "--now")
    assert (code, said) == (
        1,
        f"{theirs} is signed by another store (quay); this unit is of harbour: take this store's own\n",
    )
    arm = publish(store, build(tmp_path, "0.2.0", "arm64"), tmp_path / "arm")
    code, said = update(world, "--from", arm, "--now")
    assert (code, said) == (1, f"{arm} is for arm64; this machine is amd64\n")
    code, said = update(world, "--from", arm.parent, "--now")
    assert code == 1
    assert "there is no stayby_….deb for amd64, only for arm64" in said


def test_a_stick_with_junk(world: World, store: MadeStore, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    (stick / "stayby_dir.deb").mkdir(parents=True)
    (stick / "stayby_\x1b[31m.deb").write_text("x")
    (stick / "notes.txt").write_text("x")
    (stick / "deep" / "deeper").mkdir(parents=True)
    (stick / "stayby_9_amd64.deb").symlink_to("/etc/hostname")
    code, said = update(world, "--from", stick)
    assert (code, said.count("\n"), "\x1b" in said) == (1, 1, False)
    assert "there is no stayby_….deb; copy the two files" in said
    publish(store, world.package("0.2.0"), stick / "deep")
    assert update(world, "--from", stick)[0] == 0
    assert update(world, "--from", tmp_path / "none")[1].endswith("name a folder, or mount the stick\n")


def test_what_needs_a_package_that_is_not_here(world: World, store: MadeStore, tmp_path: Path) -> None:
    needy = publish(store, build(tmp_path, "0.2.0", depends="libnowhere7 (>= 2)"), tmp_path / "stick")
    code, said = update(world, "--from", needy, "--now")
    assert code == 1
    assert "it needs what is not here" in said
    assert "libnowhere7" in said


def test_a_full_card(world: World, store: MadeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    file = publish(store, world.package("0.2.0"), world.folder / "stick")
    monkeypatch.setattr(pull, "SLACK_BYTES", 10**15)
    code, said = update(world, "--from", file, "--now")
    assert code == 1
    assert "MB free, and 1000000000 MB are needed; make room" in said


def test_one_that_is_larger_than_the_card_is_not_taken(world: World, store: MadeStore, tmp_path: Path) -> None:
    file = publish(store, build(tmp_path, "0.2.0", size_kib=10**12), tmp_path / "stick")
    code, said = update(world, "--from", file, "--now")
    assert code == 1
    assert "MB are needed; make room" in said
    assert world.runs() == "0.1.0"


def test_a_package_that_does_not_come_whole_leaves_the_way_back(world: World, store: MadeStore) -> None:
    assert update(world, "--from", publish(store, world.package("0.2.0"), world.folder / "stick"), "--now")[0] == 0
    half = publish(store, world.package("0.3.0"), world.folder / "other")
    half.write_bytes(half.read_bytes()[:300])
    assert "the package ends after 300 of" in update(world, "--from", half, "--now")[1]
    assert staged(world) == {"stayby_0.1.0_amd64.deb", "stayby_0.2.0_amd64.deb"}
    assert update(world, "--back")[0] == 1
    assert (world.state().phase, world.runs()) == (Phase.BACK, "0.1.0")


def test_a_unit_that_cannot_prove_itself_is_repaired_first(world: World, store: MadeStore) -> None:
    file = publish(store, world.package("0.2.0"), world.folder / "stick")
    (world.root / "usr/lib/stayby/proves").write_text("no")
    code, said = update(world, "--from", file, "--now")
    assert code == 1
    assert "the present version is damaged (/usr/lib/stayby/proves)" in said, "its files were changed"
    shutil.rmtree(world.root)
    (world.folder / "stayby_0.1.0_amd64.deb").unlink()
    shutil.rmtree(world.folder / "tree-0.1.0-amd64")
    remade(world, proves="no")
    code, said = update(world, "--from", file, "--now")
    assert code == 1
    assert "0.1.0 cannot prove itself (sound the microphone did not hear it); repair the unit first" in said
    assert world.runs() == "0.1.0"
    assert update(world, "--from", file, "--now", "--anyway")[0] == 0
    assert world.runs() == "0.2.0"


def remade(world: World, **facts: str) -> None:
    """Make the machine anew, with another 0.1.0."""
    shutil.rmtree(world.folder / "bin")
    shutil.rmtree(world.update)
    world.package("0.1.0", **facts)
    world.make()


def test_not_now_is_said_and_is_no_error_of_the_service(world: World, store: MadeStore) -> None:
    file = publish(store, world.package("0.2.0"), world.folder / "stick")
    (world.folder / "not-now").write_text("1\n")
    code, said = update(world, "--from", file, "--now")
    assert (code, world.state().phase) == (75, Phase.STAGED)
    assert "not now: a walk test goes on" in said


@pytest.fixture
def hub(world: World) -> Iterator[Program]:
    """The unit's real hub."""
    program = Program("alertd", world.folder / "kiosk.toml", world.folder / "hub.log")
    until(lambda: runtime_socket(world.folder / "run").exists())
    yield program
    program.close()


@pytest.mark.parts
def test_while_a_call_is_open_nothing_is_updated_also_when_the_hub_is_away(
    world: World, store: MadeStore, hub: Program
) -> None:
    file = publish(store, world.package("0.2.0"), world.folder / "stick")
    socket = runtime_socket(load_unit((world.folder / "kiosk.toml").read_text()).unit.run_dir)

    def is_open() -> bool:
        answer = ask(socket, AskStatus(), 3.0)
        return isinstance(answer, StatusAnswer) and answer.incident is not None

    screen = Leaf(socket, Hello(role=Role.UI), *[lambda *_: None] * 4)
    until(lambda: screen.send(Touch(action=TouchAction.HELP)))
    until(is_open)
    screen.close()
    code, said = update(world, "--from", file, "--now")
    assert (code, said) == (75, "a call is open here: not now; it is tried again next night\n")
    hub.end(signal.SIGKILL)
    code, said = update(world, "--from", file, "--now")
    assert (code, said) == (
        75,
        "the hub does not answer, and a call is open in its memory: not now; see: stayby doctor\n",
    )
    assert world.runs() == "0.1.0"


def test_a_root_that_forgets_is_left_alone(tmp_path: Path) -> None:
    line = tmp_path / "cmdline"
    line.write_text("console=tty1 root=/dev/mmcblk0p2 overlayroot=tmpfs:recurse=0\n")
    with pytest.raises(BadOffer, match="this root forgets what is written"):
        pull.refuse_a_root_that_forgets(line)


# --- the way back -----------------------------------------------------------------------------------------------------


def test_what_is_installed_is_packed_so_that_dpkg_installs_the_same(world: World, tmp_path: Path) -> None:
    extra = world.package("0.5.0", strange="a b ü")
    (world.folder / "tree-0.5.0-amd64/usr/lib/stayby/link").symlink_to("version")
    shutil.rmtree(world.root)
    (world.folder / "stayby_0.1.0_amd64.deb").write_bytes(extra.read_bytes())
    shutil.rmtree(world.folder / "bin")
    shutil.rmtree(world.update)
    world.make()
    before = {one.relative_to(world.root): one.read_bytes() for one in (world.root / "usr").rglob("*") if one.is_file()}
    keep.rebuild(tmp_path / "kept.deb")
    assert fields(tmp_path / "kept.deb") == fields(extra)
    shutil.rmtree(world.root / "usr")
    (world.folder / "stayby_0.1.0_amd64.deb").write_bytes((tmp_path / "kept.deb").read_bytes())
    shutil.rmtree(world.root)
    shutil.rmtree(world.folder / "bin")
    shutil.rmtree(world.update)
    world.make()
    after = {one.relative_to(world.root): one.read_bytes() for one in (world.root / "usr").rglob("*") if one.is_file()}
    assert after == before
    assert world.runs() == "0.5.0"
    assert json.loads((world.folder / "status.json").read_text()) == {"incident": None}


def test_what_is_told_of_an_update_ends_when_another_version_comes_by_hand(world: World, store: MadeStore) -> None:
    stick = publish(store, world.package("0.2.0", proves="no"), world.folder / "stick").parent
    assert update(world, "--from", stick, "--now")[0] == 1
    assert world.state().phase is Phase.BACK
    subprocess.run(["dpkg", "--install", world.package("0.3.0")], check=True, capture_output=True)
    assert update(world, "--from", stick, "--now")[0] == 1
    assert not (world.update / "state.json").exists()

"""What doctor finds when things are really broken: a machine of files handed in, and a real unit with its parts taken away."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import trustme

from kiosk.config import UiSection, load_unit
from kiosk.config_file import PACKAGED_MODEL
from kiosk.corners import Tapped, Turned, Verdict
from kiosk.demo.stage import SAM, Stage, wait_for
from kiosk.doctor import machine, network, parts, sound, unit
from kiosk.doctor.doctor_cli import Report, unhidden
from kiosk.doctor.parts import touch_corners
from kiosk.doctor.record import Check, summary, text_of, touch_file, untested, well, wrong
from kiosk.listen.features import SAMPLE_RATE_HZ, chunks
from kiosk.listen.loop import Loop
from kiosk.listen.model import load_model, packaged_model
from kiosk.messages import (
    ButtonHealth,
    Ear,
    Fault,
    Hearing,
    LinkHealth,
    Person,
    Reach,
    State,
    Status,
    StatusAnswer,
    UnitState,
)
from kiosk.ui.speaker import RATE_HZ
from tests.screen import snapshot
from tests.staff import Staff

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def files(root: Path, **contents: str) -> Path:
    """Make a machine of files; a double underscore in a name is a slash."""
    for name, content in contents.items():
        write(root / name.replace("__", "/"), content)
    return root


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


# --- a line -----------------------------------------------------------------------------------------------------------


def test_a_line_says_by_a_word_what_its_colour_says() -> None:
    shown = [
        text_of(one, 80) for one in (well("power", "it holds"), wrong("power", "low", "mend"), untested("a", "why"))
    ]
    assert [line.split()[0] for line in shown] == ["OK", "WRONG", "not"]
    assert "do: mend" in shown[1]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_lines_fit_a_phone_and_a_terminal(width: int) -> None:
    text = text_of(wrong("network own topic", "a word " * 40, "do this " * 30), width)
    assert max(map(len, text.splitlines())) <= width


def test_the_last_line_counts() -> None:
    found = [well("a", ""), wrong("b", "", ""), untested("c", "")]
    assert summary(found) == "1 OK, 1 wrong, 1 not tested"
    assert summary(found[:1]) == "1 OK, 0 wrong, 0 not tested"


# --- the machine ------------------------------------------------------------------------------------------------------

FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"


@pytest.mark.parametrize(
    ("bits", "ok", "says"),
    [
        ("0", True, "now and since the start"),
        ("50005", False, "at this moment"),
        ("50000", False, "since the start"),
        ("80000", True, "holds"),
        ("junk", None, "no reading"),
    ],
)
def test_the_supply_by_the_firmwares_bits(tmp_path: Path, bits: str, ok: bool | None, says: str) -> None:
    write(tmp_path / FIRMWARE, bits + "\n")
    found = machine.power(tmp_path)
    assert (found.ok, says in found.says) == (ok, True)
    assert (found.do == "") == (ok is True)


def test_the_kernels_sensor_knows_a_low_supply_when_the_firmwares_file_stays_zero(tmp_path: Path) -> None:
    write(tmp_path / FIRMWARE, "0")
    sensor = files(tmp_path / "sys/class/hwmon/hwmon1", name="rpi_volt\n", in0_lcrit_alarm="1\n")
    assert machine.power(tmp_path).ok is False
    write(sensor / "in0_lcrit_alarm", "0\n")
    assert machine.power(tmp_path).ok is True


def test_vcgencmd_is_believed_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin/vcgencmd"
    write(program, "#!/bin/sh\necho throttled=0x50005\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    assert machine.power(tmp_path).ok is False
    program.write_text("#!/bin/sh\nexit 255\n")
    assert machine.power(tmp_path).ok is None


@pytest.mark.parametrize(("milli_c", "ok"), [("45277", True), ("71500", False), ("83000", False), ("", None)])
def test_heat(tmp_path: Path, milli_c: str, ok: bool | None) -> None:
    write(tmp_path / "sys/class/thermal/thermal_zone0/temp", milli_c)
    assert machine.temperature(tmp_path).ok is ok


@pytest.mark.parametrize(
    ("life", "end", "ok"),
    [
        ("0x01 0x02", "0x01", True),
        ("0x09 0x01", "0x01", False),
        ("0x0B 0x0B", "0x01", False),
        ("0x01 0x01", "0x02", False),
    ],
)
def test_a_worn_card_tells(tmp_path: Path, life: str, end: str, ok: bool) -> None:
    files(tmp_path / "sys/block/mmcblk0/device", life_time=life, pre_eol_info=end)
    found = by_name(machine.disk(tmp_path, tmp_path))["disk wear"]
    assert found.ok is ok


def test_errors_of_the_file_system_are_counted(tmp_path: Path) -> None:
    files(tmp_path, sys__fs__ext4__mmcblk0p2__errors_count="0\n", sys__fs__ext4__sda1__errors_count="3\n")
    found = by_name(machine.disk(tmp_path, tmp_path))["disk errors"]
    assert (found.ok, found.measured) == (False, {"errors": 3})
    assert "sda1" in found.says
    assert "mmcblk0p2" not in found.says


OWN_DISKS = ("unshare", "--map-root-user", "--mount")


def by_name(found: Iterator[Check]) -> dict[str, Check]:
    return {one.name: one for one in found}


def in_small_disk(folder: Path, before: str) -> dict[str, Check]:
    """Return what is found of a disk of 1 MB on which a shell did something before; nobody else sees that disk."""
    look = (
        "import sys; from pathlib import Path; from kiosk.doctor import machine\n"
        "for one in machine.disk(Path(sys.argv[1])): print(one.model_dump_json())"
    )
    shell = f'mount -t tmpfs -o size=1m none "$1" && cd "$1" && {before}; cd / && exec "$2" -c "$3" "$1"'
    command = [*OWN_DISKS, "sh", "-c", shell, "sh", str(folder), sys.executable, look]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    return by_name(Check.model_validate_json(line) for line in done.stdout.splitlines())


@pytest.mark.skipif(
    subprocess.run([*OWN_DISKS, "true"], capture_output=True, check=False).returncode != 0,
    reason="this system lets nobody have file systems of their own (in a chroot, or restricted user namespaces)",
)
def test_a_full_disk_and_a_read_only_one(tmp_path: Path) -> None:
    full = in_small_disk(tmp_path, "dd if=/dev/zero of=filler bs=64k 2>/dev/null")
    assert full["disk space"].ok is False
    assert full["disk space"].measured["free_mb"] == 0
    assert full["disk writing"].ok is False
    assert "No space left" in full["disk writing"].says
    locked = in_small_disk(tmp_path, 'mount -o remount,ro none "$1"')
    assert (locked["disk writing"].ok, "read-only" in locked["disk writing"].says) == (False, True)


def test_a_state_folder_that_is_not_there(tmp_path: Path) -> None:
    assert [one.ok for one in machine.disk(tmp_path / "none", tmp_path)][:2] == [False, False]


@pytest.mark.parametrize(("year", "ok"), [(1970, False), (2026, True), (2040, False)])
def test_a_clock_that_cannot_be(tmp_path: Path, year: int, ok: bool) -> None:
    assert by_name(machine.clock(NOW.replace(year=year), tmp_path))["clock"].ok is ok


def test_whether_a_time_server_set_it(tmp_path: Path) -> None:
    assert by_name(machine.clock(NOW, tmp_path))["clock set"].ok is False
    files(tmp_path, run__systemd__timesync__synchronized="")
    assert by_name(machine.clock(NOW, tmp_path))["clock set"].ok is True


def test_which_computer_it_is(tmp_path: Path) -> None:
    assert machine.serial(tmp_path) == "unknown"
    write(tmp_path / "proc/cpuinfo", "processor\t: 0\nSerial\t\t: 10000000abcdef01\n")
    assert machine.serial(tmp_path) == "10000000abcdef01"
    write(tmp_path / "sys/firmware/devicetree/base/model", "Raspberry Pi 4 Model B Rev 1.5\0")
    assert machine.model(tmp_path) == "Raspberry Pi 4 Model B Rev 1.5"


# --- what is installed ------------------------------------------------------------------------------------------------


def test_the_display_and_its_size(tmp_path: Path) -> None:
    ui = UiSection(width=800, height=480)
    assert parts.display(ui, tmp_path).ok is None
    output = files(tmp_path / "sys/class/drm/card1-DSI-1", status="disconnected\n", modes="")
    assert parts.display(ui, tmp_path).ok is False
    files(output, status="connected\n", modes="800x480\n")
    assert parts.display(ui, tmp_path).ok is True
    assert parts.display(UiSection(width=1280, height=720), tmp_path).ok is False
    assert parts.display(UiSection(width=480, height=800), tmp_path).ok is True


def test_a_touch_panel_that_is_unplugged(tmp_path: Path) -> None:
    assert parts.touch(tmp_path).ok is False
    write(tmp_path / "sys/class/input/event2/device/capabilities/abs", "2618000 0\n")
    assert parts.touch(tmp_path).ok is False
    write(tmp_path / "sys/class/input/event2/device/capabilities/abs", "273800000000003\n")
    write(tmp_path / "dev/input/event2", "")
    assert parts.touch(tmp_path).ok is True


def test_what_four_corners_said_is_told_until_they_are_tapped_again(tmp_path: Path, a_unit: str) -> None:
    config = load_unit(a_unit)
    config = config.model_copy(update={"unit": config.unit.model_copy(update={"state_dir": tmp_path})})
    assert touch_corners(config).ok is None
    path = touch_file(tmp_path)
    path.parent.mkdir()
    at = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
    for verdict, ok in (
        (Verdict(word="right", off=0.02), True),
        (Verdict(word="turned", turned=Turned.TURNED_90), False),
        (Verdict(word="dead", dead=("top left",)), False),
    ):
        path.write_text(Tapped(at=at, verdict=verdict).model_dump_json())
        found = touch_corners(config)
        assert (found.ok, bool(found.do)) == (ok, not ok)
        assert f"tapped {at.astimezone():%Y-%m-%d %H:%M}" in found.says
    path.write_text('{"at": ')
    assert "damaged" in touch_corners(config).says


def test_a_model_with_one_byte_changed(tmp_path: Path, a_unit: str) -> None:
    for name in ("manifest.json", "distress_en.tflite", "distress_en_look.tflite"):
        (tmp_path / name).write_bytes((PACKAGED_MODEL / name).read_bytes())
    config = load_unit(f'{a_unit}\n[listen]\nmodel_dir = "{tmp_path}"\n')
    assert by_name(parts.parts(config, tmp_path))["model"].ok is True
    head = tmp_path / "distress_en_look.tflite"
    head.write_bytes(head.read_bytes()[:-1] + b"!")
    found = by_name(parts.parts(config, tmp_path))["model"]
    assert (found.ok, "distress_en_look.tflite" in found.says) == (False, True)
    (tmp_path / "manifest.json").write_text("{")
    assert by_name(parts.parts(config, tmp_path))["model"].ok is False


@pytest.fixture
def a_unit(tmp_path: Path) -> str:
    return (
        '[unit]\nstore = "harbour"\nid = "desk-3"\nplace = "Desk 3"\naddress = "12 Quay Street"\n'
        f'[broker]\nhost = "127.0.0.1"\nport = 1\nca_file = "{tmp_path}/ca.pem"\nusername = "u"\npassword = "p"\n'
    )


# --- what the hub knows -----------------------------------------------------------------------------------------------


def answer(**changes: object) -> StatusAnswer:
    """Return a unit's answer on which nothing is wrong, but for `changes`."""
    status = Status(
        store="harbour",
        unit="desk-3",
        place="Desk 3",
        state=UnitState.READY,
        last_proven=NOW,
        self_proven=NOW,
        link=LinkHealth(button_bad=0),
    )
    good = {
        "status": status,
        "reach": Reach.OK,
        "listeners": (Person(id="sam", name="Sam"),),
        "hearing": Hearing.LISTENING,
        "ear": Ear(state=Hearing.LISTENING, level_dbfs=-60, noise_dbfs=-65),
        "button": ButtonHealth(
            port="/dev/b",
            up=True,
            loop="normal",
            covert_loop="normal",
            loop_volts=2.5,
            covert_volts=2.5,
            round_trip_worst_ms=20,
        ),
    }
    return StatusAnswer.model_validate(good | changes)


def found_in(**changes: object) -> dict[str, Check]:
    return by_name(unit.unit(answer(**changes), has_button=True, has_ear=True))


def test_a_unit_on_which_nothing_is_wrong() -> None:
    assert {one.ok for one in found_in().values()} == {True}


GOOD_BUTTON = answer().button
assert GOOD_BUTTON is not None
NO_DISK = Fault(code="disk", where="a", says="b", do="c")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("staff", {"reach": Reach.NOBODY, "listeners": ()}),
        ("staff", {"reach": Reach.DISCONNECTED, "listeners": ()}),
        ("microphone", {"ear": None}),
        ("microphone", {"ear": Ear(state=Hearing.DEAF)}),
        ("microphone", {"ear": Ear(state=Hearing.LISTENING, level_dbfs=-30, noise_dbfs=-35)}),
        ("button", {"button": ButtonHealth(port="/dev/b", says="unplugged")}),
        ("button loop", {"button": GOOD_BUTTON.model_copy(update={"covert_loop": "cut"})}),
        ("button link", {"button": GOOD_BUTTON.model_copy(update={"round_trip_worst_ms": 400.0})}),
        (
            "fault disk",
            {
                "status": answer().status.model_copy(
                    update={"faults": (Fault(code="disk", where="a", says="b", do="c"),)}
                )
            },
        ),
    ],
)
def test_each_thing_that_the_hub_knows_can_be_wrong(name: str, changes: dict[str, object]) -> None:
    found = found_in(**changes)[name]
    assert found.ok is False
    assert found.do


def test_at_the_screen_nothing_tells_of_a_silent_alert() -> None:
    open_one = {**snapshot(State.RAISED).model_dump(mode="json"), "silent": True}
    hidden = unhidden(answer(incident=open_one, unsent=3))
    assert hidden == answer(incident=None, unsent=0)
    seen = answer(incident={**open_one, "silent": False})
    assert unhidden(seen) == seen
    assert unhidden(None) is None


def test_what_a_unit_does_not_have_is_not_wrong() -> None:
    bare = answer(
        button=None, ear=None, status=answer().status.model_copy(update={"last_proven": None, "self_proven": None})
    )
    found = by_name(unit.unit(bare, has_button=False, has_ear=False))
    assert not [one for one in found.values() if one.ok is False]
    assert {name for name, one in found.items() if one.ok is None} == {
        "microphone", "button", "button loop", "button link", "last proven", "self proven"
    }  # fmt: skip


# --- certificates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "ok"), [(400, True), (31, True), (29, False), (-1, False)])
def test_when_a_certificate_ends(tmp_path: Path, a_unit: str, days: int, ok: bool) -> None:
    until = NOW + timedelta(days=days, minutes=5)
    trustme.CA().issue_cert("x", not_after=until).cert_chain_pems[0].write_to_path(tmp_path / "c.pem")
    broker = load_unit(a_unit).broker.model_copy(update={"cert_file": tmp_path / "c.pem"})
    found = by_name(network.certificates(broker, NOW))
    assert (found["certificate"].ok, round(found["certificate"].measured["days_left"])) == (ok, days)
    assert found["store's authority"].ok is False


def test_a_certificate_of_tomorrow_and_one_that_is_none(tmp_path: Path, a_unit: str) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    broker = load_unit(a_unit).broker
    early = by_name(network.certificates(broker, datetime(1970, 1, 1, tzinfo=UTC)))
    assert (early["store's authority"].ok, early["store's authority"].do) == (False, "set this machine's clock")
    for junk in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        write(tmp_path / "ca.pem", junk)
        assert by_name(network.certificates(broker, NOW))["store's authority"].ok is False


# --- a real unit ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """What one run of the command said."""

    code: int
    text: str
    found: dict[str, Check]


def doctor(stage: Stage, *options: str) -> Said:
    command = [sys.executable, "-m", "kiosk", "doctor", "--config", str(stage.config_file), "--json", *options]
    env = {**os.environ, **stage.microphone.env}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    report = Report.model_validate_json(done.stdout)
    assert report.ok is (done.returncode == 0)
    return Said(done.returncode, done.stdout + done.stderr, by_name(iter(report.checks)))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as made:
        made.write_config()
        made.start_broker()
        made.start_button()
        made.start_hub()
        wait_for("the button", lambda: (said := made.status()) and said.button and said.button.up)
        yield made


@pytest.mark.parts
def test_a_unit_that_loses_one_part_after_the_other(stage: Stage) -> None:
    """With staff there, all that this machine has is well; then the wire, the authority, the broker, the hub go."""
    with Staff(stage, SAM) as sam:
        wait_for("Sam to be known", lambda: (said := stage.status()) and said.reach is Reach.OK)
        good = doctor(stage).found
        hops = ["name", "TCP", "TLS", "sign-in", "own topic"]
        of_this_unit = [f"network {hop}" for hop in hops] + [
            "hub",
            "staff",
            "button",
            "button loop",
            "model",
            "versions",
        ]
        assert {name: good[name].ok for name in of_this_unit} == dict.fromkeys(of_this_unit, True)
        assert good["network own topic"].measured["there_and_back_ms"] > 0
        assert not sam.snapshots
        stage.button.cut()
        wait_for("the cut", lambda: (said := stage.status()) and said.button and said.button.loop == "cut")
        cut = doctor(stage)
        assert (cut.code, cut.found["button loop"].ok, cut.found["fault button-loop"].ok) == (1, False, False)
        assert not sam.snapshots
    config = stage.config_file.read_text()
    trustme.CA().cert_pem.write_to_path(stage.folder / "other.pem")
    stage.config_file.write_text(config.replace(str(stage.broker.folder / "ca.pem"), str(stage.folder / "other.pem")))
    stranger = doctor(stage).found
    assert (stranger["network TCP"].ok, stranger["network TLS"].ok, stranger["network sign-in"].ok) == (
        True,
        False,
        None,
    )
    assert "other.pem did not sign its certificate" in stranger["network TLS"].says
    stage.config_file.write_text(config)
    stage.broker.stop()
    stage.parts["alertd"].kill()
    gone = doctor(stage).found
    assert {name: gone[name].ok for name in ("network TCP", "network TLS", "hub", "staff", "button", "model")} == {
        "network TCP": False, "network TLS": None, "hub": False, "staff": None, "button": None, "model": True
    }  # fmt: skip
    assert all(one.do for one in gone.values() if one.ok is False)


@pytest.mark.parts
def test_a_broker_whose_rules_know_no_such_unit(stage: Stage) -> None:
    (stage.broker.folder / "acl").write_text("user nobody\ntopic read none\n")
    stage.broker.restart()
    found = doctor(stage).found
    refused = [
        one for name, one in found.items() if name in {"network sign-in", "network own topic"} and one.ok is False
    ]
    assert len(refused) == 1
    assert "acl" in refused[0].do.lower()


@pytest.mark.parts
def test_a_microphone_hears_the_speaker_and_not_a_speaker_that_is_none(stage: Stage) -> None:
    stage.start_microphone()
    stage.start_listen()
    null = doctor(stage, "--sound").found["sound loop"]
    assert (null.ok, "swallowed" in null.says) == (False, True)
    config = stage.config_file.read_text().replace(
        '[speaker]\ndevice = "null"', f'[speaker]\ndevice = "{stage.microphone.speaker}"'
    )
    stage.config_file.write_text(config)
    heard = doctor(stage, "--sound").found
    assert heard["sound loop"].ok is True
    assert heard["sound loop"].measured["rise_db"] >= sound.RISE_DB
    assert heard["microphone"].ok is True
    status = stage.status()
    assert status is not None
    assert status.incident is None


@pytest.mark.parts
def test_the_ear_takes_the_rush_for_no_call() -> None:
    """Loud and soft, in still rooms and others: nothing counts, and nothing is even worth a second look."""
    loop = Loop(load_model(packaged_model()))
    look = loop.manifest.second_look
    assert look is not None
    every_third = np.frombuffer(sound.rush(), np.int16)[:: RATE_HZ // SAMPLE_RATE_HZ].astype(float)
    heard = np.concatenate([every_third, np.zeros(2 * SAMPLE_RATE_HZ)])
    for gain in (0.02, 0.1, 1.0, 6.0):
        for room in (2, 60):
            noise = np.random.default_rng(0).standard_normal(len(heard)) * room
            loop.reset()
            for chunk in chunks(np.clip(heard * gain + noise, -32767, 32767).astype(np.int16)):
                assert loop.step(chunk) is None
                assert max(loop.scores) < look.gate


def test_a_configuration_that_cannot_be_used_is_said_and_the_machine_is_looked_at(tmp_path: Path) -> None:
    write(tmp_path / "kiosk.toml", "[unit\n")
    command = [sys.executable, "-m", "kiosk", "doctor", "--config", str(tmp_path / "kiosk.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("WRONG      configuration")
    assert "clock" in done.stdout

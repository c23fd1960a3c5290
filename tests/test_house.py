"""The house itself: the lock, the commands of make, the services, and what the set-up says of a machine that it cannot serve."""

import ast
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from kiosk.cli import COMMANDS, load

ROOT = Path(__file__).parent.parent
SERVICES = sorted((ROOT / "systemd").glob("*.service"))
NOT_OURS = {"stayby-update-apply", "stayby-safe-mode"}
"""They run while our own command may be half there, or only start and end what does."""
NEVER_GIVES_UP = {"Restart=always", "StartLimitIntervalSec=0", "NoNewPrivileges=yes", "ProtectSystem=strict"}


def test_the_lock_has_a_hash_for_each_package_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--index" not in lock
    packages = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)[1:]
    assert len(packages) > 30
    assert [name for name in packages if "--hash=sha256:" not in name] == []


def test_make_says_each_target_in_one_line() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    shown = subprocess.run(["make", "-s", "-C", ROOT], capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^make ([a-z]+) +\w", shown, flags=re.MULTILINE) == targets


@pytest.mark.parametrize("service", [one for one in SERVICES if one.stem not in NOT_OURS], ids=lambda path: path.stem)
def test_a_service_runs_a_command_with_options_that_it_has(service: Path) -> None:
    lines = service.read_text().splitlines()
    again = {"Restart=always", "StartLimitIntervalSec=0"} if "Type=oneshot" in lines else set()
    assert set(lines) >= NEVER_GIVES_UP - again, "what a timer begins is begun by it again"
    (start,) = [line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart=")]
    path, command, *arguments = shlex.split(start)
    assert path == "/usr/bin/stayby"
    assert command in COMMANDS
    load(command).make_context(command, arguments)


def test_every_user_of_a_service_is_made() -> None:
    users = {"root", *re.findall(r"^u (\S+)", (ROOT / "systemd/stayby.sysusers").read_text(), flags=re.MULTILINE)}
    assert {re.search(r"^User=(\S+)", path.read_text(), flags=re.MULTILINE)[1] for path in SERVICES} == users  # type: ignore[index]


# --- .ci/setup on machines that it cannot serve -----------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return a clean copy of what the set-up reads, and in bin/ a machine of our own making."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/setup", tmp_path / ".ci/setup")
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for name in ("bash", "dirname", "env", "grep", "mkdir", "flock", "cat", "sha256sum", "awk"):
        found = shutil.which(name)
        assert found
        (tmp_path / "bin" / name).symlink_to(found)
    return tmp_path


def script(machine: Path, name: str, body: str) -> None:
    path = machine / "bin" / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def setup(machine: Path, part: str = "run") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(machine / "bin"), "HOME": str(machine)}
    return subprocess.run(
        [machine / ".ci/setup", part], env=environment, capture_output=True, text=True, check=False, timeout=30
    )


def debian(machine: Path, architecture: str = "arm64", installed: str = "ii ") -> None:
    script(machine, "dpkg", f"echo {architecture}")
    script(machine, "dpkg-query", f"[[ ${{@: -1}} != pipewire-alsa ]] && printf '{installed}'")
    script(machine, "apt-get", f'echo "apt-get $*" >>{machine}/ran')
    script(machine, "sudo", f'echo sudo >>{machine}/ran; exec "$@"')


def test_another_system_is_told_so(machine: Path) -> None:
    done = setup(machine)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "setup: this sets up Debian, Raspberry Pi OS and Ubuntu only; apt-get is not here.\n"


def test_32_bit_is_told_so(machine: Path) -> None:
    debian(machine, architecture="armhf")
    done = setup(machine)
    assert done.returncode == 1
    assert "64-bit only. Install the 64-bit (arm64) image" in done.stderr


@pytest.mark.parametrize(("release", "bits"), [("3, 10", 63), ("3, 14", 63), ("3, 12", 31)])
def test_a_python_that_cannot_run_it_is_told_so(machine: Path, release: str, bits: int) -> None:
    debian(machine)
    (machine / "older.py").write_text(
        "import sys, collections\n"
        f"sys.maxsize = 2**{bits} - 1\n"
        f"sys.version_info = collections.namedtuple('V', 'major minor')({release})\n"
    )
    script(machine, "python3", f"[[ $1 == -c ]] || cat {machine}/older.py - | {sys.executable} -")
    done = setup(machine)
    assert done.returncode == 1
    assert done.stderr.startswith("setup: Stayby runs on 64-bit Python 3.11, 3.12 and 3.13; python3 here is 3.1")
    assert done.stderr.count("\n") == 1


def test_what_is_missing_is_named_with_its_reason_and_installed_without_recommendations(machine: Path) -> None:
    debian(machine, installed="un ")
    done = setup(machine)
    ran = (machine / "ran").read_text().splitlines()
    assert "mosquitto          the MQTT broker" in done.stdout
    expected = ["apt-get -q update", "apt-get -q install --yes --no-install-recommends --no-remove"]
    if os.getuid() != 0:
        expected = ["sudo", expected[0], "sudo", expected[1]]
    assert [line.partition(" -o ")[0] for line in ran] == expected


def test_what_apt_cannot_do_is_told_so(machine: Path) -> None:
    debian(machine, installed="un ")
    script(machine, "apt-get", '[[ $* == *install* ]] && { echo "E: no such thing" >&2; exit 100; }; true')
    done = setup(machine)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("setup: apt-get did not install them all; its last lines say why.")


def test_pulseaudio_is_not_pushed_beside_pipewire(machine: Path) -> None:
    debian(machine)
    script(machine, "dpkg-query", "[[ ${@: -1} == pipewire-alsa ]] && printf 'ii ' || printf 'un '")
    done = setup(machine)
    assert "there is no virtual microphone" in done.stderr
    assert " pulseaudio " not in (machine / "ran").read_text()


def test_nothing_to_install_asks_for_nothing(machine: Path) -> None:
    debian(machine)
    script(machine, "python3", "[[ $1 == -c ]] && exit; exit 1")
    setup(machine)
    assert not (machine / "ran").exists()


def test_an_unknown_part_is_told_so(machine: Path) -> None:
    assert (
        setup(machine, "al").stderr
        == "setup: say which: .ci/setup run, .ci/setup test, .ci/setup fuzz, or .ci/setup package\n"
    )


# --- the rules of CONTRIBUTING.md that a machine can see --------------------------------------------------------------

SOURCES = [path for room in ("kiosk", "firmware_bridge", "models") for path in sorted((ROOT / room).rglob("*.py"))]
VAGUE = {"utils", "util", "helpers", "helper", "manager", "common", "core", "services"}


def function_lengths() -> dict[str, int]:
    """Return the lines of each function of the product, its docstring and what it defines inside included."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {
        f"{path.relative_to(ROOT)}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, kinds)
    }


def test_functions_are_short() -> None:
    lengths = function_lengths()
    assert {name: lines for name, lines in lengths.items() if lines > 60} == {}
    assert statistics.median(lengths.values()) < 10


def test_every_name_says_what_is_in_the_room() -> None:
    assert [path for path in SOURCES if VAGUE & {*path.relative_to(ROOT).parent.parts, path.stem}] == []


def test_no_address_of_a_registry_and_no_path_of_one_machine_is_kept() -> None:
    rooms = [path for room in ("docs", "systemd", "tests", ".ci") for path in (ROOT / room).rglob("*")]
    kinds = {"", ".py", ".toml", ".lock", ".md", ".service"}
    texts = [path for path in (*SOURCES, *rooms, *ROOT.iterdir()) if path.is_file() and path.suffix in kinds]
    forbidden = re.compile(r"https?://[^\s\"')]*(?:/simple\b|pypi\.org|deb\.debian\.org)|/root/|/work/")
    assert [path.name for path in texts if path != Path(__file__) and forbidden.search(path.read_text())] == []

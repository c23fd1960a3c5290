"""Updates a unit in every way, in a system that .ci/prove-update holds, and prints what runs after each.

Real: systemd, dpkg, the package, hub, ear and screen behind their filters, the store's commands, mosquitto, the board, the proof
of the unit with its sound. Simulated: the button's chip, microphone and speaker. A power cut ends every process at once.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from firmware_bridge.simulator import SimulatedButton
from kiosk.demo.microphone import VirtualMicrophone
from kiosk.demo.stage import wait_for
from tests.board_parts import Program
from tests.provision_parts import MadeStore, make_store, run

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
SERVICES = ("stayby-alertd", "stayby-listen", "stayby-ui")
BOOT_S, READY_S, UPDATE_S = 60.0, 180.0, 900.0
HEAD = "| it is | what is said last | runs after | took |\n|---|---|---|---|"
KIOSK = "usr/lib/stayby/packages/kiosk"
ANY_HOUR = """mkdir -p /etc/systemd/system/stayby-update.service.d
printf '[Service]\\nEnvironment=FROM_HOUR=0 TO_HOUR=24\\n' > /etc/systemd/system/stayby-update.service.d/hours.conf
systemctl daemon-reload"""


@dataclass
class Machine:
    """The system: it boots, does as it is told, and loses its power."""

    holder: int
    work: Path
    inner: int = 0
    _outer: "subprocess.Popen[bytes] | None" = None

    @property
    def root(self) -> Path:
        """Return where its root lies for whoever is in its namespace."""
        return self.work / "root"

    def boot(self) -> None:
        """Give it power."""
        command = [
            "nsenter",
            "-t",
            str(self.holder),
            "-m",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--uts",
            "--ipc",
            "--cgroup",
        ]
        with (self.work / "console").open("ab") as console:
            self._outer = subprocess.Popen(
                [*command, "--kill-child", "bash", self.work / "boot", self.work], stdout=console, stderr=console
            )
        self.inner = wait_for("a namespace", self._child, BOOT_S)
        wait_for("systemd", lambda: self.says("systemctl", "is-active", "basic.target") == "active", BOOT_S)

    def _child(self) -> int | None:
        """Return the first process of the innermost namespace: a child of unshare, which nsenter became."""
        assert self._outer is not None
        found = subprocess.run(
            ["pgrep", "-P", str(self._outer.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        return int(found[0]) if found else None

    def cut(self) -> None:
        """Take the power away: every process is gone at once."""
        os.kill(self.inner, 9)
        assert self._outer is not None
        self._outer.wait()

    def popen(self, *command: object) -> "subprocess.Popen[str]":
        """Start a command in it, as root."""
        enter = ["nsenter", "-t", str(self.inner), "-m", "-p", "-u", "-i", "-C", "chroot", str(self.root)]
        clean = ["/usr/bin/env", "-i", "LC_ALL=C.UTF-8", "HOME=/root", f"PATH={PATH}", "DEBIAN_FRONTEND=noninteractive"]
        return subprocess.Popen(
            [*enter, *clean, *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: object, typed: str = "", within_s: float = UPDATE_S) -> tuple[int, str]:
        """Run a command in it; return its exit code and what it said."""
        process = self.popen(*command)
        said, _ = process.communicate(typed, timeout=within_s)
        return process.returncode, said

    def does(self, *command: object, typed: str = "") -> str:
        """Run a command that must work."""
        code, said = self.run(*command, typed=typed)
        if code != 0:
            sys.exit(f"FAILED: {' '.join(map(str, command))}: exit {code}\n{said}")
        return said

    def says(self, *command: object) -> str:
        """Return what a command says, whatever came of it."""
        return self.run(*command)[1].strip()


@dataclass
class Room:
    """What stands around the unit, and its packages."""

    machine: Machine
    store: MadeStore
    packages: Path
    stick: Path
    rows: list[str] = field(default_factory=list)

    # --- what is there ------------------------------------------------------------------------------------------------

    def publish(self, version: str) -> None:
        """Have the manager sign a package for the board."""
        code, said = run("store", "update", self.package(version), "--in", self.store.folder)
        assert code == 0, said

    def withdraw(self) -> None:
        """Have the board offer nothing."""
        for one in (self.store.folder / "board" / "updates").iterdir():
            one.unlink()

    def package(self, version: str) -> Path:
        return self.packages / f"stayby_{version}_amd64.deb"

    def on_stick(self, version: str, store: MadeStore | None = None) -> Path:
        """Put a signed package on an empty stick; return it."""
        shutil.rmtree(self.stick, ignore_errors=True)
        self.stick.mkdir()
        source = (store or self.store).folder / "board" / "updates"
        code, said = run("store", "update", self.package(version), "--in", (store or self.store).folder)
        assert code == 0, said
        for tail in ("", ".signed"):
            shutil.copy(source / f"stayby_{version}_amd64.deb{tail}", self.stick)
        self.withdraw()
        return self.stick / f"stayby_{version}_amd64.deb"

    # --- what is seen -------------------------------------------------------------------------------------------------

    def version(self) -> str:
        """Return what dpkg says is installed."""
        return self.machine.says("dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", "stayby")

    def has_ended(self) -> bool:
        """Whether the update has come to an end."""
        ended = "! grep -Eq '\"(installing|proving|going-back)\"' /var/lib/stayby-update/state.json"
        return self.machine.run("bash", "-c", ended)[0] == 0

    def active(self) -> list[str]:
        """Return how each service is."""
        return self.machine.says("systemctl", "is-active", *SERVICES).split()

    def on_duty(self) -> bool:
        """Whether all services run, and the hub answers."""
        return (
            self.active() == ["active"] * len(SERVICES)
            and '"version"' in self.machine.run("stayby", "status", "--json")[1]
        )

    def row(self, what: str, said: str, took_s: float, expect: str) -> None:
        """Write down what runs after something, once all is on duty."""
        wait_for(f"duty after: {what}", self.on_duty, READY_S)
        runs = self.version().removeprefix("ii ")
        ends = [line for line in said.splitlines() if line.strip()] or ["nothing"]
        self.rows.append(f"| {what} | {ends[-1].replace(str(self.machine.work), '')} | {runs} | {took_s:.0f} s |")
        print(self.rows[-1], flush=True)
        if runs != expect:
            sys.exit(
                f"FAILED: {runs} runs, not {expect}\n{said}\n{self.machine.says('journalctl', '--no-pager', '-n', '60')}"
            )

    def update(self, what: str, expect: str, *options: object, code: int) -> str:
        """Run `stayby update --now` and write down what came of it."""
        began_s = time.monotonic()
        found, said = self.machine.run("stayby", "update", "--now", *options)
        self.row(what, said, time.monotonic() - began_s, expect)
        if found != code:
            sys.exit(f"FAILED: exit {found}, not {code}\n{said}")
        return said

    def by_night(self, what: str, expect: str) -> None:
        """Have the service of the night run, whatever the hour is, and write down what came of it."""
        self.machine.does("sh", "-c", ANY_HOUR)
        began_s = time.monotonic()
        code, _ = self.machine.run("systemctl", "start", "stayby-update.service")
        if code != 0:
            sys.exit(f"FAILED: {self.machine.says('journalctl', '--no-pager', '-n', '20', '-u', 'stayby-update')}")
        wait_for(f"the end of: {what}", self.has_ended, UPDATE_S)
        said = self.machine.says(
            "journalctl", "--no-pager", "-o", "cat", "-u", "stayby-update", "-u", "stayby-update-apply"
        )
        lines = [line for line in said.splitlines() if "systemd" not in line and ".service" not in line]
        self.row(what, "\n".join(lines), time.monotonic() - began_s, expect)


# --- making it --------------------------------------------------------------------------------------------------------


def variants(package: Path, into: Path) -> None:
    """Make packages out of one: newer ones that are good, that hear nothing of their own proof, whose hub does not start."""
    into.mkdir()
    tree = into / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    text = control.read_text()
    hub, sound = tree / KIOSK / "alertd.py", tree / KIOSK / "prompts" / "proof.opus"
    changes: dict[str, Callable[[], object]] = {
        "0.0.9": lambda: None,
        "0.1.1": lambda: None,
        "0.1.7": lambda: sound.write_bytes(b"mute"),
        "0.1.8": lambda: hub.write_text("raise SystemExit('this version does not start')\n"),
        **{f"0.1.{number}": lambda: None for number in (4, 5, 6)},
    }
    kept = {file: file.read_bytes() for file in (hub, sound)}
    for version, change in changes.items():
        control.write_text(text.replace("Version: 0.1.0", f"Version: {version}"))
        change()
        made = into / f"stayby_{version}_amd64.deb"
        build = ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z1", "--build", os.fspath(tree), os.fspath(made)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        for file, content in kept.items():
            file.write_bytes(content)
    shutil.rmtree(tree)


@contextlib.contextmanager
def around(room: Path) -> Iterator[tuple[MadeStore, VirtualMicrophone, str]]:
    """Have a store with broker and board, a microphone in a quiet room, a button; yields store, microphone, the claim's code."""
    store = make_store(room / "store")
    with contextlib.ExitStack() as stack:
        microphone = stack.enter_context(VirtualMicrophone(room / "microphone"))
        button = SimulatedButton(room / "button")
        button.start()
        stack.callback(button.stop)
        unit = store.folder / "unit.toml"
        text = unit.read_text().replace('port = "/dev/stayby-button"', f'port = "{room}/button"')
        text = text.replace('[listen]\ndevice = "default"', f'[listen]\ndevice = "{microphone.device}"')
        text = text.replace('[speaker]\ndevice = "default"', f'[speaker]\ndevice = "{microphone.speaker}"')
        unit.write_text(f"{text}\n[ui]\nwidth = 800\nheight = 480\nfullscreen = false\n")
        code = store.add_unit("desk-3")
        stack.enter_context(store.broker())
        path = store.folder / "board" / "store.toml"
        path.write_text(path.read_text().replace("updates_dir", f'state_dir = "{room}/memory"\nupdates_dir'))
        board = Program("board", path, room / "board.log")
        stack.callback(board.close)
        board.first_line()
        for one in (room / "microphone", *(room / "microphone").rglob("*")):
            one.chmod(0o777 if one.is_dir() or one.is_socket() else 0o666)
        (room / "button").resolve().chmod(0o666)
        yield store, microphone, code


def prepare(machine: Machine, package: Path, store: MadeStore, microphone: VirtualMicrophone, code: str) -> None:
    """Install the package and make the machine a unit of the store."""
    here = shutil.copy(package, machine.work / "room" / "stayby.deb")
    machine.does("dpkg", "-i", here)
    sound = " ".join(f"{key}={value}" for key, value in microphone.env.items() if key != "PULSE_RUNTIME_PATH")
    for service, more in (("stayby-listen", ""), ("stayby-ui", " SDL_VIDEODRIVER=offscreen")):
        text = f"[Service]\\nEnvironment={sound}{more}\\n"
        folder = f"/etc/systemd/system/{service}.service.d"
        machine.does("bash", "-c", f'mkdir -p {folder} && printf "{text}" >{folder}/proof.conf')
    quick = "[Service]\\nEnvironment=STAYBY_UPDATE_PAUSE_S=5\\nExecStart=\\nExecStart=/usr/bin/python3 -I %s --ready-s=60\\n"
    folder = "/etc/systemd/system/stayby-update-apply.service.d"
    machine.does(
        "bash", "-c", f"mkdir -p {folder} && printf '{quick}' /var/lib/stayby-update/apply.py >{folder}/proof.conf"
    )
    machine.does("systemctl", "daemon-reload")
    claim = machine.work / "room" / "desk-3.claim"
    shutil.copy(store.claim("desk-3"), claim)
    print(machine.does("stayby", "join", claim, typed=f"{code}\n"))
    machine.does("systemctl", "start", "stayby.target", "stayby-safe-mode.path")


def main(holder: int, work: Path, package: Path, table: Path) -> None:
    """Do it all."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    machine = Machine(holder, work)
    room_folder = work / "room"
    variants(package, work / "packages")
    with around(room_folder) as (store, microphone, code):
        machine.boot()
        try:
            prepare(machine, package, store, microphone, code)
            room = Room(machine, store, work / "packages", room_folder / "stick")
            wait_for("duty", room.on_duty, READY_S)
            ways(room)
            table.write_text(
                "\n".join(["| it is | what is said last | runs after | took |", "|---|---|---|---|", *room.rows, ""])
            )
        finally:
            machine.cut()


def ways(room: Room) -> None:
    """Go every way, one after the other."""
    print(room.machine.says("stayby", "prove"), flush=True)
    room.by_night("a night without an update", "0.1.0")
    refused(room)
    room.publish("0.1.1")
    room.by_night("a good one by night", "0.1.1")
    room.by_night("nothing new by night", "0.1.1")
    safe_mode(room)
    interrupted(room)
    room.update("a technician wants the one before", "0.1.5", "--back", code=1)
    room.publish("0.1.7")
    room.update("one that does not prove itself", "0.1.5", code=1)
    room.publish("0.1.8")
    room.update("one whose hub does not start", "0.1.5", code=1)
    print(room.machine.says("stayby", "status"), flush=True)
    room.by_night("the same again by night", "0.1.5")


def safe_mode(room: Room) -> None:
    """It ends ear and screen, and they come back."""
    room.machine.does("bash", "-c", "echo {} >/var/lib/stayby/safe-mode")
    wait_for("ear and screen to be down", lambda: room.active() == ["active", "inactive", "inactive"], READY_S)
    room.machine.does("stayby", "safe-mode", "off")
    room.row("safe mode, and off again", "ear and screen were down, and are back", 0.0, "0.1.1")


def refused(room: Room) -> None:
    """What changes nothing."""
    file = room.on_stick("0.1.1")
    signature = file.with_name(f"{file.name}.signed")
    whole, signed = file.read_bytes(), signature.read_bytes()
    signature.unlink()
    room.update("unsigned", "0.1.0", "--from", room.stick, code=1)
    signature.write_bytes(signed.replace(b"0.1.1", b"0.1.9"))
    room.update("changed after signing", "0.1.0", "--from", room.stick, code=1)
    signature.write_bytes(signed)
    file.write_bytes(whole[: len(whole) // 2])
    room.update("half of it", "0.1.0", "--from", room.stick, code=1)
    file.write_bytes(b"junk")
    room.update("a stick with junk", "0.1.0", "--from", room.stick, code=1)
    room.on_stick("0.0.9")
    room.update("older", "0.1.0", "--from", room.stick, code=1)
    other = make_store(room.stick.parent / "quay", "quay")
    room.on_stick("0.1.1", other)
    room.update("another store's", "0.1.0", "--from", room.stick, code=1)
    room.on_stick("0.1.1")
    full = "/var/lib/stayby-update/full"
    room.machine.does(
        "bash", "-c", f"fallocate -l $(( $(stat -f -c '%a*%S' /var/lib/stayby-update) - 200000000 )) {full}"
    )
    room.update("a full card", "0.1.0", "--from", room.stick, code=1)
    room.machine.does("rm", full)


def interrupted(room: Room) -> None:
    """The power goes in the middle: of the installation, and of the proof."""
    for version, what, shows in (
        ("0.1.4", "power cut while dpkg unpacks", "test -e /usr/lib/stayby/packages/kiosk/alertd.py.dpkg-new"),
        ("0.1.5", "power cut while its bytecode is made", "pgrep -f '[c]ompileall'"),
        ("0.1.6", "power cut while it proves itself", "grep -q proving /var/lib/stayby-update/state.json"),
    ):
        room.publish(version)
        began_s = time.monotonic()
        process = room.machine.popen("stayby", "update", "--now", "--anyway")
        room.machine.run("timeout", "600", "bash", "-c", f"until {shows}; do sleep 0.05; done")
        room.machine.cut()
        process.communicate()
        room.machine.boot()
        half = room.version()
        wait_for("the end of the update", room.has_ended, UPDATE_S)
        said = room.machine.says(
            "journalctl", "-b", "--no-pager", "-o", "cat", "-t", "python3", "-u", "stayby-update-apply"
        )
        room.row(f"{what} (dpkg then: {half})", said, time.monotonic() - began_s, version)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))

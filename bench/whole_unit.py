"""A whole unit as a machine: from power to duty, what it writes in a day, and how exposed its services are.

The services are the real ones, started as systemd orders them: the hub, and when it is ready ear and screen at once. Not in it:
the kernel's own start, and what journald adds to the log lines beyond `JOURNAL_LINE_BYTES` each.
"""

import re
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from bench.measure import Measure, not_measured
from bench.supervised import SYSTEMD, Supervised
from kiosk.demo.stage import Stage, wait_for
from kiosk.messages import Hearing, StatusAnswer
from kiosk.store import Store

STARTS = 3
IDLE_S = 180.0
TRIES = 20
TRY_EVERY_S = 600.0
DAY_S = 86400.0
MB = 1e6
INCIDENTS_A_DAY = 10
"""A busy day of a service desk, drills included."""
JOURNAL_LINE_BYTES = 1024
"""What journald writes for a line of 150 letters, with its fields and hashes, rounded up."""
TURN_S = 0.05
SERVICES = ("alertd", "listen", "ui")
LIMITS = {"alertd": 2.5, "listen": 2.5, "ui": 4.0, "board": 2.5, "relay": 2.5}


class Unit:
    """The three services of one unit in `folder`."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.stage = stack.enter_context(Stage(folder))
        self.stage.write_config()
        self.stage.start_broker()
        self.stage.start_button()
        self.stage.start_microphone()
        self._services: dict[str, Supervised] = {}

    def start(self) -> float:
        """Start all of it and return how long that took until the hub says that all of it works."""
        begun_s = time.monotonic()
        self._begin("alertd")
        self._until_ready("alertd")
        for name in ("listen", "ui"):
            self._begin(name)
        self._until_ready("listen", "ui")
        wait_for("the whole unit", self._works, timeout_s=60)
        return time.monotonic() - begun_s

    def _begin(self, name: str) -> None:
        command = [sys.executable, "-m", "kiosk", name, "--config", str(self.stage.config_file)]
        env = {"STAYBY_STATE_DIR": str(self.stage.folder / "state"), "SDL_VIDEODRIVER": "offscreen"}
        env |= {"MESA_SHADER_CACHE_DIR": str(self.stage.folder / "shaders")}
        env |= self.stage.microphone.env if name == "listen" else {}
        self._services[name] = Supervised(name, command, self.stage.folder, env)

    def _until_ready(self, *names: str) -> None:
        while not all(self._services[name].ready for name in names):
            self.turn()

    def _works(self) -> StatusAnswer | None:
        self.turn()
        status = self.stage.status()
        if status is None or status.hearing is not Hearing.LISTENING:
            return None
        return (
            None
            if {fault.code for fault in status.status.faults} & {"screen", "listen", "button", "broker"}
            else status
        )

    def turn(self) -> None:
        """Let time pass."""
        for one in self._services.values():
            one.turn()
        time.sleep(TURN_S)

    def written_bytes(self) -> int:
        """Return what its processes have had written to disk so far."""
        return sum(written_bytes(one.pid) for one in self._services.values())

    def logged_lines(self) -> int:
        """Return how many lines its services have logged."""
        return sum(one.log.read_bytes().count(b"\n") for one in self._services.values())

    def stop(self) -> None:
        """End the services."""
        for one in self._services.values():
            one.close()
        self._services.clear()


def written_bytes(pid: int | str) -> int:
    """Return what a process has had written to disk: what it dirtied, less what it took back."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines())
    return int(fields["write_bytes"]) - int(fields["cancelled_write_bytes"])


def exposure(service: str) -> float | None:
    """Return how exposed systemd finds a service, 0 to 10; None where nothing can tell."""
    if shutil.which("systemd-analyze") is None:
        return None
    command = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--no-pager",
        str(SYSTEMD / f"stayby-{service}.service"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    return float(found[1]) if found else None


def scores() -> dict[str, Measure]:
    """Return the exposure of each service."""
    found: dict[str, Measure] = {}
    for service, most in LIMITS.items():
        score = exposure(service)
        name = f"security_score_{service}"
        found[name] = (
            not_measured("of 10", "there is no systemd-analyze here")
            if score is None
            else Measure(score, "of 10", 1, f"systemd-analyze security; design: at most {most:g}")
        )
    return found


def disk_try_bytes(folder: Path) -> float:
    """Return what one try of the store's disk writes."""
    store = Store(folder / "tries.db", lambda says: print(says, file=sys.stderr))
    before = written_bytes("self")
    for number in range(TRIES):
        store.try_disk(float(number))
    store.close()
    return (written_bytes("self") - before) / TRIES


def measure(folder: Path) -> dict[str, Measure]:
    """Start a unit a few times, leave it in peace for a while, and play one incident on it."""
    with ExitStack() as stack:
        unit = Unit(folder, stack)
        stack.callback(unit.stop)
        starts_s = []
        for number in range(STARTS):
            starts_s.append(unit.start())
            if number + 1 < STARTS:
                unit.stop()
        writes = _writes(unit, folder)
    start = Measure(max(starts_s), "s", STARTS, "button, ear and screen; longest; without the kernel's own start")
    return {"unit_start_to_duty_s": start, **writes, **scores()}


def _writes(unit: Unit, folder: Path) -> dict[str, Measure]:
    idle_bytes, idle_lines, idle_s = _while_idle(unit)
    incident_bytes, incident_lines = _one_incident(unit)
    tries = disk_try_bytes(folder) * DAY_S / TRY_EVERY_S
    state = idle_bytes * DAY_S / idle_s + INCIDENTS_A_DAY * incident_bytes + tries
    lines = idle_lines * DAY_S / idle_s + INCIDENTS_A_DAY * incident_lines
    total_mb = (state + lines * JOURNAL_LINE_BYTES) / MB
    details = (
        f"idle {idle_bytes} bytes and {idle_lines} log lines in {idle_s:.0f} s; tries of the disk {tries / MB:.1f} MB a day",
        f"one incident {incident_bytes / MB:.2f} MB and {incident_lines} log lines, {INCIDENTS_A_DAY} a day counted",
    )
    return {"unit_write_mb_per_day": Measure(total_mb, "MB", round(idle_s), "design: at most 50", details)}


def _while_idle(unit: Unit) -> tuple[int, int, float]:
    settled_s = time.monotonic() + 10
    while time.monotonic() < settled_s:
        unit.turn()
    before, lines, begun_s = unit.written_bytes(), unit.logged_lines(), time.monotonic()
    while time.monotonic() - begun_s < IDLE_S:
        unit.turn()
    return unit.written_bytes() - before, unit.logged_lines() - lines, time.monotonic() - begun_s


def _one_incident(unit: Unit) -> tuple[int, int]:
    """Press the button, and let nobody answer for a minute: that writes most."""
    before, lines = unit.written_bytes(), unit.logged_lines()
    unit.stage.tap_button()
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        unit.turn()
    return unit.written_bytes() - before, unit.logged_lines() - lines

"""A unit without power five hundred times at random moments: it always starts, no incident is lost, its configuration is whole.

The hub is the one that ships, as a process; the button is the real machine code, and loses its power in the same moment.
Broker and responder are another machine: they go on. Ear and screen keep nothing on disk, so what stands in for the screen
here hears and touches over the bus. At the cut the hub is killed -9, and its folder becomes what a disk would hold
(`cut_disk.py`: writes that were not synced are gone, there, or torn). Some cuts fall into the start, many just after a press
or an answer. Meanwhile somebody edits kiosk.toml, and at times the cut leaves half of it.

What must be so after each cut
- What the broker was told of an incident is on the disk, as new or newer; one that was closed to anybody is closed.
- A press is on the disk or still in the chip, from 100 ms after the contact closed (see `presses.py`).
- The hub starts, and uses kiosk.toml, or the last good one where it is half.
"""

import logging
import queue
import random
import shutil
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from bench.broker_kills import Answerer, station_of
from bench.cut_disk import CutError, Disk, build
from bench.measure import Measure, not_measured, percentile
from bench.presses import SAFE_S
from bench.systemd_ear import SystemdEar
from firmware_bridge.events import PressId
from firmware_bridge.simulator import SimulatedButton
from kiosk.alertd import read_clock
from kiosk.bus import Leaf, runtime_socket
from kiosk.config import load_unit
from kiosk.config_faults import ConfigFaults
from kiosk.config_file import LAST_GOOD
from kiosk.demo.broker import PrivateBroker
from kiosk.demo.stage import SAM, STORE, UNIT, Part, StageError, wait_for
from kiosk.incident import Incident
from kiosk.messages import Hello, Role, Show, State, ToLeaf, Touch, TouchAction
from kiosk.store import Store

SEED = 7
CUTS = 500
LOOK_S = 0.01
START_S = 60.0
SETTLE_S = 60.0
IN_START, IN_START_S = 0.15, 2.0
"""So many cuts fall into the start, within so long."""
AFTER_DEED, AFTER_WORD = 0.35, 0.4
"""So many of the others fall shortly after a press or a touch, and after something that staff or screen were told."""
SHORTLY_S = 0.15
ON_DUTY_S = 1.2
DEED_S = 0.5
WORDS_MOST, WORD_S = 4, 2.5
CHIP_START_S = 0.5
HELD_S = 0.12
EDITED, HALF = 0.3, 0.4
"""How often kiosk.toml is edited before a start, and how many of these edits the cut leaves half done."""


@dataclass
class Tally:
    """What became of the cuts."""

    cuts: int = 0
    in_start: int = 0
    unsure_writes: int = 0
    presses: int = 0
    presses_maybe: int = 0
    presses_kept: int = 0
    incidents: int = 0
    lost: int = 0
    configs_lost: int = 0
    half_configs: int = 0
    starts_s: list[float] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def find(self, says: str) -> None:
        """Note what must not be."""
        self.findings.append(f"cut {self.cuts}: {says}")


class Unit:
    """One unit whose power can be cut."""

    def __init__(self, folder: Path, broker: PrivateBroker, library: Path, chance: random.Random) -> None:
        self.folder, self._broker, self._chance = folder, broker, chance
        self.state = folder / "state"
        self.state.mkdir(parents=True)
        self.disk = Disk(self.state, library)
        self.button = SimulatedButton(folder / "button")
        self.button.start()
        self.button.power(on=False)
        self.systemd = SystemdEar(folder / "notify")
        env = {**self.disk.env, **self.systemd.env, "STAYBY_STATE_DIR": str(self.state)}
        command = [sys.executable, "-m", "kiosk", "alertd", "--config", str(folder / "kiosk.toml")]
        self.part = Part("alertd", command, folder, env)
        self.told: queue.SimpleQueue[ToLeaf] = queue.SimpleQueue()
        self.deaths: list[BaseException] = []
        self._leaf = Leaf(
            runtime_socket(folder / "run"),
            Hello(role=Role.UI),
            self.told.put,
            lambda _: None,
            lambda text: self.deaths.append(StageError(text)),
            self.deaths.append,
        )
        self.started_s = self.powered_s = 0.0
        self._closed_s: float | None = None

    # --- kiosk.toml ---------------------------------------------------------------------------------------------------

    def write_config(self, place: str, *, half: bool = False) -> None:
        """Write kiosk.toml, or as much of it as a power cut left of an editor's work."""
        section = self._broker.section_for_unit(UNIT)
        text = (
            f'[unit]\nstore = "{STORE}"\nid = "{UNIT}"\nplace = "{place}"\naddress = "12 Quay Street, Leeds"\n'
            f'state_dir = "{self.state}"\nrun_dir = "{self.folder}/run"\n\n[button]\nport = "{self.folder}/button"\n\n'
            f'[broker]\nhost = "{section.host}"\nport = {section.port}\nca_file = "{section.ca_file}"\n'
            f'cert_file = "{section.cert_file}"\nkey_file = "{section.key_file}"\n'
        )
        path = self.folder / "kiosk.toml"
        path.write_text(text[: self._chance.randrange(len(text))] if half else text)
        path.chmod(0o600)

    # --- power --------------------------------------------------------------------------------------------------------

    def power_on(self) -> None:
        """Give it power: chip and hub start."""
        self.disk.begin()
        self.systemd.forget()
        self.button.power(on=True)
        self.powered_s = time.monotonic()
        self.part.start()
        self.started_s = time.monotonic()

    def cut(self, tally: Tally) -> None:
        """Take its power away, chip and hub in either order."""
        chip_first = self._chance.random() < 0.5  # noqa: PLR2004 - a coin
        if chip_first:
            self._chip_off(tally)
        self.part.kill()
        if not chip_first:
            self._chip_off(tally)
        tally.cuts += 1
        tally.unsure_writes += self.disk.cut(self._chance)

    def _chip_off(self, tally: Tally) -> None:
        cut_s = time.monotonic()
        self.button.power(on=False)
        if self._closed_s is not None:
            sure = cut_s - self._closed_s >= SAFE_S
            tally.presses_maybe += not sure
            tally.presses += sure
            self.button.release()
            self._closed_s = None

    # --- the person ---------------------------------------------------------------------------------------------------

    def press(self) -> None:
        """Close the contact."""
        if self._closed_s is None and time.monotonic() - self.powered_s > CHIP_START_S:
            self.button.press()
            self._closed_s = time.monotonic()

    def let_go(self, tally: Tally) -> None:
        """Let the button go when it was held."""
        if self._closed_s is not None and time.monotonic() - self._closed_s >= HELD_S:
            self.button.release()
            tally.presses += 1
            self._closed_s = None

    def touch(self) -> None:
        """Touch "I need help", where a hub is there to hear it."""
        self._leaf.send(Touch(action=TouchAction.HELP))

    def ready(self) -> bool:
        """Return whether the hub is on duty; raise `StageError` when it has ended."""
        self.systemd.hear()
        if self.part.ended() is not None or self.deaths:
            raise StageError(f"the hub did not start: {self.deaths or self.part.said()[-400:]}")
        return self.systemd.ready_s is not None

    def close(self) -> None:
        """End it in good order."""
        self._leaf.close()
        self.part.stop()
        self.button.stop()
        self.systemd.close()


@dataclass
class OnDisk:
    """What the hub's own store finds on the disk."""

    incident: Incident | None
    known: set[str]
    presses: set[PressId]
    place: str
    complaints: list[str]


def look_at(state: Path, folder: Path, ids: set[str]) -> OnDisk:
    """Open a copy of the disk with the hub's own store and say what is there."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(state, copy)
    complaints: list[str] = []
    store = Store(copy / "state.db", complaints.append)
    incident = store.load(read_clock())
    known = {one for one in ids if store.knows(one)}
    presses = set(store.presses())
    store.close()
    return OnDisk(incident, known, presses, _place(copy / LAST_GOOD), complaints)


def _place(path: Path) -> str:
    try:
        return load_unit(path.read_text()).unit.place if path.exists() else ""
    except ConfigFaults as wrong:
        return f"broken: {wrong}"


class Judge:
    """Holds what anybody was told against what the disk says."""

    def __init__(self, unit: Unit, sam: Answerer, tally: Tally) -> None:
        self._unit, self._sam, self._tally = unit, sam, tally
        self.by_broker: dict[str, tuple[int, State]] = {}
        self.closed: dict[str, int] = {}
        """By incident: the revision with which it was closed. A word that was still on its way then has a lower one."""
        self.order: list[str] = []
        self.words = 0
        """How often somebody was told something new of an incident."""
        self._said: dict[str, State] = {}
        self.places: set[str] = set()
        self.in_force = ""
        self._presses: set[PressId] = set()

    def hear(self, now_s: float) -> None:
        """Take what screen and staff were told."""
        while not self._unit.told.empty():
            said = self._unit.told.get()
            if isinstance(said, Show):
                self._place_shown(said.face.place)
                if said.incident is not None:
                    self._note(said.incident.id, said.incident.state, said.incident.revision)
        self._sam.turn(now_s)
        for held in self._sam.station.model.open_incidents():
            one = held.snapshot
            self._note(one.id, one.state, one.revision)
            self.by_broker[one.id] = (one.revision, one.state)

    def _place_shown(self, place: str) -> None:
        if place not in self.places:
            self._tally.configs_lost += 1
            self._tally.find(f"the place shown is {place!r}, which is none of {sorted(self.places)}")
        self.in_force, self.places = place, {place}

    def _note(self, incident: str, state: State, revision: int) -> None:
        if incident not in self.order:
            self.order.append(incident)
        self.words += self._said.get(incident) is not state
        self._said[incident] = state
        if state is State.CLOSED:
            self.closed.setdefault(incident, revision)
        elif revision > self.closed.get(incident, sys.maxsize):
            self._tally.lost += 1
            self._tally.find(f"incident {incident} was closed and is open again")
            del self.closed[incident]

    def after_cut(self) -> None:
        """Look at the disk."""
        found = look_at(self._unit.state, self._unit.folder, set(self.order))
        for says in found.complaints:
            self._tally.find(f"the store: {says}")
            self._tally.lost += 1
        if not found.presses >= self._presses:
            self._tally.lost += 1
            self._tally.find(f"presses that were on the disk are gone: {self._presses - found.presses}")
        self._presses = found.presses
        if self.in_force and found.place not in self.places:
            self._tally.configs_lost += 1
            self._tally.find(f"the last good configuration is {found.place!r}, not one of {sorted(self.places)}")
        if self.order:
            self._newest(self.order[-1], found)

    def _newest(self, told: str, found: OnDisk) -> None:
        wrong = ""
        if told not in found.known:
            wrong = f"incident {told} is not on the disk"
        elif found.incident is not None and found.incident.id == told:
            revision, state = self.by_broker.get(told, (0, State.IDLE))
            if found.incident.revision < revision:
                wrong = f"staff were told {state} (revision {revision}), the disk has {found.incident.state}"
            elif (told in self.closed or told in self._sam.over) and found.incident.state is not State.CLOSED:
                wrong = f"incident {told} was closed, the disk has {found.incident.state}"
        if wrong:
            self._tally.lost += 1
            self._tally.find(wrong)

    def at_the_end(self) -> None:
        """Everything was answered: count what never was."""
        found = look_at(self._unit.state, self._unit.folder, set(self.order))
        tally = self._tally
        tally.presses_kept, tally.incidents = len(found.presses), len(self.order)
        open_ones = [one for one in self.order if one not in self.closed and one != self.order[-1]]
        for one in open_ones:
            if one in self._sam.over:
                continue
            tally.lost += 1
            tally.find(f"incident {one} was told and never closed")
        if not tally.presses <= tally.presses_kept <= tally.presses + tally.presses_maybe:
            tally.lost += max(1, tally.presses - tally.presses_kept)
            tally.find(f"{tally.presses} presses, perhaps {tally.presses_maybe} more; {tally.presses_kept} arrived")


class Play:
    """One power cut after the other."""

    def __init__(self, unit: Unit, judge: Judge, tally: Tally, chance: random.Random, wake: threading.Event) -> None:
        self._unit, self._judge, self._tally, self._chance, self._wake = unit, judge, tally, chance, wake
        self._number = 0

    def edit(self) -> None:
        """Perhaps somebody edits kiosk.toml; perhaps the last edit was cut off."""
        if self._number and self._chance.random() >= EDITED:
            return
        self._number += 1
        place = f"Desk {self._number}"
        half = bool(self._judge.in_force) and self._chance.random() < HALF
        self._unit.write_config(place, half=half)
        self._tally.half_configs += half
        if not half:
            self._judge.places.add(place)

    def once(self) -> None:
        """Power on, do something, cut, look."""
        self.edit()
        self._unit.power_on()
        in_start = self._chance.random() < IN_START
        self._tally.in_start += in_start
        if in_start:
            self._turns(self._unit.started_s + self._chance.uniform(0.0, IN_START_S), press=self._chance.random())
        else:
            self.until_ready()
            self._on_duty()
        self._unit.cut(self._tally)
        self._judge.hear(time.monotonic())
        self._judge.after_cut()

    def until_ready(self) -> None:
        """Wait until the hub is on duty, and note how long it took."""
        until_s = time.monotonic() + START_S
        while not self._unit.ready():
            if time.monotonic() > until_s:
                raise StageError(f"the hub is not on duty after {START_S:g} s: {self._unit.part.said()[-400:]}")
            self._turn()
        self._tally.starts_s.append((self._unit.systemd.ready_s or 0.0) - self._unit.started_s)

    def _on_duty(self) -> None:
        begun_s = time.monotonic()
        deed_s = begun_s + self._chance.uniform(0.0, DEED_S)
        cut_s, words = self._moment(begun_s, deed_s)
        deed = self._chance.choice((self._unit.press, self._unit.press, self._unit.touch))
        while (now_s := time.monotonic()) < cut_s:
            if now_s >= deed_s:
                deed()
                deed_s = float("inf")
            self._turn()
            if self._judge.words >= words:
                cut_s, words = min(cut_s, time.monotonic() + self._chance.uniform(0.0, SHORTLY_S)), sys.maxsize

    def _moment(self, begun_s: float, deed_s: float) -> tuple[float, int]:
        """Choose when the power goes: at a time at the latest, and shortly after so many words were said in all."""
        dice = self._chance.random()
        if dice < AFTER_DEED:
            return deed_s + self._chance.uniform(0.0, SHORTLY_S), sys.maxsize
        if dice < AFTER_DEED + AFTER_WORD:
            return begun_s + WORD_S, self._judge.words + self._chance.randint(1, WORDS_MOST)
        return begun_s + self._chance.uniform(0.0, ON_DUTY_S), sys.maxsize

    def _turns(self, until_s: float, *, press: float) -> None:
        """Let a start go on for a while; a third of them is pressed into."""
        press_s = self._unit.powered_s + CHIP_START_S + press if press < 0.33 else until_s  # noqa: PLR2004 - a third
        while (now_s := time.monotonic()) < until_s:
            if now_s >= press_s:
                self._unit.press()
                press_s = until_s
            self._turn()

    def _turn(self) -> None:
        self._unit.let_go(self._tally)
        self._judge.hear(time.monotonic())
        self._wake.wait(LOOK_S)
        self._wake.clear()

    def settle(self) -> None:
        """Power on for good, until all is answered."""
        self._unit.power_on()
        self.until_ready()
        quiet_s, until_s = time.monotonic(), time.monotonic() + SETTLE_S
        while (now_s := time.monotonic()) < until_s and now_s - quiet_s < 3.0:  # noqa: PLR2004 - seconds without anything open
            self._turn()
            if self._judge.order and self._judge.order[-1] not in self._judge.closed:
                quiet_s = now_s
        self._unit.part.stop()


def play(folder: Path, cuts: int, seed: int) -> Tally:
    """Cut the power so often in `folder`; return what became of it. Raises `StageError` when the unit does not start."""
    chance = random.Random(seed)  # noqa: S311 - played, not guarded
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("stayby.board").setLevel(logging.ERROR)  # it says each loss of the unit
    tally = Tally()
    with ExitStack() as stack:
        broker = PrivateBroker(folder / "broker", STORE, [UNIT], [SAM.person.id], persistence=True)
        stack.enter_context(broker)
        unit = Unit(folder / "unit", broker, build(folder), chance)
        stack.callback(unit.close)
        wake, deaths = threading.Event(), list[BaseException]()
        sam = Answerer(station_of(broker, SAM, wake, deaths), random.Random(chance.random()), deaths)  # noqa: S311
        stack.callback(sam.station.close)
        wait_for("Sam's board", lambda: _connected(sam))
        judge = Judge(unit, sam, tally)
        stage = Play(unit, judge, tally, chance, wake)
        with Progress(transient=True) as progress:
            for _ in progress.track(range(cuts), description="power cuts"):
                stage.once()
        stage.settle()
        judge.at_the_end()
    return tally


def _connected(sam: Answerer) -> bool:
    sam.turn(time.monotonic())
    return sam.station.connected


def measure(folder: Path) -> dict[str, Measure]:
    """Play it and return the figures."""
    Console().print(f"power cuts: seed {SEED}")
    try:
        tally = play(folder, CUTS, SEED)
    except CutError as error:
        return {"power_cuts": not_measured("cuts", str(error))}
    return figures(tally)


def figures(tally: Tally) -> dict[str, Measure]:
    """Return what was counted as measures."""
    found = tuple(tally.findings[:10])
    how = f"{tally.in_start} in the start; {tally.unsure_writes} writes were under way; every time it started"
    return {
        "power_cuts": Measure(tally.cuts, "cuts", tally.cuts, how),
        "power_cut_incidents": Measure(tally.incidents, "incidents", tally.cuts, f"{tally.presses_kept} presses"),
        "power_cut_incidents_lost": Measure(tally.lost, "incidents", tally.incidents, "design: 0", found),
        "power_cut_configs_lost": Measure(
            tally.configs_lost, "files", tally.half_configs, "n half-written kiosk.toml; design: 0"
        ),
        "power_cut_start_p99_s": Measure(
            percentile(tally.starts_s, 0.99), "s", len(tally.starts_s), "from power to the hub on duty, busy machine"
        ),
    }

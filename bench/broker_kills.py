"""The broker killed fifty times at random moments of five hundred incidents: every one answered and closed, once.

Real hubs as processes, the real station of a responder who comes, is there and closes, and a real mosquitto that forgets
everything with each kill. The seed says when what happens; how long each thing takes is the machine's own.
"""

import logging
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from bench.measure import Measure, not_measured, percentile
from bench.units import unit_ids
from kiosk.board.replies import Delivery
from kiosk.board.station import AnswerRefused, Ask, Station
from kiosk.bus import Leaf, runtime_socket
from kiosk.config import BoardConfig, ResponderSection
from kiosk.demo.broker import PrivateBroker
from kiosk.demo.stage import ALEX, SAM, STORE, Part, Responder, StageError, wait_for
from kiosk.messages import Hello, Outcome, Role, Show, Snapshot, State, ToLeaf, Touch, TouchAction

SEED = 6
UNITS = 8
INCIDENTS = 500
KILLS = 50
LIMIT_S = 900.0
LOOK_S = 0.02
PAUSE_S = (0.1, 1.2)
"""Between the end of an incident and the next one at that desk."""
HUMAN_S = (0.05, 0.5)
"""Before each answer: quicker than a person, so that kills fall into all of the moments between."""
AFTER_S = (0.0, 1.5)
"""From the incident that a kill belongs to, or from the broker's last return, to the kill."""
DOWN_S = (0.0, 2.5)
"""How long the broker then stays away."""
DEBIAN = "persistence true\npersistence_location {folder}/\n"
"""As Debian ships it: written down every 1800 s and when it ends in good order, so a kill forgets what is newer."""


@dataclass(frozen=True)
class Kill:
    """When the broker dies: so many seconds after so many incidents were raised; and how long it stays away."""

    raised: int
    after_s: float
    down_s: float


def plan(chance: random.Random) -> list[Kill]:
    """Return the kills in their order."""
    places = sorted(chance.sample(range(1, INCIDENTS + 1), KILLS))
    return [Kill(place, chance.uniform(*AFTER_S), chance.uniform(*DOWN_S)) for place in places]


# --- a desk -----------------------------------------------------------------------------------------------------------


@dataclass
class Told:
    """What a desk's own screen was told of one incident."""

    raised_s: float
    states: list[State] = field(default_factory=list)
    closed_by: str = ""
    closed_s: float = 0.0


class Desk:
    """A real hub as a process, and a person at its screen who touches "I need help" again and again."""

    def __init__(self, folder: Path, broker: PrivateBroker, unit: str, chance: random.Random) -> None:
        folder.mkdir(parents=True)
        self.unit = unit
        self.told: dict[str, Told] = {}
        self.touches = 0
        self._chance = chance
        self._next_s: float | None = 0.0
        command = [sys.executable, "-m", "kiosk", "alertd", "--config", str(_config(folder, broker, unit))]
        self.part = Part("alertd", command, folder)
        self.part.start()
        socket = runtime_socket(folder / "run")
        self._leaf = Leaf(socket, Hello(role=Role.UI), self._take, lambda _: None, self._bad, self._died)
        self._linked = False
        self._wrong: list[str] = []

    def _take(self, message: ToLeaf) -> None:
        self._linked = True
        if isinstance(message, Show) and message.incident is not None:
            self._note(message.incident)

    def _note(self, snapshot: Snapshot) -> None:
        told = self.told.setdefault(snapshot.id, Told(time.monotonic()))
        if told.states[-1:] != [snapshot.state]:
            told.states.append(snapshot.state)
        if snapshot.state is State.CLOSED and not told.closed_s:
            told.closed_by = snapshot.closed_by.id if snapshot.closed_by else ""
            told.closed_s = time.monotonic()

    def _bad(self, text: str) -> None:
        self._wrong.append(text)

    def _died(self, error: BaseException) -> None:
        self._wrong.append(repr(error))

    def ready(self) -> bool:
        """Return whether the hub runs and speaks; raises `StageError` when it does not run any more."""
        if self.part.ended() is not None or self._wrong:
            raise StageError(f"the hub of {self.unit} is gone: {self._wrong or self.part.said()[-300:]}")
        return self._linked

    def waits(self) -> bool:
        """Return whether an incident is open here, or a touch is on its way."""
        return self.touches > sum(bool(one.closed_s) for one in list(self.told.values()))

    def turn(self, now_s: float, *, more: bool) -> bool:
        """Touch "I need help" when it is time; return whether it did."""
        self.ready()
        if self.waits():
            self._next_s = None
        elif self._next_s is None:
            self._next_s = now_s + self._chance.uniform(*PAUSE_S)
        elif more and now_s >= self._next_s and self._leaf.send(Touch(action=TouchAction.HELP)):
            self.touches += 1
            return True
        return False

    def close(self) -> None:
        """End screen and hub."""
        self._leaf.close()
        self.part.stop()


def _config(folder: Path, broker: PrivateBroker, unit: str) -> Path:
    section = broker.section_for_unit(unit)
    path = folder / "kiosk.toml"
    path.write_text(
        f'[unit]\nstore = "{STORE}"\nid = "{unit}"\nplace = "{unit}"\naddress = "12 Quay Street, Leeds"\n'
        f'state_dir = "{folder}/state"\nrun_dir = "{folder}/run"\n\n'
        f'[broker]\nhost = "{section.host}"\nport = {section.port}\nca_file = "{section.ca_file}"\n'
        f'cert_file = "{section.cert_file}"\nkey_file = "{section.key_file}"\n'
    )
    path.chmod(0o600)
    return path


# --- the responder ----------------------------------------------------------------------------------------------------


def station_of(broker: PrivateBroker, who: Responder, wake: threading.Event, deaths: list[BaseException]) -> Station:
    """Return the real station of one of the staff; what kills its thread is put into `deaths`."""
    section = ResponderSection(store=STORE, id=who.person.id, name=who.person.name, tier=1)
    config = BoardConfig(responder=section, broker=broker.section_for_responder(who.person.id))
    return Station(config, "board", wake.set, deaths.append)


class Answerer:
    """Sam: has each alert on screen, comes, is there, closes it; and notes what the board showed."""

    def __init__(self, station: Station, chance: random.Random, deaths: list[BaseException]) -> None:
        self.station, self._deaths = station, deaths
        self.shown: set[str] = set()
        self.over: set[str] = set()
        self.again: set[str] = set()
        self.failed = 0
        self._chance = chance
        self._due: dict[tuple[str, State], float] = {}

    def turn(self, now_s: float) -> None:
        """Take what came, and answer what is due; raises what killed the station."""
        for death in self._deaths:
            raise death
        self.station.take_inbox(now_s)
        self.station.tick(now_s)
        self.station.listen(now_s, listening=True)
        opened = {one.snapshot.id: one.snapshot for one in self.station.model.open_incidents()}
        self.again |= opened.keys() & self.over
        self.over |= self.shown - opened.keys()
        self.shown |= opened.keys()
        for snapshot in opened.values():
            self._answer(snapshot, now_s)

    def _answer(self, snapshot: Snapshot, now_s: float) -> None:
        due_s = self._due.setdefault((snapshot.id, snapshot.state), now_s + self._chance.uniform(*HUMAN_S))
        delivery = self.station.answers.delivery(snapshot.id, now_s)
        if now_s < due_s or delivery in {Delivery.SENDING, Delivery.LATE}:
            return
        self.failed += delivery is Delivery.FAILED
        try:
            self.station.seen(snapshot.id, now_s)
            self.station.answer(_next_answer(snapshot), now_s)
        except AnswerRefused as refused:
            raise StageError(f"{snapshot.unit} {snapshot.state}: {refused}") from None


def _next_answer(snapshot: Snapshot) -> Ask:
    if snapshot.here is not None:
        return Ask(incident=snapshot.id, unit=snapshot.unit, kind="close", outcome=Outcome.TEST)
    if snapshot.coming:
        return Ask(incident=snapshot.id, unit=snapshot.unit, kind="here")
    return Ask(incident=snapshot.id, unit=snapshot.unit, kind="coming", eta_s=60)


# --- the broker's life ------------------------------------------------------------------------------------------------


class Killer:
    """Kills the broker by the plan, and starts it again."""

    def __init__(self, broker: PrivateBroker, kills: list[Kill]) -> None:
        self.done = 0
        self._broker, self._kills = broker, kills
        self._at_s: float | None = None
        self._back_s: float | None = None

    @property
    def finished(self) -> bool:
        """Whether every kill is done and the broker is back."""
        return self.done == len(self._kills) and self._back_s is None

    def turn(self, now_s: float, raised: int) -> None:
        """Kill or start the broker when it is time."""
        if self._back_s is not None:
            if now_s >= self._back_s:
                self._broker.start()
                self._back_s = None
        elif self.done < len(self._kills) and raised >= self._kills[self.done].raised:
            kill = self._kills[self.done]
            self._at_s = self._at_s if self._at_s is not None else now_s + kill.after_s
            if now_s >= self._at_s:
                self._broker.kill()
                self.done, self._at_s, self._back_s = self.done + 1, None, now_s + kill.down_s


# --- the whole --------------------------------------------------------------------------------------------------------


def measure(folder: Path) -> dict[str, Measure]:
    """Play it in `folder` and return how many incidents were lost and how many were shown as two."""
    chance = random.Random(SEED)  # noqa: S311 - played, not guarded
    logging.getLogger("stayby.board").setLevel(logging.ERROR)  # it says each loss of the broker
    Console().print(f"broker kills: seed {SEED}")
    with ExitStack() as stack:
        broker = PrivateBroker(folder / "broker", STORE, unit_ids(UNITS), [SAM.person.id, ALEX.person.id])
        _as_debian_ships_it(broker)
        stack.enter_context(broker)
        desks = [Desk(folder / unit, broker, unit, random.Random(chance.random())) for unit in broker.units]  # noqa: S311
        for desk in desks:
            stack.callback(desk.close)
        wake, deaths = threading.Event(), list[BaseException]()
        sam = Answerer(station_of(broker, SAM, wake, deaths), random.Random(chance.random()), deaths)  # noqa: S311
        stack.callback(sam.station.close)
        wait_for("the hubs", lambda: all(desk.ready() for desk in desks))
        killer = Killer(broker, plan(chance))
        took_s = _play(desks, sam, killer, wake)
        alex = station_of(broker, ALEX, wake, deaths)
        stack.callback(alex.close)
        return _figures(desks, sam, killer, _open_for_newcomer(alex), took_s)


def _as_debian_ships_it(broker: PrivateBroker) -> None:
    path = broker.folder / "mosquitto.conf"
    text = path.read_text()
    ours = "persistence false\n"
    if ours not in text:
        raise StageError(f"{path}: {ours.strip()!r} is not in it; this measurement needs to know what the broker keeps")
    path.write_text(text.replace(ours, DEBIAN.format(folder=broker.folder)))


def _play(desks: list[Desk], sam: Answerer, killer: Killer, wake: threading.Event) -> float:
    """Run until all is answered and closed, or the limit is reached; return how long it took."""
    started_s = now_s = time.monotonic()
    raised = 0
    with Progress(transient=True) as progress:
        bar = progress.add_task("broker kills", total=INCIDENTS)
        while now_s - started_s < LIMIT_S:
            for desk in desks:
                raised += desk.turn(now_s, more=raised < INCIDENTS)
            killer.turn(now_s, raised)
            sam.turn(now_s)
            progress.update(bar, completed=raised)
            if raised == INCIDENTS and killer.finished and not any(_still(desks, sam)):
                break
            wake.wait(LOOK_S)
            wake.clear()
            now_s = time.monotonic()
    return now_s - started_s


def _still(desks: list[Desk], sam: Answerer) -> Iterator[bool]:
    yield bool(sam.station.model.open_incidents())
    yield from (desk.waits() for desk in desks)


def _open_for_newcomer(station: Station) -> set[str]:
    """Return which alerts a board shows that was opened only now."""

    def heard() -> bool:
        station.take_inbox(time.monotonic())
        return len(station.model.desks()) == UNITS

    wait_for("a newcomer's board to know the desks", heard)
    return {one.snapshot.id for one in station.model.open_incidents()}


def _figures(desks: list[Desk], sam: Answerer, killer: Killer, left: set[str], took_s: float) -> dict[str, Measure]:
    touches = sum(desk.touches for desk in desks)
    told = {key: one for desk in desks for key, one in desk.told.items()}
    answered = [one for one in told.values() if _answered(one)]
    more = sum(max(0, len(desk.told) - desk.touches) for desk in desks)
    doubled = more + len(sam.shown - told.keys()) + len(sam.again | (left & sam.over))
    waits = sorted(one.closed_s - one.raised_s for one in answered)
    return {
        "broker_kill_incidents": Measure(
            touches, "incidents", killer.done, f"n kills -9, seed {SEED}; design: 500 and 50"
        ),
        "broker_kill_answered": Measure(
            len(answered), "incidents", touches, "answered, reached and closed by a person"
        ),
        "broker_kill_lost": Measure(touches - len(answered), "incidents", touches, "design: 0"),
        "broker_kill_doubled": Measure(
            doubled, "incidents", touches, "shown as two, or again after its end; design: 0"
        ),
        "broker_kill_given_up": Measure(sam.failed, "answers", touches, "answers that a person had to give again"),
        "broker_kill_close_p99_s": _p99_s(waits),
        "broker_kill_took_s": Measure(took_s, "s", 1, f"{UNITS} hubs at once"),
    }


def _answered(told: Told) -> bool:
    return bool(told.closed_s) and told.closed_by == SAM.person.id and State.ATTENDED in told.states


def _p99_s(waits: list[float]) -> Measure:
    if len(waits) < 2:  # noqa: PLR2004 - a percentile needs two
        return not_measured("s", "fewer than two incidents were closed")
    return Measure(percentile(waits, 0.99), "s", len(waits), "touch to closed, three answers")

"""Every unit of a store for whoever keeps them running: what is heard of each, and from it one view, the worst first.

Rules
- Pure: times are handed in. Monotonic seconds tell how old a beat is, the time of day how old a proof is.
- Lost is by its will or by its silence; a beat that does not change is silence. While the board is cut off, none is called lost.
- A unit stands in one place only: an open alert first, then what needs hands, then what needs a look, then what is well.
- Nothing of a silent call is here: these lists hang on walls and stand at desks. Nor is any name of staff or customers.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, NamedTuple

from kiosk.board.fault_words import FaultView, for_manager, technical, words_of
from kiosk.board.model import APART_S, Desk, Incident, Model
from kiosk.board.view import answered, clock
from kiosk.messages import Fault, Id, LinkHealth, Presence, Record, Snapshot, Status, UnitState

LOST_AFTER_S = 17.0
"""Three beats are missing. What looks every 3 s at the latest shows a lost unit within 20 s."""
TWIN_SHOWN_S = 600.0
RUNS_KEPT = 8
BEAT_LEAP = 60
"""A beat that ran ahead of the clock by this many seconds was another unit's."""
FOLD_FROM = 4
"""So many units with the same trouble are one line."""
FAULTS_SHOWN = 6
NEAR_MOST = 50
"""Among so many that do not report the one that was meant is looked for."""
SLOW_MS, DROPS_A_DAY, SLOW_BUTTON_MS, BAD_FRAMES = 1000, 6, 150.0, 20
"""From here on a link is weak; of the button the same limits as in `stayby doctor`."""
HOUR_S, DAY_S = 3600.0, 86400.0

AGES = ((DAY_S, "day"), (HOUR_S, "hour"), (60.0, "minute"))

Kind = Literal["alert", "hands", "look", "well"]
State = Literal["ready", "testing", "fault", "waiting", "lost", "never", "stranger"]
KINDS: tuple[Kind, ...] = ("alert", "hands", "look", "well")
TITLES: dict[Kind, str] = {
    "alert": "An alert is open",
    "hands": "Needs hands now",
    "look": "Needs a look soon",
    "well": "Well",
}
SOON = frozenset(
    {
        "opening-missed",
        "proof-missed",
        "walk-test",
        "mic-paused",
        "nobody-listening",
        "button-firmware",
        "button-hung",
        "button-power",
        "button-restarted",
        "ear-look_late",
        "ear-look_slow",
        "screen-picture_broken",
        "screen-code_small",
        "screen-backlight_denied",
        "screen-screen_state",
    }
)
"""Faults that leave the duty whole, or that a technician cannot mend; all others need hands."""


# --- what is heard ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heard:
    """What a unit's messages tell beside its last status.

    `live`: not only what the broker had kept was heard. `skew_s` is how far its clock is ahead of this one. `runs` are the last
    starts of its hub, the newest last; `twin_s` is when one that was over spoke again.
    """

    beat: int
    beat_s: float
    live: bool = False
    skew_s: float | None = None
    runs: tuple[str, ...] = ()
    twin_s: float | None = None


def hear(before: Heard | None, status: Status, now_s: float, utc: datetime, *, retained: bool) -> Heard:
    """Return what is known of a unit after one more status. A will is the broker's word: it tells of no clock and no beat."""
    heard = before or Heard(status.beat, now_s)
    if status.state is UnitState.LOST:
        return heard
    runs = tuple(one for one in heard.runs if one != status.run) + ((status.run,) if status.run else ())
    known = Heard(status.beat, now_s, heard.live or not retained, heard.skew_s, runs[-RUNS_KEPT:], heard.twin_s)
    if _is_twin(heard, status, now_s):
        known = replace(known, twin_s=now_s)
    if retained or status.at is None or status.at.tzinfo is None:
        return known
    return replace(known, skew_s=(status.at - utc).total_seconds())


def _is_twin(before: Heard, status: Status, now_s: float) -> bool:
    """Return whether another unit speaks with this one's name: a start that was over, or a beat that ran ahead of time."""
    if status.run:
        return status.run in before.runs[:-1]
    return before.live and not before.runs and status.beat - before.beat > now_s - before.beat_s + BEAT_LEAP


class Fleet:
    """What is heard of all units of a store; every method is one message."""

    def __init__(self) -> None:
        self.model = Model()
        self.heard: dict[Id, Heard] = {}
        self.since_s = float("-inf")
        """Since when this link hears."""

    def take_status(self, status: Status, now_s: float, utc: datetime, *, retained: bool) -> None:
        """Take a unit's status."""
        self.model.take_status(status, now_s)
        self.heard[status.unit] = hear(self.heard.get(status.unit), status, now_s, utc, retained=retained)

    def take_snapshot(self, snapshot: Snapshot, now_s: float, utc: datetime, *, retained: bool) -> None:
        """Take an incident's snapshot."""
        self.model.take_snapshot(snapshot, now_s=now_s, utc=utc, retained=retained)

    def take_presence(self, presence: Presence, now_s: float, *, retained: bool = False) -> None:
        """Take who listens: only how many is ever told."""
        self.model.take_presence(presence, now_s, retained=retained)

    def forget(self, unit: Id) -> None:
        """Drop a unit whose retained status was cleared."""
        self.model.forget_desk(unit)
        self.heard.pop(unit, None)

    def heard_again(self, now_s: float) -> None:
        """The broker is back after a break of ours: what was not heard meanwhile is no silence of theirs."""
        self.since_s = now_s
        self.model.heard_again(now_s)
        self.heard = {unit: replace(one, live=False) for unit, one in self.heard.items()}


# --- what is shown ----------------------------------------------------------------------------------------------------


class Trouble(Record):
    """One thing about a unit: in staff's words what it means and what to do, and the technician's own line behind it."""

    key: str
    what: str
    do: str
    more: tuple[str, ...] = ()
    hands: bool = True


class UnitRow(Record):
    """One unit. Words for people, and beside them the figures that they were made of (seconds, None: not known)."""

    unit: Id
    place: str
    kind: Kind
    state: State
    alert: str = ""
    troubles: tuple[Trouble, ...] = ()
    heard: str
    heard_s: float | None = None
    proven: str
    proven_bad: bool
    proven_unix_s: float | None = None
    self_proven: str = "never"
    self_proven_unix_s: float | None = None
    version: str = ""
    link: str
    link_bad: bool = False
    link_health: LinkHealth | None = None
    clock_s: float | None = None
    alerts: int | None = None
    faults: tuple[str, ...] = ()


class Bundle(Record):
    """Units with the same trouble; `what` and `do` where they are so many that they are one line."""

    what: str
    do: str
    rows: tuple[UnitRow, ...]


class Part(Record):
    """One of `KINDS` with its units."""

    kind: Kind
    title: str
    units: int
    bundles: tuple[Bundle, ...]


class FleetView(Record):
    """The whole. `down` is why the board hears nothing now ("": it hears); `notes` are about all of them."""

    store: str
    units: int
    headline: str
    down: str = ""
    notes: tuple[str, ...] = ()
    listening: int = 0
    parts: tuple[Part, ...] = ()

    def rows(self) -> Iterable[UnitRow]:
        """Yield every unit, the worst first."""
        return (row for part in self.parts for bundle in part.bundles for row in bundle.rows)


class Named(NamedTuple):
    """A unit of store.toml."""

    id: Id
    place: str


@dataclass(frozen=True)
class Facts:
    """What the view is made from beside the fleet: the store's own words, the clocks, and what the records know.

    `alerts` counts the last 7 days by unit (None: not known). `proven_s` names the units that the records know from earlier,
    and when each was proven last. `silent_after_s`: so long may a beat stay out.
    """

    store: str
    named: Sequence[Named]
    now_s: float
    unix_s: float
    proven_hours: float = 36.0
    alerts: Mapping[Id, int] | None = None
    proven_s: Mapping[Id, float | None] = field(default_factory=dict)
    down: str = ""
    silent_after_s: float = LOST_AFTER_S


def plain(text: str, most: int = 300) -> str:
    """Return what a unit wrote as it may stand in a line anywhere: no line ends, nothing that a terminal obeys."""
    return " ".join("".join(char if char.isprintable() else " " for char in text[:most]).split())


def age_words(seconds: float) -> str:
    """Return how long ago, as people say it; days count from the second on."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return "just now"
    size_s, name = next((size_s, name) for size_s, name in AGES if seconds >= size_s * (1 + (name == "day")))
    many = int(seconds / size_s)
    return f"{many} {name}{'s' * (many > 1)} ago"


def _unix_s(at: datetime | None) -> float | None:
    return at.timestamp() if at is not None and at.tzinfo is not None else None


def self_words(proven_s: float | None, unix_s: float) -> str:
    """Return when a unit last proved itself, without a human."""
    if proven_s is None:
        return "never"
    return age_words(unix_s - proven_s) if proven_s <= unix_s + APART_S else "its clock was wrong"


def heard_words(desk: Desk | None, heard: Heard | None, now_s: float) -> str:
    """Return when a unit was heard last, or lost: of what the broker had kept already, nobody here knows since when."""
    if desk is None:
        return "never"
    if desk.status.state is not UnitState.LOST:
        return age_words(now_s - desk.fresh_s)
    return f"lost {age_words(now_s - desk.fresh_s)}" if heard and heard.live else "lost earlier"


def span_words(seconds: float) -> str:
    """Return how much, as people say it: "90 seconds", "5 minutes", "3 hours", "12 days"."""
    for name, size_s in (("day", 2 * DAY_S), ("hour", 2 * HOUR_S), ("minute", 120.0)):
        if seconds >= size_s:
            return f"{int(2 * seconds / size_s)} {name}s"
    return f"{int(seconds)} seconds"


def version_key(version: str) -> tuple[int, ...]:
    """Return what orders versions; what is no number counts as 0."""
    return tuple(int(part[:9]) for part in re.findall(r"\d+", version)[:4]) or (0,)


def usual_version(versions: Iterable[str]) -> str:
    """Return the version that most run, the newest of several; "" where none is known."""
    counted = Counter(one for one in versions if one)
    return max(counted, key=lambda one: (counted[one], version_key(one)), default="")


class Sight:
    """One look at a fleet: what is the same for all units, and each of them as a row."""

    def __init__(self, fleet: Fleet, facts: Facts) -> None:
        self._fleet, self._facts = fleet, facts
        self._desks = {desk.status.unit: desk for desk in fleet.model.desks()}
        self._places = {one.id: one.place for one in facts.named}
        self._open = {one.snapshot.unit: one for one in fleet.model.open_incidents() if not one.snapshot.silent}
        self._usual = usual_version(desk.status.version for desk in self._desks.values())
        self._missing = [one.id for one in facts.named if one.id not in self._desks]
        self._own_clock_off = self._is_own_clock_off()

    def _is_own_clock_off(self) -> bool:
        """Return whether most units, three at least, tell another time than this machine: then it is this one's."""
        skews = [one.skew_s for one in self._fleet.heard.values() if one.skew_s is not None]
        ahead, behind = (sum(sign * skew > APART_S for skew in skews) for sign in (1, -1))
        return max(ahead, behind) > max(2, len(skews) / 2)

    # --- a unit -------------------------------------------------------------------------------------------------------

    def rows(self) -> list[UnitRow]:
        """Return each unit of store.toml, and each that speaks without standing there, the worst first."""
        units = [*self._places, *(unit for unit in self._desks if unit not in self._places)]
        return sorted(map(self._row, units), key=_order)

    def _row(self, unit: Id) -> UnitRow:
        state, troubles = self._state(unit), self._troubles(unit)
        desk, heard, facts = self._desks.get(unit), self._fleet.heard.get(unit), self._facts
        status = desk.status if desk else None
        proven_s, self_proven_s = self._proven_s(unit), _unix_s(status.self_proven if status else None)
        alert = alert_words(self._open.get(unit), facts.now_s)
        link = status.link if status else None
        bad_link = state not in GONE and any(one.key.startswith("link") for one in troubles)
        return UnitRow(
            unit=unit,
            place=self._places.get(unit) or (plain(status.place, 60) if status else "") or unit,
            kind=_kind(alert, troubles),
            state=state,
            alert=alert,
            troubles=troubles,
            heard=heard_words(desk, heard, facts.now_s),
            heard_s=max(0.0, facts.now_s - desk.fresh_s) if desk else None,
            proven=age_words(facts.unix_s - proven_s) if proven_s is not None else "never",
            proven_bad=self._is_stale(proven_s),
            proven_unix_s=proven_s,
            self_proven=self_words(self_proven_s, facts.unix_s),
            self_proven_unix_s=self_proven_s,
            version=plain(status.version, 20) if status else "",
            link="–" if state in GONE else link_words(link),
            link_bad=bad_link,
            link_health=link,
            clock_s=heard.skew_s if heard else None,
            alerts=None if facts.alerts is None else facts.alerts.get(unit, 0),
            faults=() if status is None or state in GONE else tuple(one.code for one in status.faults),
        )

    def _state(self, unit: Id) -> State:
        desk, facts = self._desks.get(unit), self._facts
        if desk is None and facts.now_s - self._fleet.since_s <= facts.silent_after_s:
            return "waiting"
        if desk is None:
            return "lost" if unit in facts.proven_s else "never"
        silent = not facts.down and facts.now_s - desk.fresh_s > facts.silent_after_s
        if silent or desk.status.state is UnitState.LOST:
            return "lost"
        if unit not in self._places and self._places:
            return "stranger"
        return "fault" if desk.status.faults else "testing" if desk.status.state is UnitState.TESTING else "ready"

    def _proven_s(self, unit: Id) -> float | None:
        desk = self._desks.get(unit)
        said = _unix_s(desk.status.last_proven if desk else None)
        return said if said is not None else self._facts.proven_s.get(unit)

    def _is_stale(self, proven_s: float | None) -> bool:
        """Return whether a proof is none, too old, or in a time to come, which only a broken clock tells of."""
        if proven_s is None:
            return True
        return not -APART_S <= self._facts.unix_s - proven_s <= self._facts.proven_hours * HOUR_S

    # --- its troubles -------------------------------------------------------------------------------------------------

    def _troubles(self, unit: Id) -> tuple[Trouble, ...]:
        """Return what is wrong with a unit, the worst first."""
        state = self._state(unit)
        desk, heard = self._desks.get(unit), self._fleet.heard.get(unit)
        found: list[Trouble] = []
        if heard is not None and heard.twin_s is not None and self._facts.now_s - heard.twin_s < TWIN_SHOWN_S:
            found.append(_trouble("twin", f"Two units say that they are {unit}.", TWIN_DO))
        if desk is None or state in GONE:
            return (*found, GONE.get(state, LOST))
        found += fault_troubles(desk.status.faults)
        found += self._of_place(unit, desk.status) + self._of_proof(unit) + self._of_version(desk.status)
        found += self._of_clock(heard) + link_troubles(desk.status.link)
        found += [TESTING] if state == "testing" else []
        return tuple(sorted(found, key=lambda one: not one.hands))

    def _of_place(self, unit: Id, status: Status) -> list[Trouble]:
        place = self._places.get(unit)
        if place is None and self._places:
            near = difflib.get_close_matches(unit, self._missing[:NEAR_MOST], n=1)
            maybe = f" Is it {near[0]}, which does not report?" if near else ""
            return [_trouble("stranger", f"{unit} is not in store.toml.{maybe}", STRANGER_DO, hands=False)]
        if place is None or place == status.place:
            return []
        says = f"It calls its desk “{plain(status.place, 60)}”; store.toml says “{place}”."
        return [_trouble("place", says, "Staff may run to the wrong desk: correct one of the two.", hands=False)]

    def _of_proof(self, unit: Id) -> list[Trouble]:
        proven_s = self._proven_s(unit)
        if not self._is_stale(proven_s):
            return []
        wanted = f"the store wants it every {self._facts.proven_hours:g} hours"
        if proven_s is None:
            says = f"Never proven; {wanted}."
        elif proven_s > self._facts.unix_s:
            says = "Proven in a time to come: its clock was wrong."
        else:
            says = f"Last proven {age_words(self._facts.unix_s - proven_s)}; {wanted}."
        return [_trouble("proof", says, "Do its opening press.", hands=False)]

    def _of_version(self, status: Status) -> list[Trouble]:
        if not status.version or version_key(status.version) >= version_key(self._usual):
            return []
        says = f"It runs version {plain(status.version, 20)}; most run {plain(self._usual, 20)}."
        return [_trouble("version", says, "Update it.", hands=False)]

    def _of_clock(self, heard: Heard | None) -> list[Trouble]:
        if heard is None or heard.skew_s is None or abs(heard.skew_s) <= APART_S or self._own_clock_off:
            return []
        way = "ahead" if heard.skew_s > 0 else "behind"
        return [_trouble("clock", f"Its clock is {span_words(abs(heard.skew_s))} {way}.", CLOCK_DO, hands=False)]

    # --- the whole ----------------------------------------------------------------------------------------------------

    def notes(self) -> tuple[str, ...]:
        """Return what is to be said of all of them."""
        found = []
        if self._facts.down:
            found.append(f"{DEAF} {self._facts.down}")
        if self._own_clock_off:
            found.append("Most units tell another time than this machine: look at this machine's clock.")
        if not self._places:
            found.append("store.toml names no [[unit]]: a unit that never reports cannot be missed.")
        return tuple(found)


DEAF = "Units are not heard now; what stands here is old."
TWIN_DO = "Find the second one. Give it an id and a certificate of its own."
STRANGER_DO = "Name it in store.toml, or see who put it there."
CLOCK_DO = "See that it reaches a time server. Until then its reports tell wrong times."
NETWORK_DO = "Look at its network: cable, switch, Wi-Fi."


def _trouble(key: str, what: str, do: str, *, hands: bool = True) -> Trouble:
    return Trouble(key=key, what=what, do=do, hands=hands)


NEVER = _trouble("never", "It has never reported.", "Install it, or take it out of store.toml.")
LOST = _trouble("lost", "It does not report.", "Look at its power and its network.")
WAITING = _trouble("waiting", "Not heard yet: listening has only begun.", "Wait a moment.", hands=False)
GONE: dict[State, Trouble] = {"never": NEVER, "lost": LOST, "waiting": WAITING}
TESTING = _trouble("testing", "Somebody tests it now.", "Nothing. The test ends by itself.", hands=False)


def fault_troubles(faults: Sequence[Fault]) -> list[Trouble]:
    """Return a unit's faults: those that mean the same for staff are one."""
    found: dict[tuple[str, str], Trouble] = {}
    for fault in faults:
        what, do = words_of(fault.code)
        words = for_manager(FaultView(what=what, do=do, more=(plain(technical(fault)),)))
        same = found.get((what, do))
        hands = fault.code not in SOON and not fault.code.startswith("screen-words_")
        found[what, do] = Trouble(
            key=f"fault {what}",
            what=words.what,
            do=words.do,
            more=(*(same.more if same else ()), *words.more),
            hands=hands or (same is not None and same.hands),
        )
    return list(found.values())[:FAULTS_SHOWN]


def link_troubles(link: LinkHealth | None) -> list[Trouble]:
    """Return what is wrong with how a unit is connected."""
    if link is None:
        return []
    found = []
    if link.drops >= DROPS_A_DAY:
        says = f"It lost the broker {link.drops} times in 24 hours."
        found.append(_trouble("link drops", says, NETWORK_DO, hands=False))
    if (link.broker_ms or 0) >= SLOW_MS:
        says = f"The broker answers it only after {(link.broker_ms or 0) / 1000:.1f} s."
        found.append(_trouble("link slow", says, NETWORK_DO, hands=False))
    if (link.button_bad or 0) >= BAD_FRAMES or (link.button_ms or 0.0) >= SLOW_BUTTON_MS:
        says = "The cable of its button is disturbed."
        found.append(_trouble("link button", says, "Run `stayby button` there and move the cable.", hands=False))
    return found


def link_words(link: LinkHealth | None) -> str:
    """Return a unit's connection in a word or two, with the figure that it rests on."""
    if link is None:
        return "not told"
    found = link_troubles(link)
    grade = "weak" if found else "good"
    return f"{grade}, {link.broker_ms} ms" if link.broker_ms is not None else grade


def alert_words(incident: Incident | None, now_s: float) -> str:
    """Return an open alert in a line without anybody's name."""
    if incident is None:
        return ""
    snapshot = incident.snapshot
    what = "A drill runs" if snapshot.drill else "Somebody is asked to come" if snapshot.request else "An alert is open"
    going = "Somebody is there." if snapshot.here else "Somebody goes." if answered(snapshot) else "Nobody goes yet."
    return f"{what}, {clock(incident.elapsed_s(now_s))}. {going}"


def _kind(alert: str, troubles: Sequence[Trouble]) -> Kind:
    if alert:
        return "alert"
    return "well" if not troubles else "hands" if any(one.hands for one in troubles) else "look"


_STATES: tuple[State, ...] = ("lost", "never", "waiting", "fault", "stranger", "testing", "ready")


def _order(row: UnitRow) -> tuple[object, ...]:
    """Return what sorts rows: kind, an alert that nobody answered, state, the same troubles together, then place."""
    goes = not row.alert.endswith("Nobody goes yet.")
    return (KINDS.index(row.kind), goes, _STATES.index(row.state), _same(row), row.place, row.unit)


def _same(row: UnitRow) -> tuple[str, ...]:
    """Return what units must have in common to be one line."""
    return (row.alert and row.unit, *(one.key for one in row.troubles))


def bundles(rows: Iterable[UnitRow]) -> tuple[Bundle, ...]:
    """Return rows in their order, with those in one that have the same trouble and are many."""
    together: dict[tuple[str, ...], list[UnitRow]] = {}
    for row in rows:
        together.setdefault(_same(row), []).append(row)
    found: list[Bundle] = []
    for same in together.values():
        if len(same) >= FOLD_FROM:
            first = same[0].troubles
            do = TOGETHER.get(first[0].key, first[0].do) if first else ""
            found.append(Bundle(what=_shared(same), do=do, rows=tuple(same)))
        else:
            found += [Bundle(what="", do="", rows=(row,)) for row in same]
    return tuple(found)


def _shared(rows: Sequence[UnitRow]) -> str:
    """Return in words what all of these have: each trouble as the first says it, where all say it alike."""
    if not rows[0].troubles:
        return "Nothing is wrong."
    said = []
    for number, one in enumerate(rows[0].troubles):
        alike = all(row.troubles[number].what == one.what for row in rows)
        said.append(one.what if alike else SHORT.get(one.key, one.what))
    return " ".join(said)


SHORT = {
    "twin": "Two units have one identity.",
    "stranger": "Not in store.toml.",
    "place": "Another name of the desk than in store.toml.",
    "proof": "Not proven lately.",
    "version": "An older version than most.",
    "clock": "The clock is wrong.",
    "link drops": "The link to the broker breaks often.",
    "link slow": "The broker answers late.",
}
"""What many have in common, where each says it with a figure of its own."""
TOGETHER = {"lost": "Look first at what they share: power, switch, Wi-Fi."}
"""What is done first where many have it."""


def make_view(fleet: Fleet, facts: Facts) -> FleetView:
    """Return the whole fleet as it is shown."""
    sight = Sight(fleet, facts)
    rows = sight.rows()
    of_kind = {kind: [row for row in rows if row.kind == kind] for kind in KINDS}
    parts = [
        Part(kind=kind, title=TITLES[kind], units=len(found), bundles=bundles(found))
        for kind, found in of_kind.items()
        if found
    ]
    return FleetView(
        store=facts.store,
        units=len(rows),
        headline=_headline({kind: len(found) for kind, found in of_kind.items()}, heard=not facts.down),
        down=facts.down,
        notes=sight.notes(),
        listening=len(fleet.model.listeners(facts.now_s)),
        parts=tuple(parts),
    )


def _headline(counts: Mapping[Kind, int], *, heard: bool) -> str:
    units = sum(counts.values())
    if not units:
        return "No unit is named in store.toml, and none has reported."
    said = [
        f"{counts['alert']} with an open alert" if counts["alert"] else "",
        f"{counts['hands']} need{'s' * (counts['hands'] == 1)} hands" if counts["hands"] else "",
        f"{counts['look']} need{'s' * (counts['look'] == 1)} a look" if counts["look"] else "",
        f"{counts['well']} well" if counts["well"] else "",
    ]
    tail = "" if heard else " (old: not heard now)"
    return f"{units} unit{'s' * (units != 1)}: {', '.join(one for one in said if one)}.{tail}"

"""What a technician sees of the button while wiggling its cable: readings gathered, judged, drawn for a small terminal.

Rules
- GOOD stands there only while everything that can be seen is good; else what is wrong and what to do, worst first.
- What cannot be seen is said: less than a millisecond, what was lost on the line, and all that a unit without meter leaves out.
- No line needs more than 60 columns, the whole no more than 24 rows: a phone shows it.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from kiosk.button_health import least, most
from kiosk.messages import ButtonHealth, LoopWord

WIDTH = 58
FINDINGS_SHOWN = 2
SCALE_V = 5.0
QUALITY_S = 10.0
BAD_FRAMES_MAX = 1
"""In QUALITY_S; one can happen to anybody's cable."""
MOMENT_S = 5.0
"""So long a break that was over at once stays on the screen."""


class Band(NamedTuple):
    """What the unit reads as `word`: from these volts (inclusive) to those."""

    word: LoopWord
    from_v: float
    to_v: float
    style: str


BANDS = (
    Band("short", 0.0, 0.5, "white on red"),
    Band("pressed", 0.75, 1.76, "black on cyan"),
    Band("normal", 2.0, 3.13, "black on green"),
    Band("cut", 4.4, SCALE_V, "white on red"),
)
"""As in firmware/board.h."""
_, PRESSED, NORMAL, _ = BANDS


class Finding(NamedTuple):
    """What is wrong, and what to do now."""

    says: str
    do: str


LOOP_FINDINGS: dict[LoopWord, Finding] = {
    "cut": Finding("a wire is off", "Check both terminals, then the cable."),
    "short": Finding("its two wires touch", "Look for a pinched cable or a stray strand."),
    "odd": Finding("its volts fit nothing", "Check the resistors. Dry the plug."),
    "pressed": Finding("somebody presses it", "Let it go. If nobody does, the contact sticks."),
}
LID = Finding("the lid is open", "Close it until the switch clicks.")
LINE = Finding("the data line is disturbed", "Try another USB cable, away from mains.")
BROKE = Finding("its wire broke off for a moment", "Bend it there again; mend that joint.")
TOUCHED = Finding("its wires touched for a moment", "Bend it there again; mend that spot.")
NO_METER = "No meter in this firmware, flash it: 0.2 s may go unseen."
NO_METER_NOW = "The meter does not run now: 0.2 s may go unseen."
KEPT = "No hub here: a press stays in the unit, its siren sounds."


@dataclass
class Watched:
    """One loop since the view was opened."""

    word: LoopWord = "unknown"
    volts: float | None = None
    low_v: float | None = None
    high_v: float | None = None
    faults: int = 0
    broke_s: float | None = None
    touched_s: float | None = None

    def take(self, word: LoopWord, volts: float | None) -> None:
        """Note one reading."""
        if word in {"cut", "short", "odd"} and word != self.word:
            self.faults += 1
        self.word, self.volts = word, volts
        self.low_v, self.high_v = least(self.low_v, volts), most(self.high_v, volts)

    def take_extremes(self, low_v: float | None, high_v: float | None, now_s: float) -> None:
        """Note what the meter has seen. No press, and no button that bounces, leads out of these bounds."""
        self.low_v, self.high_v = least(self.low_v, low_v), most(self.high_v, high_v)
        if low_v is not None and low_v < PRESSED.from_v:
            self.touched_s = now_s
        if high_v is not None and high_v >= NORMAL.to_v:
            self.broke_s = now_s


@dataclass
class Presses:
    """Presses of one button since the view was opened: the unit's own count begins again with each of its starts."""

    told: int | None = None
    seen: int = 0
    last_s: float | None = None

    def take(self, told: int, now_s: float) -> None:
        """Note the unit's count."""
        new = told - self.told if self.told is not None and told >= self.told else 0 if self.told is None else told
        if new:
            self.seen, self.last_s = self.seen + new, now_s
        self.told = told


@dataclass
class Watch:
    """All readings since the view was opened."""

    health: ButtonHealth
    button: Watched = field(default_factory=Watched)
    covert: Watched = field(default_factory=Watched)
    presses: Presses = field(default_factory=Presses)
    covert_presses: Presses = field(default_factory=Presses)
    now_s: float = 0.0
    unseen_s: float = 0.0
    """Of the time since the meter first ran: that of which no sample is known."""
    _frames: deque[tuple[float, int, int]] = field(default_factory=deque)

    def take(self, health: ButtonHealth, now_s: float) -> None:
        """Note a reading."""
        self.health, self.now_s = health, now_s
        self.unseen_s += health.unseen_s
        if health.up:
            self.button.take(health.loop, health.loop_volts)
            self.covert.take(health.covert_loop, health.covert_volts)
            self.button.take_extremes(health.loop_low_volts, health.loop_high_volts, now_s)
            self.covert.take_extremes(health.covert_low_volts, health.covert_high_volts, now_s)
            self.presses.take(health.presses, now_s)
            self.covert_presses.take(health.covert_presses, now_s)
        self._frames.append((now_s, health.frames, health.bad_frames))
        while now_s - self._frames[0][0] > QUALITY_S:
            self._frames.popleft()

    def lately(self) -> tuple[int, int]:
        """Return the good and the damaged frames of the last ten seconds."""
        (_, first, first_bad), (_, last, last_bad) = self._frames[0], self._frames[-1]
        return max(0, last - first), max(0, last_bad - first_bad)


def findings(watch: Watch) -> list[Finding]:
    """Return what is wrong now, worst first; nothing when the button can be relied on."""
    health = watch.health
    if not health.up:
        return [_finding(health.says) if health.says else Finding("nothing from the unit yet", "Wait a moment.")]
    found = _loop_findings("button", health.loop) + _loop_findings("covert button", health.covert_loop)
    found += _moments("button", watch.button, watch.now_s) + _moments("covert button", watch.covert, watch.now_s)
    found += [LID] * health.lid_open + [LINE] * (watch.lately()[1] > BAD_FRAMES_MAX)
    return found + ([_finding(health.says)] if health.says else [])


def _finding(line: str) -> Finding:
    """Return what the link says in one line, "what is wrong: what to do", as the two that it is."""
    says, _, do = line.partition(": ")
    return Finding(says, f"{do[:1].upper()}{do[1:]}")


def _loop_findings(which: str, word: LoopWord) -> list[Finding]:
    finding = LOOP_FINDINGS.get(word)
    return [Finding(f"{which}: {finding.says}", finding.do)] if finding else []


def _moments(which: str, loop: Watched, now_s: float) -> list[Finding]:
    """Return what was over before the unit called it a fault."""
    if loop.word in {"cut", "short", "odd"}:
        return []
    seen = ((loop.broke_s, BROKE), (loop.touched_s, TOUCHED))
    recent = [one for at_s, one in seen if at_s is not None and now_s - at_s < MOMENT_S]
    return [Finding(f"{which}: {one.says}", one.do) for one in recent]


def sight(watch: Watch) -> str:
    """Return what cannot be seen, in one line."""
    if watch.health.up and watch.health.meter == "running":
        return f"1000 readings a second, {_lost(watch.unseen_s)}; under 1 ms hides."
    return NO_METER if watch.health.meter == "missing" else NO_METER_NOW


def _lost(seconds: float) -> str:
    return f"{seconds:.1f} s lost" if seconds < 100 else f"{_ago(seconds)} lost"  # noqa: PLR2004 - as in _ago


# ---- drawn ----


def render(watch: Watch, where: str, *, direct: bool) -> RenderableType:
    """Return the whole view. `where` is the port and who reads it."""
    health = watch.health
    parts: list[RenderableType] = [Text.assemble((where, "bold"), " Ctrl-C ends."), _verdict(findings(watch))]
    parts += [_loop("Button", watch.button, up=health.up), _loop("Covert", watch.covert, up=health.up)]
    parts += [_row(name, text) for name, text in rows(watch)]
    parts.append(Text(sight(watch) + (f"\n{KEPT}" if direct else ""), "dim"))
    return Group(*parts)


def _verdict(found: list[Finding]) -> Panel:
    text = Text("NOT GOOD" if found else "GOOD", "bold")
    for one in found[:FINDINGS_SHOWN]:
        text.append(f"\n{_sentence(one.says)} ").append(one.do, "not bold")
    return Panel(text, style="white on dark_red" if found else "white on dark_green", width=WIDTH + 2)


def _sentence(says: str) -> str:
    return f"{says[:1].upper()}{says[1:]}."


def _row(name: str, text: str) -> Text:
    return Text.assemble((f"{name:<8}", "bold"), text.replace("\n", "\n" + " " * 8))


def _loop(name: str, loop: Watched, *, up: bool) -> Text:
    if loop.volts is None or loop.low_v is None or loop.high_v is None:
        return _row(name, "no reading yet" if not up else "this firmware does not tell")
    now = f"{loop.volts:.2f} V {loop.word}" if up else "no reading now"
    seen = f"seen {loop.low_v:.2f} to {loop.high_v:.2f} V, faults {loop.faults}"
    head = _row(name, f"{now:<16}")
    head.append(seen.rjust(WIDTH - len(head)), "dim")
    return Text("\n").join([head, _bar(), _needle(loop, up=up)])


def _cell(volts: float) -> int:
    return max(0, min(WIDTH - 1, int(volts / SCALE_V * WIDTH)))


def _bar() -> Text:
    bar = Text("." * WIDTH, "dim")
    for band in BANDS:
        first, last = _cell(band.from_v), _cell(band.to_v - 0.001)
        label = Text(band.word[: last - first + 1].center(last - first + 1), band.style)
        bar = bar[:first] + label + bar[last + 1 :]
    return bar


def _needle(loop: Watched, *, up: bool) -> Text:
    """Return the line below the bar: where the volts are now, and everywhere that they were."""
    assert loop.volts is not None  # noqa: S101 - narrows the type: _loop has looked
    assert loop.low_v is not None  # noqa: S101 - same
    assert loop.high_v is not None  # noqa: S101 - same
    line = [" "] * WIDTH
    for cell in range(_cell(loop.low_v), _cell(loop.high_v) + 1):
        line[cell] = "-"
    if up:
        line[_cell(loop.volts)] = "^"
    return Text("".join(line), "bold")


def rows(watch: Watch) -> list[tuple[str, str]]:
    """Return the rest of the view as names and texts."""
    health = watch.health
    return [
        ("Presses", f"{_presses(watch.presses, watch.now_s)}; covert {_presses(watch.covert_presses, watch.now_s)}"),
        ("Lid", "open" if health.lid_open else "closed" if health.up else "not known now"),
        ("Link", _link(watch)),
        ("Unit", _unit(health)),
    ]


def _presses(presses: Presses, now_s: float) -> str:
    if presses.last_s is None:
        return f"0 ({presses.told or 0} before)"
    return f"{presses.seen}, last {_ago(now_s - presses.last_s)} ago"


def _link(watch: Watch) -> str:
    health, (good, bad) = watch.health, watch.lately()
    quality = "down" if not health.up else "disturbed" if bad > BAD_FRAMES_MAX else "good"
    up_for = f" for {_ago(health.up_for_s)}" if health.up and health.up_for_s is not None else ""
    trip, worst = health.round_trip_ms, health.round_trip_worst_ms
    times = f"{trip:.0f} ms, worst {worst:.0f} ms" if trip is not None and worst is not None else "not measured yet"
    return (
        f"{quality}{up_for}; {QUALITY_S:.0f} s: {good} good, {bad} bad\n"
        f"all: {health.frames} frames, bad {health.bad_frames} here {health.unit_bad_frames} there\n"
        f"repeats {health.repeated_frames} there {health.own_repeats} here\n"
        f"round trip {times}"
    )


def _unit(health: ButtonHealth) -> str:
    if not health.firmware:
        return "has not said who it is"
    alarm = "; its alarm is on" if health.local_alarm else ""
    return f"firmware {health.firmware}, build {health.build}\nlast reset: {health.reset_cause}{alarm}"


def _ago(seconds: float) -> str:
    if seconds < 100:  # noqa: PLR2004 - what fits two digits
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004 - same


def one_line(watch: Watch) -> str:
    """Return a reading as one line, for what is no terminal."""
    found = findings(watch)
    good, bad = watch.lately()
    verdict = "GOOD" if not found else "NOT GOOD: " + " ".join(f"{_sentence(one.says)} {one.do}" for one in found)
    if not watch.health.up:
        return verdict
    loops = ", ".join(f"{name} {_plain(loop)}" for name, loop in (("button", watch.button), ("covert", watch.covert)))
    lid = "open" if watch.health.lid_open else "closed"
    presses = f"presses {watch.presses.seen}+{watch.covert_presses.seen}"
    return f"{verdict} | {loops}, lid {lid}, {presses}, frames {good}, bad {bad} | {sight(watch)}"


def _plain(loop: Watched) -> str:
    if loop.volts is None or loop.low_v is None or loop.high_v is None:
        return "no reading"
    return f"{loop.volts:.2f} V {loop.word} ({loop.low_v:.2f} to {loop.high_v:.2f})"

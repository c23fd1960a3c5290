"""The screen as a person meets it: how soon a touch is seen, how a pacer moves, what a quiet desk costs, how a crash ends.

Real `stayby ui` processes, rendered by Mesa without a GPU into memory, with a hub's end of the bus before them. A frame counts
when all its pixels are drawn; what a panel then takes to light them is not in it.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from rich.progress import track

from bench.hub import FACE, SAM, Hub, next_step, show, snapshot
from bench.measure import Measure, cpu_s, not_measured, percentile, rss_mb
from bench.reading import figures, passages, shown
from kiosk.demo.stage import Part, Stage, wait_for
from kiosk.guidance import CASES, Pace
from kiosk.messages import Choice, Going, Language, Severity, Show, State
from kiosk.scene import VIEW_SIGNS
from kiosk.texts import OWN_NAMES
from kiosk.ui.catalogues import load
from kiosk.ui.kept import NAME
from kiosk.ui.remote import RemoteError, ScreenRemote

ROOT = Path(__file__).parent.parent
STEADY_S = 1.0
AFTER_S = 0.1
"""When a finger lands, at the earliest: the screen is at rest again."""
PACED_S = 12.0
IDLE_S, BEFORE_IDLE_S = 20.0, 32.0
"""A quiet desk first reads its other languages, one each 5 s."""
STARTS = RESTARTS = 5
SYSTEMD_S = 0.5
"""What systemd waits before it starts a screen again (`RestartSec` of stayby-ui.service)."""
ONE_IN = 41
"""Of the gallery's pictures so many are looked at for contrast."""
PACERS = {Choice.OVERWHELMED: Pace.BREATHING, Choice.COLLAPSE: Pace.CPR}


@dataclass(frozen=True)
class Seen:
    """How soon a touch was seen, and the processor time of the screen in it, in seconds."""

    after_s: float
    worked_s: float


@dataclass
class Screen:
    """One unit's screen, and the hub before it."""

    stage: Stage
    hub: Hub
    remote: ScreenRemote
    language: Language = Language.ENGLISH
    number: int = 0

    @property
    def part(self) -> Part:
        """Its process."""
        return self.stage.parts["ui"]

    def faces(self, what: Show) -> None:
        """Show this as an incident of its own."""
        self.number += 1
        if what.incident is not None:
            told = {"id": f"i-{self.number}", "language": self.language}
            what = what.model_copy(update={"incident": what.incident.model_copy(update=told)})
        wait_for("the screen on the bus", lambda: self.hub.show(what))
        self.wait(lambda page: page["incident"] == (what.incident.id if what.incident else None), "the incident")

    def wait(self, wanted: Any, what: str) -> dict[str, Any]:
        """Return the page once it is `wanted` and no longer fades."""
        return self.remote.wait(lambda page: page["still"] and wanted(page), what)

    def say(self, key: str) -> str:
        """Return the text of a button, or what has no translation as it is."""
        if key in OWN_NAMES.values():
            return key
        signs, _, rest = key.rpartition(" ")
        said = load(self.language).say(rest, number=FACE.emergency_number) if rest != "Aa" else rest
        return f"{signs} {said}".strip()

    def touch(self, key: str) -> Seen:
        """Touch a button as soon as it is there, at any moment between two frames; return how soon that is seen."""
        text = self.say(key)
        page = self.wait(lambda page: text in page["buttons"], f"button {text!r}")
        wait_for("the end of the last touch", lambda: time.monotonic() > page["free_s"])
        x, y = page["middles"][page["buttons"].index(text)]
        after_s = AFTER_S + random.uniform(0, AFTER_S)  # noqa: S311 - fingers keep no time with frames
        return Seen(*self.remote.watch(x, y, after_s))


def measure(folder: Path) -> dict[str, Measure]:
    """Measure the screen in `folder`, its English, and its contrast."""
    return {**_screen(folder), **_text(), **_contrast()}


def _screen(folder: Path) -> dict[str, Measure]:
    with Stage(folder) as stage:
        stage.write_config()
        hub, remote = Hub(stage.run_dir), ScreenRemote(stage.screen_remote)
        try:
            screen = Screen(stage, hub, remote)
            first_s = [_first_frame_s(screen) for _ in track(range(STARTS), "starts of the screen")]
            seen = [*_quiet(screen), *_touches(screen)]
            memory_mb = rss_mb(screen.part.pid)
            paced = [_paced(screen, *pacer) for pacer in track(PACERS.items(), "pacers")]
            again = [_restart_s(screen) for _ in track(range(RESTARTS), "restarts of the screen")]
            idle = _idle_percent(screen)
        finally:
            hub.close()
    return {
        **_seen(seen),
        "ui_pacer_fps": _limit(min(fps for fps, _ in paced), "1/s", len(paced), "≥ 30; the slower pacer"),
        "ui_pacer_cpu_percent": _limit(max(cpu for _, cpu in paced), "%", len(paced), "≤ 40 of a core; the dearer one"),
        "ui_idle_cpu_percent": _limit(idle, "%", round(IDLE_S), "≤ 2 of a core"),
        "ui_rss_mb": _limit(memory_mb, "MiB", 1, "≤ 180, once every language and page was shown"),
        "ui_first_frame_s": Measure(max(first_s), "s", len(first_s), f"the slowest; {_load()}"),
        "ui_restart_to_state_s": _limit(
            max(again)[0], "s", len(again), f"< 3; the slowest, {SYSTEMD_S:g} s of it are systemd’s"
        ),
        "ui_restart_cpu_s": Measure(max(cpu for _, cpu in again), "s", len(again), "the screen’s own work in it"),
    }


def _seen(seen: list[Seen]) -> dict[str, Measure]:
    after_ms, worked_ms = ([1000 * second for second in row] for row in zip(*map(astuple, seen), strict=True))
    return {
        "ui_touch_to_visible_p50_ms": Measure(percentile(after_ms, 0.5), "ms", len(seen), _load()),
        "ui_touch_to_visible_p99_ms": _limit(percentile(after_ms, 0.99), "ms", len(seen), "≤ 100"),
        "ui_touch_to_visible_cpu_p99_ms": Measure(
            percentile(worked_ms, 0.99), "ms", len(seen), "the screen’s own work in it; the rest is waiting"
        ),
    }


def _limit(value: float, unit: str, n: int, design: str) -> Measure:
    return Measure(value, unit, n, f"design: {design}; {_load()}")


def _load() -> str:
    """Return how busy the machine is: the screen shares it with whatever else runs."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


# --- starts -----------------------------------------------------------------------------------------------------------


def _first_frame_s(screen: Screen) -> float:
    """Start the screen, after ending the one that runs; return the seconds to its first frame."""
    if "ui" in screen.stage.parts:
        screen.part.stop()
        screen.stage.screen_remote.unlink(missing_ok=True)
    began_s = time.monotonic()
    if "ui" in screen.stage.parts:
        screen.part.start()
    else:
        screen.stage.start_screen()
    wait_for("the first frame", lambda: _frames(screen.remote))
    return time.monotonic() - began_s


def _frames(remote: ScreenRemote) -> int:
    try:
        return remote.frames()[0]
    except RemoteError:
        return 0  # it has not come that far


def _restart_s(screen: Screen) -> tuple[float, float]:
    """Kill the screen on the second step of a case in Arabic; return the seconds until the same page stands there again.

    The second figure is the processor time in it.
    """
    _speak(screen, Language.ARABIC)
    screen.faces(show(snapshot(seen=(SAM,), choice=Choice.CHEST_PAIN)))
    screen.touch("b_next")
    before = screen.wait(lambda page: page["step"] == 1, "the second step")
    screen.part.kill()
    killed_s = time.monotonic()
    time.sleep(SYSTEMD_S)
    screen.part.start()
    same = ("kind", "incident", "step", "choice", "look", "buttons")
    screen.wait(lambda page: all(page[one] == before[one] for one in same), "the same page")
    return time.monotonic() - killed_s, cpu_s(screen.part.pid)


# --- touches ----------------------------------------------------------------------------------------------------------


def _quiet(screen: Screen) -> Iterator[Seen]:
    """Touch what can be touched at a quiet desk, each language first."""
    screen.faces(show())
    for language in (*list(Language)[1:], Language.ENGLISH):
        yield screen.touch(OWN_NAMES[language])
        screen.language = language
    for key in ("listening", "b_back", "b_call", "b_code", "b_card", "b_back", "b_person"):
        yield screen.touch(key)


def _touches(screen: Screen) -> Iterator[Seen]:
    """Touch through every kind of page in every language, and through every step of every case in one or another of them."""
    for number, language in enumerate(track(Language, "touches in each language", total=len(Language))):
        _speak(screen, language)
        for facts, keys in _journey():
            screen.faces(facts)
            for key in keys:
                yield screen.touch(key)
        for choice in [one for one in CASES if one is not Choice.PERSON][number :: len(Language)]:
            screen.faces(show(snapshot(seen=(SAM,), choice=choice)))
            for _ in CASES[choice].shown_in(FACE.country)[1:]:
                yield screen.touch("b_next")


def _speak(screen: Screen, language: Language) -> None:
    """Choose a language as a person does, on the page for it."""
    screen.faces(show(snapshot(seen=(SAM,))))
    for text in (screen.say(f"{VIEW_SIGNS} b_view"), OWN_NAMES[language]):
        screen.wait(lambda page, text=text: text in page["buttons"], f"button {text!r}")
        screen.remote.tap(text)
    screen.language = language
    screen.remote.tap(screen.say("b_back"))


def _journey() -> Iterator[tuple[Show, tuple[str, ...]]]:
    """Yield what is so, and what is touched then."""
    coming: dict[str, Any] = {"coming": (Going(responder=SAM, eta_s=64),), "seen": (SAM,)}
    person: dict[str, Any] = {"choice": Choice.PERSON, "severity": Severity.CHECK}
    view = f"{VIEW_SIGNS} b_view"
    asks = next_step("ask_next_tier")
    yield show(snapshot(seen=(SAM,), **person)), ("b_steps", "b_next", "b_next", "b_back")
    yield (
        show(snapshot(seen=(SAM,), next=asks)),
        ("someone_hurt.tile", "seizure.tile", "b_next", "b_other", "chest_or_breathing.tile", "b_unsure", "b_next"),
    )
    yield show(snapshot(State.COMING, **coming)), ("b_name", "b_space", "b_leave", view, "b_dark", "b_light", "b_back")
    yield show(snapshot(State.COMING, **coming)), ("b_call", "b_code", "b_card", "b_back", "something_else.tile")
    yield show(snapshot(State.COMING, check_in_open=True, **coming)), ("b_later",)
    yield show(snapshot(State.ATTENDED, here=SAM)), ()


# --- what it costs ----------------------------------------------------------------------------------------------------


def _paced(screen: Screen, choice: Choice, pace: Pace) -> tuple[float, float]:
    """Return the frames a second of a page that moves, and what it takes of a core in percent, its sound included."""
    screen.faces(show(snapshot(State.COMING, coming=(Going(responder=SAM, eta_s=64),), choice=choice)))
    while screen.remote.page()["pace"] != pace:
        screen.touch("b_next")
    time.sleep(STEADY_S)
    (frames, from_s), cpu_from_s = screen.remote.frames(), _family_cpu_s(screen.part.pid)
    time.sleep(PACED_S)
    (more, to_s), cpu_to_s = screen.remote.frames(), _family_cpu_s(screen.part.pid)
    return (more - frames) / (to_s - from_s), 100 * (cpu_to_s - cpu_from_s) / (to_s - from_s)


def _family_cpu_s(pid: int) -> float:
    """Return the processor time of a process and of the children it has now."""
    children = {child for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()}
    return cpu_s(pid) + sum(cpu_s(int(child)) for child in children)


def _idle_percent(screen: Screen) -> float:
    """Return what a desk where nothing is open takes of a core, in percent."""
    screen.part.stop()
    for kept in screen.stage.run_dir.rglob(NAME):
        kept.unlink()
    screen.hub.show(show())
    screen.part.start()
    screen.wait(lambda page: page["kind"] == "idle", "a quiet desk")
    time.sleep(BEFORE_IDLE_S)
    before_s, from_s = cpu_s(screen.part.pid), time.monotonic()
    time.sleep(IDLE_S)
    return 100 * (cpu_s(screen.part.pid) - before_s) / (time.monotonic() - from_s)


# --- what can be read -------------------------------------------------------------------------------------------------


def _text() -> dict[str, Measure]:
    found = figures()
    hardest = tuple(f"{one['grade']:.1f}  {one['key']}: {one['text']}" for one in found["text_hardest"])
    return {
        "text_grade_max": Measure(
            found["text_grade_max"], "grade", len(list(passages())), "design: ≤ 4; the hardest below", hardest
        ),
        "text_words_per_line_max": Measure(
            found["text_words_per_line_max"], "words", len(list(shown())), "design: ≤ 12, English"
        ),
    }


def _contrast() -> dict[str, Measure]:
    """Return the faintest text of one in so many pictures of the gallery, judged by their pixels."""
    with tempfile.TemporaryDirectory(prefix="stayby-gallery-") as out:
        command = [sys.executable, "-m", "tests.gallery", "--out", out, "--one-in", str(ONE_IN)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        figures_file = Path(out) / "figures.json"
        if not figures_file.exists():
            why = f"the gallery was not drawn: {(done.stderr.splitlines() or ['it said nothing'])[-1]}"
            return {"contrast_min": not_measured(":1", why)}
        found = json.loads(figures_file.read_text(encoding="utf-8"))
    return {"contrast_min": Measure(found["contrast_min"], ":1", found["pictures"], "design: ≥ 7; n pictures")}

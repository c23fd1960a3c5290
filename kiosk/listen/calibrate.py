"""Listens to a room with the ear's own capture and loop, says what that means, and keeps what the technician accepts.

No sound is kept: one level and one score for each 80 ms, until it ends. Nothing changes before the technician says yes.
"""

import itertools
import queue
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kiosk.config import ListenSection
from kiosk.detection import Candidate, Decider, Heard, Manifest
from kiosk.listen.calibration import calibrated, now_calibrated, save
from kiosk.listen.capture import Capture, Captured
from kiosk.listen.chosen import load_chosen
from kiosk.listen.features import HOP_S
from kiosk.listen.level import SILENT_DBFS, Meter
from kiosk.listen.looker import WorkerLooker, looker_for
from kiosk.listen.loop import Answer, Looker, Loop
from kiosk.listen.model import PhraseModel
from kiosk.listen.ring import Ring, refuse_dumps
from kiosk.listen.room import (
    OFFSETS,
    Room,
    Tried,
    in_words,
    measured,
    proposal,
    propose,
    speech_level,
    times,
    week_words,
)

READ_S = 0.2
TAKEN_LIMIT = 1000
NO_SOUND_S = 3.0
READ_ALOUD_S = 8.0
SENTENCE = (
    "“The shop opens at nine in the morning. On Sundays it is closed, and the bakery next door sells its own bread.”"
)
DRAW_EVERY = 2
BAR_DBFS, BAR_WIDTH = -80.0, 40


class CalibrateError(RuntimeError):
    """Why the room could not be listened to; its text is one line: what, where, what to do."""


@dataclass(frozen=True)
class Wanted:
    """What the technician asked for: `offset` if None is the proposed one, `accept` if None is asked about."""

    seconds: float
    offset: float | None = None
    accept: bool | None = None
    read_aloud: bool = False


class Trials:
    """One decider for each offset, beside the ear's own, on the same scores and the same second looks."""

    def __init__(self, manifest: Manifest, covert_phrase: str | None) -> None:
        self._deciders = [Decider(calibrated(manifest, offset), covert_phrase=covert_phrase) for offset in OFFSETS]
        self._looked, self._checked = [0] * len(OFFSETS), [0] * len(OFFSETS)
        self.taken: list[tuple[str, float]] = []

    @property
    def tried(self) -> tuple[Tried, ...]:
        """What each offset has come to so far."""
        return tuple(Tried(*one) for one in zip(OFFSETS, self._looked, self._checked, strict=True))

    def reset(self) -> None:
        """Sound was lost: begin anew, with what was counted so far."""
        for decider in self._deciders:
            decider.reset()

    def hear(self, t_s: float, scores: Sequence[float], answers: Sequence[Answer], *, looking: bool) -> None:
        """Take one hop: its scores, whether candidates get a second look now, and what came back of earlier ones."""
        for index, decider in enumerate(self._deciders):
            decider.second_look = looking
            candidate = decider.hear(t_s, scores)
            self._looked[index] += candidate is not None
            if candidate is not None and not looking:
                self._count(index, decider.judge(candidate, None))
            for answer in answers:
                self._count(index, decider.judge(answer.candidate, answer.verdict))

    def _count(self, index: int, heard: Heard | None) -> None:
        self._checked[index] += heard is not None
        if heard is not None and OFFSETS[index] == 0 and len(self.taken) < TAKEN_LIMIT:
            self.taken.append((heard.phrase, heard.score))


class Overheard:
    """A looker that remembers what it answered last."""

    def __init__(self, looker: Looker) -> None:
        self._looker = looker
        self.last: list[Answer] = []

    @property
    def ready(self) -> bool:
        """Whether candidates can be given to it now."""
        return self._looker.ready

    def ask(self, candidate: Candidate, position: int) -> None:
        """Look at the sound of the ring that ends at `position`; never waits."""
        self._looker.ask(candidate, position)

    def forget(self) -> None:
        """Drop what was asked: the sound stream begins anew."""
        self._looker.forget()

    def answers(self) -> list[Answer]:
        """What came back, or came too late, since the last call."""
        self.last = self._looker.answers()
        return self.last


@dataclass
class Listening:
    """What has been measured so far; it is drawn while it grows."""

    trials: Trials
    wanted_s: float
    levels_dbfs: list[float]

    @property
    def heard_s(self) -> float:
        """Seconds of sound."""
        return len(self.levels_dbfs) * HOP_S

    def room(self) -> Room:
        """Return the room as it was."""
        return measured(self.heard_s, self.levels_dbfs, self.trials.tried, self.trials.taken)

    def __rich__(self) -> Text:
        """Return how it goes: the time, the level now as a bar, the noise, what the ear did."""
        if not self.levels_dbfs:
            return Text("Waiting for the microphone …")
        now, room = self.levels_dbfs[-1], self.room()
        filled = round(max(0.0, min(1.0, 1 - now / BAR_DBFS)) * BAR_WIDTH)
        shipped = room.at(0.0)
        return Text(
            f"Listening to the room: {self.heard_s:.0f} of {self.wanted_s:.0f} s\n"
            f"level {'█' * filled}{'░' * (BAR_WIDTH - filled)} {now:6.0f} dB\n"
            f"noise {room.noise_dbfs:.0f} dB, loudest {room.loudest_dbfs:.0f} dB · looked closer {times(shipped.looked)},"
            f" taken for a call {times(shipped.checked)}"
        )


def listen_to_room(
    config: ListenSection,
    model: PhraseModel,
    wanted: Wanted,
    console: Console,
    env: Mapping[str, str] | None = None,
) -> Room:
    """Listen as `wanted` and return the room; CalibrateError when the microphone gives nothing that could be measured.

    `env` is added to arecord's environment (a virtual microphone).
    """
    deaths: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    with ExitStack() as opened:
        ring = Ring.create()
        opened.callback(ring.close)
        capture = Capture(config.device, ring, deaths.put, env)
        opened.callback(capture.close)
        chunks = _chunks(config, capture, deaths)
        looker = looker_for(config, model, ring)
        if looker is not None:
            opened.callback(looker.close)
            _await(looker, chunks, console)
        room = _measure(config, Ear(model, looker), wanted.seconds, chunks, console)
        if wanted.read_aloud:
            room = _read_aloud(room, chunks, console)
    if model.manifest.second_look is not None and (looker is None or looker.fault is not None):
        why = f" ({looker.fault.says})" if looker is not None and looker.fault is not None else ""
        console.print(f"Without a second look{why}: only what the first stage is very sure of counts.", highlight=False)
    return room


def _await(looker: WorkerLooker, chunks: Iterator[Captured], console: Console) -> None:
    """Wait until the second look is there, or is known not to come; it bounds that itself."""
    console.print("Starting the second look …")
    for _ in chunks:
        looker.turn()
        if looker.ready or looker.fault is not None:
            return


class Ear:
    """The ear's own loop, with the trials beside it."""

    def __init__(self, model: PhraseModel, looker: Looker | None) -> None:
        self.trials = Trials(model.manifest, model.covert_phrase)
        self._looker = Overheard(looker) if looker is not None else None
        self._loop = Loop(model, self._looker)

    def hear(self, captured: Captured) -> None:
        """Take one chunk."""
        if captured.fresh:
            self._loop.reset()
            self.trials.reset()
        looking = self._looker is not None and self._looker.ready
        self._loop.step(captured.sound, captured.position)
        answers = self._looker.last if self._looker is not None else []
        self.trials.hear(self._loop.audio_s, self._loop.scores, answers, looking=looking)


def _measure(config: ListenSection, ear: Ear, seconds: float, chunks: Iterator[Captured], console: Console) -> Room:
    meter, listening = Meter(), Listening(ear.trials, seconds, [])
    with Live(listening, console=console, auto_refresh=False) as live:
        for captured in chunks:
            ear.hear(captured)
            meter.take(captured.sound)
            listening.levels_dbfs.append(meter.level_dbfs)
            if len(listening.levels_dbfs) % DRAW_EVERY == 0:
                live.refresh()
            if listening.heard_s >= seconds:
                break
    _check_sound(config, meter, listening)
    return listening.room()


def _read_aloud(room: Room, chunks: Iterator[Captured], console: Console) -> Room:
    """Let the technician read a sentence, and return the room with how loud speech arrives here."""
    console.print(
        f"Now read this aloud from 1 m, as you talk to a customer, until I go on: {SENTENCE}", highlight=False
    )
    meter, levels_dbfs = Meter(), []
    for captured in itertools.islice(chunks, int(READ_ALOUD_S / HOP_S)):
        meter.take(captured.sound)
        levels_dbfs.append(meter.level_dbfs)
    heard = speech_level(levels_dbfs, room)
    if heard is None:
        console.print("I did not hear you above the room: what speech is like here stays an assumption.")
    return replace(room, speech_dbfs=heard)


def _chunks(config: ListenSection, capture: Capture, deaths: "queue.SimpleQueue[BaseException]") -> Iterator[Captured]:
    heard_s = time.monotonic()
    while True:
        if not deaths.empty():
            raise deaths.get()
        captured = capture.read(READ_S)
        if captured is not None:
            heard_s = time.monotonic()
            yield captured
        elif time.monotonic() - heard_s > NO_SOUND_S:
            raise CalibrateError(_no_sound(config, capture))


def _no_sound(config: ListenSection, capture: Capture) -> str:
    fault = capture.fault
    says = fault.says if fault is not None else "the microphone gives no sound"
    do = fault.do if fault is not None else "check its cable"
    if "busy" in says.lower():
        do = "another program holds it, the ear itself perhaps: systemctl stop stayby-listen, calibrate, then start it again"
    return f"microphone {config.device}: {says}; {do}"


def _check_sound(config: ListenSection, meter: Meter, listening: Listening) -> None:
    """Refuse what says nothing of the room: a muted, stuck or overdriven microphone."""
    fault = meter.fault
    if fault is not None:
        raise CalibrateError(f"microphone {config.device}: {fault.says}; {fault.do}, then calibrate again")
    if max(listening.levels_dbfs) <= SILENT_DBFS:
        raise CalibrateError(f"microphone {config.device}: it gives no sound at all; unmute it, then calibrate again")


# --- the technician ---------------------------------------------------------------------------------------------------


def calibrate(
    config: ListenSection, path: Path, wanted: Wanted, console: Console, env: Mapping[str, str] | None = None
) -> bool:
    """Listen, explain, and write `path` if that is accepted; return whether it was.

    CalibrateError, ModelError or FrontEndError says why there is nothing to accept; OSError that it cannot be written.
    """
    refuse_dumps()
    model, wrong = load_chosen(config)
    if wrong is not None:
        console.print(f"{wrong.where}: {wrong.says}; {wrong.do}", soft_wrap=True)
    console.print("Let the store do what it does. Say none of the phrases.")
    room = listen_to_room(config, model, wanted, console, env)
    explain(room, model.manifest, config.hours, console)
    offset = propose(room) if wanted.offset is None else wanted.offset
    if not _accepted(wanted, offset, console):
        console.print("Nothing was changed.")
        return False
    save(path, now_calibrated(offset, room.noise_dbfs, model.manifest.sha256))
    says = f"Written to {path}: offset {_signed(offset)}. The ear uses it within 10 seconds."
    console.print(says, soft_wrap=True, highlight=False)
    return True


def explain(room: Room, manifest: Manifest, hours: str | None, console: Console) -> None:
    """Print what was measured, what each offset would have done, and what is proposed."""
    for line in in_words(room, manifest, hours):
        console.print(line, highlight=False)
    table = Table(title="On every threshold", title_justify="left")
    for column in ("offset", "looked closer", "taken for a call", "the model's own false checks a week"):
        table.add_column(column, justify="right")
    for one in room.tried:
        mark = " ←" if one.offset == propose(room) else ""
        week = week_words(manifest, hours, one.offset)
        table.add_row(f"{_signed(one.offset)}{mark}", str(one.looked), str(one.checked), week)
    console.print(table)
    console.print("0 is as shipped. A higher offset hears fewer real calls too; a lower one takes more for a call.")
    console.print(proposal(room), highlight=False)


def _signed(offset: float) -> str:
    return f"{offset:+g}" if offset else "0"


def _accepted(wanted: Wanted, offset: float, console: Console) -> bool:
    if wanted.accept is not None:
        return wanted.accept
    return console.input(f"Use offset {_signed(offset)} from now on? (y/n) ").strip().lower() in {"y", "yes"}

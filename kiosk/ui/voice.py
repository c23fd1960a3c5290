"""Reads prompts aloud and gives the beat of CPR: `opusdec` decodes a recording, `aplay` plays what one thread feeds it.

Rules
- Nothing here makes the screen wait: `say`, `beat` and `step` only note what is wanted, and the thread does the rest.
- The newest wins: what is being said stops, within the 0.2 s of sound that are on their way to the speaker.
- No prompt begins before `step` has sent its `Speaking`, so that the ear is deaf by then; its true end follows. The ear is never
  deaf for more than 20 s in a row, nor for more than 45 of 60 s: what would be longer waits, or the ear would take our voice for
  a stranger's.
- The sound of the daily proof is the one that the ear shall hear: the hub is told by `ProofSound`, which deafens nobody. It is
  played once, and ends with the first thing that is said, or that anybody wants.
- The beat makes nobody deaf: it goes on for minutes, and the ear does not take a click for a call.
- The children hang on our pipes, and end when we end. What fails is one fault, is tried again, and is over when it works.
"""

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kiosk.allowance import Allowance
from kiosk.messages import Fault, Language, PlayProof, ProofSound, Speaking
from kiosk.ui.beat import click, with_beat
from kiosk.ui.speaker import BYTES, RATE_HZ, Broken, Stream, decoded

PROMPTS = Path(__file__).parent.parent / "prompts"
BLOCK_BYTES = round(0.04 * RATE_HZ) * BYTES
AHEAD_S = 0.5
"""A device that takes sound faster than it can play it is fed no further ahead than this."""
GAP_S = 0.5
"""Between two prompts."""
GENEROUS_S = 1.5
LATE_S = 1.0
OUT_OF_STEP_S = 0.05
STOP_S = 5.0
ROW_S, ROW_PAUSE_S, ECHO_S = 20.0, 1.2, 0.3
"""What the ear believes of a row of prompts (`kiosk.listen.own_voice`), and how long we pause between two rows."""
MOST_S = 40.0
"""Of any 60 s: less than the 45 that the ear believes, since it hears of an end a moment late, and counts the room's echo."""
RETRY_S, PROBE_S, PROBE_BROKEN_S = 1.0, 60.0, 10.0
TOLD = 8
PROOF = "say_voice"
"""The recording that is decoded to see whether this can be done at all."""
DAILY = "proof.opus"
"""The sound of the daily proof (`models.proof_sound`)."""

Told = Speaking | ProofSound


def gain_db(volume_percent: int) -> float:
    """Return how much quieter than full a volume is: 50 % sounds about half as loud (-12 dB). 0 % is not for this."""
    return 40 * math.log10(volume_percent / 100)


class Row:
    """The prompts that follow each other without a pause, as the ear counts them."""

    def __init__(self) -> None:
        self._began_s = self._ended_s = self._prompt_s = -math.inf
        self._allowance = Allowance(MOST_S)

    def wait_s(self, now_s: float, length_s: float) -> float:
        """Return how long a prompt has to wait so that the ear is deaf for the whole of it."""
        over_s = self._ended_s + ROW_PAUSE_S - now_s
        fits = now_s + length_s + ECHO_S <= self._began_s + ROW_S
        pause_s = 0.0 if over_s <= 0 or fits else over_s
        return max(pause_s, self._allowance.wait_s(now_s, length_s + ECHO_S))

    def begins(self, now_s: float) -> None:
        """Note that a prompt begins."""
        if now_s > self._ended_s + 1.0:
            self._began_s = now_s
        self._ended_s = self._prompt_s = now_s

    def ends(self, end_s: float) -> None:
        """Note its end."""
        self._ended_s = end_s
        self._allowance.use(self._prompt_s, end_s + ECHO_S)


@dataclass(frozen=True)
class Wanted:
    """What is to be heard from now on: recordings one after another, and the beat if it has clicks.

    A new `turn` stops what is being said.
    """

    turn: int = 0
    files: tuple[Path, ...] = ()
    gain_db: float = 0.0
    click: tuple[int, ...] | None = None
    proof: PlayProof | None = None
    """Set where `files` is the sound of the daily proof."""


@dataclass
class Prompt:
    """One that is being said, or about to be: `told` is what the hub was or will be told."""

    sound: bytes
    told: Told
    at: int = 0


class Voice:
    """The speaker; `send` is called by `step` alone. Without a volume (0 %) nothing is played and nobody told."""

    def __init__(
        self,
        device: str,
        send: Callable[[Told], bool],
        prompts: Path = PROMPTS,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._send, self._prompts = send, prompts
        self._beat_volume = 0
        self._player = Player(
            device, prompts / Language.ENGLISH / f"{PROOF}.opus", {**os.environ, **(env or {}), "LC_ALL": "C"}
        )

    @property
    def beat_began_s(self) -> float | None:
        """When the first click of the beat sounds; None while there is no beat."""
        return self._player.beat_began_s

    def say(self, keys: Sequence[str], language: Language, volume_percent: int, now_s: float) -> None:
        """Read these prompts aloud, one after another, instead of what is being said; none: be quiet."""
        wanted = self._player.wanted
        loud = volume_percent > 0
        files = tuple(self._prompts / language / f"{key}.opus" for key in keys) if loud else ()
        gain = gain_db(volume_percent) if loud else 0.0
        self._player.want(replace(wanted, turn=wanted.turn + 1, files=files, gain_db=gain, proof=None))
        self.step(now_s)

    def prove(self, order: PlayProof, volume_percent: int, now_s: float) -> None:
        """Play the sound of the daily proof, now."""
        wanted = self._player.wanted
        gain = gain_db(volume_percent) + order.gain_db
        files = (self._prompts / DAILY,)
        self._player.want(replace(wanted, turn=wanted.turn + 1, files=files, gain_db=gain, proof=order))
        self.step(now_s)

    def end_proof(self, now_s: float) -> None:
        """End the sound of the daily proof, if it is the one that sounds."""
        if self._player.wanted.proof is not None:
            self.say((), Language.ENGLISH, 0, now_s)

    def beat(self, on: bool, volume_percent: int, now_s: float) -> None:
        """Give the beat of CPR, or end it; call it as often as you like."""
        volume = volume_percent if on else 0
        if volume != self._beat_volume:
            self._beat_volume = volume
            one = click(10 ** (gain_db(volume) / 20)) if volume else None
            self._player.want(replace(self._player.wanted, click=one))
        self.step(now_s)

    def step(self, now_s: float) -> None:
        """Tell the hub what is about to be said, and what was said until when."""
        del now_s  # times are the player's own: they are those of the sound
        while (told := self._player.next_to_tell()) is not None:
            self._send(told)
            self._player.told(told)

    @property
    def speaks(self) -> bool:
        """Whether something is being said or about to be."""
        return self._player.speaks

    def fault(self) -> Fault | None:
        """Return what is wrong with the voice now."""
        return self._player.fault

    def stop(self) -> None:
        """Be silent, and end the thread and its children."""
        self._player.stop()


def _of_proof(order: PlayProof, what: Literal["begins", "ended", "cut", "broken"]) -> ProofSound:
    return ProofSound(proof=order.proof, attempt=order.attempt, what=what)


class Player:
    """The thread that plays what is wanted. What kills it ends in `threading.excepthook`, and so the screen's process."""

    def __init__(self, device: str, proof: Path, env: Mapping[str, str]) -> None:
        self._device, self._proof, self._env = device, proof, env
        self.wanted = Wanted()
        self.fault: Fault | None = None
        self.beat_began_s: float | None = None
        self._to_tell: deque[Told] = deque(maxlen=TOLD)
        self._told: Told | None = None
        self._news, self._closing = threading.Event(), threading.Event()
        self._turn = self._beat_at = 0
        self._files: deque[Path] = deque()
        self._prompt: Prompt | None = None
        self._order: PlayProof | None = None
        self._row = Row()
        self._stream: Stream | None = None
        self._doubtful = proof
        self._next_s = self._retry_s = self._probe_s = 0.0
        self._thread = threading.Thread(target=self._run, name="voice", daemon=True)
        self._thread.start()

    # --- from the screen's loop ---------------------------------------------------------------------------------------

    def want(self, wanted: Wanted) -> None:
        """Play this from now on."""
        self.wanted = wanted
        self._news.set()

    def next_to_tell(self) -> Told | None:
        """Return what the hub is to be told next, if anything."""
        return self._to_tell.popleft() if self._to_tell else None

    @property
    def speaks(self) -> bool:
        """Whether something is being said or about to be."""
        wanted = self.wanted
        pending = wanted.turn != self._turn and wanted.files
        return bool(pending or self._files or self._prompt is not None)

    def told(self, told: Told) -> None:
        """Note that the hub was told: a prompt that waited for it begins."""
        self._told = told
        self._news.set()

    def stop(self) -> None:
        """End the thread and its children."""
        self._closing.set()
        self._news.set()
        self._thread.join(STOP_S)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._go_on(self.wanted, time.monotonic())
        finally:
            self._close()

    def _go_on(self, wanted: Wanted, now_s: float) -> None:
        """Do the next small thing; takes as long as a block lasts, or until there is something to do."""
        try:
            self._take(wanted, now_s)
            self._prepare(wanted, now_s)
            beats = wanted.click is not None and now_s >= self._retry_s
            if self._begun or beats:
                self._feed(wanted)
            elif self._stream is not None:
                self._close()
            else:
                self._rest(now_s)
        except Broken as broken:
            self._fail(broken)

    @property
    def _begun(self) -> bool:
        """Whether a prompt is being said: the hub knows of it."""
        return self._prompt is not None and self._prompt.told is self._told

    def _take(self, wanted: Wanted, now_s: float) -> None:
        """Turn to what is wanted now."""
        if wanted.click is None:
            self._beat_at, self.beat_began_s = 0, None
        if wanted.turn == self._turn:
            return
        self._turn, self._files, self._order = wanted.turn, deque(wanted.files), wanted.proof
        self._next_s = self._retry_s = 0.0
        if wanted.click is None:
            self._close()
        self._end_prompt(now_s + self._latency_s)

    @property
    def _latency_s(self) -> float:
        return self._stream.latency_s if self._stream is not None else 0.0

    def _prepare(self, wanted: Wanted, now_s: float) -> None:
        """Decode the next prompt when it is its time, and have the hub told of it."""
        if self._prompt is not None:
            if not self._prompt.at and now_s - self._prompt.told.start_s > LATE_S:
                self._announce(self._prompt.sound, now_s)  # nobody was told for so long: its end would be too early
        elif self._files and self._order is not None:
            self._announce(decoded(self._files.popleft(), wanted.gain_db, self._env), now_s)
        elif self._files and now_s >= self._next_s:
            sound = self._decoded(self._files[0], wanted.gain_db)
            wait_s = self._row.wait_s(now_s, _length_s(sound))
            self._next_s = now_s + wait_s
            if not wait_s:
                self._files.popleft()
                self._row.begins(now_s)
                if sound:
                    self._announce(sound, now_s)

    def _announce(self, sound: bytes, now_s: float) -> None:
        end_s = now_s + _length_s(sound) + GENEROUS_S
        told: Told = Speaking(start_s=now_s, end_s=end_s)
        if self._order is not None:
            told = _of_proof(self._order, "begins").model_copy(update={"start_s": now_s, "end_s": end_s})
        self._prompt = Prompt(sound, told)
        self._to_tell.append(told)

    def _decoded(self, path: Path, gain: float) -> bytes:
        """Return a recording, or nothing and a fault; the others of its queue are still said."""
        try:
            sound = decoded(path, gain, self._env)
        except Broken as broken:
            self._doubtful = path
            self._note(broken)
            return b""
        if path == self._doubtful:
            self._doubtful, self.fault = self._proof, None
        return sound

    def _feed(self, wanted: Wanted) -> None:
        """Play one block of the prompt, the beat, or both."""
        stream = self._stream = self._stream or Stream(self._device, self._env)
        prompt = self._prompt if self._begun else None
        block = prompt.sound[prompt.at : prompt.at + BLOCK_BYTES] if prompt else b""
        block += bytes(BLOCK_BYTES - len(block))
        if wanted.click is not None:
            block = with_beat(block, self._beat_at, wanted.click)
        stream.write(block)
        if wanted.click is not None:
            self._beat_on(stream)
        if prompt:
            prompt.at += BLOCK_BYTES
            if prompt.at >= len(prompt.sound):
                self._said(stream, beats=wanted.click is not None)
        if stream.plays and self._doubtful == self._proof:
            self.fault = None
        self._closing.wait(max(0.0, stream.ahead_s - AHEAD_S))

    def _beat_on(self, stream: Stream) -> None:
        """Count the beat, and say when it began, as far as it is known: better after the first block than before."""
        self._beat_at += BLOCK_BYTES // BYTES
        began_s = time.monotonic() + stream.latency_s - self._beat_at / RATE_HZ
        if self.beat_began_s is None or abs(began_s - self.beat_began_s) > OUT_OF_STEP_S:
            self.beat_began_s = began_s

    def _said(self, stream: Stream, *, beats: bool) -> None:
        """Note the end of a prompt; without a beat that is when all of it was played."""
        if beats:
            end_s = time.monotonic() + stream.latency_s
        else:
            stream.drain()
            end_s = time.monotonic()
            self._close()
        self._end_prompt(end_s)
        self._next_s = end_s + GAP_S

    def _end_prompt(self, end_s: float) -> None:
        prompt, self._prompt = self._prompt, None
        if prompt is None:
            return
        if isinstance(prompt.told, ProofSound):
            what = "ended" if prompt.at >= len(prompt.sound) else "cut"
            self._to_tell.append(prompt.told.model_copy(update={"end_s": end_s, "what": what}))
            self._order = None
        else:
            self._to_tell.append(prompt.told.model_copy(update={"end_s": end_s}))
            self._row.ends(end_s)

    def _rest(self, now_s: float) -> None:
        """Wait for something to do; look now and then whether all would work."""
        waits = self._prompt is not None or self._files
        until_s = self._next_s if self._files else now_s + LATE_S if self._prompt else self._probe_s
        if now_s < until_s:
            self._news.wait(until_s - now_s)
            self._news.clear()
        elif not waits:
            self._probe(now_s)

    def _probe(self, now_s: float) -> None:
        """Open the speaker and play nothing, decode a recording and drop it."""
        self._probe_s = now_s + PROBE_BROKEN_S
        decoded(self._doubtful, 0.0, self._env)
        with Stream(self._device, self._env) as stream:
            stream.drain()
        self._doubtful, self.fault, self._probe_s = self._proof, None, now_s + PROBE_S

    def _fail(self, broken: Broken) -> None:
        """Give up what is being said, and the beat for a moment."""
        self._note(broken)
        self._close()
        now_s = time.monotonic()
        if self._order is not None:
            said = {"end_s": now_s, "says": f"the speaker {self._device}: {broken}", "do": broken.do}
            self._to_tell.append(_of_proof(self._order, "broken").model_copy(update=said))
            self._order, self._prompt = None, None
        self._end_prompt(now_s)
        self._files.clear()
        self._retry_s = now_s + RETRY_S

    def _note(self, broken: Broken) -> None:
        self.fault = Fault(code="voice", where=f"speaker {self._device}", says=str(broken), do=broken.do)
        self._probe_s = time.monotonic() + PROBE_BROKEN_S

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _length_s(sound: bytes) -> float:
    return len(sound) / BYTES / RATE_HZ

"""The listen process: microphone to hub. It tells the hub what it heard, and once a second how well it hears.

It keeps going through everything: no microphone, no model, no hub. Each is a fault in its own words until it is over.
While a person at the desk has it paused, nothing captures sound, and none is left in memory.
Nothing of what it hears is written, logged or sent but phrase, score and time.
"""

import contextlib
import itertools
import logging
import math
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import FrameType

from kiosk import __version__
from kiosk.bus import Leaf, runtime_socket
from kiosk.config import ListenSection, UnitConfig
from kiosk.daily_proof import PHRASE
from kiosk.detection import Heard
from kiosk.duty import Part, outside
from kiosk.hours import within
from kiosk.listen.calibration import CalibrationFile, calibrated
from kiosk.listen.capture import Capture, Captured
from kiosk.listen.chirp import chirp_began_s
from kiosk.listen.chosen import load_chosen
from kiosk.listen.features import HOP_S, PRIME_SAMPLES, FrontEndError, Samples, chunks, quiet
from kiosk.listen.level import Meter
from kiosk.listen.looker import WorkerLooker, looker_for
from kiosk.listen.loop import Loop
from kiosk.listen.model import ModelError
from kiosk.listen.own_voice import MOST_S, OwnVoice
from kiosk.listen.ring import Ring, refuse_dumps
from kiosk.messages import (
    COVERT_PHRASE,
    Detection,
    DetectionTaken,
    Ear,
    Fault,
    Hearing,
    Hello,
    PauseEar,
    Role,
    Speaking,
    ToLeaf,
)
from kiosk.notify import how_it_is, watchdog

log = logging.getLogger("stayby")

REPORT_S = 1.0
DEAF_AFTER_S = 1.5
HUNG_AFTER_S = 5.0
"""Without sound, and without a word why, for so long: the thread that captures hangs."""
RELOAD_S = 10.0
READ_S = 0.2
OFFER_S = 1.0
# A detection that the hub has not taken is offered again for this long: a hub that restarts must not lose a call for help.
KEEP_S = 30.0
KEEP = 8
TOLD_LATE_S = 2 * HOP_S
# An ear that starts lets the hub say first whether it is paused; without a hub it listens after this.
HUB_WORD_S = 1.0
# So much of a quiet room settles whatever was said before it.
SETTLE_HOPS = round(2.0 / HOP_S)
DEAFENING = frozenset({"mic_silent", "mic_stuck"})
HUNG = Fault(
    code="mic_stalled",
    where="microphone",
    says="no sound comes, and the capture does not say why",
    do="it restarts by itself within a minute; if it comes again, restart the unit",
)
TOO_MUCH = Fault(
    code="own_voice",
    where="the unit's own voice",
    says=f"the unit has spoken for {MOST_S:g} of 60 s; it listens again although it speaks",
    do="see who plays with the screen; if nobody does, restart it: systemctl restart stayby-ui",
)


class ListenProcess:
    """Everything the process owns; `turn` is one round of the main loop."""

    def __init__(
        self,
        config: ListenSection,
        bus: Path,
        capture_env: Mapping[str, str] | None = None,
        calibration: Path | None = None,
    ) -> None:
        self._config, self._env = config, capture_env
        self._calibration = CalibrationFile(calibration)
        self._offset = 0.0
        self._deaths: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[ToLeaf] = queue.SimpleQueue()
        self._leaf = Leaf(
            bus,
            Hello(role=Role.LISTEN, version=__version__),
            on_message=self._answers.put,
            on_link=lambda there: log.info("hub %s", "there" if there else "away"),
            on_bad=lambda text: log.warning("bus: %s; ignored", text),
            on_death=self._deaths.put,
        )
        self._ring = Ring.create()
        self._capture: Capture | None = None
        self._loop: Loop | None = None
        self._looker: WorkerLooker | None = None
        self._broken: Fault | None = None
        self._covert_wrong: Fault | None = None
        self._meter = Meter()
        self._own_voice, self._speaking = OwnVoice(), False
        self._paused, self._may_begin_s = False, math.inf
        self._quiet_room = itertools.cycle(list(chunks(quiet(PRIME_SAMPLES))))
        self._position, self._quiet_hops = 0, SETTLE_HOPS
        self._untaken: deque[Detection] = deque(maxlen=KEEP)
        self._offered_s = -1e9
        self._heard_s = self._report_s = self._reload_s = self._calibrated_s = -1e9
        self._opened_s = self._decided_s = -1e9
        self._watchdog = watchdog(time.monotonic)
        self._audio_s = 0.0
        self._gaps_before = 0

    def turn(self, now_s: float, now_local: datetime) -> None:
        """Listen for up to 0.2 s, decide, and report; raises what killed a thread."""
        if not self._deaths.empty():
            raise self._deaths.get()
        self._may_begin_s = min(self._may_begin_s, now_s + HUB_WORD_S)
        self._take_answers(now_s)
        open_now = in_hours(self._config.hours, now_local)
        self._open_or_close(wanted=open_now and not self._paused and now_s >= self._may_begin_s)
        self._keep_model(now_s)
        self._keep_calibration(now_s)
        captured = self._capture.read(READ_S) if self._capture else None
        if captured is not None:
            self._hear(captured)
        else:
            self._hear_nothing()
        self._send_waiting(now_s)
        if now_s - self._report_s >= REPORT_S:
            self._report_s = now_s
            ear = self._ear(now_s, open_now=open_now)
            self._leaf.send(ear)
            self._watchdog.look(self._duty(), how_it_is(fault.code for fault in ear.faults))
        if self._capture is None:
            self._wait_for_the_hub(now_s)

    def _duty(self) -> list[Part]:
        """Return what must be so for the ear to be on duty; `turn` itself is the main loop, in which the model decides."""
        parts = [Part("no turn of the thread to the hub", self._leaf.turned_s)]
        if self._capture is not None:
            shown = self._capture.fault is not None
            parts.append(Part("no turn of the thread that captures", self._capture.turned_s, shown=shown))
            parts.append(outside("no sound", max(self._heard_s, self._opened_s), shown=shown))
            if self._broken is None:
                parts.append(outside("no decision of the model", max(self._decided_s, self._opened_s), shown=shown))
        return parts

    def _wait_for_the_hub(self, now_s: float) -> None:
        """Without a microphone to wait for, a turn takes its time here."""
        with contextlib.suppress(queue.Empty):
            self._take_answer(self._answers.get(timeout=READ_S), now_s)

    def close(self) -> None:
        """Stop capturing and leave the hub."""
        self._watchdog.stopping()
        self._open_or_close(wanted=False)
        self._drop_loop()
        self._ring.close()
        self._leaf.close()

    def _open_or_close(self, *, wanted: bool) -> None:
        if wanted and self._capture is None:
            self._capture = Capture(self._config.device, self._ring, self._deaths.put, self._env)
            self._meter, self._opened_s = Meter(), time.monotonic()
        elif not wanted and self._capture is not None:
            self._gaps_before += self._capture.gaps
            self._capture.close()
            self._meter.wipe()
            self._capture, self._speaking = None, False

    def _keep_model(self, now_s: float) -> None:
        if self._loop is not None or now_s - self._reload_s < RELOAD_S:
            return
        self._reload_s = now_s
        try:
            model, self._covert_wrong = load_chosen(self._config)
            self._looker = looker_for(self._config, model, self._ring)
            self._loop = Loop(model, self._looker)
            self._offset, self._calibrated_s = 0.0, -1e9
        except (ModelError, FrontEndError) as error:
            self._break(error)
        else:
            self._broken = None

    def _keep_calibration(self, now_s: float) -> None:
        """Read what a technician accepted, at the start and when it changes."""
        if self._loop is None or now_s - self._calibrated_s < RELOAD_S:
            return
        self._calibrated_s = now_s
        self._calibration.look()
        manifest = self._loop.manifest
        offset = self._calibration.offset(manifest.sha256)
        if offset != self._offset:
            log.info("thresholds: %+g on what the model was shipped with", offset)
            self._loop.use(calibrated(manifest, offset))
            self._offset = offset

    def _break(self, error: ModelError | FrontEndError) -> None:
        where, _, rest = str(error).partition(": ")
        says, _, do = rest.rpartition("; ")
        fault = Fault(code="model_broken", where=where, says=says or rest, do=do or "install stayby again")
        if fault != self._broken:
            log.error("the ear cannot work: %s", error)
        self._broken = fault
        self._drop_loop()

    def _drop_loop(self) -> None:
        self._loop = None
        if self._looker is not None:
            self._looker.close()
            self._looker = None

    def _hear(self, captured: Captured) -> None:
        self._heard_s = captured.end_s
        self._audio_s += HOP_S
        was_speaking = self._speaking
        self._speaking = self._own_voice.deafens(captured.end_s - HOP_S, captured.end_s)
        if not self._speaking:
            self._position = captured.position
            self._meter.take(captured.sound)
        if self._loop is None:
            return
        if captured.fresh or (was_speaking and not self._speaking):
            self._loop.reset()
        # While we speak the loop hears a quiet room: a call from just before is still decided, and our own voice never is one.
        sound = next(self._quiet_room) if self._speaking else captured.sound
        self._quiet_hops = 0
        self._step(self._loop, sound)

    def _hear_nothing(self) -> None:
        """No sound came. Where it has ended, the loop hears a quiet room: a call from just before is still decided."""
        if self._loop is not None:
            self._tell(self._loop.catch_up())
        ended = self._capture is None or self._capture.fault is not None
        for _ in range(int(READ_S / HOP_S)):
            if ended and self._loop is not None and self._quiet_hops < SETTLE_HOPS:
                self._quiet_hops += 1
                self._step(self._loop, next(self._quiet_room))

    def _step(self, loop: Loop, sound: Samples) -> None:
        try:
            heard = loop.step(sound, self._position)
            self._decided_s = time.monotonic()
        except ModelError as error:
            self._break(error)
            return
        self._tell(heard)

    def _tell(self, heard: Heard | None) -> None:
        if heard is not None:
            told = detection(heard, self._heard_s)
            if heard.phrase == PHRASE:
                told = told.model_copy(update={"chirp_s": chirp_began_s(self._ring)})
            self._untaken.append(told)
            self._offered_s = -1e9
            phrase = COVERT_PHRASE if heard.covert else heard.phrase
            log.warning("heard %s, score %.1f%s", phrase, heard.score, ", clearly" if heard.strong else "")

    def _take_answers(self, now_s: float) -> None:
        while not self._answers.empty():
            self._take_answer(self._answers.get(), now_s)

    def _take_answer(self, answer: ToLeaf, now_s: float) -> None:
        if isinstance(answer, DetectionTaken):
            self._untaken = deque((one for one in self._untaken if one.audio_end_s != answer.audio_end_s), KEEP)
        elif isinstance(answer, Speaking):
            self._speaks(answer, now_s)
        elif isinstance(answer, PauseEar):
            self._pause(answer, now_s)

    def _pause(self, told: PauseEar, now_s: float) -> None:
        if told.paused is not self._paused:
            log.info("%s by a person at the desk", "paused" if told.paused else "listening again")
            self._report_s = -1e9  # whoever touched is waiting to see it
        self._paused, self._may_begin_s = told.paused, now_s

    def _speaks(self, speaking: Speaking, now_s: float) -> None:
        if not self._own_voice.speaks(speaking.start_s, speaking.end_s, now_s):
            log.warning("a prompt from %.1f to %.1f makes no sense now; ignored", speaking.start_s, speaking.end_s)
        elif not self._speaking and self._loop is not None and speaking.start_s < self._heard_s - TOLD_LATE_S:
            self._loop.reset()  # it was told late: what was heard since is our own voice

    def _send_waiting(self, now_s: float) -> None:
        """Offer what the hub has not taken, again and again: only the hub's own word says that it is safe."""
        while self._untaken and now_s - self._untaken[0].audio_end_s > KEEP_S:
            lost = self._untaken.popleft()
            phrase = COVERT_PHRASE if lost.covert else lost.phrase
            log.error("the hub was away for %.0f s: %s could not be told", KEEP_S, phrase)
        if self._untaken and now_s - self._offered_s >= OFFER_S:
            self._offered_s = now_s
            for one in self._untaken:
                self._leaf.send(one)

    def _state(self, now_s: float, faults: tuple[Fault, ...], *, open_now: bool) -> Hearing:
        if not open_now:
            return Hearing.OFF
        if self._paused and self._capture is None:
            return Hearing.PAUSED
        deaf = self._loop is None or now_s - self._heard_s > DEAF_AFTER_S or any(f.code in DEAFENING for f in faults)
        return Hearing.DEAF if deaf else Hearing.LISTENING

    def _ear(self, now_s: float, *, open_now: bool) -> Ear:
        faults = tuple(self._faults(now_s)) if open_now and not self._paused else ()
        return Ear(
            state=self._state(now_s, faults, open_now=open_now),
            faults=faults,
            model=f"{self._loop.manifest.name} {self._loop.manifest.made}" if self._loop else "",
            level_dbfs=round(self._meter.level_dbfs, 1),
            noise_dbfs=None if self._meter.noise_dbfs is None else round(self._meter.noise_dbfs, 1),
            audio_s=round(self._audio_s, 2),
            gaps=self._gaps_before + (self._capture.gaps if self._capture else 0),
            own_voice=self._speaking,
            knows_proof=self._loop is None or any(one.id == PHRASE for one in self._loop.manifest.phrases),
        )

    def _faults(self, now_s: float) -> list[Fault]:
        ignored = self._calibration.fault(self._loop.manifest.sha256) if self._loop else None
        look = self._looker.fault if self._looker else None
        found = [fault for fault in (self._broken, self._covert_wrong, ignored, look) if fault is not None]
        where = f"microphone {self._config.device}"
        capture, level = self._capture.fault if self._capture else None, self._meter.fault
        if capture is not None:
            found.append(Fault(code=capture.code, where=where, says=capture.says, do=capture.do))
        elif now_s - self._heard_s > DEAF_AFTER_S:
            hangs = self._capture is not None and now_s - max(self._heard_s, self._opened_s) > HUNG_AFTER_S
            return [*found, HUNG] if hangs else found
        elif level is not None:
            found.append(Fault(code=level.code, where=where, says=level.says, do=level.do))
        if self._own_voice.too_much(now_s):
            found.append(TOO_MUCH)
        return found


def detection(heard: Heard, audio_end_s: float) -> Detection:
    """What the hub is told of a decision that rests on sound up to `audio_end_s` (CLOCK_MONOTONIC)."""
    return Detection(
        phrase=heard.phrase,
        score=round(heard.score, 3),
        grave=heard.grave,
        strong=heard.strong,
        covert=heard.covert,
        opens=heard.opens,
        audio_end_s=audio_end_s,
    )


def in_hours(hours: str | None, now: datetime) -> bool:
    """Whether the ear is to listen at `now`; always if there are no hours."""
    return hours is None or within(hours, now)


def run(
    config: UnitConfig,
    capture_env: Mapping[str, str] | None = None,
    stop: threading.Event | None = None,
    calibration: Path | None = None,
) -> None:
    """Listen until SIGTERM, SIGINT or `stop`; `capture_env` is added to arecord's environment (a virtual microphone).

    `calibration` is where a technician's accepted thresholds stand, if any.
    """
    if config.listen is None:
        log.warning("there is no [listen] in the configuration: this unit has no ear, and nothing to do here")
        watchdog(time.monotonic).look((), "this unit has no ear")
        return
    refuse_dumps()
    ended = stop or _stop_on_signals()
    process = ListenProcess(config.listen, runtime_socket(config.unit.run_dir), capture_env, calibration)
    try:
        while not ended.is_set():
            process.turn(time.monotonic(), datetime.now().astimezone())
    finally:
        process.close()


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    return stop

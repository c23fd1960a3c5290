"""The hub's side of the daily proof: one at a time, whoever asked for it, what is kept of it, and which detections are our own.

Runs on the hub's main thread alone. What it cannot do itself (button, screen, broker, faults) is the hub's, through `Hands`.
"""

import logging
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from kiosk.daily_proof import (
    BEGIN_S,
    CLOCK_IS_SET_UNIX_S,
    FIRST_HEARD_S,
    HEARD_S,
    PHRASE,
    PLAYED_KEPT,
    SAID_S,
    SOUND_S,
    Confirmed,
    DailyProof,
    Effect,
    Event,
    HeardUs,
    Kept,
    Play,
    Played,
    Silent,
    Sounded,
    Sounds,
    TimePassed,
    TryButton,
    Unsent,
    Write,
    is_neighbours,
    kept_after,
    overdue,
)
from kiosk.messages import Detection, Fault, Hop, HopFound, PlayProof, ProofSays, ProofSound
from kiosk.store import Clock, Store

log = logging.getLogger("stayby")

LOOK_AGAIN_S = 600.0
"""How often it is looked whether the last proof is too old."""
LINGER_S = 5.0
"""So long at least the desk goes on to say that it tests itself after a covert call: nothing there shows when it came."""
NEEDED = "somebody needs the desk"
"""All that whoever asked is told, whatever it was: a covert call looks like any other reason."""
NOT_SENT = ("there is no connection to it", "sudo stayby doctor shows each hop of the network")


class Hands(Protocol):
    """What the hub does for a proof."""

    def test_button(self) -> None:
        """Have the button test itself; `ButtonTried` follows."""

    def play_proof(self, order: PlayProof) -> bool:
        """Tell the screen to play; False where none is there."""

    def write_proof(self, proof: str) -> int | None:
        """Give the proof to the broker; return the number that its confirmation will carry, None without a connection."""

    def tell_prover(self, number: int, told: ProofSays) -> None:
        """Tell whoever asked."""

    def proof_fault(self, fault: Fault | None) -> None:
        """Set the fault of the daily proof, or clear it."""

    def proof_changed(self) -> None:
        """Let staff and screen know how it stands."""


class Prover:
    """The proof that goes on, if one does, and what is known of earlier ones."""

    def __init__(self, store: Store, hands: Hands, clock: Clock, *, has_sound: bool) -> None:
        self._store, self._hands, self._has_sound = store, hands, has_sound
        self._proof: DailyProof | None = None
        self._asker = 0
        self._lingers, self._lingers_until_s = "", 0.0
        self._mids: set[int] = set()
        before = store.played(clock.boot)
        self._played: deque[Played] = deque([] if before is None else [before], PLAYED_KEPT)
        self._chirps: deque[float] = deque(maxlen=PLAYED_KEPT)
        self._kept = store.proof()
        self._look_s = 0.0
        if self._kept is not None and self._kept.missed is not None:
            hands.proof_fault(self._kept.missed)

    @property
    def proof(self) -> str:
        """The id of the proof that goes on; empty without one."""
        return self._proof.proof if self._proof is not None else ""

    @property
    def shown(self) -> str:
        """The id of the proof that the desk says it does: the one that goes on, or one that a covert call has ended."""
        return self.proof or self._lingers

    @property
    def hop(self) -> Hop | None:
        """What is being tried."""
        return self._proof.hop if self._proof is not None else None

    @property
    def passed_at(self) -> datetime | None:
        """When the unit last proved itself; None for never, and for a time that a damaged disk made up."""
        unix_s = self._kept.passed_unix_s if self._kept is not None else None
        try:
            return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC)
        except (OverflowError, ValueError, OSError):
            log.warning("the time of the last daily proof is damaged; run stayby prove")
            return None

    # --- one proof ----------------------------------------------------------------------------------------------------

    def begin(self, number: int, known: Mapping[Hop, HopFound], clock: Clock) -> None:
        """Begin a proof, asked for by `number` on the bus."""
        self._proof, self._asker = DailyProof(f"proof-{uuid.uuid4().hex[:16]}", known), number
        self._mids.clear()
        self._lingers = ""
        log.info("daily proof %s begins", self._proof.proof)
        self._tell(ProofSays(what="begun"))
        self._hands.proof_changed()
        self._do(self._proof.begin(clock.now_s), clock)

    def handle(self, event: Event, clock: Clock) -> None:
        """Take what happened to the proof, if one goes on."""
        if self._proof is not None:
            self._do(self._proof.handle(event, clock.now_s), clock)

    def break_off(self, why: str, clock: Clock, *, covert: bool = False) -> None:
        """End the proof without a word on the unit: somebody needs the desk. A covert call ends nothing that is seen or heard."""
        was_shown = self.shown
        if self._proof is not None:
            log.info("daily proof %s is broken off: %s", self._proof.proof, why)
            self._linger(self._proof.proof, self._played[-1].end_s if self._played else 0.0, clock)
            self._proof = None
            self._tell(ProofSays(what="broken_off", says=NEEDED))
        if not covert:
            self._lingers = ""
        if self.shown != was_shown:
            self._hands.proof_changed()

    def _linger(self, proof: str, sound_end_s: float, clock: Clock) -> None:
        self._lingers, self._lingers_until_s = proof, max(clock.now_s + LINGER_S, sound_end_s + 1.0)

    def confirmed(self, mid: int, clock: Clock) -> None:
        """Take that the broker confirmed a message."""
        if mid in self._mids:
            self.handle(Confirmed(), clock)

    def refused(self, mid: int, reason: str, clock: Clock) -> bool:
        """Take that the broker refused a message; return whether it was ours."""
        do = "write the broker's rules anew with this version: stayby store broker, then reload mosquitto"
        if mid in self._mids:
            self.handle(Unsent(reason, do), clock)
        return mid in self._mids

    def _do(self, effects: Sequence[Effect], clock: Clock) -> None:
        for effect in effects:
            match effect:
                case HopFound():
                    log.info("daily proof: %s %s: %s", effect.hop, effect.result.replace("_", " "), effect.says)
                    self._tell(ProofSays(what="hop", hop=effect))
                case TryButton():
                    self._hands.test_button()
                case Play():
                    self._play(effect, clock)
                case Write():
                    self._write(clock)
        if self._proof is not None and self._proof.over:
            self._end(self._proof, clock)

    def _write(self, clock: Clock) -> None:
        mid = self._hands.write_proof(self.proof)
        if mid is not None:
            self._mids.add(mid)
        else:
            self.handle(Unsent(*NOT_SENT), clock)

    def _end(self, proof: DailyProof, clock: Clock) -> None:
        self._proof = None
        before = self._kept or Kept(clock.unix_s)
        self._keep(kept_after(before, proof.found, clock.unix_s))
        missed = proof.missed
        self._tell(ProofSays(what="missed" if missed else "passed", says=", ".join(one.hop for one in missed)))
        log.info("daily proof %s: %s", proof.proof, "missed" if missed else "passed")
        self._hands.proof_changed()

    def _keep(self, kept: Kept) -> None:
        self._kept = kept
        self._store.keep_proof(kept)
        self._hands.proof_fault(kept.missed)
        self._look_s = 0.0

    def _tell(self, told: ProofSays) -> None:
        self._hands.tell_prover(self._asker, told)

    # --- the sound ----------------------------------------------------------------------------------------------------

    def _play(self, effect: Play, clock: Clock) -> None:
        """Order the sound. Before a note of it, the disk knows: a hub that dies now leaves the ear with our own phrase."""
        most = Played(clock.now_s + FIRST_HEARD_S, clock.now_s + BEGIN_S + SOUND_S)
        self._store.keep_played(clock.boot, most)
        order = PlayProof(proof=self.proof, attempt=effect.attempt, gain_db=effect.gain_db)
        if not self._hands.play_proof(order):
            self.handle(Silent(effect.attempt, "the screen is not there", "look at: journalctl -u stayby-ui"), clock)

    def sound(self, said: ProofSound, clock: Clock) -> None:
        """Take how it stands with the sound. What was played is known to be ours even where the proof is over."""
        self._note_playing(said)
        if self._lingers == said.proof and said.what == "begins":
            self._linger(said.proof, said.end_s, clock)
        if said.proof != self.shown:
            return
        match said.what:
            case "begins":
                self.handle(Sounds(said.attempt, said.end_s), clock)
            case "ended":
                self.handle(Sounded(said.attempt, said.end_s), clock)
            case "touched" | "cut":
                self.break_off("somebody touches the screen, or did a moment ago", clock)
            case "off" | "broken":
                self.handle(Silent(said.attempt, said.says, said.do, off=said.what == "off"), clock)

    def _note_playing(self, said: ProofSound) -> None:
        if said.what == "begins":
            over = [one for one in self._played if one.end_s + HEARD_S < said.start_s]
            self._played = deque([*over, Played(said.start_s + FIRST_HEARD_S, said.end_s)], PLAYED_KEPT)
        elif said.what in {"ended", "cut"} and self._played:
            last = self._played.pop()
            spoke = said.end_s >= last.start_s - FIRST_HEARD_S + SAID_S
            self._played.append(Played(last.start_s, said.end_s, last.left if spoke else 0))

    def takes(self, heard: Detection, clock: Clock) -> bool:
        """Return whether a detection is our own phrase, or another unit's; ours counts for the proof, if that still goes on."""
        for index, played in enumerate(self._played):
            if played.takes(heard.phrase, heard.audio_end_s):
                self._played[index] = played.taken()
                self._store.keep_played(clock.boot, self._played[index])
                log.info("daily proof: heard ourselves, score %.1f", heard.score)
                self.handle(HeardUs(heard.score), clock)
                return True
        return self._is_neighbours(heard)

    def _is_neighbours(self, heard: Detection) -> bool:
        if heard.phrase != PHRASE or not is_neighbours(heard.chirp_s, heard.audio_end_s, self._played, self._chirps):
            return False
        self._chirps.append(heard.chirp_s or 0.0)
        log.info("a unit near here proves itself: its chirp and its phrase were heard; nobody called")
        return True

    # --- time ---------------------------------------------------------------------------------------------------------

    def tick(self, clock: Clock, *, clock_is_right: bool) -> None:
        """Let time pass; look now and then whether the last proof is too old."""
        self.handle(TimePassed(), clock)
        if self._lingers and clock.now_s >= self._lingers_until_s:
            self._lingers = ""
            self._hands.proof_changed()
        if clock.now_s < self._look_s or not clock_is_right or clock.unix_s < CLOCK_IS_SET_UNIX_S:
            return
        self._look_s = clock.now_s + LOOK_AGAIN_S
        if self._kept is None or self._kept.since_unix_s > clock.unix_s:
            self._kept = (self._kept or Kept(clock.unix_s))._replace(since_unix_s=clock.unix_s)
            self._store.keep_proof(self._kept)
        if self._kept.missed is None:
            self._hands.proof_fault(overdue(self._kept, clock.unix_s, has_sound=self._has_sound))

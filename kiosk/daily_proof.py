"""The daily proof: which hop is tried when, how long each has, what is a miss, and which of what the ear hears was ourselves.

Rules
- Pure: monotonic seconds are handed in (`overdue` alone takes the time of day); every hop meets every event.
- The hops in their order: the button's self-test; sound, from speaker to microphone, model and hub; the broker; the store's board
  and back. A miss goes on to the next hop, so that one visit mends all. Without a broker the board is not tried.
- What the unit does not have is left out. What is off just now (the ear by its hours, the voice by its volume) is left out as
  well, and said; where it stays so for `OVERDUE_S`, that is told as a miss: the hour of the proof is wrong. What should
  be on and is not, is a miss.
- The sound is tried softly, then once more as loud as the screen speaks to customers, and never louder.
- Ours is one detection of `PHRASE` for each playing, resting on sound within that playing (`Played`). It stays ours when the
  proof was broken off: we know what we played; but not where it was cut before the word. A neighbour's is one detection for each
  chirp that the ear surely found at the right time before it (`Detection.chirp_s`), and none in our own playing: that chirp is
  ours. Any other phrase, and a second detection of this one, is somebody's. In doubt it is a call.
- Calls are not in it. Whoever drives it ends it at the first one, which takes its way at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from kiosk.messages import Fault, Hearing, Hop, HopFound

PHRASE = "faint"
"""What the recording says, as the model calls it: rare, heard surely, and no cry that would make whoever overhears it run."""
GAINS_DB = (-15.0, 0.0)
"""How much louder than a prompt at the unit's own volume each try is. At 80 % that is -39 and -24 dBFS of speech, played; the ear
still knew it at -75 dBFS at its microphone, and each time from 3 dB above the noise around it."""
BUTTON_S = 8.0
"""A self-test is over 3 s after the button took it, which may itself be starting."""
BEGIN_S = 6.0
"""From the order to the first sound: the screen decodes, and opens its device."""
SOUND_S = 8.0
"""The recording at its longest, and a device that is slow to end."""
FIRST_HEARD_S = 1.3
"""So long after its begin nobody can have heard the phrase in it: the chirp comes first. Earliest measured: 1.7 s."""
SAID_S = 1.0
"""So long after its begin the recording comes to the word: what was cut before it never said the phrase."""
CHIRP_LEAD_S = (1.6, 2.8)
"""Before the end of the sound that a detection rests on, a neighbour's chirp began: 1.9 s at least and 2.51 s at most, measured
with and without the second look. The ring of sound holds 2.88 s."""
HEARD_S = 2.5
"""So long after its end the ear may need to be sure of it: it waits for the peak, then looks again."""
SETTLE_S = 1.0
"""So much later what the ear found has arrived here."""
BROKER_S = 10.0
BOARD_S = 12.0
BOARD_AGAIN_S = 3.0
OVERDUE_S = 49 * 3600.0
"""One proof may fail to come about, and the next be an hour later by its clock."""
AHEAD_S = 300.0
"""A proof that is further ahead than this was noted by a clock that was wrong."""
CLOCK_IS_SET_UNIX_S = 1_735_689_600.0
"""2025: a machine that says less has lost its time."""
PLAYED_KEPT = 4
MISSED = "proof-missed"


# --- what is our own --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Played:
    """Between these times (CLOCK_MONOTONIC) our own speaker says the phrase; `left` detections of it are ours."""

    start_s: float
    end_s: float
    left: int = 1

    def takes(self, phrase: str, audio_end_s: float) -> bool:
        """Return whether a detection that rests on sound up to `audio_end_s` is ours."""
        return self.left > 0 and phrase == PHRASE and self.start_s <= audio_end_s <= self.end_s + HEARD_S

    def sounds_at(self, at_s: float) -> bool:
        """Return whether what began then may be this playing, or was drowned by it."""
        return self.start_s - FIRST_HEARD_S - SETTLE_S <= at_s <= self.end_s + HEARD_S

    def taken(self) -> "Played":
        """Return what is left of it."""
        return replace(self, left=self.left - 1)


def is_neighbours(chirp_s: float | None, audio_end_s: float, played: Iterable[Played], known: Iterable[float]) -> bool:
    """Return whether the phrase is another unit's: its chirp came at its time, is not ours, and is not among the `known` ones."""
    if chirp_s is None or not CHIRP_LEAD_S[0] <= audio_end_s - chirp_s <= CHIRP_LEAD_S[1]:
        return False
    ours = any(one.sounds_at(chirp_s) for one in played)
    return not ours and all(abs(chirp_s - other_s) > CHIRP_LEAD_S[1] for other_s in known)


# --- what happens, and what is done -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ButtonTried:
    """The button's self-test is over."""

    passed: bool
    says: str


@dataclass(frozen=True)
class Sounds:
    """The screen begins to play, until `end_s` at the latest."""

    attempt: int
    end_s: float


@dataclass(frozen=True)
class Sounded:
    """The last of it has sounded, at `end_s`."""

    attempt: int
    end_s: float


@dataclass(frozen=True)
class Silent:
    """The screen cannot play (`off`: it was told to be silent at this hour)."""

    attempt: int
    says: str
    do: str
    off: bool = False


@dataclass(frozen=True)
class Level:
    """What the ear measures: now, and in the room's stillest seconds (dB below full scale)."""

    level_dbfs: float
    noise_dbfs: float


@dataclass(frozen=True)
class HeardUs:
    """The ear heard the phrase that we played."""

    score: float


@dataclass(frozen=True)
class Confirmed:
    """The broker has taken the proof."""


@dataclass(frozen=True)
class Unsent:
    """The broker did not take it."""

    says: str
    do: str


@dataclass(frozen=True)
class Answered:
    """The board says that it has this proof."""

    proof: str


@dataclass(frozen=True)
class TimePassed:
    """Nothing happened but time."""


Event = ButtonTried | Sounds | Sounded | Silent | Level | HeardUs | Confirmed | Unsent | Answered | TimePassed


@dataclass(frozen=True)
class TryButton:
    """Have the button test itself."""


@dataclass(frozen=True)
class Play:
    """Have the screen play the recording, this much louder than a prompt."""

    attempt: int
    gain_db: float


@dataclass(frozen=True)
class Write:
    """Give the proof to the broker."""


Effect = TryButton | Play | Write | HopFound

CHECK_SOUND = (
    "run there: sudo stayby doctor --sound; look at the speaker's plug and volume, the microphone's hole and gain"
)
CHECK_BOARD = (
    "see that the board runs, in this version (stayby board); if it is off at this hour, move the proof's hour"
)


class DailyProof:
    """One proof. `known` are the hops that need not be tried, and what is so of them; `over` is true at its end."""

    def __init__(self, proof: str, known: Mapping[Hop, HopFound]) -> None:
        self.proof, self._known = proof, known
        self.found: list[HopFound] = []
        self._left = list(Hop)
        self._until_s = self._write_s = 0.0
        self.attempt = 0
        self._plays = False
        self._rise_db: float | None = None

    @property
    def hop(self) -> Hop | None:
        """The hop that is being tried."""
        return self._left[0] if self._left else None

    @property
    def over(self) -> bool:
        """Whether every hop was tried or left out."""
        return not self._left

    @property
    def missed(self) -> list[HopFound]:
        """The hops that failed, in their order."""
        return [one for one in self.found if one.result == "missed"]

    def begin(self, now_s: float) -> list[Effect]:
        """Try the first hop."""
        return self._enter(now_s)

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        """Take what happened; what does not belong to the hop that is being tried changes nothing."""
        match self.hop:
            case Hop.BUTTON:
                return self._button(event, now_s)
            case Hop.SOUND:
                return self._sound(event, now_s)
            case Hop.BROKER:
                return self._broker(event, now_s)
            case Hop.BOARD:
                return self._board(event, now_s)
        return []

    # --- from hop to hop ----------------------------------------------------------------------------------------------

    def _enter(self, now_s: float) -> list[Effect]:
        effects: list[Effect] = []
        while self.hop is not None and (known := self._known.get(self.hop)) is not None:
            effects += self._note(known)
        match self.hop:
            case Hop.BUTTON:
                self._until_s = now_s + BUTTON_S
                return [*effects, TryButton()]
            case Hop.SOUND:
                return [*effects, *self._play(now_s)]
            case Hop.BROKER:
                self._until_s = now_s + BROKER_S
                return [*effects, Write()]
            case Hop.BOARD:
                self._until_s, self._write_s = now_s + BOARD_S, now_s + BOARD_AGAIN_S
        return effects

    def _note(self, found: HopFound) -> list[Effect]:
        self.found.append(found)
        self._left.remove(found.hop)
        return [found]

    def _go_on(self, found: HopFound, now_s: float) -> list[Effect]:
        return [*self._note(found), *self._enter(now_s)]

    # --- each hop -----------------------------------------------------------------------------------------------------

    def _button(self, event: Event, now_s: float) -> list[Effect]:
        if isinstance(event, ButtonTried):
            do = "" if event.passed else "press it once and look whether staff see it; then `sudo stayby button`"
            return self._go_on(_of(Hop.BUTTON, event.says, do), now_s)
        if isinstance(event, TimePassed) and now_s >= self._until_s:
            says = f"its self-test did not end in {BUTTON_S:g} s"
            return self._go_on(_of(Hop.BUTTON, says, "look at its plug; then `sudo stayby button`"), now_s)
        return []

    def _play(self, now_s: float) -> list[Effect]:
        self.attempt, self._plays, self._until_s = self.attempt + 1, False, now_s + BEGIN_S
        return [Play(self.attempt, GAINS_DB[self.attempt - 1])]

    def _sound(self, event: Event, now_s: float) -> list[Effect]:
        match event:
            case HeardUs(score=score):
                says = (
                    f"heard at score {score:.1f}, at the {'first, soft' if self.attempt == 1 else 'second, louder'} try"
                )
                return self._go_on(_of(Hop.SOUND, says, "").model_copy(update={"score": score}), now_s)
            case Sounds(attempt=self.attempt, end_s=end_s) | Sounded(attempt=self.attempt, end_s=end_s):
                self._plays, self._until_s = True, max(now_s, end_s) + HEARD_S + SETTLE_S
            case Silent(attempt=self.attempt, off=True, says=says):
                return self._go_on(HopFound(hop=Hop.SOUND, result="left_out", says=says), now_s)
            case Silent(attempt=self.attempt, says=says, do=do):
                return self._go_on(_of(Hop.SOUND, says, do), now_s)
            case Level(level_dbfs=level, noise_dbfs=noise) if self._plays:
                self._rise_db = max(level - noise, self._rise_db or 0.0)
            case TimePassed() if now_s >= self._until_s:
                return self._unheard(now_s)
        return []

    def _unheard(self, now_s: float) -> list[Effect]:
        if not self._plays:
            says = f"the screen did not begin to play in {BEGIN_S:g} s"
            return self._go_on(_of(Hop.SOUND, says, "look at: journalctl -u stayby-ui -n 20"), now_s)
        if self.attempt < len(GAINS_DB):
            return self._play(now_s)
        rose = "" if self._rise_db is None else f"; the microphone rose by {self._rise_db:.0f} dB"
        says = f"the ear did not know the test phrase from its own speaker, soft or louder{rose}"
        return self._go_on(_of(Hop.SOUND, says, CHECK_SOUND), now_s)

    def _broker(self, event: Event, now_s: float) -> list[Effect]:
        match event:
            case Confirmed():
                return self._go_on(_of(Hop.BROKER, "it took the proof", ""), now_s)
            case Answered(proof=self.proof):
                effects = self._note(_of(Hop.BROKER, "it carried the proof", ""))
                return [*effects, *self._go_on(_of(Hop.BOARD, "it answered", ""), now_s)]
            case Unsent(says=says, do=do):
                return self._no_broker(says, do, now_s)
            case TimePassed() if now_s >= self._until_s:
                do = "sudo stayby doctor shows each hop of the network"
                return self._no_broker(f"it did not take the proof in {BROKER_S:g} s", do, now_s)
        return []

    def _no_broker(self, says: str, do: str, now_s: float) -> list[Effect]:
        untried = HopFound(hop=Hop.BOARD, result="left_out", says="not tried: the broker comes first")
        return [*self._note(_of(Hop.BROKER, says, do)), *self._go_on(untried, now_s)]

    def _board(self, event: Event, now_s: float) -> list[Effect]:
        if isinstance(event, Answered) and event.proof == self.proof:
            return self._go_on(_of(Hop.BOARD, "it answered", ""), now_s)
        if isinstance(event, TimePassed) and now_s >= self._until_s:
            return self._go_on(_of(Hop.BOARD, f"no answer of the store's board in {BOARD_S:g} s", CHECK_BOARD), now_s)
        if isinstance(event, TimePassed) and now_s >= self._write_s:
            self._write_s = now_s + BOARD_AGAIN_S
            return [Write()]
        return []


def _of(hop: Hop, says: str, do: str) -> HopFound:
    """Return a hop that is well, or missed where something is to be done."""
    return HopFound(hop=hop, result="missed" if do else "ok", says=says, do=do)


# --- what need not be tried -------------------------------------------------------------------------------------------


class Facts(NamedTuple):
    """What the hub knows of its parts at the beginning. A fault is what is wrong with a part that the unit has."""

    has_button: bool
    has_ear: bool
    has_speaker: bool
    hearing: Hearing
    knows_phrase: bool
    button_fault: Fault | None = None
    ear_fault: Fault | None = None
    screen_fault: Fault | None = None


def known(facts: Facts) -> dict[Hop, HopFound]:
    """Return the hops that need not be tried, and what is so of them."""
    found = {Hop.BUTTON: _button_known(facts), Hop.SOUND: _sound_known(facts)}
    return {hop: one for hop, one in found.items() if one is not None}


def _button_known(facts: Facts) -> HopFound | None:
    if not facts.has_button:
        return _left_out(Hop.BUTTON, "this unit has none: there is no [button]")
    return _faulty(Hop.BUTTON, facts.button_fault)


def _sound_known(facts: Facts) -> HopFound | None:
    if not facts.has_ear or not facts.has_speaker:
        lacks = "microphone: there is no [listen]" if not facts.has_ear else "speaker: there is no [speaker]"
        return _left_out(Hop.SOUND, f"this unit has no {lacks}")
    if facts.hearing is Hearing.OFF:
        return _left_out(Hop.SOUND, "the microphone is off at this hour, by [listen] hours")
    if facts.hearing is not Hearing.LISTENING:
        says = "the ear does not listen, and does not say why"
        deaf = Fault(code="ear", where="microphone", says=says, do="look at: journalctl -u stayby-listen -n 20")
        return _faulty(Hop.SOUND, facts.ear_fault or deaf)
    if not facts.knows_phrase:
        return _left_out(Hop.SOUND, f"this unit's model does not know the test phrase ({PHRASE})")
    return _faulty(Hop.SOUND, facts.screen_fault)


def _left_out(hop: Hop, says: str) -> HopFound:
    return HopFound(hop=hop, result="left_out", says=says)


def _faulty(hop: Hop, fault: Fault | None) -> HopFound | None:
    return None if fault is None else _of(hop, f"{fault.where}: {fault.says}", fault.do)


# --- what is kept, and when it is too old -----------------------------------------------------------------------------


class Kept(NamedTuple):
    """What is known of earlier proofs, in seconds since 1970.

    Since when this unit is set up, when all hops that could be tried passed, when the sound did, what the last proof missed.
    """

    since_unix_s: float
    passed_unix_s: float | None = None
    sound_unix_s: float | None = None
    missed: Fault | None = None


def kept_after(kept: Kept, found: Sequence[HopFound], unix_s: float) -> Kept:
    """Return what is known after a proof that came to its end."""
    heard = any(one.hop is Hop.SOUND and one.result == "ok" for one in found)
    kept = kept._replace(sound_unix_s=unix_s if heard else kept.sound_unix_s, missed=miss(found))
    return kept if kept.missed else kept._replace(passed_unix_s=unix_s)


def miss(found: Sequence[HopFound]) -> Fault | None:
    """Return the fault of a proof: where it failed, the first word about it, and what to do; None where nothing failed."""
    failed = [one for one in found if one.result == "missed"]
    if not failed:
        return None
    where, first = ", ".join(one.hop for one in failed), failed[0]
    says = f"the daily proof missed it: {first.says}"
    return Fault(code=MISSED, where=where, says=says, do=f"{first.do}; then: sudo stayby prove")


def overdue(kept: Kept, unix_s: float, *, has_sound: bool) -> Fault | None:
    """Return what was not proven for too long. A time that is ahead of the clock counts as none."""
    passed = _oldest_of(kept, kept.passed_unix_s, unix_s)
    if unix_s - passed > OVERDUE_S:
        never = kept.passed_unix_s is None
        says = "this unit never proved itself" if never else f"it proved itself last {_days(unix_s - passed)} ago"
        return Fault(
            code=MISSED,
            where="daily proof",
            says=says,
            do="run: sudo stayby prove; and see: systemctl status stayby-proof.timer",
        )
    heard = _oldest_of(kept, kept.sound_unix_s, unix_s)
    if has_sound and unix_s - heard > OVERDUE_S:
        says = f"speaker and microphone were not proven for {_days(unix_s - heard)}: they are off at the proof's hour"
        return Fault(
            code=MISSED, where=Hop.SOUND, says=says, do="move the hour: see docs/technician.md, The daily proof"
        )
    return None


def _oldest_of(kept: Kept, at_unix_s: float | None, unix_s: float) -> float:
    known = at_unix_s is not None and at_unix_s <= unix_s + AHEAD_S
    return at_unix_s if known and at_unix_s is not None else kept.since_unix_s


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.0f} days"

"""What the unit does while we want it, beacon and meter: said at once, again until confirmed, then renewed. Pure.

OFF is renewed like the others: each second one command is proven to be obeyed, and its round trip is measured. The
firmware takes it as it is meant: OFF does not end the light of a press that waits for its acknowledgement.
"""

from collections import OrderedDict

from firmware_bridge.events import MeterState
from firmware_bridge.protocol import AckStatus, Beacon, Meter, SetBeacon
from firmware_bridge.quality import RoundTrip

LEASE_S = 3.0
RENEW_S = 1.0
RETRY_S = 0.06
"""At 3 % damaged bytes half of the answers are lost: so often, that one comes within 2 s all the same."""
NEVER_S = float("-inf")
UNANSWERED_MAX = 32
"""After so many (2 s) it is no lost frame, but a link that is down."""
METER_RETRY_S = 0.25
READINGS_FRESH_S = 1.0
"""Ten Readings: a disturbed line costs some, and unanswered presses go before them."""
LAPSED_S = 0.5
"""Readings that follow each other in number but not in time: the unit's lease had ended between them."""
JITTER_S = 0.05
SAMPLE_S = 0.001
COUNTER_WRAPS = 256


class BeaconLease:
    """One lease; `round_trip` and `repeats` say how its commands fare on the wire."""

    def __init__(self) -> None:
        self.wanted = Beacon.OFF
        self.round_trip = RoundTrip()
        self.repeats = 0
        self._confirmed = False
        self._said = False
        self._asked_s: float | None = None
        self._sent_s = NEVER_S
        self._unanswered: OrderedDict[int, float] = OrderedDict()

    def want(self, beacon: Beacon) -> None:
        """Show this from now on."""
        if beacon is not self.wanted:
            self.wanted = beacon
            self.doubt()

    def doubt(self) -> None:
        """Say it again now: the unit may not show what we want. What was said before no longer counts."""
        self._confirmed = self._said = False
        self._sent_s = NEVER_S
        self._unanswered.clear()

    def begin_anew(self) -> None:
        """Say it again to a unit that has started again, or that may be another."""
        self.doubt()
        self._asked_s = None

    def asked_since_s(self) -> float | None:
        """Return since when no command was answered; None where none waits."""
        return self._asked_s

    def confirm(self, seq: int, now_s: float) -> bool:
        """Note that the unit has taken the command `seq`; return whether that is an answer to what is wanted now."""
        sent_s = self._unanswered.get(seq)
        if sent_s is None:
            return False
        self.round_trip.add(now_s - sent_s, now_s)
        self._confirmed = True
        self._said = False
        self._asked_s = None
        self._unanswered.clear()
        return True

    def seen(self, beacon: Beacon) -> None:
        """Compare with what the unit says that it shows."""
        if beacon is not self.wanted and self._confirmed:
            self.doubt()

    def due(self, now_s: float, seq: int) -> SetBeacon | None:
        """Return the command to send now under `seq`, if any."""
        wait_s = RENEW_S if self._confirmed else RETRY_S
        if now_s - self._sent_s < wait_s:
            return None
        self.repeats += self._said and len(self._unanswered) < UNANSWERED_MAX
        self._said = True
        self._confirmed = False
        self._sent_s = now_s
        self._asked_s = now_s if self._asked_s is None else self._asked_s
        self._unanswered[seq] = now_s
        while len(self._unanswered) > UNANSWERED_MAX:
            self._unanswered.popitem(last=False)
        return SetBeacon(self.wanted, round(LEASE_S * 10))


class MeterLease:
    """The unit's meter, wanted for a while: it ends by itself when nobody asks again."""

    def __init__(self) -> None:
        self._until_s = self._sent_s = self._readings_s = NEVER_S
        self._seq = -1
        self._told_seq: int | None = None
        self._told_s: float | None = None
        self._confirmed = self._refused = False

    def want(self, until_s: float) -> None:
        """Have the unit measure until then at least."""
        self._until_s = max(until_s, self._until_s)

    def doubt(self) -> None:
        """Begin anew: the unit may be another, or have started again."""
        self._confirmed = self._refused = False
        self._sent_s = self._readings_s = NEVER_S
        self._seq = -1
        self._told_seq = None

    def is_due(self, now_s: float) -> bool:
        """Return whether `command` has to be sent now."""
        wait_s = RENEW_S if self._confirmed else METER_RETRY_S
        return now_s < self._until_s and not self._refused and now_s - self._sent_s >= wait_s

    def command(self, now_s: float, seq: int) -> Meter:
        """Return the command, sent under `seq`."""
        self._sent_s, self._seq, self._confirmed = now_s, seq, False
        return Meter(round(LEASE_S * 10))

    def answered(self, seq: int, status: AckStatus) -> None:
        """Note that the unit has taken a command, or does not know it."""
        if seq == self._seq:
            self._confirmed = status is AckStatus.DONE
            self._refused = not self._confirmed

    def readings_came(self, seq: int, samples: int, now_s: float) -> float | None:
        """Note Readings; return the seconds right before them of which nothing is known, None when nobody wants them."""
        follows = self._told_seq is not None and seq == (self._told_seq + 1) % COUNTER_WRAPS
        before_s, self._told_s, self._told_seq, self._readings_s = self._told_s, now_s, seq, now_s
        if now_s >= self._until_s:
            self._told_s = None
            return None
        gap_s = 0.0 if before_s is None else now_s - before_s - samples * SAMPLE_S
        return gap_s if gap_s > (LAPSED_S if follows else JITTER_S) else 0.0

    def state(self, now_s: float) -> MeterState:
        """Return how the meter is."""
        if now_s >= self._until_s:
            return MeterState.OFF
        if self._refused:
            return MeterState.MISSING
        return MeterState.RUNNING if now_s - self._readings_s <= READINGS_FRESH_S else MeterState.WAITING

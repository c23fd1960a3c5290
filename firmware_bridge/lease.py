"""The wanted beacon, kept leased: said at once, again until it is confirmed, then renewed each second. Pure.

OFF is renewed like the others: each second one command is proven to be obeyed, and its round trip is measured. The
firmware takes it as it is meant: OFF does not end the light of a press that waits for its acknowledgement.
"""

from collections import OrderedDict

from firmware_bridge.protocol import Beacon, SetBeacon
from firmware_bridge.quality import RoundTrip

LEASE_S = 3.0
RENEW_S = 1.0
RETRY_S = 0.06
"""At 3 % damaged bytes half of the answers are lost: so often, that one comes within 2 s all the same."""
NEVER_S = float("-inf")
UNANSWERED_MAX = 32
"""After so many (2 s) it is no lost frame, but a link that is down."""


class BeaconLease:
    """One lease; `round_trip` and `repeats` say how its commands fare on the wire."""

    def __init__(self) -> None:
        self.wanted = Beacon.OFF
        self.round_trip = RoundTrip()
        self.repeats = 0
        self._confirmed = False
        self._said = False
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

    def confirm(self, seq: int, now_s: float) -> bool:
        """Note that the unit has taken the command `seq`; return whether that is an answer to what is wanted now."""
        sent_s = self._unanswered.get(seq)
        if sent_s is None:
            return False
        self.round_trip.add(now_s - sent_s, now_s)
        self._confirmed = True
        self._said = False
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
        self._unanswered[seq] = now_s
        while len(self._unanswered) > UNANSWERED_MAX:
            self._unanswered.popitem(last=False)
        return SetBeacon(self.wanted, round(LEASE_S * 10))

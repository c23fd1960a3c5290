"""Says when the ear must not listen because the unit itself speaks: our own "Do you need help?" is no call for help.

Pure: it is told of prompts and asked about stretches of sound, all in CLOCK_MONOTONIC seconds.

- While a prompt plays, and 0.3 s after it (the room's echo, the sound's way to us), no sound counts.
- A prompt can be told again with another end: players know the true one only when they are done.
- No prompt, and no row of prompts without a second's pause between them, deafens for more than 20 s: a broken player must not
  take the ear away. After that our own voice may be heard as a stranger's; button and touch work all the time in any case.
- Nor is it deaf for more than 45 s of any 60 s, whoever plays with the screen, and says so when that would be. This needs no
  exception for the beat of CPR, which sounds for minutes: nobody is told of it, and it deafens nobody.
"""

from collections import deque
from typing import NamedTuple

from kiosk.allowance import WINDOW_S, Allowance

LONGEST_S = 20.0
TAIL_S = 0.3
PAUSE_S = 1.0
MOST_S = 45.0
"""Of any 60 s."""
KEEP = 16


class _Prompt(NamedTuple):
    start_s: float
    end_s: float
    row_start_s: float
    """When the row of prompts began that it belongs to."""
    row_end_s: float


class OwnVoice:
    """The unit's own prompts; constant memory."""

    def __init__(self) -> None:
        self._prompts: deque[_Prompt] = deque(maxlen=KEEP)
        self._allowance = Allowance(MOST_S)
        self._listened_s = float("-inf")

    def speaks(self, start_s: float, end_s: float, now_s: float) -> bool:
        """Note a prompt, or the new end of the last one; return whether its time makes sense at `now_s`."""
        if end_s < start_s or abs(start_s - now_s) > LONGEST_S:
            return False
        if self._prompts and self._prompts[-1].start_s == start_s:
            self._prompts.pop()
        end_s = min(
            end_s, start_s + LONGEST_S
        )  # an end that never comes must not make every later prompt a part of this row
        last = self._prompts[-1] if self._prompts else None
        if last is None or start_s > last.row_end_s + PAUSE_S:
            self._prompts.append(_Prompt(start_s, end_s, start_s, end_s))
        else:
            self._prompts.append(_Prompt(start_s, end_s, last.row_start_s, max(last.row_end_s, end_s)))
        return True

    def covers(self, start_s: float, end_s: float) -> bool:
        """Whether any of the sound between these times may be our own."""
        return any(start_s < _deaf_until_s(one) and end_s > one.start_s for one in self._prompts)

    def deafens(self, start_s: float, end_s: float) -> bool:
        """Whether the next piece of sound, between these times, does not count; where it would be too much, it does."""
        if not self.covers(start_s, end_s):
            return False
        if self._allowance.wait_s(end_s, end_s - start_s) > 0:
            self._listened_s = end_s
            return False
        self._allowance.use(start_s, end_s)
        return True

    def too_much(self, now_s: float) -> bool:
        """Whether it listened to our own voice within the last minute, because there was too much of it."""
        return now_s - self._listened_s < WINDOW_S


def _deaf_until_s(prompt: _Prompt) -> float:
    return min(prompt.end_s + TAIL_S, prompt.row_start_s + LONGEST_S)

"""Decides when the screen speaks: when its page turns to one with other prompts, and when somebody asks for it again.

Rules
- What is said belongs to a page: it ends when the page turns to another kind, and goes on while the page only changes.
- Pages give no prompts where a voice would be wrong (a silent call, a voice that is off); here nothing is added to them.
- The beat goes with a page that shows it.
- Nobody keeps the ear from listening by playing with the screen: that there is a voice is said every 10 s at most, a page is said
  again when it is done, and where nothing is open and nobody follows steps the voice has 15 s of any 60.
"""

from kiosk.allowance import Allowance
from kiosk.guidance import Pace
from kiosk.page import Kind, Look, Page
from kiosk.ui.voice import Voice

CONFIRMS, CONFIRM_S = "say_voice", 10.0
"""What says that there is a voice, and how far apart it is said."""
QUIET_S, LONGEST_S = 15.0, 4.0
"""What the voice has of any 60 s where nothing is open, and the longest prompt there."""
NEEDED = frozenset({Kind.GONE, Kind.TELLING, Kind.STEPS, Kind.CASES})
"""Said without an incident, too: they are for somebody who needs help now."""
STEPPED_S = 1.0


class Said:
    """What was said last, of which page. Without a voice it says nothing and notes it all the same."""

    def __init__(self, voice: Voice | None) -> None:
        self._voice = voice
        self._kind: Kind | None = None
        self._turn: object = None
        self._quiet = Allowance(QUIET_S)
        self._confirmed_s = self._stepped_s = float("-inf")
        self.last: tuple[str, ...] = ()

    def turned(self, page: Page, look: Look, volume_percent: int, now_s: float) -> None:
        """Take the page that is shown now."""
        kind, turn = self._kind, (page.incident, page.step, page.prompts, look.language)
        self._count(page, now_s)
        if page.prompts and turn != self._turn:
            self._say(page.prompts if self._may(page, now_s) else (), look, volume_percent, now_s)
        elif not page.prompts and kind is not page.kind and self.last:
            self._say((), look, volume_percent, now_s)
        self._kind, self._turn = page.kind, turn
        if self._voice is not None:
            on = page.pace is Pace.CPR and look.voice
            self._voice.beat(on, volume_percent, now_s)
            self._voice.step(now_s)

    def again(self, page: Page, look: Look, volume_percent: int, now_s: float) -> None:
        """Say what belongs to the page once more, unless it is still being said."""
        if not self._speaks and self._may(page, now_s):
            self._say(page.prompts, look, volume_percent, now_s)

    @property
    def _speaks(self) -> bool:
        return self._voice is not None and self._voice.speaks

    def _count(self, page: Page, now_s: float) -> None:
        if self._speaks and _idle(page) and now_s - self._stepped_s < STEPPED_S:
            self._quiet.use(self._stepped_s, now_s)
        self._stepped_s = now_s

    def _may(self, page: Page, now_s: float) -> bool:
        if CONFIRMS in page.prompts:
            if now_s - self._confirmed_s < CONFIRM_S:
                return False
            self._confirmed_s = now_s
        return not _idle(page) or not self._quiet.wait_s(now_s, LONGEST_S)

    def _say(self, keys: tuple[str, ...], look: Look, volume_percent: int, now_s: float) -> None:
        self.last = keys
        if self._voice is not None:
            self._voice.say(keys, look.language, volume_percent, now_s)

    @property
    def beat_began_s(self) -> float | None:
        """When the beat that is heard began, if one is."""
        return self._voice.beat_began_s if self._voice is not None else None


def _idle(page: Page) -> bool:
    return page.incident is None and page.kind not in NEEDED

"""Decides when the screen speaks: when its page turns to one with other prompts, and when somebody asks for it again.

Rules
- What is said belongs to a page: it ends when the page turns to another kind, and goes on while the page only changes.
- Pages give no prompts where a voice would be wrong (a silent call, a voice that is off); here nothing is added to them.
- The beat goes with a page that shows it.
"""

from kiosk.guidance import Pace
from kiosk.page import Kind, Look, Page
from kiosk.ui.voice import Voice


class Said:
    """What was said last, of which page. Without a voice it says nothing and notes it all the same."""

    def __init__(self, voice: Voice | None) -> None:
        self._voice = voice
        self._kind: Kind | None = None
        self._turn: object = None
        self.last: tuple[str, ...] = ()

    def turned(self, page: Page, look: Look, volume_percent: int, now_s: float) -> None:
        """Take the page that is shown now."""
        kind, turn = self._kind, (page.incident, page.step, page.prompts, look.language)
        if page.prompts and turn != self._turn:
            self._say(page.prompts, look, volume_percent, now_s)
        elif not page.prompts and kind is not page.kind and self.last:
            self._say((), look, volume_percent, now_s)
        self._kind, self._turn = page.kind, turn
        if self._voice is not None:
            on = page.pace is Pace.CPR and look.voice
            self._voice.beat(on, volume_percent, now_s)
            self._voice.step(now_s)

    def again(self, page: Page, look: Look, volume_percent: int, now_s: float) -> None:
        """Say what belongs to the page once more."""
        self._say(page.prompts, look, volume_percent, now_s)

    def _say(self, keys: tuple[str, ...], look: Look, volume_percent: int, now_s: float) -> None:
        self.last = keys
        if self._voice is not None:
            self._voice.say(keys, look.language, volume_percent, now_s)

    @property
    def beat_began_s(self) -> float | None:
        """When the beat that is heard began, if one is."""
        return self._voice.beat_began_s if self._voice is not None else None

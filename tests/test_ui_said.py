"""When the screen speaks, and that nobody keeps the ear from listening by playing with it."""

import time

import pytest
import soundfile

from kiosk.messages import Language
from kiosk.page import Kind, Look, Page
from kiosk.ui.said import CONFIRM_S, LONGEST_S, QUIET_S, Said
from kiosk.ui.voice import AHEAD_S, PROMPTS, Told, Voice

VIEW = Page(Kind.VIEW, "Aisle 3", prompts=("say_voice",))
THANKS = Page(Kind.CLOSED, "Aisle 3", prompts=("say_thanks",))
STEPS = Page(Kind.STEPS, "Aisle 3", prompts=("say_coming",))
FLIP_S = 0.5


def flips(said: Said, from_s: float, until_s: float) -> list[float]:
    """Choose one language after another on the page for it; return when that was said."""
    times: list[float] = []
    for turn in range(int((until_s - from_s) / FLIP_S)):
        now_s = from_s + turn * FLIP_S
        said.turned(VIEW, Look(language=list(Language)[turn % 6]), 80, now_s)
        times += [now_s] if said.last else []
    return times


def test_that_there_is_a_voice_is_said_at_once_and_not_again_for_10_s() -> None:
    assert flips(Said(None), 100.0, 130.0) == [100.0, 100.0 + CONFIRM_S, 100.0 + 2 * CONFIRM_S]


def test_another_page_is_said_whatever_was_confirmed() -> None:
    said = Said(None)
    flips(said, 100.0, 101.0)
    said.turned(STEPS, Look(), 80, 101.0)
    assert said.last == STEPS.prompts


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("key", ["say_voice", "say_thanks"])
def test_no_prompt_of_a_quiet_desk_is_longer_than_reckoned(key: str, language: Language) -> None:
    assert soundfile.info(PROMPTS / language / f"{key}.opus").duration < LONGEST_S


class Speaker:
    """A voice that nobody hears, and the ear that is told of it."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.voice = Voice("null", self._send)
        self.said = Said(self.voice)

    def _send(self, speaking: Told) -> bool:
        self.told.append(speaking)
        return True

    def shows(self, page: Page, look: Look, for_s: float, *, again: bool = False) -> None:
        until_s = time.monotonic() + for_s
        while (now_s := time.monotonic()) < until_s:
            self.said.turned(page, look, 80, now_s)
            if again:
                self.said.again(page, look, 80, now_s)
            time.sleep(0.02)

    def starts(self) -> set[float]:
        return {one.start_s for one in self.told}


@pytest.mark.parts
def test_a_quiet_desk_speaks_15_s_of_a_minute_and_for_who_needs_it_all_the_same() -> None:
    one = Speaker()
    try:
        one.shows(THANKS, Look(), 4.0)
        first_s = one.told[-1].end_s - one.told[0].start_s
        now_s = time.monotonic()
        used_s = QUIET_S - LONGEST_S - first_s
        assert one.said._quiet.wait_s(now_s, QUIET_S - first_s - 0.5) == 0
        assert one.said._quiet.wait_s(now_s, QUIET_S - first_s + 0.5) > 0
        one.said._quiet.use(now_s - 0.5, now_s - 0.5 + used_s + 0.5)
        one.shows(THANKS, Look(language=Language.FRENCH), 0.5)
        assert len(one.starts()) == 1
        one.shows(STEPS, Look(), 0.5)
        assert len(one.starts()) == 2
    finally:
        one.voice.stop()


@pytest.mark.parts
def test_say_it_again_waits_until_it_was_said() -> None:
    """Touched as often as anybody can: each time it is said to its end."""
    one = Speaker()
    try:
        one.shows(STEPS, Look(), 6.0, again=True)
    finally:
        one.voice.stop()
    length_s = soundfile.info(PROMPTS / "en" / "say_coming.opus").duration
    whole = [last.end_s - first.start_s for first, last in zip(one.told[::2], one.told[1::2], strict=False)]
    assert len(whole) >= 2
    assert min(whole) >= length_s - AHEAD_S - 0.1, "the null device is done as soon as it has all of it"

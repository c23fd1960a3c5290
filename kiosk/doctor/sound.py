"""Proves speaker and microphone by each other: a soft rush of noise goes out, and the ear's meter must rise meanwhile.

Only when nothing is open and when it was asked for: people may stand at the desk. The ear keeps its microphone, so that a call
is heard all along. White noise and no tone: of tones, even soft ones, the ear's model is nearly as sure as of a call; of noise it
never is (tested with the real model).
"""

import array
import os
import random
import statistics
import threading
import time
from collections.abc import Callable

from kiosk.config import UnitConfig
from kiosk.doctor.record import Check, untested, well, wrong
from kiosk.doctor.unit import idle
from kiosk.messages import Hearing, StatusAnswer
from kiosk.ui.speaker import RATE_HZ, Broken, Stream

NAME = "sound loop"
RUSH_S, FADE_S = 4.0, 1.0
RUSH_DBFS = -26.0
REPORTS = 3
RISE_DB = 6.0
ASK_EVERY_S, WAIT_S = 0.2, 8.0

Ask = Callable[[], StatusAnswer | None]


def rush() -> bytes:
    """Return white noise that swells and fades, the same each time: 16-bit samples at the speaker's rate."""
    count, noise = int(RUSH_S * RATE_HZ), random.Random(7)  # noqa: S311 - the same sound each time is what is wanted
    loud = 32767 * 10 ** (RUSH_DBFS / 20)
    fades = (min(1.0, number / RATE_HZ / FADE_S, (count - number) / RATE_HZ / FADE_S) for number in range(count))
    return array.array("h", (int(max(-32767, min(32767, noise.gauss(0, loud) * fade))) for fade in fades)).tobytes()


def loop(config: UnitConfig, ask: Ask) -> Check:
    """Play the rush, and return whether the ear's meter rose by it."""
    refusal = _refusal(config, ask())
    if refusal is not None or config.speaker is None:
        return untested(NAME, refusal or "this unit has no [speaker] in kiosk.toml")
    before = _levels(ask, lambda: False)
    player = _Player(config.speaker.device)
    player.start()
    # The first second swells, and the report that is on its way was measured before it.
    player.sounding.wait(2.0)
    during = _levels(ask, lambda: not player.is_alive())
    player.join()
    if player.broken is not None:
        return wrong(NAME, str(player.broken), player.broken.do)
    if player.took_s < RUSH_S / 2:
        says = f"{config.speaker.device} swallowed {RUSH_S:g} s of sound in {player.took_s:.1f} s: no speaker plays it"
        return wrong(NAME, says, "set [speaker] device to a real one; `aplay -l` lists them", took_s=player.took_s)
    return _verdict(before, during)


def _refusal(config: UnitConfig, answer: StatusAnswer | None) -> str | None:
    if config.listen is None:
        return "this unit has no microphone"
    if answer is None:
        return "the hub does not answer"
    if not idle(answer):
        return "an alert is open, or a press is waited for: not now"
    if answer.ear is None or answer.ear.state is not Hearing.LISTENING:
        return "the microphone does not listen now"
    return None


class _Player(threading.Thread):
    """Plays the rush once; what is wrong with the speaker is kept for whoever waits."""

    def __init__(self, device: str) -> None:
        super().__init__(name="rush", daemon=True)
        self._device = device
        self.broken: Broken | None = None
        self.took_s = 0.0
        self.sounding = threading.Event()

    def run(self) -> None:
        sound, head = rush(), int(FADE_S * RATE_HZ) * 2
        begun_s = time.monotonic()
        try:
            with Stream(self._device, dict(os.environ)) as stream:
                stream.write(sound[:head])
                self.sounding.set()
                stream.write(sound[head:])
                stream.drain()
        except Broken as error:
            self.broken = error
        self.took_s = time.monotonic() - begun_s
        self.sounding.set()


def _levels(ask: Ask, over: Callable[[], bool]) -> list[float]:
    """Return the next levels that the ear reports, `REPORTS` of them, fewer when it is `over` or too long ago."""
    found: dict[float, float] = {}
    end_s = time.monotonic() + WAIT_S
    first = True
    while len(found) < REPORTS + 1 and time.monotonic() < end_s and (first or not over()):
        first = False
        answer = ask()
        if answer is not None and answer.ear is not None and answer.ear.level_dbfs is not None:
            found.setdefault(answer.ear.audio_s, answer.ear.level_dbfs)
        time.sleep(ASK_EVERY_S)
    return list(found.values())[1:]  # the first one was measured before anybody asked


def _verdict(before: list[float], during: list[float]) -> Check:
    if not before or not during:
        return untested(NAME, "the microphone reported nothing in that time", "ask again")
    quiet, heard = max(before), statistics.median(during)
    measured = {"before_dbfs": quiet, "during_dbfs": heard, "rise_db": round(heard - quiet, 1)}
    says = f"the microphone rose by {heard - quiet:.0f} dB ({quiet:.0f} to {heard:.0f} dBFS) while the rush sounded"
    if heard - quiet >= RISE_DB:
        return well(NAME, says, **measured)
    do = (
        "did you hear it rush? If not: [speaker] device and its volume in alsamixer. If so: [listen] device and its gain, "
        "or the room was loud: ask again when it is quiet"
    )
    return wrong(NAME, says, do, **measured)

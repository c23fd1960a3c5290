"""How the button is, in the words of the bus and in one line for a person."""

from dataclasses import dataclass
from typing import get_args

from firmware_bridge.events import LinkStatistics, Metered, MeterState
from firmware_bridge.protocol import LoopState
from kiosk.messages import ButtonHealth, LoopWord, MeterWord

_WORDS: dict[str, LoopWord] = {word: word for word in get_args(LoopWord)}
_METER_WORDS: dict[MeterState, MeterWord] = {
    MeterState.OFF: "off",
    MeterState.WAITING: "waiting",
    MeterState.RUNNING: "running",
    MeterState.MISSING: "missing",
}
METER_S = 2.0
"""So long the unit's meter runs on after an asking."""


@dataclass
class Extremes:
    """Of all samples of both loops since somebody last asked."""

    low_v: float | None = None
    high_v: float | None = None
    covert_low_v: float | None = None
    covert_high_v: float | None = None
    samples: int = 0
    unseen_s: float = 0.0

    def take(self, told: Metered) -> None:
        """Note a tenth of a second."""
        self.low_v = least(self.low_v, told.low_volts)
        self.high_v = most(self.high_v, told.high_volts)
        self.covert_low_v = least(self.covert_low_v, told.covert_low_volts)
        self.covert_high_v = most(self.covert_high_v, told.covert_high_volts)
        self.samples += told.samples
        self.unseen_s += told.unseen_s


def least(one: float | None, other: float | None) -> float | None:
    """Return the smaller one, or the one that is known."""
    return min((volts for volts in (one, other) if volts is not None), default=None)


def most(one: float | None, other: float | None) -> float | None:
    """Return the greater one, or the one that is known."""
    return max((volts for volts in (one, other) if volts is not None), default=None)


def button_health(port: str, link: LinkStatistics, now_s: float, seen: Extremes | None = None) -> ButtonHealth:
    """Return what the link at `port` knows of its button, and what the meter has `seen`."""
    seen = seen or Extremes()
    return ButtonHealth(
        port=port,
        up=link.up_since_s is not None,
        says=link.says,
        firmware=link.firmware,
        build=link.build,
        reset_cause=link.reset_cause,
        loop=_word(link.loop),
        loop_volts=link.loop_volts,
        covert_loop=_word(link.covert_loop),
        covert_volts=link.covert_volts,
        lid_open=link.lid_open,
        presses=link.presses,
        covert_presses=link.covert_presses,
        frames=link.frames,
        bad_frames=link.bad_frames,
        repeated_frames=link.repeated_frames,
        own_repeats=link.own_repeats,
        unit_bad_frames=link.unit_bad_frames,
        round_trip_ms=_ms(link.round_trip_s),
        round_trip_worst_ms=_ms(link.round_trip_worst_s),
        local_alarm=link.local_alarm,
        up_for_s=None if link.up_since_s is None else now_s - link.up_since_s,
        meter=_METER_WORDS[link.meter],
        loop_low_volts=seen.low_v,
        loop_high_volts=seen.high_v,
        covert_low_volts=seen.covert_low_v,
        covert_high_volts=seen.covert_high_v,
        samples=seen.samples,
        unseen_s=round(seen.unseen_s, 1),
    )


def health_line(button: ButtonHealth) -> str:
    """Return the one line of `stayby status`."""
    if not button.up:
        return f"button: down; {button.says or f'waiting for its answer on {button.port}'}"
    trip, worst = (_written(ms) for ms in (button.round_trip_ms, button.round_trip_worst_ms))
    return (
        f"button: up, firmware {button.firmware}, last reset {button.reset_cause}; "
        f"loop {button.loop}{_volts(button.loop_volts)}, covert {button.covert_loop}{_volts(button.covert_volts)}, "
        f"lid {'open' if button.lid_open else 'closed'}; "
        f"frames {button.frames} ({button.bad_frames} damaged, {button.repeated_frames} repeated), "
        f"ours {button.unit_bad_frames} damaged, {button.own_repeats} repeated; round trip {trip} (worst {worst})"
    )


def _word(loop: LoopState) -> LoopWord:
    return _WORDS[loop.name.lower()]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)


def _written(ms: float | None) -> str:
    return "not measured" if ms is None else f"{ms:.0f} ms"


def _volts(volts: float | None) -> str:
    return "" if volts is None else f" {volts:.2f} V"

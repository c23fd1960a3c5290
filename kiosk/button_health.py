"""How the button is, in the words of the bus and in one line for a person."""

from typing import get_args

from firmware_bridge.events import LinkStatistics
from firmware_bridge.protocol import LoopState
from kiosk.messages import ButtonHealth, LoopWord

_WORDS: dict[str, LoopWord] = {word: word for word in get_args(LoopWord)}


def button_health(port: str, link: LinkStatistics, now_s: float) -> ButtonHealth:
    """Return what the link at `port` knows of its button."""
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

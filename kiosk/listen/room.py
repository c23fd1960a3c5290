"""What a few minutes of listening say about a room, in plain words, and what they do not say.

Rules
- Pure: no clock, file, thread or device.
- A prediction names what it rests on. Two minutes say little about a week, and this says so.
- Only a stricter threshold is ever proposed: that a room was quiet for two minutes is no reason to hear more in it.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kiosk.detection import Manifest
from kiosk.listen.calibration import LOOSEST, STRICTEST
from kiosk.listen.features import HOP_S
from kiosk.texts import PHRASES

OFFSETS = (LOOSEST, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, STRICTEST)
"""The offsets that are tried beside each other, in log-odds; 0 is as shipped."""
SPEECH_DB_SPL, FULL_SCALE_DB_SPL = 65, 120
"""Ordinary speech at 1 m (ISO 9921), and what fills a digital microphone that gives -26 dBFS at 94 dB, as many do."""
SPEECH_DBFS = SPEECH_DB_SPL - FULL_SCALE_DB_SPL
SPEECH_ABOVE_DB, SPEECH_LEAST_S = 6.0, 1.5
"""What counts as speech when somebody reads aloud: this far above the room's noise, for this long in all."""
WEEK_H = 168.0
FLOOR_SHARE = 0.1


@dataclass(frozen=True)
class Tried:
    """One offset: how often the ear looked closer with it, and how often it would have asked "Do you need help?"."""

    offset: float
    looked: int
    checked: int


@dataclass(frozen=True)
class Room:
    """What was measured; levels are dB below full scale: the floor, the middle, the loudest 80 ms."""

    seconds: float
    noise_dbfs: float
    usual_dbfs: float
    loudest_dbfs: float
    tried: tuple[Tried, ...]
    taken: tuple[tuple[str, float], ...] = ()
    """Phrase and score of what was taken for a call with the thresholds as shipped."""
    speech_dbfs: float | None = None
    """How loud ordinary speech at 1 m arrives here, if somebody read aloud."""

    def at(self, offset: float) -> Tried:
        """Return what was counted with `offset`, one of `OFFSETS`."""
        return next(one for one in self.tried if one.offset == offset)


def measured(
    seconds: float, levels_dbfs: Sequence[float], tried: Sequence[Tried], taken: Sequence[tuple[str, float]] = ()
) -> Room:
    """Return the room of which each 80 ms had one of `levels_dbfs`; there is at least one."""
    ordered = sorted(levels_dbfs)
    floor, middle = ordered[int(len(ordered) * FLOOR_SHARE)], ordered[len(ordered) // 2]
    return Room(seconds, floor, middle, ordered[-1], tuple(tried), tuple(taken))


def speech_level(levels_dbfs: Sequence[float], room: Room) -> float | None:
    """Return the active level of speech (as in ITU-T P.56, by 80 ms) in what was heard; None when there was too little."""
    spoken = [level for level in levels_dbfs if level > room.usual_dbfs + SPEECH_ABOVE_DB]
    if len(spoken) * HOP_S < SPEECH_LEAST_S:
        return None
    return 10 * math.log10(sum(10 ** (level / 10) for level in spoken) / len(spoken))


def propose(room: Room) -> float:
    """Return the mildest offset, as shipped or stricter, with which nothing was taken for a call in this room.

    0 when there is none: a threshold that does not help only hears fewer calls.
    """
    silent = [one.offset for one in room.tried if one.offset >= 0 and one.checked == 0]
    return min(silent, default=0.0)


def open_hours(hours: str | None) -> float:
    """Return the hours a week in which voice listens: of "08:00-21:00" every day, or always."""
    if hours is None:
        return WEEK_H
    start, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in hours.split("-"))
    return (end - start) % (24 * 60) / 60 * 7 or WEEK_H


def most_an_hour(count: int, seconds: float) -> float:
    """Return the rate an hour that `count` events in `seconds` do not exclude: the upper 95 % bound of a Poisson rate.

    3 / T for none (the rule of three), else the approximation of Wilson and Hilferty, right to 1 %.
    """
    above = count + 1
    most = above * (1 - 1 / (9 * above) + 1.645 / (3 * math.sqrt(above))) ** 3 if count else 3.0
    return most / (seconds / 3600)


def figure(manifest: Manifest, name: str) -> float | None:
    """Return one measured figure of the model, if its manifest has it."""
    return next((one.value for one in manifest.figures if one.name == name), None)


def false_an_hour(manifest: Manifest, offset: float) -> float | None:
    """Return the model's own false checks an hour with `offset`, if that was measured."""
    return figure(manifest, f"false_per_h_offset_{offset:+g}" if offset else "false_per_h")


def recall_at(manifest: Manifest, snr_db: float) -> tuple[float, int] | None:
    """Return the measured recall that fits speech `snr_db` above the noise, and the dB that it was measured at.

    It is the next worse condition that was measured, or the worst of all.
    """
    found = {
        int(match[1]): one.value
        for one in manifest.figures
        if (match := re.fullmatch(r"recall_store_(\d+)_db", one.name))
    }
    if not found:
        return None
    db = max((db for db in found if db <= snr_db), default=min(found))
    return found[db], db


# --- in plain words ---------------------------------------------------------------------------------------------------


def in_words(room: Room, manifest: Manifest, hours: str | None) -> list[str]:
    """Return what was measured and what follows, a sentence or two a line."""
    return [*_of_the_room(room), *_of_a_week(room, manifest, open_hours(hours)), *_of_recall(room, manifest)]


def _of_the_room(room: Room) -> Iterator[str]:
    shipped = room.at(0.0)
    yield (
        f"The room: noise floor {room.noise_dbfs:.0f} dB, half of the time above {room.usual_dbfs:.0f} dB,"
        f" loudest {room.loudest_dbfs:.0f} dB (0 is the most that the microphone can give)."
    )
    yield (
        f"In {_minutes(room.seconds)} the ear looked closer {times(shipped.looked)}, and would have asked"
        f" “Do you need help?” {times(shipped.checked)}, with the thresholds as shipped."
    )
    if room.taken:
        words = (
            f"“{PHRASES.get(phrase, 'the covert phrase')}” (score {score:.1f})" for phrase, score in room.taken[:5]
        )
        more = f" and {len(room.taken) - 5} more" if len(room.taken) > 5 else ""  # noqa: PLR2004 - as above
        yield f"What it took for a call: {', '.join(words)}{more}. Was somebody calling? Then calibrate again."


def _of_a_week(room: Room, manifest: Manifest, hours: float) -> Iterator[str]:
    count = room.at(0.0).checked
    an_hour = count / room.seconds * 3600
    most = most_an_hour(count, room.seconds)
    yield (
        f"At {hours:.0f} hours a week that makes {about(an_hour * hours)} false checks a week. {_minutes(room.seconds)} prove"
        f" little: up to {about(most * hours)} a week ({about(most)} an hour) fit as well, with 95 % certainty."
    )
    own = next((one for one in manifest.figures if one.name == "false_per_h"), None)
    if own is None:
        yield "How often this model is mistaken was not measured: its manifest does not say."
    else:
        an_hour, most = own.value, most_an_hour(round(own.value * own.n), own.n * 3600)
        yield (
            f"The model's own measurement: {an_hour:.2g} false checks an hour of dense speech, {about(an_hour * hours)} a week of"
            f" nothing but that; it rests on {own.n:.1f} hours, which {about(most)} an hour would fit as well. Most stores are"
            " quieter; nobody has measured yours for a week."
        )


def _of_recall(room: Room, manifest: Manifest) -> Iterator[str]:
    snr_db = (SPEECH_DBFS if room.speech_dbfs is None else room.speech_dbfs) - room.usual_dbfs
    found = recall_at(manifest, snr_db)
    assumed = (
        f"if speech at 1 m ({SPEECH_DB_SPL} dB) reaches this microphone at {SPEECH_DBFS} dB, which was not measured here"
        if room.speech_dbfs is None
        else f"as it was read aloud: {room.speech_dbfs:.0f} dB"
    )
    if found is None:
        yield f"How many calls are heard in this noise is not known: the model's manifest has no figures for it ({assumed})."
        return
    recall, db = found
    how = "about" if snr_db >= db else "fewer than"
    yield (
        f"Speech is about {snr_db:.0f} dB above this room's noise, {assumed}. Of calls {db} dB above the noise the model"
        f" heard {recall:.0%}, of synthetic voices: expect {how} that here, and fewer of real ones."
    )


def proposal(room: Room) -> str:
    """Return the proposed offset in plain words."""
    offset = propose(room)
    if room.at(offset).checked:
        return (
            f"Proposed: the thresholds as shipped. Even with {STRICTEST:+g} this room is taken for a call, so stricter ones do"
            " not help: think of a better place for the microphone, or of leaving voice off here."
        )
    if offset == 0:
        return "Proposed: the thresholds as shipped."
    return (
        f"Proposed: {offset:+g} on every threshold, the mildest with which nothing here was taken for a call. It hears fewer"
        " real calls too."
    )


def week_words(manifest: Manifest, hours: str | None, offset: float) -> str:
    """Return the model's own false checks a week with `offset`, or which way they go."""
    own = false_an_hour(manifest, offset)
    if own is not None:
        return about(own * open_hours(hours))
    if false_an_hour(manifest, 0.0) is None:
        return "not known"
    return "fewer" if offset > 0 else "more"


def about(value: float) -> str:
    """Return a number with the two digits that it deserves: "0.45", "7,600"."""
    return f"{float(f'{value:.2g}'):,.12g}"


def times(count: int) -> str:
    """Return how often, in words."""
    return {0: "not once", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.3g} minutes" if seconds >= 60 else f"{seconds:.0f} seconds"  # noqa: PLR2004 - a minute

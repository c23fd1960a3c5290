"""The chirp that stands before the test phrase of a daily proof: by it an ear knows a unit's voice from a person's.

Two desks stand a few steps apart, and each hears the other prove itself. A glide from 300 to 3000 Hz in 0.3 s is in no voice, but
sirens, alarms and the gates at a shop's door glide as well. So each third of it must be there, at its own time and in its own
tones; it must end where it ends, and come once: an alarm repeats itself. In doubt there is no chirp, and the phrase is a call.
It is looked for only when the phrase was heard, in the sound of the ring; each copy is wiped.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kiosk.listen.features import CHUNK_SAMPLES, SAMPLE_RATE_HZ, Samples
from kiosk.listen.ring import RING_CHUNKS, Ring

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Waves = npt.NDArray[np.complex128]
FROM_HZ, TO_HZ, CHIRP_S = 300.0, 3000.0, 0.3
SLOPE_HZ = (TO_HZ - FROM_HZ) / CHIRP_S
THIRDS = 3
SURE = 0.55
"""How much of the sound in each third's time and tones must be the glide (1: all of it), at least. Measured: 0.64 and more where
the phrase was as loud as the noise, 0.57 to 0.76 in rooms that ring; at most 0.25 in 100 stretches of speech without a chirp."""
AGAIN, AWAY_S = 0.35, 0.15
"""Another glide so sure, so far from the surest one, makes it a sound that repeats itself."""
ONWARD_S, GOES_ON = 0.05, 0.5
"""What glides on so surely for so long past the chirp's end is a longer glide."""
MARGIN_HZ = 100.0
SILENT = 1.0
"""Added to each product of energies, so that digital silence is like nothing."""


def chirp(rate_hz: int) -> Floats:
    """Return the glide; it swells and fades, and its loudest sample is 1."""
    t = np.arange(round(CHIRP_S * rate_hz)) / rate_hz
    return np.asarray(np.sin(_phase(t)) * _swell(t), np.float32)


def chirp_began_s(ring: Ring) -> float | None:
    """Return when the chirp in the sound of the last three seconds began, by the ring's clock; None where none is sure."""
    position = ring.position
    sound = np.empty(RING_CHUNKS * CHUNK_SAMPLES, np.int16)
    count = min(position, RING_CHUNKS - 1)
    last = ring.last(position, count, sound[: count * CHUNK_SAMPLES]) if count else None
    end_s, at = ring.end_s(position - 1), None if last is None else chirp_at(last)
    sound.fill(0)
    return None if at is None or end_s is None else end_s - (count * CHUNK_SAMPLES - at) / SAMPLE_RATE_HZ


def chirp_at(sound: Samples) -> int | None:
    """Return at which sample of a sound (16 kHz) the chirp begins; None unless it is surely there, whole and once."""
    if len(sound) <= CHIRP_S * SAMPLE_RATE_HZ:
        return None
    *thirds, onward = _alike(sound)
    whole = np.min(thirds, axis=0)
    at = int(whole.argmax())
    away = np.abs(np.arange(len(whole)) - at) > AWAY_S * SAMPLE_RATE_HZ
    once = float(whole[away].max(initial=0.0)) < AGAIN
    return at if whole[at] >= SURE and once and onward[at] < GOES_ON else None


class _Part(NamedTuple):
    """A stretch of the glide: its tones, its wave and how much each sample of it weighs, as spectra."""

    tones: npt.NDArray[np.bool_]
    wave: Waves
    weight: Waves
    sum: float


@cache
def _parts(size: int) -> tuple[_Part, ...]:
    """Return the thirds of the glide, and what would follow if it glided on."""
    ends_s = [(CHIRP_S * third / THIRDS, CHIRP_S * (third + 1) / THIRDS) for third in range(THIRDS)]
    return tuple(_part(start_s, end_s, size) for start_s, end_s in [*ends_s, (CHIRP_S, CHIRP_S + ONWARD_S)])


def _part(start_s: float, end_s: float, size: int) -> _Part:
    t, hz = np.arange(size) / SAMPLE_RATE_HZ, np.fft.fftfreq(size, 1 / SAMPLE_RATE_HZ)
    weight = np.where((t >= start_s) & (t < end_s), _swell(t) if end_s <= CHIRP_S else 1.0, 0.0)
    low_hz, high_hz = (FROM_HZ + SLOPE_HZ * s for s in (start_s, end_s))
    tones = (hz >= low_hz - MARGIN_HZ) & (hz < high_hz + MARGIN_HZ)
    wave = np.conj(np.fft.fft(weight * np.exp(1j * _phase(t))))
    return _Part(tones, wave, np.conj(np.fft.fft(weight)), float(weight.sum()))


def _alike(sound: Samples) -> list[Doubles]:
    """Return for each part how much of the sound is like it (0 to 1) if the glide begins at each sample."""
    size = 1 << (len(sound) + round((CHIRP_S + ONWARD_S) * SAMPLE_RATE_HZ)).bit_length()
    spectrum = np.fft.fft(sound, size)
    until = len(sound) - round(CHIRP_S * SAMPLE_RATE_HZ)
    alike = [_alike_to(part, spectrum)[:until] for part in _parts(size)]
    spectrum.fill(0)
    return alike


def _alike_to(part: _Part, spectrum: Waves) -> Doubles:
    own = np.where(part.tones, spectrum, 0)
    inside = np.fft.ifft(own)
    energy = np.abs(inside) ** 2
    found = np.abs(np.fft.ifft(own * part.wave))
    most = np.fft.ifft(np.fft.fft(energy) * part.weight).real * part.sum
    for copy in (own, inside, energy):
        copy.fill(0)
    return np.asarray(found / np.sqrt(np.maximum(most, 0.0) + SILENT), np.float64)


def _phase(t: Doubles) -> Doubles:
    return np.asarray(2 * np.pi * (FROM_HZ * t + SLOPE_HZ * t**2 / 2), np.float64)


def _swell(t: Doubles) -> Doubles:
    return np.asarray(np.sin(np.pi * t / CHIRP_S) ** 2, np.float64)

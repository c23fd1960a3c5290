"""The chirp that stands before the test phrase of a daily proof: by it an ear knows a unit's voice from a person's.

Two desks stand a few steps apart, and each hears the other prove itself. A glide from 300 to 3000 Hz in 0.3 s is in no voice; a
filter that is made for it finds it far below the noise. It is looked for only when the phrase was heard, in the sound of the ring;
each copy is wiped.
"""

import numpy as np
import numpy.typing as npt

from kiosk.listen.features import CHUNK_SAMPLES, SAMPLE_RATE_HZ, Samples
from kiosk.listen.ring import RING_CHUNKS, Ring

Floats = npt.NDArray[np.float32]
FROM_HZ, TO_HZ, CHIRP_S = 300.0, 3000.0, 0.3
SURE = 20.0
"""How far the filter's peak stands above what it usually gives, at least. Measured: 23 or more where the phrase was played 3 dB
below the noise in a room that rings for 0.8 s; at most 16 in 392 stretches of speech without a chirp."""
FLOOR = 1e-3


def chirp(rate_hz: int) -> Floats:
    """Return the glide; it swells and fades, and its loudest sample is 1."""
    t = np.arange(round(CHIRP_S * rate_hz)) / rate_hz
    phase = 2 * np.pi * (FROM_HZ * t + (TO_HZ - FROM_HZ) * t**2 / (2 * CHIRP_S))
    return np.asarray(np.sin(phase) * np.sin(np.pi * t / CHIRP_S) ** 2, np.float32)


def chirped(ring: Ring) -> bool:
    """Return whether the chirp is in the sound of the last three seconds."""
    position = ring.position
    sound = np.empty(RING_CHUNKS * CHUNK_SAMPLES, np.int16)
    count = min(position, RING_CHUNKS - 1)
    last = ring.last(position, count, sound[: count * CHUNK_SAMPLES]) if count else None
    found = last is not None and sureness(last) >= SURE
    sound.fill(0)
    return found


def sureness(sound: Samples) -> float:
    """Return how far the chirp stands out of a sound (16 kHz): its filter's peak against the root mean square of all it gives.

    The sound is whitened first, so that a loud vowel counts no more than a faint glide.
    """
    size = 1 << (len(sound) + round(CHIRP_S * SAMPLE_RATE_HZ)).bit_length()
    spectrum = np.fft.rfft(sound, size)
    level = np.abs(spectrum)
    spectrum /= level + FLOOR * max(float(level.max()), 1.0)
    wanted = np.conj(np.fft.rfft(chirp(SAMPLE_RATE_HZ), size))
    spectrum *= wanted / (np.abs(wanted) + FLOOR * float(np.abs(wanted).max()))
    found = np.abs(np.fft.irfft(spectrum, size))
    peak, usual = float(found.max()), float(np.sqrt(np.mean(found**2) * size / len(sound)))
    for copy in (spectrum, level, found):
        copy.fill(0)
    return peak / usual if usual > 0 else 0.0

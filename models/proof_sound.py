"""Renders the sound of the daily proof: a soft chirp, a pause, and the test phrase, into `kiosk/prompts/proof.opus`.

    python -m models.proof_sound

Spoken and levelled as the prompts are (`models.prompts`), by the same voice. The chirp comes first so that the phrase startles
nobody. It is a glide: of a steady tone the ear's model is nearly as sure as of a call, of this one never (a test).
"""

import numpy as np

from kiosk.messages import Language
from models.prompts import PROMPTS, RATE_HZ, SPEECH_DBFS, Floats, _encode, _factor, finished, speaker

TEXT = "I feel faint."
"""What `kiosk.daily_proof.PHRASE` is to the model."""
FROM_HZ, TO_HZ, CHIRP_S, PAUSE_S = 300.0, 3000.0, 0.4, 0.35
CHIRP_DB = -6.0
"""Against the speech."""
FILE = PROMPTS / "proof.opus"


def chirp() -> Floats:
    """Return a glide that swells and fades."""
    t = np.arange(round(CHIRP_S * RATE_HZ)) / RATE_HZ
    glide = (
        np.sin(2 * np.pi * (FROM_HZ * t + (TO_HZ - FROM_HZ) * t**2 / (2 * CHIRP_S))) * np.sin(np.pi * t / CHIRP_S) ** 2
    )
    loud = _factor(SPEECH_DBFS + CHIRP_DB) / np.sqrt(np.mean(glide**2))
    return np.asarray(glide * loud, np.float32)


def main() -> None:
    """Render it."""
    speech = finished(speaker(Language.ENGLISH)(TEXT))
    _encode(np.concatenate([chirp(), np.zeros(round(PAUSE_S * RATE_HZ), np.float32), speech]), FILE)
    print(FILE)


if __name__ == "__main__":
    main()

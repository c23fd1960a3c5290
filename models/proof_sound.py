"""Renders the sound of the daily proof: a soft chirp, a pause, and the test phrase, into `kiosk/prompts/proof.opus`.

    python -m models.proof_sound

Spoken and levelled as the prompts are (`models.prompts`), by the same voice. The chirp comes first so that the phrase startles
nobody, and tells another unit's ear whose voice it is (`kiosk.listen.chirp`). It is a glide: of a steady tone the ear's model is
nearly as sure as of a call, of this one never (a test).
"""

import numpy as np

from kiosk.listen.chirp import chirp
from kiosk.messages import Language
from models.prompts import PROMPTS, RATE_HZ, SPEECH_DBFS, _encode, _factor, finished, speaker

TEXT = "I feel faint."
"""What `kiosk.daily_proof.PHRASE` is to the model."""
PAUSE_S = 0.15
CHIRP_DB = -6.0
"""Against the speech."""
FILE = PROMPTS / "proof.opus"


def main() -> None:
    """Render it."""
    glide = chirp(RATE_HZ)
    glide *= _factor(SPEECH_DBFS + CHIRP_DB) / np.sqrt(np.mean(glide**2))
    speech = finished(speaker(Language.ENGLISH)(TEXT))
    _encode(np.concatenate([glide, np.zeros(round(PAUSE_S * RATE_HZ), np.float32), speech]), FILE)
    print(FILE)


if __name__ == "__main__":
    main()

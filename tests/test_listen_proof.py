"""The model computes on this machine and runtime what it computed where it was measured."""

import numpy as np

from kiosk.listen.features import SAMPLE_RATE_HZ
from kiosk.listen.loop import Loop
from kiosk.listen.model import load_model, packaged_model
from kiosk.listen.proof import LENGTH_S, TOLERANCE, proof_scores, proof_sound


def test_this_runtime_scores_the_proof_sound_as_the_trainer_did() -> None:
    model = load_model(packaged_model())
    proof = model.manifest.proof
    assert len(proof) >= LENGTH_S * 12, "the manifest holds a score for each hop"
    assert max(proof) - min(proof) > 1, "a proof that never moves would prove nothing"
    np.testing.assert_allclose(proof_scores(Loop(model)), proof, atol=TOLERANCE)


def test_the_proof_sound_is_the_same_everywhere_and_loud_enough() -> None:
    sound = proof_sound()
    assert len(sound) == LENGTH_S * SAMPLE_RATE_HZ
    assert 3_000 < np.abs(sound).max() < 32_000
    np.testing.assert_array_equal(sound, proof_sound())

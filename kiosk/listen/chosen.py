"""Loads the model that the configuration names; a covert phrase that it does not have is a fault, and the ear goes on without."""

from kiosk.config import ListenSection
from kiosk.covert import wrong_choice
from kiosk.listen.model import PhraseModel, load_model, packaged_model, read_manifest
from kiosk.messages import Fault


def load_chosen(config: ListenSection) -> tuple[PhraseModel, Fault | None]:
    """Return the model, and what is wrong with the covert phrase; ModelError when the model itself cannot be used."""
    folder = config.model_dir or packaged_model()
    wrong = wrong_choice(read_manifest(folder), config.covert_phrase)
    if wrong is None:
        return load_model(folder, config.covert_phrase), None
    says, do = wrong
    return load_model(folder), Fault(code="covert_unknown", where="[listen] covert_phrase", says=says, do=do)

"""The store's covert phrase: which it may be, what is said of a wrong one, and that no screen ever says it."""

import json

import pytest

from kiosk.config import ListenSection
from kiosk.config_file import PACKAGED_MODEL
from kiosk.covert import covert_choices, wrong_choice
from kiosk.detection import Manifest, parse_manifest
from kiosk.listen.chosen import load_chosen
from kiosk.texts import NEVER_READ_BACK, PHRASES


def manifest(*covert: str) -> Manifest:
    data = json.loads((PACKAGED_MODEL / "manifest.json").read_text())
    calls = [phrase for phrase in data["phrases"] if phrase["id"] in {"help_me", "police"}]
    data["phrases"] = [*calls, *({**calls[1], "id": name, "covert": True} for name in covert)]
    data["second_look"]["words"] = {}
    return parse_manifest(json.dumps(data), "manifest.json")


def test_the_choices_are_the_covert_phrases_of_the_model() -> None:
    assert covert_choices(manifest("angela", "yellow_umbrella")) == ("angela", "yellow_umbrella")
    assert covert_choices(manifest()) == ()


@pytest.mark.parametrize("chosen", ["Is Angela here?", "help_me", "", "x" * 300])
def test_a_wrong_choice_lists_the_right_ones(chosen: str) -> None:
    wrong = wrong_choice(manifest("angela", "blue_suitcase"), chosen)
    assert wrong is not None
    assert wrong[0].endswith("is not a covert phrase of this model")
    assert wrong[1] == "choose one of: angela, blue_suitcase"
    assert len(" ".join(wrong)) < 150


def test_a_model_without_covert_phrases_says_so() -> None:
    assert wrong_choice(manifest(), "angela") == (
        "'angela' cannot be: this model has no covert phrases",
        "leave the setting out",
    )


def test_no_choice_and_a_right_choice_are_no_fault() -> None:
    assert wrong_choice(manifest("angela"), None) is None
    assert wrong_choice(manifest("angela"), "angela") is None


def test_the_ear_goes_on_without_a_phrase_that_the_model_does_not_have() -> None:
    model, wrong = load_chosen(ListenSection(covert_phrase="angela"))
    assert (model.covert_phrase, wrong) == ("angela", None)
    model, wrong = load_chosen(ListenSection(covert_phrase="Angela?"))
    assert model.covert_phrase is None
    assert wrong is not None
    assert (wrong.code, wrong.where) == ("covert_unknown", "[listen] covert_phrase")
    assert "angela" in wrong.do


def test_every_phrase_of_the_packaged_model_is_read_back_or_kept_secret() -> None:
    packaged = parse_manifest((PACKAGED_MODEL / "manifest.json").read_text(), "manifest.json")
    for phrase in packaged.phrases:
        assert (phrase.id in NEVER_READ_BACK) is phrase.covert
        assert (phrase.id in PHRASES) is not phrase.covert

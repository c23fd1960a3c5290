"""The second look on files: what it finds in the words, what it makes of them, and that no word leaves it."""

import dataclasses
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kiosk.detection import Candidate, Parts
from kiosk.listen.features import Samples, chunks
from kiosk.listen.hear import file_loop, hear, hear_file, read_sound
from kiosk.listen.interpreter import Floats
from kiosk.listen.loop import Loop
from kiosk.listen.model import ModelError, load_model
from kiosk.listen.moonshine import Decoded, Moonshine, MoonshineError
from kiosk.listen.ring import Ring
from kiosk.listen.second_look import LOOK_CHUNKS, AtOnce, SecondLook, own_chunks
from tests.looks import model_with_looks, needs_moonshine, say

pytestmark = needs_moonshine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_with_looks(tmp_path_factory.mktemp("looks") / "model")


@pytest.fixture(scope="module")
def second_look(folder: Path) -> SecondLook:
    return SecondLook(folder, load_model(folder).manifest)


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring.create()
    yield ring
    ring.close()


def sound_of(tmp_path: Path, text: str) -> Samples:
    sound: Samples = np.concatenate(list(read_sound(say(tmp_path / "said.wav", text))))
    return sound


@pytest.mark.parts
@pytest.mark.parametrize(
    ("text", "matched", "vetoed"),
    [
        ("Somebody call an ambulance!", "ambulance", False),
        ("Help! Help! Help!", "help", False),
        ("How can I help you?", "help", True),
        ("The receipt is in the bag.", None, False),
    ],
)
def test_words_become_a_phrase_and_a_veto(
    tmp_path: Path, second_look: SecondLook, text: str, matched: str | None, vetoed: bool
) -> None:
    parts = second_look.parts(sound_of(tmp_path, text))
    assert (parts.matched, parts.vetoed, parts.head) == (matched, vetoed, None)
    assert -10 <= parts.help <= 0


@pytest.mark.parts
def test_without_words_of_help_its_likelihood_is_low(tmp_path: Path, second_look: SecondLook) -> None:
    asked = second_look.parts(sound_of(tmp_path, "Help!")).help
    assert asked > second_look.parts(sound_of(tmp_path, "The receipt is in the bag.")).help


def test_the_longest_look_decodes_as_much_as_a_look_at_many_words(
    monkeypatch: pytest.MonkeyPatch, second_look: SecondLook
) -> None:
    noise = np.random.default_rng(0).integers(-2000, 2000, 44_800).astype(np.int16)
    tokens: list[int] = []
    decode = Moonshine.decode

    def counted(self: Moonshine, states: Floats, steps: int = 10, *, early: bool = True) -> Decoded:
        tokens.append(len((found := decode(self, states, steps, early=early)).tokens))
        return found

    monkeypatch.setattr(Moonshine, "decode", counted)
    second_look.parts(noise)
    second_look.longest(noise)
    assert (max(tokens[:2]) < 10, tokens[2:]) == (True, [10, 10])


def test_what_it_finds_holds_no_text_but_the_id_of_a_phrase(second_look: SecondLook) -> None:
    rng = np.random.default_rng(5)
    parts = second_look.parts(rng.integers(-3000, 3000, 44_800).astype(np.int16))
    ids = {"ambulance", "help", None}
    assert {field.name: field.type for field in dataclasses.fields(Parts)}.keys() == {
        "head",
        "help",
        "matched",
        "vetoed",
    }
    assert parts.matched in ids
    assert isinstance(parts.help, float)
    assert isinstance(parts.vetoed, bool)
    kept = [value for value in vars(second_look).values() if isinstance(value, str)]
    assert kept == []


@pytest.mark.parametrize("count", [0, 1, 1280, 100_000])
def test_any_length_of_sound_is_looked_at(second_look: SecondLook, count: int) -> None:
    verdict = second_look.look(np.zeros(count, np.int16), (0.0,) * len(second_look.phrases))
    assert len(verdict.scores) == len(second_look.phrases)
    assert np.isfinite(verdict.scores).all()


@pytest.mark.parts
def test_only_the_last_2800_ms_count(tmp_path: Path, second_look: SecondLook) -> None:
    late = np.concatenate([sound_of(tmp_path, "Somebody call an ambulance!"), np.zeros(44_800, np.int16)])
    assert second_look.parts(late) == second_look.parts(np.zeros(44_800, np.int16))


def test_a_model_without_one_is_refused(folder: Path) -> None:
    manifest = load_model(folder).manifest.model_copy(update={"second_look": None})
    with pytest.raises(ModelError, match="no second look; set"):
        SecondLook(folder, manifest)


def test_a_head_of_another_shape_or_hash_is_one_clear_line(tmp_path: Path) -> None:
    stage1 = json.loads((model_with_looks(tmp_path / "one") / "manifest.json").read_text())
    for number, (sha256, says) in enumerate([(stage1["sha256"], "shapes"), ("0" * 64, "sha256")]):
        folder = model_with_looks(tmp_path / f"model{number}", head=stage1["model"], sha256=sha256)
        with pytest.raises(ModelError, match=says) as caught:
            SecondLook(folder, load_model(folder).manifest)
        assert str(caught.value).startswith(str(folder / stage1["model"]))


def candidate(sound_s: float) -> Candidate:
    return Candidate(1.0, 1.0, (0.0,) * 8, (0.0,) * 8, 1, 1, sound_s)


@pytest.mark.parametrize(
    ("sound_s", "position", "count"), [(2.8, 100, LOOK_CHUNKS), (2.8, 7, 7), (0.96, 100, 12), (0.0, 5, 1)]
)
def test_a_look_reads_the_chunks_that_are_the_candidates_own(sound_s: float, position: int, count: int) -> None:
    assert own_chunks(candidate(sound_s), position) == count


def test_sound_that_is_gone_is_judged_without_a_look(second_look: SecondLook, ring: Ring) -> None:
    looker = AtOnce(second_look, ring)
    looker.ask(candidate(2.8), 40)
    assert [answer.verdict for answer in looker.answers()] == [None]
    assert looker.answers() == []


# --- files ------------------------------------------------------------------------------------------------------------


def report(folder: Path, *paths: Path, second_look: bool = True) -> list[dict[str, object]]:
    out = StringIO()
    assert hear(paths, model_dir=folder, second_look=second_look, as_json=True, out=out) == 0
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parts
def test_hear_says_whether_it_looked_again_and_hears_with_and_without(tmp_path: Path, folder: Path) -> None:
    call = say(tmp_path / "call.wav", "Call an ambulance!", voice="en-gb-x-rp", pitch=80, speed=180)
    for looks in (True, False):
        first, second = report(folder, call, call, second_look=looks)
        assert first["second_look"] is looks
        assert first == second, "each file starts afresh"
        detections = first["detections"]
        assert isinstance(detections, list)
        assert [one["phrase"] for one in detections] == ["ambulance"]


@pytest.mark.parts
def test_a_service_sentence_is_looked_at_and_vetoed(tmp_path: Path, ring: Ring) -> None:
    seen: list[Parts] = []
    folder = model_with_looks(tmp_path / "model", gate=-15)
    model = load_model(folder)
    looker = AtOnce(SecondLook(folder, model.manifest), ring, lambda _candidate, parts: seen.append(parts))
    asked = say(tmp_path / "asked.wav", "How can I help you?")
    heard = hear_file(Loop(model, looker), asked, ring=ring)
    assert heard.detections == ()
    assert seen
    assert any(parts.vetoed for parts in seen)
    assert max(heard.best.values()) < 0


def test_where_nothing_is_worth_a_look_the_best_scores_lie_far_below(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "quiet.wav"
    soundfile.write(path, np.zeros(16_000), 16_000)
    [[looked], [alone]] = [report(folder, path, second_look=looks) for looks in (True, False)]
    for one in (looked, alone):
        assert isinstance(one["best"], dict)
    assert looked["best"] == {i: pytest.approx(s - 20) for i, s in alone["best"].items()}  # type: ignore[attr-defined]


@pytest.mark.parts
def test_sound_before_a_reset_is_never_looked_at(tmp_path: Path, folder: Path, ring: Ring) -> None:
    loop = file_loop(load_model(folder), ring)
    call = say(tmp_path / "call.wav", "Call an ambulance!", voice="en-gb-x-rp", pitch=80, speed=180)
    afresh = hear_file(loop, call, ring=ring)
    for chunk in chunks(np.random.default_rng(2).integers(-9000, 9000, 48_000).astype(np.int16)):
        loop.step(chunk, ring.write(chunk) + 1)
    assert hear_file(loop, call, ring=ring) == afresh


def test_broken_weights_are_one_line_of_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path
) -> None:
    monkeypatch.setattr("kiosk.listen.moonshine.moonshine_folder", lambda: tmp_path)
    with pytest.raises(MoonshineError, match="cannot read it"):
        hear([], model_dir=folder)

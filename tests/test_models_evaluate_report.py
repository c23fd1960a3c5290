"""From what each ear announced to the figures and the page, and from a sound file to its trace."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kiosk.detection import Manifest, Parts, Phrase, Thresholds, Weights
from kiosk.detection import SecondLook as LookRecipe
from kiosk.detection import Window as ManifestWindow
from kiosk.listen.features import HOP_S
from kiosk.listen.hear import hear_file
from kiosk.listen.loop import Loop
from kiosk.listen.model import ModelError, load_model, packaged_model
from models import hearing
from models.curves import Heard
from models.figures import OTHER_ENGINES, Report, measured
from models.hearing import Ear, keep, kept_trace
from models.judge import ALONE, AT_ONE, BOTH, HELD_OUT, SHIPPED, Judged
from models.peers import Event, PeerHeard, announced, own_thresholds
from models.sounds import SPOKEN, Sound, Sounds
from models.traces import Look, Trace, replay
from models.traces import announced as margins_of

MANIFEST = Manifest(
    v=2,
    name="two",
    language="en",
    made=date(2026, 1, 1),
    licence="Apache-2.0",
    model="two.tflite",
    sha256="0" * 64,
    front_end="google-speech-embedding",
    sample_rate_hz=16000,
    window=ManifestWindow(frames=16, features=96, hop_s=0.08),
    refractory_s=3.0,
    repeat_s=5.0,
    phrases=(
        Phrase(id="police", alone=Thresholds(threshold=4.0), looked=Thresholds(threshold=2.0)),
        Phrase(id="chest", alone=Thresholds(threshold=4.0), looked=Thresholds(threshold=2.0)),
    ),
    second_look=LookRecipe(gate=0.0, weights=Weights(stage1=1.0, head=0.0, help=0.0, match=1.0, veto=12.0)),
    never_tested=("real children",),
)
QUIET_ROW = (-9.0, -9.0)


def trace(*peaks: tuple[int, float], parts: Parts | None = None, hops: int = 60) -> Trace:
    """A trace that is quiet but for the hops and scores of `police` given, with the same look at each."""
    scores = np.full((hops, 2), -9.0)
    for hop, score in peaks:
        scores[hop, 0] = score
    looks = tuple(Look((hop + 1) * HOP_S, 2.8, parts) for hop, _ in peaks) if parts else ()
    return Trace("police", Path("police.flac"), hops * HOP_S, scores, looks)


MATCHED = Parts(head=None, help=-10.0, matched="police", vetoed=False)
VETOED = Parts(head=None, help=-10.0, matched=None, vetoed=True)


def test_a_second_look_lifts_what_stage_1_alone_would_miss() -> None:
    one = trace((20, 3.0), parts=MATCHED)
    assert replay(MANIFEST, one, looked=False) == []
    (heard,) = replay(MANIFEST, one, looked=True)
    assert heard.phrase == "police"
    assert heard.score == pytest.approx(5.0)
    assert margins_of(MANIFEST, one, looked=True).scores == pytest.approx((3.0,))
    assert margins_of(MANIFEST, one, looked=False).scores[0] == pytest.approx(-1.0)


def test_a_second_look_silences_what_stage_1_alone_would_announce() -> None:
    one = trace((20, 6.0), parts=VETOED)
    assert len(replay(MANIFEST, one, looked=False)) == 1
    assert replay(MANIFEST, one, looked=True) == []


def test_a_trace_comes_back_from_the_cache_as_it_was(tmp_path: Path) -> None:
    one = trace((20, 3.0), parts=Parts((0.1, 0.2, 0.7), -3.5, None, vetoed=False))
    keep(one, tmp_path / "one.npz")
    back = kept_trace("police", Path("police.flac"), tmp_path / "one.npz")
    assert back.looks == one.looks
    assert np.array_equal(back.scores, one.scores)
    assert back.duration_s == one.duration_s


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    path = tmp_path / "noise.wav"
    sound = np.random.default_rng(1).normal(0, 0.1, 3 * 22050) * np.hanning(3 * 22050)
    soundfile.write(path, sound, 22050)
    return path


def test_a_file_is_heard_as_by_hear_itself_and_only_once(tmp_path: Path, noise: Path) -> None:
    ear = Ear(packaged_model(), tmp_path)
    (first,) = ear.hear([("quiet", noise)], "hearing")
    loop = Loop(load_model(packaged_model()))
    scores: list[tuple[float, ...]] = []
    report = hear_file(loop, noise, on_scores=scores.append)
    assert np.array_equal(first.scores, scores)
    assert first.duration_s == report.duration_s
    kept = list((tmp_path / "traces").iterdir())
    assert len(kept) == 1
    (second,) = Ear(packaged_model(), tmp_path).hear([("quiet", noise)], "hearing")
    assert np.array_equal(second.scores, first.scores)
    assert second.cpu_s == first.cpu_s, "read, not heard again"


def test_a_file_that_is_no_sound_is_said_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    assert Ear(packaged_model(), tmp_path).hear([("quiet", tmp_path / "text.wav")], "hearing") == []
    assert "not sound that can be read" in capsys.readouterr().out


def test_a_worker_of_other_code_or_another_model_is_refused_instead_of_leaving_files_out(tmp_path: Path) -> None:
    ear = Ear(packaged_model(), tmp_path)
    ears = hearing._ears
    ears.append(ear)
    try:
        with pytest.raises(ModelError, match="changed while it was being measured"):
            hearing._hear_one(tmp_path / "noise.wav", "another key")
    finally:
        ears.remove(ear)


def test_each_phrase_of_a_peer_is_counted_from_its_own_worst_mistake() -> None:
    quiet = [PeerHeard(duration_s=3600, cpu_s=1, events=(Event(t_s=1, phrase="police", score=20.0),))]
    own = own_thresholds(quiet, ["police", "chest"])
    assert own == {"police": 20.0, "chest": -40.0}
    events = (
        Event(t_s=1.0, phrase="police", score=22.0),
        Event(t_s=2.0, phrase="chest", score=-30.0),
        Event(t_s=9.0, phrase="police", score=15.0),
    )
    assert announced("police", PeerHeard(duration_s=9, cpu_s=1, events=events), own).scores == (10.0, -5.0)


def judged(name: str) -> Judged:
    """Two of three phrases heard as shipped; one false alarm in two hours of held-out speech."""
    spoken = [Heard("police", 2.0, (1.0,)), Heard("police", 2.0, (-1.0,)), Heard("chest", 2.0, (3.0,))]
    one = Judged(name, cpu_s=72.0, audio_s=3600.0)
    for part, scores in zip(HELD_OUT, ((2.0,), (0.5, -3.0)), strict=True):
        one.files[part], one.shipped[part] = [Heard("barista", 3600.0, scores)], [sum(s >= 0 for s in scores)]
        one.paths[part] = [Path("x.ogg")]
    one.files |= {SPOKEN: spoken, "ordinary": [Heard("ordinary", 2.0, ()), Heard("ordinary", 2.0, (4.0,))]}
    one.files |= {"piper": [Heard("police", 2.0, (3.0,))], "children": spoken[:1], "room_3_m": spoken[:2]}
    for part in (SPOKEN, "ordinary", "piper", "children", "room_3_m"):
        one.shipped[part] = [int(heard.best >= 0) for heard in one.files[part]]
        one.paths[part] = [Path(f"/cache/{part}/{i}.flac") for i in range(len(one.files[part]))]
    return one


@pytest.fixture(scope="module")
def report() -> Report:
    def sound(part: str, i: int) -> Sound:
        return Sound(label="police", file=f"{part}/{i}.flac", text=f"<{part} {i}>", voice="af_nova")

    sounds = Sounds(sets={part: tuple(sound(part, i) for i in range(3)) for part in (SPOKEN, "ordinary", "piper")})
    return measured(MANIFEST, sounds, [judged(BOTH), judged(ALONE)], ["a note"])


def test_recall_is_told_for_all_for_each_phrase_and_for_each_group(report: Report) -> None:
    def hits(group: str, name: str, basis: str) -> tuple[int, int]:
        row = report.recall(BOTH, group, name, basis)
        assert row is not None
        return row.hits, row.n

    assert hits("all", SPOKEN, SHIPPED) == (2, 3)
    assert hits("all", SPOKEN, AT_ONE) == (3, 3), "two hours allow for two false alarms: the third lies at -3"
    assert hits("phrase", "police", SHIPPED) == (1, 2)
    assert hits("all", OTHER_ENGINES, SHIPPED) == (1, 1)
    assert hits("voices", "children", SHIPPED) == (1, 1)
    assert hits("conditions", "room_3_m", SHIPPED) == (1, 2)
    assert hits("quiet", "ordinary", SHIPPED) == (1, 2)
    assert report.recall(BOTH, "conditions", "room_5_m", SHIPPED) is None


def test_false_alarms_are_told_with_their_hours(report: Report) -> None:
    rate = report.rate(BOTH, HELD_OUT[1], SHIPPED)
    assert rate is not None
    assert (rate.count, rate.hours, rate.per_h) == (1, 1.0, 1.0)
    folder = report.rate(BOTH, "barista", SHIPPED)
    assert folder is not None
    assert folder.count == 1


def test_the_report_names_what_fired_and_what_was_missed(report: Report) -> None:
    assert [(one.text, one.name) for one in report.fired if one.ear == BOTH] == [("<ordinary 1>", "ordinary")]
    assert [one.text for one in report.missed if one.ear == BOTH] == [f"<{SPOKEN} 1>"]
    assert report.costs[0].cpu_ms_per_audio_s == 20.0


def test_the_report_comes_back_from_its_file(report: Report) -> None:
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_the_page_needs_nothing_else_and_says_first_what_was_never_tested(report: Report, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is a training dependency")
    from models.report import in_plain_words, write_report  # noqa: PLC0415

    write_report(report, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "real children" in page
    assert "&lt;ordinary 1&gt;" in page, "texts are escaped"
    assert not [word for word in ("<script", "src=", "@import", "url(http") if word in page]
    assert page.count("<svg") == 7
    assert any("67 %" in line for line in in_plain_words(report))


def test_the_bench_measures_without_training_dependencies() -> None:
    code = "import sys, bench.ear; print(*sorted(m.partition('.')[0] for m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"tensorflow", "keras", "scipy", "pyworld", "matplotlib", "phonemizer"} & set(loaded)

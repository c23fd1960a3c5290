"""What the ear costs, and what it hears: the shipped model on the measuring sounds, beside PocketSphinx in the same run.

The costs are always measured. Recall and false alarms need the sounds that `python -m models.measuring` makes and the real
recordings of the recipe; without them they are "not measured", with the reason.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.progress import track

from bench.measure import Measure, not_measured, percentile, rss_mb
from kiosk.demo.stage import Part, Stage, wait_for
from kiosk.listen.features import CHUNK_SAMPLES, HOP_S, SAMPLE_RATE_HZ, Samples, chunks, quiet
from kiosk.listen.hear import read_sound
from kiosk.listen.loop import Loop
from kiosk.listen.model import load_model, packaged_model, read_manifest
from kiosk.listen.moonshine import installed as moonshine_installed
from kiosk.listen.proof import proof_sound
from kiosk.listen.second_look import LOOK_SAMPLES, SecondLook
from models import judge
from models.figures import OTHER_ENGINES, Report, measured
from models.judge import AT_ONE, HELD_OUT, SHIPPED, Judged
from models.peers import PocketSphinx, installed
from models.recipe import Recipe, read_recipe
from models.sounds import ENGINES, QUIET, SPOKEN, Sounds, SoundsMissing, read_sounds
from models.traces import active_phrases

RECIPE = packaged_model() / "train.toml"
AUDIO_S, PASSES = 60, 3
LOOKS = 300
STEADY_S = 5.0
SETS = (SPOKEN, *ENGINES, *QUIET, *HELD_OUT)
HEARD = {
    "ear_unseen_voice_recall_at_1_per_h": ("all", SPOKEN, AT_ONE, "design: ≥ 0.95"),
    "ear_other_engine_recall_at_1_per_h": ("all", OTHER_ENGINES, AT_ONE, "design: ≥ 0.75"),
    "ear_unseen_voice_recall": ("all", SPOKEN, SHIPPED, "thresholds as shipped"),
    "ear_other_engine_recall": ("all", OTHER_ENGINES, SHIPPED, "thresholds as shipped"),
    "ear_ordinary_sentences_fired": ("quiet", "ordinary", SHIPPED, "design: ≤ 0.03"),
    "ear_confusables_fired": ("quiet", "confusables", SHIPPED, "design: ≤ 0.15"),
}


def measure(folder: Path) -> dict[str, Measure]:
    """Measure the shipped ear; `folder` is a place for a unit of its own."""
    return {**_stage1(), **_stage2(), **_memory(folder), **_heard()}


# --- what it costs ----------------------------------------------------------------------------------------------------


def _stage1() -> dict[str, Measure]:
    loop, noise = Loop(load_model(packaged_model())), quiet(AUDIO_S * SAMPLE_RATE_HZ) * 50
    costs_ms = []
    for _ in range(PASSES):  # whatever else the machine does can only add to it
        started_s = time.process_time()
        for chunk in chunks(noise):
            loop.step(chunk)
        costs_ms.append((time.process_time() - started_s) * 1000 / AUDIO_S)
    size_kb = sum(path.stat().st_size for path in packaged_model().glob("*.tflite")) / 1024
    return {
        "ear_stage1_cpu_ms_per_audio_s": Measure(
            min(costs_ms), "ms/s", PASSES * AUDIO_S, f"design: ≤ 20; lowest of {PASSES}, highest {max(costs_ms):.1f}"
        ),
        "ear_model_kb": Measure(size_kb, "KiB", 1, "all networks of our own"),
    }


def _stage2() -> dict[str, Measure]:
    name, manifest = "ear_stage2_ms_p99", read_manifest(packaged_model())
    if manifest.second_look is None or not moonshine_installed():
        return {name: not_measured("ms", "this model or this machine has no second look")}
    second_look, scores = SecondLook(packaged_model(), manifest), [0.0] * len(active_phrases(manifest))
    took_ms = []
    for sound in track(list(_looked_at()), "second looks"):
        started_s = time.perf_counter()
        second_look.look(sound, scores)
        took_ms.append((time.perf_counter() - started_s) * 1000)
    median = percentile(took_ms, 0.5)
    return {name: Measure(percentile(took_ms, 0.99), "ms", len(took_ms), f"design: ≤ 250; median {median:.0f}")}


def _looked_at() -> Iterator[Samples]:
    """Phrases as the second look gets them; without measuring sounds, pieces of the sound that every machine has."""
    try:
        recipe = read_recipe(RECIPE)
        files = [recipe.cache / one.file for one in read_sounds(recipe.cache).sets[SPOKEN][:LOOKS]]
    except SoundsMissing:
        whole = proof_sound()
        yield from (np.roll(whole, i * CHUNK_SAMPLES // 4)[:LOOK_SAMPLES] for i in range(LOOKS))
        return
    for path in files:
        said = np.concatenate(list(read_sound(path)))
        yield np.concatenate([quiet(LOOK_SAMPLES), said, quiet(SAMPLE_RATE_HZ // 2)])[-LOOK_SAMPLES:]


def _memory(folder: Path) -> dict[str, Measure]:
    alone_mb, _ = _resident_mb(folder / "alone", second_look="off")
    found = {"ear_rss_one_stage_mb": Measure(alone_mb, "MiB", 1, "design: ≤ 90")}
    if read_manifest(packaged_model()).second_look is None or not moonshine_installed():
        return {**found, "ear_rss_mb": not_measured("MiB", "this model or this machine has no second look")}
    both_mb, count = _resident_mb(folder / "both", second_look="auto")
    return {**found, "ear_rss_mb": Measure(both_mb, "MiB", count, "design: ≤ 300, all processes of the ear")}


def _resident_mb(folder: Path, second_look: str) -> tuple[float, int]:
    """The memory of a live ear with its microphone and hub, and how many processes that is."""
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(folder))
        stage.write_config()
        text = stage.config_file.read_text(encoding="utf-8")
        stage.config_file.write_text(
            text.replace("[listen]\n", f'[listen]\nsecond_look = "{second_look}"\n'), encoding="utf-8"
        )
        stage.start_microphone()
        stage.start_hub()
        ear = stage.start_listen()
        family = wait_for("the ear to be whole", lambda: _family(ear, 1 if second_look == "off" else 2))
        return _steady_mb(family), len(family)


def _family(ear: Part, least: int) -> list[int] | None:
    """The ear's process and the second look's: Python processes, not `arecord`."""
    children = Path(f"/proc/{ear.pid}/task/{ear.pid}/children").read_text(encoding="ascii").split()
    pids = [ear.pid, *(int(pid) for pid in children if b"look_worker" in Path(f"/proc/{pid}/cmdline").read_bytes())]
    return pids if len(pids) >= least else None


def _steady_mb(pids: Sequence[int]) -> float:
    """Resident memory once it has stayed the same for a while: loading a model takes more for a moment."""
    steady_mb, since_s = 0.0, time.monotonic()
    while time.monotonic() - since_s < STEADY_S:
        now_mb = sum(rss_mb(pid) for pid in pids)
        if abs(now_mb - steady_mb) > 1:
            steady_mb, since_s = now_mb, time.monotonic()
        time.sleep(HOP_S)
    return steady_mb


# --- what it hears ----------------------------------------------------------------------------------------------------


def _heard() -> dict[str, Measure]:
    names = (*HEARD, "ear_unseen_voice_worst_phrase_recall_at_1_per_h", "ear_false_per_h")
    try:
        recipe = read_recipe(RECIPE)
        sounds = read_sounds(recipe.cache)
    except SoundsMissing as error:
        return {name: not_measured("share", str(error)) for name in names}
    if not recipe.real_data.exists():
        return {name: not_measured("share", f"{recipe.real_data}: no real recordings") for name in names}
    found = _judge(recipe, sounds)
    rows = {name: _share(found, *where) for name, where in HEARD.items()}
    return {**rows, **_worst(found), **_false(found), **_peer(found)}


def _judge(recipe: Recipe, sounds: Sounds) -> Report:
    sets = {name: files for name, files in judge.sets_of(recipe, sounds, recipe.cache).items() if name in SETS}
    covert = judge.covert_sets(recipe, sounds, recipe.cache)
    traces = judge.traces_of(packaged_model(), sets, covert, recipe.cache)
    manifest = read_manifest(packaged_model())
    looked = manifest.second_look is not None and moonshine_installed()
    ears: list[Judged] = [judge.heard_by_us(manifest, traces, looked=looked)]
    if installed("pocketsphinx"):
        phrases = [phrase.id for phrase in active_phrases(manifest)]
        ears.append(judge.heard_by_peer(PocketSphinx(phrases), sets, phrases, recipe.cache))
    return measured(manifest, sounds, ears, [])


def _ours(found: Report) -> str:
    return found.recalls[0].ear


def _share(found: Report, group: str, name: str, basis: str, limit: str) -> Measure:
    row, peer = found.recall(_ours(found), group, name, basis), found.recall(PocketSphinx.name, group, name, basis)
    if row is None:
        return not_measured("share", "no such sounds; make them with `python -m models.measuring`")
    beside = f"PocketSphinx {peer.value:.2f}" if peer else "PocketSphinx is not installed"
    return Measure(row.value, "share", row.n, f"{limit}; {beside}")


def _worst(found: Report) -> dict[str, Measure]:
    rows = found.group(_ours(found), "phrase", AT_ONE)
    worst = min(rows, key=lambda one: one.value)
    limit = f"design: ≥ 0.90; it is {worst.name}"
    return {"ear_unseen_voice_worst_phrase_recall_at_1_per_h": Measure(worst.value, "share", worst.n, limit)}


def _false(found: Report) -> dict[str, Measure]:
    rate, peer = (found.rate(ear, HELD_OUT[1], SHIPPED) for ear in (_ours(found), PocketSphinx.name))
    if rate is None:
        return {"ear_false_per_h": not_measured("1/h", "no held-out recordings")}
    beside = f"PocketSphinx {peer.per_h:.2f}" if peer else "PocketSphinx is not installed"
    limit = f"design: ≤ 1; {rate.count} in {rate.hours:.2f} h; {beside}"
    return {"ear_false_per_h": Measure(rate.per_h, "1/h", rate.count, limit)}


def _peer(found: Report) -> dict[str, Measure]:
    """PocketSphinx's own figures, under its own name."""
    rows = {}
    for name, (group, of, basis, _) in HEARD.items():
        row = found.recall(PocketSphinx.name, group, of, basis)
        if row is not None:
            rows[name.replace("ear_", "pocketsphinx_", 1)] = Measure(
                row.value, "share", row.n, "peer: same sounds, same run"
            )
    cost = next((one for one in found.costs if one.ear == PocketSphinx.name), None)
    if cost is not None:
        rows["pocketsphinx_cpu_ms_per_audio_s"] = Measure(cost.cpu_ms_per_audio_s, "ms/s", round(cost.audio_s), "peer")
    return rows

"""Writes MODEL_CARD.md from a manifest and its recipe, so that the card can never tell other figures than the model's own."""

from collections.abc import Iterable
from pathlib import Path
from string import Template

from kiosk.detection import Figure, Manifest
from models.recipe import Recipe

CARD_NAME = "MODEL_CARD.md"
PICTURES = "report"
PICTURED = {
    "conditions": "Recall in noise, from a distance, by other bodies",
    "det": "Missed calls over false alarms an hour, beside PocketSphinx",
    "engines": "Recall by other speech engines",
    "phrases": "Recall of each phrase",
    "quiet": "What fired though it should not",
    "voices": "Recall for women, men and accents",
}
CARD = Template("""\
# $name: spoken distress, $language

**Never tested:** $never_tested
Do not rely on it alone: the button and the screen are there for everybody whom it misses.

It hears: $phrases.
A store may choose one covert phrase: $covert. Made $made by `train.toml`; licence $licence, like the code.

## How it works
1. **Stage 1**, always on: the last 2 s of sound as 16 embeddings of Google's speech_embedding (Apache-2.0), one each 80 ms;
   $heads small recurrent networks, averaged, score each phrase ($kb kB).
2. **Second look**, only when stage 1's gate opens: Moonshine-tiny (MIT, a package of its own) reads the last 2.8 s; a head of
   our own on its encoder, the likelihood of the word "help", and the words themselves decide together ($look_kb kB). The words
   are formed in a process of their own and never leave it.
3. Scores are log-odds: 0 is as likely as not. Bare "help" counts when it is clear, or is said again within $repeat_s s. A grave
   phrase raises the alarm without asking first only above a threshold that none of our real recordings reached.

Without the second look (not installed, too slow, broken) stage 1 decides alone, by stricter thresholds, and the unit says so.

## Figures
Each was measured by `stayby hear`'s own loop, with these shipped files.

| figure | value | measured on | n |
|---|---|---|---|
$figures

Synthetic voices flatter: take the recalls as a check that the pipeline works, not as a promise for real people. The patterns on
words were refined on what the recogniser made of training texts and, once, of the phrases measured here; never on the sentences
that must stay quiet. The least threshold was set by hand after a look at the real speech that false alarms are counted on.

$pictures
## What it was trained on
- Synthetic speech: Kokoro-82M (Apache-2.0), $voices voices and blends of them; $unseen more are kept for measuring. Spoilt
  by other throats (WORLD), rooms, noise, babble, cheap microphones, and levels from a whisper to overdrive.
- Real speech and sound without distress, half of each set, by speaker or file: Speech Commands v0.02 (CC BY 4.0, Pete Warden,
  Google), wake-word-benchmark and speech-to-intent-benchmark (Apache-2.0, Picovoice), Precise-Community-Data (public domain),
  dataset-voice-kathleen (CC0), Common Voice samples (CC0), ambience from Blanket (CC0, public domain, CC BY), Space Station 14
  sounds (CC0, CC BY, MIT), Sonic Pi samples (CC0), Freedoom (BSD-3-Clause). None of it is in the project.
- The two networks that are not ours, speech_embedding and Moonshine-tiny, were trained by others, on recordings unknown to us.
""")


def write_card(manifest: Manifest, recipe: Recipe, folder: Path) -> None:
    """Write `folder`/MODEL_CARD.md."""
    (folder / CARD_NAME).write_text(card(manifest, recipe, folder), encoding="utf-8")


def card(manifest: Manifest, recipe: Recipe, folder: Path) -> str:
    """The text of the card; the model's files are measured in `folder`."""
    look = manifest.second_look
    return CARD.substitute(
        name=manifest.name,
        language=manifest.language,
        never_tested=" ".join(manifest.never_tested),
        phrases=_names(id_ for id_, texts in recipe.phrases.items() if not texts.covert),
        covert=_names(id_ for id_, texts in recipe.phrases.items() if texts.covert),
        made=manifest.made.isoformat(),
        licence=manifest.licence,
        heads=recipe.training.heads,
        kb=_kb(folder / manifest.model),
        look_kb=_kb(folder / look.head) if look and look.head else 0,
        repeat_s=f"{manifest.repeat_s:g}",
        figures="\n".join(_row(figure) for figure in manifest.figures),
        pictures="".join(_picture(path) for path in sorted((folder / PICTURES).glob("*.svg"))),
        voices=len(recipe.synthesis.english_voices) + len(recipe.synthesis.accented_voices),
        unseen=len(recipe.synthesis.unseen_voices),
    )


def _picture(path: Path) -> str:
    return f"![{PICTURED.get(path.stem, path.stem)}]({PICTURES}/{path.name})\n\n"


def _names(ids: Iterable[str]) -> str:
    return ", ".join(id_.replace("_", " ") for id_ in ids)


def _kb(path: Path) -> int:
    return round(path.stat().st_size / 1000)


def _row(figure: Figure) -> str:
    return f"| {figure.name} | {figure.value:g} {figure.unit} | {figure.on} | {figure.n:g} |"

"""`make gallery`: a picture of every screen, in every language, text size, theme and on other panels; and what is wrong in it.

Each picture is rendered by Kivy as the kiosk renders it, without a display, and then looked at as pixels: no text may be
clipped, no letter be missing, no text be fainter than 7:1, and the emergency number must stand there in reading order.

Run as a program it starts a process for each kind of panel (Kivy, which must never be imported beside pytest, makes one
window a process). They write the pictures, then come the contact sheets: build/gallery/index.html.
"""

import html
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from kiosk.config import UnitConfig
from kiosk.guidance import CASES
from kiosk.messages import Choice, Going, Language, Person, Show, State
from kiosk.page import TEXT_PERCENTS, Look, Page, Theme
from kiosk.texts import OWN_NAMES
from kiosk.ui.layout import lay_out
from kiosk.ui.shapes import Box, Layout, Text
from kiosk.ui.shaping import pieces
from tests.screen import AWAY, FACE, ROOT, SCENES, SERVICE, Scene, config, scene_page, show, snapshot

OUT = ROOT / "build" / "gallery"
USUAL_PANEL = (800, 480)
OTHER_PANELS = ((480, 800), (1024, 768))
CONTRAST_MIN = 7.0
INK_PIXELS = 4
"""So many pixels of a text must reach its full colour: the rest are its soft edges."""
LIKE = 0.6
"""How like a number's picture the pixels must be to be that number."""
SLACK_PX = 1.0
EDGE_PX = 3
"""Added around a text before a number is looked for: two programs round the width of one number differently."""
Pixels = NDArray[np.uint8]
Shades = NDArray[np.float64]


@dataclass(frozen=True)
class Job:
    """One picture: which screen, how it looks, and on which panel."""

    screen: str
    language: Language
    theme: Theme = Theme.LIGHT
    text_percent: int = 100
    low: bool = False
    width: int = USUAL_PANEL[0]
    height: int = USUAL_PANEL[1]

    @property
    def look(self) -> Look:
        """How the screen looks in it."""
        return Look(self.language, self.theme, self.text_percent, low=self.low)

    @property
    def sheet(self) -> str:
        """The contact sheet that it stands on."""
        low = "-low" if self.low else ""
        return f"{self.width}x{self.height}-{self.language}-{self.theme}-{self.text_percent}{low}"

    @property
    def file(self) -> str:
        """Where it is written, from the gallery's folder."""
        return f"{self.sheet}/{self.screen}.png"


@dataclass
class Found:
    """What was seen in one picture: what is wrong, the faintest text, and how many of the number's places were read."""

    job: Job
    wrong: list[str] = field(default_factory=list)
    contrast_min: float = 21.0
    numbers: int = 0


def screens() -> dict[str, Scene]:
    """Return every screen by its name: each scene, without a hub too, and each step of each case."""
    steps = {
        f"step_{choice.value}_{at + 1}": Scene(
            show(snapshot(seen=(Person(id="sam", name="Sam"),), choice=choice)), "steps", ("Next",) * nth
        )
        for choice, case in CASES.items()
        for nth, at in enumerate(case.shown_in(FACE.country))
        if choice is not Choice.PERSON
    }
    far = {f"name_{name}": Scene(_named(given), "coming") for name, given in NAMES.items()}
    return {**SCENES, **AWAY, **SERVICE, **steps, **far}


NAMES = {
    "zh": "王小明",
    "ar": "ليلى حدّاد",
    "hi": "प्रिया शर्मा",
    "vi": "Nguyễn Thị Hồng",
    "pl": "Łukasz Żak",
    "el": "Ελένη",
}
"""A responder's name may be in any letters, whatever the language of the screen."""


def _named(name: str) -> Show:
    going = Going(responder=Person(id="x", name=name), eta_s=64)
    return show(snapshot(State.COMING, seen=(going.responder,), coming=(going,), elapsed_s=52))


def every_job() -> Iterator[Job]:
    """Yield every screen × language × text size × theme, lower buttons, and every screen × language on other panels."""
    for screen, language in itertools.product(screens(), Language):
        for theme, percent in itertools.product(Theme, TEXT_PERCENTS):
            yield Job(screen, language, theme, percent)
        yield Job(screen, language, low=True)
        for width, height in OTHER_PANELS:
            yield Job(screen, language, width=width, height=height)


# --- what is wrong in a picture ---------------------------------------------------------------------------------------


def shades(pixels: Pixels) -> Shades:
    """Return the relative luminance of each pixel, (height, width), of an RGB picture (height, width, 3)."""
    channel = pixels / 255.0
    linear = np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722]))


def cut(array: NDArray[Any], box: Box) -> NDArray[Any]:
    """Return what of a picture is in a box."""
    return array[max(0, round(box.y)) : round(box.bottom), max(0, round(box.x)) : round(box.right)]


def text_contrast(light: Shades) -> float:
    """Return the contrast of a text's full colour and its ground, from the luminance of the pixels of its box."""
    flat = light.ravel()
    steps = np.bincount((flat * 1000).astype(np.int64))
    ground = float(np.median(flat[(flat * 1000).astype(np.int64) == np.argmax(steps)]))
    far = np.abs(flat - ground)
    ink = float(flat[np.argpartition(far, -INK_PIXELS)[-INK_PIXELS]]) if len(flat) > INK_PIXELS else ground
    high, low = max(ground, ink), min(ground, ink)
    return (high + 0.05) / (low + 0.05)


def likeness(light: Shades, template: Shades) -> float:
    """Return the best normalised correlation of a smaller picture with any place of a larger one; 0 where it is too large."""
    rows, columns = template.shape
    if rows > light.shape[0] or columns > light.shape[1]:
        return 0.0
    wanted = template - template.mean()
    at = (slice(rows - 1, light.shape[0]), slice(columns - 1, light.shape[1]))
    ones = np.ones_like(wanted)
    product, total, squares = (_convolved(*pair)[at] for pair in ((light, wanted), (light, ones), (light**2, ones)))
    spread = np.sqrt(np.maximum(squares - total**2 / wanted.size, 0.0) * (wanted**2).sum())
    return float(np.max(np.abs(product) / np.maximum(spread, 1e-6)))


def _convolved(picture: Shades, kernel: Shades) -> Shades:
    """Return the correlation of two pictures at every offset (by Fourier transforms: the numbers stand on 60,000 places)."""
    shape = tuple(one + other - 1 for one, other in zip(picture.shape, kernel.shape, strict=True))
    turned = np.fft.rfft2(picture, shape) * np.fft.rfft2(kernel[::-1, ::-1], shape)
    return np.asarray(np.fft.irfft2(turned, shape))


@lru_cache(256)
def number_shade(number: str, file: str, size: int) -> Shades:
    """Return a number as another program (Pillow) draws it with the same font: 1 is ink, 0 is ground."""
    font = ImageFont.truetype(file, size)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(number))
    image = Image.new("L", (right - left, bottom - top), 0)
    ImageDraw.Draw(image).text((-left, -top), number, fill=255, font=font)
    return np.asarray(image, dtype=np.float64) / 255.0


class Eye:
    """Looks at pictures; `painter` is the one that drew them."""

    def __init__(self, painter: Any) -> None:
        self._letters = painter.letters
        self._contrasts: dict[bytes, float] = {}
        self._read: dict[tuple[bytes, str], bool] = {}

    def look_at(self, job: Job, shown: Page, layout: Layout, pixels: Pixels, number: str) -> Found:
        """Return what is wrong in a picture."""
        found = Found(job)
        found.wrong += [f"does not fit: {text}" for text in layout.cramped]
        for text in layout.texts:
            found.wrong += list(self._faults(text, job))
            contrast = self._contrast(cut(pixels, text.box))
            found.contrast_min = min(found.contrast_min, contrast)
            if contrast < CONTRAST_MIN:
                found.wrong.append(f"{contrast:.1f}:1 only: {text.text}")
        numbers = [text for text in layout.texts if number in text.text]
        found.numbers = len(numbers)
        wrong = (text for text in numbers if not self._reads(text, number, cut(pixels, text.box)))
        found.wrong += [f"the number is not {number}: {text.text}" for text in wrong]
        if shown.number and not numbers:
            found.wrong.append("the emergency number is not on its page")
        return found

    def _faults(self, text: Text, job: Job) -> Iterator[str]:
        panel = Box(-SLACK_PX, -SLACK_PX, job.width + 2 * SLACK_PX, job.height + 2 * SLACK_PX)
        if not (panel.holds(text.box.x, text.box.y) and panel.holds(text.box.right, text.box.bottom)):
            yield f"outside the panel: {text.text}"
        drawn = max((one.x + one.texture.size[0] for one in self._placed(text)), default=0)
        if drawn > text.box.w + text.size * 0.25:
            yield f"{drawn:.0f} px drawn in {text.box.w:.0f}: {text.text}"
        if missing := self._letters.fonts.missing(text.text):
            yield f"no glyph for {missing!r}: {text.text}"

    def _placed(self, text: Text) -> list[Any]:
        return list(self._letters.placed(text.text, text.size, text.bold, rtl=text.rtl))

    def _contrast(self, part: Pixels) -> float:
        key = part.tobytes()
        if key not in self._contrasts:  # the same words stand on many pages
            self._contrasts[key] = text_contrast(shades(part))
        return self._contrasts[key]

    def _reads(self, text: Text, number: str, part: Pixels) -> bool:
        """Return whether the pixels of a text show a number in reading order rather than reversed."""
        key = (part.tobytes(), number)
        if key not in self._read:
            of_it = next(
                (one for one in pieces(text.text, self._letters.fonts.face_of, rtl=text.rtl) if number in one.text),
                None,
            )
            face = of_it.face if of_it and of_it.face else self._letters.fonts.first
            files = {face.file(bold=text.bold), face.file(bold=False)}
            light = np.pad(shades(part), EDGE_PX, mode="edge")
            right, wrong = (
                max(likeness(light, number_shade(order, file, int(text.size))) for file in files)
                for order in (number, number[::-1])
            )
            self._read[key] = right >= LIKE and right >= wrong
        return self._read[key]


# --- the part that needs Kivy -----------------------------------------------------------------------------------------


def render(jobs: list[Job], out: Path, home: Path, *, keep: bool) -> Iterator[Found]:
    """Draw the pictures of one panel's size, write them with `keep`, and yield what is wrong in each."""
    from kiosk.ui import catalogues, window  # noqa: PLC0415 - Kivy takes over the process that imports it

    settings = UnitConfig.model_validate_json(config(home, jobs[0].width, jobs[0].height))
    window.prepare(settings)
    opened = window.open_window(settings.ui)
    from kivy.graphics.opengl import GL_RGB, GL_UNSIGNED_BYTE, glReadPixels  # noqa: PLC0415 - same

    from kiosk.ui.paint import Painter  # noqa: PLC0415 - same

    painter = Painter(opened, window.fonts())
    eye, scenes, size = Eye(painter), screens(), (jobs[0].width, jobs[0].height)
    for job in jobs:
        scene = scenes[job.screen]
        shown = scene_page(scene, job.look, catalogues.load(job.language))
        layout = lay_out(shown, *size, painter.measure, job.look)
        painter.show(layout, 0.0, fade=False)
        painter.hold(0.0)
        opened.dispatch("on_draw")
        raw = np.frombuffer(glReadPixels(0, 0, *size, GL_RGB, GL_UNSIGNED_BYTE), np.uint8)
        pixels = raw.reshape(size[1], size[0], 3)[::-1]
        if keep:
            (out / job.file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(pixels)).save(out / job.file, compress_level=3)
        yield eye.look_at(job, shown, layout, pixels, scene.show.face.emergency_number)


def work(out: str, keep: str) -> None:
    """A process of `run`: jobs come as JSON on standard input, what was found goes out line by line."""
    jobs = [Job(**{**job, "language": Language(job["language"]), "theme": Theme(job["theme"])}) for job in _asked()]
    with tempfile.TemporaryDirectory() as home:
        for found in render(jobs, Path(out), Path(home), keep=keep == "keep"):
            print(json.dumps(asdict(found)), flush=True)


def _asked() -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = json.load(sys.stdin)
    return asked


# --- the part that starts them ----------------------------------------------------------------------------------------


def run(jobs: list[Job], out: Path, *, keep: bool = True, at_once: int = 2) -> list[Found]:
    """Draw and judge pictures, `at_once` processes at a time; RuntimeError when one of them fails."""
    panels: dict[tuple[int, int], list[Job]] = {}
    for job in jobs:
        panels.setdefault((job.width, job.height), []).append(job)
    parts = [part[nth::at_once] for part in panels.values() for nth in range(at_once) if part[nth::at_once]]
    with ThreadPoolExecutor(at_once) as pool:
        return [one for found in pool.map(lambda part: _part(part, out, keep=keep), parts) for one in found]


def _part(jobs: list[Job], out: Path, *, keep: bool) -> list[Found]:
    done = subprocess.run(
        [sys.executable, "-c", f"from tests.gallery import work; work({str(out)!r}, {'keep' if keep else ''!r})"],
        input=json.dumps([asdict(job) for job in jobs]),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "SDL_VIDEODRIVER": "offscreen", "PYTHONPATH": str(ROOT)},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or len(lines) != len(jobs):
        raise RuntimeError(f"gallery: {len(lines)} of {len(jobs)} pictures were made\n{done.stderr[-2000:]}")
    return [
        Found(job, line["wrong"], line["contrast_min"], line["numbers"]) for job, line in zip(jobs, lines, strict=True)
    ]


STYLE = (
    "body{font-family:sans-serif;background:#e9e6df;margin:16px}figure{display:inline-block;margin:6px;max-width:400px}"
    "img{width:100%;border:1px solid #999}figcaption{font-size:13px}.wrong{color:#9c1c15}"
)


def sheets(found: list[Found], out: Path) -> None:
    """Write one contact sheet for each language, size, theme and panel, and the page that leads to them."""
    by_sheet: dict[str, list[Found]] = {}
    for one in found:
        by_sheet.setdefault(one.job.sheet, []).append(one)
    for sheet, part in by_sheet.items():
        (out / f"{sheet}.html").write_text(_html(sheet, "".join(map(_figure, part))), encoding="utf-8")
    rows = "".join(_row(sheet, part) for sheet, part in sorted(by_sheet.items()))
    (out / "index.html").write_text(_html("Every screen of Stayby", f"<ul>{rows}</ul>"), encoding="utf-8")


def _row(sheet: str, part: list[Found]) -> str:
    wrong = sum(bool(one.wrong) for one in part)
    name = OWN_NAMES[part[0].job.language]
    note = f" <b class=wrong>{wrong} with something wrong</b>" if wrong else ""
    return f"<li><a href='{sheet}.html'>{sheet}</a> {name}: {len(part)} screens{note}</li>"


def _figure(one: Found) -> str:
    wrong = "".join(f"<br><span class=wrong>{html.escape(text)}</span>" for text in one.wrong)
    picture = f"<a href='{one.job.file}'><img loading=lazy src='{one.job.file}'></a>"
    return f"<figure>{picture}<figcaption>{one.job.screen}{wrong}</figcaption></figure>"


def _html(title: str, body: str) -> str:
    head = f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>"
    return f"{head}<h1>{title}</h1>{body}"


def main(
    out: Annotated[Path, typer.Option(help="Where the pictures go.")] = OUT,
    screen: Annotated[str, typer.Option(help="Only screens whose name contains this.")] = "",
    language: Annotated[Language | None, typer.Option(help="Only this language.")] = None,
    one_in: Annotated[int, typer.Option(min=1, help="Only one of so many pictures.")] = 1,
) -> None:
    """Draw every screen, and end with 1 when anything is wrong in one of them."""
    jobs = [job for job in every_job() if screen in job.screen and language in {None, job.language}][::one_in]
    found = run(jobs, out)
    sheets(found, out)
    wrong = [(one.job, text) for one in found for text in one.wrong]
    for job, text in wrong:
        print(f"{job.file}: {text}")
    faintest = min(one.contrast_min for one in found)
    numbers = sum(one.numbers for one in found)
    figures = {"pictures": len(found), "faults": len(wrong), "contrast_min": faintest, "numbers": numbers}
    (out / "figures.json").write_text(json.dumps(figures), encoding="utf-8")
    print(
        f"{len(found)} pictures, {len(wrong)} faults; faintest text {faintest:.1f}:1; "
        f"{numbers} numbers read in order; {out / 'index.html'}"
    )
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    typer.run(main)

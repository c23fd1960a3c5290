"""The figures of one evaluation: what report.json holds, worked out from what each ear made of each set."""

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from kiosk.detection import Manifest
from models import curves
from models.curves import Share
from models.judge import AT_ONE, COVERT, HELD_OUT, SHIPPED, UNASKED, Judged
from models.sounds import BODIES, CONDITIONS, ENGINES, QUIET, SPOKEN, VOICES, Sounds

CURVE_POINTS = 400
OTHER_ENGINES = "other engines"


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Recall(_Row):
    """A share of files in which an ear announced something; `group` and `name` say which files, `basis` which thresholds."""

    ear: str
    group: str
    name: str
    basis: str
    hits: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share."""
        return self.hits / self.n if self.n else 0.0


class Rate(_Row):
    """Announcements in hours of real speech and sound that hold no phrase."""

    ear: str
    where: str
    basis: str
    count: int
    hours: float

    @property
    def per_h(self) -> float:
        """Announcements an hour."""
        return self.count / self.hours if self.hours else 0.0


class Curve(_Row):
    """An ear's recall over its false alarms an hour."""

    ear: str
    name: str
    points: list[tuple[float, float]]


class Cost(_Row):
    """Processor time for a second of sound, on this machine."""

    ear: str
    cpu_ms_per_audio_s: float
    audio_s: float


class Fired(_Row):
    """A quiet sentence that raised an announcement with an ear's thresholds as shipped, or a phrase that did not."""

    ear: str
    name: str
    label: str
    text: str
    voice: str


class Report(_Row):
    """All figures of one evaluation."""

    model: str
    sha256: str
    threshold_hours: float
    recalls: list[Recall]
    rates: list[Rate]
    curves: list[Curve]
    costs: list[Cost]
    fired: list[Fired]
    missed: list[Fired]
    never_tested: list[str]
    notes: list[str]

    def recall(self, ear: str, group: str, name: str, basis: str) -> Recall | None:
        """One recall, if it was measured."""
        wanted = (ear, group, name, basis)
        return next((one for one in self.recalls if (one.ear, one.group, one.name, one.basis) == wanted), None)

    def group(self, ear: str, group: str, basis: str) -> list[Recall]:
        """All recalls of a group, in their order."""
        return [one for one in self.recalls if (one.ear, one.group, one.basis) == (ear, group, basis)]

    def rate(self, ear: str, where: str, basis: str) -> Rate | None:
        """One rate, if it was measured."""
        wanted = (ear, where, basis)
        return next((one for one in self.rates if (one.ear, one.where, one.basis) == wanted), None)


def measured(manifest: Manifest, sounds: Sounds, ears: Sequence[Judged], notes: Sequence[str]) -> Report:
    """Work out every figure; sets that an ear did not hear are left out."""
    return Report(
        model=f"{manifest.name} {manifest.made}",
        sha256=manifest.sha256,
        threshold_hours=round(curves.hours(ears[0].quiet), 2),
        recalls=[row for ear in ears for row in _recalls(ear)],
        rates=[row for ear in ears for row in _rates(ear)],
        curves=[row for ear in ears if ear.graded for row in _curves(ear)],
        costs=[_cost(ear) for ear in ears if ear.audio_s],
        fired=[row for ear in ears for row in _sentences(ear, sounds, QUIET, fired=True)],
        missed=[row for ear in ears for row in _sentences(ear, sounds, (SPOKEN, *ENGINES), fired=False)],
        never_tested=list(manifest.never_tested),
        notes=list(notes),
    )


def _recalls(ear: Judged) -> Iterable[Recall]:
    for basis in (AT_ONE, SHIPPED) if ear.graded else (SHIPPED,):
        for group, name, hits in _groups(ear, basis):
            if hits.n:
                yield Recall(
                    ear=ear.name,
                    group=group,
                    name=name,
                    basis=basis,
                    hits=hits.hits,
                    n=hits.n,
                    low=hits.low,
                    high=hits.high,
                )


def _groups(ear: Judged, basis: str) -> Iterable[tuple[str, str, Share]]:
    spoken = ear.files.get(SPOKEN, [])
    yield "all", SPOKEN, ear.found(SPOKEN, basis)
    yield "all", OTHER_ENGINES, _together([ear.found(name, basis) for name in ENGINES])
    for phrase in dict.fromkeys(one.label for one in spoken):
        yield "phrase", phrase, ear.found(SPOKEN, basis, phrase)
    for name in ear.files:
        if name.startswith(COVERT):
            yield "phrase", name.removeprefix(f"{COVERT} "), ear.found(name, basis)
    if basis == SHIPPED and ear.named:
        yield from _kinds(ear)
    for phrase in dict.fromkeys(one.label for one in spoken):
        yield "phrase by other engines", phrase, _together([ear.found(name, basis, phrase) for name in ENGINES])
    for group, names in (
        ("voices", (*VOICES, *BODIES)),
        ("conditions", CONDITIONS),
        ("engines", ENGINES),
        ("quiet", QUIET),
    ):
        for name in names:
            yield group, name, ear.found(name, basis)


def _kinds(ear: Judged) -> Iterable[tuple[str, str, Share]]:
    """Of what was announced, how much by its right name; and of grave phrases, how many without asking."""
    labels = [one.label for one in ear.files.get(SPOKEN, [])]
    pairs = list(zip(labels, ear.named.get(SPOKEN, []), ear.at_once.get(SPOKEN, []), strict=True))
    heard = [label == named for label, named, _ in pairs if named is not None]
    yield "kind", "named rightly", curves.share(sum(heard), len(heard))
    grave = [clear > 0 for label, _, clear in pairs if label in ear.grave]
    yield "kind", UNASKED, curves.share(sum(grave), len(grave))


def _together(shares: Sequence[Share]) -> Share:
    return curves.share(sum(one.hits for one in shares), sum(one.n for one in shares))


def _rates(ear: Judged) -> Iterable[Rate]:
    for basis in (*((AT_ONE,) if ear.graded else ()), SHIPPED, *((UNASKED,) if ear.at_once else ())):
        for part in HELD_OUT:
            files = ear.files.get(part, [])
            if files:
                count = ear.announcements(part, basis)
                yield Rate(ear=ear.name, where=part, basis=basis, count=count, hours=round(curves.hours(files), 3))
    folders = curves.by_label(ear.files.get(HELD_OUT[1], []))
    counts = ear.shipped.get(HELD_OUT[1], [])
    labels = [one.label for one in ear.files.get(HELD_OUT[1], [])]
    for folder, files in folders.items():
        count = sum(n for n, label in zip(counts, labels, strict=True) if label == folder)
        yield Rate(ear=ear.name, where=folder, basis=SHIPPED, count=count, hours=round(curves.hours(files), 3))


def _curves(ear: Judged) -> Iterable[Curve]:
    for name, sets in ((SPOKEN, (SPOKEN,)), (OTHER_ENGINES, ENGINES), ("shouted", ("shouted",))):
        spoken = [one for part in sets for one in ear.files.get(part, [])]
        if spoken and ear.quiet:
            points = curves.thin(curves.curve(spoken, ear.quiet), CURVE_POINTS)
            yield Curve(ear=ear.name, name=name, points=[(round(p.false_per_h, 4), round(p.recall, 4)) for p in points])


def _cost(ear: Judged) -> Cost:
    return Cost(ear=ear.name, cpu_ms_per_audio_s=round(1000 * ear.cpu_s / ear.audio_s, 1), audio_s=round(ear.audio_s))


def _sentences(ear: Judged, sounds: Sounds, sets: Sequence[str], *, fired: bool) -> Iterable[Fired]:
    """Which quiet sentences an ear took for distress, or which phrases it did not, with its thresholds as shipped."""
    for name in sets:
        known = {one.file: one for one in sounds.sets.get(name, ())}
        for path, count in zip(ear.paths.get(name, []), ear.shipped.get(name, []), strict=True):
            one = next((s for file, s in known.items() if str(path).endswith(file)), None)
            if one is not None and bool(count) is fired:
                yield Fired(ear=ear.name, name=name, label=one.label, text=one.text, voice=one.voice)

"""The one streaming loop: 80 ms chunks in, decisions out; live capture and files go through this same code."""

from collections.abc import Iterable, Iterator

from kiosk.detection import Decider, Heard, Manifest
from kiosk.listen.features import HOP_S, Features, Samples
from kiosk.listen.model import PhraseModel

SCORE_DIGITS = 4


class Loop:
    """Front end, model and decisions in a row, with constant memory and the same bounded work for each chunk.

    `best` holds the highest score of each phrase since the last reset.
    """

    def __init__(self, model: PhraseModel) -> None:
        self._features = Features()
        self._model = model
        self._decider = Decider(model.manifest)
        self._ids = tuple(phrase.id for phrase in model.manifest.phrases)
        self.reset()

    def reset(self) -> None:
        """Forget all sound and decisions; time starts at 0 again."""
        self._features.reset()
        self._decider.reset()
        self._hops = 0
        self.best: dict[str, float] = {}
        self.scores: tuple[float, ...] = ()

    @property
    def manifest(self) -> Manifest:
        """The manifest of the model in the loop."""
        return self._model.manifest

    @property
    def audio_s(self) -> float:
        """Seconds of sound since the reset."""
        return self._hops * HOP_S

    def step(self, chunk: Samples) -> Heard | None:
        """Take 1280 samples (int16, 16 kHz); times are seconds of sound since the reset. ModelError if the model broke."""
        scores = self._model.scores(self._features.push(chunk))
        self._hops += 1
        self.scores = scores
        for phrase, score in zip(self._ids, scores, strict=True):
            self.best[phrase] = max(score, self.best.get(phrase, score))
        return self._decider.hear(self.audio_s, scores)


def listen(loop: Loop, sound: Iterable[Samples]) -> Iterator[Heard]:
    """Run chunks through the loop and give what is heard, as it is heard."""
    for chunk in sound:
        heard = loop.step(chunk)
        if heard is not None:
            yield heard

"""The one streaming loop: 80 ms chunks in, decisions out; live capture and files go through this same code."""

from dataclasses import dataclass, replace
from typing import Protocol

from kiosk.detection import NO_LOOK_PENALTY, Candidate, Decider, Heard, Manifest, Verdict
from kiosk.listen.features import HOP_S, Features, Samples
from kiosk.listen.model import PhraseModel

SCORE_DIGITS = 4


@dataclass(frozen=True)
class Answer:
    """What became of one candidate; without a verdict it is judged by stage 1 alone."""

    candidate: Candidate
    verdict: Verdict | None


class Looker(Protocol):
    """Who takes a second look: at once for files, in a process of its own for a unit."""

    @property
    def ready(self) -> bool:
        """Whether candidates can be given to it now."""

    def ask(self, candidate: Candidate, position: int) -> None:
        """Look at the sound of the ring that ends at `position`; never waits."""

    def answers(self) -> list[Answer]:
        """What came back, or came too late, since the last call."""

    def forget(self) -> None:
        """Drop what was asked: the sound stream begins anew."""


class Loop:
    """Front end, model and decisions in a row, with constant memory and the same bounded work for each chunk.

    `best` holds the highest score of each active phrase since the last reset, on the scale of the detections: after second
    looks where there is a looker, and `NO_LOOK_PENALTY` below stage 1's where none was worth it.
    """

    def __init__(self, model: PhraseModel, looker: Looker | None = None) -> None:
        self._features = Features()
        self._model = model
        self._looker = looker if model.manifest.second_look is not None else None
        self._decider = Decider(model.manifest, covert_phrase=model.covert_phrase)
        self._ids = tuple(phrase.id for phrase in self._decider.phrases)
        self.reset()

    def use(self, manifest: Manifest) -> None:
        """Decide by the thresholds of `manifest` from now on: a calibrated copy of the model's own."""
        self._decider = Decider(manifest, covert_phrase=self._model.covert_phrase)
        if self._looker is not None:
            self._looker.forget()

    def reset(self) -> None:
        """Forget all sound and decisions; time starts at 0 again."""
        self._features.reset()
        self._decider.reset()
        if self._looker is not None:
            self._looker.forget()
        self._hops = 0
        self.best: dict[str, float] = {}
        self.scores: tuple[float, ...] = ()

    @property
    def manifest(self) -> Manifest:
        """The manifest of the model in the loop."""
        return self._model.manifest

    @property
    def second_look(self) -> bool:
        """Whether candidates get a second look now."""
        return self._looker is not None and self._looker.ready

    @property
    def audio_s(self) -> float:
        """Seconds of sound since the reset."""
        return self._hops * HOP_S

    def step(self, chunk: Samples, position: int = 0) -> Heard | None:
        """Take 1280 samples (int16, 16 kHz); times are seconds of sound since the reset. ModelError if the model broke.

        `position` is how many chunks the ring of sound held when this one was written, for a looker to find it again.
        """
        self.scores = self._model.scores(self._features.push(chunk))
        self._hops += 1
        self._note_best(self.scores, NO_LOOK_PENALTY if self._looker else 0.0)
        return self._decide(position)

    def catch_up(self) -> Heard | None:
        """Take what a second look answered while no sound came."""
        return self._judge(self._looker.answers()) if self._looker is not None else None

    def _decide(self, position: int) -> Heard | None:
        looker = self._looker
        self._decider.second_look = self.second_look
        candidate = self._decider.hear(self.audio_s, self.scores)
        alone = []
        if candidate is not None and looker is not None and looker.ready:
            # sound from before a reset is another room's or another file's
            looker.ask(replace(candidate, sound_s=min(candidate.sound_s, self.audio_s)), position)
        elif candidate is not None:
            alone.append(Answer(candidate, None))
        return self._judge([*(looker.answers() if looker else []), *alone])

    def _judge(self, answers: list[Answer]) -> Heard | None:
        heard = None
        for answer in answers:
            if answer.verdict is not None:
                self._note_best(answer.verdict.scores, 0.0)
            heard = self._decider.judge(answer.candidate, answer.verdict) or heard
        return heard

    def _note_best(self, scores: tuple[float, ...], less: float) -> None:
        for phrase, score in zip(self._ids, scores, strict=True):
            self.best[phrase] = max(score - less, self.best.get(phrase, score - less))

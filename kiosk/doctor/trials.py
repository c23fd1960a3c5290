"""What a walk test tries at a unit, what came of each, and what is still untested.

Rules
- Pure. A spot is a place that the technician names; each spot wants a phrase of its own.
- A trial that was left out says why and stays untested: it is never counted as well.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kiosk.config import UnitConfig
from kiosk.doctor.record import Check, untested, well, wrong
from kiosk.messages import StatusAnswer, WalkSays, WalkTrigger
from kiosk.walk import EXPECT_S

FIRST_SPOT = "in front of the desk"
WHOLE_WAY, LATELY, LEFT_OUT = "whole way", timedelta(days=1), "left out"
NAMES = {
    WalkTrigger.BUTTON: "button",
    WalkTrigger.COVERT: "hidden button",
    WalkTrigger.TOUCH: "touch",
    WalkTrigger.SILENT: "silent phrase",
}
ASKS = {
    WalkTrigger.BUTTON: "Press the button now, and let it go",
    WalkTrigger.COVERT: "Press the hidden button now, and let it go",
    WalkTrigger.TOUCH: "Touch “I need help” on the screen now",
    WalkTrigger.SILENT: "Say the store’s silent phrase now",
}
DOES = {
    WalkTrigger.BUTTON: "`stayby button` shows each press; look at its plug and its wire",
    WalkTrigger.COVERT: "`stayby button` shows each press; without a hidden button leave it out: x and its number",
    WalkTrigger.TOUCH: "see `touch` of `stayby doctor`; does the screen show that you touched it?",
    WalkTrigger.PHRASE: "say it louder or come nearer; else `stayby listen --calibrate`, or move the microphone",
    WalkTrigger.SILENT: "say it as it was chosen; see [listen] covert_phrase",
}


@dataclass(frozen=True)
class Trial:
    """One thing to try. `spot` is where a phrase is said."""

    trigger: WalkTrigger
    spot: str = ""

    @property
    def name(self) -> str:
        """What it is called in lists and on the certificate."""
        return NAMES.get(self.trigger, f"phrase {self.spot}")

    @property
    def ask(self) -> str:
        """What the technician is to do now."""
        return ASKS.get(self.trigger, f"Go {self.spot}. Say “Help me” now, as to a person")


@dataclass
class Plan:
    """The trials of one walk test and what came of them, in order."""

    trials: list[Trial]
    found: dict[Trial, Check] = field(default_factory=dict)

    def add_spot(self, spot: str) -> Trial:
        """Add a spot at which a phrase is to be said."""
        trial = Trial(WalkTrigger.PHRASE, spot)
        if trial not in self.trials:
            self.trials.append(trial)
        return trial

    def untested(self) -> list[Trial]:
        """Return what nothing came of yet, and what went wrong: both are to be done."""
        return [one for one in self.trials if one not in self.found or self.found[one].ok is False]

    def came(self, trial: Trial, told: WalkSays) -> Check:
        """Note that the call came."""
        figures = {
            "after_s": told.after_s,
            "score": told.score,
            "level_dbfs": told.level_dbfs,
            "noise_dbfs": told.noise_dbfs,
        }
        measured = {name: value for name, value in figures.items() if value is not None}
        self.found[trial] = well(trial.name, _came_words(told), **measured)
        return self.found[trial]

    def missed(self, trial: Trial) -> Check:
        """Note that nothing came."""
        self.found[trial] = wrong(trial.name, f"nothing came in {EXPECT_S:.0f} s", DOES[trial.trigger])
        return self.found[trial]

    def left_out(self, trial: Trial, why: str) -> Check:
        """Note that it is not tried, and why."""
        self.found[trial] = untested(trial.name, f"{LEFT_OUT}: {why}")
        return self.found[trial]

    def records(self) -> Iterator[Check]:
        """Yield the record of each trial."""
        for trial in self.trials:
            yield self.found.get(trial) or untested(trial.name, "not tried", "walk again")


def whole_way(answer: StatusAnswer | None, began: datetime) -> Check:
    """Return whether a press reached a person who answered, lately: an opening press is that, and nothing less."""
    at = answer.status.last_proven if answer is not None else None
    if at is not None and began - LATELY <= at:
        return well(WHOLE_WAY, f"an opening press was answered by a person, {at.astimezone():%Y-%m-%d %H:%M}")
    do = "on the board, Practise, begin the opening press; press; touch “Yes, it is the test”; answer it; then walk again"
    return untested(WHOLE_WAY, "no opening press was answered by a person in the day before", do)


def passed(walked: Iterable[Check], found: Iterable[Check]) -> bool:
    """Return whether nothing is wrong, and everything was tried that was not left out for a reason."""
    tried = all(one.ok is not False and (one.ok or one.says.startswith(LEFT_OUT)) for one in walked)
    return tried and not any(one.ok is False for one in found)


def plan_for(config: UnitConfig) -> Plan:
    """Return what there is to try at this unit."""
    triggers = [WalkTrigger.BUTTON, WalkTrigger.COVERT] if config.button is not None else []
    trials = [Trial(one) for one in [*triggers, WalkTrigger.TOUCH]]
    if config.listen is not None:
        trials.append(Trial(WalkTrigger.PHRASE, FIRST_SPOT))
        trials += [Trial(WalkTrigger.SILENT)] if config.listen.covert_phrase is not None else []
    return Plan(trials)


def _came_words(told: WalkSays) -> str:
    after = "" if told.after_s is None else f" after {told.after_s:.1f} s"
    if told.score is None:
        return f"came{after}"
    noise = "" if told.noise_dbfs is None else f", noise of the room {told.noise_dbfs:.0f} dBFS"
    heard = told.phrase.replace("_", " ") if told.trigger is WalkTrigger.PHRASE else "silent phrase"
    return f"heard “{heard}”{after}, score {told.score:.1f}{noise}"

"""The year's drills: short scenarios in ordinary words, when each is due, and how one went.

Rules
- Pure, and data first: a scenario is what a player says and does, what good staff do, two questions afterwards, and the row of
  the guidance that it stands on. A clinician or trainer can review and replace it.
- The calendar is the same for a store and year whoever asks, and has every scenario once before one comes again, over New
  Year too.
- A drill is for learning: the score says what happened and what was said, never who was good.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from math import inf

from kiosk.board.kept import Kept
from kiosk.messages import OPENING, Record

BEGIN_S, OPENING_S = 15.0, 75.0
"""So long a desk has to begin a drill, and people to press the button: a minute, and the way there and back."""
EPOCH = date(2020, 1, 1)
TIMES = ("in the first hour", "around noon", "in the afternoon", "in the last hour", "at the busiest time")


@dataclass(frozen=True)
class Scenario:
    """One play of about five minutes. `signs` are what staff can see and hear; `good` is what the leader ticks."""

    id: str
    title: str
    says: tuple[str, ...]
    does: tuple[str, ...]
    signs: str
    good: tuple[str, ...]
    questions: tuple[str, str]
    source: str


SCENARIOS = (
    Scenario(
        id="chest", title="A tight chest",
        says=("I’m just a bit tired.", "It feels tight, here.", "No, no ambulance, please."),
        does=("Lean on the desk. Rub the middle of your chest.", "Breathe short. Answer slowly."),
        signs="A hand on the chest, a grey or sweating face, short answers. Many people play it down.",
        good=(
            "Said their own name and stayed",
            "Let the player sit on the floor, back against something, knees bent",
            "Called the ambulance at once, or sent one named person to call",
            "Did not let the player walk",
            "Told the next person what was seen and when",
        ),
        questions=("What was the first sign you saw?", "Who called, and who stayed?"),
        source="GUIDANCE.md, chest pain",
    ),
    Scenario(
        id="breath", title="No breath for a whole sentence",
        says=("I can’t … get … air.", "My puffer … in my bag."),
        does=("Stand bent, hands on the desk. Speak two words at a time.", "Point to the bag."),
        signs="Two or three words at a time, shoulders that lift, fear in the eyes.",
        good=(
            "Let the player sit upright, not lie down",
            "Helped with the player’s own inhaler",
            "Kept sentences short and asked yes-or-no questions",
            "Called the ambulance when it got no better",
            "Never called it panic",
        ),
        questions=("How did you ask, when they could hardly speak?", "When would you call the ambulance?"),
        source="GUIDANCE.md, cannot breathe",
    ),
    Scenario(
        id="choking", title="Something in the throat",
        says=("(nothing: you cannot speak)",),
        does=("Both hands at your throat. Open mouth, no sound.", "Nod when you are asked: are you choking?"),
        signs="Hands at the throat, no voice, no real cough.",
        good=(
            "Asked: are you choking?",
            "Said: cough, if you can",
            "Showed where five blows between the shoulder blades go, and did not strike",
            "Said what comes next: five thrusts to the belly, then blows again",
            "Had the ambulance called",
        ),
        questions=("What tells you that air still moves?", "What is different for a baby?"),
        source="GUIDANCE.md, choking",
    ),
    Scenario(
        id="collapse", title="Somebody lies there",
        says=("(nothing)",),
        does=("Lie on your back by the desk, eyes closed. Do not answer.", "The leader says: no breath that looks normal."),
        signs="No answer to a loud voice and a touch of the shoulder. Gasps are not breathing.",
        good=(
            "Spoke loudly and touched the shoulder",
            "Looked for breathing",
            "Had the ambulance called, and put the phone on loud",
            "Sent one named person for the defibrillator, who knew where it is",
            "Showed hands on the middle of the chest, and the pace, on a cushion",
        ),
        questions=("Where is our defibrillator, and who fetched it?", "Who met the crew at the door?"),
        source="GUIDANCE.md, collapse, not breathing normally",
    ),
    Scenario(
        id="bleeding", title="A deep cut",
        says=("It’s nothing. I broke the jar.", "Oh. That’s a lot."),
        does=("Hold a red cloth to your arm.", "Let go of it to look."),
        signs="Cloth that turns red through, a face that goes pale.",
        good=(
            "Pressed firmly with cloth and did not stop",
            "Put more cloth on top, took none away",
            "Left what sticks in the wound where it is",
            "Let the player sit or lie down",
            "Had help called",
        ),
        questions=("Where are gloves and cloth at this desk?", "What if something sticks in the wound?"),
        source="GUIDANCE.md, bleeding",
    ),
    Scenario(
        id="seizure", title="Shaking on the floor",
        says=("(nothing)", "Where am I?"),
        does=("Lie down. Shake for half a minute. Then lie still.", "Wake slowly and be confused."),
        signs="Stiff, then shaking; does not hear you. Afterwards tired and lost.",
        good=(
            "Looked at the clock",
            "Moved hard things away and put something soft under the head",
            "Did not hold the player down, put nothing in the mouth",
            "Turned the player to the side when it was over",
            "Called the ambulance: over five minutes, or the first time",
        ),
        questions=("How long was it?", "What did you do about the people who looked?"),
        source="GUIDANCE.md, seizure",
    ),
    Scenario(
        id="stroke", title="Words that come out wrong",
        says=("I want the … the … thing.", "My arm is silly today."),
        does=("Smile with one side only. Let one arm hang.", "Drop your card."),
        signs="One side of the face, one arm, speech that is wrong. It can look like drink.",
        good=(
            "Asked for a smile, both arms up, one sentence",
            "Called the ambulance at once",
            "Wrote down when it began",
            "Gave nothing to eat or drink",
            "Stayed, and spoke slowly",
        ),
        questions=("What could this be mistaken for?", "When did it begin, to the minute?"),
        source="GUIDANCE.md, stroke signs",
    ),
    Scenario(
        id="fall", title="An old man on the floor",
        says=("Pull me up, please. It’s so silly.", "My neck hurts a bit."),
        does=("Sit or lie on the floor. Try to get up.",),
        signs="Wants to get up at once, and is ashamed. Pain in head, neck or back.",
        good=(
            "Did not lift",
            "Asked for pain in head, neck and back before anything else",
            "Asked the player to keep still",
            "Kept the player warm",
            "Sat down with the player and talked",
        ),
        questions=("How did you take the shame out of it?", "When may somebody get up by themselves?"),
        source="GUIDANCE.md, fall",
    ),
    Scenario(
        id="threat", title="Somebody is being followed",
        says=("Can I just stand here a bit?", "He is still there. Please don’t look."),
        does=("Speak quietly. Look over your shoulder.", "Say nothing when a customer comes near."),
        signs="Quiet voice, looks around, does not want to leave, stops when a certain person comes.",
        good=(
            "Asked quietly: are you in danger?",
            "Offered a place that cannot be seen from the shop",
            "Asked before calling: shall we call the police?",
            "Said nothing aloud, and nothing on a screen, that gives the player away",
            "Did not go and look for the other person",
        ),
        questions=("Where is our quiet place?", "How would you know that they cannot speak freely?"),
        source="GUIDANCE.md, feeling unsafe, threatened",
    ),
    Scenario(
        id="robbery", title="The till, now",
        says=("Open it. Now.",),
        does=("Stand close. One hand in your pocket. Then walk out.",),
        signs="A hand that is hidden, a voice that is low, eyes on the door.",
        good=(
            "Gave what was asked for",
            "Kept a distance and left the way out clear",
            "Did not argue, did not chase",
            "Called the police when the player was gone",
            "Looked after colleagues and customers first",
        ),
        questions=("What matters more than the money?", "What can you say of them afterwards?"),
        source="GUIDANCE.md, robbery",
    ),
    Scenario(
        id="lost_child", title="A child is gone",
        says=("My girl! She was right here.", "Four. Yellow … no, a red coat."),
        does=("Run to and fro. Talk fast.",),
        signs="Somebody who runs and calls. A child alone who is very quiet.",
        good=(
            "Asked for name, age, clothes and shoes",
            "Sent one named person to each door",
            "Told everybody at once",
            "Kept one person with the parent",
            "Knew that the police are called after ten minutes",
        ),
        questions=("How many doors do we have, and who stood where?", "What do you do with a child that you find?"),
        source="GUIDANCE.md, lost child",
    ),
    Scenario(
        id="overwhelmed", title="It is all too much",
        says=("I have to get out.", "Everything is so loud."),
        does=("Hold your ears. Rock. Breathe fast.",),
        signs="Hands over ears, fast breath, looks for the way out. With a sore chest or no breath it is never “just panic”.",
        good=(
            "Stayed, and said little, in short sentences",
            "Asked: what helps you?",
            "Offered a quiet place, less light, more room",
            "Asked about chest and breath first",
            "Gave it time: about ten minutes, and it passes",
        ),
        questions=("What in our store is loud or bright?", "What did you say, word for word?"),
        source="GUIDANCE.md, panic, overwhelmed",
    ),
    Scenario(
        id="grief", title="The phone call",
        says=("I just … my mother.", "I don’t know what I came for."),
        does=("Look at your phone. Stop in the middle of things. Cry quietly.",),
        signs="Somebody who stands still where others move; a phone in the hand; tears that are hidden.",
        good=(
            "Said something simple: I’m sorry. I’m here.",
            "Was quiet, and let it be quiet",
            "Offered something small: a chair, water, a phone, to keep their place",
            "Did not say: I know how you feel",
            "Asked whether somebody could come for them",
        ),
        questions=("What did the quiet feel like?", "What can this store offer, and where is it?"),
        source="GUIDANCE.md, bad news, grief",
    ),
)  # fmt: skip
BY_ID = {one.id: one for one in SCENARIOS}


def title_of(scenario: str | None) -> str:
    """Return what a drill is called."""
    if scenario == OPENING:
        return "Opening press"
    known = BY_ID.get(scenario or "")
    return known.title if known else (scenario or "Drill").replace("_", " ").replace("-", " ")


# --- the calendar -----------------------------------------------------------------------------------------------------


class Planned(Record):
    """One drill of the calendar: on which day, about when, at which desk (empty in a store without units), which scenario."""

    day: date
    scenario: str
    unit: str = ""
    when: str


def _number(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8])


def _order(store: str) -> list[str]:
    """Return all scenarios in a store's own order; it goes round and round, so that each comes back as late as it can."""
    return sorted(BY_ID, key=lambda one: _number(store, one))


def plan(store: str, units: tuple[str, ...], year: int, every_days: int) -> tuple[Planned, ...]:
    """Return the drills of a year, one each `every_days`, in order of time."""
    return tuple(_planned(store, units, every_days, year))


def _planned(store: str, units: tuple[str, ...], every_days: int, year: int) -> Iterator[Planned]:
    order = _order(store)
    first = EPOCH + timedelta(days=_number(store) % every_days)
    number = max(0, -((first - date(year, 1, 1)).days // every_days) - 1)
    while (day := first + timedelta(days=number * every_days)).year <= year:
        if day.year == year:
            scenario = order[number % len(order)]
            unit = units[_number(store, "desk", number) % len(units)] if units else ""
            yield Planned(
                day=day, scenario=scenario, unit=unit, when=TIMES[_number(store, "time", number) % len(TIMES)]
            )
        number += 1


def next_of(planned: Iterable[Planned], today: date) -> Planned | None:
    """Return the first drill that is not before today."""
    return next((one for one in planned if one.day >= today), None)


# --- how one went -----------------------------------------------------------------------------------------------------


class Asked(Record):
    """A drill that somebody began: `drill` is the incident's id; `ticked` are the numbers of what good staff said and did."""

    drill: str
    unit: str
    scenario: str
    by: str
    at_s: float
    ticked: tuple[int, ...] | None = None
    learned: str = ""


class Score(Record):
    """How a drill went. `said_right` is how many of `said_of` the leader ticked, None before they did.

    `real`: it was a call: one came in the drill, or nobody said of the press that it was the opening press.
    """

    drill: str
    unit: str
    place: str
    title: str
    opening: bool
    at_s: float
    began: bool
    waiting: bool
    over: bool
    real: bool
    seen_s: float | None
    answer_s: float | None
    arrived_s: float | None
    said_right: int | None
    said_of: int
    learned: str = ""

    @property
    def says(self) -> str:
        """The result in one short line."""
        if self.waiting:
            return "Waiting for the press of the button." if self.opening else "Waiting for the desk to begin it."
        if not self.began:
            return "Nobody pressed the button." if self.opening else "It did not begin: the desk did not take it."
        if self.answer_s is None:
            return "Nobody answered." if self.over else "It is running."
        if self.opening and self.real:
            return f"Answered after {self.answer_s:.0f} s. Nobody touched “Yes, it is the test”: it stays a call."
        end = "" if self.opening else "; nobody arrived" if self.over and self.arrived_s is None else ""
        return f"Answered after {self.answer_s:.0f} s{end}."


def score(asked: Asked | None, kept: Kept | None, place: str = "", now_s: float = inf) -> Score:
    """Return how a drill went by `now_s`, from what was asked and what came of it; one of both must be known."""
    if asked is None and kept is None:
        raise ValueError("a drill is known by who began it or by its incident")
    scenario = (kept.scenario if kept and kept.scenario else None) or (asked.scenario if asked else None)
    known, opening = BY_ID.get(scenario or ""), scenario == OPENING
    return Score(
        drill=asked.drill if asked else kept.id if kept else "",
        unit=asked.unit if asked else kept.unit if kept else "",
        place=kept.place if kept else place,
        title=title_of(scenario),
        opening=opening,
        at_s=kept.opened_s if kept else asked.at_s if asked else 0.0,
        began=kept is not None,
        waiting=kept is None and asked is not None and now_s - asked.at_s < (OPENING_S if opening else BEGIN_S),
        over=kept is not None and kept.closed_s is not None,
        real=kept is not None and not kept.drill,
        seen_s=kept.seen_s if kept else None,
        answer_s=kept.answer_s if kept else None,
        arrived_s=kept.arrived_s if kept else None,
        said_right=len(asked.ticked) if asked and asked.ticked is not None else None,
        said_of=len(known.good) if known else 0,
        learned=asked.learned if asked else "",
    )


def pair(asked: Iterable[Asked], kept: Iterable[Kept], places: dict[str, str], now_s: float = inf) -> tuple[Score, ...]:
    """Return all drills as they stand by `now_s`, each once, the newest first."""
    begun = {one.drill: one for one in asked}
    came = {one.id: one for one in kept if one.drill or one.id in begun}
    scores = [
        score(begun.get(name), came.get(name), places.get(_unit(begun, name), ""), now_s) for name in {*begun, *came}
    ]
    return tuple(sorted(scores, key=lambda one: (-one.at_s, one.drill)))


def _unit(begun: dict[str, Asked], name: str) -> str:
    return begun[name].unit if name in begun else ""

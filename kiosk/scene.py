"""What every page is made from: the place, the open incident, and how both are put into words of one language.

Rules
- Nothing is claimed ahead of the facts: "coming" only when a responder said so, a name only when its device or person spoke.
- People's and tiers' names are cut to fit; what a place wrote itself (its name, address, phone) is shown as it stands.
- A covert phrase is never read back, nor is anything said aloud where it might give somebody away.
- No pixels, no clock: times are monotonic seconds and are passed in.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

from kiosk.guidance import CASES
from kiosk.local import Local, case_of, wants_person
from kiosk.messages import (
    Choice,
    Face,
    NextStep,
    Person,
    Reach,
    Severity,
    Show,
    Snapshot,
    State,
    Touch,
    TouchAction,
)
from kiosk.page import Button, Go, Kind, Line, Page, Style
from kiosk.texts import NEVER_READ_BACK, PHRASES
from kiosk.tongue import ENGLISH, Tongue

NAME_WORDS = 3
NAME_CHARS = 22
USUAL_TIERS = {ENGLISH.say(key): key for key in ("tier_staff", "tier_manager")}
"""Names of tiers that the configuration begins with."""
VIEW_SIGNS = "文 ع A"
"""Stands beside the word on the way to the languages, for who cannot read it."""


@dataclass(frozen=True)
class Desk:
    """What this unit knows of itself before the hub speaks: face, parts, its language, and the zone of its local time."""

    face: Face
    button: bool
    speaker: bool = True
    zone: tzinfo = UTC
    home: Tongue = ENGLISH


def short(name: str) -> str:
    """Return a name that fits: at most three words and 22 characters, cut at a word where there is one."""
    words = name.split()[:NAME_WORDS]
    while len(words) > 1 and len(" ".join(words)) > NAME_CHARS:
        words.pop()
    text = " ".join(words)
    if len(text) > NAME_CHARS:
        text = text[: NAME_CHARS - 1] + "…"
    return text


def clock(seconds: float) -> str:
    """Return a span of time as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def phrase_words(phrase: str) -> str:
    """Return how a phrase is read back, in the language of the ear."""
    return PHRASES.get(phrase) or " ".join(phrase.replace("_", " ").replace("-", " ").split()[:6])


def _soon(seconds: float) -> int:
    """Return seconds to come, rounded up to five, so that the line stays calm."""
    return max(5, math.ceil(seconds / 5) * 5)


# --- a desk without an incident ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where a page stands, with the pieces that every page shares."""

    face: Face
    local: Local
    desk: Desk
    tongue: Tongue
    now_s: float

    def say(self, key: str, **slots: object) -> str:
        """Return a text in the person's language."""
        return self.tongue.say(key, **slots)

    @property
    def number(self) -> str:
        """The emergency number of this place."""
        return self.face.emergency_number

    def aloud(self, *keys: str) -> tuple[str, ...]:
        """Return the prompts of a page: none where the voice is off, or might give the person away. A drill begins with it."""
        secret = self.local.hushed or (self.local.choice is not None and not CASES[self.local.choice].aloud)
        if not keys or secret or not self.local.look.voice or not self.desk.speaker:
            return ()
        return ("say_drill", *keys) if self.local.drill else keys

    def police(self) -> tuple[str, ...]:
        """Return the number of the police, where it is another one: for everybody, so that it tells nothing of anybody."""
        other = self.face.police_number not in {"", self.number}
        return (self.say("call_police", police=self.face.police_number),) if other else ()

    def call(self) -> Button:
        """Return the way to call for help without us."""
        return Button(self.say("b_call", number=self.number), Go.EMERGENCY, Style.CALL)

    def view(self) -> Button:
        """Return the way to the languages."""
        return Button(f"{VIEW_SIGNS} {self.say('b_view')}", Go.VIEW, Style.SMALL)

    def back(self) -> Button:
        """Return the way out of a page that a person opened."""
        return Button(self.say("b_back"), Go.BACK)

    def help(self, style: Style = Style.MAIN) -> Button:
        """Return the way to an alert."""
        return Button(self.say("b_help"), Touch(action=TouchAction.HELP), style)

    def page(self, kind: Kind, **parts: Any) -> Page:
        """Return a page with what every one of them shows."""
        same = {"top_left": self.face.place, "top": (self.view(),), "corner": (self.call(),)}
        if self.local.drill:
            same["mark"] = self.say("drill")
        return Page(kind=kind, **{**same, **parts})


# --- an open incident -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene(Place):
    """A place with an incident, and how that stands in words. `age_s` is how old the facts are."""

    show: Show
    incident: Snapshot
    age_s: float

    @property
    def reached(self) -> bool:
        """Whether staff can be told anything now."""
        return self.show.reach is Reach.OK

    @property
    def asks_test(self) -> bool:
        """Whether the desk asks if this is the morning's test: not of who is told that nobody can be reached."""
        return self.incident.maybe_test and self.reached

    @property
    def elapsed_s(self) -> float:
        """Seconds since the incident opened."""
        return self.incident.elapsed_s + self.age_s

    @property
    def grave(self) -> bool:
        """Whether it cannot wait."""
        return self.incident.severity is Severity.GRAVE

    @property
    def unanswered(self) -> bool:
        """Whether an alarm reached nobody, or nobody answered it."""
        return self.incident.emergency and not wants_person(self.incident)

    @property
    def choice(self) -> Choice | None:
        """What the person said is happening, here or before a restart; asking for a person is no answer to that."""
        told = self.incident.choice
        return self.local.choice or (None if told is Choice.PERSON else told)

    @property
    def case(self) -> Choice | None:
        """Whose steps are shown: what was heard since, or what the person said, or else what a phrase suggests."""
        return case_of(self.local, self.incident)

    @property
    def asks(self) -> bool:
        """Whether it is the question to a person who was heard."""
        check = self.incident.severity is Severity.CHECK or self.incident.state is State.CHECKING
        return check and not wants_person(self.incident)

    @property
    def late(self) -> str:
        """The name of a responder who was on the way and is overdue, while nobody else is."""
        entries = [entry for entry in self.incident.timeline if entry.what in {"coming", "late", "here"}]
        if self.incident.coming or self.incident.here or not entries or entries[-1].what != "late":
            return ""
        return short(entries[-1].who)

    @property
    def summary(self) -> str:
        """How things stand in one line, for the top of a page that is about something else."""
        if self.incident.here:
            return self.say("here", name=short(self.incident.here.name))
        if self.incident.coming:
            name, eta_s = self.first()
            return self.say("coming", name=name, eta=self.eta(eta_s)) if eta_s > 0 else self.say("late", name=name)
        if not self.reached:
            return self.unreached()
        if self.late:
            return self.say("late_asking", name=self.late)
        if self.unanswered:
            return self.say("nobody_answered")
        return self.phones().text if self.incident.seen else self.asked().text

    def first(self) -> tuple[str, float]:
        """Return the name of the responder who is due first, and the seconds left."""
        going = min(self.incident.coming, key=lambda one: one.eta_s)
        return short(going.responder.name), max(0.0, going.eta_s - self.age_s)

    def eta(self, seconds: float) -> str:
        """Return when a responder is due, as they said it."""
        if seconds <= 0:
            return self.say("eta_now")
        if seconds <= 30:  # noqa: PLR2004 - half a minute
            return self.say("eta_half")
        return self.say("eta", n=max(1, round(seconds / 60)))

    def unreached(self) -> str:
        """Return why nobody can be told, in plain words."""
        return self.say("nobody_listens" if self.show.reach is Reach.NOBODY else "cannot_reach")

    # --- the waiting line ---------------------------------------------------------------------------------------------

    def asked(self) -> Line:
        """Return the first item of the waiting line: whether staff were asked, and up to whom."""
        known = bool(self.incident.seen) or (self.reached and self.show.told and bool(self.incident.asked))
        if not known:
            return Line(self.say("telling" if self.reached else "not_asked"), done=False)
        tier = min(self.incident.tier, len(self.incident.tiers))
        if tier > 1:
            return Line(self.say("asked_tier", tier=self.tier(self.incident.tiers[tier - 1])), done=True)
        return Line(self.say("asked"), done=True)

    def tier(self, name: str) -> str:
        """Return what a tier is called: in the person's language where the store has given it no name of its own."""
        key = USUAL_TIERS.get(name)
        return self.say(key) if key else short(name)

    def phones(self) -> Line:
        """Return whose devices show it."""
        people: Sequence[Person] = self.incident.seen
        if not people:
            return Line(self.say("shows_none"), done=False)
        names = [short(one.name) for one in people]
        if len(names) == 1:
            return Line(self.say("shows_1", a=names[0]), done=True)
        if len(names) == 2:  # noqa: PLR2004 - a pair
            return Line(self.say("shows_2", a=names[0], b=names[1]), done=True)
        return Line(self.say("shows_more", a=names[0], b=names[1], n=len(names) - 2), done=True)

    def answer(self) -> Line:
        """Return the last item of the waiting line while nobody is on the way."""
        if self.unanswered:
            return Line(self.say("nobody_answered"), done=False)
        return Line(self.say("waiting_declined" if self.incident.declined else "waiting"), done=False)

    def told(self) -> tuple[Line, ...]:
        """Return what the person told, as told: a fact once the hub has it. What might give them away is not among it."""
        choice, name = self.choice, short(self.incident.name or "")
        what = self.say(f"{choice.value}.title") if choice and CASES[choice].told else ""
        done = not what or choice is self.incident.choice
        if what and name:
            return (Line(self.say("you_said_name", what=what, name=name), done),)
        if what:
            return (Line(self.say("you_said", what=what), done),)
        return (Line(self.say("your_name", name=name), done=True),) if name else ()

    def asides(self) -> tuple[str, ...]:
        """Return what else is worth a line: said to be fine, did not answer, the line to the staff is lost."""
        if self.incident.says_fine:
            told = (self.say("told_fine"), self.say("told_fine_look"))
            return told if self.reached else (self.say("fine_not_told"),)
        if self.incident.coming and not self.reached:
            return (self.say("lost_line"),)
        if self.incident.check_ins_missed and self.reached:
            return (self.say("not_told_worse"),)
        return ()

    # --- what happens by itself ---------------------------------------------------------------------------------------

    def by_itself(self) -> str:
        """Return the bottom line: what happens next if nobody does anything."""
        step = self.incident.next
        checking = self.incident.state is State.CHECKING
        if step is None or step.what == "remind":
            return self.keep_on()
        if not self.reached and step.what in {"ask_next_tier", "emergency_page", "raise"}:
            return self.keep_on()
        return (_CHECK_NEXT if checking else _NEXT)[step.what](self, step)

    def keep_on(self) -> str:
        """Return what the unit does while it can do no more: nothing once somebody is on the way or here."""
        if self.incident.coming or self.incident.here:
            return ""
        return self.say("keep_asking" if self.reached else "keep_reaching")

    def next_tier(self, step: NextStep, key: str = "next_tier") -> str:
        """Return who is asked next, and when."""
        tiers = self.incident.tiers
        if self.incident.tier >= len(tiers):
            return self.say("keep_asking")
        return self.say(key, n=self.soon(step), tier=self.tier(tiers[self.incident.tier]))

    def ask_again(self) -> str:
        """Return what happens when those on the way do not arrive."""
        if len(self.incident.coming) == 1:
            return self.say("next_ask_again", name=self.first()[0])
        return self.say("next_ask_again_all") if self.incident.coming else self.keep_on()

    def soon(self, step: NextStep) -> int:
        """Return the seconds until `step`, as shown."""
        return _soon(step.in_s - self.age_s)

    # --- what can be touched ------------------------------------------------------------------------------------------

    def touch(self, action: TouchAction, key: str, style: Style = Style.PLAIN) -> Button:
        """Return a button that tells the hub something about this incident."""
        return Button(self.say(key), Touch(action=action, incident=self.incident.id), style)

    def tile(self, choice: Choice, *, chosen: bool = False) -> Button:
        """Return the picture of a case, to say that this is happening."""
        return choice_tile(self, choice, self.incident.id, chosen=chosen)

    def call(self) -> Button:
        """Return the way to call for help without us, with its picture where it cannot wait."""
        picture = "call" if self.grave and not wants_person(self.incident) else ""
        return Button(self.say("b_call", number=self.number), Go.EMERGENCY, Style.CALL, picture)

    def with_fine(self) -> tuple[Button, ...]:
        """Return the corner of a page on which a person waits; in a drill the way out of it, for who does not play."""
        if self.incident.drill:
            return (self.real(), self.call())
        fine = () if self.incident.says_fine else (self.touch(TouchAction.FINE, "b_fine_now"),)
        return (*fine, self.call())

    def real(self) -> Button:
        """Return the way out of a drill: it becomes a call like any other."""
        return self.touch(TouchAction.HELP, "b_real")

    def test(self) -> tuple[Button, ...]:
        """Return the way to say that this call was the morning's test, while that is asked."""
        return (self.touch(TouchAction.TEST, "b_test"),) if self.asks_test else ()

    def top(self) -> tuple[Button, ...]:
        """Return what stands in the top line where a person waits: the name is offered there, and not pressed for."""
        name = () if self.incident.name else (Button(self.say("b_name"), Go.NAME, Style.SMALL),)
        return (*name, self.view())

    def page(self, kind: Kind, **parts: Any) -> Page:
        """Return a page of this scene with what every one of them shows."""
        same = {
            "top_right": clock(self.elapsed_s),
            "mark": self.say("drill") if self.incident.drill else "",
            "bottom": self.by_itself(),
            "incident": self.incident.id,
            "state": self.incident.state,
        }
        return super().page(kind, **{**same, **parts})


def choice_tile(place: Place, choice: Choice, incident: str | None, *, chosen: bool = False) -> Button:
    """Return the picture of a case, to touch; without an incident it is for this screen alone."""
    touch = Touch(action=TouchAction.CHOOSE, incident=incident, choice=choice)
    style = Style.CHOSEN if chosen else Style.PLAIN
    return Button(place.say(f"{choice.value}.tile"), touch, style, CASES[choice].picture)


def heard(scene: Scene) -> str:
    """Return what was heard, to be read back; nothing for what must not be."""
    incident = scene.incident
    secret = any(one and not CASES[one].aloud for one in (incident.guess, incident.choice))
    if incident.phrase is None or incident.phrase in NEVER_READ_BACK or secret:
        return ""
    return scene.say("heard", phrase=phrase_words(incident.phrase))


_NEXT: dict[str, Callable[[Scene, NextStep], str]] = {
    "ask_next_tier": lambda scene, step: scene.next_tier(step),
    "raise": lambda scene, _step: scene.say("check_raise"),
    "emergency_page": lambda scene, step: scene.say("next_emergency", n=scene.soon(step), number=scene.number),
    "ask_again": lambda scene, _step: scene.ask_again(),
    "check_in": lambda scene, step: scene.say("next_check_in", n=scene.soon(step)),
    "check_in_missed": lambda scene, _step: scene.say("next_check_in_missed") if scene.reached else scene.keep_on(),
}
_CHECK_NEXT = {**_NEXT, "ask_next_tier": lambda scene, _step: scene.say("check_next_tier")}

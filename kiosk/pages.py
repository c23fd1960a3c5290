"""What the screen says: from what is so (`Show`) and what was touched here (`Local`) to one frozen `Page`.

Rules
- Nothing is claimed ahead of the facts: "coming" only when a responder said so, a name only when its device or person spoke.
- Texts are one table, `TEXTS`: verb first where it asks for something, at most 12 words a line, no exclamation marks.
- What a place wrote itself (its name, address, phone) is shown as it stands; people's and tiers' names are cut to fit.
- A silent incident does not exist here: the page is built as if there were none. A covert phrase is never read back.
- What a phrase suggests opens its steps after the question, but never those of a person who may not feel safe, and is no choice.
- From every page of an alert the emergency page is one touch away; check-ins wait inside it while somebody may be on the phone.
- No pixels, no clock: times are monotonic seconds and are passed in.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kiosk.guidance import CASES, GROUPS
from kiosk.messages import (
    Choice,
    Face,
    Hearing,
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
from kiosk.page import Button, Card, Does, Go, Kind, Line, Page, Style
from kiosk.texts import NEVER_READ_BACK, PHRASES
from kiosk.tongue import ENGLISH

HUB_GONE_S = 4.0
"""So long without a word from the hub (it speaks every second), and the screen says that this unit cannot call."""
LEFT_OPEN_S = 120.0
"""How long an emergency page stays open at a desk where nothing is open any more."""
THANKS_S = 8.0
"""How long the page after the end stays."""
NAME_WORDS = 3
NAME_CHARS = 22

BUTTON_UNSURE = frozenset({"button", "button-loop", "button-stuck"})
"""Faults under which the screen does not send anybody to the button; of the covert one it never says anything."""


@dataclass(frozen=True)
class Desk:
    """What this unit knows of itself before the hub speaks: its face, and whether it has a panic button."""

    face: Face
    button: bool


@dataclass(frozen=True)
class Local:
    """What was touched here and never leaves the screen; it belongs to one incident and starts anew with the next.

    `opened` is the page that a person opened over the ordinary one, if any. `telling` is set while a touched call for
    help is not yet confirmed by what the hub shows, `unheard` when that has lasted too long. `guess` is whose steps a heard
    phrase opened: another one starts at its first step.
    """

    incident: str | None = None
    opened: Go | None = None
    opened_s: float = 0.0
    emergency_put_away: bool = False
    choice: Choice | None = None
    guess: Choice | None = None
    step: int = 0
    drill: bool = False
    attended: bool = False
    closed_s: float | None = None
    telling: bool = False
    unheard: bool = False


say = ENGLISH.say


def short(name: str) -> str:
    """Return a name that fits: at most three words and 22 characters, cut at a word where there is one."""
    words = name.split()[:NAME_WORDS]
    while len(words) > 1 and len(" ".join(words)) > NAME_CHARS:
        words.pop()
    text = " ".join(words)
    if len(text) > NAME_CHARS:
        text = text[: NAME_CHARS - 1] + "…"
    return text


def visible(show: Show | None) -> Snapshot | None:
    """Return the incident that the screen may know of: none when it is silent or over."""
    incident = show.incident if show else None
    if incident is None or incident.silent or incident.state in {State.IDLE, State.CLOSED}:
        return None
    return incident


def suggested(incident: Snapshot | None) -> Choice | None:
    """Return the case that a phrase suggests and that may be shown to whoever stands at the screen."""
    guess = incident.guess if incident else None
    return None if guess is Choice.NOT_SAFE else guess


# --- what was touched here --------------------------------------------------------------------------------------------


def settle(local: Local, show: Show | None, now_s: float) -> Local:
    """Return `local` after the facts changed: a new incident starts anew, an ended one is thanked for and then forgotten."""
    if show is None:
        return local
    incident = visible(show)
    if show.incident is not None and show.incident.silent and show.incident.id == local.incident:
        return Local()
    if incident is None:
        return _settle_quiet(local, now_s)
    if incident.id != local.incident:
        reading = Go.EMERGENCY if local.opened is Go.EMERGENCY else None
        local = Local(incident=incident.id, opened=reading, telling=local.telling, unheard=local.unheard)
    put_away = local.emergency_put_away and incident.emergency
    here = incident.state is State.ATTENDED
    guess = suggested(incident)
    step = local.step if guess is local.guess or local.choice or incident.choice else 0
    local = replace(local, drill=incident.drill, attended=here, closed_s=None, emergency_put_away=put_away)
    local = replace(local, guess=guess, step=step)
    forced = incident.emergency and not incident.coming and incident.here is None
    if forced and not local.emergency_put_away:
        return replace(local, opened=Go.EMERGENCY)
    return local


def _settle_quiet(local: Local, now_s: float) -> Local:
    if local.opened is Go.EMERGENCY and (local.closed_s is not None or not local.attended):
        return _settle_left_open(local, now_s)
    if local.incident is None:
        return local
    if local.closed_s is None:
        return replace(local, closed_s=now_s, opened=None, choice=None, guess=None, step=0)
    if now_s - local.closed_s >= THANKS_S:
        return Local(telling=local.telling, unheard=local.unheard)
    return local


def _settle_left_open(local: Local, now_s: float) -> Local:
    """Somebody may be reading the card to a dispatcher when an incident is closed from afar: it stays a while."""
    if local.incident is not None:
        return Local(opened=Go.EMERGENCY, opened_s=now_s, telling=local.telling, unheard=local.unheard)
    if now_s - local.opened_s >= LEFT_OPEN_S:
        return replace(local, opened=None)
    return local


def touched(local: Local, does: Does, now_s: float) -> Local:
    """Return `local` after a person touched something."""
    if isinstance(does, Go):
        return replace(_gone_to(local, does), opened_s=now_s)
    if not isinstance(does, Touch):
        return local
    if does.action is TouchAction.HELP:
        return replace(local, opened=None)
    if does.choice is not None:
        return replace(local, choice=does.choice, step=0, opened=None)
    return local


def _gone_to(local: Local, go: Go) -> Local:
    if go is Go.BACK:
        put_away = local.emergency_put_away or local.opened is Go.EMERGENCY
        return replace(local, opened=None, emergency_put_away=put_away)
    if go is Go.NEXT:
        return replace(local, step=local.step + 1)
    return replace(local, opened=go)


# --- small pieces of text ---------------------------------------------------------------------------------------------


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _soon(seconds: float) -> int:
    """Return seconds to come, rounded up to five, so that the line stays calm."""
    return max(5, math.ceil(seconds / 5) * 5)


def _eta(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    if seconds <= 0:
        return say("eta_now")
    if seconds <= 30:  # noqa: PLR2004 - half a minute
        return say("eta_half")
    return say("eta", n=minutes)


def _started(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes == 0:
        return say("started_now")
    return say("started", n=minutes)


def _phones(people: Sequence[Person]) -> Line:
    if not people:
        return Line(say("shows_none"), done=False)
    names = [short(one.name) for one in people]
    if len(names) == 1:
        return Line(say("shows_1", a=names[0]), done=True)
    if len(names) == 2:  # noqa: PLR2004 - a pair
        return Line(say("shows_2", a=names[0], b=names[1]), done=True)
    return Line(say("shows_more", a=names[0], b=names[1], n=len(names) - 2), done=True)


def _phrase(incident: Snapshot) -> str:
    phrase = incident.phrase
    if phrase is None or phrase in NEVER_READ_BACK or Choice.NOT_SAFE in {incident.guess, incident.choice}:
        return ""
    words = PHRASES.get(phrase) or " ".join(phrase.replace("_", " ").replace("-", " ").split()[:6])
    return say("heard", phrase=words)


# --- one scene --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """Everything that a page is made from, with the pieces that several pages share."""

    show: Show
    incident: Snapshot
    local: Local
    age_s: float

    @property
    def number(self) -> str:
        """The emergency number of this place."""
        return self.show.face.emergency_number

    @property
    def reached(self) -> bool:
        """Whether staff can be told anything now."""
        return self.show.reach is Reach.OK

    @property
    def elapsed_s(self) -> float:
        """Seconds since the incident opened."""
        return self.incident.elapsed_s + self.age_s

    @property
    def choice(self) -> Choice | None:
        """What the person said is happening, here or before a restart."""
        return self.local.choice or self.incident.choice

    @property
    def case(self) -> Choice | None:
        """Whose steps are shown: what the person said, or else what a phrase suggests."""
        return self.choice or suggested(self.incident)

    @property
    def late(self) -> str:
        """The name of a responder who was on the way and is overdue, while nobody else is."""
        entries = [entry for entry in self.incident.timeline if entry.what in {"coming", "late", "here"}]
        if self.incident.coming or self.incident.here or not entries or entries[-1].what != "late":
            return ""
        return short(entries[-1].who)

    def first(self) -> tuple[str, float]:
        """Return the name of the responder who is due first, and the seconds left."""
        going = min(self.incident.coming, key=lambda one: one.eta_s)
        return short(going.responder.name), max(0.0, going.eta_s - self.age_s)

    def summary(self) -> str:
        """Return how things stand in one line, for the top of a page that is about something else."""
        if self.incident.here:
            return say("here", name=short(self.incident.here.name))
        if self.incident.coming:
            name, eta_s = self.first()
            return say("coming", name=name, eta=_eta(eta_s)) if eta_s > 0 else say("late", name=name)
        if not self.reached:
            return self.unreached()
        if self.late:
            return say("late_asking", name=self.late)
        if self.incident.emergency:
            return say("nobody_answered")
        return _phones(self.incident.seen).text if self.incident.seen else self.asked().text

    def unreached(self) -> str:
        """Return why nobody can be told, in plain words."""
        return say("nobody_listens" if self.show.reach is Reach.NOBODY else "cannot_reach")

    def asked(self) -> Line:
        """Return the first item of the waiting line: whether staff were asked, and up to whom."""
        known = bool(self.incident.seen) or (self.reached and self.show.told and bool(self.incident.asked))
        if not known:
            return Line(say("telling" if self.reached else "not_asked"), done=False)
        tier = min(self.incident.tier, len(self.incident.tiers))
        if tier > 1:
            return Line(say("asked_tier", tier=short(self.incident.tiers[tier - 1])), done=True)
        return Line(say("asked"), done=True)

    def answer(self) -> Line:
        """Return the last item of the waiting line while nobody is on the way."""
        if self.incident.emergency:
            return Line(say("nobody_answered"), done=False)
        return Line(say("waiting_declined" if self.incident.declined else "waiting"), done=False)

    def asides(self) -> tuple[str, ...]:
        """Return what else is worth a line: said to be fine, did not answer, the line to the staff is lost."""
        if self.incident.says_fine:
            return (say("told_fine"), say("told_fine_look")) if self.reached else (say("fine_not_told"),)
        if self.incident.coming and not self.reached:
            return (say("lost_line"),)
        if self.incident.check_ins_missed and self.reached:
            return (say("not_told_worse"),)
        return ()

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
        return say("keep_asking" if self.reached else "keep_reaching")

    def next_tier(self, step: NextStep) -> str:
        """Return who is asked next, and when."""
        tiers = self.incident.tiers
        if self.incident.tier >= len(tiers):
            return say("keep_asking")
        return say("next_tier", s=self.soon(step), tier=short(tiers[self.incident.tier]))

    def ask_again(self) -> str:
        """Return what happens when those on the way do not arrive."""
        if len(self.incident.coming) == 1:
            return say("next_ask_again", name=self.first()[0])
        return say("next_ask_again_all") if self.incident.coming else self.keep_on()

    def soon(self, step: NextStep) -> int:
        """Return the seconds until `step`, as shown."""
        return _soon(step.in_s - self.age_s)

    def touch(self, action: TouchAction, text: str, style: Style = Style.PLAIN, choice: Choice | None = None) -> Button:
        """Return a button that tells the hub something about this incident."""
        return Button(say(text), Touch(action=action, incident=self.incident.id, choice=choice), style)

    def call(self) -> Button:
        """Return the way to call for help without us."""
        return _call(self.number)

    def page(self, kind: Kind, **parts: object) -> Page:
        """Return a page of this scene with what every one of them shows."""
        face = self.show.face
        same: dict[str, object] = {
            "top_left": face.place,
            "top_right": _clock(self.elapsed_s),
            "mark": say("drill") if self.incident.drill else "",
            "bottom": self.by_itself(),
            "corner": (self.call(),),
            "incident": self.incident.id,
            "state": self.incident.state,
        }
        return _page(kind, {**same, **parts})


_NEXT: dict[str, Callable[[Scene, NextStep], str]] = {
    "ask_next_tier": lambda scene, step: scene.next_tier(step),
    "raise": lambda _scene, _step: say("check_raise"),
    "emergency_page": lambda scene, step: say("next_emergency", s=scene.soon(step), number=scene.number),
    "ask_again": lambda scene, _step: scene.ask_again(),
    "check_in": lambda scene, step: say("next_check_in", s=scene.soon(step)),
    "check_in_missed": lambda scene, _step: say("next_check_in_missed") if scene.reached else scene.keep_on(),
}
_CHECK_NEXT = {**_NEXT, "ask_next_tier": lambda _scene, _step: say("check_next_tier")}


def _page(kind: Kind, parts: dict[str, object]) -> Page:
    return Page(kind=kind, **parts)  # type: ignore[arg-type]  # the keys are Page's own fields, spelled above


def _call(number: str) -> Button:
    return Button(say("b_call", number=number), Go.EMERGENCY, Style.CALL)


# --- the pages of an incident -----------------------------------------------------------------------------------------


def _check_body(scene: Scene) -> str:
    if not scene.reached:
        return say("not_asked_to_look")
    if scene.late:
        return say("late_asking", name=scene.late)
    return say("asked_to_look" if scene.asked().done else "telling_line")


def _checking(scene: Scene) -> Page:
    body, fine = _check_body(scene), "b_fine"
    if scene.incident.coming:
        name, eta_s = scene.first()
        body, fine = say("coming_to_look", name=name, eta=_eta(eta_s)), "b_fine_now"
    return scene.page(
        Kind.CHECKING,
        top_right=_phrase(scene.incident) or _clock(scene.elapsed_s),
        headline=say("need_help"),
        body=(body,),
        buttons=(
            scene.touch(TouchAction.HELP, "b_yes_help", Style.MAIN),
            scene.touch(TouchAction.FINE, fine),
        ),
    )


def _choices(scene: Scene) -> tuple[Button, ...]:
    return tuple(
        scene.touch(
            TouchAction.CHOOSE,
            f"{choice.value}.tile",
            Style.CHOSEN if choice is scene.choice else Style.PLAIN,
            choice=choice,
        )
        for choice in GROUPS
    )


def _with_fine(scene: Scene) -> tuple[Button, ...]:
    fine = () if scene.incident.says_fine else (scene.touch(TouchAction.FINE, "b_fine_now"),)
    return (*fine, scene.call())


def _waiting_unreached(scene: Scene, same: dict[str, object]) -> Page:
    fine = scene.asides() if scene.incident.says_fine else ()
    return scene.page(
        Kind.WAITING,
        headline=scene.unreached(),
        body=(say("keep_trying", number=scene.number), *fine),
        waiting=(scene.asked(), _phones(scene.incident.seen)) if scene.incident.seen else (),
        bottom=scene.keep_on(),
        **same,
    )


def _waiting(scene: Scene) -> Page:
    same: dict[str, object] = {"ask": say("what"), "buttons": _choices(scene), "corner": _with_fine(scene)}
    if not scene.reached:
        return _waiting_unreached(scene, same)
    body = (say("late_asking", name=scene.late),) if scene.late else ()
    waiting = (scene.asked(), _phones(scene.incident.seen), scene.answer())
    return scene.page(Kind.WAITING, headline=say("stay"), body=(*body, *scene.asides())[:2], waiting=waiting, **same)


def _coming(scene: Scene) -> Page:
    name, eta_s = scene.first()
    late = eta_s <= 0
    others = [short(one.responder.name) for one in scene.incident.coming if short(one.responder.name) != name]
    also = tuple(Line(say("others_coming", name=other), done=True) for other in others[:1])
    return scene.page(
        Kind.COMING,
        headline=say("late", name=name) if late else say("coming", name=name, eta=_eta(eta_s)),
        body=scene.asides() or (say("stay"),),
        waiting=(scene.asked(), *also, Line(say("waiting_for", name=name), done=False)),
        ask=say("what"),
        buttons=_choices(scene),
        corner=_with_fine(scene),
    )


def _steps(scene: Scene, choice: Choice) -> Page:
    stands = Line(scene.summary(), done=bool(scene.incident.coming) or (scene.reached and scene.asked().done))
    asides = [Line(text, done=scene.reached and at == 0) for at, text in enumerate(scene.asides())]
    parts = _step_parts(choice, scene.local.step, scene.number, back=Button(say("b_other"), Go.CHOICES))
    if scene.incident.drill:  # a step that says "call" must not be believed
        parts["kicker"] = say("drill_no_call", number=scene.number)
    return scene.page(
        Kind.STEPS,
        **parts,
        waiting=(stands, *asides),
        corner=_with_fine(scene),
    )


def _step_parts(choice: Choice, number: int, call: str, back: Button) -> dict[str, object]:
    case = CASES[choice]
    at = number % len(case.steps)
    step = case.steps[at]
    last = at == len(case.steps) - 1
    return {
        "kicker": say("step", title=case.title, n=at + 1, of=len(case.steps)),
        "headline": step.headline.format(number=call),
        "body": tuple(line.format(number=call) for line in step.body),
        "buttons": (Button(say("b_first" if last else "b_next"), Go.NEXT, Style.MAIN), back),
    }


def _check_in(scene: Scene) -> Page:
    return scene.page(
        Kind.CHECK_IN,
        top_left=scene.summary(),
        headline=say("still_ok"),
        body=(say("still_ok_body" if scene.reached else "lost_line"),),
        buttons=(
            scene.touch(TouchAction.STILL_OK, "b_ok", Style.MAIN),
            scene.touch(TouchAction.WORSE, "b_worse"),
            scene.touch(TouchAction.LATER, "b_later"),
        ),
        bottom="",
    )


def _attended(scene: Scene) -> Page:
    here = scene.incident.here
    return scene.page(
        Kind.ATTENDED,
        headline=say("here", name=short(here.name)) if here else say("here_somebody"),
        body=(say("here_body"),),
        buttons=(scene.touch(TouchAction.HELP, "b_still_help"),),
        bottom=say("here_next"),
    )


# --- the emergency page -----------------------------------------------------------------------------------------------


def _card(face: Face, incident: Snapshot | None, elapsed_s: float) -> Card:
    lines = [face.place]
    if face.phone:
        lines.append(say("phone_here", phone=face.phone))
    if incident is not None:
        # A case without `told` stays off the card: the page may come to the front by itself, beside whoever threatens.
        guess = suggested(incident)
        told = CASES[incident.choice].told if incident.choice else CASES[guess].heard if guess else ""
        lines += [told] if told else []
        lines += [say("name_is", name=short(incident.name))] if incident.name else []
        lines.append(_started(elapsed_s))
    lines.append(say("say_awake"))
    return Card(say("read_out"), face.address, tuple(lines))


def _emergency_top(scene: Scene) -> str:
    incident = scene.incident
    if incident.drill:
        return say("drill_no_call", number=scene.number)
    if incident.coming or incident.here:
        return scene.show.face.place
    if not scene.reached:
        return say("unreached_call")
    return say("nobody_call") if incident.emergency else say("call_if", number=scene.number)


def _emergency(scene: Scene) -> Page:
    steps = bool(scene.case)
    corner: tuple[Button, ...] = (Button(say("b_back_steps" if steps else "b_back"), Go.BACK),)
    if scene.incident.check_in_open:
        ok = scene.touch(TouchAction.STILL_OK, "b_ok", Style.MAIN)
        corner = (ok, scene.touch(TouchAction.WORSE, "b_worse"), Button(say("b_back"), Go.BACK))
    return scene.page(
        Kind.EMERGENCY,
        top_left=_emergency_top(scene),
        kicker=say("call_from_drill" if scene.incident.drill else "call_from"),
        number=scene.number,
        headline=scene.summary() if scene.incident.coming or scene.incident.here else "",
        body=tuple(text for text in (scene.keep_on(),) if text),
        card=_card(scene.show.face, scene.incident, scene.elapsed_s),
        corner=corner,
        ask=say("still_ok") if scene.incident.check_in_open else "",
        bottom=scene.by_itself() if scene.incident.next else "",
        red=True,
    )


def _plain_emergency(face: Face, top: str) -> Page:
    return Page(
        Kind.EMERGENCY,
        top,
        kicker=say("call_from"),
        number=face.emergency_number,
        card=_card(face, None, 0),
        corner=(_help(style=Style.PLAIN), Button(say("b_back"), Go.BACK)),
        red=True,
    )


# --- the pages without an incident ------------------------------------------------------------------------------------


def _help(text: str = "b_help", style: Style = Style.MAIN) -> Button:
    return Button(say(text), Touch(action=TouchAction.HELP), style)


def _hearing(hearing: Hearing, *, button: bool) -> str:
    if hearing is Hearing.LISTENING:
        return say("listening")
    key = "voice_off" if hearing is Hearing.OFF else "deaf"
    return say(f"{key}_press" if button else key)


def _idle(show: Show, *, button: bool) -> Page:
    number = show.face.emergency_number
    reached = show.reach is Reach.OK
    body = (say("touch_or_press" if button else "touch"),)
    return Page(
        Kind.IDLE,
        show.face.place,
        top_right=_hearing(show.hearing, button=button),
        headline=say("hello" if reached else "hello_alone"),
        body=body if reached else (say("idle_unreached"), say("idle_unreached_do", number=number)),
        buttons=(_help(),),
        bottom="",
        corner=(_call(number),),
    )


def _telling(face: Face, *, drill: bool) -> Page:
    return Page(
        Kind.TELLING,
        face.place,
        mark=say("drill") if drill else "",
        headline=say("stay"),
        waiting=(Line(say("telling"), done=False),),
        corner=(_call(face.emergency_number),),
    )


def _thanks(face: Face, *, drill: bool) -> Page:
    return Page(
        Kind.CLOSED,
        face.place,
        mark=say("drill") if drill else "",
        headline=say("thanks"),
        body=(say("thanks_body"),),
        buttons=(_help(),),
        corner=(_call(face.emergency_number),),
    )


def _starting(face: Face) -> Page:
    return Page(
        Kind.STARTING,
        face.place,
        headline=say("starting"),
        body=(say("starting_body"),),
        buttons=(_help(),),
        corner=(_call(face.emergency_number),),
    )


def _gone(face: Face, local: Local) -> Page:
    number = face.emergency_number
    if local.opened is Go.EMERGENCY:
        return _plain_emergency(face, say("gone"))
    case = local.choice or local.guess
    if local.opened is Go.STEPS and case:
        parts = _step_parts(case, local.step, number, back=Button(say("b_back"), Go.BACK))
        return _page(Kind.STEPS, {"top_left": say("gone"), "corner": (_call(number),), **parts})
    kept = (say("gone_kept"),) if local.telling else ()
    steps = (Button(say("b_steps"), Go.STEPS),) if case else ()
    return Page(
        Kind.GONE,
        face.place,
        headline=say("gone"),
        body=(say("gone_body", number=number), *kept),
        buttons=(_call(number), *steps, *(() if local.telling else (_help(style=Style.PLAIN),))),
        bottom=say("gone_next"),
    )


# --- which page it is -------------------------------------------------------------------------------------------------


def page(show: Show | None, local: Local, desk: Desk, now_s: float, shown_s: float) -> Page:
    """Return the page for what is so now.

    `shown_s` is when `show` came (or, before the first one, when the screen started); `local` has been through `settle`.
    """
    age_s = max(0.0, now_s - shown_s)
    face = show.face if show else desk.face
    if age_s >= HUB_GONE_S or local.unheard:
        return _gone(face, local)
    if show is None:
        return _plain_emergency(face, "") if local.opened is Go.EMERGENCY else _starting_or_telling(face, local)
    incident = visible(show)
    if incident is None:
        return _without_incident(show, local, desk)
    return _of_incident(Scene(show, incident, local, age_s))


def _starting_or_telling(face: Face, local: Local) -> Page:
    return _telling(face, drill=False) if local.telling else _starting(face)


def _without_incident(show: Show, local: Local, desk: Desk) -> Page:
    button = desk.button and not any(fault.code in BUTTON_UNSURE for fault in show.faults)
    if local.opened is Go.EMERGENCY:
        return _plain_emergency(show.face, say("call_if", number=show.face.emergency_number))
    if local.telling:
        return _telling(show.face, drill=False)
    return _thanks(show.face, drill=local.drill) if local.closed_s is not None else _idle(show, button=button)


def _of_incident(scene: Scene) -> Page:
    incident, local = scene.incident, scene.local
    if local.opened is Go.EMERGENCY:
        return _emergency(scene)
    if local.telling and (incident.severity is Severity.CHECK or incident.state is State.ATTENDED):
        return _telling(scene.show.face, drill=incident.drill)
    if incident.state is State.ATTENDED:
        return _attended(scene)
    if incident.state is State.CHECKING or incident.severity is Severity.CHECK:
        return _checking(scene)
    if incident.check_in_open:
        return _check_in(scene)
    return _on_the_way(scene)


def _on_the_way(scene: Scene) -> Page:
    if scene.case is not None and scene.local.opened is not Go.CHOICES:
        return _steps(scene, scene.case)
    return _coming(scene) if scene.incident.coming else _waiting(scene)

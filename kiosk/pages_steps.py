"""The pages that guide: which case it is, in pictures, and its steps, one at a time.

Rules
- Two touches lead to any step: a first choice, then a picture; who is not sure is shown the steps that fit all of them.
- A step is shown only where it holds (`Case.shown_in`), with the numbers and places of this desk in its slots.
- In a drill every step says that nobody is to be called now, and that what follows is for real need.
- A step with a beat or a clock stays while it is open: a check, a check-in, and that nobody answers, stand on its own page.
- Nobody needs the hub for them: they are there when this unit cannot call.
"""

from typing import Any

from kiosk.guidance import CASES, GROUPS, LONG_SEIZURE_S, Pace, Step, group_of
from kiosk.local import holds, shown_steps
from kiosk.messages import Choice, State, TouchAction
from kiosk.page import Button, Go, Kind, Line, Page, Style
from kiosk.scene import Place, Scene, choice_tile, clock
from kiosk.texts import step_key


def choices(scene: Scene) -> tuple[Button, ...]:
    """Return the first choices; that of the case which the person told is marked, unless it might give them away."""
    chosen = group_of(scene.choice) if scene.choice and CASES[scene.choice].aloud else None
    return tuple(scene.tile(choice, chosen=choice is chosen) for choice in GROUPS)


def cases(scene: Scene, group: Choice) -> Page:
    """Return the pictures of one first choice."""
    tiles = tuple(scene.tile(case) for case in GROUPS[group])
    return scene.page(
        Kind.CASES,
        **_which(scene, tiles),
        top_left=scene.summary,
        bottom=scene.say("which_next"),
        prompts=scene.aloud("say_which"),
    )


def _which(place: Place, tiles: tuple[Button, ...]) -> dict[str, Any]:
    unsure = Button(place.say("b_unsure"), Go.UNSURE)
    back = Button(place.say("b_back"), Go.CHOICES)
    return {"headline": place.say("which"), "buttons": (*tiles, unsure), "corner": (back, place.call())}


def steps(scene: Scene, choice: Choice, other: Go = Go.CHOICES) -> Page:
    """Return the step that the person has come to; `other` is where "something else" leads."""
    asides = tuple(Line(text, done=scene.reached and at == 0) for at, text in enumerate(scene.asides()))
    lasted_s = _lasted_s(scene)
    parts = _step(scene, choice, lasted_s, drill=scene.incident.drill)
    back = Button(scene.say("b_other" if other is Go.CHOICES else "b_back"), other)
    parts["buttons"] = (*parts["buttons"], back)
    if holds(scene.local, choice, scene.face.country):
        parts |= _held(scene, parts["prompts"])
    same = {"top_left": scene.summary, "waiting": asides, "corner": scene.with_fine(), "choice": choice}
    return scene.page(Kind.STEPS, **{**same, **parts})


def _held(scene: Scene, spoken: tuple[str, ...]) -> dict[str, Any]:
    """Return what a step that stays shows of all that would else have a page of its own."""
    incident = scene.incident
    parts: dict[str, Any] = {}
    if scene.unanswered and not (incident.drill or incident.coming or incident.here):
        parts["top_left"] = scene.say("nobody_call" if scene.reached else "unreached_call")
        parts["prompts"] = (*scene.aloud("say_nobody" if scene.reached else "say_unreached"), *spoken)
    if incident.state is State.ATTENDED:
        again = scene.touch(TouchAction.HELP, "b_still_help")
        return {**parts, "bottom": scene.say("here_next"), "corner": (again, scene.call())}
    if scene.asks:
        answers = scene.touch(TouchAction.HELP, "b_yes_help", Style.MAIN), scene.touch(TouchAction.FINE, "b_fine")
        return {**parts, "bottom": scene.say("need_help"), "corner": (*answers, scene.call())}
    if incident.check_in_open:
        answers = scene.touch(TouchAction.STILL_OK, "b_ok", Style.MAIN), scene.touch(TouchAction.WORSE, "b_worse")
        return {**parts, "bottom": scene.say("still_ok"), "corner": (*answers, scene.call())}
    return parts


def _lasted_s(scene: Scene) -> float:
    """Return how long it has lasted: since its case was opened here, or since the incident knows of it."""
    if scene.local.timer_s is not None:
        return scene.now_s - scene.local.timer_s
    told = [entry.t_s for entry in scene.incident.timeline if entry.what == "told_choice" and entry.who == scene.case]
    return max(0.0, scene.elapsed_s - (told[0] if told else 0.0))


def _step(place: Place, choice: Choice, lasted_s: float, *, drill: bool = False) -> dict[str, Any]:
    case = CASES[choice]
    shown = shown_steps(place.local, choice, place.face.country)
    number = place.local.step % len(shown)
    at, last = shown[number], number == len(shown) - 1
    step = case.steps[at]
    lines = [_line(place, choice, at, line) for line in range(len(step.lines()))]
    before = ("say_drill_step",) if drill else ()
    spoken = place.aloud(*before, step_key(choice, at, "spoken")) if case.aloud else ()
    kicker = place.say("step", title=place.say(f"{choice.value}.title"), n=number + 1, of=len(shown))
    following = Button(place.say("b_first" if last else "b_next"), Go.NEXT, Style.MAIN)
    again = (Button(place.say("b_again"), Go.AGAIN),) if spoken else ()
    return {
        "picture": step.picture,
        "pace": step.pace,
        "kicker": place.say("drill_step", number=place.number) if drill else kicker,
        "headline": lines[0],
        "body": (*lines[1:], *_timer(place, step, lasted_s, drill=drill)),
        "buttons": (following, *again),
        "step": number,
        "prompts": spoken,
    }


def _line(place: Place, choice: Choice, at: int, line: int) -> str:
    face = place.face
    if "{defibrillator}" in CASES[choice].steps[at].lines()[line] and not face.defibrillator:
        return place.say("defibrillator_ask")
    return place.say(
        step_key(choice, at, line),
        number=face.emergency_number,
        police=face.police_number or face.emergency_number,
        defibrillator=face.defibrillator,
    )


def _timer(place: Place, step: Step, lasted_s: float, *, drill: bool) -> tuple[str, ...]:
    if step.pace is not Pace.TIMER:
        return ()
    if lasted_s >= LONG_SEIZURE_S and not drill:
        return (place.say("lasted_long", number=place.number),)
    return (place.say("lasted", clock=clock(lasted_s)),)


# --- without the hub --------------------------------------------------------------------------------------------------


def alone(place: Place, top: str, told: Choice | None = None) -> Page | None:
    """Return the page of guidance that a person opened while no hub answers; None if there is none open.

    `told` is what they said before it was gone.
    """
    local = place.local
    choice = local.instead or local.choice or told or local.guess
    if local.opened is Go.CHOICES or (local.opened in {Go.CASES, Go.STEPS} and choice is None):
        return _alone_choices(place, top)
    if choice is None or local.opened not in {Go.CASES, Go.STEPS}:
        return None
    tiles = tuple(choice_tile(place, case, local.incident) for case in GROUPS.get(choice, ()))
    if local.opened is Go.CASES and tiles:
        return place.page(Kind.CASES, **_which(place, tiles), top_left=top)
    return alone_steps(place, choice, top, corner=(place.back(), place.call()))


def alone_steps(place: Place, choice: Choice, top: str, corner: tuple[Button, ...]) -> Page:
    """Return the step that the person has come to, while no hub answers."""
    lasted_s = place.now_s - (place.now_s if place.local.timer_s is None else place.local.timer_s)
    parts = _step(place, choice, lasted_s, drill=place.local.drill)
    parts["buttons"] = (*parts["buttons"], Button(place.say("b_other"), Go.CHOICES))
    return place.page(Kind.STEPS, **parts, top_left=top, corner=corner, choice=choice)


def _alone_choices(place: Place, top: str) -> Page:
    tiles = tuple(choice_tile(place, choice, place.local.incident) for choice in GROUPS)
    return place.page(
        Kind.CASES, headline=place.say("what"), buttons=tiles, top_left=top, corner=(place.back(), place.call())
    )

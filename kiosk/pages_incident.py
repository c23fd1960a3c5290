"""The pages of an open incident: what is so on the left, what the person can do on the right.

Rules
- The waiting line says asked, seen by whom, who is coming and when, here: each a fact, and what happens next by itself.
- Who wants a person without alarm is asked nothing. What a phrase suggests is no choice, and is marked as none.
- From each of them the emergency page is one touch away.
- A call that may be the morning's test is any alert's page with one more button, which nothing else makes way for.
"""

from typing import Any

from kiosk.local import wants_person
from kiosk.messages import TouchAction
from kiosk.page import Button, Go, Kind, Line, Page, Style
from kiosk.pages_steps import choices
from kiosk.scene import Scene, clock, heard, short

# --- a check ----------------------------------------------------------------------------------------------------------


def _check_body(scene: Scene) -> str:
    if not scene.reached:
        return scene.say("not_asked_to_look")
    if scene.late:
        return scene.say("late_asking", name=scene.late)
    return scene.say("asked_to_look" if scene.asked().done else "telling_line")


def checking(scene: Scene) -> Page:
    """Return the question to a person who was heard."""
    body, fine = _check_body(scene), "b_fine"
    if scene.incident.coming:
        name, eta_s = scene.first()
        body, fine = scene.say("coming_to_look", name=name, eta=scene.eta(eta_s)), "b_fine_now"
    return scene.page(
        Kind.CHECKING,
        top_right=heard(scene) or clock(scene.elapsed_s),
        headline=scene.say("need_help"),
        body=(body,),
        buttons=(
            scene.touch(TouchAction.HELP, "b_yes_help", Style.MAIN),
            scene.touch(TouchAction.FINE, fine),
        ),
        prompts=scene.aloud("say_need_help"),
    )


def person(scene: Scene) -> Page:
    """Return the calm page of who asked for a person: no alarm, no questions."""
    steps = Button(scene.say("b_steps"), Go.STEPS)
    parts: dict[str, Any] = {"headline": scene.say("person"), "waiting": _line(scene)}
    prompt = "say_person"
    if scene.incident.coming:
        parts, prompt = _coming_parts(scene), "say_coming"
    elif not scene.reached:
        parts, prompt = {"headline": scene.unreached(), "bottom": scene.keep_on()}, "say_unreached"
    else:
        parts["bottom"] = _person_next(scene)
    return scene.page(
        Kind.WAITING,
        **parts,
        top=scene.top(),
        body=(scene.say("person_body"), *scene.asides())[:2],
        buttons=(steps, scene.touch(TouchAction.HELP, "b_help")),
        corner=scene.with_fine(),
        prompts=scene.aloud(prompt),
    )


def _person_next(scene: Scene) -> str:
    step = scene.incident.next
    if step is None or step.what in {"emergency_page", "raise"}:
        return scene.keep_on()
    return scene.next_tier(step, "person_next") if step.what == "ask_next_tier" else scene.by_itself()


# --- an alert ---------------------------------------------------------------------------------------------------------


def _line(scene: Scene) -> tuple[Line, ...]:
    return (scene.asked(), scene.phones(), *scene.told(), scene.answer())


def _asking(scene: Scene) -> dict[str, Any]:
    """Return what the pages share on which a person is asked what is happening."""
    back = (Button(scene.say("b_back_steps"), Go.STEPS),) if scene.case else ()
    return {
        "top": scene.top(),
        "ask": scene.say("what"),
        "buttons": choices(scene),
        "corner": (*back, *scene.test(), *scene.with_fine()),
    }


def waiting(scene: Scene) -> Page:
    """Return the page of who waits for an answer."""
    if not scene.reached:
        return _waiting_unreached(scene)
    body = (scene.say("late_asking", name=scene.late),) if scene.late else ()
    return scene.page(
        Kind.WAITING,
        **_asking(scene),
        headline=scene.say("stay"),
        body=(*_maybe_test(scene), *body, *scene.asides())[:2],
        waiting=_line(scene),
        prompts=scene.aloud(*_waiting_prompts(scene)),
    )


def _maybe_test(scene: Scene) -> tuple[str, ...]:
    """Return the question that `Scene.test` answers; everything else on the page is as in any alert."""
    return (scene.say("maybe_test"),) if scene.asks_test else ()


def _waiting_prompts(scene: Scene) -> tuple[str, ...]:
    incident = scene.incident
    if scene.late:
        return ("say_late",)
    if incident.check_ins_missed:
        return ("say_missed",)
    if incident.tier > 1 and scene.asked().done:
        return ("say_asking_more",)
    test = ("say_test",) if scene.asks_test else ()
    return ("say_seen", *test) if incident.seen else ("say_telling", "say_what", *test)


def _waiting_unreached(scene: Scene) -> Page:
    fine = scene.asides() if scene.incident.says_fine else ()
    seen = (scene.asked(), scene.phones()) if scene.incident.seen else ()
    drill = scene.incident.drill
    return scene.page(
        Kind.WAITING,
        **_asking(scene),
        headline=scene.unreached(),
        body=(scene.say("drill_no_call" if drill else "keep_trying", number=scene.number), *fine),
        waiting=(*seen, *scene.told()),
        bottom=scene.keep_on(),
        prompts=scene.aloud("say_no_call" if drill else "say_unreached"),
    )


def _coming_parts(scene: Scene) -> dict[str, Any]:
    name, eta_s = scene.first()
    others = [short(one.responder.name) for one in scene.incident.coming if short(one.responder.name) != name]
    also = tuple(Line(scene.say("others_coming", name=other), done=True) for other in others[:1])
    waits = Line(scene.say("waiting_for", name=name), done=False)
    late = scene.say("late", name=name)
    return {
        "headline": scene.say("coming", name=name, eta=scene.eta(eta_s)) if eta_s > 0 else late,
        "waiting": (scene.asked(), *also, *scene.told(), waits),
    }


def coming(scene: Scene) -> Page:
    """Return the page of who waits for a person that said "coming"."""
    overdue = scene.first()[1] <= 0
    return scene.page(
        Kind.COMING,
        **_asking(scene),
        **_coming_parts(scene),
        body=(*_maybe_test(scene), *(scene.asides() or (scene.say("stay"),)))[:2],
        prompts=() if overdue else scene.aloud("say_coming"),
    )


def check_in(scene: Scene) -> Page:
    """Return the question to a person who waits; the button answers it as well."""
    body = "lost_line"
    if scene.reached:
        body = "still_ok_body" if scene.desk.button else "still_ok_touch"
    return scene.page(
        Kind.CHECK_IN,
        top_left=scene.summary,
        headline=scene.say("still_ok"),
        body=(scene.say(body),),
        buttons=(
            scene.touch(TouchAction.STILL_OK, "b_ok", Style.MAIN),
            scene.touch(TouchAction.WORSE, "b_worse"),
            scene.touch(TouchAction.LATER, "b_later"),
        ),
        bottom=scene.by_itself(),
        prompts=() if wants_person(scene.incident) else scene.aloud("say_still_ok"),
    )


def attended(scene: Scene) -> Page:
    """Return the page of who is no longer alone."""
    here = scene.incident.here
    return scene.page(
        Kind.ATTENDED,
        headline=scene.say("here", name=short(here.name)) if here else scene.say("here_somebody"),
        body=(scene.say("here_body"),),
        buttons=(scene.touch(TouchAction.HELP, "b_still_help"),),
        bottom=scene.say("here_next"),
        prompts=scene.aloud("say_here"),
    )

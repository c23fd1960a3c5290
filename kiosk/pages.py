"""Which page the screen shows: from what is so (`Show`) and what was touched here (`Local`) to one frozen `Page`.

Rules
- A silent incident does not exist here: the page is built as if there were none.
- What a person opened comes first: the way to another language, then the emergency page; then what the facts ask for.
- What a person opened, a step with a beat or a clock above all, is not taken away while it is in use.
- From every page of an alert the emergency page is one touch away; check-ins wait inside it while somebody may be on the phone.
- No pixels, no clock: times are monotonic seconds and are passed in.

Where the rest is: `local` (what was touched), `scene` (facts in words), `pages_desk`, `pages_incident`, `pages_steps`,
`pages_call`.
"""

from dataclasses import replace

from kiosk.guidance import GROUPS
from kiosk.local import Local, at_home, dump, holds, load, settle, touched, visible, wants_person
from kiosk.messages import Choice, Severity, Show, State
from kiosk.page import Go, Page
from kiosk.pages_call import emergency, plain_emergency
from kiosk.pages_desk import button_works, ear, gone, idle, name, starting, telling, thanks, view
from kiosk.pages_incident import attended, check_in, checking, coming, person, waiting
from kiosk.pages_steps import alone, alone_steps, cases, steps
from kiosk.scene import Desk, Place, Scene, short
from kiosk.tongue import Tongue

__all__ = ["HUB_GONE_S", "Desk", "Local", "at_home", "dump", "load", "page", "settle", "short", "touched"]

HUB_GONE_S = 4.0
"""So long without a word from the hub (it speaks every second), and the screen says that this unit cannot call."""


def page(show: Show | None, local: Local, desk: Desk, now_s: float, shown_s: float, tongue: Tongue) -> Page:
    """Return the page for what is so now.

    `shown_s` is when `show` came (or, before the first one, when the screen started); `local` has been through `settle`;
    `tongue` speaks the language of `local.look`.
    """
    age_s = max(0.0, now_s - shown_s)
    desk = replace(desk, button=button_works(show, desk))
    place = Place(show.face if show else desk.face, local, desk, tongue, now_s)
    incident = visible(show)
    scene = Scene(show.face, local, desk, tongue, now_s, show, incident, age_s) if show and incident else None
    if age_s >= HUB_GONE_S or local.unheard:
        asked_for = local.unheard or local.opened_s >= shown_s + HUB_GONE_S
        return _gone(place, scene, guided=asked_for)
    if scene is not None:
        return _of_incident(scene)
    return _without_incident(place, show, age_s) if show else _before_the_hub(place)


def _gone(place: Place, scene: Scene | None, *, guided: bool) -> Page:
    """Say that this unit cannot call, once, over steps and asides that were open; those opened since then stay (`guided`)."""
    local, top = place.local, place.say("gone")
    if local.opened is Go.VIEW and guided:
        return view(place)
    if local.opened is Go.EMERGENCY:
        return plain_emergency(scene or place, top, place.say("gone_next"))
    if held := _held(place, scene, top):
        return held
    steps_page = alone(place, top, scene.incident.choice if scene else None) if guided else None
    return steps_page or gone(place)


def _held(place: Place, scene: Scene | None, top: str) -> Page | None:
    """Return the step with a beat or a clock that was open when the hub went, if one was: it stays."""
    opened = scene is not None or place.local.opened is Go.STEPS
    case = scene.case if scene else place.local.instead or place.local.choice
    if case is None or not opened or not holds(place.local, case, place.face.country):
        return None
    corner = (place.call(),) if scene else (place.back(), place.call())
    found = alone_steps(place, case, top, corner)
    first = () if place.local.drill else place.aloud("say_gone")
    return replace(found, bottom=place.say("gone_next"), prompts=(*first, *found.prompts))


def _before_the_hub(place: Place) -> Page:
    if place.local.opened is Go.VIEW:
        return view(place)
    if place.local.opened is Go.EMERGENCY:
        return plain_emergency(place, place.say("call_if", number=place.number))
    return telling(place) if place.local.telling else starting(place)


def _without_incident(place: Place, show: Show, age_s: float) -> Page:
    local = place.local
    if local.opened is Go.VIEW:
        return view(place)
    if local.opened is Go.EMERGENCY:
        return plain_emergency(place, place.say("call_if", number=place.number))
    if guided := alone(place, place.face.place):
        return guided
    if local.telling or local.asking:
        return telling(place)
    if local.opened is Go.EAR:
        return ear(place, show, age_s)
    return thanks(place) if local.closed_s is not None else idle(place, show)


def _of_incident(scene: Scene) -> Page:
    incident, local = scene.incident, scene.local
    if local.opened is Go.VIEW:
        return view(scene)
    if local.opened is Go.EMERGENCY:
        return emergency(scene)
    if scene.case and holds(local, scene.case, scene.face.country):
        return steps(scene, scene.case)
    if local.telling and (incident.severity is Severity.CHECK or incident.state is State.ATTENDED):
        return telling(scene, drill=incident.drill)
    return _of_facts(scene)


def _of_facts(scene: Scene) -> Page:
    incident, local = scene.incident, scene.local
    asked = wants_person(incident)
    if incident.state is State.ATTENDED:
        return attended(scene)
    if local.opened is Go.NAME:
        return name(scene)
    if scene.asks:
        return checking(scene)
    if incident.check_in_open:
        return check_in(scene)
    return _of_request(scene) if asked else _on_the_way(scene)


def _of_request(scene: Scene) -> Page:
    return steps(scene, Choice.PERSON, Go.BACK) if scene.local.opened is Go.STEPS else person(scene)


def _on_the_way(scene: Scene) -> Page:
    opened = scene.local.opened
    if opened is Go.CASES and scene.choice in GROUPS and GROUPS[scene.choice]:
        return cases(scene, scene.choice)
    if scene.case is not None and opened is not Go.CHOICES:
        return steps(scene, scene.case)
    return coming(scene) if scene.incident.coming else waiting(scene)

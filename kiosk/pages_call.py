"""The emergency page: which number to call, and what to say there, in the order in which it is asked.

Rules
- Where exactly comes first, then the phone here, what happened, how many, awake and breathing, age, danger, and who meets whom;
  then what has been done so far. Nothing is on it that the person did not tell, or that is not in the settings.
- A case without `told` stays off it: the page may come to the front by itself, beside whoever threatens.
- In a drill it says so where the number would be believed.
- The code for a phone holds plain text and at most 300 bytes; it leads nowhere.
"""

from collections.abc import Iterator

from kiosk.guidance import CASES
from kiosk.local import suggested
from kiosk.messages import Entry, TouchAction
from kiosk.page import Button, Card, Go, Kind, Page, Style
from kiosk.scene import Place, Scene, clock, short
from kiosk.tongue import ISOLATE, POP

CODE_BYTES = 300
LATEST = 4
"""How many lines of what happened so far are shown."""


# --- the card ---------------------------------------------------------------------------------------------------------


def _what(scene: Scene) -> str:
    incident = scene.incident
    guess = scene.local.instead or suggested(incident)
    told = CASES[scene.choice].told if scene.choice else ""
    if told and scene.choice and not scene.local.instead:
        return scene.say(f"{scene.choice.value}.told")
    heard = (scene.local.instead or not (incident.choice or scene.choice)) and guess and CASES[guess].heard
    return scene.say(f"{guess.value}.heard") if guess and heard else ""


def _started(scene: Scene) -> str:
    minutes = int(scene.elapsed_s // 60)
    return scene.say("started", n=minutes) if minutes else scene.say("started_now")


def _lines(place: Place) -> Iterator[str]:
    face, home = place.face, place.desk.home
    if place.tongue != home:  # whoever takes the call speaks the place's language, not always the person's
        yield home.say("speaks", language=home.say(f"lang_{place.tongue.language.value}"))
    yield face.place
    if face.phone:
        yield place.say("phone_here", phone=face.phone)
    if isinstance(place, Scene):
        yield _what(place)
        yield place.say("name_is", name=short(place.incident.name)) if place.incident.name else ""
        yield _started(place)
    for key in ("card_people", "card_awake", "card_age", "card_danger"):
        yield place.say(key)
    if face.meet:
        yield place.say("meet", meet=face.meet)
    if face.defibrillator:
        yield place.say("defibrillator_is", defibrillator=face.defibrillator)


def _card(place: Place) -> Card:
    if place.local.code:
        return Card(place.say("code"), place.say("code_body"), (), code=code(place))
    return Card(place.say("read_out"), place.face.address, tuple(line for line in _lines(place) if line))


def code(place: Place) -> str:
    """Return what a phone reads from the code: the number, then where, then what; shorter at its end where it is too long."""
    face = place.face
    what = _what(place) if isinstance(place, Scene) else ""
    phone = place.say("phone_here", phone=face.phone) if face.phone else ""
    meet = place.say("meet", meet=face.meet) if face.meet else ""
    lines = [face.emergency_number, face.address, face.place, what, phone, meet]
    if place.local.drill:
        lines[0] = place.say("drill_no_call", number=face.emergency_number)
    text = "\n".join(line for line in lines if line).replace(ISOLATE, "").replace(POP, "")
    return text.encode()[:CODE_BYTES].decode(errors="ignore").strip()


def _code_button(place: Place) -> Button:
    go, key = (Go.CARD, "b_card") if place.local.code else (Go.CODE, "b_code")
    return Button(place.say(key), go)


# --- what happened so far ---------------------------------------------------------------------------------------------


def _so_far(scene: Scene) -> tuple[str, ...]:
    """Return what happened, the newest first: where there is no room for all, the oldest is the one to lack."""
    timeline = scene.incident.timeline
    entries = [text for entry in timeline if (text := _entry(scene, entry))][-LATEST:]
    answered = scene.incident.coming or scene.incident.here or any(one.what in {"coming", "here"} for one in timeline)
    nobody = () if answered else (scene.say("tl_none"),)
    said = (scene.say("so_far"), *nobody, *reversed(entries)) if entries else ()
    return (*said, *_shown(scene))


def _entry(scene: Scene, entry: Entry) -> str:
    at, who = clock(entry.t_s), short(entry.who)
    if entry.what == "opened":
        return scene.say("tl_opened", clock=at)
    if entry.what == "asked_tier":
        return scene.say("tl_tier", clock=at, tier=scene.tier(entry.who))
    if entry.what in {"coming", "late", "here"}:
        return scene.say(f"tl_{entry.what}", clock=at, name=who)
    return ""


def _shown(scene: Scene) -> tuple[str, ...]:
    """Return which steps this screen has shown, where they may be named."""
    if scene.choice is None or not CASES[scene.choice].told:
        return ()
    return (scene.say("tl_steps", title=scene.say(f"{scene.choice.value}.title")),)


# --- the page ---------------------------------------------------------------------------------------------------------


def _top(scene: Scene) -> str:
    incident = scene.incident
    if incident.drill:
        return scene.say("drill_no_call", number=scene.number)
    if incident.coming or incident.here:
        return scene.face.place
    if not scene.reached:
        return scene.say("unreached_call")
    return scene.say("nobody_call") if scene.unanswered else scene.say("call_if", number=scene.number)


def _corner(scene: Scene) -> tuple[Button, ...]:
    back = Button(scene.say("b_back_steps" if scene.case else "b_back"), Go.BACK)
    if not scene.incident.check_in_open:
        return (scene.real() if scene.incident.drill else _code_button(scene), back)
    ok = scene.touch(TouchAction.STILL_OK, "b_ok", Style.MAIN)
    return (ok, scene.touch(TouchAction.WORSE, "b_worse"), Button(scene.say("b_back"), Go.BACK))


def _prompts(scene: Scene) -> tuple[str, ...]:
    incident = scene.incident
    if incident.coming or incident.here or not scene.unanswered:
        return ()
    if incident.drill:
        return ("say_no_call",)
    return ("say_nobody",) if scene.reached else ("say_unreached",)


def emergency(scene: Scene) -> Page:
    """Return the emergency page of an incident; a check-in waits inside it while somebody may be on the phone."""
    incident = scene.incident
    keep_on = scene.keep_on()
    return scene.page(
        Kind.EMERGENCY,
        top_left=_top(scene),
        kicker=scene.say("call_from_drill" if incident.drill else "call_from"),
        number=scene.number,
        headline=scene.summary if incident.coming or incident.here else "",
        body=tuple(text for text in (*scene.police(), keep_on, *_so_far(scene)) if text),
        card=_card(scene),
        corner=_corner(scene),
        ask=scene.say("still_ok") if incident.check_in_open else "",
        bottom=scene.by_itself() if incident.next else "",
        red=True,
        prompts=scene.aloud(*_prompts(scene)),
    )


def plain_emergency(place: Place, top: str, bottom: str = "") -> Page:
    """Return the emergency page of a desk without an incident, or without a hub that could tell how it stands."""
    drill = place.local.drill
    steps = place.local.behind is Go.STEPS or (isinstance(place, Scene) and place.case is not None)
    return place.page(
        Kind.EMERGENCY,
        top_left=place.say("drill_no_call", number=place.number) if drill else top,
        kicker=place.say("call_from_drill" if drill else "call_from"),
        number=place.number,
        body=place.police(),
        card=_card(place),
        corner=(
            _code_button(place),
            place.help(Style.PLAIN),
            Button(place.say("b_back_steps" if steps else "b_back"), Go.BACK),
        ),
        bottom=bottom,
        red=True,
    )

"""The card for the ambulance: what a person reads out to a dispatcher and shows to a crew, from one incident and its desk.

Rules
- Pure but for `respond`: the time is handed in. Times of day are this machine's own clock less what the unit measured.
- In the order in which a dispatcher asks: where, the phone there, what happened, since when, how many, awake and breathing, age,
  danger, who meets the crew. Nothing is on it that nobody told, and what the desk's settings lack is named.
- What tells of a covert call is never printed and is in no code; a card of a silent call is not printed at all.
- In a drill nothing on it dials.
"""

from datetime import datetime, timedelta
from http import HTTPStatus

import segno
from starlette.requests import Request
from starlette.responses import Response

from kiosk.board import timeline
from kiosk.board.gate import Gate, Turned
from kiosk.board.model import Desk, Incident, Model
from kiosk.board.view import HEADS, LANGUAGES, REQUEST_HEAD, clock, going_words
from kiosk.guidance import CASES
from kiosk.messages import Choice, Entry, Face, Language, Record, Snapshot, State

CODE_BYTES = 300
"""What a phone still reads from a code of this size on a screen."""
LOOK_AND_SAY = (
    "How many people need help.",
    "Are they awake? Are they breathing?",
    "About how old they are.",
    "Is there danger here?",
)
"""What a dispatcher asks and only somebody at the desk can see."""
SETTINGS = {
    "address": "the address",
    "phone": "the phone at the desk",
    "defibrillator": "where the defibrillator is",
    "meet": "where the crew is met",
}
AGES = (("day", 86400, 2 * 86400), ("hour", 3600, 2 * 3600), ("minute", 60, 60))
"""How long ago something began: the unit, its seconds, and from when on it is said."""
DRILL = "DRILL: do not call"


class Line(Record):
    """One line of what happened: this machine's time of day, since when, in words. `covert`: not for paper."""

    at: str
    since: str
    says: str
    covert: bool


class Said(Record):
    """One sentence for the phone. `covert`: not for paper."""

    text: str
    covert: bool = False


class Handover(Record):
    """The whole card. `number` is the one to call, `dial` the same for a link, and empty in a drill.

    `code` is what the code says; empty for a silent call, of which nothing lies at the desk.
    """

    incident: str
    head: str
    place: str
    address: str
    number: str
    police: str
    dial: str
    dial_police: str
    drill: bool
    silent: bool
    open: bool
    at: str
    began: str
    say: tuple[Said, ...]
    look: tuple[str, ...]
    done: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    lacks: tuple[str, ...]
    lines: tuple[Line, ...]
    code: str


def _dial(number: str, *, drill: bool) -> str:
    digits = "".join(char for char in number if char.isdigit() or char == "+")
    return "" if drill else digits


def _covert(snapshot: Snapshot) -> bool:
    return snapshot.silent or snapshot.covert


def _what(snapshot: Snapshot) -> list[Said]:
    """Return what is wrong, as it is said on the phone."""
    said = []
    case = CASES[snapshot.choice] if snapshot.choice else None
    guess = CASES[snapshot.guess] if snapshot.guess and not snapshot.choice else None
    if case and case.told:
        said.append(Said(text=f"They told us: {case.told}"))
    elif snapshot.choice in {Choice.NOT_SAFE, Choice.ROBBERY}:
        said.append(Said(text="They told us that they are not safe.", covert=True))
    elif guess and guess.heard:
        said.append(Said(text=f"It may be this: {guess.heard}"))
    if _covert(snapshot):
        said.append(Said(text="Somebody called for help in secret. They may be threatened.", covert=True))
    return said or [Said(text="Somebody asked for help. We do not know yet what is wrong.")]


def _sentence(begins: str, fact: str) -> str:
    """Return a sentence that ends with a fact of somebody's own writing, and with one full stop."""
    return f"{begins} {fact.rstrip('. ')}."


def _began(elapsed_s: float) -> str:
    if elapsed_s < 60:  # noqa: PLR2004 - a minute
        return "It began less than a minute ago."
    name, size_s = next((name, size_s) for name, size_s, from_s in AGES if elapsed_s >= from_s)
    count = int(elapsed_s // size_s)
    return f"It began {count} {name}{'s' if count > 1 else ''} ago."


def _say(snapshot: Snapshot, face: Face | None, elapsed_s: float) -> tuple[Said, ...]:
    """Return the sentences in the order in which a dispatcher asks."""
    address = face.address if face and face.address else ""
    where = _sentence("The address is", address) if address else "Say the address of the store."
    texts = [where, _sentence("Go to:", snapshot.place)]
    if face and face.phone:
        texts.append(_sentence("The phone here is", face.phone))
    after = [_began(elapsed_s)]
    if snapshot.name:
        after.append(_sentence("Their first name is", snapshot.name))
    if snapshot.language is not (snapshot.home_language or Language.ENGLISH):
        after.append(f"They read {LANGUAGES[snapshot.language]}.")
    if face and face.meet:
        after.append(_sentence("We meet the crew here:", face.meet))
    return (*(Said(text=text) for text in texts), *_what(snapshot), *(Said(text=text) for text in after))


def _done(incident: Incident, now_s: float) -> tuple[str, ...]:
    """Return what has been done: who is there or goes, and what the desk shows them."""
    snapshot = incident.snapshot
    done = [f"{snapshot.here.name} is at the desk."] if snapshot.here else going_words(incident, "", now_s)
    done = done or (["Closed."] if snapshot.state is State.CLOSED else ["Nobody of the staff is there yet."])
    case = CASES[snapshot.choice] if snapshot.choice else None
    if case and case.told and not snapshot.silent:
        done.append(f"The desk shows them what to do: {case.title}.")
    if snapshot.emergency and not snapshot.silent:
        done.append("The desk shows the emergency number. Ask if somebody has called already.")
    return tuple(done)


def _facts(snapshot: Snapshot, face: Face | None) -> tuple[tuple[str, str], ...]:
    facts = [("Where", snapshot.place)]
    if face is not None:
        facts += [
            ("Address", face.address),
            ("Phone at the desk", face.phone),
            ("Defibrillator", face.defibrillator),
            ("Meet the crew at", face.meet),
        ]
    return tuple((name, value) for name, value in facts if value)


def _lacks(face: Face | None) -> tuple[str, ...]:
    if face is None:
        return tuple(SETTINGS.values())
    return tuple(words for name, words in SETTINGS.items() if not getattr(face, name))


def _line(entry: Entry, says: str, began: datetime, local: datetime) -> Line:
    at = began + timedelta(seconds=entry.t_s)
    day = "" if at.date() == local.date() else f"{at:%a} "
    return Line(at=f"{day}{at:%H:%M:%S}", since=clock(entry.t_s), says=says, covert=timeline.covert(entry))


def _code(snapshot: Snapshot, face: Face | None, number: str) -> str:
    """Return what a phone reads from the code: the number, where, what; shorter at its end where it is too long."""
    if snapshot.silent:
        return ""
    top = f"{DRILL} {number}" if snapshot.drill else number
    known = [face.address, snapshot.place] if face else [snapshot.place]
    what = [one.text for one in _what(snapshot) if not one.covert]
    rest = [f"Phone there: {face.phone}" * bool(face.phone), f"Meet: {face.meet}" * bool(face.meet)] if face else []
    text = "\n".join(line for line in (top, *known, *what, *rest) if line)
    return text.encode()[:CODE_BYTES].decode(errors="ignore").strip()


def handover(incident: Incident, desk: Desk | None, now_s: float, local: datetime) -> Handover:
    """Return the card of an incident as it stands now; `local` is the time of day."""
    snapshot = incident.snapshot
    face = desk.status.face if desk else None
    elapsed_s = incident.elapsed_s(now_s)
    began = local - timedelta(seconds=elapsed_s)
    number = face.emergency_number if face else ""
    police = face.police_number if face and face.police_number != number else ""
    return Handover(
        incident=snapshot.id,
        head=REQUEST_HEAD if snapshot.request else HEADS[snapshot.severity],
        place=snapshot.place,
        address=face.address if face else "",
        number=number,
        police=police,
        dial=_dial(number, drill=snapshot.drill),
        dial_police=_dial(police, drill=snapshot.drill),
        drill=snapshot.drill,
        silent=snapshot.silent,
        open=snapshot.state is not State.CLOSED,
        at=f"{local:%H:%M:%S}",
        began=f"{began:%H:%M:%S}",
        say=_say(snapshot, face, elapsed_s),
        look=LOOK_AND_SAY,
        done=_done(incident, now_s),
        facts=_facts(snapshot, face),
        lacks=_lacks(face),
        lines=tuple(_line(entry, says, began, local) for entry, says in timeline.told(snapshot.timeline)),
        code=_code(snapshot, face, number),
    )


def code_svg(code: str) -> str:
    """Return the code as a picture to stand within a page; `code` itself is not in it as text."""
    return str(segno.make(code, error="m", micro=False).svg_inline(omitsize=True, border=2, light="#fff"))


def respond(request: Request, gate: Gate, model: Model, now_s: float, local: datetime) -> Response:
    """Return the card's page for `/handover/{incident}`; whoever asks must be signed in."""
    gate.account(request)
    incident = model.incident(request.path_params["incident"])
    if incident is None:
        raise Turned(HTTPStatus.NOT_FOUND, "This alert is not known here. Go back to the board and look again.")
    card = handover(incident, model.desk(incident.snapshot.unit), now_s, local)
    return gate.html(request, "handover.html", card=card, svg=code_svg(card.code) if card.code else "")

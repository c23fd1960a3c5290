"""The pages of a technician on the unit's own screen: the PIN, what doctor found, four marks to tap, and what came of them.

Rules
- In English alone, as `stayby doctor` and its documents are; but "I need help" stands on each in the language of the person
  whose desk it is, and means what it always means.
- What is wrong comes first, then what was not looked at, then what is well; each in doctor's own order.
- A page holds as many findings as fit by their letters; the rest is one touch away.
- Where a mark is to be tapped nothing else can be touched but "I need help", and that stands in the middle: however a panel is
  turned or mirrored, the middle is the middle.
"""

import textwrap
from collections.abc import Sequence
from math import ceil

from kiosk.corners import CORNERS, WAYS, Tapped, Turned, told
from kiosk.doctor.record import WORDS, Check, summary
from kiosk.page import Button, Finding, Key, Kind, Page, Service, Style
from kiosk.scene import Place
from kiosk.visit import MARK_S, At, Visit, ready

LINES, LETTERS = 12.0, 66
"""So many lines of so many letters fit a page of findings on an 800 x 480 panel; others hold about as much."""
SPACE = 0.3
WORD_LETTERS = 36
"""A word that is longer (a path, a topic) is parted, so that it fits a line of any panel."""
MOST_LETTERS = 230
"""A finding that is longer is cut; `stayby doctor` says all of it."""
HIDDEN = "●"
KEYS = ("123", "456", "789")
NO_PIN = "No PIN is set for this unit, so these pages stay shut."
SET_PIN = "Run `stayby store pin`, put its line below [service] in kiosk.toml, then `sudo systemctl restart stayby-ui`."


def service_page(visit: Visit, place: Place, in_force: Turned) -> Page:
    """Return the page of a visit; `in_force` is how touches are taken."""
    if visit.at is At.CORNERS:
        return _corners(visit, place)
    if visit.at is At.TAPPED and visit.tapped is not None:
        return _tapped(visit, visit.tapped, place, in_force)
    return _findings(visit, place) if visit.at is At.FINDINGS else _pin(visit, place)


def _page(place: Place, kind: Kind, **parts: object) -> Page:
    return place.page(kind, **{"top": (), "mark": "Service", **parts})


def _button(text: str, does: Service) -> Button:
    return Button(text, does)


CLOSE = _button("Close", Service.CLOSE)


# --- the PIN ----------------------------------------------------------------------------------------------------------


def _pin(visit: Visit, place: Place) -> Page:
    if visit.at is At.SHUT:
        return _page(place, Kind.PIN, headline="Shut", body=(NO_PIN, SET_PIN), corner=(place.help(), CLOSE))
    if visit.locked_s:
        minutes = ceil(visit.locked_s / 60)
        body = (f"Too many wrong PINs. Come back in {minutes} minute{'s' if minutes > 1 else ''}.",)
        return _page(place, Kind.PIN, headline="Locked", body=body, corner=(place.help(), CLOSE))
    says = "One moment." if visit.waits else visit.says or "Type the PIN of the service pages."
    return _page(
        place,
        Kind.PIN,
        headline="PIN",
        body=(says,),
        keys=() if visit.waits else _keys(visit),
        entry=" ".join(HIDDEN * len(visit.entry)),
        corner=(place.help(), CLOSE),
    )


def _keys(visit: Visit) -> tuple[tuple[Button, ...], ...]:
    digits = [tuple(Button(digit, Key(digit)) for digit in row) for row in KEYS]
    enter = Button("OK", Service.ENTER, Style.MAIN if ready(visit) else Style.PLAIN)
    return (*digits, (Button("Erase", Key("")), Button("0", Key("0")), enter))


# --- what doctor found ------------------------------------------------------------------------------------------------


def _findings(visit: Visit, place: Place) -> Page:
    parts = parts_of(visit.found)
    shown = visit.part % len(parts)
    more = (_button(f"More · {shown + 1} of {len(parts)}", Service.MORE),) if len(parts) > 1 else ()
    look = (_button("Look again", Service.LOOK),) if visit.done or visit.why else ()
    corners = _button("Tap 4 corners", Service.CORNERS)
    return _page(
        place,
        Kind.FINDINGS,
        headline=_headline(visit),
        top_right="" if visit.done else f"{len(visit.found)} looked at",
        body=(visit.why,) if visit.why else (),
        findings=tuple(finding(one) for one in parts[shown]),
        corner=(place.help(), *more, *look, corners, CLOSE),
    )


def _headline(visit: Visit) -> str:
    if visit.why:
        return "Not everything was looked at" if visit.found else "Nothing was looked at"
    return summary(visit.found) if visit.done else "Looking…"


def finding(check: Check) -> Finding:
    """Return a finding as a line of the screen, cut where it is very long."""
    text = f"{WORDS[check.ok]} · {check.name}: {check.says}"
    return Finding(check.ok, _cut(text), _cut(check.do))


def _cut(text: str) -> str:
    text = " ".join(part for word in text.split() for part in textwrap.wrap(word, WORD_LETTERS))
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1].rstrip()}…"


def parts_of(found: Sequence[Check]) -> list[list[Check]]:
    """Return findings as they stand on one page after the other; one empty page while there are none."""
    order = {False: 0, None: 1, True: 2}
    parts: list[list[Check]] = [[]]
    room = LINES
    for check in sorted(found, key=lambda one: order[one.ok]):
        needs = _lines(finding(check))
        if needs > room and parts[-1]:
            parts.append([])
            room = LINES
        parts[-1].append(check)
        room -= needs
    return parts


def _lines(one: Finding) -> float:
    return ceil(len(one.text) / LETTERS) + ceil(len(one.do) / LETTERS) + SPACE


# --- four corners -----------------------------------------------------------------------------------------------------


def _corners(visit: Visit, place: Place) -> Page:
    at = visit.corner if visit.corner is not None else len(CORNERS) - 1
    return _page(
        place,
        Kind.CORNERS,
        headline=f"{'Once more: tap' if visit.trial else 'Tap'} the mark, {CORNERS[at]}",
        body=(_why_marks(visit, at),),
        buttons=(place.help(),),
        corner=(),
        mark_at=at,
    )


def _why_marks(visit: Visit, at: int) -> str:
    if visit.trial is None:
        return f"{at + 1} of {len(CORNERS)}. No touch for {MARK_S:.0f} s: it goes on by itself."
    return f"{at + 1} of {len(CORNERS)}. Touch comes {WAYS[visit.trial]}: four more set it right."


def _tapped(visit: Visit, tapped: Tapped, place: Place, in_force: Turned) -> Page:
    found = told(tapped.verdict, in_force)
    lost = () if visit.kept else ("This could not be written down; `stayby doctor` does not know of it.",)
    again = _button("Tap 4 corners", Service.CORNERS)
    findings = () if visit.trusted else (_button("Findings", Service.FINDINGS),)
    return _page(
        place,
        Kind.TAPPED,
        headline="Touch is right" if found.ok else "Touch is wrong",
        body=lost,
        findings=(Finding(found.ok, f"{WORDS[found.ok]} · touch: {found.says}", found.do),),
        corner=(place.help(), again, *findings, CLOSE),
    )

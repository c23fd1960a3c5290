"""What was touched at this screen and stays there: the page that is open, how it looks, what was typed; and what changes it.

Rules
- It belongs to one incident and starts anew with the next; how the screen looks belongs to the person, and goes when they go.
- While hands push with the beat, or a seizure is timed, nothing takes that step away but a touch.
- Who may be in danger from whoever stands beside them is spoken to no more in that incident, whatever is told or heard after.
- The pace of breathing is nowhere once chest or breath were told or heard in the incident.
- A silent incident changes nothing here but the minute at which the greeting turns, which an ordinary minute does too.
- No clock: times are monotonic seconds and are passed in. It is written down on each change, so that a screen that starts again
  is where it was; what cannot be read is as if nothing had been touched.
"""

from dataclasses import dataclass, replace

from pydantic import ConfigDict, TypeAdapter, ValidationError

from kiosk.guidance import CASES, GROUPS, Pace
from kiosk.messages import Choice, Severity, Show, Snapshot, State, Touch, TouchAction
from kiosk.page import Does, Go, Key, Look, Service

THANKS_S = 8.0
"""How long the page after the end stays."""
REST_S = 60.0
"""So long after the last touch, with nothing open, the screen is as the store wants it again."""
PUSHING_S = 1800.0
"""The same for steps with a beat or a clock: an ambulance should have come."""
LEFT_OPEN_S = 120.0
"""How long an emergency page stays open at a desk where nothing is open any more."""
READING_S = 300.0
"""The same for steps: who follows them has no hand free."""
ASIDE_S = 30.0
"""How long the pages for the language and for a name stay in front of an alert that nobody touches."""
READING_ON_S = 30.0
"""So long after the last touch an emergency page that was left open makes way for "Do you need help?"."""
CHECK_IN_WAITS_S = 5.0
"""How long they keep a check-in waiting."""
UNDECIDED_S = 10.0
"""How long the pictures of the cases stay: after it the steps for all of them are shown."""
SKEW_S = 2.0
"""A touch that lies further ahead than this was timed by another clock."""
GREETING_S = 60.0
USUAL_LOOK = Look()
NAME_LETTERS = 20

ASIDES = frozenset({Go.VIEW, Go.NAME})
ASKED = frozenset({"told_person", "told_choice", "told_worse", "touched_help", "pressed", "heard"})
GUIDING = frozenset({Go.STEPS, Go.CASES, Go.CHOICES})
KEPT_PACES = frozenset({Pace.CPR, Pace.TIMER})
"""What moves on a step that nothing takes away."""
BREATHLESS = frozenset({Choice.CHEST_OR_BREATHING, *GROUPS[Choice.CHEST_OR_BREATHING]})
"""The cases to which no pace of breathing fits."""
SOOTHING = frozenset(choice for choice, case in CASES.items() for step in case.steps if step.pace is Pace.BREATHING)
"""The cases over which a phrase of the chest or the breath opens its own steps."""
HEARD_CASES: dict[str, Choice] = {
    "breathe": Choice.BREATHING,
    "chest": Choice.CHEST_PAIN,
    "heart": Choice.CHEST_PAIN,
    "police": Choice.NOT_SAFE,
    "leave_alone": Choice.NOT_SAFE,
    "let_go": Choice.NOT_SAFE,
}
"""Which case a phrase in the timeline speaks of, where that matters whatever else was told."""
KEPT_TOUCHES = frozenset({TouchAction.CHOOSE, TouchAction.NAME, TouchAction.WORSE})
"""What is told again, to the next incident too, until it is shown."""


@dataclass(frozen=True)
class Local:
    """What was touched here and never leaves the screen.

    `opened` is the page that a person opened over the ordinary one, if any, and `behind` the one to which "Back" leads from an
    aside. `telling` is set while a touched call for help is not yet confirmed by what the hub shows, `asking` the same for a
    person without alarm, `unheard` when either has lasted too long. `guess` is whose steps a heard phrase opened: another one
    starts at its first step. `timer_s` is when a case was opened whose time counts. `home` is the store's own look, `greeted`
    the silent call for which the greeting has turned already, `turned_s` where its minutes begin. `hushed`: a voice might give
    the person away. `voiced`: the person has just asked for a voice or a language. `mine`: a person touched how the screen looks.
    `name` is what they told of it, `untold` what the open incident does not show yet. `unpaced`: no pace of breathing any more.
    `instead` is the case whose steps a phrase opened over those that were touched, `breath_s` when the last such was heard.
    """

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)

    look: Look = USUAL_LOOK
    home: Look = USUAL_LOOK
    touched_s: float = 0.0
    turned_s: float = 0.0
    greeted: str | None = None
    incident: str | None = None
    opened: Go | None = None
    opened_s: float = 0.0
    behind: Go | None = None
    code: bool = False
    voiced: bool = False
    emergency_put_away: bool = False
    choice: Choice | None = None
    guess: Choice | None = None
    step: int = 0
    timer_s: float | None = None
    entry: str = ""
    drill: bool = False
    hushed: bool = False
    attended: bool = False
    closed_s: float | None = None
    telling: bool = False
    asking: bool = False
    unheard: bool = False
    mine: bool = False
    name: str = ""
    untold: frozenset[TouchAction] = frozenset()
    unpaced: bool = False
    instead: Choice | None = None
    breath_s: float = -1.0


_LOCAL = TypeAdapter(Local)


def dump(local: Local) -> str:
    """Return `local` as JSON."""
    return _LOCAL.dump_json(local).decode()


def load(text: str | bytes) -> Local:
    """Return what `dump` wrote; a fresh one when that cannot be read."""
    try:
        return _LOCAL.validate_json(text)
    except ValidationError:
        return Local()


def at_home(local: Local, home: Look) -> Local:
    """Return `local` for a store whose own look is `home`: a screen that nobody changed shows it at once."""
    return replace(local, home=home, look=home if local.look == local.home else local.look)


def visible(show: Show | None) -> Snapshot | None:
    """Return the incident that the screen may know of: none when it is silent or over."""
    incident = show.incident if show else None
    if incident is None or incident.silent or incident.state in {State.IDLE, State.CLOSED}:
        return None
    return incident


def suggested(incident: Snapshot | None) -> Choice | None:
    """Return the case that a phrase suggests and that may be shown to whoever stands at the screen."""
    guess = incident.guess if incident else None
    return guess if guess is None or CASES[guess].aloud else None


def _about(incident: Snapshot) -> set[Choice]:
    """Return every case that was told or heard in this incident, as far as it shows."""
    said = {incident.choice, incident.guess, HEARD_CASES.get(incident.phrase or "")}
    for entry in incident.timeline:
        if entry.what == "heard":
            said.add(HEARD_CASES.get(entry.who))
        elif entry.what == "told_choice" and entry.who in CASES:
            said.add(Choice(entry.who))
    return {case for case in said if case is not None}


def _breath(incident: Snapshot) -> tuple[float, Choice | None]:
    """Return when a phrase of the chest or the breath was heard last, and its case."""
    for entry in reversed(incident.timeline):
        case = HEARD_CASES.get(entry.who) if entry.what == "heard" else None
        if case in BREATHLESS:
            return entry.t_s, case
    return -1.0, None


def case_of(local: Local, incident: Snapshot) -> Choice | None:
    """Return whose steps are shown: what was heard since, or what the person said, or else what a phrase suggests."""
    told = None if incident.choice is Choice.PERSON else incident.choice
    return local.instead or local.choice or told or suggested(incident)


def shown_steps(local: Local, choice: Choice, country: str) -> tuple[int, ...]:
    """Return which steps of a case, by number from 0, are shown here."""
    steps = CASES[choice].steps
    numbers = CASES[choice].shown_in(country)
    return tuple(at for at in numbers if not (local.unpaced and steps[at].pace is Pace.BREATHING))


def holds(local: Local, case: Choice | None, country: str) -> bool:
    """Return whether a step with a beat or a clock is open, which stays until a person touches something else."""
    if case is None or local.opened not in {None, Go.STEPS}:
        return False
    numbers = shown_steps(local, case, country)
    return CASES[case].steps[numbers[local.step % len(numbers)]].pace in KEPT_PACES


def wants_person(incident: Snapshot) -> bool:
    """Return whether somebody asked for a person, without alarm.

    Who asks so in a silent alert sees what anybody sees who asks for a person, until they touch more than that.
    """
    if incident.choice is not Choice.PERSON:
        return False
    asked = [entry.what for entry in incident.timeline if entry.what in ASKED]
    return incident.severity is Severity.CHECK or (incident.covert and asked[-1:] == ["told_person"])


def _fresh(local: Local) -> Local:
    """Forget an incident, but not how the person wants the screen to be, nor what is still to be told."""
    return Local(
        look=local.look,
        home=local.home,
        touched_s=local.touched_s,
        turned_s=local.turned_s,
        greeted=local.greeted,
        telling=local.telling,
        asking=local.asking,
        unheard=local.unheard,
        mine=local.mine,
    )


# --- the facts change -------------------------------------------------------------------------------------------------


def settle(local: Local, show: Show | None, now_s: float) -> Local:
    """Return `local` after the facts changed: a new incident starts anew, an ended one is thanked for and then forgotten."""
    if max(local.touched_s, local.opened_s) > now_s + SKEW_S:
        local = replace(_fresh(local), touched_s=now_s)  # its times are those of another clock
    if local.opened is Go.CASES and now_s - local.opened_s >= UNDECIDED_S:
        local = replace(local, opened=Go.STEPS, step=0)
    if show is None:
        return _rest(local, now_s)
    local = _greet(local, show, now_s)
    incident = visible(show)
    if incident is not None:
        return _settle_incident(local, incident, show.face.country, now_s)
    if show.incident is not None and show.incident.silent and show.incident.id == local.incident:
        return replace(_fresh(local), telling=False, asking=False, unheard=False)
    return _settle_quiet(local, now_s)


def _greet(local: Local, show: Show, now_s: float) -> Local:
    """Let the greeting turn now when the broker has taken a silent call: the initiated know that it arrived."""
    hidden = show.incident
    if hidden is None or not hidden.silent or not show.told or hidden.id == local.greeted:
        return local
    turned_s = now_s if other_greeting(local, now_s) else now_s - GREETING_S
    return replace(local, turned_s=turned_s, greeted=hidden.id)


def other_greeting(local: Local, now_s: float) -> bool:
    """Return whether this is a minute of the second greeting."""
    return int((now_s - local.turned_s) // GREETING_S) % 2 == 1


def _settle_incident(local: Local, incident: Snapshot, country: str, now_s: float) -> Local:
    if incident.id != local.incident:
        local = _begun(local, incident)
    guess = suggested(incident)
    local = replace(
        _heard(local, incident),
        drill=incident.drill,
        attended=incident.state is State.ATTENDED,
        closed_s=None,
        emergency_put_away=local.emergency_put_away and incident.emergency,
        guess=guess,
        untold=_untold(local, incident),
    )
    local = _settle_aside(_timed(local, now_s), incident, now_s)
    alarm = incident.emergency and not wants_person(incident)
    forced = alarm and not incident.coming and incident.here is None
    held = holds(local, case_of(local, incident), country)
    if forced and not held and not local.emergency_put_away and local.opened not in {Go.VIEW, Go.EMERGENCY}:
        return replace(local, opened=Go.EMERGENCY, opened_s=now_s, code=False)
    # It came by itself and nobody touched it: a person at the desk takes its place. Who opened it may be reading it out.
    if incident.here is not None and local.opened is Go.EMERGENCY and local.touched_s < local.opened_s:
        return replace(local, opened=None)
    return local


def _begun(local: Local, incident: Snapshot) -> Local:
    """Start anew, but take no page away from who reads out the card, or follows steps that were opened before.

    A screen that knows nothing, and that nobody touched, takes the language in which the person called.
    """
    kept = local.opened is Go.EMERGENCY
    guided = local.incident is None and local.choice is not None
    known = local.mine or local.touched_s > 0 or incident.covert
    look = local.look if known else replace(local.look, language=incident.language)
    new = replace(_fresh(local), incident=incident.id, look=look, behind=local.behind if kept else None)
    if guided:
        new = replace(new, choice=local.choice, step=local.step, timer_s=local.timer_s, opened=local.opened)
        new = replace(new, unpaced=local.unpaced, hushed=local.hushed, untold=frozenset({TouchAction.CHOOSE}))
    return replace(new, opened=local.opened if kept or guided else None, opened_s=local.opened_s, code=local.code)


def _heard(local: Local, incident: Snapshot) -> Local:
    """Take what was told and heard: a voice that falls silent, the pace of breathing, the steps of a graver case."""
    about, (breath_s, breath) = _about(incident), _breath(incident)
    guess, choice = suggested(incident), local.choice or incident.choice
    if guess is not local.guess and choice is None:
        local = replace(local, step=0)
    if breath_s > local.breath_s:
        local = replace(local, breath_s=breath_s)
        if choice in SOOTHING:
            opened = None if local.opened in GUIDING else local.opened
            local = replace(local, instead=breath, step=0, opened=opened)
    return replace(
        local,
        hushed=local.hushed or any(not CASES[case].aloud for case in about),
        unpaced=local.unpaced or not BREATHLESS.isdisjoint(about),
    )


def _untold(local: Local, incident: Snapshot) -> frozenset[TouchAction]:
    """Return what was touched here and the incident does not show yet."""
    shows: dict[TouchAction, bool] = {
        TouchAction.CHOOSE: local.choice is None or incident.choice is local.choice,
        TouchAction.NAME: not local.name or incident.name == local.name,
        TouchAction.WORSE: incident.severity is Severity.GRAVE and not incident.check_in_open,
    }
    over = incident.state is State.ATTENDED
    return frozenset() if over else frozenset(action for action in local.untold if not shows[action])


def _settle_aside(local: Local, incident: Snapshot, now_s: float) -> Local:
    asked = incident.severity is Severity.CHECK and not wants_person(incident)
    if asked and local.opened is Go.EMERGENCY and now_s - max(local.touched_s, local.opened_s) >= READING_ON_S:
        return replace(_back(local, now_s), code=False)
    wait_s = CHECK_IN_WAITS_S if incident.check_in_open else ASIDE_S
    if local.opened in ASIDES and now_s - local.touched_s >= wait_s:
        return _back(local, now_s)
    return local


def _settle_quiet(local: Local, now_s: float) -> Local:
    if local.opened is Go.EMERGENCY and (local.closed_s is not None or not local.attended):
        # somebody may be reading the card to a dispatcher when an incident is closed from afar
        if local.incident is not None:
            return replace(_fresh(local), opened=Go.EMERGENCY, opened_s=now_s, code=local.code)
        return _rest(local, now_s)
    if local.incident is None:
        return _rest(local, now_s)
    if local.closed_s is None:
        return _ended(local, now_s)
    if now_s - local.closed_s >= THANKS_S:
        return replace(_fresh(local), opened=local.opened, opened_s=local.opened_s)
    return local


def _ended(local: Local, now_s: float) -> Local:
    """Thank the person; but who pushes with the beat when it is closed from afar keeps the beat."""
    ended = replace(_fresh(local), drill=local.drill, hushed=local.hushed)
    if not local.attended and _moves(local):
        kept = replace(ended, choice=local.choice, step=local.step, timer_s=local.timer_s, unpaced=local.unpaced)
        return replace(kept, opened=Go.STEPS, opened_s=now_s)
    return replace(ended, incident=local.incident, closed_s=now_s, attended=local.attended)


def _moves(local: Local) -> bool:
    """Return whether steps of a case with a beat or a clock are open."""
    steps = CASES[local.choice].steps if local.choice and local.opened in {None, Go.STEPS} else ()
    return any(step.pace in KEPT_PACES for step in steps)


def _rest(local: Local, now_s: float) -> Local:
    """Nothing is open: close what was left open, and look as the store wants it, some time after the last touch."""
    last_s = max(local.touched_s, local.opened_s)
    steps_s = PUSHING_S if _moves(local) else READING_S
    reading_s = steps_s if local.opened in GUIDING else REST_S
    wait_s = LEFT_OPEN_S if local.opened is Go.EMERGENCY else reading_s
    if now_s - last_s < wait_s or local.telling or local.asking:
        return local
    return replace(_fresh(local), look=local.home, mine=False)


# --- a person touches -------------------------------------------------------------------------------------------------


def touched(local: Local, does: Does, now_s: float) -> Local:
    """Return `local` after a person touched something; what a technician touches changes nothing here."""
    if isinstance(does, Service):
        return local
    local = replace(local, touched_s=now_s)
    if isinstance(does, Go):
        return _gone_to(local, does, now_s)
    if isinstance(does, Key):
        return replace(local, entry=typed(local.entry, does.letter))
    if isinstance(does, Touch):
        return _told(local, does, now_s)
    spoken = does.voice and (not local.look.voice or does.language is not local.look.language)
    return replace(local, look=does, voiced=spoken, mine=True)


def typed(entry: str, letter: str) -> str:
    """Return `entry` with a letter more, large where a word begins; without its last one for the letter ""."""
    if not letter:
        return entry[:-1]
    if len(entry) >= NAME_LETTERS or (letter == " " and (not entry or entry[-1] == " ")):
        return entry
    return entry + (letter.upper() if not entry or entry[-1] == " " else letter)


def _told(local: Local, touch: Touch, now_s: float) -> Local:
    if touch.action in {TouchAction.HELP, TouchAction.PERSON}:
        return replace(local, opened=None, behind=None)
    if touch.action is TouchAction.NAME:
        return replace(_back(local, now_s), entry="", name=touch.name or "", untold=local.untold | {touch.action})
    if touch.action in KEPT_TOUCHES:
        local = replace(local, untold=local.untold | {touch.action})
    if touch.choice is None:
        return local
    hushed = local.hushed or not CASES[touch.choice].aloud
    local = replace(local, instead=None, hushed=hushed, unpaced=local.unpaced or touch.choice in BREATHLESS)
    opened = Go.CASES if GROUPS.get(touch.choice) else Go.STEPS
    return _timed(replace(local, choice=touch.choice, step=0, opened=opened, opened_s=now_s), now_s)


def _timed(local: Local, now_s: float) -> Local:
    """Start the clock of a case that has one, the first time that it is opened."""
    case = local.choice or local.guess
    if local.timer_s is not None or case is None or CASES[case].steps[0].pace is not Pace.TIMER:
        return local
    return replace(local, timer_s=now_s)


def _back(local: Local, now_s: float) -> Local:
    return replace(local, opened=local.behind, opened_s=now_s, behind=None, voiced=False)


def _gone_to(local: Local, go: Go, now_s: float) -> Local:
    if go is Go.BACK:
        put_away = local.emergency_put_away or local.opened is Go.EMERGENCY
        return replace(_back(local, now_s), emergency_put_away=put_away)
    if go is Go.NEXT:
        return replace(local, step=local.step + 1)
    if go in {Go.CODE, Go.CARD}:
        return replace(local, code=go is Go.CODE, opened_s=now_s)
    if go in ASIDES:
        behind = local.behind if local.opened in ASIDES else local.opened
        return replace(local, opened=go, opened_s=now_s, behind=behind, voiced=False)
    if go is Go.AGAIN:
        return local
    step = 0 if go is Go.UNSURE else local.step
    opened = Go.STEPS if go is Go.UNSURE else go
    behind = Go.STEPS if go is Go.EMERGENCY and local.opened is Go.STEPS else None
    return replace(local, opened=opened, opened_s=now_s, behind=behind, step=step, code=False)

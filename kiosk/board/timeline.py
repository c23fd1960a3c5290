"""A timeline in plain words: what each code of `docs/architecture.md` means to somebody who was not there.

Rules
- Pure. One short sentence for each thing that happened: where two entries of one moment tell the same, the plainer one is said.
- A code that a newer unit brings is shown as it stands, never left out.
- `covert` says which entries must not lie on paper at the desk.
"""

from collections.abc import Sequence

from kiosk.board.view import LANGUAGES, phrase_words, within
from kiosk.guidance import CASES
from kiosk.messages import COVERT_PHRASE, Choice, Entry, Language, Severity, Trigger

OPENED: dict[str, str] = {
    Trigger.BUTTON: "The button was pressed.",
    Trigger.TOUCH: "“I need help” was touched.",
    Trigger.VOICE: "A call for help was heard.",
    Trigger.COVERT: "A call for help in secret.",
    Trigger.DRILL: "A drill began.",
}
WORDS: dict[str, str] = {
    "raised": "It became an alert.",
    "pressed": "The button was pressed.",
    "pressed_covert": "A call for help in secret.",
    "touched_help": "“I need help” was touched.",
    "heard": "Heard {who}.",
    "severity": "{who}",
    "tier_empty": "Nobody of {who} listened, or all said they cannot come.",
    "asked_tier": "Asked too: {who}.",
    "seen": "{who} has it on screen.",
    "coming": "{who} said: I am coming.",
    "late": "{who} is late.",
    "declined": "{who} cannot come.",
    "here": "{who} is at the desk.",
    "check_in": "The screen asked: are you still OK?",
    "check_in_missed": "No answer to “Are you still OK?”.",
    "told_ok": "They touched: I am OK.",
    "told_later": "They touched: ask me later.",
    "told_worse": "They touched: it is worse.",
    "told_fine": "They touched: I’m fine now.",
    "told_choice": "They touched: {who}.",
    "told_person": "They asked for a person to come.",
    "told_name": "They gave a first name: {who}.",
    "told_language": "They chose a language: {who}.",
    "test_asked": "{who} had asked for the morning’s press: the desk asked if it was that.",
    "told_test": "They touched: it was the test.",
    "nobody_looked": "Nobody came to look in time.",
    "nobody_listening": "No device of the staff was on.",
    "nobody_answered": "Nobody of the staff answered.",
    "broker_unreachable": "The desk could not reach the staff.",
    "drill_became_real": "Somebody pressed in the drill: it is real now.",
    "drill_started": "{who} began a drill.",
    "drill_over": "The time of the drill was over.",
    "no_longer_silent": "Somebody called openly: it is not silent any more.",
    "found_again": "The desk had lost it and found it again.",
    "remind": "Still open: the desk asked how it ended.",
    "closed": "Closed by {who}.",
}
SEVERITIES: dict[str, str] = {
    Severity.CHECK: "Staff were asked to look.",
    Severity.ALERT: "It became an alert.",
    Severity.GRAVE: "It became grave.",
}
COVERT = frozenset({"pressed_covert", "no_longer_silent"})
ASKED_AGAIN = "Staff were asked again."
SAYS_MORE = {"raised": "severity", "drill_started": "opened", "told_person": "opened"}
"""What one moment tells twice: the machine notes both."""
UNTOLD = "Noted by the desk: {what} {who}"


def covert(entry: Entry) -> bool:
    """Return whether an entry tells of a covert call, or of what the screen would not say aloud either."""
    if entry.what == "opened":
        return entry.who == Trigger.COVERT
    if entry.what == "told_choice":
        return entry.who in set(Choice) and not CASES[Choice(entry.who)].aloud
    return entry.what in COVERT or (entry.what == "heard" and entry.who == COVERT_PHRASE)


def told(entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """Return what is told of a timeline, with its sentences; whether it is an alert already, its order alone says."""
    said: list[tuple[Entry, str]] = []
    is_alert = False
    for entry in entries:
        twin = next((one for one in said if one[0].what == SAYS_MORE.get(entry.what) and one[0].t_s == entry.t_s), None)
        if twin is not None and entry.what != "raised":
            said[said.index(twin)] = (entry, words(entry))
        elif twin is None:
            again = entry.what == "raised" and is_alert
            said.append((entry, ASKED_AGAIN if again else words(entry)))
        is_alert = is_alert or entry.what == "raised"
    return said


def words(entry: Entry) -> str:
    """Return what happened, as one sentence."""
    if entry.what == "opened":
        return OPENED.get(entry.who, "Help was asked for.")
    if entry.what == "closed" and not entry.who:
        return "Closed."
    said = WORDS.get(entry.what, UNTOLD)
    return said.format(what=entry.what, who=_who(entry)).strip()


def _who(entry: Entry) -> str:
    match entry.what:
        case "heard":
            return phrase_words(entry.who) if entry.who else "a call for help"
        case "severity":
            return SEVERITIES.get(entry.who, f"Now: {entry.who}.")
        case "told_choice" if entry.who in set(Choice):
            return within(CASES[Choice(entry.who)].tile)
        case "told_language" if entry.who in set(Language):
            return LANGUAGES[Language(entry.who)]
    return entry.who

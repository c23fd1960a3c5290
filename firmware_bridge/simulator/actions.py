"""What can be done to a simulated unit, word by word: one table for the command line, the control socket and scenarios. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from firmware_bridge.simulator import SimulatedButton

Do = Callable[[SimulatedButton], None]
FLOODS = ("hub", "unit", "both", "off")
MILLIVOLTS_MAX = 5000
BOUNCE_MS_MAX = 50.0


class ActionError(ValueError):
    """These words are nothing that a simulated unit can do; one line says what is possible."""


@dataclass(frozen=True)
class Action:
    """One verb: what may follow it, what it does, and how its words become a deed."""

    takes: str
    says: str
    read: Callable[[list[str]], Do]


def _plain(do: Do) -> Callable[[list[str]], Do]:
    def read(words: list[str]) -> Do:
        _nothing_more(words)
        return do

    return read


def _nothing_more(words: list[str]) -> None:
    if words:
        raise ActionError(f"{' '.join(words)!r} is too much")


def _one_of(words: list[str], *choices: str) -> str:
    if len(words) != 1 or words[0] not in choices:
        raise ActionError(f"say which: {', '.join(choices)}")
    return words[0]


def _number(words: list[str], least: float, most: float, unit: str) -> float:
    if not words:
        raise ActionError(f"a number from {least:g} to {most:g} {unit} is missing")
    word = words.pop(0)
    try:
        number = float(word)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise ActionError(f"{word!r} is no number from {least:g} to {most:g} {unit}")
    return number


def _covert(words: list[str]) -> bool:
    covert = words[:1] == ["covert"]
    if covert:
        words.pop(0)
    return covert


def _press(words: list[str]) -> Do:
    covert, bounce_ms = _covert(words), 3.0
    if words[:1] == ["bounce"]:
        words.pop(0)
        bounce_ms = _number(words, 0, BOUNCE_MS_MAX, "ms")
    _nothing_more(words)
    return lambda unit: unit.press(bounce_ms, covert=covert)


def _release(words: list[str]) -> Do:
    covert = _covert(words)
    _nothing_more(words)
    return lambda unit: unit.release(covert=covert)


def _cut(words: list[str]) -> Do:
    covert = _covert(words)
    _nothing_more(words)
    return lambda unit: unit.cut(covert=covert)


def _short(words: list[str]) -> Do:
    covert = _covert(words)
    _nothing_more(words)
    return lambda unit: unit.short(covert=covert)


def _odd(words: list[str]) -> Do:
    covert = _covert(words)
    millivolts = int(_number(words, 0, MILLIVOLTS_MAX, "mV"))
    _nothing_more(words)
    return lambda unit: unit.loop_millivolts(millivolts, covert=covert)


def _garble(words: list[str]) -> Do:
    words = [word.removesuffix("%") for word in words]
    percent = _number(words, 0, 100, "% of the bytes")
    _nothing_more(words)
    return lambda unit: unit.garble(percent / 100)


def _flood(words: list[str]) -> Do:
    where = _one_of(words, *FLOODS)
    return lambda unit: unit.flood(where)  # type: ignore[arg-type]  # one of them, see the line above


def _lid(words: list[str]) -> Do:
    opened = _one_of(words, "open", "closed") == "open"
    return lambda unit: unit.lid(opened)


def _wire(words: list[str]) -> Do:
    up = _one_of(words, "up", "down") == "up"
    return lambda unit: unit.wire(up)


def _power(words: list[str]) -> Do:
    on = _one_of(words, "on", "off") == "on"
    return lambda unit: unit.power(on)


def _freeze(words: list[str]) -> Do:
    on = _one_of(words, "on", "off") == "on"
    return lambda unit: unit.freeze(on)


ACTIONS: dict[str, Action] = {
    "press": Action("[covert] [bounce MS]", "Press the button and hold it.", _press),
    "release": Action("[covert]", "Let the button go.", _release),
    "cut": Action("[covert]", "Cut one of the button's two wires.", _cut),
    "short": Action("[covert]", "Let the button's two wires touch.", _short),
    "odd": Action("[covert] MILLIVOLTS", "Put a wrong voltage on the loop, as a wet plug does.", _odd),
    "normal": Action("[covert]", "Mend the wires.", _release),
    "lid": Action("open|closed", "Open the enclosure, or close it.", _lid),
    "garble": Action("PERCENT", "From now on so many of 100 bytes, both ways, get one flipped bit.", _garble),
    "flood": Action("hub|unit|both|off", "Put random bytes on the wire at line rate.", _flood),
    "wire": Action("up|down", "Break the wires behind the USB bridge: the port stays, nothing passes.", _wire),
    "hang": Action("", "Let the firmware hang, by the self-test command.", _plain(lambda unit: unit.hang())),
    "freeze": Action("on|off", "Stop the chip's clock.", _freeze),
    "brownout": Action("", "Let the supply dip.", _plain(lambda unit: unit.brown_out())),
    "power": Action("on|off", "Take the unit's own supply away, or give it back.", _power),
    "reset": Action("", "Pull the chip's reset pin.", _plain(lambda unit: unit.reset())),
    "plug": Action("", "Plug the data cable in.", _plain(lambda unit: unit.plug())),
    "unplug": Action(
        "", "Pull the data cable; the unit lives on from its own supply.", _plain(lambda unit: unit.unplug())
    ),
    "replug": Action(
        "", "Pull the cable and plug it in: it comes back under another number.", _plain(lambda unit: unit.replug())
    ),
}


def read_action(words: list[str]) -> Do:
    """Return what these words do. Raises ActionError."""
    verb, rest = words[0] if words else "", list(words[1:])
    action = ACTIONS.get(verb)
    if action is None:
        raise ActionError(f"a simulated button cannot {verb!r}: it knows {', '.join(ACTIONS)}")
    try:
        return action.read(rest)
    except ActionError as error:
        raise ActionError(f"{verb}: {error}; it goes {f'{verb} {action.takes}'.strip()}") from None

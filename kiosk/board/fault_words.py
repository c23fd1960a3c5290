"""What a fault means for staff and what they do now, in plain words; the technician's own line stands behind "More".

Rules
- Pure. A fault is known by its code; what a newer unit says and nobody here knows still has words, and its own line.
- First what does not work for a person at the desk, then what staff use instead, then whom they tell. No part's name that
  nobody sees.
"""

from collections.abc import Iterable

from kiosk.messages import Fault, Record

TELL, TELL_AS_MANAGER = "ell a manager", "ell your technician"


class FaultView(Record):
    """One thing that is wrong: what it means, what to do now, and what a technician reads of it."""

    what: str
    do: str
    more: tuple[str, ...] = ()


Words = tuple[str, str]
BUTTON: Words = ("The button may not work.", "Use the touch screen there. Tell a manager.")
HIDDEN: Words = (
    "The hidden button may not work.",
    "Do not count on it. Tell a manager. Say nothing of it at the desk.",
)
STOPPED: Words = ("The button stopped for a moment. It works again.", "If it comes back: tell a manager.")
DEAF: Words = ("It may not hear calls for help.", "Its button and its screen work. Tell a manager.")
HARD: Words = ("It hears calls for help less well.", "Its button and its screen work. Tell a manager.")
TOUCH: Words = ("Touching the screen may not work.", "Use the button there. Tell a manager.")
READ: Words = ("Its screen may be hard to read.", "Button and touch work. Tell a manager.")
LETTERS: Words = ("Some words on its screen may not show.", "Button and touch work. Tell a manager.")
UNKNOWN: Words = ("Something is wrong there.", "Go and look whether its screen answers. Tell a manager.")

WORDS: dict[str, Words] = {
    "broker": ("Its calls may not reach you.", "Stay near that desk. Tell a manager now."),
    "broker-refused": ("Its calls may not reach you.", "Stay near that desk. Tell a manager now."),
    "walk-test": (
        "A technician tests this desk. Real calls still reach you.",
        "Nothing. The test ends by itself. Answer every alert as always.",
    ),
    "certificate-ends": (
        "Soon its calls may not reach you.",
        "All works now, if no other line says more. Tell a manager today.",
    ),
    "clock": ("Its clock is wrong.", "Its calls may not reach you. Tell a manager now."),
    "safe-mode": ("Its screen is off, and it hears nothing.", "Use the button there. Tell a manager now."),
    "update-failed": ("A newer version did not work. The one before runs.", "All works. Tell a manager when you can."),
    "update-stuck": (
        "An update stopped halfway. Something may not work.",
        "Go and look whether its screen answers. Tell a manager now.",
    ),
    "nobody-listening": ("It knows of nobody who listens.", "Keep this page open and in sight."),
    "opening-missed": (
        "Nobody pressed the button this morning.",
        "Begin the opening press again when somebody stands there.",
    ),
    "proof-missed": (
        "It tried itself, and a part may not work.",
        "Use button and screen as always. Tell a manager today.",
    ),
    "button": BUTTON,
    "button-loop": BUTTON,
    "button-covert-loop": HIDDEN,
    "button-stuck": (
        "The button is held down, or stuck.",
        "See that nothing leans on it. Use the touch screen. Tell a manager.",
    ),
    "button-covert-stuck": HIDDEN,
    "button-lid": ("The box of the button is open.", "See who opened it, and close it. Tell a manager."),
    "button-memory": ("The button works, but may forget a press if its power fails.", "Tell a manager today."),
    "button-firmware": ("The button works. Its software has another version.", "Tell a manager when you can."),
    "button-hung": STOPPED,
    "button-power": STOPPED,
    "button-restarted": STOPPED,
    "listen": ("It may not hear calls for help now.", "Its button and its screen work. If this stays: tell a manager."),
    "mic-paused": (
        "Somebody at the desk paused the microphone.",
        "Button and screen work. It listens again by itself.",
    ),
    "ear-mic_missing": DEAF,
    "ear-mic_no_arecord": DEAF,
    "ear-mic_stalled": DEAF,
    "ear-mic_silent": DEAF,
    "ear-mic_stuck": DEAF,
    "ear-mic_quiet": HARD,
    "ear-mic_clipping": HARD,
    "ear-mic_hum": HARD,
    "ear-mic_dc": HARD,
    "ear-model_broken": DEAF,
    "ear-covert_unknown": (
        "It does not know the store’s secret phrase.",
        "Do not count on the phrase. Tell a manager.",
    ),
    "ear-own_voice": ("Its screen talks without a pause.", "See who plays with it. If nobody does: tell a manager."),
    "ear-calibration_ignored": HARD,
    "ear-look_late": HARD,
    "ear-look_dead": HARD,
    "ear-look_slow": HARD,
    "screen": ("Its screen may not work.", "Go and look. Use the button there. Tell a manager."),
    "screen-panel_missing": TOUCH,
    "screen-panel_denied": TOUCH,
    "screen-panel_size": READ,
    "screen-screen_cramped": READ,
    "screen-font_missing": LETTERS,
    "screen-font_broken": LETTERS,
    "screen-letters_missing": LETTERS,
    "screen-words_": ("Its screen shows some words in English.", "All works. Tell a manager when you can."),
    "screen-picture_broken": (
        "A picture on its screen is missing. The words are there.",
        "Tell a manager when you can.",
    ),
    "screen-code_small": (
        "Phones cannot read the code on its screen.",
        "Say the address yourself. Tell a manager when you can.",
    ),
    "screen-backlight_denied": ("The light of its screen stays the same at night.", "Tell a manager when you can."),
    "screen-screen_state": ("After a restart its screen may begin anew.", "All works. Tell a manager when you can."),
    "screen-voice": (
        "Its screen cannot speak.",
        "The words are on it. Stay with whoever cannot read them. Tell a manager.",
    ),
    "disk": ("If its power fails, it may forget a call.", "All works now. Tell a manager today."),
    "bus": ("Its screen does not work, and it hears nothing.", "Use the button there. Tell a manager now."),
    "config-": ("Its settings have a mistake. It works with the last good ones.", "Tell a manager today."),
}
"""By code; one that ends in `-` or `_` stands for all that begin so."""

LATE = "The board hears too much at once. An alert may come late."
ODD = "Something sends what the board does not understand."
REFUSED = "A part of this board may not work."
FORGETS = "The board may forget who is signed in."
UNWRITTEN = "The board writes down nothing any more."
ENDS = "Soon this board may stop working."
STILL = "Alerts still come. Tell a manager."
"""Of the board itself."""


def words_of(code: str) -> Words:
    """Return what a fault means for staff and what they do, whatever its code is."""
    found = WORDS.get(code)
    begins = (words for prefix, words in WORDS.items() if prefix[-1] in "-_" and code.startswith(prefix))
    return found or next(begins, UNKNOWN)


def technical(fault: Fault) -> str:
    """Return the technician's line of a fault."""
    return f"{fault.where}: {fault.says}; {fault.do} ({fault.code})"


def fault_view(place: str, fault: Fault) -> FaultView:
    """Return a fault of a desk in words."""
    what, do = words_of(fault.code)
    return FaultView(what=f"{place}: {what}", do=do, more=(technical(fault),))


def said_once(faults: Iterable[FaultView]) -> tuple[FaultView, ...]:
    """Return the faults with those in one that mean the same for staff."""
    told: dict[Words, tuple[str, ...]] = {}
    for one in faults:
        told[one.what, one.do] = (*told.get((one.what, one.do), ()), *one.more)
    return tuple(FaultView(what=what, do=do, more=more) for (what, do), more in told.items())


def for_manager(fault: FaultView) -> FaultView:
    """Return the same for a manager: whom they tell is somebody else."""
    return fault.model_copy(update={"do": fault.do.replace(TELL, TELL_AS_MANAGER)})

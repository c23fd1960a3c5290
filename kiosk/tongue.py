"""One language as the pages use it: its texts with their slots filled, and which way it is read.

Rules
- No file is opened here: `kiosk.ui.catalogues` reads the catalogues and hands a translation in.
- A text that a catalogue lacks comes in English; a test proves that none lacks any.
- In a language read from right to left, each slot is isolated (Unicode FSI and PDI), so that a number or a name keeps its order.
"""

from dataclasses import dataclass, field
from gettext import NullTranslations

from kiosk.messages import Language
from kiosk.texts import Plural, every_text

ISOLATE, POP = "\u2068", "\u2069"
RIGHT_TO_LEFT = frozenset({Language.ARABIC})
_TEXTS = every_text()


@dataclass(frozen=True)
class Tongue:
    """A language and its catalogue; two are equal when their languages are."""

    language: Language = Language.ENGLISH
    catalogue: NullTranslations = field(default_factory=NullTranslations, compare=False, repr=False)

    @property
    def rtl(self) -> bool:
        """Whether it is read from right to left."""
        return self.language in RIGHT_TO_LEFT

    def say(self, key: str, **slots: object) -> str:
        """Return the text named `key` with its slots filled; one that counts needs the slot `n`. KeyError if there is none."""
        text = _TEXTS[key]
        if isinstance(text, Plural):
            said = self.catalogue.npgettext(key, text.one, text.many, int(str(slots["n"])))
        else:
            said = self.catalogue.pgettext(key, text)
        if self.rtl:
            slots = {name: f"{ISOLATE}{value}{POP}" for name, value in slots.items()}
        return said.format(**slots)


ENGLISH = Tongue()

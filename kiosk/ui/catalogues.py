"""Reads the catalogue of a language for the screen, and brings all of them up to date with the code (`make texts`).

Rules
- A catalogue is gettext's: `msgctxt` is the key of a text, `msgid` its English, in the order of `texts.every_text`.
- A catalogue that is missing, broken, or would break a page is not used: the screen stays in English, and one fault says why.
  One that lacks texts is used, with a fault: most of a page in the person's own language is better than none.
- The tool guesses nothing: where the English changed, the old translation goes, and is printed for whoever translates it anew.
- It writes no dates and no versions: run twice, it changes nothing.
"""

import io
import re
import string
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from gettext import GNUTranslations
from math import ceil
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po, write_po

from kiosk.guidance import CASES
from kiosk.messages import Choice, Fault, Language
from kiosk.texts import Plural, Text, every_text
from kiosk.tongue import ENGLISH, Tongue

LOCALE = Path(__file__).parent.parent / "locale"
DOMAIN = "stayby"
TRANSLATED = tuple(language for language in Language if language is not Language.ENGLISH)
LONGER = 1.3
"""How many times as long as the English a translation may be, where it can be."""


class BadCatalogue(ValueError):
    """A catalogue that the screen cannot use; says where in it, and why."""


def po_file(language: Language) -> Path:
    """Return where the catalogue of a language stands."""
    return LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"


# --- for the screen ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loaded:
    """A language as far as it could be had: English, and the fault, where its catalogue cannot be used."""

    tongue: Tongue
    fault: Fault | None = None


def load(language: Language) -> Tongue:
    """Return a language for the pages: English if its catalogue cannot be used (`faults` says why)."""
    return _loaded(language).tongue


def faults() -> tuple[Fault, ...]:
    """Return what is wrong with the catalogues, at most one fault for each; reads those that nobody has loaded yet."""
    found = (_loaded(language).fault for language in TRANSLATED)
    return tuple(fault for fault in found if fault)


@cache
def _loaded(language: Language) -> Loaded:
    return Loaded(ENGLISH) if language is Language.ENGLISH else read(language, po_file(language))


def read(language: Language, path: Path) -> Loaded:
    """Read a catalogue from a file; one that lacks texts is used, and they come in English."""
    try:
        catalogue = _parsed(language, path)
        lacks = _checked(catalogue)
        tongue = Tongue(language, _compiled(catalogue))
    except (OSError, ValueError, LookupError, PoFileError) as error:
        return Loaded(ENGLISH, _fault(language, path, f"cannot be used, so the screen stays in English: {error}"))
    if lacks:
        return Loaded(tongue, _fault(language, path, f"lack {len(lacks)} texts, which come in English: {lacks[0]}"))
    return Loaded(tongue)


def _fault(language: Language, path: Path, why: str) -> Fault:
    says = " ".join(f"the words of language {language} {why}".split())
    return Fault(code=f"words_{language}", where=str(path), says=says, do="install this version again")


_LINE = re.compile(r'(#.*|((msg\w+(\[\d\])?) )?"([^"\\]|\\.)*")?')


def _parsed(language: Language, path: Path) -> Catalog:
    whole = path.read_text(encoding="utf-8")
    for at, line in enumerate(whole.split("\n"), 1):  # Babel reads over a quote that nobody closed
        if not _LINE.fullmatch(line):
            raise BadCatalogue(f"line {at} is no line of a catalogue")
    return read_po(io.StringIO(whole), locale=language, domain=DOMAIN, abort_invalid=True)


def _checked(catalogue: Catalog) -> list[str]:
    """Return the keys of the texts that a catalogue lacks. BadCatalogue for a translation that a page could not fill."""
    has = {str(message.context): message for message in catalogue if message.id}
    for message in has.values():
        _check(message)
    return [key for key, text in every_text().items() if key not in has or not _translates(has[key], text)]


def _translates(message: Message, text: Text) -> bool:
    return forms(message.id) == english(text) and all(forms(message.string))


def _compiled(catalogue: Catalog) -> GNUTranslations:
    """Return what gettext reads, made in memory: no compiled file can be older than its source."""
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return GNUTranslations(compiled)


def slots(text: str) -> frozenset[str]:
    """Return the names of the slots of a text. ValueError for braces that do not fit together, or for anything but a name."""
    named = [parts for parts in string.Formatter().parse(text) if parts[1] is not None]
    if odd := [name for _, name, spec, conversion in named if not str(name).isidentifier() or spec or conversion]:
        raise ValueError(f"a slot is a plain name in braces, not {odd[0]!r}")
    return frozenset(str(name) for _, name, _, _ in named)


def forms(said: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    """Return every form of a text: one, unless it counts."""
    return (said or "",) if isinstance(said, str | None) else tuple(said)


def english(text: Text) -> tuple[str, ...]:
    """Return every form of an English text."""
    return (text.one, text.many) if isinstance(text, Plural) else (text,)


def _check(message: Message) -> None:
    """Raise BadCatalogue for a slot that no page fills; one may be left out, as where a form says "one" for `n`."""
    known = frozenset[str]().union(*map(slots, forms(message.id)))
    for form in forms(message.string):
        try:
            has = slots(form)
        except ValueError as error:
            raise BadCatalogue(f"{message.context}: {error}") from error
        if has - known:
            raise BadCatalogue(f"{message.context}: unknown slot {{{min(has - known)}}}")


# --- for translators --------------------------------------------------------------------------------------------------

PLACES: dict[str, str] = {
    "hello": "Idle screen, its large greeting.",
    "idle_unreached": "Idle screen, while no staff can be reached.",
    "opening_": "Idle screen, in the morning: staff press once, to prove that a call reaches them. No customer is meant.",
    "walk_test": "Idle screen, under “Touch if you need us”, while a technician tries the button. A customer’s call stays real.",
    "proving": "Idle screen, by night or early: the unit plays a soft sound to itself. Calm; whoever is there need do nothing.",
    "tested": "Idle screen, small, in the corner: the unit tested itself today, at this time of day. It works.",
    "maybe_test": "Beside a call in the minute of the morning test: it is real until somebody says that it is the test.",
    "b_test": "A button in that minute: the call was the morning test. No word over 18 letters.",
    "b_real": "A button in a practice call: this is no practice. No word over 18 letters.",
    "touch": "Idle screen, under the greeting. “Press” is the panic button on the desk.",
    "listening": "Idle screen, at the top: what the microphone does.",
    "voice_off": "Idle screen, at the top: what the microphone does. “Press” is the panic button on the desk.",
    "deaf": "Idle screen, at the top: what the microphone does. “Press” is the panic button on the desk.",
    "paused": "Idle screen, at the top: what the microphone does. “Press” is the panic button on the desk.",
    "starting": "While the unit starts.",
    "gone": "While the unit itself cannot call anybody.",
    "b_": "A button or another thing to touch. No word over 18 letters.",
    "tl_": "Emergency page, a line of what has happened so far. {clock} is the time of day.",
    "say_people": "Emergency page, on the card that is read to the emergency service on the phone.",
    "say_awake": "Emergency page, on the card that is read to the emergency service on the phone.",
    "say_age": "Emergency page, on the card that is read to the emergency service on the phone.",
    "say_danger": "Emergency page, on the card that is read to the emergency service on the phone.",
    "say_": "Only heard, never shown: a synthetic voice reads it aloud. Spell it so that it sounds right.",
    "eta": "Fills {eta} in “{name} is coming, {eta}.”.",
    "shows_": "A line of what has happened so far. {a} and {b} are first names of staff.",
    "ear": "The page about the microphone. “Help words” are the few words that it knows.",
    "next_": "The bottom line: what happens by itself.",
    "still_ok": "A check-in: the person is asked each minute.",
    "breathe_": "Inside the circle that grows and shrinks: one or two short words.",
    "push": "Beside the beat of chest compressions: one short word.",
    "drill_step": "A practice call: stands above a step for a real case, which goes on this sentence.",
    "say_drill_step": "A practice call: the voice then reads a step for a real case.",
    "drill": "A practice call: nobody is in danger.",
    "coming": "{name} is a member of staff of any sex; {eta} is one of “eta”.",
    "late": "{name} is a member of staff of any sex.",
    "here": "Staff have arrived. {name} is a member of staff of any sex.",
    "person": "Somebody is asked to come, and no alarm is raised.",
}
"""Where a text stands, by its key or how its key begins; the longest that fits is told to translators."""
SPOKEN = "Read aloud by a synthetic voice, not shown: spell it so that it sounds right."
CARD = "On the card that is read to the emergency service on the phone"
CASE_PLACES = {
    "title": "Stands above each step of this case.",
    "tile": "Under the picture that is touched to choose this case.",
    "told": f"{CARD}.",
    "heard": f"{CARD}: a guess from what was heard, so it claims no more.",
}


def comments(key: str, text: Text) -> list[str]:
    """Return what a translator needs to know of a text: where it stands, and how long it may be."""
    english = max((text.one, text.many), key=len) if isinstance(text, Plural) else text
    long = (
        ""
        if key.startswith("say_") or key.endswith(".spoken")
        else f"Best at most {ceil(len(english) * LONGER)} letters."
    )
    return [part for part in (_case_place(key) or _place(key), long) if part]


def _place(key: str) -> str:
    fits = [begins for begins in PLACES if key.startswith(begins)]
    return PLACES[max(fits, key=len)] if fits else "A line on the screen."


def _case_place(key: str) -> str:
    choice, *rest = key.split(".")
    if not rest:
        return ""
    title = CASES[Choice(choice)].title
    if len(rest) == 1:
        return f"Case “{title}”. {CASE_PLACES[rest[0]]}"
    line = {"spoken": SPOKEN, "0": "Its headline."}.get(rest[1], "A line under the headline.")
    return f"Case “{title}”, step {rest[0]}. {line}"


HEADER = """\
# The words of Stayby's screen{whose}. `msgctxt` is the key of a text, `msgid` its English.
# `make texts` brings this file up to date with the code and keeps what is translated.
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"""


def template() -> str:
    """Return the whole template, which holds no translations."""
    return HEADER.format(whose="") + "\n" + _written(Catalog(), {})


def updated(language: Language, old: Catalog) -> str:
    """Return the whole catalogue of a language as the code has it now, with what `old` translates of it."""
    catalogue = Catalog(locale=language, domain=DOMAIN)
    header = HEADER.format(whose=f" in {catalogue.locale.english_name}" if catalogue.locale else "")
    header += f'"Language: {language}\\n"\n"Plural-Forms: {catalogue.plural_forms}\\n"\n'
    return header + "\n" + _written(catalogue, {_name(message): message for message in old if message.id})


def _name(message: Message) -> tuple[str, tuple[str, ...]]:
    return str(message.context), forms(message.id)


def _written(catalogue: Catalog, old: Mapping[tuple[str, tuple[str, ...]], Message]) -> str:
    for key, text in every_text().items():
        known = old.get((key, english(text)))
        catalogue.add(
            english(text) if isinstance(text, Plural) else text,
            known.string if known else None,
            auto_comments=comments(key, text),
            user_comments=known.user_comments if known else (),
            context=key,
        )
    written = io.BytesIO()
    write_po(written, catalogue, width=0, omit_header=True)
    return written.getvalue().decode().lstrip("\n")


def lost(old: Catalog) -> Iterator[str]:
    """Yield each translation in `old` that the code has no English for any more, or another one."""
    now = {(key, english(text)) for key, text in every_text().items()}
    for message in old:
        if message.id and any(forms(message.string)) and _name(message) not in now:
            yield f"{message.context}: {message.id!r} was {message.string!r}"


def main(names: list[str]) -> int:
    """Bring the template and the catalogues up to date: of the languages named, or of all."""
    (LOCALE / f"{DOMAIN}.pot").write_text(template(), encoding="utf-8")
    for language in [Language(name) for name in names] or TRANSLATED:
        path = po_file(language)
        old = _parsed(language, path) if path.exists() else Catalog(locale=language)
        for gone in lost(old):
            print(f"{language}: translate anew, or forget: {gone}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(updated(language, old), encoding="utf-8")
        left = len([one for one in _parsed(language, path) if one.id and not all(forms(one.string))])
        print(f"{language}: {left} texts to translate in {path.relative_to(LOCALE.parent.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

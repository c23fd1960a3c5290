"""How hard the screen's English is to read: the grade of every passage, and the length of every line.

What is read together is graded together: the lines of a step, or one text. The formula (Flesch–Kincaid) counts syllables
and is made for sentences; of a label of fewer than five words it says nothing, so there every word must be one that four in
five pupils of grade 4 know (Dale–Chall's list, as textstat has it) or stand in `KNOWN` with its reason.
"""

import re
from collections.abc import Iterator
from typing import Any

import textstat

from kiosk.guidance import CASES
from kiosk.texts import TEXTS, Plural, every_text

SENTENCE_WORDS = 5
GRADE_MAX = 4.0
LINE_WORDS_MAX = 12
ENDINGS = ("", "s", "es", "ed", "d", "ing", "er", "r", "ped", "ting")
"""The list has the plain form of a word; these endings are as well known (Dale and Chall 1995)."""
KNOWN = {
    "sam": "a name in a slot",
    "spanish": "the language of whoever reads it",
    "arabic": "the language of whoever reads it",
    "hindi": "the language of whoever reads it",
    "chinese": "the language of whoever reads it",
    "manager": "what the store calls its own",
    "staff": 'the people of the store call themselves so; "the people here" is anybody',
    "microphone": "the word on the thing itself",
    "defibrillator": "the word on the box on the wall",
    "seizure": "what a dispatcher says; a picture beside it",
    "stroke": "what a dispatcher says; the tile that opens it says face, arm, speech",
    "theft": 'a picture beside it, and "a robbery" is harder',
    "choking": "no plainer word for it; a picture beside it",
    "ok": "the shortest word there is, and known in every language",
    "collapsed": "what a dispatcher says; a picture beside it",
}
SLOTS = {
    "number": "112",
    "police": "112",
    "name": "Sam",
    "a": "Sam",
    "b": "Lee",
    "n": "3",
    "s": "30",
    "tier": "the boss",
    "eta": "in about 3 minutes",
    "title": "A fall",
    "of": "4",
    "clock": "1:20",
    "language": "French",
    "time": "9:00",
    "score": "3",
    "phone": "112",
    "defibrillator": "at the door",
    "refuge": "the till",
    "meet": "the door",
    "what": "a fall",
    "phrase": "help",
    "percent": "150",
}
"""What stands in a slot while a text is measured: plain words, so that only our own are judged."""


def shown() -> Iterator[tuple[str, str]]:
    """Yield every line that is shown, not only heard."""
    return ((key, text) for key, text in lines() if not key.startswith("say_") and not key.endswith(".spoken"))


def lines() -> Iterator[tuple[str, str]]:
    """Yield every line by its key, in each of its forms, with its slots filled."""
    for key, text in every_text().items():
        for form in (text.one, text.many) if isinstance(text, Plural) else (text,):
            yield key, form.format(**SLOTS)


def passages() -> Iterator[tuple[str, str]]:
    """Yield what is read together, by the key of its first line."""
    for choice, case in CASES.items():
        for at, step in enumerate(case.steps):
            yield f"{choice.value}.{at + 1}", " ".join(step.lines()).format(**SLOTS)
    of_steps = {f"{choice.value}.{at + 1}." for choice, case in CASES.items() for at in range(len(case.steps))}
    for key, text in lines():
        if key in TEXTS or not any(key.startswith(step) and not key.endswith("spoken") for step in of_steps):
            yield key, text


def words(text: str) -> list[str]:
    """Return the words of a text; numbers are words."""
    return re.findall(r"[\w’]+", text)


def grade(text: str) -> float:
    """Return the school grade that a passage asks for; of a label 4 when all its words are known in grade 4, else 5."""
    if len(words(text)) < SENTENCE_WORDS:
        return 5.0 if unknown(text) else GRADE_MAX
    sentences = re.sub(r"\s*[·:]\s*", ". ", text).replace("“", "").replace("”", "").replace("’", "'")
    return float(textstat.flesch_kincaid_grade(sentences if sentences[-1] in ".?" else f"{sentences}."))


def unknown(text: str) -> list[str]:
    """Return the words of a label that may be too hard."""
    return [word for word in words(text) if not _known(word.lower().removesuffix("’s").replace("’", "'"))]


def _known(word: str) -> bool:
    plain = {word.removesuffix(ending) for ending in ENDINGS} | {f"{word.removesuffix('ing')}e"}
    return word in KNOWN or word.isdigit() or word == "i'm" or any(_listed(form) for form in plain)


def _listed(word: str) -> bool:
    return bool(word) and not textstat.difficult_words(word, syllable_threshold=0)


def figures() -> dict[str, Any]:
    """Return the bench's figures, with the ten hardest passages."""
    graded = sorted(((round(grade(text), 1), key, text) for key, text in passages()), reverse=True)
    hardest = [one for one in graded if len(words(one[2])) >= SENTENCE_WORDS or one[0] > GRADE_MAX][:10]
    return {
        "text_grade_max": graded[0][0],
        "text_words_per_line_max": max(len(words(text)) for _, text in shown()),
        "text_hardest": [{"grade": score, "key": key, "text": text} for score, key, text in hardest],
    }

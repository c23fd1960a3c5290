"""The catalogues: complete, true to the English and to its slots, up to date with the code, and harmless where one is broken."""

import re
import shutil
import unicodedata
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from hypothesis import given
from hypothesis import strategies as st

from kiosk.messages import Language
from kiosk.texts import Plural, every_text
from kiosk.tongue import ISOLATE, POP
from kiosk.ui import catalogues
from kiosk.ui.catalogues import BadCatalogue, faults, forms, load, lost, po_file, read, slots, template, updated

TEXTS = every_text()
LANGUAGES = catalogues.TRANSLATED
SAME = {"b_letters", "ear_line"}
"""Texts that may read like the English: they hold slots and signs only, or are a word of both languages."""
ALSO_SAME: dict[Language, set[str]] = {Language.FRENCH: {"seizure.title", "seizure.tile"}}

COMING_IS_SO = {"coming", "coming_to_look", "others_coming", "tl_coming", "say_coming"}
"""The texts that are said once somebody has said that they come; no other one may."""
COMING = {
    Language.SPANISH: r"\b(vienen?|vendrán?|llegar(á|án)|en camino|ya van?|acuden?|acudirán?)\b",
    Language.FRENCH: r"\b(arriv\w+|vient|viennent|viendr\w+|en route|en chemin|accour\w+)\b",
    Language.CHINESE: r"赶来|正在来|在路上|马上来|马上到|就来|会来|即将",
    Language.ARABIC: r"قادم|في الطريق|سيأتي|سيصل|آتٍ",
    Language.HINDI: r"(?<!नहीं )आ रह[ाेी]|रास्ते में|आएग[ाी]|आएँगे|आएंगे|पहुँच रह|पहुंच रह",
}
ASSURED = {
    Language.SPANISH: r"tranquil[oa]s?\b(?! *\.?$)|no se preocupe|todo (va a salir|saldrá|estará) bien|cálm|a salvo\b(?!$)",
    Language.FRENCH: r"\bcalmez|ne vous inquiétez|tout (va|ira) bien|rassurez|pas de panique",
    Language.CHINESE: r"别担心|不要担心|放心|没事的|冷静",
    Language.ARABIC: r"لا تقلق|اهدأ|كل شيء بخير|اطمئن",
    Language.HINDI: r"चिंता न|चिन्ता न|घबरा|शांत हो|सब ठीक हो जाएगा",
}
"""Comfort that nobody can vouch for, and orders to be calm."""
GIVES_AWAY = {
    Language.SPANISH: r"peligro|amenaz|segur|salvo|robo|ladr|policía|miedo",
    Language.FRENCH: r"danger|menac|sécurité|vol\b|voleur|police|peur",
    Language.CHINESE: r"安全|危险|威胁|抢|警察|害怕",
    Language.ARABIC: r"خطر|أمان|آمن|تهديد|سرق|شرطة|خوف|خائف",
    Language.HINDI: r"सुरक्षित|ख़तर|खतर|धमक|चोर|लूट|पुलिस|डर",
}
"""Nothing that is shown under "I don't feel safe" or a theft may say why it is shown."""
OWN_QUOTES = {
    Language.SPANISH: "“”",
    Language.FRENCH: "«»",
    Language.CHINESE: "“”",
    Language.ARABIC: "«»",
    Language.HINDI: "“”",
}
QUOTES = set('“”«»„‟"「」『』')
WORDS_MAX = {Language.HINDI: 15}
"""Words a line, if not 12: Hindi writes what others put into an ending as words of their own. Chinese has no spaces."""
LETTERS_MAX = 18
"""Letters a word on a button."""


def messages(language: Language) -> dict[str, Message]:
    """Return what a catalogue holds, by key."""
    return {str(message.context): message for message in stored(language) if message.id}


def stored(language: Language) -> Catalog:
    return catalogues._parsed(language, po_file(language))


ALL = [
    (language, key, form)
    for language in LANGUAGES
    for key, message in messages(language).items()
    for form in forms(message.string)
]
each_language = pytest.mark.parametrize("language", LANGUAGES)


def words(form: str) -> int:
    """Return how many words a text has; what stands between spaces, since a vowel sign of Hindi is no letter to `re`."""
    return len(form.replace("·", " ").split())


def found(wrong: re.Pattern[str], language: Language, keys: set[str]) -> dict[str, str]:
    """Return the texts in which it is found; a slot is a number or a name on the screen, whatever it is called here."""
    words = {key: form for tongue, key, form in ALL if tongue is language and key in keys}
    return {key: form for key, form in words.items() if wrong.search(re.sub(r"\{\w+\}", "{}", form))}


# --- complete and up to date ------------------------------------------------------------------------------------------


@each_language
def test_every_text_is_translated_in_every_form(language: Language) -> None:
    have = messages(language)
    assert list(have) == list(TEXTS)
    assert [key for key, message in have.items() if not all(forms(message.string))] == []
    assert [key for key, message in have.items() if message.fuzzy] == []


@each_language
def test_the_plural_forms_are_those_of_the_language(language: Language) -> None:
    catalogue = stored(language)
    counts = {Language.CHINESE: 1, Language.ARABIC: 6}
    assert catalogue.num_plurals == counts.get(language, 2)
    counting = [message for message in catalogue if isinstance(message.id, tuple)]
    assert [len(forms(message.string)) for message in counting] == [catalogue.num_plurals] * len(counting)


@each_language
def test_the_tool_would_change_nothing(language: Language) -> None:
    assert po_file(language).read_text(encoding="utf-8") == updated(language, stored(language))


def test_the_template_is_up_to_date() -> None:
    assert (catalogues.LOCALE / "stayby.pot").read_text(encoding="utf-8") == template()


@each_language
def test_nothing_is_left_in_english(language: Language) -> None:
    same = {
        key
        for key, text in TEXTS.items()
        if isinstance(text, str) and load(language).catalogue.pgettext(key, text) == text
    }
    assert same - SAME - ALSO_SAME.get(language, set()) == set()


# --- true to the English ----------------------------------------------------------------------------------------------


@each_language
def test_each_slot_is_there_and_no_other(language: Language) -> None:
    """Of the forms of a text that counts, those of one and two may spell `n` out; which n has which form is gettext's."""
    for key, message in messages(language).items():
        english = slots(forms(message.id)[-1])
        for form in forms(message.string):
            spelt = frozenset({"n"}) if isinstance(message.id, tuple) else frozenset()
            assert english - spelt <= slots(form) <= english, (key, form)
        if isinstance(message.id, tuple):
            assert "n" in slots(forms(message.string)[-1]), key


@each_language
@pytest.mark.parametrize("n", [3, 5, 11, 40, 100, 102])
def test_only_one_and_two_are_spelt_out(language: Language, n: int) -> None:
    tongue = load(language)
    for key, text in TEXTS.items():
        if isinstance(text, Plural):
            filled = {name: name for name in slots(text.many)} | {"n": n}
            assert str(n) in tongue.say(key, **filled), key


@each_language
def test_what_a_text_quotes_reads_as_on_the_button(language: Language) -> None:
    """Where the English says: touch “Collapsed”, the translation must quote the translation of exactly that."""
    by_english = {text: key for key, text in TEXTS.items() if isinstance(text, str) and not key.startswith("say_")}
    tongue = load(language)
    for key, text in TEXTS.items():
        for quoted in re.findall("“([^“”{]+)”", text) if isinstance(text, str) else ():
            assert tongue.say(by_english[quoted]) in tongue.catalogue.pgettext(key, str(text)), key


@each_language
def test_the_same_english_on_one_page_reads_the_same(language: Language) -> None:
    """A button and the tile that does the same, a title and its step: their texts are one."""
    tongue = load(language)
    assert tongue.say("b_person") == tongue.say("person.tile")


@each_language
def test_nobody_is_coming_before_somebody_said_so(language: Language) -> None:
    assert found(re.compile(COMING[language], re.IGNORECASE), language, set(TEXTS) - COMING_IS_SO) == {}


@each_language
def test_nobody_is_told_to_be_calm_or_that_all_is_well(language: Language) -> None:
    assert found(re.compile(ASSURED[language], re.IGNORECASE), language, set(TEXTS)) == {}


@each_language
def test_nothing_gives_away_a_person_who_does_not_feel_safe(language: Language) -> None:
    keys = {key for key in TEXTS if key.startswith("not_safe.") and not key.endswith(".tile")} | {"robbery.title"}
    assert found(re.compile(GIVES_AWAY[language]), language, keys) == {}


# --- how it is written ------------------------------------------------------------------------------------------------


@each_language
def test_nothing_shouts_and_nothing_hangs_over(language: Language) -> None:
    forms_of = [(key, form) for tongue, key, form in ALL if tongue is language]
    assert [key for key, form in forms_of if set(form) & set("!¡！")] == []
    assert [key for key, form in forms_of if form != form.strip() or "  " in form or "\n" in form] == []


@each_language
def test_digits_are_ascii_and_quotes_are_the_language_s_own(language: Language) -> None:
    for tongue, key, form in ALL:
        if tongue is language:
            assert not [letter for letter in form if unicodedata.category(letter) == "Nd" and not letter.isascii()], key
            assert set(form) & QUOTES <= set(OWN_QUOTES[language]), key
            assert form.count(OWN_QUOTES[language][0]) == form.count(OWN_QUOTES[language][1]), key
            assert "'" not in form, key


def test_french_spaces_before_its_signs_do_not_break() -> None:
    loose = re.compile("(?<![\u202f])[?;»]|(?<![\u00a0\\d}]):|«(?!\u202f)|[^\u202f]%")
    assert found(loose, Language.FRENCH, set(TEXTS)) == {}


def test_spanish_opens_what_it_asks() -> None:
    asking = [(key, form) for language, key, form in ALL if language is Language.SPANISH]
    assert [key for key, form in asking if form.count("¿") != form.count("?")] == []


@each_language
def test_lines_are_short(language: Language) -> None:
    for tongue, key, form in ALL:
        if tongue is language and not key.startswith("say_") and not key.endswith(".spoken"):
            words = [word for word in form.split() if any(letter.isalnum() for letter in word)]
            assert len(words) <= WORDS_MAX.get(language, 12), (key, form)


@each_language
def test_a_word_on_a_button_fits_it(language: Language) -> None:
    buttons = [
        (key, form) for tongue, key, form in ALL if tongue is language and (key.startswith("b_") or ".tile" in key)
    ]
    assert [(key, word) for key, form in buttons for word in form.split() if len(word) > LETTERS_MAX] == []


# --- loading ----------------------------------------------------------------------------------------------------------


def test_the_committed_catalogues_have_no_fault() -> None:
    assert faults() == ()
    assert [load(language).language for language in Language] == list(Language)


def test_right_to_left_isolates_what_is_filled_in() -> None:
    assert f"{ISOLATE}112{POP}" in load(Language.ARABIC).say("chest_pain.1.0", number="112")


@pytest.fixture
def french(tmp_path: Path) -> Path:
    return Path(shutil.copy(po_file(Language.FRENCH), tmp_path / "stayby.po"))


BREAKS = {
    "a slot that the page does not fill": ('msgstr "{name} est là.', 'msgstr "{nom} est là.'),
    "a brace that nobody closes": ('msgstr "{name} est là.', 'msgstr "{name est là.'),
    "a slot that reaches into what fills it": ('msgstr "{name} est là.', 'msgstr "{name.real} est là.'),
    "a quote that nobody closes": ('msgstr "Retour"', 'msgstr "Retour'),
    "a plural form too many": ('msgstr[1] "dans', 'msgstr[1] ""\nmsgstr[2] "dans'),
    "a plural rule that is none": ("plural=(n > 1)", "plural=(n >"),
    "an encoding that is none": ("charset=UTF-8", "charset=none-such"),
    "half a conflict": ('msgctxt "thanks"', '<<<<<<< HEAD\nmsgctxt "thanks"'),
}
LACKS = {
    "a plural form too few": ('msgstr[1] "dans', '#. "dans'),
    "a text too few": ('msgstr "Retour"', 'msgstr ""'),
    "the English of another version": ('msgid "Back"', 'msgid "Go back"'),
}


@pytest.mark.parametrize("why", BREAKS)
def test_a_broken_catalogue_is_english_and_one_fault(french: Path, why: str) -> None:
    before, after = BREAKS[why]
    whole = french.read_text(encoding="utf-8")
    assert before in whole
    french.write_text(whole.replace(before, after), encoding="utf-8")
    loaded = read(Language.FRENCH, french)
    assert loaded.tongue.language is Language.ENGLISH
    assert loaded.fault is not None
    assert loaded.fault.where == str(french)
    assert "\n" not in loaded.fault.says + loaded.fault.do


@pytest.mark.parametrize("why", LACKS)
def test_a_catalogue_that_lacks_a_text_is_used_with_a_fault(french: Path, why: str) -> None:
    before, after = LACKS[why]
    whole = french.read_text(encoding="utf-8")
    assert before in whole
    french.write_text(whole.replace(before, after), encoding="utf-8")
    loaded = read(Language.FRENCH, french)
    assert loaded.tongue.language is Language.FRENCH
    assert loaded.tongue.say("thanks") == "Merci."
    assert loaded.fault is not None
    assert "lack 1 texts" in loaded.fault.says


def test_a_catalogue_that_was_cut_off_names_what_it_lacks(french: Path) -> None:
    whole = french.read_bytes()
    french.write_bytes(whole[: whole.index(b"#. Case ")])
    loaded = read(Language.FRENCH, french)
    assert loaded.fault is not None
    assert loaded.fault.says.endswith("chest_or_breathing.title")
    assert loaded.tongue.say("chest_pain.title") == "Chest pain"


def test_a_missing_catalogue_and_one_that_is_no_text_are_english_and_one_fault(tmp_path: Path) -> None:
    wrong = tmp_path / "stayby.po"
    for content in (None, b"\xff\xfe\x00", b"\x80"):
        if content is not None:
            wrong.write_bytes(content)
        loaded = read(Language.HINDI, wrong)
        assert loaded.tongue.language is Language.ENGLISH
        assert loaded.fault is not None
        assert loaded.fault.code == "words_hi"


@given(st.text())
def test_slots_are_plain_names_or_a_fault(text: str) -> None:
    try:
        names = slots(text)
    except ValueError:
        return
    assert text.format(**dict.fromkeys(names, "")) is not None


# --- the tool ---------------------------------------------------------------------------------------------------------


def test_what_the_code_has_no_more_goes_and_is_named() -> None:
    old = Catalog(locale="fr")
    old.add("Hello. We are here.", "Bonjour.", context="hello")
    old.add("Hello, we were here.", "Bonsoir.", context="hello_other")
    old.add("Gone.", "Parti.", context="no_such_key")
    new = updated(Language.FRENCH, old)
    assert 'msgstr "Bonjour."' in new
    assert "Bonsoir." not in new
    assert "Parti." not in new
    assert [line.split(":")[0] for line in lost(old)] == ["hello_other", "no_such_key"]


def test_what_a_translator_noted_is_kept() -> None:
    old = Catalog(locale="fr")
    old.add("Thank you.", "Merci.", context="thanks", user_comments=["not too warm"])
    assert "# not too warm\n" in updated(Language.FRENCH, old)


def test_a_translation_with_a_wrong_slot_is_named() -> None:
    message = Message("{name} is here.", "{nom} est là.", context="here")
    with pytest.raises(BadCatalogue, match=r"here: unknown slot \{nom\}"):
        catalogues._check(message)

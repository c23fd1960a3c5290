"""The configuration: every fault at once, in words, with its line; what is in force; and any text at all."""

import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kiosk.config import UnitConfig, load_board, load_unit
from kiosk.config_faults import ConfigFaults, key_lines
from kiosk.config_show import MASK, show

GOOD = """
[unit]
store = "harbour"
id = "desk-3"
place = "Service desk 3"
address = "Harbour Street 1, ground floor"

[broker]
host = "broker.example"
ca_file = "/etc/stayby/ca.pem"
username = "unit-desk-3"
password = "correct horse"

[escalation]
tiers = [
    "the staff",   # first
    "the manager",
]
"""

BOARD = """
[responder]
store = "harbour"
id = "sam"
name = "Sam"

[broker]
host = "broker.example"
ca_file = "/etc/stayby/ca.pem"
cert_file = "/etc/stayby/sam.pem"
key_file = "/etc/stayby/sam.key"
"""


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigFaults) as wrong:
        load_unit(text)
    return [str(fault) for fault in wrong.value.faults]


def test_a_good_one_is_taken_with_its_defaults() -> None:
    config = load_unit(GOOD)
    assert config.escalation.tiers == ("the staff", "the manager")
    assert config.broker.port == 8883
    assert config.button is None
    assert load_board(BOARD).responder.tier == 1


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("host =", "hots =", "line 9, [broker] hots: is not a known setting; did you mean `host`?"),
        ("[broker]", "[brokre]", "line 8, [brokre]: is not a known table; did you mean `broker`?"),
        (
            'host = "broker.example"',
            'host = "broker.example"\nplace = "x"',
            "line 10, [broker] place: is not a known setting; did you mean to write it below [unit]?",
        ),
        (
            'store = "harbour"',
            'store = "Harbour Mall"',
            (
                "line 3, [unit] store: 'Harbour Mall' is not an id; use a-z, 0-9, - and _ only, "
                "at most 32 of them, a letter or digit first; did you mean `harbour-mall`?"
            ),
        ),
        ('id = "desk-3"\n', "", "line 2, [unit] id: is missing; add id = ... (The unit's id, unique in its store)"),
        ('"desk-3"\n', "3\n", "line 4, [unit] id: is a number; it must be text: put it in quotes"),
        ("[escalation]", "[escalation]\ncheck_s = 0", "line 15, [escalation] check_s: is 0; it must be more than 0"),
        (
            "[escalation]",
            "[escalation]\ncheck_s = nan",
            "line 15, [escalation] check_s: is nan; it must be at most 3600",
        ),
        (
            "[escalation]",
            '[escalation]\ncheck_s = "12"',
            "line 15, [escalation] check_s: is text; it must be a number without quotes",
        ),
        (
            '"the manager"',
            "7",
            "line 15, [escalation] tiers, entry 2: is a number; it must be text: put it in quotes",
        ),
        (
            "[escalation]",
            "[listen]\nhours = 08:00:00\n[escalation]",
            "line 15, [listen] hours: is a time of day without quotes; it must be text: put it in quotes",
        ),
        (
            "[escalation]",
            '[listen]\nhours = "8-21"\n[escalation]',
            "line 15, [listen] hours: '8-21' is not a span of hours; write it as \"08:00-21:00\"",
        ),
        (
            "[escalation]",
            "[ui]\nwidth = 99999\n[escalation]",
            "line 15, [ui] width: is 99999; it must be at most 4096",
        ),
        (
            "[escalation]",
            '[ui]\nfullscreen = "yes"\n[escalation]',
            "line 15, [ui] fullscreen: is text; it must be true or false, without quotes",
        ),
        (
            'password = "correct horse"',
            "",
            "line 8, [broker]: username and password go together; set both or neither",
        ),
        ('place = "Service desk 3"', 'place = ""', "line 5, [unit] place: is empty; it must have at least 1"),
        (
            'place = "Service desk 3"',
            f'place = "{"x" * 41}"',
            "line 5, [unit] place: is 41 letters long; it must have at most 40",
        ),
    ],
)
def test_one_fault_is_one_line(old: str, new: str, fault: str) -> None:
    assert faults(GOOD.replace(old, new, 1)) == [fault]


def test_all_faults_come_at_once_in_the_order_of_the_file() -> None:
    text = GOOD.replace("id =", "idd =").replace("host =", "port = 0\nhosst =").replace("ca_file", "ca_flie")
    text = (
        text.replace('username = "unit-desk-3"', "username = 3").replace('password = "correct horse"', "") + "[soup]\n"
    )
    assert [fault.split(":")[0] for fault in faults(text)] == [
        "line 4, [unit] idd",
        "line 9, [broker] port",
        "line 10, [broker] hosst",
        "line 11, [broker] ca_flie",
        "line 12, [broker] username",
        "line 20, [soup]",
    ]


def test_credentials_are_looked_at_even_beside_a_wrong_value() -> None:
    text = GOOD.replace('password = "correct horse"', "port = 0")
    assert [fault.split(";")[0] for fault in faults(text)] == [
        "line 8, [broker]: username and password go together",
        "line 12, [broker] port: is 0",
    ]


def test_an_empty_file_says_which_tables_to_write() -> None:
    assert faults("") == [
        "[unit]: is missing; add this table with store, id, place, address",
        "[broker]: is missing; add this table with host, ca_file",
    ]


def test_a_table_that_is_none() -> None:
    assert "[unit]: is a number, and must be a table" in faults("unit = 3\n")[0]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("[unit]\nstore = harbour\n", "line 2, column 9: is not TOML: invalid value"),
        ("[unit\n", "line 1, column 6: is not TOML: expected ']'"),
        ("a = " + "[" * 5000, "the file: is not TOML: it is nested too deeply"),
        ("a = " + "9" * 5000, "the file: is not TOML: "),
    ],
)
def test_broken_toml_has_its_line(text: str, start: str) -> None:
    (fault,) = faults(text)
    assert fault.startswith(start)


def test_a_secret_is_never_repeated() -> None:
    for wrong in ('password = ["hunter2"]', 'password = "hunter2"\npassword2 = "hunter2"'):
        assert "hunter2" not in "".join(faults(GOOD.replace('password = "correct horse"', wrong)))
    assert "correct horse" not in repr(load_unit(GOOD))


def test_lines_of_settings_in_every_way_to_write_them() -> None:
    text = 'a.b = 1\n[t] # c\nx = """\n[no]\ny = 1\n"""\nz = [\n  1,\n]\n[t.u]\nv = {w = 1}\n[[l]]\nm = 1\n'
    assert key_lines(text) == {
        ("a",): 1,
        ("a", "b"): 1,
        ("t",): 2,
        ("t", "x"): 3,
        ("t", "z"): 7,
        ("t", "u"): 10,
        ("t", "u", "v"): 11,
        ("t", "u", "v", "w"): 11,
        ("l",): 12,
        ("l", 0): 12,
        ("l", 0, "m"): 13,
    }


def test_what_is_in_force_is_the_same_configuration_again() -> None:
    config = load_unit(GOOD)
    text = show(config, GOOD)
    assert "correct horse" not in text
    assert f'password = "{MASK}"  # line 12' in text
    assert 'emergency_number = "112"  # default' in text
    assert "# cert_file =  # not set" in text
    assert load_unit(text.replace(MASK, "correct horse")) == config


words = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=40)


@given(place=words.filter(lambda text: 0 < len(text.strip()) <= 40))
def test_any_place_comes_back_from_what_is_shown(place: str) -> None:
    unit = load_unit(GOOD).unit.model_copy(update={"place": place.strip()})
    config = load_unit(GOOD).model_copy(update={"unit": unit})
    assert tomllib.loads(show(config, ""))["unit"]["place"] == place.strip()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.dates() | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{toml(key)} = {toml(each)}' for key, each in value.items())}}}"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(letter):08x}" for letter in value) + '"'
    return str(value)


names = st.sampled_from(
    [name for field in ("unit", "broker", "ui") for name in (field, "store", "host", "tiers", "usernme")]
)


@given(st.dictionaries(names, st.dictionaries(names, values, max_size=4) | values, max_size=4))
@example({"broker": {"\n": False}})
def test_any_tables_give_a_configuration_or_faults_in_one_line_each(tables: dict[str, object]) -> None:
    text = "\n".join(f"{name} = {toml(value)}" for name, value in tables.items())
    for fault in faults(text):
        assert "\n" not in fault


@given(st.text() | st.text("[]=\"'{}#.ab1\n \\,"))
def test_any_text_gives_a_configuration_or_faults_in_one_line_each(text: str) -> None:
    for fault in faults(text):
        assert "\n" not in fault


def test_a_configuration_is_frozen() -> None:
    config: UnitConfig = load_unit(GOOD)
    with pytest.raises(ValueError, match="frozen"):
        config.unit.store = "other"  # type: ignore[misc]

"""The numbers of the emergency services: each row against libphonenumber, and how a country fills what is not set."""

import re
from pathlib import Path

import phonenumbers
import pytest

from kiosk.config import load_unit
from kiosk.config_faults import ConfigFaults
from kiosk.config_show import show
from kiosk.numbers import NUMBERS

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
"""

EUROPEAN_UNION = set(re.findall("..", "ATBEBGHRCYCZDKEEFIFRDEGRHUIEITLVLTLUMTNLPLPTROSKSIESSE"))
ALSO_WANTED = set(re.findall("..", "GBUSCAAUNZINCNJPKRBRMXZAAESAEGMAILTRCHNOUASG"))


def unit_in(country: str, more: str = "") -> str:
    return GOOD.replace('place = "', f'country = "{country}"\n{more}place = "')


@pytest.mark.parametrize("country", NUMBERS)
def test_each_number_is_an_emergency_number_of_its_country(country: str) -> None:
    for number in NUMBERS[country]:
        assert phonenumbers.is_emergency_number(number, country), number


def test_the_countries_we_sell_to_are_there() -> None:
    assert len(EUROPEAN_UNION) == 27
    assert set(NUMBERS) >= EUROPEAN_UNION | ALSO_WANTED


def test_across_the_european_union_it_is_112() -> None:
    assert {NUMBERS[country].ambulance for country in EUROPEAN_UNION} == {"112"}


def test_a_country_fills_both_numbers() -> None:
    unit = load_unit(unit_in("JP")).unit
    assert (unit.emergency_number, unit.police_number) == ("119", "110")


def test_where_the_police_has_the_same_number_it_is_not_said_twice() -> None:
    unit = load_unit(unit_in("GB")).unit
    assert (unit.emergency_number, unit.police_number) == ("999", "")


def test_what_is_set_stands() -> None:
    unit = load_unit(unit_in("JP", 'emergency_number = "3333"\npolice_number = "4444"\n')).unit
    assert (unit.emergency_number, unit.police_number) == ("3333", "4444")
    assert load_unit(unit_in("JP", 'police_number = ""\n')).unit.police_number == ""
    assert load_unit(unit_in("GB", 'emergency_number = "112"\n')).unit.police_number == "999"


def test_without_a_country_it_is_112() -> None:
    unit = load_unit(GOOD).unit
    assert (unit.country, unit.emergency_number, unit.police_number) == ("", "112", "")


@pytest.mark.parametrize(
    ("country", "fault"),
    [
        ("gb", "line 5, [unit] country: 'gb' is not a country; write the two letters of ISO 3166, such as \"GB\""),
        (
            "PE",
            (
                "line 5, [unit] country: the numbers of PE are not known here; "
                "leave country out, and set emergency_number and police_number"
            ),
        ),
    ],
)
def test_a_country_that_is_not_known_is_a_fault_in_one_line(country: str, fault: str) -> None:
    with pytest.raises(ConfigFaults) as wrong:
        load_unit(unit_in(country))
    assert [str(one) for one in wrong.value.faults] == [fault]


def test_what_is_in_force_says_that_a_number_came_with_the_country() -> None:
    text = unit_in("JP")
    config = load_unit(text)
    shown = show(config, text)
    assert 'emergency_number = "119"  # from country' in shown
    assert 'police_number = "110"  # from country' in shown
    assert load_unit(shown.replace("********", "correct horse")) == config
    assert 'emergency_number = "112"  # default' in show(load_unit(GOOD), GOOD)


def test_the_document_lists_every_country_with_its_numbers() -> None:
    text = (Path(__file__).parent.parent / "docs" / "config.md").read_text()
    listed = re.findall(r"\b([A-Z]{2}) (\d+)(?:/(\d+))?(?= ·|\n)", text)
    assert {country: (one, other or one) for country, one, other in listed} == dict(NUMBERS)

"""store.toml: every fault at once, each at its line and entry, in words that say what to do."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.config_faults import ConfigFaults
from kiosk.config_file import check, read_store
from kiosk.config_show import show
from kiosk.pins import store_pin
from kiosk.store_config import StoreConfig, load_store, wrong_names
from tests.store_files import store_text, write_store

GOOD = store_text(Path("/etc/stayby"))


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigFaults) as caught:
        load_store(text)
    return [str(fault) for fault in caught.value.faults]


def fault(old: str, new: str) -> str:
    """Return the first fault that this change of the good text makes; nothing is said twice."""
    assert old in GOOD
    found = faults(GOOD.replace(old, new, 1))
    assert len(found) == len(set(found))
    return found[0]


def test_a_good_one_is_read_whole() -> None:
    store = load_store(GOOD)
    assert [one.name for one in store.staff] == ["Sam", "Alex", "محمد"]
    assert [one.id for one in store.unit] == ["desk-3", "returns"]
    assert store.rota[0].staff == ("sam", "mo")
    assert store.relay is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('id = "alex"', 'id = "sam"', "line 23, [[staff]] 2 id: 'sam' stands at [[staff]] 1 already; give each an id"),
        ('id = "returns"', 'id = "desk-3"', "[[unit]] 2 id: 'desk-3' stands at [[unit]] 1 already"),
        ('id = "returns"', 'id = "staff"', "[[unit]] 2 id: 'staff' is Stayby's own name on the broker; choose another"),
        ('id = "returns"', 'id = "relay"', "[[unit]] 2 id: 'relay' is Stayby's own name on the broker; choose another"),
        ('id = "alex"', 'id = "board"', "[[staff]] 2 id: 'board' is Stayby's own name on the broker; choose another"),
        ('["sam", "mo"]', '["samm"]', "[[rota]] 1 staff: 'samm' is not among [[staff]]; did you mean `sam`?"),
        ('["alex"]', '["eve"]', "[[rota]] 2 staff: 'eve' is not among [[staff]]; add them to [[staff]], or take them"),
        ('["alex"]', '["alex"]\ndesks = ["retuns"]', "[[rota]] 2 desks: 'retuns' is not among [[unit]]; did you mean"),
        ("tier = 2", "tier = 12", "[[rota]] 2 tier: is 12; it must be at most 9"),
        ("tier = 2", "teir = 2", "[[rota]] 2 teir: is not a known setting; did you mean `tier`?"),
        ('"08:00-18:00"', '"8-18"', "[[rota]] 1 hours: '8-18' is not a span of hours; write it as"),
        ("tier = 2", 'tier = 2\ndays = ["mon", "tues"]', "[[rota]] 2 days, entry 2: is 'tues'; write one of 'mon',"),
        ('role = "manager"', 'role = "boss"', "[[staff]] 2 role: is 'boss'; write one of 'staff' or 'manager'"),
        ('role = "manager"', 'pin = "1234"', "[[staff]] 2 pin: is not what `stayby store pin` prints; run it and put"),
        (
            'role = "manager"',
            "tier = 1",
            "[[staff]] 2 tier: is not a known setting; did you mean to write it below [[rota]]?",
        ),
        ('key_file = "/etc/stayby/staff-alex.key"\n', "", "[[staff]] 2: cert_file and key_file go together; set both"),
        ("[[unit]]", '[serve]\nkey_file = "k"\n[[unit]]', "[serve]: cert_file and key_file go together; set both or"),
        (
            "[[unit]]",
            '[home_assistant]\nprefix = "stayby/1"\n[[unit]]',
            "[home_assistant] prefix: 'stayby/1' would open",
        ),
        ("[[unit]]", '[home_assistant]\nprefix = "/home"\n[[unit]]', "[home_assistant] prefix: '/home' would open"),
        ("[[unit]]", '[home_assistant]\ndrill_by = "eve"\n[[unit]]', "[home_assistant] drill_by: 'eve' is not among"),
        ("[[unit]]", "[keep]\ncontact_days = 0\n[[unit]]", "[keep] contact_days: is 0; it must be at least 1"),
    ],
)
def test_each_fault_says_where_and_what_to_do(old: str, new: str, says: str) -> None:
    assert says in fault(old, new)


def test_a_list_of_tables_that_is_none() -> None:
    one_bracket = GOOD[: GOOD.index("[[unit]]")] + '[unit]\nid = "x"\n'
    assert faults(one_bracket) == ["line 36, [unit]: is a table; write [[unit]] with two brackets, once for each"]
    nobody = GOOD[: GOOD.index("[[staff]]")]
    assert faults(nobody) == ["[staff]: is missing; add [[staff]], once for each, with id, name"]


def test_all_faults_are_found_at_once() -> None:
    text = GOOD.replace("tier = 2", "tier = 0").replace('id = "alex"', 'id = "sam"').replace("zone", "zoen")
    assert [line.split(": ")[0].split(", ", 1)[1] for line in faults(text)] == [
        "[store] zoen",
        "[[staff]] 2 id",
        "[[rota]] 2 tier",
        "[[rota]] 2 staff",
    ]


def test_a_pin_is_never_repeated() -> None:
    kept = store_pin("2580")
    store = load_store(GOOD.replace('role = "manager"', f'pin = "{kept}"'))
    assert kept not in repr(store)
    assert kept not in show(store, GOOD)
    assert "secret-thing" not in fault('role = "manager"', 'pin = "secret-thing"')


def test_what_is_in_force_is_the_same_store_again() -> None:
    store = load_store(GOOD)
    text = show(store, GOOD)
    assert load_store(text) == store
    assert 'name = "Alex"  # line 24' in text
    assert "# [home_assistant]  # not set" in text


def test_what_is_made_without_a_file_is_held_to_the_same() -> None:
    given = load_store(GOOD).model_dump()
    given["rota"][0]["staff"] = ("nobody",)
    with pytest.raises(ValueError, match="is not among"):
        StoreConfig.model_validate(given)


nonsense = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "staff", "desks", "prefix", "drill_by", "cert_file"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["staff", "rota", "unit", "serve", "home_assistant"]), nonsense, max_size=5))
def test_nonsense_in_any_table_is_no_end_of_the_program(data: dict[str, object]) -> None:
    for wrong in wrong_names(data):
        assert wrong.says
        assert wrong.do


def test_a_file_without_a_leading_slash_lies_beside_the_store(tmp_path: Path) -> None:
    path = write_store(tmp_path / "etc")
    path.write_text(path.read_text().replace(f'"{tmp_path}/etc/', '"'))
    found = read_store(path)
    assert found.broker.ca_file == tmp_path / "etc" / "ca.pem"
    assert found.staff[0].key_file == tmp_path / "etc" / "staff-sam.key"
    assert found.store.state_dir == Path("/var/lib/stayby-board")
    assert check(path, datetime.now(UTC))[1] == found

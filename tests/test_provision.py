"""The code, the claim, and what a manager's commands make of a store's folder."""

import json
import shutil
import stat
import string
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.certificates import common_name
from kiosk.config import load_unit
from kiosk.config_file import read_store
from kiosk.provision import toml_lines
from kiosk.provision.authority import Authority
from kiosk.provision.claim import BadClaim, Sealed, check_dates, read
from kiosk.provision.code import BITS, CHECK_MODULUS, LETTERS, BadCode, code_of, number_of
from kiosk.provision.put import Part, put
from kiosk.provision.seal import new_code, open_with, seal
from kiosk.provision.store_folder import StoreFolder
from kiosk.store_config import load_store
from tests.provision_parts import make_store, run
from tests.store_files import store_text

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = Sealed(kiosk="kiosk", ca="ca", certificate="certificate", key="a very secret key")
numbers = st.integers(0, (1 << BITS) - 1).filter(lambda number: number % CHECK_MODULUS < len(LETTERS))


# --- the code ---------------------------------------------------------------------------------------------------------


@given(numbers, st.data())
def test_a_code_is_read_back_however_it_is_typed(number: int, data: st.DataObject) -> None:
    code = code_of(number)
    assert code
    typed = "".join(
        data.draw(st.sampled_from([letter, letter.lower(), *{"0": "Oo", "1": "IiLl", "-": " \t"}.get(letter, "")]))
        + data.draw(st.sampled_from(["", "", " ", "-"]))
        for letter in code
    )
    assert number_of(typed) == number
    assert not set(code) & set("ILOU")


@given(numbers, st.integers(0, 12), st.sampled_from(LETTERS))
def test_one_wrong_letter_is_always_found(number: int, place: int, letter: str) -> None:
    code = str(code_of(number)).replace("-", "")
    wrong = code[:place] + letter + code[place + 1 :]
    if wrong != code:
        with pytest.raises(BadCode, match="a letter of the code is wrong"):
            number_of(wrong)


@given(numbers, st.integers(0, 10))
def test_two_letters_that_changed_places_are_always_found(number: int, place: int) -> None:
    code = str(code_of(number)).replace("-", "")
    wrong = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    if wrong != code:
        with pytest.raises(BadCode):
            number_of(wrong)


@given(st.text() | st.text(LETTERS + string.punctuation, max_size=20))
def test_whatever_is_typed_is_a_code_or_one_line(typed: str) -> None:
    said = ""
    try:
        assert 0 <= number_of(typed) < 1 << BITS
    except BadCode as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "no code was typed"),
        ("T03E-EGRA-DAY2", "12 letters were typed, a code has 13"),
        ("T03E-EGRA-DAY2X", "a letter of the code is wrong"),
        ("T03E-EGRA-DAU2Z", "one letter of what was typed cannot stand in a code"),
        ("T03E/EGRA/DAY2Z", "2 letters of what was typed cannot stand in a code"),
    ],
)
def test_a_wrong_code_is_told_and_not_repeated(typed: str, says: str) -> None:
    with pytest.raises(BadCode) as caught:
        number_of(typed)
    assert says in str(caught.value)
    assert not typed or typed not in str(caught.value)


def test_new_codes_differ_and_fit() -> None:
    codes = {new_code() for _ in range(200)}
    assert len(codes) == 200
    assert all(number_of(code) >= 0 and len(code) == 15 for code in codes)


# --- the claim --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sealed() -> tuple[bytes, str]:
    code = new_code()
    return seal("harbour", "desk-3", SECRET, code, NOW), code


def test_a_claim_opens_by_its_code_and_by_no_other(sealed: tuple[bytes, str]) -> None:
    data, code = sealed
    found = read(data)
    assert (found.store, found.unit, found.made) == ("harbour", "desk-3", NOW)
    assert open_with(found, code.lower().replace("-", " ")) == SECRET
    with pytest.raises(BadClaim, match="does not open the claim of 'desk-3'"):
        open_with(found, new_code())
    assert b"secret" not in data
    assert "secret" not in f"{SECRET} {SECRET!r}"


@pytest.mark.parametrize(("key", "value"), [("unit", "returns"), ("ends", "2036-11-22T12:00:00Z"), ("store", "quay")])
def test_no_word_of_a_claim_can_be_changed(sealed: tuple[bytes, str], key: str, value: str) -> None:
    data, code = sealed
    with pytest.raises(BadClaim, match="does not open"):
        open_with(read(json.dumps({**json.loads(data), key: value}).encode()), code)


def lines_of(data: bytes) -> str:
    with pytest.raises(BadClaim) as caught:
        read(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(st.binary(max_size=2000))
def test_junk_is_one_line(data: bytes) -> None:
    lines_of(data)


@given(cut=st.integers(0, 3000), put=st.binary(max_size=3))
@settings(max_examples=200)
def test_a_damaged_claim_is_a_claim_or_one_line(sealed: tuple[bytes, str], cut: int, put: bytes) -> None:
    data = sealed[0]
    cut %= len(data)
    lines: list[str] = []
    for damaged in (data[:cut], data[:cut] + put + data[cut + len(put) :]):
        try:
            read(damaged)  # a change in the box is found when it is opened
        except BadClaim as error:
            lines.append(str(error))
    assert not any("\n" in line for line in lines)


def test_what_is_no_claim_is_named(sealed: tuple[bytes, str]) -> None:
    assert "captive portal" in lines_of(b"\n <!DOCTYPE html><html><body>Welcome to FreeWifi")
    assert "too long" in lines_of(b"{" * 70_000)
    assert "another version" in lines_of(json.dumps({**json.loads(sealed[0]), "stayby_claim": 2}).encode())
    assert "damaged" in lines_of(json.dumps({**json.loads(sealed[0]), "made": "0001-01-01T00:00:00Z"}).encode())
    assert "damaged" in lines_of(b"[" * 60_000)


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (datetime(1970, 1, 1, 0, 5, tzinfo=UTC), "made on 2026-11-22, and here it is 1970-01-01 00:05Z: this clock is"),
        (datetime(2040, 1, 1, tzinfo=UTC), "ended on 2026-12-06, and here it is 2040-01-01 00:00Z; ask the store's"),
        (NOW - timedelta(hours=20), ""),
        (NOW + timedelta(days=13), ""),
    ],
)
def test_a_wrong_clock_and_an_old_claim_are_one_line(sealed: tuple[bytes, str], now: datetime, says: str) -> None:
    if not says:
        check_dates(read(sealed[0]), now)
        return
    with pytest.raises(BadClaim) as caught:
        check_dates(read(sealed[0]), now)
    assert says in str(caught.value)
    assert "timedatectl set-time" in str(caught.value)


# --- lines of TOML ----------------------------------------------------------------------------------------------------

names = st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=1, max_size=20)


@given(names, names)
def test_what_is_added_and_taken_out_leaves_the_rest_as_it_was(place: str, other: str) -> None:
    before = store_text(Path("/etc/stayby"), extra="\n# who keeps it\n[keep]\nincident_days = 9  # a week\n")
    once = toml_lines.with_entry(before, "unit", {"id": "new", "place": f"x{place}"})
    after = toml_lines.with_value(once, ("keep",), "contact_days", 3)
    found = load_store(after)
    assert [one.id for one in found.unit] == ["desk-3", "returns", "new"]
    assert (found.keep.incident_days, found.keep.contact_days) == (9, 3)
    assert toml_lines.without_entry(once, "unit", 2).rstrip() == before.rstrip()
    assert [one.id for one in load_store(toml_lines.without_entry(after, "unit", 0)).unit] == ["returns", "new"]
    assert load_store(toml_lines.with_value(after, ("store",), "contact", f"x{other}")).store.contact == f"x{other}"


# --- a store's folder -------------------------------------------------------------------------------------------------


def test_a_new_store_is_good_and_private(tmp_path: Path) -> None:
    made = make_store(tmp_path / "harbour")
    code, said = run("store", "check", "--config", made.folder / "board" / "store.toml")
    assert (code, said.splitlines()[0]) == (0, f"{made.folder}/board/store.toml: OK")
    assert "made out to" not in said
    keys = list(made.folder.rglob("*.key"))
    assert len(keys) == 5
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert {stat.S_IMODE(one.stat().st_mode) for one in made.folder.iterdir() if one.is_dir()} == {0o700}
    again, said = run(
        "store",
        "new",
        made.folder,
        *["--id", "x", "--name", "x", "--broker", "x", "--board", "x", "--zone", "UTC", "--country", "GB"],
        *["--address", "x", "--manager", "x", "--manager-name", "x"],
    )
    assert (again, said) == (1, f"{made.folder} is there already, and not empty; name a new folder\n")


def test_the_certificates_are_what_iphones_and_strict_programs_take(tmp_path: Path) -> None:
    """Apple wants serverAuth, a DNS name and 825 days at most (support.apple.com/103769); Python 3.13 checks strictly."""
    made = make_store(tmp_path / "harbour")
    in_825_days = str(int(time.time()) + 825 * 86400)
    for name, purpose, more in (
        ("board/page.pem", "sslserver", ("-verify_ip", "127.0.0.1")),
        ("broker/broker.pem", "sslserver", ("-verify_hostname", "localhost")),
        ("board/board.pem", "sslclient", ()),
        ("board/staff-alex.pem", "sslclient", ()),
    ):
        verify = ["openssl", "verify", "-x509_strict", "-CAfile", "authority/ca.pem", "-purpose", purpose, *more]
        done = subprocess.run([*verify, name], cwd=made.folder, check=True, capture_output=True)
        assert done.stdout == f"{name}: OK\n".encode()
        later = subprocess.run(
            [*verify, "-attime", in_825_days, name], cwd=made.folder, check=False, capture_output=True
        )
        assert b"expired" in later.stderr
        other = {"sslserver": "sslclient", "sslclient": "sslserver"}[purpose]
        wrong = ["openssl", "verify", "-CAfile", "authority/ca.pem", "-purpose", other, name]
        assert subprocess.run(wrong, cwd=made.folder, check=False, capture_output=True).returncode != 0


def test_a_wrong_answer_is_asked_again(tmp_path: Path) -> None:
    answers = [
        "Harbour Stores",
        "harbour",
        "Harbour Stores",
        "http://b",
        "broker.harbour.example",
        "board.harbour.example",
    ]
    answers += ["Leeds", "Europe/London", "Harbour Street 1", "Al ex", "alex", "Alex", "XX", "gb"]
    code, said = run("store", "new", tmp_path / "s", typed="\n".join(answers) + "\n")
    assert code == 0, said
    for says in ("'Harbour Stores' is not an id", "is no host name", "'Leeds' is no time zone", "'Al ex' is not an id"):
        assert says in said
    assert "the numbers of 'XX' are not known here" in said
    store = read_store(tmp_path / "s" / "board" / "store.toml")
    assert (store.store.id, store.staff[0].name) == ("harbour", "Alex")
    assert 'country = "GB"' in (tmp_path / "s" / "unit.toml").read_text()


def test_wrong_options_make_nothing(tmp_path: Path) -> None:
    facts = ["--id", "harbour", "--name", "H" * 99, "--broker", "b", "--board", "b", "--zone", "UTC", "--country", ""]
    facts += ["--address", "x", "--manager", "alex", "--manager-name", "Alex"]
    code, said = run("store", "new", tmp_path / "s", *facts)
    assert code == 1
    assert "name" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "s").exists()
    facts[3] = "Harbour"
    code, said = run("store", "new", tmp_path / "s", *facts)
    assert code == 0
    assert "without a country its units show 112" in said
    assert run("store", "add-unit", "desk-3", "--place", "Desk", "--in", tmp_path / "s")[0] == 0


def test_a_manager_s_comments_stay(tmp_path: Path) -> None:
    made = make_store(tmp_path / "harbour")
    path = made.folder / "board" / "store.toml"
    path.write_text(
        path.read_text() + '\n# the opening hours of the desk\n[[rota]]\ntier = 1  # first\nstaff = ["alex"]\n'
    )
    before = path.read_text()
    made.add_unit("desk-3")
    made.add_unit("returns", "Returns")
    assert run("store", "add-staff", "sam", "--name", "Sam", "--in", made.folder)[0] == 0
    assert path.read_text().startswith(before)
    assert {one.id: one.role for one in made.store().staff} == {"alex": "manager", "sam": "staff"}
    assert run("store", "check", "--config", path)[0] == 0
    acl = (made.folder / "broker" / "acl").read_text()
    assert all(f"user {user}\n" in acl for user in ("unit-desk-3", "unit-returns", "staff-sam", "staff-alex"))


def test_the_claim_of_a_unit_holds_what_it_needs(tmp_path: Path) -> None:
    made = make_store(tmp_path / "harbour")
    code = made.add_unit(
        "desk-3", "Service desk 3", "--meet", "the east door", "--address", "Harbour Street 1, floor 2"
    )
    found = open_with(read(made.claim("desk-3").read_bytes()), code)
    unit = load_unit(found.kiosk)
    assert (unit.unit.id, unit.unit.place, unit.unit.meet) == ("desk-3", "Service desk 3", "the east door")
    assert unit.unit.address == "Harbour Street 1, floor 2"
    assert unit.unit.board == f"https://127.0.0.1:{made.board_port}"
    assert common_name(found.certificate) == "unit-desk-3"
    kept = b"".join(one.read_bytes() for one in made.folder.rglob("*") if one.is_file())
    assert found.key.encode() not in kept, "the unit's key is nowhere but in its claim"
    paper = (made.folder / "papers" / "desk-3.html").read_text()
    assert code in paper
    assert "<svg" in paper
    assert stat.S_IMODE((made.folder / "papers" / "desk-3.html").stat().st_mode) == 0o600


def test_a_unit_is_added_once_and_claimed_again_on_purpose(tmp_path: Path) -> None:
    made = make_store(tmp_path / "harbour")
    first = made.add_unit("desk-3")
    code, said = run("store", "add-unit", "desk-3", "--place", "Desk", "--in", made.folder)
    assert code == 1
    assert "desk-3 is in store.toml already; choose another id, or say --again" in said
    assert run("store", "add-unit", "returns", "--again", "--in", made.folder)[0] == 1
    second = made.add_unit("desk-3", "ignored", "--again")
    assert first != second
    entries = [one for one in Authority(made.folder / "authority").register.entries if one.user == "unit-desk-3"]
    assert [one.revoked is None for one in entries] == [False, True]
    crl = x509.load_pem_x509_crl((made.folder / "broker" / "crl.pem").read_bytes())
    assert [f"{one.serial_number:x}" for one in crl] == [entries[0].serial]
    assert crl.next_update_utc
    assert crl.next_update_utc > datetime.now(UTC) + timedelta(days=19 * 365), (
        "a list that ended would shut out everybody"
    )


def test_revoking_takes_the_rota_s_lines_along_and_never_widens_one(tmp_path: Path) -> None:
    made = make_store(tmp_path / "harbour")
    made.add_unit("desk-3")
    made.add_unit("returns", "Returns")
    path = made.folder / "board" / "store.toml"
    rota = (
        '[[rota]]\ntier = 1\nstaff = ["alex"]\ndesks = ["desk-3"]\n\n'
        '[[rota]]\ntier = 2\nstaff = ["alex"]\ndesks = [\n  "desk-3", "returns"]\n'
    )
    path.write_text(f"{path.read_text()}\n{rota}")
    code, said = run("store", "revoke", "desk-3", "--in", made.folder)
    assert code == 0
    assert "1 line(s) of the rota were for nothing else" in said
    store = made.store()
    assert [(one.tier, one.desks) for one in store.rota] == [(2, ("returns",))]
    assert [one.id for one in store.unit] == ["returns"]
    assert not made.claim("desk-3").exists()
    assert "unit-desk-3" not in (made.folder / "broker" / "acl").read_text()
    code, said = run("store", "revoke", "desk-3", "--in", made.folder)
    assert (code, said) == (1, "there is neither a unit nor staff 'desk-3'; see them in store.toml\n")


def test_a_store_keeps_somebody_who_can_come(tmp_path: Path) -> None:
    made = make_store(tmp_path / "harbour")
    before = (made.folder / "board" / "store.toml").read_text()
    code, said = run("store", "revoke", "alex", "--in", made.folder)
    assert code == 1
    assert "staff" in said
    assert said.count("\n") == 1
    assert (made.folder / "board" / "store.toml").read_text() == before


def test_what_ends_soon_is_signed_again_for_the_same_key(tmp_path: Path) -> None:
    made = make_store(tmp_path / "harbour")
    code = made.add_unit("desk-3")
    assert run("store", "renew", "--in", made.folder) == (0, "nothing ends within 90 days\n")
    first = open_with(read(made.claim("desk-3").read_bytes()), code).certificate
    later = datetime.now(UTC) + timedelta(days=780)
    done = StoreFolder(made.folder).renew(later)
    assert {one.user for one in done} == {"broker", "page", "board-harbour", "staff-alex", "unit-desk-3"}
    assert not made.claim("desk-3").exists(), "a claim that has ended lies nowhere"
    renewed = (made.folder / "board" / "claims" / "desk-3.pem").read_bytes()
    old, new = x509.load_pem_x509_certificate(first.encode()), x509.load_pem_x509_certificate(renewed)
    assert old.public_key() == new.public_key()
    assert old.subject == new.subject
    assert new.not_valid_after_utc > later + timedelta(days=800)
    broker = x509.load_pem_x509_certificate((made.folder / "broker" / "broker.pem").read_bytes())
    assert broker.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName
    ) == ["localhost"]
    assert StoreFolder(made.folder).renew(later) == []


def test_a_damaged_authority_is_one_line(tmp_path: Path) -> None:
    made = make_store(tmp_path / "harbour")
    authority = made.folder / "authority"
    code, said = run("store", "renew", "--in", tmp_path)
    assert code == 1
    assert "name the folder that `stayby store new` made" in said
    (authority / "ca.key").chmod(0o644)
    assert "others can read" in run("store", "renew", "--in", made.folder)[1]
    (authority / "ca.key").chmod(0o600)
    (authority / "register.json").write_text("{")
    assert "register.json is damaged; put back its copy" in run("store", "renew", "--in", made.folder)[1]
    (authority / "ca.key").write_text("junk")
    assert "ca.key is no key that can be used" in run("store", "renew", "--in", made.folder)[1]


def test_the_relay_and_home_assistant_have_certificates_of_their_own(tmp_path: Path) -> None:
    made = make_store(tmp_path / "harbour")
    assert run("store", "add-relay", "--in", made.folder)[0] == 0
    assert made.store().home_assistant is None
    for _ in range(2):
        assert run("store", "add-relay", "--home-assistant", "--in", made.folder)[0] == 0
    store = made.store()
    assert store.relay
    assert store.relay.cert_file == made.folder / "board" / "relay.pem"
    assert "user home-assistant-harbour\n" in (made.folder / "broker" / "acl").read_text()
    assert common_name((made.folder / "home-assistant" / "home-assistant.pem").read_text()) == "home-assistant-harbour"
    assert run("store", "check", "--config", made.folder / "board" / "store.toml")[0] == 0
    done = {one.user for one in StoreFolder(made.folder).renew(datetime.now(UTC) + timedelta(days=780))}
    assert {"relay-harbour", "home-assistant-harbour"} <= done


def test_the_store_s_files_may_be_copied_as_they_are(tmp_path: Path) -> None:
    made = make_store(tmp_path / "harbour")
    (made.folder / "board").rename(tmp_path / "etc")
    found = read_store(tmp_path / "etc" / "store.toml")
    assert found.store.claims_dir == tmp_path / "etc" / "claims"
    assert run("store", "check", "--config", tmp_path / "etc" / "store.toml")[0] == 0


def test_a_part_is_put_where_its_service_reads_it(tmp_path: Path) -> None:
    made, etc, stick = make_store(tmp_path / "harbour"), tmp_path / "etc", tmp_path / "stick"
    for unit in ("desk-3", "returns"):
        made.add_unit(unit, unit)
    shutil.copytree(made.folder / "board", stick / "board")
    for file in (stick / "board").glob("*.*"):
        file.chmod(0o755)  # as on a stick
    assert run("store", "put", "board", "--in", stick, "--to", etc) == (0, f"{etc}: 10 files are in place\n")
    assert run("store", "check", "--config", etc / "store.toml")[0] == 0
    assert {one.name for one in (etc / "claims").iterdir()} == {"desk-3.claim", "returns.claim"}
    assert {stat.S_IMODE(one.stat().st_mode) for one in etc.rglob("*") if one.is_file()} == {0o640}
    assert run("store", "revoke", "desk-3", "--in", made.folder)[0] == 0
    assert run("store", "put", "board", "--in", made.folder, "--to", etc)[0] == 0
    assert {one.name for one in (etc / "claims").iterdir()} == {"returns.claim"}
    there = tmp_path / "mosquitto"
    assert put(made.folder / "broker", Part.BROKER, there) == (6, True), "its listener is new"
    made.add_unit("till", "Till")
    assert put(made.folder / "broker", Part.BROKER, there) == (6, False), (
        "mosquitto reads rules and revocations again by itself"
    )
    assert {stat.S_IMODE(one.stat().st_mode) for one in there.iterdir()} == {0o600}


def test_what_is_no_part_or_not_right_is_put_nowhere(tmp_path: Path) -> None:
    made, etc = make_store(tmp_path / "harbour"), tmp_path / "etc"
    code, said = run("store", "put", "board", "--in", tmp_path, "--to", etc)
    assert (code, said.count("\n")) == (1, 1)
    assert "is no board/ of a store; name the folder that `stayby store new` made" in said
    path = made.folder / "board" / "store.toml"
    path.write_text(path.read_text().replace("[serve]", "[server]"))
    code, said = run("store", "put", "board", "--in", made.folder, "--to", etc)
    assert code == 1
    assert "did you mean" in said
    assert not etc.exists()
    assert run("store", "put", "desk", "--in", made.folder, "--to", etc)[0] == 2

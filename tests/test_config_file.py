"""Configuration files: the files that they name, certificates among them, and the last good one after a broken one."""

import json
import os
import ssl
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from kiosk.certificates import BadCertificate, common_name, validities, validity
from kiosk.config_faults import ConfigFaults
from kiosk.config_file import LAST_GOOD, check, load_or_last_good
from kiosk.guidance import review

NOW = datetime.now(UTC)
STAYBY = Path(sys.executable).parent / "stayby"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Write a good kiosk.toml with real certificates; return its path."""
    return write_unit(tmp_path, trustme.CA())


def write_unit(folder: Path, ca: trustme.CA, ends: datetime | None = None) -> Path:
    ca.cert_pem.write_to_path(folder / "ca.pem")
    own = ca.issue_cert("unit-desk-3", not_after=ends)
    own.cert_chain_pems[0].write_to_path(folder / "own.pem")
    own.private_key_pem.write_to_path(folder / "own.key")
    (folder / "own.key").chmod(0o600)
    path = folder / "kiosk.toml"
    path.write_text(
        f"""[unit]
store = "harbour"
id = "desk-3"
place = "Service desk 3"
address = "Harbour Street 1"
state_dir = "{folder}/state"

[broker]
host = "broker.example"
ca_file = "{folder}/ca.pem"
cert_file = "{folder}/own.pem"
key_file = "{folder}/own.key"
"""
    )
    return path


def faults(path: Path) -> list[str]:
    with pytest.raises(ConfigFaults) as wrong:
        check(path, NOW)
    return [str(fault).replace(f"{path.parent}/", "") for fault in wrong.value.faults]


def test_a_good_unit_and_a_good_board(unit: Path) -> None:
    assert check(unit, NOW)[1].broker.host == "broker.example"
    board = unit.with_name("board.toml")
    text = unit.read_text()
    board.write_text('[responder]\nstore = "harbour"\nid = "sam"\nname = "Sam"\n' + text[text.index("[broker]") :])
    assert check(board, NOW)[1].broker.host == "broker.example"


def test_files_that_are_not_there(unit: Path) -> None:
    for name in ("ca.pem", "own.pem", "own.key"):
        (unit.parent / name).unlink()
    assert [fault.split(";")[0] for fault in faults(unit)] == [
        "line 10, [broker] ca_file: ca.pem cannot be read (No such file or directory)",
        "line 11, [broker] cert_file: own.pem cannot be read (No such file or directory)",
        "line 12, [broker] key_file: own.key cannot be read (No such file or directory)",
    ]


def test_faults_of_the_text_and_of_the_files_come_together(unit: Path) -> None:
    (unit.parent / "ca.pem").unlink()
    unit.write_text(unit.read_text().replace("id =", "idd ="))
    assert [fault.split(":")[0] for fault in faults(unit)] == ["line 3, [unit] idd", "line 10, [broker] ca_file"]


def test_files_that_hold_something_else(unit: Path) -> None:
    folder = unit.parent
    (folder / "ca.pem").write_text("hello")
    (folder / "own.key").write_text("hello")
    says = [fault.split(";")[0] for fault in faults(unit)]
    assert says[0] == "line 10, [broker] ca_file: ca.pem holds no certificate in PEM form"
    assert says[1] == "line 11, [broker] cert_file: own.pem and own.key do not load"


def test_a_leaf_certificate_is_no_authority(unit: Path) -> None:
    (unit.parent / "ca.pem").write_bytes((unit.parent / "own.pem").read_bytes())
    assert faults(unit) == [
        "line 10, [broker] ca_file: ca.pem holds no certificate authority; name the CA's certificate, not the broker's"
    ]


def test_a_key_of_another_certificate(unit: Path) -> None:
    trustme.CA().issue_cert("other").private_key_pem.write_to_path(unit.parent / "own.key")
    (fault,) = faults(unit)
    assert (
        fault == "line 12, [broker] key_file: own.key is not the key of own.pem; name the two that were made together"
    )


def test_a_certificate_that_expired(tmp_path: Path) -> None:
    unit = write_unit(tmp_path, trustme.CA(), ends=datetime(2020, 2, 29, 12, 30, tzinfo=UTC))
    (fault,) = faults(unit)
    assert fault == (
        "line 11, [broker] cert_file: own.pem expired on 2020-02-29 12:30Z; have it renewed and put the new one there"
    )


def test_a_clock_that_is_wrong(unit: Path) -> None:
    with pytest.raises(ConfigFaults, match=r"valid only from .* check this machine's clock"):
        check(unit, datetime(1970, 1, 2, tzinfo=UTC))


def test_a_key_that_everybody_can_read(unit: Path) -> None:
    (unit.parent / "own.key").chmod(0o644)
    assert faults(unit) == [
        "line 12, [broker] key_file: everybody on this machine can read own.key; run: chmod o= own.key"
    ]


def test_a_password_that_everybody_can_read(unit: Path) -> None:
    unit.write_text(unit.read_text() + 'username = "unit-desk-3"\npassword = "pw"\n')
    unit.chmod(0o644)
    assert faults(unit)[0].startswith("line 14, [broker] password: everybody on this machine can read kiosk.toml")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe[unit]", "line 1, the file: is not UTF-8 text"),
        (b"a = 1\n" * 20_000, "the file: is longer than 64 KiB"),
        (None, "the file: cannot be read (No such file or directory)"),
    ],
)
def test_a_file_that_is_no_text(unit: Path, content: bytes | None, says: str) -> None:
    unit.unlink()
    if content is not None:
        unit.write_bytes(content)
    assert faults(unit)[0].startswith(says)


def test_a_covert_phrase_that_the_model_does_not_have(unit: Path) -> None:
    unit.write_text(unit.read_text() + '[listen]\ncovert_phrase = "angela"\n')
    check(unit, NOW)
    unit.write_text(unit.read_text().replace('"angela"', '"Is Angela here?"'))
    (fault,) = faults(unit)
    expected = (
        "line 14, [listen] covert_phrase: 'Is Angela here?' is not a covert phrase of this model; choose one of: "
    )
    assert fault.startswith(expected + "angela")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "model holds no manifest.json that can be read; name the folder of a model, or leave the setting out"),
        ("{", "model: manifest.json: the file: Invalid JSON"),
    ],
)
def test_a_model_that_is_none(unit: Path, tmp_path: Path, text: str | None, says: str) -> None:
    (tmp_path / "model").mkdir()
    if text is not None:
        (tmp_path / "model" / "manifest.json").write_text(text)
    unit.write_text(unit.read_text() + f'[listen]\nmodel_dir = "{tmp_path}/model"\n')
    (fault,) = faults(unit)
    assert fault.startswith(f"line 14, [listen] model_dir: {says}")


# --- the last good one ------------------------------------------------------------------------------------------------


def test_a_broken_file_leaves_the_last_good_one_in_force(unit: Path) -> None:
    state = unit.parent / "state"
    good = load_or_last_good(unit)
    assert good.faults == ()
    assert stat.S_IMODE((state / LAST_GOOD).stat().st_mode) & 0o137 == 0
    unit.write_text(unit.read_text().replace("store =", "stoer ="))
    loaded = load_or_last_good(unit, state)
    assert loaded.config == good.config
    assert loaded.path == state / LAST_GOOD
    (fault,) = loaded.faults
    assert fault.where == f"{unit} line 2"
    assert fault.says == "[unit] stoer is not a known setting"
    assert fault.do == "did you mean `store`? (until then the last good one is in force)"
    unit.unlink()
    assert load_or_last_good(unit, state).config == good.config


def test_a_corrected_file_is_in_force_again(unit: Path) -> None:
    load_or_last_good(unit)
    unit.write_text(unit.read_text().replace("Service desk 3", "Service desk 4"))
    assert load_or_last_good(unit).config.unit.place == "Service desk 4"
    assert "Service desk 4" in (unit.parent / "state" / LAST_GOOD).read_text()


def test_a_broken_file_without_a_good_one_is_said(unit: Path) -> None:
    unit.write_text("")
    with pytest.raises(ConfigFaults, match="add this table"):
        load_or_last_good(unit, unit.parent / "state")


def test_a_damaged_copy_is_replaced(unit: Path) -> None:
    state = unit.parent / "state"
    state.mkdir()
    (state / LAST_GOOD).write_bytes(b"\xff\x00")
    assert load_or_last_good(unit).faults == ()
    assert (state / LAST_GOOD).read_bytes() == unit.read_bytes()


def test_a_copy_that_cannot_be_kept_is_a_fault_and_stops_nothing(unit: Path) -> None:
    (unit.parent / "state").write_text("a file where the folder should be")
    loaded = load_or_last_good(unit)
    assert loaded.config.unit.id == "desk-3"
    assert "cannot be kept" in loaded.faults[0].says


def test_a_leaf_keeps_nothing(unit: Path) -> None:
    load_or_last_good(unit, keep=False)
    assert not (unit.parent / "state").exists()


# --- certificates -----------------------------------------------------------------------------------------------------


def test_the_name_of_a_certificate_is_the_one_it_was_made_out_to() -> None:
    authority = trustme.CA()
    for name in ("staff-sam", "محمد"):
        signed = authority.issue_cert("127.0.0.1", common_name=name)
        assert common_name(signed.cert_chain_pems[0].bytes().decode()) == name
    assert common_name(authority.issue_cert("127.0.0.1").cert_chain_pems[0].bytes().decode()) is None


@given(st.binary(max_size=80))
def test_nonsense_has_no_name(der: bytes) -> None:
    with pytest.raises(BadCertificate):
        common_name(ssl.DER_cert_to_PEM_cert(der))


def test_the_validity_of_a_certificate_is_the_one_it_was_made_with() -> None:
    ends = datetime(2061, 3, 4, 5, 6, 7, tzinfo=UTC)
    pem = b"".join(each.bytes() for each in trustme.CA().issue_cert("a", not_after=ends).cert_chain_pems).decode()
    (valid,) = validities(pem)
    assert valid.ends == ends
    assert valid.begins < NOW + timedelta(days=1)


@given(st.binary())
def test_any_bytes_are_a_certificate_or_are_refused(der: bytes) -> None:
    with pytest.raises(BadCertificate):
        validity(der)


@given(st.text())
def test_any_pem_is_a_certificate_or_is_refused(text: str) -> None:
    with pytest.raises(BadCertificate):
        list(validities(f"-----BEGIN CERTIFICATE-----{text}-----END CERTIFICATE-----"))


# --- the command ------------------------------------------------------------------------------------------------------


def stayby(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([STAYBY, *arguments], capture_output=True, text=True, check=False)


def test_check_says_ok_or_every_fault(unit: Path) -> None:
    done = stayby("check", unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{unit}: OK\n{review('')}\n", "")
    unit.write_text(unit.read_text().replace("id =", "idd =").replace("host =", "hots ="))
    done = stayby("check", unit)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{unit}: line 3, [unit] idd: is not a known setting; did you mean `id`?",
        f"{unit}: line 9, [broker] hots: is not a known setting; did you mean `host`?",
        f"{unit}: 2 faults",
    ]


def test_check_shows_what_is_in_force(unit: Path) -> None:
    done = stayby("check", "--show", unit)
    assert done.returncode == 0
    assert "check_s = 12.0  # default" in done.stdout
    assert 'place = "Service desk 3"  # line 4' in done.stdout


def test_a_command_that_is_nearly_right() -> None:
    done = stayby("chekc")
    assert done.returncode == 2
    assert "Did you mean 'check'?" in done.stderr


def test_a_unit_that_starts_with_a_broken_file_keeps_its_duty_and_says_so(unit: Path) -> None:
    good = unit.read_text().replace("[broker]", f'run_dir = "{unit.parent}"\n[broker]\nport = 1', 1)
    unit.write_text(good)
    state = unit.parent / "state"
    load_or_last_good(unit)
    unit.write_text(good.replace("[broker]", "[broekr]"))
    environment = {**os.environ, "STAYBY_STATE_DIR": str(state)}
    with subprocess.Popen([STAYBY, "alertd", "--config", unit], env=environment, stderr=subprocess.PIPE) as hub:
        try:
            shown = status_of(unit, environment)
        finally:
            hub.terminate()
            hub.communicate()
    (fault,) = [fault for fault in shown["status"]["faults"] if fault["code"].startswith("config")]
    assert fault["where"] == f"{unit} line 9"
    assert fault["says"] == "[broekr] is not a known table"
    assert fault["do"] == "did you mean `broker`? (until then the last good one is in force)"


def status_of(unit: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Ask the hub until it answers; it may still be starting."""
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        asked = subprocess.run(
            [STAYBY, "status", "--json", "--config", unit], env=environment, capture_output=True, text=True, check=False
        )
        if asked.stdout:
            shown: dict[str, Any] = json.loads(asked.stdout)
            return shown
    pytest.fail(f"the hub did not answer: {asked.stderr}")

"""`stayby store`, and `stayby check` of a store.toml: what a manager reads of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from typer.testing import CliRunner

from kiosk.cli import app as stayby
from kiosk.pins import pin_fits
from kiosk.store_cli import app
from tests.store_files import write_store

GAPS = ["Every day 18:00–08:00: nobody is asked first at any desk"]


def run(*arguments: object, typed: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(each) for each in arguments], input=typed)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_store(tmp_path / "etc")


# --- check ------------------------------------------------------------------------------------------------------------


def test_a_good_store_is_ok_and_its_gaps_are_notes(store: Path) -> None:
    expected = [f"{store}: OK", *(f"note: {gap}" for gap in GAPS)]
    code, said = run("check", "--config", store)
    assert (code, said.splitlines()) == (0, expected)
    same = CliRunner().invoke(stayby, ["check", str(store)])
    assert (same.exit_code, same.output.splitlines()) == (0, expected)


def test_a_certificate_made_out_to_another_name_is_a_note(store: Path) -> None:
    etc = store.parent
    text = store.read_text().replace(f"{etc}/staff-mo.", f"{etc}/staff-sam.")
    store.write_text(text)
    code, said = run("check", "--config", store)
    assert code == 0
    assert (
        f"note: {etc}/staff-sam.pem is made out to 'staff-sam'; the rules of `stayby store broker` know 'staff-mo'"
        in said
    )


def test_what_is_in_force_masks_every_secret(tmp_path: Path) -> None:
    hook = '\n[[webhook]]\nurl = "https://hook.example/x"\nsecret = "0123456789abcdef"\n'
    code, said = run("check", "--show", "--config", write_store(tmp_path, extra=hook))
    assert code == 0
    assert "0123456789abcdef" not in said
    assert 'secret = "********"' in said


def test_faults_of_the_text_and_of_the_files_come_at_once(tmp_path: Path) -> None:
    program = tmp_path / "told.sh"
    program.write_text("#!/bin/sh\n")
    folder = tmp_path / "etc"
    changes = {
        'zone = "Europe/London"': 'zone = "Europe/Leeds"',
        "tier = 2": "tier = 0",
        f'cert_file = "{folder}/staff-mo.pem"': f'cert_file = "{folder}/staff-sam.pem"',
        f'key_file = "{folder}/staff-alex.key"': f'key_file = "{folder}/nowhere.key"',
    }
    store = write_store(folder, changes, extra=f'\n[[command]]\nprogram = "{program}"\n')
    (folder / "staff-sam.key").chmod(0o644)
    old = trustme.CA().issue_cert("127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1))
    old.cert_chain_pems[0].write_to_path(folder / "board-harbour.pem")
    old.private_key_pem.write_to_path(folder / "board-harbour.key")
    (folder / "board-harbour.key").chmod(0o600)
    code, said = run("check", "--config", store)
    assert code == 1
    for says in (
        "[store] zone: 'Europe/Leeds' is no time zone; write it like \"Europe/London\", or leave it out",
        f"[broker] cert_file: {folder}/board-harbour.pem expired on",
        f"[[staff]] 1 key_file: everybody on this machine can read {folder}/staff-sam.key; run: chmod o=",
        f"[[staff]] 2 key_file: {folder}/nowhere.key cannot be read (No such file or directory); put the file there",
        f"[[staff]] 3 key_file: {folder}/staff-mo.key is not the key of {folder}/staff-sam.pem; name the two",
        "[[rota]] 2 tier: is 0; it must be at least 1",
        f"[[command]] 1 program: {program} is no program that can be run; put it there, and run: chmod +x",
        "7 faults",
    ):
        assert says in said
    assert said.count("\n") == 8


def test_a_file_that_everybody_can_read_with_a_secret_in_it(store: Path) -> None:
    text = store.read_text()
    store.write_text(text + '\n[[webhook]]\nurl = "https://hook.example/x"\nsecret = "0123456789abcdef"\n')
    store.chmod(0o644)
    code, said = run("check", "--config", store)
    assert code == 1
    assert f"[[webhook]] 1 secret: everybody on this machine can read {store}; run: chmod o= {store}" in said


def test_a_unit_s_file_is_no_store(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "kiosk.toml"
    etc = store.parent
    other.write_text(
        '[unit]\nstore = "harbour"\nid = "desk-3"\nplace = "x"\naddress = "x"\n[broker]\nhost = "127.0.0.1"\n'
        f'ca_file = "{etc}/ca.pem"\ncert_file = "{etc}/unit-desk-3.pem"\nkey_file = "{etc}/unit-desk-3.key"\n'
    )
    code, said = run("check", "--config", other)
    assert (code, said) == (1, f"{other}: the file has no [store]: it is not a store.toml; give the right file\n")


def test_a_store_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    for command in (["rota"], ["broker", "--out", str(tmp_path / "out")], ["check"]):
        code, said = run(*command, "--config", tmp_path / "nowhere.toml")
        assert code == 1
        assert "the file: cannot be read (No such file or directory); put the configuration at" in said


# --- pin --------------------------------------------------------------------------------------------------------------


def test_a_pin_is_asked_twice_and_its_line_fits(store: Path) -> None:
    code, said = run("pin", typed="2580\n2580\n")
    assert code == 0
    line = said.splitlines()[-1]
    assert pin_fits("2580", line.removeprefix('pin = "').removesuffix('"'))
    assert "2580" not in said
    text = store.read_text().replace('role = "manager"', f'role = "manager"\n{line}')
    store.write_text(text)
    assert run("check", "--config", store)[0] == 0


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("2580\n2581\n", "the two are not the same; nothing was made, run it again"),
        ("1234\n", "digits in a row"),
        ("12\n", "4 to 12 digits"),
        ("2580\n", "Aborted"),
    ],
)
def test_no_pin_is_made_of_what_is_none(typed: str, says: str) -> None:
    code, said = run("pin", typed=typed)
    assert code == 1
    assert says in said
    assert "scrypt" not in said


# --- rota -------------------------------------------------------------------------------------------------------------


def rows(said: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if line.startswith("│")]


def test_the_rota_at_an_hour_of_the_store_s_clocks(store: Path) -> None:
    code, said = run("rota", "--config", store, "--at", "2026-11-23T09:00")
    assert code == 0
    assert "Harbour Stores, Monday 2026-11-23 09:00 Europe/London" in said
    assert rows(said) == [[place, "Sam, محمد", "Alex", "nobody"] for place in ("Service desk 3", "Returns")]
    _, night = run("rota", "--config", store, "--at", "2026-11-23T19:00")
    assert rows(night)[0] == ["Service desk 3", "nobody", "Alex", "Sam, محمد"]
    _, elsewhere = run("rota", "--config", store, "--at", "2026-06-01T17:30+00:00")
    assert "2026-06-01 18:30" in elsewhere
    assert run("rota", "--config", store)[0] == 0


def test_an_hour_that_is_none(store: Path) -> None:
    code, said = run("rota", "--config", store, "--at", "half past nine")
    assert (code, said) == (1, '--at half past nine: is no time; write it like "2026-11-23T09:00"\n')

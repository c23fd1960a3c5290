"""A machine becomes a unit: real claims, a real board, a real mosquitto with TLS, and what must not go wrong on the way."""

import os
import pty
import select
import signal
import socketserver
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from kiosk.broker_files import unit_user
from kiosk.config import load_unit
from kiosk.messages import Status, UnitState, parse_status, status_topic
from kiosk.mqtt import Connected, Received
from kiosk.provision import source
from kiosk.provision.authority import Authority, new_key
from kiosk.provision.claim import BadClaim, Sealed, read
from kiosk.provision.identity import install
from kiosk.provision.proof import NotProven, prove, runs_here
from kiosk.provision.seal import new_code, open_with, seal
from kiosk.provision.store_folder import StoreFolder
from tests.board_parts import Program
from tests.provision_parts import Client, MadeStore, make_store, run

UNITS = ("desk-3", "returns", "till", "depot")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MadeStore, dict[str, str]]]:
    """Run one store, its broker and its board, with a claim for each unit, for all tests here."""
    store = make_store(tmp_path_factory.mktemp("store") / "harbour")
    codes = {unit: store.add_unit(unit, f"Desk {unit}") for unit in UNITS}
    path = store.folder / "board" / "store.toml"
    path.write_text(path.read_text().replace("claims_dir", 'state_dir = "memory"\nclaims_dir'))
    board = Program("board", path, store.folder / "board.log")
    try:
        assert "The board of Harbour Stores is at" in board.first_line()
        with store.broker(), Client(store.board_section(), "up") as up:
            up.wait(Connected)
            yield store, codes
    finally:
        board.close()


def entries(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


# --- the whole way ----------------------------------------------------------------------------------------------------


@pytest.mark.parts
def test_a_unit_joins_over_the_network(made: tuple[MadeStore, dict[str, str]], tmp_path: Path) -> None:
    store, codes = made
    config = tmp_path / "etc" / "kiosk.toml"
    address = f"127.0.0.1:{store.board_port}/claims/desk-3"
    typed = codes["desk-3"].lower().replace("-", " ").replace("0", "o")
    code, said = run("join", address, "--config", config, typed=f"{typed}\n")
    assert code == 0, said
    assert "wrote its status and read it back" in said
    assert "may not write for others" in said
    assert 'This is desk-3, "Desk desk-3", of harbour' in said
    unit = load_unit(config.read_text())
    assert unit.broker.key_file
    secrets = [unit.broker.key_file.read_text().splitlines()[1], codes["desk-3"], typed]
    assert not [secret for secret in secrets if secret in said], "no secret on a screen"
    assert {stat.S_IMODE(one.stat().st_mode) for one in config.parent.rglob("*.*") if one.is_file()} == {0o640}
    before = entries(config.parent)
    assert run("join", store.claim("desk-3"), "--config", config, "--later", typed=codes["desk-3"])[0] == 0
    after = entries(config.parent)
    assert {key: after[key] for key in before} == before, "the same claim again is the same unit"
    assert set(after) - set(before) == {"kiosk.toml.before"}


@pytest.mark.parts
def test_a_stick_with_junk_and_several_claims(made: tuple[MadeStore, dict[str, str]], tmp_path: Path) -> None:
    store, codes = made
    stick, config = tmp_path / "stick", tmp_path / "etc" / "kiosk.toml"
    (stick / "claims" / "deep").mkdir(parents=True)
    (stick / "claims" / "returns.claim").write_bytes(store.claim("returns").read_bytes())
    (stick / "till.claim").write_bytes(store.claim("till").read_bytes())
    (stick / "claims" / "deep" / "depot.claim").write_bytes(store.claim("depot").read_bytes())
    (stick / "half.claim").write_bytes(store.claim("till").read_bytes()[:900])
    (stick / "page.claim").write_bytes(b"<html>Sign in to the wifi</html>")
    (stick / "long.claim").write_bytes(b"x" * 10_000_000)
    (stick / "folder.claim").mkdir()
    (stick / "link.claim").symlink_to("/dev/zero")
    os.mkfifo(stick / "pipe.claim")
    (stick / "holiday.jpg").write_bytes(b"\xff\xd8")
    code, said = run("join", stick, "--unit", "returns", "--config", config, typed=codes["returns"])
    assert code == 0, said
    passed = [line for line in said.splitlines() if line.startswith("passed by:")]
    assert len(passed) == 3
    assert all(
        name in said
        for name in ("half.claim is no claim, or a damaged one", "page.claim is a web page", "long.claim is too long")
    )
    config.unlink()
    code, said = run("join", stick, "--config", config, "--later", typed=f"1\n{codes['returns']}\n")
    assert code == 0, said
    assert "2: till" in said
    code, said = run("join", stick, "--unit", "nowhere", "--config", config)
    assert code == 1
    assert f"no claim of nowhere lies in {stick}; copy the file nowhere.claim there" in said


@pytest.mark.parts
def test_a_wrong_code_changes_nothing(made: tuple[MadeStore, dict[str, str]], tmp_path: Path) -> None:
    store, codes = made
    config = tmp_path / "kiosk.toml"
    config.write_text("what was there")
    wrong = codes["till"][:-1] + ("A" if codes["till"][-1] != "A" else "B")
    typed = f"{wrong}\n{codes['returns']}\nshort\n"
    code, said = run("join", store.claim("till"), "--config", config, typed=typed)
    assert code == 1
    assert "a letter of the code is wrong; type it again" in said
    assert "this code does not open the claim of 'till'; take the code from the paper of this very claim" in said
    assert "letters were typed, a code has 13" in said or "cannot stand in a code" in said
    assert said.endswith("nothing was changed\n")
    assert entries(tmp_path) == {"kiosk.toml": b"what was there"}


def read_until(terminal: int, wanted: str) -> str:
    """Return what a terminal shows until `wanted` stands on it, or it is over."""
    shown = b""
    while wanted.encode() not in shown and select.select([terminal], [], [], 30.0)[0]:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # whoever wrote on it has ended
            break
    return shown.decode()


@pytest.mark.parts
def test_a_real_terminal_never_shows_the_code(made: tuple[MadeStore, dict[str, str]], tmp_path: Path) -> None:
    store, codes = made
    terminal, other_end = pty.openpty()
    command = [sys.executable, "-m", "kiosk", "join", str(store.claim("till")), "--later"]
    command += ["--config", str(tmp_path / "kiosk.toml")]
    with subprocess.Popen(command, stdin=other_end, stdout=other_end, stderr=other_end) as join:
        os.close(other_end)
        shown = ""
        for typed in ("ABCD-EFGH", codes["till"]):
            shown += read_until(terminal, "does not show): ")
            os.write(terminal, f"{typed}\n".encode())
        shown += read_until(terminal, "stayby doctor\r\n")
        assert join.wait(30.0) == 0
    os.close(terminal)
    assert "8 letters were typed, a code has 13" in shown
    assert "kiosk.toml: written" in shown
    assert codes["till"] not in shown
    assert "ABCD" not in shown


@pytest.mark.parts
def test_a_place_that_takes_no_file_is_one_line(made: tuple[MadeStore, dict[str, str]], tmp_path: Path) -> None:
    store, codes = made
    (tmp_path / "file").write_text("")
    config = tmp_path / "file" / "kiosk.toml"
    code, said = run("join", store.claim("till"), "--later", "--config", config, typed=codes["till"])
    assert code == 1
    assert "Not a directory; run it with sudo, and look for a full or read-only disk\nnothing was changed\n" in said


# --- the network ------------------------------------------------------------------------------------------------------


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """Run a server that answers everything so; yield its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "headers", "says"),
    [
        (
            200,
            b"<!doctype html><title>Welcome</title>",
            {},
            "is a web page and no claim: either this network wants somebody",
        ),
        (
            302,
            b"",
            {"location": "http://wifi.example/login"},
            "leads elsewhere: this network wants somebody to sign in first",
        ),
        (511, b"<html>", {}, "leads elsewhere: this network wants somebody to sign in first"),
        (404, b"<html>nothing", {}, "the answer is 404; is this the board?"),
        (404, b'{"error": "There is no claim."}', {}, "/claims/desk-3: There is no claim."),
        (200, b"x" * 200_000, {}, "is too long for a claim"),
        (200, b"", {}, "is no claim, or a damaged one"),
    ],
)
def test_what_answers_instead_of_a_board_is_one_line(
    status: int, body: bytes, headers: dict[str, str], says: str, tmp_path: Path
) -> None:
    with answering(status, body, **headers) as address:
        code, said = run("join", f"{address}/claims/desk-3", "--config", tmp_path / "kiosk.toml")
    assert code == 1
    assert says in said
    assert len(said.splitlines()) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_board_that_is_not_there_is_one_line() -> None:
    for address, says in (
        ("https://127.0.0.1:9/claims/desk-3", "nothing answers there; start the board, or check the address"),
        ("https://no-such-host.invalid/claims/desk-3", "no such name; check it on the paper"),
        ("gopher://x/claims/desk-3", "is no address; type it as it stands on the paper"),
        ("https://[::1/claims/desk-3", "is no address; type it as it stands on the paper"),
    ):
        with pytest.raises(BadClaim) as caught:
            source.get(address)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
    with socketserver.TCPServer(("127.0.0.1", 0), lambda *_: None) as server:  # type: ignore[arg-type]  # answers nothing
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(BadClaim, match="check"):
            source.get(f"https://127.0.0.1:{server.server_address[1]}/claims/desk-3")
        thread.join()


@given(st.text(max_size=60), st.text(max_size=10))
def test_whatever_is_typed_as_an_address_is_an_address_or_one_line(given_: str, unit: str) -> None:
    assert "://" in source.address_of(given_, unit)


@pytest.mark.parts
def test_the_board_hands_out_what_holds_and_nothing_else(made: tuple[MadeStore, dict[str, str]]) -> None:
    store, _ = made
    base = f"https://127.0.0.1:{store.board_port}/claims"
    assert source.get(f"{base}/depot") == store.claim("depot").read_bytes()
    assert source.get(f"{base}/depot/file") == store.claim("depot").read_bytes()
    past = seal(
        "harbour",
        "old",
        Sealed(kiosk="", ca="", certificate="", key=""),
        new_code(),
        datetime.now(UTC) - timedelta(days=99),
    )
    store.claim("old").write_bytes(past)
    store.claim("bad").write_bytes(b"junk")
    for path, says in (
        ("old", "The claim of this unit has ended."),
        ("bad", "The board cannot read this file."),
        ("none", "There is no claim for this unit here."),
        ("..%2f..%2fstore.toml", "There is"),
        ("%2e%2e/store", "There is"),
        ("depot/certificate", "There is no renewed certificate for this unit."),
        ("depot/key", "There is no such page."),
    ):
        with pytest.raises(BadClaim) as caught:
            source.get(f"{base}/{path}")
        assert says in str(caught.value)


# --- the broker -------------------------------------------------------------------------------------------------------


@pytest.mark.parts
def test_another_store_s_broker_is_one_line(made: tuple[MadeStore, dict[str, str]], tmp_path: Path) -> None:
    other = make_store(tmp_path / "quay", "quay", broker_port=made[0].port)
    typed = other.add_unit("desk-3")
    config = tmp_path / "etc" / "kiosk.toml"
    status, said = run("join", other.claim("desk-3"), "--config", config, typed=typed)
    assert status == 1
    assert "did not sign its certificate; set the authority that did" in said
    assert said.endswith("nothing was changed\n")
    assert list(config.parent.iterdir()) == []


@pytest.mark.parts
def test_a_unit_on_duty_joins_and_renews_without_being_taken_for_another(
    made: tuple[MadeStore, dict[str, str]], tmp_path: Path
) -> None:
    store, codes = made
    config = tmp_path / "kiosk.toml"
    facts = read(store.claim("returns").read_bytes())
    sealed = open_with(facts, codes["returns"])
    here = f'[unit]\nstate_dir = "{tmp_path}/state"\nrun_dir = "{tmp_path}/run"'
    text = sealed.kiosk.replace("[unit]", here, 1).partition("[button]")[0]
    install(facts, sealed.model_copy(update={"kiosk": text}), config, datetime.now(UTC), lambda _: None)
    unit = load_unit(config.read_text())
    hub = Program("alertd", config, tmp_path / "log")
    try:
        with Client(store.board_section(), "watch", status_topic("harbour", "returns")) as watch:
            while (said := watch.wait(Received)) and parse_status(said.topic, said.payload).state is UnitState.LOST:
                continue
            proof = prove(unit, is_us=lambda: runs_here(unit))
            assert proof.others_refused
            with pytest.raises(NotProven, match="another machine is returns now"):
                prove(unit, is_us=lambda: False)
        assert hub.process.poll() is None
    finally:
        hub.end()


@pytest.mark.parts
def test_two_machines_are_never_one_unit(made: tuple[MadeStore, dict[str, str]], tmp_path: Path) -> None:
    store, codes = made
    first, second = tmp_path / "first" / "kiosk.toml", tmp_path / "second" / "kiosk.toml"
    assert run("join", store.claim("till"), "--config", first, typed=codes["till"])[0] == 0
    topic, stop = status_topic("harbour", "till"), threading.Event()
    with Client(store.unit_section(first.parent), "hub") as hub:
        hub.wait(Connected)

        def live() -> None:
            beat = 0
            while not stop.wait(0.2):
                beat += 1
                status = Status(store="harbour", unit="till", place="Desk", state=UnitState.READY, beat=beat)
                hub.link.publish(topic, status.model_dump_json().encode(), retain=True)

        thread = threading.Thread(target=live)
        thread.start()
        try:
            code, said = run("join", store.claim("till"), "--config", second, typed=codes["till"])
        finally:
            stop.set()
            thread.join()
    assert code == 1
    assert "another machine is till now, and two cannot be; unplug it, wait 20 s, and join again" in said
    assert not second.exists()


@pytest.mark.parts
def test_a_broker_that_lets_units_write_for_others_is_found(tmp_path: Path) -> None:
    store = make_store(tmp_path / "harbour")
    typed = store.add_unit("desk-3")
    acl = store.folder / "broker" / "acl"
    acl.write_text(acl.read_text() + "\nuser unit-desk-3\ntopic readwrite #\n")
    config = tmp_path / "etc" / "kiosk.toml"
    with store.broker() as mosquitto, Client(store.board_section(), "up") as up:
        up.wait(Connected)
        status, said = run("join", store.claim("desk-3"), "--config", config, typed=typed)
        assert status == 1
        assert "the broker lets this unit write for others; on the broker's machine: put the newest acl there" in said
        acl.write_text(acl.read_text().replace("readwrite", "read"))
        os.kill(mosquitto.pid, signal.SIGHUP)
        status, said = run("join", store.claim("desk-3"), "--config", config, typed=typed)
        assert status == 1
        assert "the broker refused a message" in said
        assert "put the newest acl there" in said
    assert not config.exists()


# --- half a join ------------------------------------------------------------------------------------------------------


STEPS_IN = ("identity.py", "config_file.py", "pathlib.py", "shutil.py")


@contextmanager
def each_step(look: Callable[[], None]) -> Iterator[None]:
    """Call `look` before each line of what writes files: what it sees then is what a kill there would leave."""

    def step(frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.endswith(STEPS_IN):
            return None
        if event == "line":
            look()
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        yield
    finally:
        sys.settrace(before)


def test_a_join_that_is_cut_off_anywhere_leaves_what_was_or_what_is_new(tmp_path: Path) -> None:
    store, config, now = make_store(tmp_path / "harbour"), tmp_path / "etc" / "kiosk.toml", datetime.now(UTC)
    whole: dict[bytes, Sealed] = {}
    steps: list[bytes] = []

    def look() -> None:
        """See that kiosk.toml is one of the two, and that the identity which it names is whole."""
        text = config.read_bytes()
        if not steps or text != steps[-1] or len(steps) % 10 == 0:
            broker = load_unit(text.decode()).broker
            sealed = whole[str(broker.cert_file).encode()]
            files = [path.read_text() for path in (broker.ca_file, broker.cert_file, broker.key_file) if path]
            assert files == [sealed.ca, sealed.certificate, sealed.key]
        steps.append(text)

    for again in ((), ("--again",)):
        typed = store.add_unit("desk-3", "Service desk 3", *again)
        facts = read(store.claim("desk-3").read_bytes())
        sealed = open_with(facts, typed)
        digest = x509.load_pem_x509_certificate(sealed.certificate.encode()).fingerprint(hashes.SHA256()).hex()[:12]
        whole[str(config.parent / f"identity-{digest}" / "unit.pem").encode()] = sealed
        if not again:
            install(facts, sealed, config, now, lambda _: None)
    with each_step(look):
        install(facts, sealed, config, now, lambda _: None)
    assert len(steps) > 100
    assert len(set(steps)) == 2, "the old one, and then the new one"
    assert (config.parent / "kiosk.toml.before").read_bytes() == steps[0]
    (old,) = [path for path in whole if path not in steps[-1]]
    assert Path(old.decode()).exists(), "the hub's last good configuration names it"


def test_what_does_not_fit_together_in_a_claim_is_refused(tmp_path: Path) -> None:
    store, now = make_store(tmp_path / "harbour"), datetime.now(UTC)
    typed = store.add_unit("desk-3")
    facts = read(store.claim("desk-3").read_bytes())
    good = open_with(facts, typed)
    other = Authority(make_store(tmp_path / "quay").folder / "authority")
    stranger = other.issue(unit_user("desk-3"), new_key().public_key(), now)
    neighbour = StoreFolder(store.folder).authority.issue(unit_user("returns"), new_key().public_key(), now)
    config = tmp_path / "etc" / "kiosk.toml"
    for change, says in (
        ({"ca": other.pem}, "another store's"),
        ({"certificate": stranger}, "is not the key of"),
        ({"certificate": neighbour}, "is not the key of"),
        ({"certificate": "junk"}, "holds no certificate"),
        ({"kiosk": good.kiosk.replace('id = "desk-3"', 'id = "returns"')}, "names one unit and holds another"),
        ({"kiosk": good.kiosk.replace("[button]", "[buttons]")}, "the claim's configuration: line"),
    ):
        with pytest.raises(BadClaim) as caught:
            install(facts, good.model_copy(update=change), config, now, lambda _: None)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not config.parent.exists() or list(config.parent.iterdir()) == []
    for then, says in ((now + timedelta(days=9000), "expired on"), (now - timedelta(days=9000), "is valid only from")):
        with pytest.raises(BadClaim, match=says):
            install(facts, good, config, then, lambda _: None)
    assert list(config.parent.iterdir()) == []


# --- renewing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parts
def test_a_unit_fetches_its_renewed_certificate_by_itself(
    made: tuple[MadeStore, dict[str, str]], tmp_path: Path
) -> None:
    store, codes = made
    config = tmp_path / "kiosk.toml"
    assert run("join", store.claim("depot"), "--config", config, typed=codes["depot"])[0] == 0
    broker = store.unit_section(tmp_path)
    assert broker.cert_file
    code, said = run("renew", "--config", config)
    assert (code, said.split(" until ")[0]) == (0, "nothing new; the present certificate holds")
    before = entries(tmp_path)
    folder = StoreFolder(store.folder)
    place = store.claim("depot").with_suffix(".pem")
    neighbour = folder.authority.issue(unit_user("returns"), new_key().public_key(), datetime.now(UTC))
    for wrong, says in (
        ("<html>Sign in</html>", "is a web page (a captive portal?), and no certificate"),
        (neighbour, "it is for another key; it is not used"),
        ("junk", "is damaged, and no certificate"),
    ):
        place.write_text(wrong)
        code, said = run("renew", "--config", config)
        assert code == 1
        assert says in said
        assert said.count("\n") == 1
        assert entries(tmp_path) == before
    assert "unit-depot" in {one.user for one in folder.renew(datetime.now(UTC), timedelta(days=900))}
    key = broker.key_file.read_bytes() if broker.key_file else b""
    code, said = run("renew", "--config", config)
    assert (code, said.split(" holds until ")[0]) == (0, f"renewed: {broker.cert_file}"), said
    assert broker.cert_file.read_bytes() == place.read_bytes() != before[str(broker.cert_file.relative_to(tmp_path))]
    assert broker.key_file
    assert broker.key_file.read_bytes() == key
    with Client(store.unit_section(tmp_path), "depot") as depot:
        depot.wait(Connected)
    assert run("renew", "--config", config)[1].startswith("nothing new")

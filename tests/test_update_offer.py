"""An update as its store signs and hands it out: by the manager's command, over the board, and what is turned away."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from kiosk.provision.authority import new_key
from kiosk.provision.store_folder import StoreFolder
from kiosk.signatures import canonical, signature_of
from kiosk.update.offer import FILE_NAME, BadOffer, Offer, SignedOffer, parse, update_user, verify
from kiosk.update.package import digest, fields
from tests.board_parts import Program
from tests.packages import build
from tests.provision_parts import MadeStore, make_store, run
from tests.running_board import ask

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MadeStore:
    """One store with a package published for amd64."""
    folder = tmp_path_factory.mktemp("offer")
    made = make_store(folder / "harbour")
    code, said = run("store", "update", build(folder, "0.2.0"), "--in", made.folder)
    assert code == 0, said
    assert "0.2.0 for amd64: signed" in said
    assert "sudo stayby store put board" in said
    return made


def updates(made: MadeStore) -> Path:
    return made.folder / "board" / "updates"


def signed(made: MadeStore) -> bytes:
    return next(updates(made).glob("*.signed")).read_bytes()


def ca(made: MadeStore) -> bytes:
    return (made.folder / "board" / "ca.pem").read_bytes()


# --- signing and looking ----------------------------------------------------------------------------------------------


def test_what_is_signed_is_what_lies_there(store: MadeStore) -> None:
    offer = verify(signed(store), ca(store), "harbour")
    file = updates(store) / offer.file_name
    assert (offer.version, offer.architecture, offer.store) == ("0.2.0", "amd64", "harbour")
    assert (offer.sha256, offer.size) == (digest(file), file.stat().st_size)
    assert fields(file)["Version"] == "0.2.0"


def changed(made: MadeStore, **facts: Any) -> bytes:
    """Return the signed file with other facts in it, its signature as it was."""
    whole = json.loads(signed(made))
    whole["offer"] |= facts
    return json.dumps(whole).encode()


def test_whatever_is_changed_after_signing_is_refused(store: MadeStore) -> None:
    for facts in ({"version": "9.9"}, {"sha256": "0" * 64}, {"size": 1}, {"architecture": "arm64"}, {"extra": 1}):
        with pytest.raises(BadOffer, match="is not genuine: its signature does not fit its text"):
            verify(changed(store, **facts), ca(store), "harbour")


def test_another_store_s_is_said_to_be_so(store: MadeStore, tmp_path: Path) -> None:
    other = make_store(tmp_path / "quay", "quay")
    with pytest.raises(BadOffer, match=r"is signed by another store \(harbour\); this unit is of quay"):
        verify(signed(store), ca(other), "quay")
    with pytest.raises(BadOffer, match="is signed by another store"):
        verify(signed(store), ca(store), "quay")


def signed_with(key: ec.EllipticCurvePrivateKey, certificate: str, made: MadeStore) -> bytes:
    body = json.loads(signed(made))["offer"]
    return (
        SignedOffer(offer=body, signature=signature_of(key, canonical(body)), certificate=certificate)
        .model_dump_json()
        .encode()
    )


def test_no_other_certificate_of_the_store_signs_updates(store: MadeStore) -> None:
    """Neither a unit's key, nor one that is called as the signer but is for something else, nor the signer's for another user."""
    authority = StoreFolder(store.folder).authority
    for user, use in (("unit-desk-3", "client"), (update_user("harbour"), "client"), ("unit-desk-3", "update")):
        key = new_key()
        with authority.alone():
            certificate = authority.issue(user, key.public_key(), NOW, use=use)  # type: ignore[arg-type]  # a literal each
        with pytest.raises(BadOffer, match="a certificate that is not for updates"):
            verify(signed_with(key, certificate, store), ca(store), "harbour")


def test_several_authorities_are_none(store: MadeStore) -> None:
    with pytest.raises(BadOffer, match="ca_file holds more than the store's own authority"):
        verify(signed(store), ca(store) * 2, "harbour")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_junk_is_one_line(data: bytes) -> None:
    with pytest.raises(BadOffer) as caught:
        parse(data)
    assert "\n" not in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*Offer.model_fields, "x"]), inner, max_size=9)
        ),
        max_leaves=12,
    )
)
def test_whatever_json_it_is_it_is_an_offer_with_a_sound_name_or_bad(found: object) -> None:
    data = json.dumps({"offer": found, "signature": "", "certificate": ""}).encode()
    with suppress(BadOffer):
        assert FILE_NAME.fullmatch(parse(data)[1].file_name)


# --- the manager's command --------------------------------------------------------------------------------------------


def test_a_newer_one_takes_the_place_of_the_older_and_each_architecture_has_its_own(tmp_path: Path) -> None:
    made = make_store(tmp_path / "harbour")
    first, arm = build(tmp_path, "0.2.0"), build(tmp_path, "0.2.0", "arm64")
    assert run("store", "update", first, arm, "--in", made.folder)[0] == 0
    assert run("store", "update", build(tmp_path, "0.3.0"), "--in", made.folder)[0] == 0
    names = {one.name for one in updates(made).iterdir()}
    assert names == {f"stayby_{one}.deb{tail}" for one in ("0.3.0_amd64", "0.2.0_arm64") for tail in ("", ".signed")}
    assert run("store", "renew", "--in", made.folder)[1] == "nothing ends within 90 days\n"
    etc = tmp_path / "etc"
    assert run("store", "put", "board", "--in", made.folder, "--to", etc)[0] == 0
    assert {one.name for one in (etc / "updates").iterdir()} == names
    before = (etc / "updates" / first.name.replace("0.2.0", "0.3.0")).stat().st_ino
    assert run("store", "update", build(tmp_path, "0.4.0", "arm64"), "--in", made.folder)[0] == 0
    assert run("store", "put", "board", "--in", made.folder, "--to", etc)[0] == 0
    assert {one.name for one in (etc / "updates").glob("*arm64.deb")} == {"stayby_0.4.0_arm64.deb"}
    assert (etc / "updates" / "stayby_0.3.0_amd64.deb").stat().st_ino == before, "what is there is not written again"


def test_what_is_no_package_of_ours_is_not_signed(store: MadeStore, tmp_path: Path) -> None:
    half = tmp_path / "half.deb"
    half.write_bytes(build(tmp_path, "0.5.0").read_bytes()[:200])
    junk = tmp_path / "junk.deb"
    junk.write_text("junk")
    for file, says in (
        (half, "is no whole package"),
        (junk, "is no whole package"),
        (tmp_path / "none.deb", "is no whole package"),
        (build(tmp_path, "1.0", name="other"), "is the package of other; name a package of Stayby"),
        (build(tmp_path, "1.0", "all"), "cannot be offered (architecture:"),
    ):
        before = signed(store)
        code, said = run("store", "update", file, "--in", store.folder)
        assert code == 1
        assert says in said
        assert said.count("\n") == 1
        assert signed(store) == before


# --- the board --------------------------------------------------------------------------------------------------------


@pytest.fixture
def board(store: MadeStore) -> Iterator[str]:
    """The board of the store; returns its address."""
    path = store.folder / "board" / "store.toml"
    path.write_text(path.read_text().replace("updates_dir", 'state_dir = "memory"\nupdates_dir'))
    program = Program("board", path, store.folder / "board.log")
    try:
        assert "The board of Harbour Stores is at" in program.first_line()
        yield f"https://127.0.0.1:{store.board_port}/"
    finally:
        program.close()


@pytest.mark.parts
def test_the_board_hands_out_what_is_offered_and_nothing_else(store: MadeStore, board: str) -> None:
    folder, trust = updates(store), store.folder / "board" / "ca.pem"
    (folder / "stayby_0.9.0_amd64.deb").write_text("not signed")
    (folder / "stayby_9.9.9_amd64.deb.signed").write_text("junk")
    (folder / "secret.txt").write_text("x")

    def get(path: str) -> tuple[int, bytes]:
        status, _, body = ask(board, "GET", path, ca_file=trust)
        return status, body

    assert get("/updates/amd64") == (200, (folder / "stayby_0.2.0_amd64.deb.signed").read_bytes())
    assert get("/updates/stayby_0.2.0_amd64.deb") == (200, (folder / "stayby_0.2.0_amd64.deb").read_bytes())
    for path in (
        "/updates/arm64",
        "/updates/",
        "/updates/secret.txt",
        "/updates/stayby_0.9.0_amd64.deb",
        "/updates/stayby_0.2.0_amd64.deb.signed",
        "/updates/..%2fstore.toml",
        "/updates/%2e%2e%2fboard.key",
        "/updates/stayby_..%2f..%2fx_amd64.deb",
    ):
        status, body = get(path)
        assert status == 404, path
        assert set(json.loads(body)) == {"error"}

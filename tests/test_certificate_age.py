"""The fault a month before a certificate ends, and the clock that cannot be right."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from kiosk.broker_files import unit_user
from kiosk.certificate_age import look
from kiosk.config import BrokerSection
from kiosk.config_file import read_store
from kiosk.mqtt import Connected
from kiosk.provision.authority import LASTS, Authority, new_key, private_pem
from kiosk.store_notes import notes
from tests.broker import private_broker
from tests.provision_parts import Client
from tests.store_files import write_store

MADE = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> BrokerSection:
    folder = tmp_path_factory.mktemp("authority")
    authority, key = Authority.create(folder, "harbour", "Harbour Stores", MADE), new_key()
    (folder / "unit.pem").write_text(authority.issue(unit_user("desk-3"), key.public_key(), MADE))
    (folder / "unit.key").write_bytes(private_pem(key))
    return BrokerSection(
        host="broker", ca_file=folder / "ca.pem", cert_file=folder / "unit.pem", key_file=folder / "unit.key"
    )


@pytest.mark.parametrize(
    ("now", "code", "says"),
    [
        (MADE, "", ""),
        (MADE + LASTS - 31 * DAY, "", ""),
        (
            MADE + LASTS - 29 * DAY,
            "certificate-ends",
            f"it ends on {MADE + LASTS:%Y-%m-%d}, and then no call reaches the staff",
        ),
        (
            MADE + LASTS + DAY,
            "certificate-ends",
            f"it ended on {MADE + LASTS:%Y-%m-%d} (here it is {MADE + LASTS + DAY:%Y-%m-%d}; if that is wrong, set",
        ),
        (
            datetime(2040, 1, 1, tzinfo=UTC),
            "certificate-ends",
            "here it is 2040-01-01; if that is wrong, set the clock",
        ),
        (
            datetime(1970, 1, 1, tzinfo=UTC),
            "clock",
            "the clock says 1970-01-01, and this certificate begins on 2026-11-21",
        ),
    ],
)
def test_a_month_ahead_and_a_clock_that_cannot_be(broker: BrokerSection, now: datetime, code: str, says: str) -> None:
    found = look(broker, now)
    assert (found.code if found else "") == code
    assert says in (found.says if found else "")
    if found:
        assert found.do
        assert found.where == str(broker.cert_file)


def test_what_cannot_be_read_is_the_broker_s_to_say(broker: BrokerSection, tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for path in (tmp_path / "nowhere.pem", tmp_path / "junk.pem", tmp_path, None):
        assert look(broker.model_copy(update={"cert_file": path}), MADE) is None


def test_the_broker_s_own_certificate_is_told_as_early(broker: BrokerSection) -> None:
    assert look(broker, MADE, MADE + 31 * DAY) is None
    found = look(broker, MADE, MADE + 29 * DAY)
    assert found
    assert (found.code, found.where) == ("certificate-ends", "broker broker")
    assert "mosquitto reloaded" in found.do


@pytest.mark.parts
def test_a_link_knows_until_when_its_broker_is_good(tmp_path: Path) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + 20 * DAY
    with (
        private_broker(tmp_path / "broker", not_after=ends) as private,
        Client(private.section_for_unit("desk-3"), "desk-3") as desk,
    ):
        desk.wait(Connected)
        assert desk.link.broker_ends_unix_s == ends.timestamp()


def test_what_ends_soon_is_a_note_of_the_check(tmp_path: Path) -> None:
    path = write_store(tmp_path)
    soon = trustme.CA().issue_cert("127.0.0.1", common_name="staff-sam", not_after=datetime.now(UTC) + 20 * DAY)
    soon.cert_chain_pems[0].write_to_path(tmp_path / "staff-sam.pem")
    said = [note for note in notes(read_store(path)) if " ends on " in note]
    assert len(said) == 1
    assert said[0].startswith(f"{tmp_path}/staff-sam.pem ends on ")
    assert "stayby store renew" in said[0]

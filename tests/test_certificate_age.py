"""The fault a month before a certificate ends, and the clock that cannot be right."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kiosk.broker_files import unit_user
from kiosk.certificate_age import look
from kiosk.config import BrokerSection
from kiosk.provision.authority import LASTS, Authority, new_key, private_pem

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

"""What the tests of the records share: a snapshot, a kept incident, and a store.toml in memory."""

from datetime import UTC, datetime, timedelta
from typing import Any

from kiosk.board.kept import Kept
from kiosk.messages import Entry, Outcome, Person, Reach, Severity, Snapshot, State, Trigger
from kiosk.store_config import StoreConfig, load_store

NOW = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
PRIYA, SAM = Person(id="priya", name="Priya"), Person(id="sam", name="Sam")
DAY_S = 86400.0
STORE_TOML = """
[store]
id = "harbour"
name = "Harbour Stores"
zone = "UTC"
[broker]
host = "broker.lan"
ca_file = "/etc/stayby/ca.pem"
username = "board-harbour"
password = "long enough"
[[staff]]
id = "priya"
name = "Priya"
username = "staff-priya"
password = "long enough"
[[staff]]
id = "sam"
name = "Sam"
role = "manager"
username = "staff-sam"
password = "long enough"
"""


def store(more: str = "") -> StoreConfig:
    return load_store(STORE_TOML + more)


def snapshot(elapsed_s: float = 0.0, **facts: Any) -> Snapshot:
    """An open alert of a pressed button, as the unit says it `elapsed_s` after it opened at `NOW`."""
    base: dict[str, Any] = {
        "store": "harbour", "unit": "desk-3", "place": "Service desk 3", "id": "one", "revision": 1, "state": State.RAISED,
        "severity": Severity.ALERT, "trigger": Trigger.BUTTON, "tier": 1, "tiers": ("the staff", "the manager"),
        "reach": Reach.OK, "opened_at": NOW, "elapsed_s": elapsed_s, "timeline": (Entry(t_s=0, what="opened", who="button"),),
    }  # fmt: skip
    return Snapshot(**{**base, **facts})


def arrival(one: Snapshot) -> datetime:
    """Return when it arrives: at once, by a right clock."""
    return NOW + timedelta(seconds=one.elapsed_s)


def kept(at_s: float = NOW.timestamp(), **facts: Any) -> Kept:
    """A closed alert, answered after 8 s by Priya, who was there after 40 s."""
    base: dict[str, Any] = {
        "unit": "desk-3", "id": f"i{at_s:.0f}", "place": "Service desk 3", "revision": 5, "opened_s": at_s, "live": True,
        "trigger": Trigger.BUTTON, "severity": Severity.ALERT, "seen_s": 1.0, "answer_s": 8.0, "arrived_s": 40.0,
        "closed_s": 300.0, "attended_by": PRIYA, "closed_by": PRIYA, "outcome": Outcome.REAL,
    }  # fmt: skip
    return Kept(**{**base, **facts})

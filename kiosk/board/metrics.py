"""The fleet as figures for Prometheus, in its text form.

Rules
- Pure, from one `FleetView`. No name of a person, no words of a customer, no name of a place, nothing of a silent call.
- Labels are bounded: units of store.toml, fault codes that this version knows, versions that look like one. Units that are not in
  store.toml are counted and not named.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import get_args

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from kiosk.board.fault_words import WORDS
from kiosk.board.fleet import FleetView, State, UnitRow

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = get_args(State)
VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]{0,19}")
OTHER = "other"

FIGURES: tuple[tuple[str, str, Callable[[UnitRow], float | None]], ...] = (
    (
        "up",
        "1 while the unit reports, 0 when it is lost or was never heard.",
        lambda row: row.state not in {"lost", "never"},
    ),
    ("faults", "Faults that the unit has now.", lambda row: len(row.faults)),
    ("alert_open", "1 while an alert is open there; never for a silent one.", lambda row: bool(row.alert)),
    ("heartbeat_age_seconds", "Since its last beat; a unit beats every 5 s.", lambda row: row.heard_s),
    ("last_proven_timestamp_seconds", "When a human last answered a press there.", lambda row: row.proven_unix_s),
    ("proven", "1 while that is not longer ago than the store wants.", lambda row: not row.proven_bad),
    ("self_proven_timestamp_seconds", "When the unit last proved itself.", lambda row: row.self_proven_unix_s),
    ("alerts_7d", "Alerts of the last 7 days, without drills and silent ones.", lambda row: row.alerts),
    ("clock_offset_seconds", "How far its clock is ahead of the board's.", lambda row: row.clock_s),
    ("broker_losses_24h", "How often it lost the broker in 24 hours.", lambda row: _of_link(row, "drops")),
    ("broker_seconds", "Longest answer of the broker in a minute.", lambda row: _s(_of_link(row, "broker_ms"))),
    ("button_seconds", "Longest answer of its button in a minute.", lambda row: _s(_of_link(row, "button_ms"))),
    ("button_bad_frames_ratio", "Damaged frames on its button's cable.", lambda row: _s(_of_link(row, "button_bad"))),
)
"""Of each unit: name, help, and the figure (None: not known, and left out)."""


def _of_link(row: UnitRow, name: str) -> float | None:
    value: float | None = getattr(row.link_health, name, None)
    return value


def _s(thousandths: float | None) -> float | None:
    return None if thousandths is None else thousandths / 1000


def known_code(code: str) -> str:
    """Return the name under which a fault is counted: as this version knows it, or "other"."""
    if code in WORDS:
        return code
    return next((one.rstrip("-_") for one in WORDS if one[-1] in "-_" and code.startswith(one)), OTHER)


def known_version(version: str) -> str:
    """Return a version as a label."""
    return version if VERSION.fullmatch(version) else OTHER


class FleetCollector(Collector):
    """One look at the fleet, as Prometheus takes it."""

    def __init__(self, view: FleetView) -> None:
        self._view = view
        self._named = [row for row in view.rows() if row.state != "stranger"]

    def collect(self) -> Iterator[Metric]:
        """Yield everything."""
        yield _one("stayby_board_connected", "1 while the board hears its store.", not self._view.down)
        yield _one("stayby_staff_listening", "How many of the staff listen now.", self._view.listening)
        yield self._counted(
            "stayby_units", "Units by state.", "state", STATES, (row.state for row in self._view.rows())
        )
        versions = [known_version(row.version) for row in self._named if row.version]
        yield self._counted("stayby_units_by_version", "Units by version.", "version", sorted(set(versions)), versions)
        for name, says, of in FIGURES:
            yield self._of_units(name, says, of)
        yield self._faults()

    @staticmethod
    def _counted(name: str, says: str, label: str, all_of: Iterable[str], found: Iterable[str]) -> Metric:
        counts, family = Counter(found), GaugeMetricFamily(name, says, labels=[label])
        for one in all_of:
            family.add_metric([one], counts[one])
        return family

    def _of_units(self, name: str, says: str, of: Callable[[UnitRow], float | None]) -> Metric:
        family = GaugeMetricFamily(f"stayby_unit_{name}", says, labels=["unit"])
        for row in self._named:
            if (value := of(row)) is not None:
                family.add_metric([row.unit], float(value))
        return family

    def _faults(self) -> Metric:
        family = GaugeMetricFamily("stayby_unit_fault", "1 for each fault that a unit has.", labels=["unit", "code"])
        for row in self._named:
            for code in sorted({known_code(one) for one in row.faults}):
                family.add_metric([row.unit, code], 1.0)
        return family


def _one(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(name, says, value=float(value))


def metrics(view: FleetView) -> bytes:
    """Return the fleet in Prometheus' text form."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FleetCollector(view))
    return generate_latest(registry)

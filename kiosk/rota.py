"""Who is asked on which tier, at which desk, at this hour.

Rules
- Pure: the local time is handed in. It is the device's side that knows the rota; a unit only hears on which tier somebody is.
- Nobody who listens is ever left out: whoever is in no line of the rota that holds now, is on break or off duty, is on the last
  tier, which is asked when everyone is. A store without a rota asks all of them first.
"""

from datetime import datetime, timedelta

from kiosk.hours import within
from kiosk.messages import LAST_TIER, Duty
from kiosk.store_config import RotaSection, StoreConfig

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def tier_at(store: StoreConfig, staff: str, unit: str, now: datetime, *, on_break: bool = False) -> int:
    """Return the tier of one of the staff at a unit at local time `now`: the lowest of the lines that hold."""
    if not store.rota and not on_break:
        return 1
    lines = [line.tier for line in store.rota if holds(line, now) and staff in line.staff and _at(line, unit)]
    return LAST_TIER if on_break else min(lines, default=LAST_TIER)


def duty(store: StoreConfig, staff: str, now: datetime, *, on_break: bool = False) -> Duty:
    """Return whether one of the staff is on duty somewhere, by the rota and by their own word."""
    if on_break:
        return Duty.BREAK
    return (
        Duty.ON if not store.rota or any(staff in line.staff and holds(line, now) for line in store.rota) else Duty.OFF
    )


def _at(line: RotaSection, unit: str) -> bool:
    return not line.desks or unit in line.desks


def holds(line: RotaSection, now: datetime) -> bool:
    """Return whether a line holds at local time `now`; hours that pass midnight belong to the day on which they begin."""
    if line.hours is not None and not within(line.hours, now):
        return False
    begins, _, _ = (line.hours or "00:00-00:00").partition("-")
    passes = line.hours is not None and now.strftime("%H:%M") < begins
    day = now - timedelta(days=1) if passes else now
    return not line.days or DAYS[day.weekday()] in line.days

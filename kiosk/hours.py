"""Says whether a moment lies in a span of hours: one meaning for the ear's hours and the screen's night.

Pure. "HH:MM-HH:MM", the end not included; it may pass midnight, and a span with equal ends is the whole day.
"""

from datetime import datetime


def within(hours: str, now: datetime) -> bool:
    """Whether local time `now` lies in `hours`."""
    start, end = hours.split("-")
    clock = now.strftime("%H:%M")
    return start <= clock < end if start < end else clock >= start or clock < end

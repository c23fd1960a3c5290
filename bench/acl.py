"""Who can read and write what at the store's broker: every kind of client on every kind of topic, tried at a real mosquitto."""

from pathlib import Path

from bench.measure import Measure
from kiosk.demo.acl import try_all


def measure(folder: Path) -> dict[str, Measure]:
    """Try the whole matrix at a broker in `folder` and return what stands open that should not, and what is shut."""
    matrix = try_all(folder)
    tried = len(matrix.tried)
    strangers = "another store's, another unit's and nameless clients are among them"
    return {
        "acl_cells_tried": Measure(
            tried, "cells", tried, f"client × MQTT version × read, write, will × topic; {strangers}"
        ),
        "acl_cells_open": _cells(sorted(map(str, matrix.open)), tried, "open and should not be; design: 0"),
        "acl_cells_shut": _cells(sorted(map(str, matrix.shut)), tried, "shut and should not be; design: 0"),
    }


def _cells(wrong: list[str], tried: int, beside: str) -> Measure:
    return Measure(len(wrong), "cells", tried, beside, tuple(wrong[:20]))

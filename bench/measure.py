"""What a measure is, and how they are written down."""

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

KIB_PER_MIB = 1024.0


@dataclass(frozen=True)
class Measure:
    """One figure. `beside` is its limit or peer, in words; `n` is how many samples it rests on; `details` are its worst ones.

    Without a value it was not measured, and `beside` says why.
    """

    value: float | None
    unit: str
    n: int
    beside: str = ""
    details: tuple[str, ...] = ()


def not_measured(unit: str, why: str) -> Measure:
    """Return a figure that could not be measured here, and why."""
    return Measure(None, unit, 0, f"not measured: {why}")


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the samples lie, interpolated; needs two samples."""
    return statistics.quantiles(samples, n=1000, method="inclusive")[round(share * 1000) - 1]


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in MiB; raises `OSError` when it is gone."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / KIB_PER_MIB
    raise ProcessLookupError(f"process {pid} has no memory any more")


def cpu_s(pid: int) -> float:
    """Return the processor time, user and system, that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write(measures: dict[str, Measure], path: Path) -> None:
    """Write bench.json: {name: {"value", "unit", "n"}}, with "details" where there are some.

    What was not measured has the value null, and "why".
    """
    _write_rows({name: _row(one) for name, one in measures.items()}, path)


def merge(measures: dict[str, Measure], path: Path) -> None:
    """Write these into bench.json and leave what else is there as it stands."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    _write_rows({**before, **{name: _row(one) for name, one in measures.items()}}, path)


def _write_rows(rows: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def _row(one: Measure) -> dict[str, float | int | str | list[str] | None]:
    if one.value is None:
        return {"value": None, "unit": one.unit, "n": 0, "why": one.beside}
    details = {"details": list(one.details)} if one.details else {}
    return {"value": round(one.value, 3), "unit": one.unit, "n": one.n, **details}


def show(measures: dict[str, Measure]) -> None:
    """Print the measures as a table, each beside its limit or peer."""
    table = Table("measure", "value", "unit", "n", "limit or peer")
    for name, one in measures.items():
        table.add_row(name, "–" if one.value is None else f"{one.value:.2f}", one.unit, str(one.n), one.beside)
    console = Console(width=120)
    console.print(table)
    for name, one in measures.items():
        for line in one.details:
            console.print(f"{name}: {line}", markup=False, highlight=False)

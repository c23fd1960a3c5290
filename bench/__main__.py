"""`python -m bench`: run every measurement, write build/bench.json, print it as a table."""

import tempfile
from pathlib import Path

from bench import button, ear, press_to_board, screen
from bench.measure import show, write

OUT = Path("build/bench.json")


def main() -> None:
    """Measure everything in a throw-away folder."""
    with tempfile.TemporaryDirectory(prefix="stayby-bench-") as folder:
        place = Path(folder)
        measures = {
            **press_to_board.measure(place / "store"),
            **button.measure(),
            **ear.measure(place / "ear"),
            **screen.measure(place / "screen"),
        }
    write(measures, OUT)
    show(measures)
    print(f"written to {OUT}")


main()

"""The screen: a process of its own that shows what is so and passes on what is touched."""

import gc
import importlib
from pathlib import Path

from kiosk.config import UnitConfig


def run(config: UnitConfig, remote: Path | None = None) -> None:
    """Run the screen until it is told to stop; `remote` is a socket for tests and demos to see and touch it by.

    Raises `SystemExit` with code 1, after one line in the log, when there is no display or the run folder cannot be used.
    """
    # A screen that starts again has to be back at once, and nothing that it makes until then is ever thrown away.
    gc.disable()
    prepare = importlib.import_module("kiosk.ui.window").prepare
    prepare(config)
    # Kivy reads its environment once, when it is first imported: only here, and only in this process.
    screen = importlib.import_module("kiosk.ui.process").Screen(config, remote)
    gc.freeze()
    gc.enable()
    screen.run()

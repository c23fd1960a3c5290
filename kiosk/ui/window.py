"""Opens the one window: everything that Kivy must be told before its first import, the panel's input, and the font."""

import ctypes
import importlib
import logging
import os
import sys
from ctypes.util import find_library
from pathlib import Path
from typing import Any

from kiosk.config import UiSection, UnitConfig
from kiosk.ui.fonts import Fonts

log = logging.getLogger(__name__)

ARENA_MAX, MMAP_THRESHOLD, TRIM_THRESHOLD = -8, -3, -1
"""What `mallopt` calls them (malloc.h of the GNU C library)."""
KEPT_FREE_BYTES = 128 * 1024

FRAMES_PER_S = 33
"""Asked of Kivy's clock, which sleeps a little less and makes 45 of it where the machine has nothing else to do."""
DISPLAYS = "wayland,x11,KMSDRM"
"""What SDL may open unless told otherwise. Left alone it ends at an invisible window when no display is there."""


def own_dir(config: UnitConfig) -> Path:
    """Return the folder that this process may write: its own from systemd, or the unit's run folder without systemd."""
    return Path(os.environ.get("RUNTIME_DIRECTORY") or config.unit.run_dir)


def prepare(config: UnitConfig) -> None:
    """Set the environment that Kivy reads at its first import; exit with code 1 when its folder cannot be made."""
    thrifty()
    home = own_dir(config) / "kivy"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.error("screen: folder %s: %s; check [unit] run_dir and its owner", home, error.strerror)
        raise SystemExit(1) from None
    os.environ |= {
        # Kivy's clock reads this one when it is imported, which is before a window can be configured.
        "KCFG_GRAPHICS_MAXFPS": str(FRAMES_PER_S),
        "KIVY_HOME": str(home),
        "KIVY_IMAGE": "sdl2",
        "KIVY_LOG_MODE": "PYTHON",
        "KIVY_NO_ARGS": "1",
        "KIVY_NO_CONFIG": "1",
        "KIVY_NO_CONSOLELOG": "1",
        "KIVY_NO_FILELOG": "1",
        "KIVY_TEXT": "sdl2",
        "KIVY_METRICS_DENSITY": "1",
        "KIVY_WINDOW": "sdl2",
    }
    os.environ.setdefault("SDL_VIDEODRIVER", DISPLAYS)
    # Where there is no GPU, Mesa draws without threads of its own: 23 MB less, and no slower.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    # A filter, because Kivy sets the level itself when it is imported.
    logging.getLogger("kivy").addFilter(lambda record: record.levelno >= logging.WARNING)
    if config.ui.fullscreen:
        # The panel is read through evdev, so SDL must not turn its touches into a mouse as well: that is the double touch.
        os.environ["SDL_TOUCH_MOUSE_EVENTS"] = "0"


def thrifty() -> None:
    """Have freed memory go back to the system: pictures and letters come and go, and 10 MB of them stayed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return  # a C library other than GNU's
    for what, value in ((ARENA_MAX, 1), (MMAP_THRESHOLD, KEPT_FREE_BYTES), (TRIM_THRESHOLD, KEPT_FREE_BYTES)):
        mallopt(what, value)


def give_back() -> None:
    """Return to the system what is free between what is in use: after some pages it is 3 to 9 MB. Takes a few milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def open_window(ui: UiSection) -> Any:
    """Return Kivy's window; exit with code 1, after one line, when there is no display to open it on."""
    kivy_log = logging.getLogger("kivy")
    kivy_log.setLevel(logging.CRITICAL + 1)
    config = importlib.import_module("kivy.config").Config
    _configure(config, ui)
    window = importlib.import_module("kivy.core.window").Window
    kivy_log.setLevel(logging.WARNING)
    if window is None:
        log.error(
            "screen: no window could be opened (SDL_VIDEODRIVER=%s); connect a display, add the user to the groups video, "
            "render and input, install libgl1-mesa-dri, or set SDL_VIDEODRIVER=offscreen to run without a display",
            os.environ["SDL_VIDEODRIVER"],
        )
        raise SystemExit(1)
    return window


def _configure(config: Any, ui: UiSection) -> None:
    graphics = {
        "width": ui.width,
        "height": ui.height,
        "fullscreen": "auto" if ui.fullscreen else "0",
        "show_cursor": 0 if ui.fullscreen else 1,
        "allow_screensaver": 0,
        "resizable": 0 if ui.fullscreen else 1,
        "multisamples": 0,
    }
    for name, value in graphics.items():
        config.set("graphics", name, str(value))
    config.set("kivy", "exit_on_escape", "0" if ui.fullscreen else "1")
    config.set("kivy", "window_icon", "")
    for name, _ in config.items("input"):
        config.remove_option("input", name)
    config.set("input", *_input(ui))


def _input(ui: UiSection) -> tuple[str, str]:
    """Return the one input provider: the mouse in a window, the touch panel's evdev device in fullscreen."""
    if not ui.fullscreen:
        return "mouse", "mouse,disable_multitouch"
    if find_library("mtdev"):
        return "panel_%(name)s", "probesysfs,provider=mtdev,select_all=0"
    log.warning("screen: libmtdev is missing; the panel is read without it (apt install libmtdev1)")
    return "panel_%(name)s", "probesysfs,provider=hidinput,select_all=0"


def fonts() -> Fonts:
    """Return the fonts to draw with; Kivy's own Roboto stands in where Noto Sans is missing."""
    folder = Path(sys.modules["kivy"].__file__ or "").parent / "data" / "fonts"
    return Fonts(stand_in=(folder / "Roboto-Regular.ttf", folder / "Roboto-Bold.ttf"))

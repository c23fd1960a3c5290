"""`python -m bench.room FOLDER`: what stands around a unit that others run: broker, button, microphone, one of the staff.

Writes FOLDER/kiosk.toml for a unit that keeps its state where the package does. Reads "press" from its input, and ends with it.
Prints each change that a board would show.
"""

import os
import select
import stat
import sys
import threading
import time
from pathlib import Path

from bench.broker_kills import station_of
from kiosk.board.station import Station
from kiosk.demo.stage import SAM, Stage

LOOK_S = 0.2


def open_to_all(folder: Path) -> None:
    """Let the users of the services read what is in the folder, use its sockets, and open the button's port."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_symlink():
            path.resolve().chmod(0o666)
        else:
            mode = path.stat().st_mode
            path.chmod(stat.S_IMODE(mode) | (0o666 if stat.S_ISSOCK(mode) else 0o555 if path.is_dir() else 0o444))


def shown(sam: Station) -> str:
    """Return what a board shows of the unit, in one line."""
    now_s = time.monotonic()
    desk = next(iter(sam.model.desks()), None)
    if desk is None:
        return "nothing"
    state = "lost" if desk.lost(now_s) else desk.status.state
    alerts = [f"{one.snapshot.state} by {one.snapshot.trigger}" for one in sam.model.open_incidents()]
    return " ".join([state, *(fault.code for fault in desk.status.faults), *alerts])


def main(folder: Path) -> None:
    """Be there until the input ends."""
    with Stage(folder) as stage:
        stage.write_config()
        stage.start_broker()
        stage.start_button()
        stage.start_microphone()
        text = stage.config_file.read_text().replace(str(folder / "state"), "/var/lib/stayby")
        stage.config_file.write_text(text.replace(str(stage.run_dir), "/run/stayby"))
        open_to_all(folder)
        wake, deaths = threading.Event(), list[BaseException]()
        sam = station_of(stage.broker, SAM, wake, deaths)
        print("ready", flush=True)
        said = ""
        while True:
            sam.take_inbox(time.monotonic())
            sam.tick(time.monotonic())
            sam.listen(time.monotonic(), listening=True)
            if (now := shown(sam)) != said:
                said = now
                print(f"board: {said}", flush=True)
            if select.select([sys.stdin], [], [], LOOK_S)[0]:
                asked = os.read(sys.stdin.fileno(), 64)
                if not asked:
                    break
                stage.tap_button()
        sam.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())

"""Installs a staged update, has the unit prove itself with it, and keeps it, or puts back the version that was.

Rules
- One file that needs nothing but Debian's own Python: it runs as a copy in its own folder, while our packages are half there too.
- Where it stands is in `state.json`, on the disk before the next step begins. Whatever dies, and whenever: run again, it goes on.
- `after` is pure, and every phase meets every event. Whether an update is taken at all was decided before (kiosk/update/pull.py).
- While a call is open nothing is installed and nothing put back: the unit has a person before it. It is asked again once all
  is unpacked, which takes minutes: what a package's script does then starts hub and screen anew.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

FOLDER = Path("/var/lib/stayby-update")
STATE, LOCK = "state.json", "lock"
INSTALLS_MOST = 2
"""So often an installation is begun: one that a power cut ended goes on; one that ends the power is not tried for ever."""
PROVES_MOST = 3
"""So often the machine may start anew with a version that is not proven yet."""
MISSES_MOST = 3
BACKS_MOST = 5
"""So often in a row the former version is put back, before the service ends with an error and systemd starts it anew later."""
NOT_NOW = 75
REFUSED_KEPT = 20
ASK_S, INSTALL_S, PROVE_S = 30.0, 1800.0, 900.0
PAUSE_S = float(os.environ.get("STAYBY_UPDATE_PAUSE_S") or 60)
CALM_S = 10.0
"""So often it is asked whether a call is open still."""
LINE_MOST, SAID_MOST = 200, 4000


class Phase(StrEnum):
    """Where an update stands."""

    STAGED = "staged"
    INSTALLING = "installing"
    PROVING = "proving"
    GOOD = "good"
    GOING_BACK = "going-back"
    BACK = "back"


UNDER_WAY = frozenset({Phase.INSTALLING, Phase.PROVING, Phase.GOING_BACK})


class Event(StrEnum):
    """What happens to it.

    WANTED: it is to be installed now. BEGUN: this program starts, first or again. UNTOUCHED: it would not go in, and what runs is
    as it was. RECALLED: a technician wants the one before.
    """

    WANTED = "wanted"
    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    UNTOUCHED = "untouched"
    RECALLED = "recalled"


class Unreadable(ValueError):
    """The state cannot be read; its text says why."""


@dataclass(frozen=True)
class Kept:
    """A package in the folder."""

    version: str
    file: str
    sha256: str


@dataclass(frozen=True)
class State:
    """All that must survive a power cut.

    `duty` are the services that ran before, `tries` how often this phase was begun, `why` the new version goes back, `trouble`
    what keeps the former one from coming back, `refused` why each version went back that is not to be tried again by itself.
    """

    phase: Phase
    old: Kept
    new: Kept
    duty: tuple[str, ...] = ()
    tries: int = 0
    why: str = ""
    trouble: str = ""
    at_unix_s: float = 0.0
    refused: dict[str, str] = field(default_factory=dict)


def after(state: State, event: Event, why: str = "") -> State:
    """Return what follows; what an event does not concern stays as it is."""
    if event in {Event.WANTED, Event.UNTOUCHED}:
        return _staged(state, event, why)
    if event is Event.BEGUN:
        return _begun(state)
    if event is Event.DONE:
        return _done(state)
    if event is Event.RECALLED:
        forward = {Phase.INSTALLING, Phase.PROVING, Phase.GOOD}
        return _going_back(state, "a technician wanted the version before") if state.phase in forward else state
    if state.phase is Phase.GOING_BACK:
        return replace(state, trouble=why)
    return _going_back(state, why) if state.phase in UNDER_WAY else state


def _staged(state: State, event: Event, why: str) -> State:
    if event is Event.WANTED:
        return replace(state, phase=Phase.INSTALLING, tries=0, why="") if state.phase is Phase.STAGED else state
    return replace(state, phase=Phase.STAGED, tries=0, why=why) if state.phase is Phase.INSTALLING else state


def _begun(state: State) -> State:
    if state.phase is Phase.INSTALLING and state.tries >= INSTALLS_MOST:
        return _going_back(state, f"its installation was broken off {state.tries} times")
    if state.phase is Phase.PROVING and state.tries >= PROVES_MOST:
        return _going_back(state, f"the unit started anew {state.tries} times before it was proven")
    return replace(state, tries=state.tries + 1) if state.phase in UNDER_WAY else state


def _done(state: State) -> State:
    if state.phase is Phase.INSTALLING:
        return replace(state, phase=Phase.PROVING, tries=0)
    if state.phase is Phase.PROVING:
        return replace(state, phase=Phase.GOOD, tries=0)
    if state.phase is Phase.GOING_BACK:
        refused = [*state.refused.items(), (state.new.version, state.why)][-REFUSED_KEPT:]
        return replace(state, phase=Phase.BACK, tries=0, trouble="", refused=dict(refused))
    return state


def _going_back(state: State, why: str) -> State:
    return replace(state, phase=Phase.GOING_BACK, tries=0, why=why)


# --- its file ---------------------------------------------------------------------------------------------------------


def load(folder: Path) -> State | None:
    """Return the state, None when there is none; raise `Unreadable` or `OSError`."""
    try:
        found = json.loads((folder / STATE).read_bytes())
        old, new = (
            Kept(**{key: str(found[which][key]) for key in ("version", "file", "sha256")}) for which in ("old", "new")
        )
        return State(
            phase=Phase(found["phase"]),
            old=old,
            new=new,
            duty=tuple(str(one) for one in found["duty"]),
            tries=int(found["tries"]),
            why=str(found["why"]),
            trouble=str(found["trouble"]),
            at_unix_s=float(found["at_unix_s"]),
            refused={str(key): str(value) for key, value in dict(found["refused"]).items()},
        )
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unreadable(f"{folder / STATE} is damaged ({error!r}); remove it, and install a package by hand") from None


def save(folder: Path, state: State) -> None:
    """Have the state on the disk, whole."""
    text = json.dumps(asdict(replace(state, at_unix_s=time.time())), indent=1)
    new = folder / f"{STATE}.new"
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.chmod(0o644)  # the hub reads it
    new.replace(folder / STATE)
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextlib.contextmanager
def alone(folder: Path) -> Any:
    """Keep other runs off the folder meanwhile; raise `BlockingIOError` when there is one."""
    with (folder / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


# --- the machine ------------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    """Write a line to the journal now."""
    print(text, flush=True)


def ask(*command: str, within_s: float = ASK_S, errors: int = subprocess.STDOUT) -> tuple[int, str]:
    """Run a program; return its exit code (124: it took too long, 127: it is not here) and all that it said.

    What it says to its standard error is part of it, unless `errors` is DEVNULL.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            check=False,
            timeout=within_s,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        )
    except subprocess.TimeoutExpired:
        return 124, f"{command[0]} took more than {within_s:.0f} s"
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"
    return done.returncode, done.stdout.decode(errors="replace")


def last_line(text: str) -> str:
    """Return the last line of what a program said."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return (lines or ["no word why"])[-1][:LINE_MOST]


def missed(text: str) -> str:
    """Return what `stayby prove` says was missed first, or else its last line."""
    lines = [line.removeprefix("MISSED") for line in text.splitlines() if line.startswith("MISSED")]
    return last_line(lines[0] if lines else text)


def dpkg_error(text: str) -> str:
    """Return the line of dpkg's that says why; its last ones only say what was left undone."""
    wrong = [line for line in text.splitlines() if "error" in line]
    return last_line(wrong[-1] if wrong else text)


def installed() -> tuple[str, bool]:
    """Return the version that dpkg knows here, and whether it is wholly installed."""
    show = ("dpkg-query", "--show", "--showformat=${db:Status-Abbrev}|${Version}", "stayby")
    code, said = ask(*show, errors=subprocess.DEVNULL)
    status, _, version = said.partition("|")
    return (version.strip(), status == "ii ") if code == 0 else ("", False)


def by_hand(state: State) -> str | None:
    """Return the version that is wholly installed here, if this update knows nothing of it."""
    version, whole = installed()
    return version if whole and version not in {state.old.version, state.new.version} else None


def hub_says() -> dict[str, Any] | None:
    """Return how the unit is by its hub; None when it gives no answer."""
    _, said = ask("stayby", "status", "--json", errors=subprocess.DEVNULL)
    try:
        found = json.loads(said)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def has_systemd() -> bool:
    """Return whether services are run here."""
    return Path("/run/systemd/system").is_dir() and shutil.which("systemctl") is not None


def is_whole(folder: Path, package: Kept) -> bool:
    """Return whether a package lies in the folder as it was staged."""
    try:
        with (folder / package.file).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == package.sha256
    except OSError:
        return False


# --- the way ----------------------------------------------------------------------------------------------------------

Outcome = tuple[Event, str]


@dataclass(frozen=True)
class Way:
    """One update on its way, and how patient it is (seconds)."""

    folder: Path
    pause_s: float = PAUSE_S
    ready_s: float = 300.0
    not_now_s: float = 12 * 3600.0
    silent_s: float = PAUSE_S

    def go(self) -> int:
        """Go on from where it stands until it has come to an end; return the exit code."""
        state = load(self.folder)
        if state is None or state.phase not in UNDER_WAY or self._was_taken_over(state):
            return 0
        state = self._keep(after(state, Event.BEGUN))
        while state.phase in UNDER_WAY:
            event, why = self._step(state)
            state = self._keep(after(state, event, why))
            if state.phase is Phase.GOING_BACK and event is Event.FAILED and state.trouble:
                return 0 if self._was_taken_over(state) else 1
        return 0

    def _was_taken_over(self, state: State) -> bool:
        """End it where somebody installed another version by hand: that one stays."""
        if (other := by_hand(state)) is None:
            return False
        (self.folder / STATE).unlink(missing_ok=True)
        say(f"{other} was installed by hand: the update from {state.old.version} to {state.new.version} is over")
        return True

    def _keep(self, state: State) -> State:
        save(self.folder, state)
        why = f": {state.trouble or state.why}" if state.trouble or state.why else ""
        say(f"update from {state.old.version} to {state.new.version}: {state.phase}{why}")
        return state

    def _step(self, state: State) -> Outcome:
        if state.phase is Phase.INSTALLING:
            return self._bring_in(state)
        if state.phase is Phase.PROVING:
            return self._prove(state)
        return self._put_back(state)

    def _bring_in(self, state: State) -> Outcome:
        """Install the new one; what a held lock or a full card kept out is tried again, and is no fault of the version."""
        for _ in range(BACKS_MOST):
            event, why = self._install(state.new)
            untouched = installed() == (state.old.version, True) and is_whole(self.folder, state.new)
            if event is Event.DONE or not untouched:
                return event, why
            say(f"{state.new.version}: {why}")
            time.sleep(self.pause_s)
        return Event.UNTOUCHED, why

    def _install(self, package: Kept) -> Outcome:
        self._wait_for_calm()
        if not is_whole(self.folder, package):
            return Event.FAILED, f"{package.file} is damaged on the card"
        code, said = ask("dpkg", "--force-confold", "--unpack", str(self.folder / package.file), within_s=INSTALL_S)
        if code == 0:
            self._wait_for_calm()
            code, said = ask("dpkg", "--force-confold", "--configure", "stayby", within_s=INSTALL_S)
        os.sync()  # the bytecode that its script made is no business of dpkg's
        if code == 0 and installed() == (package.version, True):
            return Event.DONE, ""
        say(said[-SAID_MOST:])
        return Event.FAILED, f"it could not be installed ({dpkg_error(said)})"

    def _prove(self, state: State) -> Outcome:
        if not self._is_ready(state):
            return self._fails("its services did not start")
        misses, until_s = 0, time.monotonic() + self.not_now_s
        while True:
            code, said = ask("stayby", "prove", within_s=PROVE_S)
            if code == 0:
                return Event.DONE, ""
            if code != NOT_NOW:
                misses += 1
            elif time.monotonic() > until_s:
                return self._fails(f"it found no hour to prove itself ({last_line(said)})")
            say(f"not proven: {missed(said)}")
            if misses == MISSES_MOST:
                return self._fails(f"it did not prove itself ({missed(said)})")
            time.sleep(self.pause_s)

    def _fails(self, why: str) -> Outcome:
        self._wait_for_calm()
        return Event.FAILED, why

    def _put_back(self, state: State) -> Outcome:
        trouble = ""
        for _ in range(BACKS_MOST):
            event, trouble = (Event.DONE, "") if installed() == (state.old.version, True) else self._install(state.old)
            if event is Event.DONE:
                if not self._is_ready(state):
                    say(f"{state.old.version} is back, and its services did not start; see: stayby doctor")
                return Event.DONE, ""
            say(f"{state.old.version}: {trouble}")
            time.sleep(self.pause_s)
            if by_hand(state) is not None:
                break
        return Event.FAILED, trouble

    def _is_ready(self, state: State) -> bool:
        until_s = time.monotonic() + self.ready_s
        while not (self._run(state.duty) and hub_says() is not None):
            if time.monotonic() > until_s:
                return False
            time.sleep(min(self.pause_s, 2.0))
        return True

    @staticmethod
    def _run(duty: tuple[str, ...]) -> bool:
        return not has_systemd() or all(ask("systemctl", "is-active", "--quiet", one)[0] == 0 for one in duty)

    def _wait_for_calm(self) -> None:
        """Wait while a call is open. A hub that says nothing may just start again, with a call; one that stays silent is none."""
        told, silent_since_s = False, time.monotonic()
        while True:
            found, now_s = hub_says(), time.monotonic()
            if found is None and now_s - silent_since_s >= self.silent_s:
                say("the hub says nothing: going on without its word")
                return
            if found is not None and found.get("incident") is None:
                return
            if found is not None:
                silent_since_s = now_s
                if not told:
                    say("a call is open: waiting until staff have closed it")
                told = True
            time.sleep(min(self.pause_s, CALM_S))


def main() -> int:
    """Go on with the update in the folder."""
    parser = argparse.ArgumentParser(description="Go on with the update of Stayby that is under way, if there is one.")
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("STAYBY_UPDATE_DIR") or FOLDER))
    for name in ("pause", "ready", "not_now", "silent"):
        option = f"--{name.replace('_', '-')}-s"
        parser.add_argument(option, dest=f"{name}_s", type=float, default=getattr(Way, f"{name}_s"))
    given = parser.parse_args()
    try:
        with alone(given.folder):
            return Way(**vars(given)).go()
    except BlockingIOError:
        say("an update is under way already")
        return 0
    except (Unreadable, OSError) as error:
        say(f"the update cannot go on: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())

"""The command hook: a program of the store's own, run on each change of an alert.

The change is JSON on its standard input. Nothing of it is in its arguments or its environment, no shell is between, its path is
whole and nobody but root or we can change what stands there. It has `RUN_S`; then it and all that it started are killed.
"""

import contextlib
import os
import selectors
import signal
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from kiosk.relay.notice import Notice, plain
from kiosk.relay.way import NotTold, way_key
from kiosk.store_config import CommandSection

RUN_S = 30.0
SAID_BYTES = 2048
SAID_LETTERS = 200
READ_BYTES = 65536
LOOK_S = 0.1
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def refusal(program: Path) -> str:
    """Return why this program is not run, or "": all of its path must be out of the reach of others."""
    if not program.is_absolute():
        return f"{program} is not a whole path; write it from / on"
    try:
        real = program.resolve(strict=True)
        if not stat.S_ISREG(real.stat().st_mode) or not os.access(real, os.X_OK):
            return f"{program} is no program that this user may run; look at its rights (chmod)"
        return next(filter(None, (_open_to_others(one) for one in (real, *real.parents))), "")
    except OSError as error:
        return f"{program} cannot be found ({error.strerror}); put it there, or correct program in store.toml"


def _open_to_others(path: Path) -> str:
    about = path.stat()
    if about.st_uid not in {0, os.geteuid()}:
        return f"{path} belongs to another user; give it to root (chown root)"
    shared = stat.S_ISDIR(about.st_mode) and about.st_mode & stat.S_ISVTX  # nobody moves another's file in /tmp
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not shared:
        return f"others may write {path}; forbid it (chmod go-w)"
    return ""


def told_json(notice: Notice) -> bytes:
    """Return what the program reads: one JSON object and a line's end."""
    return notice.model_dump_json().encode() + b"\n"


class Command:
    """One [[command]] of store.toml. `said` is the last run's output, on one line."""

    def __init__(self, section: CommandSection, number: int) -> None:
        self._program = section.program
        self.name = f"command {number} ({plain(section.program.name)})"
        self.key, self.silent = way_key("command", str(section.program)), section.silent
        self.said = ""
        self._stopping = threading.Event()

    def tell(self, notice: Notice) -> None:
        """Run the program to its end; raise `NotTold` when it is refused, fails, or takes too long."""
        if wrong := refusal(self._program):
            raise NotTold(f"not run: {wrong}")
        with tempfile.TemporaryFile() as given:
            given.write(told_json(notice))
            given.seek(0)
            reading, writing = os.pipe()
            with os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as out:
                try:
                    running = subprocess.Popen(
                        [self._program.resolve()], stdin=given, stdout=out, stderr=out, env=ENVIRONMENT, cwd="/",
                        process_group=0, umask=0o077,
                    )  # fmt: skip
                except OSError as error:
                    raise NotTold(f"cannot be run ({error.strerror}); look at its first line and its rights") from None
                out.close()
                self._judge(*self._run(running, reading))

    def _run(self, running: subprocess.Popen[bytes], pipe: int) -> tuple[int | None, str]:
        """Return the exit code (None when it took too long) and what it said, and leave nothing of it behind."""
        said = self._listen(running, pipe)
        code = running.poll()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        return code, plain(said.decode(errors="replace")).strip()[:SAID_LETTERS]

    def _listen(self, running: subprocess.Popen[bytes], pipe: int) -> bytes:
        """Read what it says until it ends; the first of it is kept."""
        said, until_s = b"", time.monotonic() + RUN_S
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while time.monotonic() < until_s and not self._stopping.is_set():
                ended = running.poll() is not None
                if not selector.select(0 if ended else LOOK_S):
                    if ended:
                        break
                    continue
                read = os.read(pipe, READ_BYTES)
                said = (said + read)[:SAID_BYTES]
                if not read:
                    self._await_end(running, until_s)
                    break
        return said

    def _await_end(self, running: subprocess.Popen[bytes], until_s: float) -> None:
        while running.poll() is None and time.monotonic() < until_s and not self._stopping.wait(LOOK_S / 10):
            pass

    def _judge(self, code: int | None, said: str) -> None:
        self.said = said
        words = f": {said}" if said else ""
        if code is None:
            raise NotTold(f"took over {RUN_S:g} s and was killed{words}; make it end sooner")
        if code != 0:
            raise NotTold(f"ended with {code}{words}; look at the program")

    def stop(self) -> None:
        """Kill what runs."""
        self._stopping.set()

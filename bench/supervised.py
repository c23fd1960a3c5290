"""Does for one service what systemd does by its unit file: kills it when it is not fed in time, and starts it again, for ever."""

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from bench.systemd_ear import SystemdEar

SYSTEMD = Path(__file__).resolve().parent.parent / "systemd"
ABORT_S = 5.0


def seconds(service: str, key: str) -> float:
    """Return a time of a service's unit file, in seconds; raise `LookupError` when it is not there."""
    found = re.search(rf"^{key}=(\d+)(ms|s)?$", (SYSTEMD / f"stayby-{service}.service").read_text(), flags=re.MULTILINE)
    if found is None:
        raise LookupError(f"stayby-{service}.service has no {key}")
    return int(found[1]) / (1000 if found[2] == "ms" else 1)


class Supervised:
    """A service under a watchdog of `watchdog_s`, by its unit file if None. Call `turn` a few times a second."""

    def __init__(
        self, service: str, command: list[str], folder: Path, env: dict[str, str], watchdog_s: float | None = None
    ) -> None:
        self.watchdog_s = watchdog_s or seconds(service, "WatchdogSec")
        self._restart_s = seconds(service, "RestartSec")
        self.systemd = SystemdEar(folder / f"{service}.notify")
        self._command = command
        self._env = {**os.environ, **env, **self.systemd.env, "PYTHONFAULTHANDLER": "1"}
        self.log = folder / f"{service}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at_s = 0.0
        self.starts = self.kills = 0

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None  # noqa: S101 - it was started
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether it said that it is on duty."""
        return self._process is not None and self.systemd.ready_s is not None

    def signal(self, number: signal.Signals) -> None:
        """Send the service a signal."""
        os.kill(self.pid, number)

    def turn(self) -> None:
        """Hear it, kill it when it is not fed, start it when it is due."""
        now_s = time.monotonic()
        self.systemd.hear()
        if self._process is None:
            if now_s >= self._start_at_s:
                self._start()
            return
        fed_s = self.systemd.fed_s
        if self._process.poll() is None and fed_s is not None and now_s - fed_s > self.watchdog_s:
            self.kills += 1
            self._abort(self._process)
        if self._process.poll() is not None:
            self._process, self._start_at_s = None, time.monotonic() + self._restart_s

    def _start(self) -> None:
        self.systemd.forget()
        self.starts += 1
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env, start_new_session=True
            )

    def _abort(self, process: subprocess.Popen[bytes]) -> None:
        for number in (signal.SIGABRT, signal.SIGCONT):
            process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ABORT_S)
        self._kill_all(process)

    @staticmethod
    def _kill_all(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):  # its children too, as systemd does
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """End it for good."""
        if self._process is not None:
            self._kill_all(self._process)
        self.systemd.close()

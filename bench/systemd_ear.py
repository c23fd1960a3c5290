"""Stands in for systemd at the other end of NOTIFY_SOCKET: hears what services say, and when."""

import contextlib
import socket
import time
from pathlib import Path
from typing import Self

HEARD_BYTES = 4096


class SystemdEar:
    """A datagram socket at `path`; with `abstract` it has a name that is no file, as systemd in a container has."""

    def __init__(self, path: Path, *, abstract: bool = False) -> None:
        self.name = f"@{path}" if abstract else str(path)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(f"\0{path}" if abstract else str(path))
        self.ready_s: float | None = None
        self.fed_s: float | None = None
        self.meals = 0
        self.status = ""
        self.lines: list[str] = []

    @property
    def env(self) -> dict[str, str]:
        """What a service's environment needs."""
        return {"NOTIFY_SOCKET": self.name}

    def hear(self, wait_s: float = 0.0) -> bool:
        """Take what was said, waiting for the first word so long; return whether there was any."""
        heard = False
        self._sock.settimeout(wait_s)
        with contextlib.suppress(BlockingIOError, TimeoutError):
            while True:
                self._take(self._sock.recv(HEARD_BYTES).decode())
                heard = True
                self._sock.setblocking(False)
        return heard

    def _take(self, said: str) -> None:
        now_s = time.monotonic()
        for line in said.splitlines():
            self.lines.append(line)
            name, _, value = line.partition("=")
            if name == "READY":
                self.ready_s = now_s
            elif name == "WATCHDOG":
                self.fed_s, self.meals = now_s, self.meals + 1
            elif name == "STATUS":
                self.status = value

    def forget(self) -> None:
        """Begin anew, with the next start of the service."""
        self.hear()
        self.ready_s = self.fed_s = None
        self.meals, self.status = 0, ""
        self.lines.clear()

    def close(self) -> None:
        """Let the socket go."""
        self._sock.close()
        if not self.name.startswith("@"):
            Path(self.name).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

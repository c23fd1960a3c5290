"""Drives a running simulated unit from another terminal: one line to a Unix socket, one line back."""

import logging
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from firmware_bridge.simulator import SimulatedButton, SimulatorError
from firmware_bridge.simulator.actions import ACTIONS as BY_NAME
from firmware_bridge.simulator.actions import ActionError, read_action

LINE_MAX = 256
ANSWER_S = 5.0
TAP_S = 0.15

log = logging.getLogger(__name__)


def default_control_path(unit: str = "") -> Path:
    """Return where a running simulated unit listens: one place for each user and name."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    name = f"-{unit}" if unit else ""
    return Path(runtime) / f"stayby-sim{name}.sock" if runtime else Path(f"/tmp/stayby-sim-{os.getuid()}{name}.sock")  # noqa: S108


def _tap(button: SimulatedButton) -> None:
    button.press()
    time.sleep(TAP_S)
    button.release()


def _status(button: SimulatedButton) -> str:
    now = button.status()
    lit = [name for name in ("led", "buzzer", "relay") if now[name] == "1"]
    plugged = "plugged" if now["plugged"] == "1" else "unplugged"
    said = [
        f"{plugged}, loop {int(now['loop_mv']) / 1000:.2f} V, covert {int(now['covert_mv']) / 1000:.2f} V",
        f"lid {'open' if now['lid'] == '1' else 'closed'}, on: {', '.join(lit) or 'nothing'}",
    ]
    faults = {
        "no power": now["powered"] == "0",
        "the clock stands": now["frozen"] == "1",
        "wires broken": now["wire"] == "0",
        f"{float(now['garbled']):.1%} of the bytes damaged": float(now["garbled"]) > 0,
        "flooded": now["flood"] != "0",
    }
    return ", ".join(said + [fault for fault, there in faults.items() if there])


HERE: dict[str, Callable[[SimulatedButton], str | None]] = {"tap": _tap, "status": _status}
"""What is done or asked by hand only, beside `actions.ACTIONS`."""
ACTIONS = (*BY_NAME, *HERE)


def ask(control: Path, action: str) -> str:
    """Have a running simulated unit do `action`; return its answer. Raises SimulatorError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_S)
        try:
            connection.connect(str(control))
            connection.sendall(f"{action}\n".encode())
            answer = connection.makefile().readline().strip()
        except OSError as error:
            raise SimulatorError(
                f"no simulated button listens at {control} ({error}): start one with stayby sim run"
            ) from error
    if not answer.startswith("ok"):
        raise SimulatorError(answer or f"the simulated button at {control} ended while it was asked: start it again")
    return answer.removeprefix("ok").strip()


class _Asked(socketserver.StreamRequestHandler):
    timeout = ANSWER_S

    def handle(self) -> None:
        assert isinstance(self.server, _Server)  # noqa: S101 - narrows the type, cannot fail
        try:
            line = self.rfile.readline(LINE_MAX).decode(errors="replace").strip()
            if line:
                self.wfile.write(f"{self.server.obey(line)}\n".encode())
        except OSError as error:
            log.info("whoever asked the simulated button has gone: %s", error)


class _Server(socketserver.UnixStreamServer):
    def __init__(self, path: Path, button: SimulatedButton) -> None:
        super().__init__(str(path), _Asked)
        self._button = button

    def obey(self, line: str) -> str:
        try:
            here = HERE.get(line)
            if here:
                return f"ok {here(self._button) or ''}"
            read_action(line.split())(self._button)
        except (ActionError, SimulatorError) as error:
            return str(error)
        return "ok"


class ControlSocket:
    """Lets `stayby sim press` and the like reach `button`, as long as the context lasts."""

    def __init__(self, button: SimulatedButton, path: Path | None = None) -> None:
        self.path = path or default_control_path()
        self._button = button
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        _clear_stale(self.path)
        try:
            self._server = _Server(self.path, self._button)
        except OSError as error:
            raise SimulatorError(
                f"cannot listen at {self.path} ({error}): choose another path with --control"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="button-control", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.path.unlink(missing_ok=True)


def _clear_stale(path: Path) -> None:
    """Remove the socket of a unit that was killed; raise SimulatorError when one still listens there."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        if connection.connect_ex(str(path)) == 0:
            raise SimulatorError(f"a simulated button listens at {path} already: end it, or choose another --control")
    path.unlink(missing_ok=True)

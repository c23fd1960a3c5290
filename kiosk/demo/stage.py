"""A whole store on one machine: broker, button, microphone, hub, ear, screen, board and relay, in one throw-away folder.

Every part is the real one, as a process of its own, started as a unit starts it; only the button's chip and the microphone's
sound are simulated. Used by the demo, its stories, the tests and the benchmarks.
"""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from firmware_bridge.simulator import SimulatedButton
from kiosk.board.sessions import invite
from kiosk.bus import BusError, ask, runtime_socket
from kiosk.config import BrokerSection
from kiosk.demo.broker import PrivateBroker
from kiosk.demo.microphone import VirtualMicrophone
from kiosk.demo.webhook import Receiver
from kiosk.messages import AskStatus, Hearing, Person, StatusAnswer
from kiosk.pins import store_pin

STORE, UNIT, PLACE = "harbour", "desk-3", "Service desk 3"
ADDRESS = "Harbour Stores, 12 Quay Street, Leeds LS1 4DL. Ground floor, east door."
START_S = 30.0
STOP_S = 5.0
POLL_S = 0.02
HELD_S = 0.15

T = TypeVar("T")


@dataclass(frozen=True)
class Responder:
    """Somebody of the staff in the play."""

    person: Person
    tier: int


SAM = Responder(Person(id="sam", name="Sam"), 1)
ALEX = Responder(Person(id="alex", name="Alex"), 2)
STAFF = (SAM, ALEX)
PINS = {SAM: "2704", ALEX: "8315"}


class StageError(RuntimeError):
    """A part did not start or did not come to what was waited for; its text says which, and where its log is."""


def wait_for(what: str, look: Callable[[], T | None], timeout_s: float = START_S) -> T:
    """Return the first true thing that `look` returns; raise `StageError` when there is none in time."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline_s:
            raise StageError(f"waited {timeout_s:g} s for {what}, in vain")
        time.sleep(POLL_S)


class Part:
    """One process of the play; it can be killed and started again."""

    def __init__(self, name: str, command: list[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.name, self._command, self._env = name, command, {**os.environ, **(env or {})}
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id; raises `StageError` when it does not run."""
        if self._process is None:
            raise StageError(f"{self.name} does not run")
        return self._process.pid

    def start(self) -> None:
        """Start the process; what it says goes to its log."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env, start_new_session=True
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it in good order, and with force when it does not end."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def ended(self) -> int | None:
        """Return the exit code of a process that ended by itself, else None."""
        return self._process.poll() if self._process is not None else None

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Stage:
    """The store. `start_…` starts one part; leaving the context ends all that were started, newest first.

    With `hears_itself` the unit's speaker sounds in its own virtual microphone's room.
    """

    def __init__(
        self,
        folder: Path,
        *,
        escalation: Mapping[str, float] | None = None,
        headless: bool = True,
        real_microphone: str | None = None,
        hears_itself: bool = False,
    ) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.headless = headless
        self._escalation = dict(escalation or {})
        self._real_microphone = real_microphone
        self._hears_itself = hears_itself
        staff = [one.person.id for one in STAFF]
        self.broker = PrivateBroker(self.folder / "broker", STORE, [UNIT], staff, prefix="homeassistant")
        self.button = SimulatedButton(self.folder / "button", eeprom=self.folder / "button.eeprom")
        self.microphone = VirtualMicrophone(self.folder / "microphone")
        self.parts: dict[str, Part] = {}
        self.board_url = ""
        self._secondary: list[str] = []
        self._ending: list[Callable[[], None]] = []

    # --- paths and files ----------------------------------------------------------------------------------------------

    @property
    def config_file(self) -> Path:
        """The unit's kiosk.toml."""
        return self.folder / "kiosk.toml"

    @property
    def run_dir(self) -> Path:
        """The unit's run folder."""
        return self.folder / "run"

    @property
    def screen_remote(self) -> Path:
        """Where the screen listens for `kiosk.ui.remote.ScreenRemote`."""
        return self.run_dir / "screen.sock"

    def write_config(self) -> None:
        """Write the unit's kiosk.toml as it stands."""
        device = self._real_microphone or self.microphone.device
        tables = [
            _table(
                "unit",
                store=STORE,
                id=UNIT,
                place=PLACE,
                address=ADDRESS,
                country="GB",
                phone="0113 496 0000",
                defibrillator="Red box beside the main doors",
                refuge="the pharmacy counter",
                meet="the north entrance",
                state_dir=self.folder / "state",
                run_dir=self.run_dir,
            ),
            _broker_table(self.broker.section_for_unit(UNIT)),
            _table("button", port=self.folder / "button"),
            _table("listen", device=device),
            _table("escalation", tiers=["the staff", "the manager"], **self._escalation),
            _table("ui", width=800, height=480, fullscreen=False),
            _table("speaker", device=self._speaker()),
        ]
        self.config_file.write_text("\n".join(tables))
        self.config_file.chmod(0o600)

    def _speaker(self) -> str:
        if self._hears_itself:
            return self.microphone.speaker
        return "null" if self.headless else "default"

    # --- parts --------------------------------------------------------------------------------------------------------

    def start_broker(self) -> None:
        """Start the private mosquitto."""
        self.broker.start()
        self._ending.append(self.broker.stop)

    def start_button(self) -> None:
        """Start the button's chip."""
        self.button.start()
        self._ending.append(self.button.stop)

    def start_microphone(self) -> None:
        """Start the virtual microphone, unless a real one is used."""
        if self._real_microphone is None:
            self.microphone.__enter__()
            self._ending.append(lambda: self.microphone.__exit__(None, None, None))

    def start_hub(self) -> Part:
        """Start the hub and wait until it answers."""
        part = self._start("alertd", ["alertd", "--config", str(self.config_file)])
        wait_for("the hub", lambda: self.status(part))
        return part

    def start_listen(self) -> Part:
        """Start the ear and wait until the hub hears of it."""
        env = {} if self._real_microphone else self.microphone.env
        part = self._start("listen", ["listen", "--config", str(self.config_file)], env)
        wait_for("the ear", lambda: self._hears(part))
        return part

    def _hears(self, part: Part) -> bool:
        self._check(part)
        status = self.status()
        return status is not None and status.hearing is Hearing.LISTENING

    def start_screen(self) -> Part:
        """Start the screen; without a display it renders into memory."""
        env = {"MESA_SHADER_CACHE_DIR": str(self.folder / "shaders")}
        if self.headless:
            env["SDL_VIDEODRIVER"] = "offscreen"
        if self._hears_itself:
            env |= self.microphone.env
        command = ["ui", "--config", str(self.config_file), "--remote", str(self.screen_remote)]
        part = self._start("ui", command, env)
        wait_for("the screen", lambda: self._check(part) or self.screen_remote.exists())
        return part

    @property
    def store_file(self) -> Path:
        """The store's store.toml."""
        return self.folder / "store.toml"

    @property
    def board_state_dir(self) -> Path:
        """The board's own folder."""
        return self.folder / "board-state"

    def write_store(self, port: int = 0) -> None:
        """Write the store's store.toml: who is on which tier, by a rota without hours."""
        lines = [
            _table("store", id=STORE, name="Harbour Stores", state_dir=self.board_state_dir),
            _broker_table(self.broker.section_for_board()),
            _table("serve", port=port),
            *(self._staff_table(one) for one in STAFF),
            *(_table("[rota]", tier=one.tier, staff=[one.person.id]) for one in STAFF),
            _table("[unit]", id=UNIT, place=PLACE),
            *self._secondary,
        ]
        self.store_file.write_text("\n".join(lines))
        self.store_file.chmod(0o600)

    def _staff_table(self, one: Responder) -> str:
        section = self.broker.section_for_responder(one.person.id)
        signs_in = section.model_dump(include={"cert_file", "key_file", "username"}, exclude_none=True)
        role = "manager" if one.tier > 1 else "staff"
        return _table(
            "[staff]", id=one.person.id, name=one.person.name, role=role, pin=store_pin(PINS[one]), **signs_in
        )

    def start_board(self, port: int = 0) -> Part:
        """Start the board of the whole store; `board_page` is where one of the staff opens it."""
        self.write_store(port)
        part = self._start("board", ["board", "--config", str(self.store_file)])
        self.board_url = wait_for("the board's address", lambda: self._check(part) or _address(part.said()))
        # after a restart it shall be where open pages look for it
        self.write_store(self._board_port())
        return part

    def _board_port(self) -> int:
        return int(self.board_url.rstrip("/").rsplit(":", 1)[-1])

    def start_relay(self, told: Callable[[str], None]) -> Part:
        """Start the relay beside the running board, with Home Assistant's topics and a webhook; `told` gets what it posts."""
        secret = secrets.token_urlsafe(24)
        receiver = Receiver(secret, told)
        receiver.__enter__()
        self._ending.append(receiver.__exit__)
        own = self.broker.section_for_relay().model_dump(include={"cert_file", "key_file"})
        self._secondary = [
            _table("relay", state_dir=self.folder / "relay", **own),
            _table("home_assistant", drill_by=ALEX.person.id),
            _table("[webhook]", url=receiver.url, secret=secret),
        ]
        self.write_store(self._board_port())
        return self._start("relay", ["relay", "--config", str(self.store_file)])

    def board_page(self, responder: Responder) -> str:
        """Return a link that signs a responder in once, as on their own phone; start the board if it does not run.

        Sam's is at localhost, everybody else's at 127.0.0.1: one browser keeps them apart.
        """
        if "board" not in self.parts:
            self.start_board()
        code = invite(self.board_state_dir, responder.person.id)
        host = "localhost" if responder is SAM else "127.0.0.1"
        return f"{self.board_url.replace('127.0.0.1', host)}invite/{code}"

    def _start(self, name: str, arguments: list[str], env: Mapping[str, str] | None = None) -> Part:
        part = Part(name, [sys.executable, "-m", "kiosk", *arguments], self.folder, env)
        self.parts[name] = part
        part.start()
        self._ending.append(part.stop)
        return part

    @staticmethod
    def _check(part: Part) -> None:
        code = part.ended()
        if code is not None:
            last = part.said().strip().splitlines()[-1:] or ["nothing"]
            raise StageError(f"{part.name} ended with {code}; its last words: {last[0]} ({part.log})")

    def tap_button(self, *, covert: bool = False) -> None:
        """Press the button, or the covert one, as a finger does, and let it go."""
        self.button.press(covert=covert)
        time.sleep(HELD_S)
        self.button.release(covert=covert)

    def status(self, part: Part | None = None) -> StatusAnswer | None:
        """Return what the hub says of the unit; None while it does not answer."""
        if part is not None:
            self._check(part)
        try:
            answer = ask(runtime_socket(self.run_dir), AskStatus(), 2.0)
        except BusError:
            return None
        return answer if isinstance(answer, StatusAnswer) else None

    # --- the whole ----------------------------------------------------------------------------------------------------

    def start_unit(self) -> None:
        """Start everything that stands on the desk, and the broker."""
        self.write_config()
        self.start_broker()
        self.start_button()
        self.start_microphone()
        self.start_hub()
        self.start_screen()
        self.start_listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._ending:
            self._ending.pop()()


def _address(said: str) -> str | None:
    found = re.search(r"http://\S+", said)
    return found.group().rstrip(".,") if found else None


def _table(table: str, /, **values: object) -> str:
    return "\n".join([f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _broker_table(section: BrokerSection) -> str:
    values = section.model_dump(exclude={"password"}, exclude_none=True)
    return _table("broker", **values)


def display_there() -> bool:
    """Return whether a window can be shown here."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))

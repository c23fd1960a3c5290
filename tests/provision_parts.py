"""A store as its manager makes it, for tests: its folder by the real commands, its mosquitto by the files that were written."""

import getpass
import queue
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from typer.testing import CliRunner

from kiosk.cli import app as stayby
from kiosk.config import BrokerSection, load_unit
from kiosk.config_file import read_store
from kiosk.demo.broker import free_port
from kiosk.mqtt import MqttLink
from kiosk.store_config import StoreConfig

PATIENCE_S = 15.0


def run(*arguments: object, typed: str = "") -> tuple[int, str]:
    """Run a command of stayby; return its exit code and all that it said."""
    done = CliRunner().invoke(stayby, [str(each) for each in arguments], input=typed)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@dataclass
class MadeStore:
    """A store in its folder, and the port that its broker will have."""

    folder: Path
    port: int
    board_port: int

    def store(self) -> StoreConfig:
        return read_store(self.folder / "board" / "store.toml")

    def add_unit(self, unit: str, place: str = "Service desk 3", *more: object) -> str:
        """Add a unit and return the code of its claim."""
        code, said = run("store", "add-unit", unit, "--place", place, "--in", self.folder, *more)
        assert code == 0, said
        return next(line.removeprefix("code:").strip() for line in said.splitlines() if line.startswith("code:"))

    def claim(self, unit: str) -> Path:
        return self.folder / "board" / "claims" / f"{unit}.claim"

    def board_section(self) -> BrokerSection:
        return self.store().broker

    def unit_section(self, folder: Path) -> BrokerSection:
        """Return with what a unit signs in whose kiosk.toml lies in `folder`."""
        return load_unit((folder / "kiosk.toml").read_text()).broker

    @contextmanager
    def broker(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the store's mosquitto; what it reads is what the manager's commands wrote."""
        folder = self.folder / "broker"
        with (
            (folder / "log").open("ab") as log,
            subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(folder / "mosquitto.conf")], stdout=log) as mosquitto,
        ):
            try:
                yield mosquitto
            finally:
                mosquitto.terminate()


def make_store(folder: Path, store: str = "harbour", broker_port: int = 0) -> MadeStore:
    """Make a store whose broker and board are on this machine."""
    made = MadeStore(folder, broker_port or free_port("127.0.0.1"), free_port("127.0.0.1"))
    facts = {
        "id": store,
        "name": "Harbour Stores",
        "broker": "localhost",
        "board": "127.0.0.1",
        "zone": "Europe/London",
        "country": "GB",
        "address": "Harbour Street 1",
        "manager": "alex",
        "manager-name": "Alex",
        "broker-port": made.port,
        "board-port": made.board_port,
        "broker-folder": folder.resolve() / "broker",
        "broker-user": getpass.getuser(),
    }
    code, said = run("store", "new", folder, *(part for key, value in facts.items() for part in (f"--{key}", value)))
    assert code == 0, said
    return made


class Client:
    """A client of the broker, and all that its link said."""

    def __init__(self, broker: BrokerSection, name: str, *topics: str) -> None:
        self.said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.link = MqttLink(broker, name, topics, self.said.put, self.said.put)

    def wait(self, kind: type[Any], **facts: object) -> Any:
        """Return the next thing of a kind that the link says, within a deadline."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            event = self.said.get(timeout=max(0.0, deadline_s - time.monotonic()))
            if isinstance(event, kind) and all(getattr(event, key) == value for key, value in facts.items()):
                return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()

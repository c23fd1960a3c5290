"""A private mosquitto with TLS, its own authority, and the access rules of a store: for the demo and for the tests.

Its configuration and its rules of access are the product's, from `kiosk.broker_files`.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Self

import trustme
from pydantic import SecretStr

from kiosk.broker_files import (
    SignIn,
    acl_text,
    board_user,
    home_assistant_user,
    mosquitto_text,
    relay_user,
    staff_user,
    unit_user,
    users,
)
from kiosk.config import BrokerSection

START_S = 10.0


class BrokerError(OSError):
    """The private broker cannot run; its text says why and what to do."""


def free_port(host: str) -> int:
    """Return a TCP port that is free just now."""
    with socket.socket() as sock:
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
        return port


def _mosquitto() -> str:
    found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise BrokerError("mosquitto is not installed; run `sudo apt install mosquitto`")
    return found


class PrivateBroker:
    """A mosquitto of our own in `folder`, on one port that it keeps through `kill`, `freeze` and `restart`.

    Use it as a context manager, or call `start` and `stop`. Everybody signs in with a certificate of the private authority
    (or with a password); `section_for_…` are what they need for it. With `prefix`, Home Assistant's discovery is on it as well.
    Without `persistence` a killed broker forgets everything, retained messages too. Raises `BrokerError`.
    """

    def __init__(
        self,
        folder: Path,
        store: str,
        units: Sequence[str],
        responders: Sequence[str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        names: Sequence[str] = ("localhost", "127.0.0.1"),
        not_after: datetime | None = None,
        sign_in: SignIn = "certificate",
        persistence: bool = False,
        prefix: str | None = None,
    ) -> None:
        self.folder, self.host, self.port, self.sign_in = folder.resolve(), host, port or free_port(host), sign_in
        self.store, self.units, self.responders, self.prefix = store, tuple(units), tuple(responders), prefix
        self.authority = trustme.CA(organization_name="Stayby private broker")
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._write_server(names, not_after, persistence=persistence)
        for user in self._users():
            self._write_client(user)

    def _users(self) -> list[str]:
        return users(self.store, self.units, self.responders, self.prefix)

    def _write_server(self, names: Sequence[str], not_after: datetime | None, *, persistence: bool) -> None:
        self.authority.cert_pem.write_to_path(self.folder / "ca.pem")
        certificate = self.authority.issue_cert(*names, not_after=not_after)
        certificate.private_key_pem.write_to_path(self.folder / "broker.key")
        self._write_chain(certificate, self.folder / "broker.pem")
        (self.folder / "acl").write_text(acl_text(self.store, self.units, self.responders, self.prefix))
        (self.folder / "acl").chmod(0o600)
        me = pwd.getpwuid(os.getuid()).pw_name
        text = mosquitto_text(
            self.folder,
            self.host,
            self.port,
            self.sign_in,
            run_as=me,
            units=len(self.units),
            persistence=persistence,
        )
        (self.folder / "mosquitto.conf").write_text(text)
        if self.sign_in == "password":
            self._write_passwords()

    @staticmethod
    def _write_chain(certificate: trustme.LeafCert, path: Path) -> None:
        path.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))

    def _write_client(self, user: str, not_after: datetime | None = None) -> None:
        certificate = self.authority.issue_cert(common_name=user, not_after=not_after)
        key = self.folder / f"{user}.key"
        certificate.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        self._write_chain(certificate, self.folder / f"{user}.pem")

    def _write_passwords(self) -> None:
        path = self.folder / "passwords"
        path.write_text("".join(f"{user}:{self._password(user)}\n" for user in self._users()))
        path.chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", str(path)], check=True, capture_output=True)

    @staticmethod
    def _password(user: str) -> str:
        return f"secret of {user}"

    def section_for_unit(self, unit: str) -> BrokerSection:
        """Return the `[broker]` table with which a unit signs in."""
        return self._section(unit_user(unit))

    def section_for_responder(self, responder: str) -> BrokerSection:
        """Return the `[broker]` table with which a responder signs in."""
        return self._section(staff_user(responder))

    def section_for_board(self) -> BrokerSection:
        """Return the `[broker]` table with which the store's board reads and records."""
        return self._section(board_user(self.store))

    def section_for_relay(self) -> BrokerSection:
        """Return the `[broker]` table with which the store's relay signs in."""
        return self._section(relay_user(self.store))

    def section_for_home_assistant(self) -> BrokerSection:
        """Return the `[broker]` table with which Home Assistant signs in; it is let in only with `prefix`."""
        return self._section(home_assistant_user(self.store))

    def _section(self, user: str) -> BrokerSection:
        ca_file = self.folder / "ca.pem"
        if self.sign_in == "password":
            secret = SecretStr(self._password(user))
            return BrokerSection(host=self.host, port=self.port, ca_file=ca_file, username=user, password=secret)
        cert_file, key_file = self.folder / f"{user}.pem", self.folder / f"{user}.key"
        return BrokerSection(host=self.host, port=self.port, ca_file=ca_file, cert_file=cert_file, key_file=key_file)

    def start(self) -> None:
        """Start mosquitto and wait until it takes connections."""
        self._log = (self.folder / "mosquitto.log").open("ab")
        command = [_mosquitto(), "-c", str(self.folder / "mosquitto.conf")]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, cwd=self.folder)
        deadline_s = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise BrokerError(f"mosquitto did not start; its last words: {self._last_words()}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), 1.0).close()
        except OSError:
            return False
        return True

    def _last_words(self) -> str:
        lines = (self.folder / "mosquitto.log").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "none"

    @property
    def pid(self) -> int:
        """The process id of the running mosquitto; raises `BrokerError` when it does not run."""
        if self._process is None:
            raise BrokerError("the private broker does not run")
        return self._process.pid

    def stop(self) -> None:
        """End mosquitto in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End mosquitto as a power cut does."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(START_S)
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def freeze(self) -> None:
        """Let mosquitto hang: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """End a `freeze`."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Kill mosquitto if it runs, and start it again on the same port."""
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

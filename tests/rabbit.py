"""A real RabbitMQ with its MQTT plugin over TLS, for tests: a broker that is not mosquitto."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from bench.rabbit_cluster import CONF, HERE, START_S, STOP_S, definitions, load, server, write_identities
from kiosk.broker_files import staff_user, unit_user
from kiosk.config import BrokerSection
from kiosk.demo.broker import free_port

MQTT_5_SINCE = (3, 13)


def knows_mqtt_5() -> bool:
    """Return whether the installed one knows version 5 of MQTT."""
    found = re.search(r"rabbitmq_server-(\d+)\.(\d+)", server() or "")
    assert found is not None, server()
    return (int(found[1]), int(found[2])) >= MQTT_5_SINCE


class RabbitBroker:
    """RabbitMQ in `folder`, on one port; units and responders sign in with certificates, as at `PrivateBroker`."""

    def __init__(self, folder: Path, units: Sequence[str], responders: Sequence[str]) -> None:
        self.folder, self.port = folder.resolve(), free_port(HERE)
        self._process: subprocess.Popen[bytes] | None = None
        self._users = [unit_user(unit) for unit in units] + [staff_user(one) for one in responders]
        epmd = str(free_port(HERE))
        self._env = {
            **os.environ,
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": epmd,
            "ERL_EPMD_ADDRESS": HERE,
            "RABBITMQ_NODENAME": f"stayby{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port(HERE)),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "no-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
        }
        self._write()

    def _write(self) -> None:
        write_identities(self.folder, self._users)
        own = CONF.format(here=HERE, port=self.port, folder=self.folder)
        (self.folder / "rabbitmq.conf").write_text(own + load(self.folder))
        (self.folder / "definitions.json").write_text(json.dumps(definitions(self._users)))

    def section_for_unit(self, unit: str) -> BrokerSection:
        """Return the `[broker]` table of a unit."""
        return self._section(unit_user(unit))

    def section_for_responder(self, responder: str) -> BrokerSection:
        """Return the `[broker]` table of one of the staff."""
        return self._section(staff_user(responder))

    def _section(self, user: str) -> BrokerSection:
        own = self.folder / f"{user}.pem"
        return BrokerSection(host=HERE, port=self.port, ca_file=self.folder / "ca.pem", cert_file=own, key_file=own)

    def start(self) -> None:
        """Start it, and wait until the plugin takes connections."""
        command = server()
        assert command is not None
        with (self.folder / "rabbitmq.log").open("ab") as log:
            self._process = subprocess.Popen([command], env=self._env, stdout=log, stderr=log, start_new_session=True)
        until_s = time.monotonic() + START_S
        while "Server startup complete" not in (self.folder / "rabbitmq.log").read_text(errors="replace"):
            assert self._process.poll() is None, (self.folder / "rabbitmq.log").read_text(errors="replace")[-3000:]
            assert time.monotonic() < until_s, (self.folder / "rabbitmq.log").read_text(errors="replace")[-3000:]
            time.sleep(0.1)

    def stop(self) -> None:
        """End it, and the name server that it started."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOP_S)
            self._process = None
        epmd = shutil.which("epmd") or "/usr/bin/epmd"
        subprocess.run([epmd, "-kill"], env=self._env, check=False, capture_output=True, timeout=STOP_S)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

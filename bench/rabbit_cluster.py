"""Three RabbitMQ nodes with the MQTT plugin on this machine, as one cluster over TLS: a broker for a whole chain of stores.

Each store's bridge signs in with a certificate of its own and may write its own store's topics and nothing else; the chain's
reader may read all and write nothing. RabbitMQ's names for topics have dots where MQTT has slashes.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import trustme

from bench.measure import rss_mb
from kiosk.config import BrokerSection
from kiosk.demo.broker import free_port
from kiosk.messages import PREFIX

HERE = "127.0.0.1"
NODES = 3
START_S, STOP_S = 240.0, 60.0
READER = "chain"
CONF = """\
listeners.tcp = none
mqtt.listeners.tcp = none
mqtt.listeners.ssl.1 = {here}:{port}
mqtt.allow_anonymous = false
mqtt.ssl_cert_login = true
ssl_cert_login_from = common_name
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/broker.pem
ssl_options.keyfile = {folder}/broker.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
log.console = true
log.file = false
"""
"""What one node is told; these keys 3.10 (Debian 12, MQTT 3.1.1) and 4.0 (Debian 13, MQTT 5) both know."""
CONF_OF_CLUSTER = """\
mqtt.prefetch = 1000
mqtt.retained_message_store = rabbit_mqtt_retained_msg_store_ets
cluster_formation.peer_discovery_backend = classic_config
"""


def server() -> str | None:
    """Return RabbitMQ's own start script; Debian's wrapper around it wants to be another user."""
    scripts = sorted(Path("/usr/lib/rabbitmq").glob("lib/rabbitmq_server-*/sbin/rabbitmq-server"))
    return str(scripts[-1]) if scripts else None


def load(folder: Path) -> str:
    """Return the line of a node's configuration that has it take users and rights from `folder`."""
    return f"load_definitions = {folder}/definitions.json\n"


def definitions(users: Sequence[str]) -> dict[str, object]:
    """Return users who sign in by certificate alone and may do everything."""
    everything = {"vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    return {
        "vhosts": [{"name": "/"}],
        "users": [{"name": user, "password_hash": "", "tags": []} for user in users],
        "permissions": [{"user": user, **everything} for user in users],
    }


def write_identities(folder: Path, users: Sequence[str]) -> None:
    """Make `folder` with an authority, the broker's certificate and one for each user, and what RabbitMQ wants beside them."""
    authority = trustme.CA()
    folder.mkdir(parents=True)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    own = authority.issue_cert("localhost", HERE)
    own.private_key_pem.write_to_path(folder / "broker.key")
    own.cert_chain_pems[0].write_to_path(folder / "broker.pem")
    for user in users:
        # Erlang takes no certificate whose list of names is empty
        signed = authority.issue_cert(f"{user}.example", common_name=user)
        signed.private_key_and_cert_chain_pem.write_to_path(folder / f"{user}.pem")
    (folder / "no-env.conf").write_text("")
    (folder / "plugins").write_text("[rabbitmq_mqtt].\n")


def bridge_user(store: str) -> str:
    """Return the name under which a store's bridge signs in at the chain's broker."""
    return f"bridge-{store}"


class RabbitCluster:
    """The nodes in `folder`; a context manager. `ports` are their MQTT listeners."""

    def __init__(self, folder: Path, stores: Sequence[str]) -> None:
        self.folder, self._stores = folder.resolve(), tuple(stores)
        self.ports = [free_port(HERE) for _ in range(NODES)]
        self._names = [f"stayby{port}@localhost" for port in self.ports]
        self._processes: list[subprocess.Popen[bytes]] = []
        self._env = {
            **os.environ,
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(free_port(HERE)),
            "ERL_EPMD_ADDRESS": HERE,
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "no-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",  # idle is idle
        }
        self._write()

    # --- files --------------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        write_identities(self.folder, self._users())
        (self.folder / "definitions.json").write_text(json.dumps(self._definitions()))
        for number in range(NODES):
            (self.folder / f"node{number}.conf").write_text(self._conf(number))

    def _conf(self, number: int) -> str:
        peers = [f"cluster_formation.classic_config.nodes.{one} = {name}" for one, name in enumerate(self._names, 1)]
        own = CONF.format(here=HERE, port=self.ports[number], folder=self.folder)
        return own + CONF_OF_CLUSTER + "\n".join([*peers, load(self.folder) if number == 0 else ""])

    def _users(self) -> list[str]:
        return [READER, *map(bridge_user, self._stores)]

    def _definitions(self) -> dict[str, object]:
        """Return users and rights: within the tree of Stayby each bridge writes its store's topics, and the reader reads."""
        root = PREFIX.replace("/", "\\.")
        rights = [(READER, "^$", f"^{root}\\.")]
        rights += [(bridge_user(one), f"^{root}\\.{one}\\.[^.]+\\.(status|incident)$", "^$") for one in self._stores]
        return {
            **definitions(self._users()),
            "topic_permissions": [
                {"user": user, "vhost": "/", "exchange": "amq.topic", "write": write, "read": read}
                for user, write, read in rights
            ],
        }

    def section(self, user: str, node: int) -> BrokerSection:
        """Return the `[broker]` table of a user at one of the nodes."""
        own = self.folder / f"{user}.pem"
        port = self.ports[node % NODES]
        return BrokerSection(host=HERE, port=port, ca_file=self.folder / "ca.pem", cert_file=own, key_file=own)

    # --- the processes ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            for number in range(NODES):
                self._start(number)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, number: int) -> None:
        command = server()
        if command is None:
            raise FileNotFoundError("RabbitMQ is not installed: apt install rabbitmq-server")
        env = {
            **self._env,
            "RABBITMQ_NODENAME": self._names[number],
            "RABBITMQ_DIST_PORT": str(free_port(HERE)),
            "RABBITMQ_CONFIG_FILE": str(self.folder / f"node{number}.conf"),
            "RABBITMQ_PID_FILE": str(self.folder / f"pid{number}"),
        }
        said = self.folder / f"node{number}.log"
        with said.open("ab") as log:
            process = subprocess.Popen([command], env=env, stdout=log, stderr=log, start_new_session=True)
        self._processes.append(process)
        until_s = time.monotonic() + START_S
        while "Server startup complete" not in said.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > until_s:
                raise OSError(f"RabbitMQ node {number} does not start: {said.read_text(errors='replace')[-600:]}")
            time.sleep(0.2)

    def joined(self) -> int:
        """Return how many nodes know of each other."""
        ctl = str(Path(server() or "").with_name("rabbitmqctl"))
        env = {**self._env, "RABBITMQ_NODENAME": self._names[0]}
        command = [ctl, "-n", self._names[0], "--formatter", "json", "cluster_status"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
        return len(json.loads(done.stdout)["running_nodes"])

    def memory_mb(self) -> float:
        """Return the resident memory of all nodes."""
        pids = [int((self.folder / f"pid{number}").read_text()) for number in range(NODES)]
        return sum(rss_mb(pid) for pid in pids)

    def stop(self) -> None:
        """End the nodes, the last one first, and the name server that they started."""
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            process.wait(STOP_S)
        self._processes.clear()
        epmd = shutil.which("epmd") or "/usr/bin/epmd"
        subprocess.run([epmd, "-kill"], env=self._env, check=False, capture_output=True, timeout=STOP_S)

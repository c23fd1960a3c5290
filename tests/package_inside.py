"""Installs, starts, upgrades, removes and purges the package inside a bare Debian, for .ci/prove-package.

It runs with the Python of Debian alone. There is no systemd to start the services here, so each service's own lines are obeyed:
its user, groups, folders, environment and ExecStart, and READY=1 is awaited on a NOTIFY_SOCKET. A step that fails ends it, and
says so.
"""

import grp
import json
import os
import pwd
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

PROOF = Path("/proof")
SYSTEM = Path("/usr/lib/systemd/system")
UNIT = ("stayby-alertd", "stayby-listen", "stayby-ui")
READY_S = 600.0
"""Under emulation a start takes minutes."""
TRACES = ("etc/stayby*", "var/lib/stayby*", "var/cache/stayby*", "run/stayby", "run/stayby-ui", "usr/*/stayby*")
OTHERS = ("/proc", "/sys", "/dev", "/run", "/proof", "/var/lib/apt", "/var/cache/apt", "/var/lib/dpkg", "/var/log")
"""Not looked at for what a purge leaves; /tmp is a file system of its own, empty at the beginning."""

KIOSK = """
[unit]
store = "harbour"
id = "desk-3"
place = "Service desk 3"
address = "Harbour Street 1, north entrance"
country = "GB"

[broker]
host = "localhost"
ca_file = "/etc/stayby/ca.pem"
username = "unit-desk-3"
password = "not-a-real-one"

[listen]
device = "plughw:CARD=None"

[ui]
fullscreen = false
"""

WELL = ("hub", "model", "disk writing", "versions")
LACKING = ("network TCP", "microphone", "staff")

figures: dict[str, float] = {}


def say(text: str) -> None:
    """Print a line now."""
    print(f"=== {text}", flush=True)


def run(*command: str, expect: int = 0) -> str:
    """Run a command; its exit code must be the expected one."""
    say("$ " + shlex.join(command))
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout[-4000:], flush=True)
    if done.returncode != expect:
        sys.exit(f"FAILED: exit {done.returncode}, not {expect}")
    return done.stdout


def timed(name: str, *command: str) -> None:
    """Run a command and keep how long it took."""
    began_s = time.monotonic()
    run(*command)
    figures[name] = round(time.monotonic() - began_s, 2)


def all_files() -> set[str]:
    """Return every file and folder of the root, but for what apt and dpkg keep for themselves."""
    found: set[str] = set()
    for folder, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if not str(Path(folder, name)).startswith(OTHERS)]
        found.update(str(Path(folder, name)) for name in (*folders, *files))
    return {name for name in found if "__pycache__" not in name or "stayby" in name}


def names() -> set[str]:
    """Return every user and group."""
    return {user.pw_name for user in pwd.getpwall()} | {group.gr_name for group in grp.getgrall()}


# --- a service as systemd would start it --------------------------------------------------------------------------------


def settings(name: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of a service, in order."""
    for line in (SYSTEM / f"{name}.service").read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            yield key, value


def folders(name: str, user: str) -> dict[str, str]:
    """Make the folders that systemd makes; return the variables by which it names them."""
    own, named = dict(settings(name)), {}
    for key, parent in (("StateDirectory", "/var/lib"), ("CacheDirectory", "/var/cache"), ("RuntimeDirectory", "/run")):
        if key in own:
            folder = Path(parent, own[key])
            folder.mkdir(exist_ok=True)
            folder.chmod(int(own.get(f"{key}Mode", "0755"), 8))
            shutil.chown(folder, user, own["Group"])
            named[f"{key.removesuffix('Directory').upper()}_DIRECTORY"] = str(folder)
    return named


class Service:
    """A running service."""

    def __init__(self, name: str, *extra: str, **environment: str) -> None:
        """Start it with its own lines."""
        own = dict(settings(name))
        made = folders(name, own["User"])
        notify = Path("/run") / f"{name}.notify"
        notify.unlink(missing_ok=True)
        self.name, self._socket = name, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(notify))
        notify.chmod(0o777)
        self._ready = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()
        env = made | {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "NOTIFY_SOCKET": str(notify)}
        for key, value in settings(name):
            if key == "Environment":
                env.update((part.partition("=")[0], part.partition("=")[2]) for part in shlex.split(value))
        groups = [own["Group"], *own.get("SupplementaryGroups", "").split()]
        self.log = Path("/proof") / f"{name}.log"
        say(f"{own['User']} ({' '.join(groups)}): {own['ExecStart']}")
        self._began_s = time.monotonic()
        self.process = subprocess.Popen(
            [*shlex.split(own["ExecStart"]), *extra],
            env=env | environment,
            cwd="/",
            user=own["User"],
            group=own["Group"],
            extra_groups=groups,
            umask=int(own["UMask"], 8),
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
        )

    def _listen(self) -> None:
        while True:
            if "READY=1" in self._socket.recv(4096).decode().splitlines():
                self._ready.set()

    def await_ready(self) -> None:
        """Wait for READY=1, and keep how long it took."""
        while not self._ready.wait(0.02):
            if self.process.poll() is not None or time.monotonic() > self._began_s + READY_S:
                print(self.log.read_text()[-4000:])
                sys.exit(f"FAILED: {self.name} did not say that it is ready (exit {self.process.poll()})")
        figures[f"{self.name}_ready_s"] = round(time.monotonic() - self._began_s, 2)
        say(f"{self.name}: ready after {figures[f'{self.name}_ready_s']} s")

    def end(self) -> None:
        """Stop it as systemd does."""
        if self.process.poll() is not None:
            print(self.log.read_text()[-4000:])
            sys.exit(f"FAILED: {self.name} ended by itself: {self.process.returncode}")
        self.process.terminate()
        self.process.wait(60)
        print(self.log.read_text()[-1500:])


def ask_screen(remote: Path, **request: object) -> dict[str, object]:
    """Ask the screen something over its socket for tests."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(120)
        link.connect(str(remote))
        link.sendall(json.dumps(request).encode() + b"\n")
        answer: dict[str, object] = json.loads(link.makefile().readline())
    if not answer["ok"]:
        sys.exit(f"FAILED: the screen: {answer}")
    return answer


def unit_runs(picture: Path) -> None:
    """Start the three services and take a picture of the idle screen."""
    remote = Path("/run/stayby-ui/remote")
    hub = Service("stayby-alertd")
    hub.await_ready()
    # without a microphone the ear is on duty as soon as it has said so
    ear = Service("stayby-listen")
    ear.await_ready()
    # without a panel SDL draws off the screen
    screen = Service("stayby-ui", "--remote", str(remote), SDL_VIDEODRIVER="offscreen")
    screen.await_ready()
    time.sleep(5)
    print(ask_screen(remote, do="page"))
    shot = Path("/run/stayby-ui/idle.png")
    ask_screen(remote, do="shot", path=str(shot))
    shutil.copy(shot, picture)
    run("stayby", "status", expect=1)
    doctor()
    for service in (screen, ear, hub):
        service.end()


def doctor() -> None:
    """Look at the running unit as a technician does: what is here is well, and what this bare system lacks is said."""
    said = run("stayby", "doctor", "--json", expect=1)
    found = {one["name"]: one["ok"] for one in json.loads(said[said.index("{") :])["checks"]}
    if not all(found[name] for name in WELL) or any(found[name] for name in LACKING):
        sys.exit(f"FAILED: doctor finds {found}")
    (PROOF / "doctor.json").write_text(json.dumps(found, indent=1))


def bare_unit() -> None:
    """Write a unit's configuration, as a technician would."""
    ca = ("-keyout", "/proof/ca.key", "-out", "/etc/stayby/ca.pem", "-subj", "/CN=Harbour", "-days", "400", "-nodes")
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", *ca)
    Path("/etc/stayby/kiosk.toml").write_text(KIOSK)
    for file in Path("/etc/stayby").iterdir():
        shutil.chown(file, "root", "stayby")
        file.chmod(0o640)
    run("stayby", "check")


def main() -> None:
    """Do it all, in the order of a unit's life."""
    package, following = str(PROOF / "stayby.deb"), str(PROOF / "stayby-next.deb")
    depends = run("dpkg-deb", "-f", package, "Depends")
    timed("dependencies_s", "apt-get", "-q", "satisfy", "--yes", "--no-install-recommends", depends)
    before, names_before = all_files(), names()
    timed("install_s", "apt-get", "-q", "install", "--yes", "--no-install-recommends", package)
    figures["package_mb"] = round(Path(package).stat().st_size / 1e6, 1)
    figures["installed_mb"] = round(int(run("du", "-sk", "/usr/lib/stayby").split()[0]) / 1e3, 1)
    run("stat", "-c", "%U:%G %a %n", "/etc/stayby")
    run("stayby", "--help")
    run("stayby", "--version")
    run("stayby", "demo", expect=1)
    run("stayby", "alertd", expect=1)
    bare_unit()
    for attempt in ("first", "second"):
        say(f"{attempt} start")
        unit_runs(PROOF / "idle.png")
    heard = [run("stayby", "hear", "--json", *look, "/proof/call.wav") for look in (("--no-second-look",), ())]
    lines = [line for text in heard for line in text.splitlines() if line.startswith("{")]
    (PROOF / "hear.json").write_text("".join(f"{line}\n" for line in lines))
    timed("upgrade_s", "apt-get", "-q", "install", "--yes", "--no-install-recommends", following)
    kept = sorted(str(path) for folder in ("/etc/stayby", "/var/lib/stayby") for path in Path(folder).iterdir())
    say(f"kept by the upgrade: {kept}")
    unit_runs(PROOF / "idle.png")
    timed("remove_s", "apt-get", "-q", "remove", "--yes", "stayby")
    if not Path("/etc/stayby/kiosk.toml").exists() or Path("/usr/lib/stayby").exists():
        sys.exit("FAILED: a removal keeps the configuration and nothing of the program")
    timed("purge_s", "apt-get", "-q", "purge", "--yes", "stayby")
    left = sorted(all_files() - before) + [str(path) for trace in TRACES for path in Path("/").glob(trace)]
    left += sorted(names() - names_before)
    say(f"left by the purge: {left}")
    say(f"lost by it all: {sorted(before - all_files())}")
    (PROOF / "figures.json").write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures, indent=1))
    if left:
        sys.exit("FAILED: the purge left what stands above")


if __name__ == "__main__":
    main()

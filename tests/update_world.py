"""A machine for updates, for tests: the real dpkg on a root of its own, and a `stayby` that does what is installed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from kiosk.update import apply
from kiosk.update.apply import Kept, Phase, State
from kiosk.update.package import digest
from tests.packages import build

DPKG = """#!/bin/sh
exec /usr/bin/dpkg --force-not-root --force-script-chrootless --force-unsafe-io --log=/dev/null "$@"
"""
STAYBY = """#!/bin/sh
here=$DPKG_ROOT/usr/lib/stayby
version=$(cat "$here/version") || exit 127
case $1 in
status)
    if [ -s "$WORLD/silent" ]; then sed -i 1d "$WORLD/silent"; exit 1; fi
    [ "$(cat "$here/starts")" = yes ] || { echo 'the hub does not answer' >&2; exit 1; }
    echo 'a warning' >&2
    cat "$WORLD/status.json"
    ;;
prove)
    echo "$version" >>"$WORLD/proofs"
    if [ -s "$WORLD/not-now" ]; then sed -i 1d "$WORLD/not-now"; echo 'a walk test goes on'; exit 75; fi
    [ "$(cat "$here/proves")" = yes ] && exit 0
    echo 'MISSED    sound   the microphone did not hear it'
    echo '          do: look at it'
    echo 'Not proven: sound.'
    exit 1
    ;;
esac
"""
SCRIPT = """#!/bin/sh
if [ -e "$WORLD/cut-{name}" ]; then rm "$WORLD/cut-{name}"; kill -KILL 0; fi
[ "$(cat "$WORLD/fails-{name}" 2>/dev/null)" != {version} ] || {{ echo 'no room' >&2; exit 1; }}
"""
"""A power cut while dpkg runs a package's script: all of our processes are gone at once."""
KILLED = """
import os, runpy, signal, subprocess, sys
left = int(sys.argv[1])
def counted(real):
    def call(*a, **k):
        global left
        left -= 1
        if left == 0:
            os.killpg(0, signal.SIGKILL)
        return real(*a, **k)
    return call
os.sync = lambda: None  # the whole machine's
os.fsync, os.replace, subprocess.run = counted(os.fsync), counted(os.replace), counted(subprocess.run)
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""The power goes before the n-th thing that reaches the disk or starts a program."""


@dataclass
class World:
    """A machine in a folder."""

    folder: Path

    @property
    def update(self) -> Path:
        return self.folder / "update"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{self.folder}/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "DPKG_ROOT": str(self.root),
            "DPKG_ADMINDIR": str(self.root / "var/lib/dpkg"),
            "APT_CONFIG": str(self.folder / "apt.conf"),
            "WORLD": str(self.folder),
            "STAYBY_UPDATE_DIR": str(self.update),
            "STAYBY_UPDATE_PAUSE_S": "0.02",
        }

    def make(self) -> "World":
        """Lay it out, with 0.1.0 installed."""
        admin = self.root / "var/lib/dpkg"
        for part in ("info", "updates"):
            (admin / part).mkdir(parents=True)
        (admin / "status").touch()
        (admin / "available").touch()
        (admin / "arch").write_text("amd64\n")
        (self.folder / "apt.conf").write_text(
            f'Dir::State::status "{admin}/status";\nDir::State::lists "{self.folder}/lists";\nAPT::Architecture "amd64";\n'
        )
        (self.folder / "bin").mkdir()
        self.update.mkdir()
        self.says(incident=None)
        for name, text in (("dpkg", DPKG), ("stayby", STAYBY)):
            (self.folder / "bin" / name).write_text(text)
            (self.folder / "bin" / name).chmod(0o755)
        subprocess.run(
            ["dpkg", "--install", self.package("0.1.0")], env=self.environment, check=True, capture_output=True
        )
        return self

    def package(self, version: str, *, starts: str = "yes", proves: str = "yes", **more: str) -> Path:
        """Build a package; its scripts can be cut."""
        made = self.folder / f"stayby_{version}_amd64.deb"
        if not made.exists():
            scripts = {name: SCRIPT.format(name=name, version=version) for name in ("preinst", "postinst")}
            build(self.folder, version, scripts=scripts, size_kib=10, starts=starts, proves=proves, **more)
        return made

    def says(self, **status: object) -> None:
        """Have the hub say this."""
        (self.folder / "status.json").write_text(json.dumps(status))

    def kept(self, version: str) -> Kept:
        """Put a package into the folder of updates."""
        file = self.update / f"stayby_{version}_amd64.deb"
        file.write_bytes(self.package(version).read_bytes())
        return Kept(version, file.name, digest(file))

    def wanted(self, old: str, new: str) -> None:
        """Have an update from one version to another wanted."""
        apply.save(self.update, State(Phase.INSTALLING, self.kept(old), self.kept(new)))

    def state(self) -> State:
        found = apply.load(self.update)
        assert found is not None
        return found

    def runs(self) -> str:
        """Return the version that is wholly there, by dpkg and by its files; "" for a half."""
        ask = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}|${Version}", "stayby"]
        said = subprocess.run(ask, env=self.environment, capture_output=True, text=True, check=True).stdout
        there = (self.root / "usr/lib/stayby/version").read_text()
        return there if said == f"ii |{there}" else ""

    def go(self, *, dies_at: int = 0, **patience: float) -> int:
        """Run the program as systemd does, with Debian's Python, until it ends or the power goes; return its exit code."""
        wait = {"pause_s": 0.02, "ready_s": 0.3, "not_now_s": 5.0, "silent_s": 0.1, **patience}
        options = [f"--{key.replace('_', '-')}={value}" for key, value in wait.items()]
        command = ["/usr/bin/python3", "-I", "-c", KILLED, str(dies_at), apply.__file__, *options]
        done = subprocess.Popen(
            command,
            env=self.environment,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said, _ = done.communicate(timeout=60)
        print(said, file=sys.stderr)
        return done.returncode

    def start_again(self) -> int:
        """Give it power until it has come to an end; return how often that took."""
        for times in range(1, 10):
            if self.go() != -signal.SIGKILL:
                return times
        raise AssertionError("it does not come to an end")

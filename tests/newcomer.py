"""Types the commands of docs/technician.md into a Debian that .ci/prove-newcomer booted, and keeps what was said.

The page is the script: each block of `sh` in two of its parts is typed line by line at a terminal of that Debian, as its user
kim. What a person does beside it (answers a question, presses, touches, speaks, looks at a phone) stands here. The button is its
chip in the simulator, the microphone a private PulseAudio, the phone a Chromium.
"""

import argparse
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from firmware_bridge.simulator import SimulatedButton
from kiosk.demo.browser import CONNECT_S, FLAGS, PHONE, WATCH_PAINTING, Phone, chromium
from kiosk.demo.microphone import VirtualMicrophone
from kiosk.demo.stage import wait_for
from kiosk.ui.remote import ScreenRemote

PARTS = ("From the box to the certificate", "Replace a unit in five minutes")
COLUMNS, LINES = 100, 40
ANSWER_S, SILENCE_S = 120.0, 180.0
THINK_S = 0.5
"""A hidden prompt drops what was typed before it was ready, as it should."""
KEPT_LINES = 32
"""Of what one command says; apt names each of its packages."""
HELD_S = 0.15
WELL_S, LOOK_S = 180.0, 5.0
MISSED = "nothing came in"
TRIES, AGAIN_S = 4, 60.0
VOICE = ("-v", "en-gb", "-s", "150")
SERVER = "harbour-server"
STORE = (
    ("store's id", "harbour"),
    ("Its name", "Harbour Stores"),
    ("broker's host", SERVER),
    ("board's host", SERVER),
    ("time zone", "Europe/London"),
    ("tell an ambulance", "Harbour Stores, 12 Quay Street, Leeds LS1 4DL. Ground floor, east door."),
    ("manager's id", "alex"),
    ("first name", "Alex"),
    ("country", "GB"),
)
DROP_INS = {
    "stayby-listen": 'Environment="PULSE_COOKIE=/room/cookie"',
    "stayby-ui": 'Environment="PULSE_COOKIE=/room/cookie" SDL_VIDEODRIVER=offscreen\n'
    "ExecStart=\nExecStart=/usr/bin/stayby ui --config /etc/stayby/kiosk.toml --remote /run/stayby-ui/remote",
}
SOUND = """\
pcm.stayby_air { type pulse server "unix:/room/native" device "stayby_air" }
pcm.stayby_ear { type pulse server "unix:/room/native" device "stayby_microphone" }
pcm.!default { type asym playback.pcm "stayby_air" capture.pcm "stayby_ear" }
"""
LEFT_BY_A_UNIT = "/etc/stayby/kiosk.toml* /etc/stayby/identity-* /var/lib/stayby/*"
HEAD = """\
# From the package to a signed certificate

What a terminal shows when the commands of [the technician's page](technician.md#from-the-box-to-the-certificate) are typed as
they stand there. Written by `.ci/prove-newcomer`, which types them; nothing here was typed by hand.

**Real**: the package, Debian 12 and its systemd, mosquitto, every service behind its own filters, TLS, certificates, the
firmware of the button. **Simulated**: the button's chip (simavr), microphone and speaker (PulseAudio), the panel (drawn off the
screen; a touch panel only as far as `stayby doctor` looks at it), a time server that has answered; Alex's phone is a Chromium.
One machine is all of it: the manager's, the store's server, and the unit. Secrets stand as `····`. What a machine, and not a
person, needed for its {commands} commands: {took_s:.0f} s.
"""

Answer = tuple[str, "str | Callable[[], str | None]"]
"""What the terminal asks, and what is typed then; None is done with hands or voice, and nothing is typed."""


class StumbledError(RuntimeError):
    """The page led a newcomer astray; its text says at which command."""


def commands(page: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of the page's parts, each with the heading that it stands under."""
    for part in PARTS:
        text = page.partition(f"\n## {part}\n")[2].partition("\n## ")[0]
        for step in re.split(r"^### ", f"{part}\n{text}", flags=re.MULTILINE):
            for block in re.findall(r"^```sh\n(.*?)^```", step, flags=re.MULTILINE | re.DOTALL):
                for line in block.splitlines():
                    if line.strip() and not line.startswith("#"):
                        yield step.partition("\n")[0], line


@dataclass
class Transcript:
    """What was typed and said, as Markdown."""

    took_s: float = 0.0
    text: str = ""
    secrets: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def heading(self, step: str) -> None:
        """Begin a step."""
        self.text += f"\n## {step}\n"
        print(f"=== {step}", flush=True)

    def note(self, said: str) -> None:
        """Keep what somebody did beside the terminal."""
        self.text += f"\n*{said}*\n"
        print(f"--- {said}", flush=True)

    def command(self, line: str, said: str, took_s: float, code: int) -> None:
        """Keep a command and what it said."""
        self.count += 1
        self.took_s += took_s
        shown = "".join(f"{one}\n" for one in shortened(self.masked(clean(said)).splitlines()))
        ended = f"{took_s:.1f} s" + (f", exit status {code}" if code else "")
        self.text += f"\n```console\nkim@desk-3:~$ {line}\n{shown}```\n{ended}\n"

    def masked(self, said: str) -> str:
        """Return it without secrets, and without what only this one machine is called."""
        for secret, instead in self.secrets.items():
            said = said.replace(secret, instead)
        said = said.replace(os.uname().release, "…")
        said = re.sub(r"(^ *[█▀▄][█▀▄ ]{20,}\n?)+", "(a code to scan)\n", said, flags=re.MULTILINE)
        return re.sub(r"\S*https?://deb\.debian\.org\S*", "(Debian)", said)

    def written(self) -> str:
        """Return all of it."""
        return HEAD.format(took_s=self.took_s, commands=self.count) + self.text


def clean(said: str) -> str:
    """Return what a terminal shows of it: without colours, bells, and what was written over."""
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x07|\x1b[=>78]", "", said).replace("\r\n", "\n")
    return "\n".join(line.rpartition("\r")[2].rstrip() for line in said.split("\n"))


OF_APT = r"(Get|Hit|Ign):\d|Selecting prev|Preparing to|Unpacking |Setting up |\(Reading database|Progress: |debconf: delaying"


def shortened(lines: list[str]) -> Iterable[str]:
    """Return the lines, the middle of very many left out; apt's progress, which only a terminal wants, too."""
    kept = [line for line in lines if line.strip() and not re.match(OF_APT, line.strip())]
    if len(kept) <= 2 * KEPT_LINES:
        return kept
    return [*kept[:KEPT_LINES], f"[… {len(kept) - 2 * KEPT_LINES} lines …]", *kept[-KEPT_LINES:]]


# --- the terminal -------------------------------------------------------------------------------------------------------


class Terminal:
    """Kim's terminal in the Debian that was booted."""

    def __init__(self, inner: str, root: Path) -> None:
        self._enter = ["nsenter", "-t", inner, "-m", "-p", "-u", "-i", "-C", "chroot", str(root)]
        home = "HOME=/home/kim USER=kim LOGNAME=kim TERM=dumb LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        self._login = ["/usr/bin/env", "-i", *home.split(), "setpriv", "--reuid=kim", "--regid=kim", "--init-groups"]

    def root(self, script: str) -> str:
        """Run a line as root, where what is simulated is set up; return what it said."""
        path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        return subprocess.run(
            [*self._enter, "/usr/bin/env", "-i", path, "sh", "-ec", script],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def type(self, line: str, answers: Iterable[Answer]) -> tuple[str, int]:
        """Type a line, answer what is asked in order, and return what was shown and the exit status."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        running = subprocess.Popen(
            [*self._enter, *self._login, "bash", "-c", f"cd; {line}"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no thread of ours holds a lock here
        )
        os.close(theirs)
        try:
            return self._converse(ours, line, iter(answers)), running.wait(ANSWER_S)
        finally:
            running.kill()
            os.close(ours)

    def _converse(self, ours: int, line: str, answers: Iterator[Answer]) -> str:
        said, read_to, until_s = "", 0, time.monotonic() + SILENCE_S
        waiting = next(answers, None)
        while True:
            if not select.select([ours], [], [], 1.0)[0]:
                if time.monotonic() > until_s:
                    raise StumbledError(f"{line}: nothing more comes; it said: {said[-1500:]}")
                continue
            more = b""
            with contextlib.suppress(OSError):  # its end is closed: that is how a terminal says that all is said
                more = os.read(ours, 65536)
            if not more:
                return said
            print(clean(more.decode(errors="replace")), end="", flush=True)
            said, until_s = said + more.decode(errors="replace"), time.monotonic() + SILENCE_S
            if MISSED in said:
                raise StumbledError(f"{line}: {MISSED}")
            while waiting is not None and waiting[0] in said[read_to:]:
                read_to += said[read_to:].index(waiting[0]) + len(waiting[0])
                time.sleep(THINK_S)
                text = waiting[1] if isinstance(waiting[1], str) else waiting[1]()
                if text is not None:
                    os.write(ours, f"{text}\n".encode())
                waiting = next(answers, None)


# --- what stands around it ----------------------------------------------------------------------------------------------


class Around:
    """The button, the room, the panel and Alex's phone, and what people do with them."""

    def __init__(self, terminal: Terminal, inner: str, root: Path, room: Path, stack: ExitStack) -> None:
        self.terminal, self.transcript = terminal, Transcript()
        self.code, self.link, self.joined = "", "", False
        self._room, self._stack = room, stack
        self._screen = ScreenRemote(Path("/proc", inner, "root", "run/stayby-ui/remote"), 30.0)
        self._button = stack.enter_context(SimulatedButton(room / "button", eeprom=room / "button.eeprom"))
        self._microphone = stack.enter_context(VirtualMicrophone(room))
        self._phone: Phone | None = None
        self._browser: Browser | None = None
        self._connect(root)

    def _connect(self, root: Path) -> None:
        """Plug it all in: the button's port as the rule of the package would name it, sound as a card would be found."""
        port = (self._room / "button").resolve()
        port.chmod(0o666)
        for path in (self._room, self._room / "native"):
            path.chmod(0o777)
        (self._room / "cookie").chmod(0o644)
        (root / "etc/asound.conf").write_text(SOUND)
        for service, lines in DROP_INS.items():
            folder = root / f"etc/systemd/system/{service}.service.d"
            folder.mkdir(parents=True)
            (folder / "simulated.conf").write_text(f"[Service]\n{lines}\n")
        self.terminal.root(f"ln -s {port} /dev/stayby-button")
        # what else this machine does is nothing that a unit has to share its processor with
        self.terminal.root("systemctl set-property --runtime system.slice CPUWeight=10000")

    # --- hands and voices ---

    def press(self, *, covert: bool = False) -> None:
        """Press a button as a finger does."""
        self._button.press(covert=covert)
        time.sleep(HELD_S)
        self._button.release(covert=covert)

    def touch(self, label: str) -> None:
        """Touch the screen."""
        self._screen.wait(lambda page: label in page["buttons"], f"button {label!r}", 30.0)
        self._screen.tap(label)

    def speak(self, text: str) -> None:
        """Say something at the desk."""
        sound = self._room / "said.wav"
        home = {**os.environ, **self._microphone.env}
        subprocess.run(["espeak-ng", *VOICE, "-w", str(sound), text], check=True, env=home)
        self._microphone.play(sound)

    def idle(self) -> None:
        """Wait until the screen is as when nobody needs anything."""
        self._screen.wait_page("idle", 60.0)

    def _well(self) -> bool:
        """Return whether doctor finds nothing wrong: the ear measures the room first, and links are measured by the minute."""
        time.sleep(LOOK_S)
        wrong = self.terminal.root("stayby doctor | grep ^WRONG || true")
        print(wrong, end="", flush=True)
        return not wrong

    # --- Alex ---

    def open_board(self) -> None:
        """Open the link of the invitation on a phone."""
        started = self._stack.enter_context(sync_playwright())
        rules = f"--host-resolver-rules=MAP {SERVER} 127.0.0.1"
        self._browser = started.chromium.launch(executable_path=chromium(), args=[*FLAGS, rules])
        self._stack.callback(self._browser.close)
        page = self._browser.new_context(viewport=PHONE, has_touch=True, ignore_https_errors=True).new_page()
        page.add_init_script(WATCH_PAINTING)
        page.goto(self.link)
        page.locator("#let-me-in").click()
        page.locator("body:not(.down)").wait_for(timeout=CONNECT_S * 1000)
        self._phone = Phone(page, "Alex")
        self.transcript.note(
            "Alex opens the link on a phone that trusts the store's certificate, signs in, and leaves the board lit."
        )

    def opening_press(self) -> None:
        """Begin the opening press at the board, press, answer it on the phone."""
        if self._phone is None:
            raise StumbledError("nobody has opened the board")
        self.idle()
        manage = self._phone.page.context.new_page()
        manage.goto(self._phone.page.url.partition("?")[0].rstrip("/") + "/manage/opening")
        manage.get_by_role("button", name="Begin the opening press").click()
        self._screen.wait(lambda page: any("Morning test" in line for line in page["texts"]), "the opening press", 30.0)
        began_s = time.monotonic()
        self.press()
        manage.close()
        self._phone.wait_alert()
        alert_s = time.monotonic() - began_s
        self.touch("Yes, it is the test")
        self._phone.touch("Coming · 1 min")
        self._screen.wait(lambda page: any("Alex is coming" in line for line in page["texts"]), "Alex is coming", 30.0)
        coming_s = time.monotonic() - began_s
        self._phone.touch("I’m here")
        self._screen.wait(lambda page: any("Alex is here" in line for line in page["texts"]), "Alex is here", 30.0)
        self._phone.page.locator(".answers button").last.click()
        self.idle()
        self.transcript.note(
            "Alex, on the phone: Manage, Opening press, “Begin the opening press”. Kim presses the button. "
            f"The alert is on the phone {alert_s:.1f} s later. Kim touches “Yes, it is the test”. Alex touches “Coming · 1 min”; "
            f"“Alex is coming” is on the screen {coming_s:.1f} s after the press. Then “I’m here”, and the drill is ended."
        )

    # --- what the terminal asks ---

    def answers(self, line: str) -> Iterator[Answer]:
        """Yield what a person answers to the questions of a command."""
        match line:
            case _ if "apt install" in line and "./stayby" in line:
                yield "[Y/n]", "y"
            case _ if "apt install" in line:
                yield "[Y/n]", "y"
            case _ if line.startswith("stayby store new"):
                yield from STORE
            case _ if "stayby join" in line:
                yield "(it does not show)", lambda: self.code
            case _ if "walktest --by" in line:
                yield from self._walk()

    def _walk(self) -> Iterator[Answer]:
        """Try each, and say that it was ours."""
        deeds: list[tuple[str, Callable[[], None]]] = [
            ("Press the button now", self.press),
            ("Press the hidden button now", lambda: self.press(covert=True)),
            ("on the screen now", lambda: self.touch("I need help")),
            ("as to a person", lambda: self.speak("Please, help me!")),
        ]
        for number, (asked, deed) in enumerate(deeds, 1):
            yield "Untested", str(number)
            yield asked, deed
            yield "It came. Was it you?", ""
        yield "Nothing is untested", "e"

    # --- what follows a command ---

    def before(self, line: str) -> None:
        """Do what the page tells before this command."""
        if line.endswith("stayby doctor"):
            wait_for("doctor to find nothing wrong", self._well, WELL_S)
        if line.startswith("sudo stayby status"):
            self.opening_press()
        if "stayby join" in line and self.joined:
            self.terminal.root(f"systemctl stop stayby.target; rm -rf {LEFT_BY_A_UNIT}")
            self.transcript.note(
                "The old unit is unplugged. The spare is the same machine, with nothing left on it that was the unit's."
            )
        self.joined = self.joined or "stayby join" in line

    def tries_again(self, line: str, said: str, again: int) -> bool:
        """Return whether a person would look again: a machine that many share answers late now and then; and say so."""
        if not line.endswith("stayby doctor") and "walktest --by" not in line:
            return False
        wrong = ", ".join(re.findall(r"^WRONG +(.{18})", clean(said), flags=re.MULTILINE)).replace("  ", "")
        self.transcript.note(
            f"WRONG at the first look: {wrong}. Typed again after {AGAIN_S:.0f} s." if not again else "And again."
        )
        self.terminal.root("rm -rf /home/kim/certificates")
        time.sleep(AGAIN_S)
        return True

    def learn(self, line: str, said: str) -> None:
        """Take from what a command said what must be typed elsewhere, and is nobody else's to read."""
        if "add-unit" in line:
            self.code = re.findall(r"^code: +(\S+)", clean(said), flags=re.MULTILINE)[0]
            self.transcript.secrets[self.code] = "····-····-····"
        if "store invite" in line:
            self.link = next(word for word in clean(said).split() if "/invite/" in word)
            self.transcript.secrets[self.link.rpartition("/")[2]] = "····"

    def after(self, line: str) -> None:
        """Do what the page tells after this command."""
        if "store new" in line:
            self.terminal.root("printf '\\n[ui]\\nfullscreen = false\\n' >>/home/kim/harbour/unit.toml")
            self.transcript.note(
                "The panel is a simulated one, drawn in a window: `unit.toml` gets `[ui] fullscreen = false`."
            )
        if "store invite" in line:
            self.open_board()
        if line.endswith("start stayby.target"):
            self.idle()


def walk_through(around: Around, terminal: Terminal, page: str) -> None:
    """Type all that the page says."""
    here = ""
    for step, line in commands(page):
        if step != here:
            around.transcript.heading(step)
            here = step
        around.before(line)
        for again in range(TRIES):
            began_s = time.monotonic()
            print(f"$ {line}", flush=True)
            said, code = terminal.type(line, around.answers(line))
            took_s = time.monotonic() - began_s
            print(f"({took_s:.1f} s, {code})", flush=True)
            if not code or not around.tries_again(line, said, again):
                break
        around.learn(line, said)
        around.transcript.command(line, said, took_s, code)
        if code:
            raise StumbledError(f"{line}: exit status {code}")
        around.after(line)


def main() -> None:
    """Do it, and write the transcript; exit 1 where the page led astray."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("inner", "root", "room", "page", "transcript"):
        parser.add_argument(name)
    given = parser.parse_args()
    root, room, terminal = Path(given.root), Path(given.room), Terminal(given.inner, Path(given.root))
    wait_for("systemd", lambda: terminal.root("systemctl is-active basic.target || true").strip() == "active", 60.0)
    with ExitStack() as stack:
        around = Around(terminal, given.inner, root, room, stack)
        try:
            walk_through(around, terminal, Path(given.page).read_text())
        except Exception:
            print(terminal.root("journalctl --no-pager -n 60 -u 'stayby-*' -u mosquitto || true"), file=sys.stderr)
            raise
        Path(given.transcript).write_text(around.transcript.written())
    print(f"{given.transcript}: {around.transcript.count} commands, none failed")


if __name__ == "__main__":
    main()

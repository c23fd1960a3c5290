"""A panic button without hardware: its real machine code on a simulated chip, at a path like a serial port."""

import queue
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

from firmware_bridge.build import firmware_elf, simulator_program
from firmware_bridge.frame import encode
from firmware_bridge.protocol import SelfTest

Flood = Literal["hub", "unit", "both", "off"]
"""Where the flood of random bytes goes to."""

ANSWER_S = 30.0
QUIT_S = 3.0
CLOCK_HZ = 16_000_000
ANSWERS_MAX = 16


class SimulatorError(RuntimeError):
    """The simulator ended or did not do as it was told; one line says what."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the unit drives at this moment."""

    led: bool
    buzzer: bool
    relay: bool


@dataclass(frozen=True, slots=True)
class SentFrame:
    """In virtual time: encoded bytes between two delimiters, and when the last one left the chip."""

    at_s: float
    encoded: bytes


@dataclass(frozen=True, slots=True)
class OutputChange:
    """In virtual time: "led", "buzzer" or "relay" went on or off."""

    at_s: float
    name: str
    on: bool


class SimulatedButton:
    """One simulated unit. `port` is where the host finds its serial port while it is plugged.

    With `virtual_time` the chip runs only inside `step()`, two runs with the same `seed` are the same to the cycle, and
    `port` may be None: `send()` and `take_frames()` are the line then. `eeprom` keeps the unit's memory between two runs.

    A pseudo-terminal has no DTR. With `reset_on_open` each opening resets the chip, as the first one after plugging in does on
    an Arduino; that a port which was closed without dropping DTR resets nothing, and a pulse in an open port, it cannot show.

    `firmware` is an ELF or Intel hex file, this release's own when left out. With a `bootloader` (Intel hex) every reset goes
    through it, and nothing but `firmware`, if given, is in the rest of the flash.
    """

    def __init__(
        self,
        port: Path | None,
        *,
        eeprom: Path | None = None,
        virtual_time: bool = False,
        reset_on_open: bool = False,
        seed: int | None = None,
        bootloader: Path | None = None,
        firmware: Path | None = None,
    ) -> None:
        self.port = port
        self._bootloader = bootloader
        self._firmware = firmware
        self._frames: list[SentFrame] = []
        self._changes: list[OutputChange] = []
        self._arguments = [
            *(["-l", str(port)] if port else []),
            *(["-e", str(eeprom)] if eeprom else []),
            *(["-s", str(seed)] if seed is not None else []),
            *(["-b", str(bootloader)] if bootloader else []),
            *(["-F"] if virtual_time else []),
            *(["-R"] if reset_on_open else []),
        ]
        self._virtual_time = virtual_time
        self._answers: queue.Queue[str | None] = queue.Queue(ANSWERS_MAX)
        self._one_at_a_time = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> Self:
        """Build what is missing, start the chip, and return when its port is there."""
        firmware = self._firmware or (None if self._bootloader else firmware_elf())
        command = [str(simulator_program()), *self._arguments, *([str(firmware)] if firmware else [])]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1, process_group=0)
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        try:
            self._next_answer()
        except SimulatorError as error:
            self.stop()
            raise SimulatorError(
                f"the simulated button did not start: avrsim says why, run {' '.join(command)}"
            ) from error
        return self

    def stop(self) -> None:
        """End the chip; the EEPROM file is written."""
        if self._process is None or self._reader is None:
            return
        if self._process.stdin:
            self._process.stdin.close()  # the end of its commands ends it
        try:
            self._process.wait(QUIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        if self._process.stdout:
            self._process.stdout.close()
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self) -> None:
        """Return never, unless the simulator ends by itself: then raise SimulatorError."""
        if self._process is not None:
            status = self._process.wait()
            raise SimulatorError(f"the simulated button ended by itself (status {status}): start it again")

    @property
    def pid(self) -> int:
        """The simulator's process, for those who stop or kill it on purpose."""
        if self._process is None:
            raise SimulatorError("the simulated button is not running: start it first")
        return self._process.pid

    # ---- the person at the desk, and the cable ----

    def press(self, bounce_ms: float = 3.0, *, covert: bool = False) -> None:
        """Close the contact, with so much chatter, and keep it closed."""
        self._loop("pressed", covert=covert, bounce_ms=bounce_ms)

    def release(self, bounce_ms: float = 0.0, *, covert: bool = False) -> None:
        """Let the button go; the contact may chatter once more."""
        self._loop("normal", covert=covert, bounce_ms=bounce_ms)

    def normal(self, *, covert: bool = False) -> None:
        """Mend the loop."""
        self._loop("normal", covert=covert)

    def cut(self, *, covert: bool = False) -> None:
        """Cut one of the button's two wires."""
        self._loop("cut", covert=covert)

    def short(self, *, covert: bool = False) -> None:
        """Let the button's two wires touch."""
        self._loop("short", covert=covert)

    def loop_millivolts(self, millivolts: int, *, covert: bool = False) -> None:
        """Put this voltage at the loop input, 0 to 5000."""
        self._loop(str(millivolts), covert=covert)

    def lid(self, opened: bool) -> None:
        """Open the enclosure, or close it; it starts closed."""
        self._command(f"lid {'open' if opened else 'closed'}")

    def plug(self) -> None:
        """Plug the data cable in."""
        self._command("plug")

    def unplug(self) -> None:
        """Pull the data cable; the unit lives on from its own supply."""
        self._command("unplug")

    def replug(self) -> None:
        """Pull the data cable and plug it in again: it comes back under another device number."""
        self._command("replug")

    def wire(self, up: bool) -> None:
        """Break (or mend) the wires behind the USB bridge: the port stays, nothing passes."""
        self._command(f"wire {'up' if up else 'down'}")

    def garble(self, share: float) -> None:
        """From now on this share of the bytes, both ways, gets one flipped bit (0 to 1)."""
        self._command(f"garble {share}")

    def flood(self, where: Flood) -> None:
        """Put random bytes on the wire at line rate, between all others, until told "off"."""
        self._command(f"flood {where}")

    def hang(self) -> None:
        """Have the firmware hang, by the host's own self-test command; its watchdog has to bring it back."""
        self.send(encode(SelfTest().frame()))

    def freeze(self, on: bool) -> None:
        """Stop the chip's clock (a broken crystal), or let it go on; the port stays."""
        self._command(f"freeze {'on' if on else 'off'}")

    def reset(self) -> None:
        """Pull the reset pin."""
        self._command("reset")

    def brown_out(self) -> None:
        """Let the supply dip: the chip resets itself and says why; its memory lives on."""
        self._command("brownout")

    def power(self, on: bool) -> None:
        """Take the unit's supply away, or give it back."""
        self._command(f"power {'on' if on else 'off'}")

    # ---- looking and stepping ----

    def outputs(self) -> Outputs:
        """Return what light, buzzer and relay do now."""
        now = self.status()
        return Outputs(led=now["led"] == "1", buzzer=now["buzzer"] == "1", relay=now["relay"] == "1")

    def status(self) -> dict[str, str]:
        """Return all that the simulator tells, by name."""
        return _words(self._command("stat"))

    def now_s(self) -> float:
        """Return the chip's time since the simulator was started, in seconds."""
        return int(self.status()["cycle"]) / CLOCK_HZ

    def send(self, data: bytes) -> None:
        """Put bytes on the wire to the chip (at most 1024)."""
        self._command(f"send {data.hex()}")

    def step(self, seconds: float, *, until_told: bool = False) -> float:
        """Run the chip for so long in virtual time; return its time after that.

        `until_told`: or until it has sent a frame or changed an output, whatever comes first.
        """
        verb = "run" if until_told else "step"
        return int(_words(self._command(f"{verb} {seconds:.7f}"))["cycle"]) / CLOCK_HZ

    def take_frames(self) -> list[SentFrame]:
        """Return the frames that the chip sent since the last call (in virtual time only)."""
        frames, self._frames = self._frames, []
        return frames

    def take_changes(self) -> list[OutputChange]:
        """Return how light, buzzer and relay went since the last call (in virtual time only)."""
        changes, self._changes = self._changes, []
        return changes

    # ---- the pipes ----

    def _loop(self, state: str, *, covert: bool, bounce_ms: float = 0.0) -> None:
        if bounce_ms:
            self._command(f"bounce {int(covert)} {state} {bounce_ms}")
        else:
            self._command(f"loop {int(covert)} {state}")

    def _command(self, line: str) -> str:
        with self._one_at_a_time:
            if self._process is None or self._process.stdin is None:
                raise SimulatorError("the simulated button is not running: start it first")
            try:
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()
            except OSError as error:
                raise SimulatorError(f"the simulated button has ended ({error}): start it again") from error
            answer = self._next_answer()
        if not answer.startswith("ok"):
            raise SimulatorError(f"the simulated button says: {answer}")
        return answer

    def _next_answer(self) -> str:
        try:
            answer = self._answers.get(timeout=ANSWER_S)
        except queue.Empty as error:
            raise SimulatorError(f"no answer from the simulated button for {ANSWER_S:.0f} s: start it again") from error
        if answer is None:
            raise SimulatorError("the simulated button has ended: start it again")
        return answer

    def _read(self, stdout: IO[str]) -> None:
        for line in stdout:
            word, _, rest = line.strip().partition(" ")
            if word in {"ok", "err", "ready"}:
                self._answers.put(line.strip())
            elif self._virtual_time:
                self._note(word, rest.split())
        self._answers.put(None)

    def _note(self, word: str, rest: list[str]) -> None:
        match word, rest:
            case "frame", [cycle, encoded]:
                self._frames.append(SentFrame(int(cycle) / CLOCK_HZ, bytes.fromhex(encoded)))
            case "out", [name, on, cycle]:
                self._changes.append(OutputChange(int(cycle) / CLOCK_HZ, name, on == "1"))


def _words(answer: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in answer.split() if "=" in word)

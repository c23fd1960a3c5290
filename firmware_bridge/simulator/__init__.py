"""A panic button without hardware: its real machine code on a simulated chip, at a path like a serial port."""

import queue
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from firmware_bridge.build import firmware_elf, simulator_program

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
    """

    def __init__(
        self,
        port: Path | None,
        *,
        eeprom: Path | None = None,
        virtual_time: bool = False,
        reset_on_open: bool = False,
        seed: int | None = None,
    ) -> None:
        self.port = port
        self._frames: list[SentFrame] = []
        self._changes: list[OutputChange] = []
        self._arguments = [
            *(["-l", str(port)] if port else []),
            *(["-e", str(eeprom)] if eeprom else []),
            *(["-s", str(seed)] if seed is not None else []),
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
        command = [str(simulator_program()), *self._arguments, str(firmware_elf())]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1, process_group=0)
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        if self._next_answer() != "ready":
            raise SimulatorError("the simulator did not start")
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

    def press(self, bounce_ms: float = 3.0) -> None:
        """Close the contact, with so much chatter, and keep it closed."""
        self._command(f"bounce pressed {bounce_ms}" if bounce_ms else "loop pressed")

    def release(self) -> None:
        """Let the button go."""
        self._command("loop normal")

    def normal(self) -> None:
        """Mend the loop."""
        self._command("loop normal")

    def cut(self) -> None:
        """Cut one of the button's two wires."""
        self._command("loop cut")

    def short(self) -> None:
        """Let the button's two wires touch."""
        self._command("loop short")

    def loop_millivolts(self, millivolts: int) -> None:
        """Put this voltage at the loop input, 0 to 5000."""
        self._command(f"loop {millivolts}")

    def plug(self) -> None:
        """Plug the data cable in."""
        self._command("plug")

    def unplug(self) -> None:
        """Pull the data cable; the unit lives on from its own supply."""
        self._command("unplug")

    def wire(self, up: bool) -> None:
        """Break (or mend) the wires behind the USB bridge: the port stays, nothing passes."""
        self._command(f"wire {'up' if up else 'down'}")

    def garble(self, share: float) -> None:
        """From now on this share of the bytes, both ways, gets one flipped bit (0 to 1)."""
        self._command(f"garble {share}")

    def reset(self) -> None:
        """Pull the reset pin."""
        self._command("reset")

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

    def step(self, seconds: float) -> float:
        """Run the chip for so long in virtual time; return its time after that."""
        return int(_words(self._command(f"step {seconds:.7f}"))["cycle"]) / CLOCK_HZ

    def take_frames(self) -> list[SentFrame]:
        """Return the frames that the chip sent since the last call (in virtual time only)."""
        frames, self._frames = self._frames, []
        return frames

    def take_changes(self) -> list[OutputChange]:
        """Return how light, buzzer and relay went since the last call (in virtual time only)."""
        changes, self._changes = self._changes, []
        return changes

    # ---- the pipes ----

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

"""`stayby button`: the panic button in a technician's hands: watched live, flashed, made to prove its watchdog.

Whoever runs the hub owns the port, so everything goes through the hub while there is one. Without one the port is opened
here, and no press is ever acknowledged: the unit keeps each for the hub.
"""

import contextlib
import queue
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn, Protocol, Self, TypeVar

import typer
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from firmware_bridge import flash
from firmware_bridge.events import ButtonEvent, LinkUp, Metered, SelfTested
from firmware_bridge.link import ButtonLink
from kiosk import button_view, config_file
from kiosk.bus import Lines, encode, runtime_socket
from kiosk.button_health import METER_S, Extremes, button_health
from kiosk.cli import CONFIG, DEFAULT_CONFIG
from kiosk.config import UnitConfig
from kiosk.config_faults import ConfigFaults
from kiosk.messages import AskButton, AskStatus, BadMessage, ButtonAnswer, ButtonHealth, FromLeaf, StatusAnswer
from kiosk.messages import parse_to_leaf as parse

POLL_S = 0.25
LINE_S = 1.0
ANSWER_S = 3.0
LEND_S = 10.0
SELF_TEST_S = 15.0
FIRST_READING_S = 6.0
"""Opening the port resets most boards, and a boot loader waits for a second or two."""
FIRST_METER_S = 2.0
TAKEN_BACK_S = 15.0
STOPPED_BY_HAND = 130

A = TypeVar("A", StatusAnswer, ButtonAnswer)


class ButtonError(RuntimeError):
    """It cannot be done; one line says what, where, and what to do now."""


class HubLine:
    """One connection to the hub. Raises ButtonError when there is a hub and it may not or cannot be asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = Lines()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._sock.settimeout(ANSWER_S)
            self._sock.connect(str(path))
        except PermissionError:
            self._sock.close()
            raise ButtonError(f"the hub at {path} may not be asked: use sudo, or be in the group stayby") from None
        except OSError:
            self._sock.close()
            raise

    def ask(self, question: FromLeaf, kind: type[A], timeout_s: float) -> A:
        """Return the hub's answer of this kind."""
        end_s = time.monotonic() + timeout_s
        try:
            self._sock.sendall(encode(question))
            while (left_s := end_s - time.monotonic()) > 0:
                self._sock.settimeout(left_s)
                data = self._sock.recv(65536)
                if not data:
                    break
                for answer in map(parse, self._lines.feed(data)):
                    if isinstance(answer, kind):
                        return answer
        except (OSError, BadMessage) as error:
            raise ButtonError(f"the hub does not answer ({error}): look at journalctl -u stayby-alertd") from error
        raise ButtonError("the hub went away: look at journalctl -u stayby-alertd")

    def fileno(self) -> int:
        """Return the connection's descriptor: who holds it keeps the connection."""
        return self._sock.fileno()

    def close(self) -> None:
        """End the connection; the hub takes back what it lent."""
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def hub_at(path: Path) -> HubLine | None:
    """Return a connection to the hub, None when none runs."""
    try:
        return HubLine(path)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except OSError as error:
        raise ButtonError(f"the hub at {path} cannot be asked ({error}): restart stayby-alertd") from error


# ---- where the button is ----


@dataclass(frozen=True)
class Place:
    """The button's port, and the running hub's bus socket when the hub is the one who holds it."""

    port: str
    bus: Path | None

    def hub(self) -> HubLine | None:
        """Return a connection to the hub that holds the port; None when nobody holds it."""
        return hub_at(self.bus) if self.bus is not None else None


def find(port: str | None, config: Path) -> Place:
    """Return where the button is. A given port needs no configuration: it may be a unit on the bench."""
    unit = _unit_config(config, needed=port is None)
    configured = unit.button.port if unit is not None and unit.button is not None else None
    chosen = port or configured
    if chosen is None:
        raise ButtonError(f"{config} has no [button]: add its port, or say --port /dev/stayby-button")
    if unit is None or configured is None or not _same_device(chosen, configured):
        return Place(chosen, None)
    bus = runtime_socket(unit.unit.run_dir)
    line = hub_at(bus)
    if line is None:
        return Place(configured, None)
    line.close()
    return Place(configured, bus)


def _unit_config(path: Path, *, needed: bool) -> UnitConfig | None:
    try:
        return config_file.load_or_last_good(path, keep=False).config
    except ConfigFaults as wrong:
        if not needed:
            return None
        raise ButtonError("\n".join(f"{path}: {fault}" for fault in wrong.faults) + "; or say --port") from None


def _same_device(one: str, other: str) -> bool:
    return one == other or Path(one).resolve() == Path(other).resolve()


# ---- reading it ----


class Source(Protocol):
    """Where readings come from."""

    def read(self) -> ButtonHealth:
        """Return how the button is now."""


class FromHub:
    """Readings of the hub that holds the port; a hub that restarts is asked again."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._line: HubLine | None = None

    def read(self) -> ButtonHealth:
        """Return what the hub says, or that it says nothing."""
        try:
            self._line = self._line or self._place.hub()
            if self._line is None:
                return ButtonHealth(port=self._place.port, says="the hub has ended: systemctl start stayby-alertd")
            said = self._line.ask(AskStatus(meter=True), StatusAnswer, ANSWER_S).button
        except ButtonError as error:
            self.close()
            return ButtonHealth(port=self._place.port, says=str(error))
        return said or ButtonHealth(port=self._place.port, says="the hub knows of no button: restart stayby-alertd")

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()
            self._line = None


class FromPort:
    """Readings of a port that nobody else holds. No press is acknowledged."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.events: queue.SimpleQueue[ButtonEvent | BaseException] = queue.SimpleQueue()
        self.link = ButtonLink(place.port, self.events.put, on_death=self.events.put).start()

    def read(self) -> ButtonHealth:
        """Return what the link knows; raises what killed it."""
        seen = Extremes()
        self.link.meter(METER_S)
        with contextlib.suppress(queue.Empty):
            while True:
                event = self.events.get_nowait()
                if isinstance(event, BaseException):
                    raise event
                if isinstance(event, Metered):
                    seen.take(event)
        return button_health(self._place.port, self.link.statistics(), time.monotonic(), seen)

    def close(self) -> None:
        """Let the port go."""
        self.link.close()


def source_of(place: Place) -> FromHub | FromPort:
    """Return the way to this button's readings."""
    return FromHub(place) if place.bus is not None else FromPort(place)


def first_reading(source: Source) -> button_view.Watch:
    """Return a watch with a metered reading of a button that is up, or what there is after some seconds."""
    end_s = time.monotonic() + FIRST_READING_S
    watch = button_view.Watch(source.read())
    watch.take(watch.health, time.monotonic())
    while watch.button.volts is None and time.monotonic() < end_s and isinstance(source, FromPort):
        time.sleep(POLL_S)
        watch.take(source.read(), time.monotonic())
    end_s = time.monotonic() + FIRST_METER_S
    while _meter_starts(watch.health) and time.monotonic() < end_s:
        time.sleep(POLL_S)
        watch.take(source.read(), time.monotonic())
    return watch


def _meter_starts(health: ButtonHealth) -> bool:
    return health.up and (health.meter == "waiting" or (health.meter == "running" and health.samples == 0))


# ---- stayby button ----

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The panic button live: watch it while you wiggle its cable; flash it; let it prove its watchdog.",
)

PORT = Annotated[
    str | None, typer.Option(metavar="PATH", help="The button's serial port; the configured one if unset.")
]


def _fail(error: Exception | str, status: int = 1) -> NoReturn:
    print(f"stayby button: {error}", file=sys.stderr)
    raise typer.Exit(status)


@app.callback(invoke_without_command=True)
def watch_command(
    ctx: typer.Context,
    port: PORT = None,
    config: CONFIG = DEFAULT_CONFIG,
    *,
    once: Annotated[bool, typer.Option("--once", help="One reading as a line; exit 1 unless GOOD.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One reading as JSON; exit 1 unless GOOD.")] = False,
) -> None:
    """Show the button live until Ctrl-C."""
    if ctx.invoked_subcommand is not None:
        return
    try:
        place = find(port, config)
        with contextlib.closing(source_of(place)) as source:
            if once or as_json:
                _one_reading(source, as_json=as_json)
            else:
                _live(source, place)
    except ButtonError as error:
        _fail(error)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _one_reading(source: Source, *, as_json: bool) -> None:
    watch = first_reading(source)
    print(watch.health.model_dump_json() if as_json else button_view.one_line(watch))
    raise typer.Exit(1 if button_view.findings(watch) else 0)


def _live(source: Source, place: Place) -> None:
    console = Console(highlight=False)
    direct = place.bus is None
    where = f"{place.port}, {'opened here' if direct else 'through the hub'}"
    watch = first_reading(source)
    if not console.is_terminal:
        _lines(source, watch)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            watch.take(source.read(), time.monotonic())
            live.update(button_view.render(watch, where, direct=direct), refresh=True)
            time.sleep(POLL_S)


def _lines(source: Source, watch: button_view.Watch) -> NoReturn:
    next_s = time.monotonic()
    while True:
        watch.take(source.read(), time.monotonic())
        if time.monotonic() >= next_s:
            next_s += LINE_S
            print(f"{time.strftime('%H:%M:%S')} {button_view.one_line(watch)}", flush=True)
        time.sleep(POLL_S)


# ---- stayby button flash ----


@app.command("flash")
def flash_command(
    port: PORT = None,
    config: CONFIG = DEFAULT_CONFIG,
    hexfile: Annotated[
        Path | None, typer.Option("--hex", metavar="FILE", help="Another firmware than this release's.")
    ] = None,
    *,
    isp: Annotated[
        bool, typer.Option("--isp", help="Print how production programs a chip without boot loader.")
    ] = False,
) -> None:
    """Put this release's firmware into the button, and have the button say so."""
    try:
        firmware = flash.read_firmware(hexfile or flash.firmware_file())
        if isp:
            print(flash.isp_way(firmware))
            return
        _flash(find(port, config), firmware)
    except (ButtonError, flash.FlashError) as error:
        _fail(error)


def _flash(place: Place, firmware: flash.Firmware) -> None:
    bar = FlashBar()
    try:
        with _uninterrupted(), lent(place) as hold, bar:
            done = flash.flash(place.port, firmware, bar.show, hold)
    except KeyboardInterrupt:
        says = "it holds half a program and does not work" if bar.wrote else "nothing was written"
        _fail(f"stopped by hand: {says}; run stayby button flash again", STOPPED_BY_HAND)
    _tell(
        f"{place.port}: firmware {firmware.version}, build {firmware.build}, written, verified, and greeted by the unit."
    )
    if done.old_loader:
        _tell(
            "Warning: this board has the old Nano boot loader. After a watchdog reset it stays dead until its power is cut. "
            "Program the board by ISP: stayby button flash --isp"
        )
    if place.bus is not None:
        _taken_back(place, firmware.build)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """A lost ssh session does not stop a flash half-way; SIGTERM ends it in order, as Ctrl-C does."""
    before = {
        number: signal.signal(number, handler)
        for number, handler in ((signal.SIGHUP, signal.SIG_IGN), (signal.SIGTERM, signal.default_int_handler))
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def lent(place: Place) -> Iterator[tuple[int, ...]]:
    """Have the hub, if there is one, let go of the port until the descriptors that this gives are closed everywhere.

    Raises ButtonError when it does not.
    """
    with contextlib.ExitStack() as stack:
        line = place.hub()
        if line is not None:
            stack.enter_context(line)
            answer = line.ask(AskButton(action="lend"), ButtonAnswer, LEND_S)
            if not answer.ok:
                raise ButtonError(answer.says)
        yield () if line is None else (line.fileno(),)


def _taken_back(place: Place, build: str) -> None:
    source, end_s = FromHub(place), time.monotonic() + TAKEN_BACK_S
    with contextlib.closing(source):
        while time.monotonic() < end_s:
            health = source.read()
            if health.up and health.build == build:
                return _tell("The hub has the button again.")
            time.sleep(POLL_S)
    return _tell(f"The hub does not have the button back yet ({health.says or 'no greeting'}): look at stayby status")


def _tell(line: str) -> None:
    """Print; a terminal that went away does not matter to the flash."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


class FlashBar:
    """How far it is: a bar on a terminal, else a line for each part."""

    def __init__(self) -> None:
        self.wrote = False
        console = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description:<10}"), BarColumn(30), TextColumn("{task.percentage:>3.0f} %"))
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # the terminal went away
            self._bars.stop()

    def show(self, what: str, percent: int) -> None:
        """Take note of how far it is."""
        self.wrote = True
        with contextlib.suppress(OSError):  # the terminal went away
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=100)
                if self._bars.disable:
                    print(f"{what} …", file=sys.stderr, flush=True)
            self._bars.update(self._tasks[what], completed=percent)


# ---- stayby button self-test ----


@app.command("self-test")
def self_test_command(port: PORT = None, config: CONFIG = DEFAULT_CONFIG) -> None:
    """Make the button's program hang, and see its watchdog restart it: one line; exit 1 when it did not."""
    try:
        answer = _self_test(find(port, config))
    except ButtonError as error:
        _fail(error)
    except KeyboardInterrupt:
        _fail("stopped by hand: the watchdog was not proven", STOPPED_BY_HAND)
    print(answer.says, file=sys.stdout if answer.ok else sys.stderr)
    raise typer.Exit(0 if answer.ok else 1)


def _self_test(place: Place) -> ButtonAnswer:
    line = place.hub()
    if line is not None:
        with line:
            return line.ask(AskButton(action="self_test"), ButtonAnswer, SELF_TEST_S)
    with contextlib.closing(FromPort(place)) as source:
        _next(source, LinkUp, FIRST_READING_S)
        source.link.self_test()
        tested = _next(source, SelfTested, SELF_TEST_S)
    return ButtonAnswer(ok=tested.passed, says=tested.reason)


E = TypeVar("E", LinkUp, SelfTested)


def _next(source: FromPort, kind: type[E], timeout_s: float) -> E:
    end_s = time.monotonic() + timeout_s
    while (left_s := end_s - time.monotonic()) > 0:
        with contextlib.suppress(queue.Empty):
            event = source.events.get(timeout=left_s)
            if isinstance(event, BaseException):
                raise event
            if isinstance(event, kind):
                return event
    raise ButtonError(
        source.link.statistics().says or f"the unit was silent for {timeout_s:.0f} s: check plug and cable"
    )

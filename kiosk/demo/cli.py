"""`stayby demo`: a whole store on this machine, to try by hand or to watch a story play by itself."""

import contextlib
import functools
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from firmware_bridge.simulator import SimulatorError
from firmware_bridge.simulator.control import ACTIONS, ControlSocket, ask, default_control_path
from kiosk.demo import stories
from kiosk.demo.stage import ALEX, PINS, SAM, Stage, display_there
from kiosk.ui.remote import RemoteError, ScreenRemote

LOOK_S = 0.5

Due = queue.SimpleQueue[Callable[[], None]]
"""What the main thread is to do next: say what a thread heard, or obey what was typed."""


def demo_command(
    story: Annotated[str | None, typer.Option(help=f"Play a story by itself: {', '.join(stories.STORIES)}.")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where a story writes report.json and pictures.")
    ] = None,
    microphone: Annotated[
        str | None, typer.Option(help="A real microphone, as `arecord -D` takes it; a virtual one if left out.")
    ] = None,
    *,
    headless: Annotated[bool, typer.Option("--headless", help="Show no window even where a display exists.")] = False,
) -> None:
    """Start a whole store here, until Ctrl-C; or play one story and say how it went."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="stayby-demo-"))
    code = 0
    try:
        if story is None:
            _by_hand(folder, microphone, headless=headless or not display_there())
        else:
            code = _story(story, folder, report or Path(f"stayby-{story}"), headless=headless or not display_there())
    except KeyboardInterrupt:
        print()
    except stories.PROBLEMS as error:
        print(f"stayby demo: {error}", file=sys.stderr)
        code = 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(code)


def _story(story: str, folder: Path, report: Path, *, headless: bool) -> int:
    if story not in stories.STORIES:
        _refuse(f"there is no story {story!r}; there are: {', '.join(stories.STORIES)}")
    played = stories.play(story, report, folder, headless=headless)
    for event in played.events:
        print(f"{event['t_s']:8.3f}  {event['source']}: {event['what']}")
    for name, value in played.measures.items():
        print(f"{name} = {value}")
    print(f"story {story}: {'ok' if played.ok else 'FAILED'}; report and pictures are in {report}")
    return 0 if played.ok else 1


def _refuse(says: str) -> NoReturn:
    print(f"stayby demo: {says}", file=sys.stderr)
    raise typer.Exit(2)


# --- by hand ----------------------------------------------------------------------------------------------------------


def _by_hand(folder: Path, microphone: str | None, *, headless: bool) -> None:
    print("Starting a store on this machine: broker, button, microphone, hub, screen, ear, board, relay …", flush=True)
    due: Due = queue.SimpleQueue()
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(folder, headless=headless, real_microphone=microphone))
        stack.callback(
            signal.signal, signal.SIGINT, signal.SIG_IGN
        )  # a second Ctrl-C must not leave half of it running
        stage.start_unit()
        control = _control(stack, stage)
        boards = {one.person.name: stage.board_page(one) for one in (SAM, ALEX)}
        stage.start_relay(lambda says: due.put(functools.partial(print, f"  webhook: {says}", flush=True)))
        print(_what_to_try(boards, control, headless=headless, virtual=microphone is None), flush=True)
        _watch(stage, control, due)


def _control(stack: ExitStack, stage: Stage) -> Path:
    """Let `stayby sim` reach this button; beside another one that already runs, by a path of its own."""
    try:
        return stack.enter_context(ControlSocket(stage.button)).path
    except SimulatorError:
        return stack.enter_context(ControlSocket(stage.button, stage.folder / "sim.sock")).path


def _what_to_try(boards: dict[str, str], control: Path, *, headless: bool, virtual: bool) -> str:
    option = "" if control == default_control_path() else f" --control {control}"
    touch = "tap I need help" if headless else "touch “I need help” in the kiosk's window"
    speak = "say Call an ambulance!" if virtual else "say “Call an ambulance!” into the microphone"
    return f"""
The store is open. Each of the staff opens the board by an invitation, which works once:
  Sam (asked first):         {boards["Sam"]}
  Alex, the manager (next):  {boards["Alex"]}

Six things to try. What is typed here goes to the desk; Ctrl-C ends it all.
  1. Open both in a browser: only then does the desk know that somebody listens. Later, by name and PIN:
                      Sam {PINS[SAM]}, Alex {PINS[ALEX]}.
  2. press            then answer on Sam's board: “Coming”, “I’m here”, and how it ended.
                      (In another terminal: .venv/bin/stayby sim tap{option})
  3. {speak:<24} before it, any ordinary sentence: nothing happens.
  4. {touch:<24} and answer nothing: in 30 s Alex is asked, in 60 s the emergency page is up.
  5. unplug           the button's fault is on the boards at once; plug mends it.
  6. On Alex's board  “For the manager”: what happened, the week, a drill. Then press again while you read there.
Also: look (a picture of the screen, as a file), cut, short, normal, status.

The relay tells others too: each alert is posted, signed, to a webhook here. A line "webhook: …" is what it said.
"""


def _watch(stage: Stage, control: Path, due: Due) -> None:
    """Do what is typed and say what is heard, until Ctrl-C; say when a part ended by itself."""
    threading.Thread(target=_read_lines, args=(stage, control, due), daemon=True).start()
    gone: set[str] = set()
    while True:
        with contextlib.suppress(queue.Empty):
            due.get(timeout=LOOK_S)()
        for part in stage.parts.values():
            if part.ended() is not None and part.name not in gone:
                gone.add(part.name)
                print(f"{part.name} has ended with {part.ended()}; its log: {part.log}", flush=True)


def _read_lines(stage: Stage, control: Path, due: Due) -> None:
    for line in sys.stdin:
        due.put(functools.partial(_obey, stage, control, line.strip()))


def _obey(stage: Stage, control: Path, line: str) -> None:
    word, _, rest = line.partition(" ")
    try:
        if word == "say" and rest:
            stories.speak(stage, rest)
        elif word == "tap" and rest:
            ScreenRemote(stage.screen_remote).tap(rest)
        elif word == "look":
            path = Path(tempfile.gettempdir()) / f"stayby-screen-{time.strftime('%H%M%S')}.png"
            ScreenRemote(stage.screen_remote).shot(path)
            print(path)
        elif word in ACTIONS:
            print(ask(control, "tap" if word == "press" else word) or "done")
        elif word:
            print(f"I know: say WORDS, tap BUTTON, look, {', '.join(ACTIONS)}")
    except (RemoteError, SimulatorError, OSError, subprocess.SubprocessError) as error:
        print(error)
    sys.stdout.flush()

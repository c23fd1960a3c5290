"""`stayby prove`: asks the hub to prove the unit now, and says each hop as it goes.

Exit 0: proven. 1: a hop was missed, or the hub is away. 75: not now, somebody needs the desk; try again later. 2: a wrong option.
The proof goes on when nobody waits for it any more.
"""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from kiosk.bus import BusError, Lines, encode, runtime_socket
from kiosk.cli import CONFIG, DEFAULT_CONFIG, load_or_exit
from kiosk.messages import AskProof, BadMessage, HopFound, ProofSays, parse_to_leaf

WAIT_S = 30.0
"""A hub that says nothing for so long hangs: no hop takes longer."""
MISSED, NOT_NOW = 1, 75
CODES = {"passed": 0, "missed": MISSED, "not_now": NOT_NOW, "broken_off": NOT_NOW}
WORDS = {"ok": "OK", "missed": "MISSED", "left_out": "left out"}


def prove_command(
    config: CONFIG = DEFAULT_CONFIG,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end.")] = False,
) -> None:
    """Prove the unit now: button, sound, broker and board. Nobody is alerted."""
    socket_path = runtime_socket(load_or_exit(config).config.unit.run_dir)
    try:
        code = _follow(socket_path, as_json=as_json)
    except (BusError, BadMessage) as error:
        print(error, file=sys.stderr)
        code = MISSED
    raise typer.Exit(code)


def _follow(path: Path, *, as_json: bool) -> int:
    """Print what the hub says of the proof until its end; return the exit code."""
    hops: list[HopFound] = []
    for said in said_by_hub(path):
        if said.hop is not None:
            hops.append(said.hop)
        if not as_json:
            print("\n".join(lines_of(said)), flush=True)
        if said.what in CODES:
            if as_json:
                whole = {"result": said.what, "says": said.says, "hops": [one.model_dump(mode="json") for one in hops]}
                print(json.dumps(whole))
            return CODES[said.what]
    raise BusError(f"bus socket {path}: the hub went away; look at journalctl -u stayby-alertd")


def said_by_hub(path: Path) -> Iterator[ProofSays]:
    """Ask for a proof and yield what the hub says of it; `BusError` when it is away or falls silent."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.settimeout(WAIT_S)
            sock.connect(str(path))
            sock.sendall(encode(AskProof()))
            lines = Lines()
            while data := sock.recv(65536):
                for line in lines.feed(data):
                    said = parse_to_leaf(line)
                    if isinstance(said, ProofSays):
                        yield said
        except OSError as error:
            raise BusError(f"bus socket {path}: {error}; is `stayby alertd` running?") from None


def lines_of(said: ProofSays) -> list[str]:
    """Return what the hub said as lines for a person."""
    if said.hop is not None:
        one = said.hop
        line = f"{WORDS[one.result]:8}  {one.hop:6}  {one.says}"
        return [line, f"          do: {one.do}"] if one.do else [line]
    return {
        "begun": ["The unit proves itself. Nobody is alerted, and every call stays real."],
        "passed": ["Proven."],
        "missed": [f"Not proven: {said.says}. Staff see it as a fault until the next proof passes."],
        "not_now": [f"Not now: {said.says}"],
        "broken_off": [f"Broken off: {said.says}. Try again later."],
        "hop": [],
    }[said.what]

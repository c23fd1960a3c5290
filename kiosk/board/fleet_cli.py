"""`stayby fleet`: every unit of a store in one table, the worst first, from what the broker says now."""

import queue
import sqlite3
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from kiosk.board.cli import DEFAULT_STORE, STORE_CONFIG
from kiosk.board.fleet import DAY_S, Bundle, Facts, Fleet, FleetView, Named, Part, UnitRow, make_view
from kiosk.board.recorder import FILE, feed, fleet_topics
from kiosk.board.records import peek
from kiosk.messages import BadMessage, Id, UnitState
from kiosk.mqtt import Connected, Disconnected, LinkEvent, MqttLink, Received, Refused
from kiosk.store_cli import load_or_exit
from kiosk.store_config import StoreConfig

CONNECT_S = 12.0
LEAST_S = 6.0
"""Everything alive has spoken in this time: of two units with one name both."""
LISTEN_S = 12.0
"""A unit beats every 5 s: whoever was not heard in this time is lost."""
WIDTH = 110
NAMED = 12
STYLES = {"alert": "bold red", "hands": "bold red", "look": "yellow", "well": "green"}


def fleet_command(
    *,
    config: STORE_CONFIG = DEFAULT_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="The whole as JSON.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Name each unit that is well, and fold nothing.")] = False,
) -> None:
    """Show every unit of the store, the worst first. Exit 1 when anything is not well."""
    store = load_or_exit(config)
    try:
        fleet = listen(store)
    except OSError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    view = make_view(fleet, _facts(store))
    if as_json:
        print(view.model_dump_json(indent=2))
    else:
        console = Console(width=None if Console().is_terminal else WIDTH)
        console.print(picture(view, everything=everything))
    raise typer.Exit(any(part.kind != "well" for part in view.parts) or bool(view.notes))


# --- what is heard ----------------------------------------------------------------------------------------------------


def listen(store: StoreConfig) -> Fleet:
    """Return what all units say, heard for `LISTEN_S` at the most; raise `OSError` when the broker does not let us."""
    inbox: queue.SimpleQueue[LinkEvent | BaseException] = queue.SimpleQueue()
    name = f"stayby-fleet-{uuid.uuid4().hex[:8]}"  # several may look at once
    link = MqttLink(store.broker, name, fleet_topics(store.store.id), inbox.put, inbox.put)
    try:
        return _heard(inbox, [one.id for one in store.unit])
    finally:
        link.close()


def _heard(inbox: "queue.SimpleQueue[LinkEvent | BaseException]", named: list[Id]) -> Fleet:
    fleet, until_s = Fleet(), time.monotonic() + CONNECT_S
    connected_s: float | None = None
    while time.monotonic() < until_s and not (connected_s is not None and _is_whole(fleet, named, connected_s)):
        event = _next(inbox, 0.2)
        if isinstance(event, BaseException):
            raise OSError(f"the MQTT thread died ({event!r}); please report this") from event
        if isinstance(event, Refused | Disconnected):
            raise OSError(event.reason)
        if isinstance(event, Connected):
            connected_s = time.monotonic()
            until_s = connected_s + LISTEN_S
            fleet.heard_again(connected_s)
        elif isinstance(event, Received):
            try:
                feed(fleet, event, time.monotonic(), datetime.now(UTC))
            except BadMessage as error:
                print(error, file=sys.stderr)
    if connected_s is None:
        raise OSError(f"the broker did not answer in {CONNECT_S:g} s; look at it and at the network")
    return fleet


def _next(inbox: "queue.SimpleQueue[LinkEvent | BaseException]", wait_s: float) -> LinkEvent | BaseException | None:
    try:
        return inbox.get(timeout=wait_s)
    except queue.Empty:
        return None


def _is_whole(fleet: Fleet, named: list[Id], connected_s: float) -> bool:
    """Return whether all units were heard, and whoever claims to live has just said so."""
    if time.monotonic() - connected_s < LEAST_S:
        return False
    claims = [one.status.unit for one in fleet.model.desks() if one.status.state is not UnitState.LOST]
    return all(fleet.heard[unit].live for unit in claims) and all(one in fleet.heard for one in named)


def _facts(store: StoreConfig) -> Facts:
    unix_s = time.time()
    alerts: dict[Id, int] | None = None
    proven_s: dict[Id, float | None] = {}
    try:
        alerts, proven_s = peek(store.store.state_dir / FILE, unix_s - 7 * DAY_S)
    except sqlite3.Error as error:
        where = f"{store.store.state_dir / FILE}: {error}"
        print(f"note: {where}; alerts of the last 7 days are not shown: run this as the board's user", file=sys.stderr)
    return Facts(
        store=store.store.name,
        named=[Named(one.id, one.place) for one in store.unit],
        now_s=time.monotonic(),
        unix_s=unix_s,
        proven_hours=store.norm.proven_hours,
        alerts=alerts,
        proven_s=proven_s,
        silent_after_s=LISTEN_S - 1.0,
    )


# --- what is shown ----------------------------------------------------------------------------------------------------


def picture(view: FleetView, *, everything: bool = False) -> RenderableType:
    """Return the whole for a terminal."""
    lines: list[RenderableType] = [Text(f"{view.store} · {view.headline}", style="bold")]
    lines += [Text(note, style="bold red") for note in view.notes]
    for part in view.parts:
        lines += [Text(""), _part(part, everything=everything)]
    return Group(*lines)


def _part(part: Part, *, everything: bool) -> RenderableType:
    title = Text(f"{part.title} ({part.units})", style=STYLES[part.kind])
    table = Table(
        "unit", "what, and what to do", "proven", "link", "version", "7 days", box=None, pad_edge=False, expand=True
    )
    table.columns[0].ratio, table.columns[1].ratio = 3, 6
    for column in table.columns[2:]:
        column.no_wrap = True
    for bundle in part.bundles:
        if bundle.what and not everything:
            _add_bundle(table, bundle)
        else:
            for row in bundle.rows:
                _add_row(table, row)
    return Group(title, table)


def _add_bundle(table: Table, bundle: Bundle) -> None:
    """Add many units as one line: the first of them are named."""
    named = ", ".join(row.place for row in bundle.rows[:NAMED])
    more = len(bundle.rows) - NAMED
    who = Text(f"{len(bundle.rows)} units", style="bold")
    says = Text(f"{bundle.what} {bundle.do}".strip())
    says.append(f"\n{named}{f' and {more} more' if more > 0 else ''}", style="dim")
    stale = sum(row.proven_bad for row in bundle.rows)
    table.add_row(who, says, f"{stale} not" if stale else "all", *_shared(bundle.rows))


def _shared(rows: tuple[UnitRow, ...]) -> tuple[str, str, str]:
    weak = sum(row.link_bad for row in rows)
    versions = sorted({row.version[:20] for row in rows if row.version})
    alerts = "–" if rows[0].alerts is None else str(sum(row.alerts or 0 for row in rows))
    return f"{weak} weak" if weak else "", versions[0] if len(versions) == 1 else f"{len(versions)} kinds", alerts


def _add_row(table: Table, row: UnitRow) -> None:
    who = Text(row.place, style="bold")
    if row.place != row.unit:
        who.append(f"\n{row.unit}", style="dim not bold")
    proven = Text(row.proven, style="red" if row.proven_bad else "")
    proven.append(f"\nself: {row.self_proven}", style="dim not red")
    alerts = "–" if row.alerts is None else str(row.alerts)
    link = Text(row.link, style="yellow" if row.link_bad else "")
    table.add_row(who, _says(row), proven, link, row.version[:20] or "–", alerts)


def _says(row: UnitRow) -> Text:
    """Return a unit's alert and troubles; the technician's own lines are dim."""
    lines = [(row.alert, "bold red")] if row.alert else []
    for one in row.troubles:
        lines += [(f"{one.what} {one.do}", ""), *((more, "dim") for more in one.more)]
    parts = [part for line in lines for part in (("\n", ""), line)][1:]
    return Text.assemble(*parts) if parts else Text("Nothing is wrong.")

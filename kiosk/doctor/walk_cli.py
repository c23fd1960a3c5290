"""`stayby walktest`: a technician tries each button, the screen and a phrase at each spot, and takes a signed certificate along.

The hub holds one announced call at a time for the technician's word (`kiosk/walk.py`); everything else at the desk stays real.
This terminal's connection is the walk test: when it ends, so does the test.
"""

import queue
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from kiosk.bus import Leaf, runtime_socket
from kiosk.cli import CONFIG, DEFAULT_CONFIG, load_or_exit
from kiosk.config_file import Loaded
from kiosk.doctor import commissioning
from kiosk.doctor.commissioning import Commissioning
from kiosk.doctor.doctor_cli import Hub, checks, show
from kiosk.doctor.network import link_addresses
from kiosk.doctor.parts import versions
from kiosk.doctor.record import summary
from kiosk.doctor.trials import Plan, Trial, passed, plan_for, whole_way
from kiosk.messages import AskWalk, Hello, Role, ToLeaf, WalkSays
from kiosk.signatures import NotGenuine
from kiosk.walk import EXPECT_S, HOLD_S

BEEP_S = 15.0
HUB_S = 5.0
LATE_S = 2.0
"""A call that came at the last moment is told this much later at the most."""
HELP = "A number tries it. s PLACE adds a spot. x NUMBER WHY leaves one out. e ends."

Item = str | ToLeaf | bool | BaseException | None
"""A line that was typed (None: no more will come), what the hub says, whether it is there, what killed a thread."""


class Walker:
    """One walk test at a terminal: typed lines, the hub's word and the clock meet in one inbox."""

    def __init__(self, plan: Plan, by: str, minutes: float) -> None:
        self.plan, self.over = plan, ""
        self._by, self._for_s = by, 60 * minutes
        self.inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._until = ""
        self._trial: Trial | None = None
        self._came: WalkSays | None = None
        self._give_up_s = float("inf")
        self._beep_s = 0.0
        self._leaf: Leaf | None = None

    def run(self, socket_path: Path) -> str:
        """Walk until it is over and return why it is; raise what killed a thread."""
        put = self.inbox.put
        self._leaf = Leaf(socket_path, Hello(role=Role.STATUS), put, put, print, put)
        threading.Thread(target=self._read, name="typed", daemon=True).start()
        begun_by_s = time.monotonic() + HUB_S
        try:
            while not self.over:
                self._turn()
                if not self._until and time.monotonic() > begun_by_s:
                    self.over = self.over or "the hub does not answer: see `stayby doctor`"
        except KeyboardInterrupt:
            self.over = "stopped by hand"
        self._leaf.close()
        return self.over

    @property
    def begun(self) -> bool:
        """Whether the hub ever let it begin."""
        return bool(self._until)

    def _read(self) -> None:
        for line in sys.stdin:
            self.inbox.put(line.strip())
        self.inbox.put(None)

    def _turn(self) -> None:
        try:
            item = self.inbox.get(timeout=0.25)
        except queue.Empty:
            self._tick(time.monotonic())
            return
        match item:
            case BaseException():
                raise item
            case bool():
                self._linked(there=item)
            case WalkSays():
                self._told(item)
            case str():
                self._typed(item)
            case None:
                self._ask("end")

    def _tick(self, now_s: float) -> None:
        if self._trial is not None and self._came is None and now_s >= self._give_up_s:
            show(self.plan.missed(self._trial))
            self._trial = None
        if self._until and now_s >= self._beep_s:
            self._beep_s = now_s + BEEP_S
            self._say_left()

    def _ask(self, action: str, **more: object) -> None:
        if self._leaf is not None:
            self._leaf.send(AskWalk.model_validate({"action": action, **more}))

    def _linked(self, *, there: bool) -> None:
        if there and not self._until:
            self._ask("begin", by=self._by, for_s=self._for_s)
        elif not there and self._until:
            self.over = "the hub went away: every call is real; begin again when it is back"

    # --- what is typed ------------------------------------------------------------------------------------------------

    def _typed(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if self._came is not None:
            self._ask("real" if word == "r" else "mine")
        elif word == "e":
            self._ask("end")
        elif word == "s" and rest.strip():
            self._begin(self.plan.add_spot(rest.strip()[:40]))
        elif word == "x":
            self._leave_out(rest)
        elif word.isdigit() and 1 <= int(word) <= len(self.plan.trials):
            self._begin(self.plan.trials[int(word) - 1])
        elif not word and self.plan.untested():
            self._begin(self.plan.untested()[0])
        else:
            print(HELP)

    def _leave_out(self, rest: str) -> None:
        number, _, why = rest.partition(" ")
        if number.isdigit() and 1 <= int(number) <= len(self.plan.trials) and why.strip():
            show(self.plan.left_out(self.plan.trials[int(number) - 1], why.strip()[:80]))
        else:
            print("Say its number and why: x 2 this desk has no hidden button")

    def _begin(self, trial: Trial) -> None:
        self._trial = trial
        self._give_up_s = time.monotonic() + EXPECT_S + LATE_S
        self._ask("expect", trigger=trial.trigger)

    # --- what the hub says --------------------------------------------------------------------------------------------

    def _told(self, told: WalkSays) -> None:
        match told.what:
            case "begun":
                self._until = told.until
                print(f"Walk test until {told.until}. Every call that you do not announce here is real. {HELP}")
            case "expecting" if self._trial is not None:
                self._beep_s = time.monotonic() + BEEP_S
                print(f"\a{self._trial.ask}. ({EXPECT_S:.0f} s)")
            case "came":
                self._came = told
                print(
                    f"\aIt came. Was it you? Enter: yes. r: no, call staff. Without a word staff are called in {HOLD_S:.0f} s."
                )
            case "mine" if self._trial is not None and self._came is not None:
                show(self.plan.came(self._trial, self._came))
                self._trial = self._came = None
                self._beep_s = 0.0
            case "real":
                self._came = self._trial = None
                print(f"\aStaff are called now: {told.says}.")
            case "refused":
                self.over = told.says
            case "over":
                self.over = told.says

    def _say_left(self) -> None:
        left = [f"{self.plan.trials.index(one) + 1} {one.name}" for one in self.plan.untested()]
        what = f"Untested: {', '.join(left)}." if left else "Nothing is untested. e ends and writes the certificate."
        print(f"\aWalk test until {self._until}. {what}", flush=True)


# --- the command ------------------------------------------------------------------------------------------------------


def walktest_command(
    config: CONFIG = DEFAULT_CONFIG,
    *,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who tests: your name.")] = "",
    agreed: Annotated[str, typer.Option("--agreed", metavar="NAME", help="Who of the store agreed to the test.")] = "",
    minutes: Annotated[float, typer.Option(min=1, max=60, help="After so many minutes it ends by itself.")] = 30.0,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the certificate goes.")] = Path(),
    file: Annotated[
        Path | None, typer.Option("--verify", metavar="FILE", help="Only look whether this certificate is genuine.")
    ] = None,
) -> None:
    """Try every button, the screen and a phrase at each spot, and write a signed certificate. Exit 1 unless all works."""
    loaded = load_or_exit(config)
    if file is not None:
        _verify(file, loaded.config.broker.ca_file)
        return
    if not by.strip() or not agreed.strip():
        print("say who tests and who of the store agreed: stayby walktest --by Kim --agreed Alex", file=sys.stderr)
        raise typer.Exit(2)
    walker, began = Walker(plan_for(loaded.config), by.strip()[:40], minutes), datetime.now(UTC)
    why = walker.run(runtime_socket(loaded.config.unit.run_dir))
    if not walker.begun:
        print(f"no walk test: {why}", file=sys.stderr)
        raise typer.Exit(1)
    print(f"\aThe walk test is over: {why}. Every call is real again.")
    done = _certified(loaded, walker.plan, began, by=by.strip(), agreed=agreed.strip(), why=why)
    _write(done, loaded, out)
    raise typer.Exit(0 if done.passed else 1)


def _certified(loaded: Loaded, plan: Plan, began: datetime, *, by: str, agreed: str, why: str) -> Commissioning:
    """Look at the unit once more, and return what is to be certified."""
    unit, answer = loaded.config.unit, Hub(loaded.config).ask()
    walked, found = (*plan.records(), whole_way(answer, began)), tuple(checks(loaded))
    for check in (*walked, *(one for one in found if one.ok is False)):
        show(check)
    return Commissioning(
        store=unit.store,
        unit=unit.id,
        place=unit.place,
        address=unit.address,
        by=by,
        agreed=agreed,
        began=began,
        ended=datetime.now(UTC),
        ended_by=why,
        passed=passed(walked, found),
        versions=versions(answer),
        network=link_addresses(),
        walk=walked,
        doctor=found,
    )


def _write(done: Commissioning, loaded: Loaded, out: Path) -> None:
    print(f"{summary(done.walk)}. {commissioning.result(done)}.")
    try:
        for path in commissioning.write(commissioning.sign(done, loaded.config.broker), out):
            print(f"written: {path}")
    except (OSError, ValueError) as error:
        print(f"no certificate was written: {error}; run it with sudo, or name another --out", file=sys.stderr)
        raise typer.Exit(1) from None


def _verify(file: Path, authority: Path) -> None:
    try:
        one, signer = commissioning.verify(file.read_bytes(), authority.read_bytes())
    except (OSError, NotGenuine) as error:
        print(f"{file}: not genuine: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"{file}: genuine, signed by {signer}. {commissioning.title(one)}, by {one.by}. {commissioning.result(one)}.")

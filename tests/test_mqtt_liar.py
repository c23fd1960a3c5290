"""A broker that confirms and drops: nothing rests on its word, all is said again until a human's answer shows."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kiosk.board.station import Ask, Station
from kiosk.bus import Leaf, runtime_socket
from kiosk.config import BoardConfig, BrokerSection, ResponderSection
from kiosk.demo.stage import SAM, STORE, UNIT, Stage, wait_for
from kiosk.messages import Hello, Outcome, Reach, Role, Show, State, ToLeaf, Touch, TouchAction
from tests.liar import Liar
from tests.staff import Staff

pytestmark = pytest.mark.parts


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, escalation={"resend_s": 0.3}) as made:
        made.write_config()
        made.start_broker()
        yield made


class Screen:
    """The desk's screen: what it was told last, and a finger on "I need help"."""

    def __init__(self, stage: Stage) -> None:
        self.shown: list[ToLeaf] = []
        self._leaf = Leaf(
            runtime_socket(stage.run_dir), Hello(role=Role.UI), self.shown.append, lambda _: None, print, print
        )
        wait_for("the bus", lambda: self.shown)

    def state(self) -> State | None:
        last = self.shown[-1]
        return last.incident.state if isinstance(last, Show) and last.incident else None

    def touch_help(self) -> None:
        assert self._leaf.send(Touch(action=TouchAction.HELP))

    def close(self) -> None:
        self._leaf.close()


@contextmanager
def unit_behind(stage: Stage, liar: Liar) -> Iterator[Screen]:
    text = stage.config_file.read_text()
    stage.config_file.write_text(text.replace(f"port = {stage.broker.port}", f"port = {liar.section.port}"))
    stage.start_hub()
    screen = Screen(stage)
    try:
        yield screen
    finally:
        screen.close()


class Sam:
    """Sam's real station, turned by hand."""

    def __init__(self, section: BrokerSection) -> None:
        self._news = threading.Event()
        who = ResponderSection(store=STORE, id=SAM.person.id, name=SAM.person.name, tier=1)
        self.deaths: list[BaseException] = []
        config = BoardConfig(responder=who, broker=section)
        self.station = Station(config, "board", self._news.set, self.deaths.append)

    def turn(self) -> bool:
        """Turn; return False, so that a wait may turn it and look at something else."""
        now_s = time.monotonic()
        self.station.take_inbox(now_s)
        self.station.listen(now_s, listening=True)
        self.station.tick(now_s)
        assert not self.deaths
        return False

    def states(self) -> list[State]:
        self.turn()
        return [one.snapshot.state for one in self.station.model.open_incidents()]

    def wait(self, *states: State) -> None:
        wait_for(f"Sam's board to show {states}", lambda: self.states() == list(states))

    def answer(self, kind: str, **facts: object) -> None:
        (one,) = self.station.model.open_incidents()
        ask = Ask.model_validate({"incident": one.snapshot.id, "unit": UNIT, "kind": kind, **facts})
        self.station.answer(ask, time.monotonic())


@contextmanager
def sam_at(section: BrokerSection) -> Iterator[Sam]:
    sam = Sam(section)
    try:
        yield sam
    finally:
        sam.station.close()


def _reached(stage: Stage) -> bool:
    status = stage.status()
    return status is not None and status.reach is Reach.OK


def test_an_alert_that_was_confirmed_and_dropped_reaches_staff(stage: Stage) -> None:
    with (
        Liar(stage.broker, stage.broker.section_for_unit(UNIT), lambda topic, _: topic.endswith("/incident")) as liar,
        Staff(stage, SAM) as sam,
        unit_behind(stage, liar) as screen,
    ):
        wait_for("Sam to be known", lambda: _reached(stage))
        screen.touch_help()
        wait_for("three lies", lambda: len(liar.dropped) >= 3)
        assert not sam.snapshots, "the liar let one through"
        liar.lies = False
        raised = sam.wait(lambda snapshot: snapshot.state is State.RAISED)
        assert {snapshot.id for snapshot in sam.snapshots} == {raised.id}


def test_an_answer_that_was_confirmed_and_dropped_reaches_the_desk(stage: Stage) -> None:
    real = stage.broker.section_for_responder(SAM.person.id)
    with (
        Liar(stage.broker, real, lambda topic, _: "/reply/" in topic) as liar,
        sam_at(liar.section) as sam,
        Liar(stage.broker, stage.broker.section_for_unit(UNIT), lambda *_: False) as honest,
        unit_behind(stage, honest) as screen,
    ):
        wait_for("Sam to be known", lambda: sam.turn() or _reached(stage))
        screen.touch_help()
        sam.wait(State.RAISED)
        sam.answer("coming", eta_s=60)
        wait_for("two lies", lambda: sam.turn() or len(liar.dropped) >= 2)
        assert screen.state() is State.RAISED
        liar.lies = False
        wait_for("the desk to know it", lambda: sam.turn() or screen.state() is State.COMING)
        sam.wait(State.COMING)


def test_the_end_of_an_incident_that_was_confirmed_and_dropped_is_told_to_whoever_still_answers_it(
    stage: Stage,
) -> None:
    def closed(topic: str, packet: bytes) -> bool:
        return topic.endswith("/incident") and b'"state":"closed"' in packet

    with (
        Liar(stage.broker, stage.broker.section_for_unit(UNIT), closed) as liar,
        sam_at(stage.broker.section_for_responder(SAM.person.id)) as sam,
        unit_behind(stage, liar) as screen,
    ):
        wait_for("Sam to be known", lambda: sam.turn() or _reached(stage))
        screen.touch_help()
        sam.wait(State.RAISED)
        sam.answer("here")
        sam.wait(State.ATTENDED)
        sam.answer("close", outcome=Outcome.TEST)
        wait_for("the lie", lambda: sam.turn() or liar.dropped)
        assert screen.state() is State.CLOSED
        assert sam.states() == [State.ATTENDED], "the liar let it through"
        liar.lies = False
        sam.wait()

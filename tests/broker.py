"""A real mosquitto with TLS for tests: the demo's private broker, in a test's own folder."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kiosk.demo.broker import PrivateBroker

STORE, UNITS, RESPONDERS = "harbour", ("desk-3", "returns"), ("priya", "sam")


def private_broker(folder: Path, **options: Any) -> PrivateBroker:
    """Return a broker of one store with two desks and two responders, not yet started."""
    return PrivateBroker(folder, STORE, UNITS, RESPONDERS, **options)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    """Run a private broker for one test."""
    with private_broker(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., PrivateBroker]]:
    """Return a maker of running brokers with options; they all end with the test."""
    made: list[PrivateBroker] = []

    def make(**options: Any) -> PrivateBroker:
        running = private_broker(tmp_path / f"broker{len(made)}", **options)
        made.append(running)
        running.start()
        return running

    yield make
    for running in made:
        running.stop()

"""The broker's rules of access, cell by cell, at the real mosquitto: exactly what should be open is open."""

from pathlib import Path

import pytest

from kiosk.demo.acl import OPEN, STRANGERS, TOPICS, VERSIONS, try_all

pytestmark = pytest.mark.parts
SIGN_INS_THAT_FAIL = 3


def test_exactly_what_should_be_open_is_open(tmp_path: Path) -> None:
    matrix = try_all(tmp_path / "broker")
    assert matrix.open == set()
    assert matrix.shut == set()
    clients = len(OPEN) + len(STRANGERS) + SIGN_INS_THAT_FAIL
    assert len(matrix.tried) == clients * len(TOPICS) * (2 * len(VERSIONS) + 1)

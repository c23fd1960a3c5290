"""A unit whose panel is missing or may not be read says so."""

import os
from pathlib import Path

import pytest

from kiosk.ui.panel import panel_fault, panels

RASPBERRY_PI_PANEL = "660800000000000"  # FT5406: ABS_MT_SLOT, position and tracking id; without ABS_X
MOUSE, NOTHING = "3", "0"


def plug(folder: Path, name: str, capabilities: str) -> None:
    (folder / name / "device/capabilities").mkdir(parents=True)
    (folder / name / "device/capabilities/abs").write_text(capabilities + "\n")


def test_only_a_multi_touch_device_is_a_panel(tmp_path: Path) -> None:
    for number, capabilities in enumerate((MOUSE, RASPBERRY_PI_PANEL, NOTHING, f"1 {MOUSE}")):
        plug(tmp_path, f"event{number}", capabilities)
    (tmp_path / "event9").mkdir()
    assert panels(tmp_path) == ("event1",)


def test_no_panel_is_a_fault_with_what_to_do(tmp_path: Path) -> None:
    fault = panel_fault(panels(tmp_path), tmp_path)
    assert fault is not None
    assert (fault.code, fault.do) == ("panel_missing", "plug in the panel's USB or ribbon cable")


def test_a_panel_that_can_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "event1").write_bytes(b"")
    assert panel_fault(("event1",), tmp_path) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_panel_that_may_not_be_read_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "event1").write_bytes(b"")
    (tmp_path / "event1").chmod(0)
    fault = panel_fault(("event1",), tmp_path)
    assert fault is not None
    assert fault.code == "panel_denied"


def test_a_panel_without_its_device_file_is_a_fault(tmp_path: Path) -> None:
    fault = panel_fault(("event1",), tmp_path)
    assert fault is not None
    assert fault.where == str(tmp_path / "event1")

"""What each process really loads: the hub stays light, and a command loads only its own part."""

import json
import subprocess
import sys

import pytest

HEAVY = (
    "numpy", "kivy", "tflite_runtime", "ai_edge_litert", "onnxruntime", "soundfile", "soxr", "pyopen_wakeword",
    "starlette", "uvicorn", "playwright", "trustme",
)  # fmt: skip


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after `code`."""
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", ["alertd", "store", "mqtt", "bus", "incident", "config_file"])
def test_the_hub_loads_nothing_heavy(module: str) -> None:
    assert not loaded_by(f"import kiosk.{module}") & {*HEAVY, "typer", "rich"}


@pytest.mark.parametrize("command", ["alertd", "status", "check"])
def test_the_commands_of_the_hub_load_nothing_heavy(command: str) -> None:
    assert not loaded_by(f"from kiosk.cli import load; load({command!r})") & set(HEAVY)


def test_help_loads_no_command() -> None:
    shown = loaded_by("from kiosk.cli import app\ntry: app(['--help'])\nexcept SystemExit: pass")
    assert not shown & {*HEAVY, "pydantic", "paho", "serial"}

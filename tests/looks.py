"""A model with a second look for tests: the packaged stage 1, a loose gate, patterns of its own, and no head."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from kiosk.listen.model import packaged_model
from kiosk.listen.moonshine import installed

needs_moonshine = pytest.mark.skipif(not installed(), reason="the extra [second-look] is not installed")
RULES = {
    "gate": -2.0,
    "help_tokens": [1371, 8477, 22305, 29648],
    "words": {"ambulance": [r"\bambulance\b"], "help": [r"\bhelp\b"]},
    "ordinary": [r"\b(can|may) i help you\b"],
    "unless": [r"breathe"],
}


def model_with_looks(folder: Path, **change: object) -> Path:
    """Make a model's folder; `change` is for the manifest's second_look."""
    shutil.copytree(packaged_model(), folder)
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content["second_look"] = {**RULES, **change}
    for phrase in content["phrases"]:
        phrase["looked"] = phrase["alone"]
    path.write_text(json.dumps(content))
    return folder


def say(path: Path, text: str, *, voice: str = "en-us", pitch: int = 50, speed: int = 150) -> Path:
    """Let espeak-ng say a sentence into a file."""
    subprocess.run(
        ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "-w", str(path), text],
        check=True,
        capture_output=True,
    )
    return path

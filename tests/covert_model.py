"""A model for tests that has covert phrases: the packaged one, or a copy of it in which "police" became one."""

import json
import shutil
from pathlib import Path

from kiosk.config_file import PACKAGED_MODEL


def covert_model(folder: Path) -> tuple[Path, str]:
    """Return the folder of a model that has covert phrases, and the id of one."""
    manifest = json.loads((PACKAGED_MODEL / "manifest.json").read_text())
    covert = [phrase["id"] for phrase in manifest["phrases"] if phrase["covert"]]
    if covert:
        return PACKAGED_MODEL, covert[0]
    shutil.copytree(PACKAGED_MODEL, folder)
    (police,) = [phrase for phrase in manifest["phrases"] if phrase["id"] == "police"]
    police.update(id="angela", covert=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder, "angela"

"""Looks at what is installed: the model against its manifest, the display and its touch panel, and the versions of everything."""

import hashlib
import platform
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from kiosk import __version__
from kiosk.config import UiSection, UnitConfig
from kiosk.config_file import PACKAGED_MODEL
from kiosk.corners import Tapped, told
from kiosk.detection import Manifest, ManifestError, parse_manifest
from kiosk.doctor import machine
from kiosk.doctor.machine import ROOT, read
from kiosk.doctor.record import Check, touch_file, untested, well, wrong
from kiosk.messages import StatusAnswer
from kiosk.ui.panel import panel_fault, panels

INSTALL_AGAIN = "install Stayby again: sudo apt install --reinstall stayby"
MANIFEST = "manifest.json"
TAP = "sudo stayby doctor --corners; or at the screen: two fingers held still for 5 s on the greeting, the PIN, Tap 4 corners"


def parts(config: UnitConfig, root: Path = ROOT) -> Iterator[Check]:
    """Yield how model, display and touch panel are."""
    yield _model(config)
    yield display(config.ui, root)
    yield touch(root)
    yield touch_corners(config)


# --- the model --------------------------------------------------------------------------------------------------------


def _model(config: UnitConfig) -> Check:
    if config.listen is None:
        return untested("model", "this unit does not listen: there is no [listen] in kiosk.toml")
    folder = config.listen.model_dir or PACKAGED_MODEL
    try:
        manifest = parse_manifest((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))
        files = _files(manifest)
        broken = [name for name, sha256 in files.items() if _sha256(folder / name) != sha256]
    except (OSError, ManifestError) as error:
        return wrong("model", str(error), INSTALL_AGAIN)
    if broken:
        return wrong("model", f"{', '.join(broken)} in {folder} is damaged or of another version", INSTALL_AGAIN)
    return well(
        "model", f"{manifest.name} of {manifest.made}: {len(files)} files as the manifest says", files=len(files)
    )


def _files(manifest: Manifest) -> dict[str, str]:
    """Return each file that the manifest names, and its SHA-256."""
    look = manifest.second_look
    head = {look.head: look.sha256} if look is not None and look.head is not None and look.sha256 is not None else {}
    return {manifest.model: manifest.sha256, **head}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- the screen -------------------------------------------------------------------------------------------------------


def display(ui: UiSection, root: Path = ROOT) -> Check:
    """Return whether a display is there, of the size that is set."""
    outputs = sorted(root.glob("sys/class/drm/card*-*"))
    live = [one for one in outputs if read(one / "status") == "connected"]
    if not outputs:
        return untested("display", "this machine has no display output that the kernel tells of")
    if not live:
        do = "push its ribbon or HDMI plug home on both ends, give it power, then restart the unit"
        return wrong("display", f"none is connected ({', '.join(one.name for one in outputs)})", do)
    modes = {one.name: (read(one / "modes") or "").splitlines()[:1] for one in live}
    sizes = {name: mode[0] for name, mode in modes.items() if mode}
    says = ", ".join(f"{name} {size}" for name, size in sizes.items()) or live[0].name
    wanted = f"{ui.width}x{ui.height}"
    turned = f"{ui.height}x{ui.width}"
    if ui.fullscreen and sizes and not any(size.startswith((wanted, turned)) for size in sizes.values()):
        return wrong("display", f"{says}, and [ui] says {wanted}", "correct width and height of [ui] in kiosk.toml")
    return well("display", says)


def touch(root: Path = ROOT) -> Check:
    """Return whether a touch panel is there and may be read."""
    names = panels(root / "sys/class/input")
    fault = panel_fault(names, root / "dev/input")
    if fault is not None:
        return wrong("touch", fault.says, fault.do)
    return well("touch", ", ".join(names), panels=len(names))


def touch_corners(config: UnitConfig) -> Check:
    """Return what the four corners said when they were last tapped at the screen."""
    path = touch_file(config.unit.state_dir)
    try:
        tapped = Tapped.model_validate_json(path.read_bytes())
    except PermissionError:
        return untested("touch corners", f"{path} may not be read by you", "run it with sudo")
    except OSError:
        return untested("touch corners", "nobody has tapped the four corners yet", TAP)
    except ValidationError:
        return untested("touch corners", f"{path} is damaged", TAP)
    found = told(tapped.verdict, config.ui.touch or tapped.use)
    says = f"{found.says}; tapped {tapped.at.astimezone():%Y-%m-%d %H:%M}"
    figures = {"off_percent": 100 * tapped.verdict.off, "unix_s": tapped.at.timestamp()}
    return well("touch corners", says, **figures) if found.ok else wrong("touch corners", says, found.do, **figures)


# --- versions ---------------------------------------------------------------------------------------------------------


def versions(answer: StatusAnswer | None, root: Path = ROOT) -> dict[str, str]:
    """Return the version or serial number of all that has one."""
    button = answer.button if answer is not None else None
    return {
        "stayby": __version__,
        "hub": answer.status.version if answer is not None else "",
        "model": answer.ear.model if answer is not None and answer.ear is not None else "",
        "button firmware": button.firmware if button is not None else "",
        "button build": button.build if button is not None else "",
        "computer": machine.model(root),
        "serial": machine.serial(root),
        "system": machine.system(root),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def version_check(answer: StatusAnswer | None, root: Path = ROOT) -> Check:
    """Return the versions in one record; wrong when the hub that runs is another than what is installed."""
    found = versions(answer, root)
    says = ", ".join(f"{name} {value}" for name, value in found.items() if value)
    if found["hub"] and found["hub"] != found["stayby"]:
        return wrong("versions", f"{says}: the hub that runs is another one", "sudo systemctl restart stayby.target")
    return well("versions", says)

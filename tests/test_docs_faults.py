"""A technician finds every fault that the code can raise in the table, and none that it cannot."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
FAULT_CODE = (
    r'"((?:mic|model|panel|screen|calibration|look|letters|picture|backlight)_[a-z_]+'
    r'|covert_unknown|own_voice|font_missing|font_broken|code_small)"'
)


def test_every_fault_is_in_the_technicians_table() -> None:
    hub = (ROOT / "kiosk" / "alertd.py").read_text()
    codes = set(re.findall(r'_fault\(\s*"([a-z-]+)"', hub)) | set(re.findall(r'_start_part\("([a-z]+)"', hub))
    codes |= set(re.findall(r'"(button-[a-z-]+)"', hub))
    codes |= set(re.findall(r'_check_leaf\(now_s, Role\.\w+, "([a-z]+)"', hub)) | {"config-0"}
    for prefix, folder in (("ear-", "listen"), ("screen-", "ui")):
        text = "".join(path.read_text() for path in (ROOT / "kiosk" / folder).glob("*.py"))
        codes |= {f"{prefix}{code}" for code in re.findall(FAULT_CODE, text)}
    table = (ROOT / "docs" / "technician.md").read_text().split("| fault |")[1]
    listed = {
        code
        for line in table.splitlines()
        for code in re.findall(r"`([a-z0-9_-]+)`", line.split("|")[1] if "|" in line else "")
    }
    assert listed == codes

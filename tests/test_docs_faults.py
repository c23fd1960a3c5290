"""Every fault that the code can raise has a line for the technician and plain words for staff, and none that it cannot."""

import re
from pathlib import Path

from kiosk.board.fault_words import UNKNOWN, WORDS, words_of

ROOT = Path(__file__).parent.parent
FAULT_CODE = (
    r'"((?:mic|model|panel|screen|calibration|look|letters|picture|backlight)_[a-z_]+'
    r'|covert_unknown|own_voice|font_missing|font_broken|code_small)"'
)


def raised() -> set[str]:
    """Return the code of every fault that the code can raise."""
    hub = (ROOT / "kiosk" / "alertd.py").read_text()
    codes = set(re.findall(r'_fault\(\s*"([a-z-]+)"', hub)) | set(re.findall(r'_start_part\("([a-z]+)"', hub))
    codes |= set(re.findall(r'"(button-[a-z-]+)"', hub))
    codes |= set(re.findall(r'Age\("([a-z-]+)"', (ROOT / "kiosk" / "certificate_age.py").read_text()))
    codes |= set(re.findall(r'_check_leaf\(now_s, Role\.\w+, "([a-z]+)"', hub)) | {"config-0"}
    for prefix, folder in (("ear-", "listen"), ("screen-", "ui")):
        text = "".join(path.read_text() for path in (ROOT / "kiosk" / folder).glob("*.py"))
        codes |= {f"{prefix}{code}" for code in re.findall(FAULT_CODE, text)}
        codes |= {f"{prefix}{code}" for code in re.findall(r'Fault\(\s*code=f?"([a-z_]+)', text)}
    return codes


def test_every_fault_has_plain_words_for_staff_and_none_that_cannot_come() -> None:
    assert {code for code in raised() if words_of(code) == UNKNOWN} == set()
    codes = raised()
    assert {one for one in WORDS if not any(code == one or code.startswith(one) for code in codes)} == set()
    for what, do in (*WORDS.values(), UNKNOWN):
        assert all(len(said.split()) <= 12 for said in f"{what} {do}".split(". ")), "short enough for somebody tired"
        assert not re.search(r"[A-Z]{2}|[_/]|broker|config|firmware|stayby-", f"{what} {do}"), "no technician's word"


def test_every_fault_is_in_the_technicians_table() -> None:
    table = (ROOT / "docs" / "technician.md").read_text().split("| fault |")[1]
    listed = {
        code
        for line in table.splitlines()
        for code in re.findall(r"`([a-z0-9_-]+)`", line.split("|")[1] if "|" in line else "")
    }
    assert listed == raised()

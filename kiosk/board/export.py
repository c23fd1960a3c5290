"""What a manager takes out of the records: one incident or a span, as JSON for a machine and as PDF for paper, in any script.

The PDF is set with the Noto fonts of this machine and shaped by HarfBuzz. A letter that no font here has is printed as “?”, and
one line on the first page says which fonts to install.
"""

import functools
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, NamedTuple

from fontTools.ttLib import TTFont, TTLibError
from fontTools.unicodedata import script, script_name
from fpdf import FPDF
from fpdf.enums import WrapMode, XPos, YPos

from kiosk.board.drills import title_of
from kiosk.board.kept import Kept
from kiosk.board.records import Records, ReplyKept
from kiosk.board.timeline import told
from kiosk.board.trust import duration, way_of
from kiosk.messages import Outcome, Severity
from kiosk.store_config import StoreConfig

FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".local/share/fonts")
LEFT_TO_RIGHT = "\u200e"
"""The lines are English, whatever script the name has with which one begins."""
EAST_ASIAN = {"Hani", "Hira", "Kana", "Hang", "Bopo"}
BASE, BOLD = "NotoSans-Regular.ttf", "NotoSans-Bold.ttf"
NO_FONTS = (
    "The Noto fonts are not on this machine: other letters than Latin are printed as “?”. Install fonts-noto-core."
)
LACKING = (
    "Some letters are printed as “?” ({letters}): no font here has them. Install fonts-noto-core and fonts-noto-cjk."
)
OUTCOMES: dict[Outcome, str] = {Outcome.REAL: "Real", Outcome.FALSE_ALARM: "False alarm", Outcome.TEST: "Test"}
SEVERITIES: dict[Severity, str] = {
    Severity.CHECK: "Please check",
    Severity.ALERT: "Alert",
    Severity.GRAVE: "Grave alert",
}
INK, SOFT = (18, 48, 45), (55, 82, 78)


class Exported(NamedTuple):
    """An incident with what was written and answered."""

    kept: Kept
    note: str
    replies: list[ReplyKept]


def exported(records: Records, kept: Iterable[Kept]) -> list[Exported]:
    """Return incidents with their notes and answers."""
    return [Exported(one, records.note(one), records.replies(one.unit, one.id)) for one in kept]


# --- in words ---------------------------------------------------------------------------------------------------------


def when(at_s: float, zone: tzinfo) -> str:
    """Return a moment with its day: `Tue 17 Nov 2026, 17:20`."""
    return datetime.fromtimestamp(at_s, zone).strftime("%a %-d %b %Y, %H:%M")


def head(kept: Kept) -> str:
    """Return what it was, in a few words; a drill says so first."""
    if kept.drill:
        return f"DRILL: {title_of(kept.scenario)}"
    return "A person asked for" if kept.request else f"{SEVERITIES[kept.severity]}, by {way_of(kept)}"


def ended(kept: Kept) -> str:
    """Return how it ended."""
    if kept.closed_s is None:
        return "Not closed"
    if kept.outcome is None:
        return "Over"
    by = f", closed by {kept.closed_by.name}" if kept.closed_by else ", ended by itself"
    return f"{OUTCOMES[kept.outcome]}{by}" if not kept.drill else f"Over{by}"


def answer(kept: Kept) -> str:
    """Return how long it took until a human answered."""
    if kept.answer_s is not None:
        return duration(kept.answer_s)
    return "Nobody answered" if kept.unanswered else "No answer was needed"


def facts(one: Exported, zone: tzinfo) -> list[tuple[str, str]]:
    """Return what is known of an incident, as name and words."""
    kept = one.kept
    took = [("Shown on a device", kept.seen_s), ("A person was there", kept.arrived_s), ("Closed", kept.closed_s)]
    return [
        ("Where", kept.place),
        ("When", when(kept.opened_s, zone) + ("" if kept.live else " (by the desk’s own clock)")),
        ("What", head(kept)),
        ("Human answer", answer(kept)),
        *((name, f"after {duration(value)}") for name, value in took if value is not None),
        ("End", ended(kept)),
        *([("Note", one.note)] if one.note else []),
    ]


def lines(kept: Kept) -> list[tuple[str, str]]:
    """Return the timeline, as time since the beginning and words."""
    return [(clock(entry.t_s), says) for entry, says in told(kept.timeline)]


def clock(seconds: float) -> str:
    """Return `m:ss`, or `h:mm:ss` from an hour on."""
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


# --- JSON -------------------------------------------------------------------------------------------------------------


def as_json(store: StoreConfig, incidents: Sequence[Exported], zone: tzinfo, now_s: float) -> bytes:
    """Return incidents as JSON; times are ISO 8601 with their offset, spans are seconds."""
    whole = {
        "store": {"id": store.store.id, "name": store.store.name},
        "made_at": datetime.fromtimestamp(now_s, zone).isoformat(timespec="seconds"),
        "kept_days": store.keep.incident_days,
        "incidents": [_one_json(one, zone) for one in incidents],
    }
    return json.dumps(whole, ensure_ascii=False, indent=1).encode()


def _one_json(one: Exported, zone: tzinfo) -> dict[str, Any]:
    facts = one.kept.model_dump(mode="json", exclude={"opened_s", "live", "revision"})
    opened = datetime.fromtimestamp(one.kept.opened_s, zone).isoformat(timespec="seconds")
    replies = [
        {
            "responder": reply.responder,
            "kind": reply.kind,
            "at": datetime.fromtimestamp(reply.at_s, zone).isoformat(timespec="seconds"),
        }
        for reply in one.replies
    ]
    extra = {"opened_at": opened, "measured_live": one.kept.live, "request": one.kept.request, "note": one.note}
    return {**facts, **extra, "replies": replies}


# --- fonts ------------------------------------------------------------------------------------------------------------


@functools.cache
def _fonts() -> tuple[Path, ...]:
    """Return the Noto fonts of this machine, the plainest first."""
    found = {path for folder in FOLDERS if folder.is_dir() for path in folder.rglob("Noto*-Regular.tt[fc]")}
    return tuple(sorted(found, key=lambda path: (not path.name.startswith("NotoSans"), len(path.name), path.name)))


@functools.lru_cache(maxsize=256)
def _letters_of(path: Path) -> frozenset[int]:
    try:
        with path.open("rb") as file, TTFont(file, fontNumber=0, lazy=True) as font:
            return frozenset(font.getBestCmap() or ())
    except (OSError, TTLibError):
        return frozenset()


def fonts_for(text: str) -> tuple[list[Path], str]:
    """Return the fonts that a text needs beside the first, and the letters that none of them has."""
    base = _base()
    missing = {ord(letter) for letter in text if letter.isprintable()} - (_letters_of(base) if base else frozenset())
    chosen: list[Path] = []
    for path in _likely(missing):
        if not missing:
            break
        if has := missing & _letters_of(path):
            chosen.append(path)
            missing -= has
    return chosen, "".join(map(chr, sorted(missing)))


def _likely(letters: set[int]) -> list[Path]:
    """Return the fonts that are named after the scripts of some letters: reading all of them would take ten seconds."""
    scripts = {script(chr(letter)) for letter in letters}
    names = {script_name(one).replace("_", "").replace(" ", "") for one in scripts - EAST_ASIAN} | {"Symbols", "Math"}
    names |= {"CJK"} if scripts & EAST_ASIAN else set()
    return [path for path in _fonts() if any(name in path.name for name in names)]


def _base() -> Path | None:
    return next((path for path in _fonts() if path.name == BASE), None)


# --- PDF --------------------------------------------------------------------------------------------------------------


class Paper(FPDF):
    """An A4 page with the store's name above and the number below."""

    def __init__(self, title: str, foot: str, text: str) -> None:
        super().__init__(format="A4")
        self._title, self._foot = title, foot
        self._unknown: dict[int, str] = {}
        self.set_title(title)
        self.set_auto_page_break(auto=True, margin=20)
        self.says = self._load_fonts(text)
        self.add_page()

    def _load_fonts(self, text: str) -> str:
        """Load what the text needs; return a line when something is missing."""
        base = _base()
        if base is None:
            self.font = "helvetica"
            return NO_FONTS
        self.font = "noto"
        bold = base.with_name(BOLD)
        self.add_font("noto", "", base)
        self.add_font("noto", "B", bold if bold.exists() else base)
        others, lacking = fonts_for(text)
        for number, path in enumerate(others):
            self.add_font(f"other{number}", "", path)
        self.set_fallback_fonts([f"other{number}" for number in range(len(others))], exact_match=False)
        self.set_text_shaping(use_shaping_engine=True)
        self._unknown = dict.fromkeys(map(ord, lacking), "?")
        return LACKING.format(letters=", ".join(f"U+{ord(one):04X}" for one in lacking[:8])) if lacking else ""

    def header(self) -> None:
        """Write the head of each page."""
        self.write_line(self._title, 10, colour=SOFT)

    def footer(self) -> None:
        """Write the foot of each page."""
        self.set_y(-16)
        self.write_line(f"{self._foot}   ·   {self.page_no()}", 9, colour=SOFT)

    def write_line(
        self, text: str, size: float, *, bold: bool = False, colour: tuple[int, int, int] = INK, x: float = 0.0
    ) -> None:
        """Write a paragraph."""
        if self.font == "helvetica":
            text = text.encode("latin-1", "replace").decode("latin-1")
        else:
            text = LEFT_TO_RIGHT + text.translate(self._unknown)
        self.set_font(self.font, "B" if bold else "", size)
        self.set_text_color(*colour)
        self.set_x(self.l_margin + x)
        wrap = WrapMode.WORD
        self.multi_cell(0, size * 0.5, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT, wrapmode=wrap)

    def pair(self, name: str, text: str, wide: float = 46.0) -> None:
        """Write a name and what it is, side by side."""
        if self.will_page_break(7):
            self.add_page()
        top = self.get_y()
        self.write_line(name, 10.5, colour=SOFT)
        self.set_y(top)
        self.write_line(text, 10.5, x=wide)
        self.ln(0.8)


def as_pdf(store: StoreConfig, incidents: Sequence[Exported], zone: tzinfo, now_s: float) -> tuple[bytes, str]:
    """Return incidents as a PDF, and a line for the manager when a font is missing ("" otherwise)."""
    name = store.store.name
    foot = f"Made {when(now_s, zone)}. Deleted from the board {store.keep.incident_days} days after each incident."
    paper = Paper(f"{name}: what was kept of {len(incidents)} {'incident' if len(incidents) == 1 else 'incidents'}", foot,
                   "".join([name, foot, *(_all_text(one, zone) for one in incidents)]))  # fmt: skip
    if paper.says:
        paper.write_line(paper.says, 10.5, bold=True)
    if not incidents:
        paper.write_line("Nothing was recorded in this time.", 12)
    for one in incidents:
        _section(paper, one, zone)
    return bytes(paper.output()), paper.says


def _all_text(one: Exported, zone: tzinfo) -> str:
    pairs = [*facts(one, zone), *lines(one.kept)]
    return "".join(part for pair in pairs for part in pair)


def _section(paper: Paper, one: Exported, zone: tzinfo) -> None:
    if paper.get_y() > paper.h * 0.72:
        paper.add_page()
    paper.ln(4)
    paper.write_line(f"{one.kept.place} · {when(one.kept.opened_s, zone)}", 14, bold=True)
    if one.kept.drill:
        paper.write_line("This was a drill.", 11, bold=True)
    paper.ln(1)
    for name, text in facts(one, zone)[2:]:
        paper.pair(name, text)
    paper.ln(1)
    for at, said in lines(one.kept):
        paper.pair(at, said, 20.0)

"""Draws the figures of an evaluation as SVG: curves of recall over false alarms, and bars for each group."""

import io
import re
from collections.abc import Callable, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from models.figures import OTHER_ENGINES, Recall, Report
from models.judge import ALONE, AT_ONE, BOTH, SHIPPED
from models.sounds import SPOKEN

COLOURS = {BOTH: "#0b5394", ALONE: "#6fa8dc", "PocketSphinx": "#c1561b", "Moonshine-tiny, words alone": "#666666"}
INK, FAINT = "#1c2733", "#d5dbe1"
WIDTH_IN = 8.6
SPOKEN_OF = {
    SPOKEN: "unseen voices",
    OTHER_ENGINES: "other speech engines",
    "store_20_db": "shop noise, 20 dB",
    "store_10_db": "shop noise, 10 dB",
    "store_5_db": "shop noise, 5 dB",
    "babble_20_db": "five people talking, 20 dB",
    "babble_10_db": "five people talking, 10 dB",
    "babble_5_db": "five people talking, 5 dB",
    "room_1_m": "from 1 m away",
    "room_3_m": "from 3 m away",
    "room_5_m": "from 5 m away",
    "quiet_30_db": "very quiet",
    "accents": "other accents",
    "children": "children (made)",
    "older": "older people (made)",
    "shouted": "shouted (made)",
    "ordinary": "ordinary sentences",
    "confusables": "words that sound alike",
    "store": "talk in a shop",
    "prompts": "telephone prompts",
    "espeak": "espeak-ng",
    "piper": "Piper",
    "flite": "Flite",
    "festival": "Festival",
}
mpl.rcParams.update({
    "svg.fonttype": "none",
    "svg.hashsalt": "stayby",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
})  # fmt: skip


def said(name: str) -> str:
    """A set, a group or a phrase in words."""
    return SPOKEN_OF.get(name, name.replace("_", " "))


def pictures(report: Report) -> dict[str, str]:
    """Every picture as an SVG by its name."""
    return {
        "roc": _curves(report, _roc),
        "det": _curves(report, _det),
        "phrases": _bars(report, "phrase", AT_ONE),
        "voices": _bars(report, "voices", AT_ONE),
        "conditions": _bars(report, "conditions", AT_ONE),
        "engines": _bars(report, "engines", AT_ONE),
        "quiet": _bars(report, "quiet", SHIPPED, most=0.4),
    }


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    return re.sub(r'\s(width|height)="[\d.]+pt"', "", svg[svg.index("<svg") :], count=2).strip()


def _curves(report: Report, draw: Callable[[Axes, Report, str], None]) -> str:
    names = [name for name in (SPOKEN, OTHER_ENGINES, "shouted") if any(one.name == name for one in report.curves)]
    figure = Figure(figsize=(WIDTH_IN, 3.1))
    for place, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), place + 1)
        axes.set_title(said(name), loc="left", fontsize=10, fontweight="bold")
        draw(axes, report, name)
        axes.set_xscale("log")
        axes.set_xlim(0.3, 300)
        axes.axvline(1, color=FAINT, lw=1, zorder=0)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("false alarms an hour of real speech")
    figure.tight_layout(w_pad=1.5)
    ears = dict.fromkeys(one.ear for one in report.curves)
    handles = [mpl.lines.Line2D([], [], color=COLOURS.get(ear, INK), lw=2, label=ear) for ear in ears]
    figure.legend(handles=handles, loc="lower center", ncol=3, frameon=False, bbox_to_anchor=(0.5, -0.12))
    return _svg(figure)


def _roc(axes: Axes, report: Report, name: str) -> None:
    for one in report.curves:
        if one.name == name:
            axes.step(*zip(*one.points, strict=True), where="post", color=COLOURS.get(one.ear, INK), lw=1.8)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
    axes.set_ylabel("phrases heard")
    axes.grid(axis="y", color=FAINT, lw=0.6)


def _det(axes: Axes, report: Report, name: str) -> None:
    for one in report.curves:
        if one.name == name:
            false, recall = zip(*one.points, strict=True)
            missed = [max(1 - r, 0.001) for r in recall]
            axes.step(false, missed, where="post", color=COLOURS.get(one.ear, INK), lw=1.8)
    axes.set_yscale("log")
    axes.set_ylim(0.002, 1.05)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g} %"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("phrases missed")
    axes.grid(color=FAINT, lw=0.6)


def _bars(report: Report, group: str, basis: str, most: float = 1.0) -> str:
    ears = [ear for ear in COLOURS if report.group(ear, group, basis)]
    names = list(dict.fromkeys(one.name for ear in ears for one in report.group(ear, group, basis)))
    figure = Figure(figsize=(WIDTH_IN, 0.6 + 0.16 * len(names) * (len(ears) + 1)))
    axes = figure.add_subplot()
    for one in report.group(ears[0], group, basis) if ears else ():
        at = {"x": 1.01, "y": names.index(one.name), "transform": axes.get_yaxis_transform()}
        axes.text(**at, s=f"{one.value:.0%}", va="center", color=COLOURS[ears[0]])
    for row, ear in enumerate(ears):
        _bar_row(axes, report.group(ear, group, basis), names, row, len(ears))
    axes.set_yticks(range(len(names)), [f"{said(name)}" for name in names])
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.set_xlim(0, most)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0%}"))
    axes.grid(axis="x", color=FAINT, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.32 / figure.get_figheight()), ncol=3, frameon=False)
    return _svg(figure)


def _bar_row(axes: Axes, rows: Sequence[Recall], names: Sequence[str], row: int, ears: int) -> None:
    thick = 0.8 / ears
    at = [names.index(one.name) - 0.4 + thick * (row + 0.5) for one in rows]
    ear = rows[0].ear
    axes.barh(at, [one.value for one in rows], height=thick * 0.86, color=COLOURS[ear], label=ear)
    for y, one in zip(at, rows, strict=True):
        axes.plot([one.low, one.high], [y, y], color=INK, lw=0.8, alpha=0.55, solid_capstyle="butt")

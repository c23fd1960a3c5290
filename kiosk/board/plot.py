"""Two small plots as SVG, for paper and screen: dots over a week, and the median week by week.

Rules
- Pure, no style and no script inside: colours are classes of `manage.css`, so that the page's security policy holds. (The kept
  libraries, pygal and leather, write their style into the picture.)
- A dot differs in shape as well as in colour; the title and the description say in words what the picture shows.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT = 720, 250
LEFT, RIGHT, TOP, BOTTOM = 66, 12, 16, 34
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
STEPS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400)


class Dot(NamedTuple):
    """One alert: its place in the week (0 to 1), how long a person took (None: nobody), and whether it was a drill."""

    at: float
    answer_s: float | None
    drill: bool = False


def short(seconds: float) -> str:
    """Return a time for an axis."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"  # noqa: PLR2004 - an hour


def _axis(dots: Sequence[Dot], norm_s: float) -> list[int]:
    """Return the marks of an axis of times that grows by factors: what took a second and what took an hour both show."""
    took = [max(1.0, dot.answer_s) for dot in dots if dot.answer_s is not None]
    top_s = max([2.0, *took, norm_s * 2])
    most = next((index for index, step in enumerate(STEPS_S) if step >= top_s), len(STEPS_S) - 1)
    return list(STEPS_S[: most + 1])


def _y(seconds: float, top_s: float) -> float:
    share = math.log(max(1.0, min(seconds, top_s))) / math.log(top_s)
    return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)


def _x(at: float) -> float:
    return LEFT + min(1.0, max(0.0, at)) * (WIDTH - LEFT - RIGHT)


def _frame(title: str, says: str, parts: Sequence[str]) -> Markup:
    head = f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{title} {says}")}">'
    return Markup("".join([head, *parts, "</svg>"]))  # noqa: S704 - every text in it went through `escape`


def _text(x: float, y: float, text: str, name: str = "", anchor: str = "middle") -> str:
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def week_of_dots(dots: Sequence[Dot], norm_s: float, says: str) -> Markup:
    """Return a week: each alert a dot, the lower the faster somebody answered; the store's own norm is a line."""
    marks = _axis(dots, norm_s)
    top_s = float(marks[-1])
    parts = [_line(_x(day / 7), TOP, _x(day / 7), HEIGHT - BOTTOM, "grid") for day in range(8)]
    parts += [_text(_x((day + 0.5) / 7), HEIGHT - 10, name) for day, name in enumerate(DAYS)]
    every = 1 if len(marks) <= 8 else 2  # noqa: PLR2004 - as many as stand apart
    for mark in marks[::-1][::every]:
        parts.append(_line(LEFT, _y(mark, top_s), WIDTH - RIGHT, _y(mark, top_s), "grid"))
        parts.append(_text(LEFT - 8, _y(mark, top_s) + 5, short(mark), anchor="end"))
    parts.append(_line(LEFT, _y(norm_s, top_s), WIDTH - RIGHT, _y(norm_s, top_s), "norm"))
    parts.append(_text(WIDTH - RIGHT - 4, _y(norm_s, top_s) - 5, f"you said {short(norm_s)}", "normword", "end"))
    parts += [_dot(dot, norm_s, top_s) for dot in dots]
    return _frame("Time to a human answer over the week.", says, parts)


def _dot(dot: Dot, norm_s: float, top_s: float) -> str:
    x = _x(dot.at)
    if dot.answer_s is None:
        y = TOP + 8.0
        return f'<path class="never" d="M{x - 7:.1f} {y - 7:.1f}l14 14m0 -14l-14 14"/>'
    y = _y(dot.answer_s, top_s)
    if dot.drill:
        return f'<circle class="drill" cx="{x:.1f}" cy="{y:.1f}" r="6"/>'
    if dot.answer_s > norm_s:
        return f'<path class="late" d="M{x:.1f} {y - 8:.1f}l8 14h-16z"/>'
    return f'<circle class="quick" cx="{x:.1f}" cy="{y:.1f}" r="6"/>'


def weeks_of_medians(weeks: Sequence[tuple[str, float | None]], norm_s: float, says: str) -> Markup:
    """Return the median of each week as a mark (no bars: the axis grows by factors); a week without alerts is a dash."""
    marks = _axis([Dot(0.0, value) for _, value in weeks], norm_s)
    top_s = float(marks[-1])
    parts = [_line(LEFT, _y(mark, top_s), WIDTH - RIGHT, _y(mark, top_s), "grid") for mark in marks[::2]]
    parts += [_text(LEFT - 8, _y(mark, top_s) + 5, short(mark), anchor="end") for mark in marks[::2]]
    parts.append(_line(LEFT, _y(norm_s, top_s), WIDTH - RIGHT, _y(norm_s, top_s), "norm"))
    parts.append(_text(LEFT + 4, _y(norm_s, top_s) - 5, f"you said {short(norm_s)}", "normword", "start"))
    for index, (name, value) in enumerate(weeks):
        at = (index + 0.5) / max(1, len(weeks))
        parts.append(_text(_x(at), HEIGHT - 10, name))
        if value is None:
            parts.append(_text(_x(at), HEIGHT - BOTTOM - 6, "–"))
            continue
        parts.append(_dot(Dot(at, value), norm_s, top_s))
        parts.append(_text(_x(at) + 12, _y(value, top_s) + 5, short(round(value)), "normword", "start"))
    return _frame("The middle answer of each week.", says, parts)

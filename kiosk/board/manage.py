"""The manager's pages, and what staff do afterwards: plain forms and lists that work without a script.

A manager sees everything but a debrief that nobody shared; anybody else only the opening press and their own follow-ups. What is
read from the records is read in a thread: the live board never waits for it.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from kiosk.board import afterwards, drills, export, plot, report, trust
from kiosk.board.afterwards import Task
from kiosk.board.gate import Account, Gate, Turned
from kiosk.board.kept import Kept
from kiosk.board.records import Records
from kiosk.board.station import AnswerRefused
from kiosk.messages import OPENING
from kiosk.store_config import StoreConfig

STATIC = Path(__file__).parent / "static"
DAY_S = 86400.0
DEAF_S = 45.0
LAST_SHOWN = 12
SPAN_MOST = 2000
CONTACT_MOST, WORDS_MOST, LEARNED_MOST = 200, 1000, 200
FAULTS_SHOWN = 12

StartDrill = Callable[[str, str, str], Awaitable[str]]
"""Begin a drill as a person (their id, unit, scenario) and return its id; raises `AnswerRefused` where it cannot be."""
Endpoint = Callable[["Pages", Request], Any]
T = TypeVar("T")


async def no_drills(_staff: str, _unit: str, _scenario: str) -> str:
    """Say that this board cannot begin a drill."""
    raise AnswerRefused("Drills cannot be begun from this board.")


class Row(NamedTuple):
    """An incident in a list."""

    link: str
    when: str
    place: str
    head: str
    answer: str
    end: str
    drill: bool
    bad: bool


class DrillRow(NamedTuple):
    """A drill in a list."""

    link: str
    when: str
    place: str
    title: str
    says: str
    right: str


WAITS_FOR_PRESS = "It waits for the button. Press it now, within a minute."
PRESSED = "Pressed. Now touch “Yes, it is the test” on its screen, within a minute."
PRESSED_AND_SAID = "It is the test. Somebody answers it on the board: Coming, or I’m here."


class DeskRow(NamedTuple):
    """A desk and its opening press. `state` is "proven", "waiting", "running", "never" or "old"."""

    unit: str
    place: str
    proven: str
    state: str
    says: str


def routes(records: Records, store: StoreConfig, gate: Gate, start_drill: StartDrill = no_drills) -> list[Route]:
    """Return the routes under `/manage`."""
    pages = Pages(records, store, gate, start_drill)
    both = ["GET", "POST"]
    return [
        Route("/manage", pages.home),
        Route("/manage/report", pages.week),
        Route("/manage/incidents", pages.incidents),
        Route("/manage/incident", pages.incident),
        Route("/manage/export.json", pages.export_json),
        Route("/manage/export.pdf", pages.export_pdf),
        Route("/manage/drills", pages.calendar, methods=both),
        Route("/manage/drill", pages.drill, methods=both),
        Route("/manage/opening", pages.opening, methods=both),
        Route("/manage/follow-ups", pages.follow_ups),
        Route("/manage/follow-up/{key}", pages.follow_up, methods=both),
        Route("/manage/debrief/{key}", pages.debrief, methods=both),
        Route("/manage.css", _css),
    ]


async def _css(_: Request) -> Response:
    return FileResponse(STATIC / "manage.css", media_type="text/css")


def _not_found(says: str) -> Turned:
    return Turned(HTTPStatus.NOT_FOUND, says)


def _day(text: str, otherwise: date) -> date:
    try:
        day = date.fromisoformat(text) if text else otherwise
    except ValueError:
        raise Turned(HTTPStatus.BAD_REQUEST, f"“{text[:20]}” is no date. Write it as 2026-11-17.") from None
    if text and not 2000 <= day.year <= 2100:  # noqa: PLR2004 - what a clock here can have said
        raise Turned(HTTPStatus.BAD_REQUEST, f"“{text[:20]}” is too far away. Write it as 2026-11-17.")
    return day


def _year(text: str, otherwise: int) -> int:
    if not text:
        return otherwise
    if not (text.isascii() and text.isdigit() and 2020 <= int(text[:6]) <= 2100):  # noqa: PLR2004 - the years of the calendar
        raise Turned(HTTPStatus.BAD_REQUEST, f"“{text[:20]}” is no year. Write it as 2026.")
    return int(text)


def _text(form: Mapping[str, str], name: str, most: int) -> str:
    """Return a field without control characters but line ends; raise `Turned` when it is too long."""
    text = form.get(name, "").replace("\r\n", "\n").strip()
    if len(text) > most:
        raise Turned(HTTPStatus.BAD_REQUEST, f"That is too long: at most {most} letters. Go back and shorten it.")
    return "".join(letter for letter in text if letter == "\n" or letter.isprintable())


class Pages:
    """See the module."""

    def __init__(self, records: Records, store: StoreConfig, gate: Gate, start_drill: StartDrill) -> None:
        self._records, self._store, self._gate, self._start = records, store, gate, start_drill
        self._zone = report.zone_of(store.store.zone)

    async def _html(self, request: Request, template: str, facts: Callable[[], Mapping[str, Any]]) -> Response:
        found = await asyncio.to_thread(facts)
        return self._gate.html(request, template, **found)

    def _today(self) -> date:
        return datetime.now(self._zone).date()

    def _places(self) -> dict[str, str]:
        """Return every desk by its id: those of store.toml, and those that were heard of."""
        heard = {one.unit: one.place for one in self._records.desks()}
        return {**heard, **{one.id: one.place for one in self._store.unit}}

    # --- lists --------------------------------------------------------------------------------------------------------

    def _row(self, kept: Kept) -> Row:
        return Row(
            link=f"/manage/incident?{urlencode({'unit': kept.unit, 'incident': kept.id})}",
            when=export.when(kept.opened_s, self._zone),
            place=kept.place,
            head=export.head(kept),
            answer=export.answer(kept),
            end=export.ended(kept),
            drill=kept.drill,
            bad=kept.alert and (kept.unanswered or (kept.answer_s or 0.0) > self._store.norm.answer_s),
        )

    def _scores(self, from_s: float, to_s: float) -> tuple[drills.Score, ...]:
        incidents = self._records.drilled(from_s, to_s)
        return drills.pair(self._records.drills_asked(from_s, to_s), incidents, self._places(), time.time())

    def _drill_row(self, one: drills.Score) -> DrillRow:
        right = f"{one.said_right} of {one.said_of} said and done right" if one.said_right is not None else ""
        when = export.when(one.at_s, self._zone)
        return DrillRow(drill_link(one.drill), when, one.place or one.unit, one.title, one.says, right)

    # --- home ---------------------------------------------------------------------------------------------------------

    async def home(self, request: Request) -> Response:
        """What needs a manager now; anybody else goes to their own list."""
        account = self._gate.account(request)
        if not account.manager:
            return RedirectResponse("/manage/follow-ups", HTTPStatus.SEE_OTHER)
        return await self._html(request, "manage.html", lambda: self._home(account))

    def _home(self, account: Account) -> dict[str, Any]:
        now_s = time.time()
        lately = self._records.incidents(now_s - trust.WEEK_S, now_s + DAY_S)
        lines = trust.trust(lately, now_s, self._zone, self._store.norm)
        scores = [one for one in self._scores(now_s - 400 * DAY_S, now_s + DAY_S) if one.began and not one.opening]
        drill = trust.drill_nudge(scores[0].at_s if scores else None, now_s, self._store.norm)
        faults = self._records.faults(now_s, now_s + 1)
        weeks = self._weeks(now_s)
        return {
            "troubles": [*self._records.troubles[-3:], *self._deaf(now_s)],
            "nudges": [*trust.nudges(lately, now_s, self._zone, self._store.norm), *([drill] if drill else [])],
            "over": [one for one in lines if one.over],
            "within": [one for one in lines if not one.over],
            "faults": [(one.place, one.says, export.when(one.from_s, self._zone)) for one in faults][:FAULTS_SHOWN],
            "more_faults": max(0, len(faults) - FAULTS_SHOWN),
            "tasks": self._task_rows(account),
            "rows": [self._row(one) for one in reversed(lately)][:LAST_SHOWN],
            "weeks": [(one.week, report.week_line(one)) for one in reversed(weeks)],
            "medians": plot.weeks_of_medians(
                [(one.week[5:], one.median_s) for one in weeks],
                self._store.norm.answer_s,
                "The same stands below as a list.",
            ),
        }

    def _deaf(self, now_s: float) -> list[str]:
        heard = self._records.spans("recording", now_s - DEAF_S, now_s + DEAF_S)
        says = "The board does not hear the desks now, so nothing is recorded. Look at the broker and at [broker] in store.toml."
        return [] if heard else [says]

    def _weeks(self, now_s: float) -> list[report.Figures]:
        """Return the figures of the last weeks, the oldest first."""
        this = report.week_at(now_s, self._zone)
        named = [report.week_before(this, self._zone, by) for by in range(report.WEEKS_SHOWN - 1, -1, -1)]
        return [report.week_figures(self._records, self._store, week, self._zone, now_s, fresh=False) for week in named]

    # --- the report ---------------------------------------------------------------------------------------------------

    async def week(self, request: Request) -> Response:
        """A week, to read and to print."""
        self._gate.manager(request)
        name = request.query_params.get("week", "")
        try:
            week = report.week_named(name, self._zone) if name else report.week_at(time.time(), self._zone)
        except report.NoSuchWeek as wrong:
            raise Turned(HTTPStatus.BAD_REQUEST, str(wrong)) from None
        return await self._html(request, "manage_report.html", lambda: self._report(week))

    def _report(self, week: report.Week) -> dict[str, Any]:
        now_s, norm = time.time(), self._store.norm
        before = report.week_before(week, self._zone)
        figures = report.week_figures(self._records, self._store, week, self._zone, now_s)
        last = report.week_figures(self._records, self._store, before, self._zone, now_s)
        words = report.words(figures, norm)
        sunday = week.monday + timedelta(days=6)
        return {
            "week": week.name,
            "span": f"{week.monday:%-d %B} to {sunday:%-d %B %Y}",
            "running": week.to_s > now_s >= week.from_s,
            "future": week.from_s > now_s,
            "words": words,
            "changes": report.compare(figures, last),
            "figures": figures,
            "table": report.table(figures, last, norm),
            "faults": [(what, trust.times(n, "time", "times"), trust.duration(s)) for what, n, s in figures.faults],
            "dots": plot.week_of_dots(figures.plotted(), norm.answer_s, " ".join(words)),
            "earlier": before.name,
            "later": report.week_before(week, self._zone, -1).name,
            "norm": norm,
            "contact": self._store.store.contact,
            "made": export.when(now_s, self._zone),
        }

    # --- incidents ----------------------------------------------------------------------------------------------------

    def _span(self, request: Request) -> tuple[date, date]:
        until = _day(request.query_params.get("to", ""), self._today())
        since = _day(request.query_params.get("from", ""), until - timedelta(days=6))
        if since > until:
            raise Turned(
                HTTPStatus.BAD_REQUEST, f"The first day ({since}) is after the last ({until}). Turn them around."
            )
        return since, until

    def _of_span(self, since: date, until: date) -> list[Kept]:
        begins, ends = (datetime(d.year, d.month, d.day, tzinfo=self._zone) for d in (since, until + timedelta(days=1)))
        return self._records.incidents(begins.timestamp(), ends.timestamp())

    async def incidents(self, request: Request) -> Response:
        """All incidents of a span."""
        self._gate.manager(request)
        since, until = self._span(request)
        return await self._html(request, "manage_incidents.html", lambda: self._incidents(since, until))

    def _incidents(self, since: date, until: date) -> dict[str, Any]:
        found = self._of_span(since, until)
        return {
            "since": since.isoformat(),
            "until": until.isoformat(),
            "query": urlencode({"from": since.isoformat(), "to": until.isoformat()}),
            "rows": [self._row(one) for one in reversed(found)][:SPAN_MOST],
            "left_out": max(0, len(found) - SPAN_MOST),
            "days": self._store.keep.incident_days,
        }

    async def incident(self, request: Request) -> Response:
        """One incident with its timeline."""
        self._gate.manager(request)
        unit, name = request.query_params.get("unit", ""), request.query_params.get("incident", "")
        return await self._html(request, "manage_incident.html", lambda: self._incident(unit, name))

    def _kept(self, unit: str, name: str) -> Kept:
        kept = self._records.incident(unit, name)
        if kept is None:
            raise _not_found("This incident is not on record (any more).")
        return kept

    def _incident(self, unit: str, name: str) -> dict[str, Any]:
        kept = self._kept(unit, name)
        one = export.exported(self._records, [kept])[0]
        tasks = [task for task in self._records.tasks() if (task.unit, task.incident) == (unit, name)]
        return {
            "row": self._row(kept),
            "facts": export.facts(one, self._zone),
            "lines": export.lines(kept),
            "query": urlencode({"unit": unit, "incident": name}),
            "drill_link": drill_link(kept.id) if kept.drill else "",
            "calls": [(f"/manage/follow-up/{task.key}", self._task_row(task)) for task in tasks if task.kind == "call"],
            "days": self._store.keep.incident_days,
        }

    # --- export -------------------------------------------------------------------------------------------------------

    def _chosen(self, request: Request) -> tuple[str, Callable[[], list[export.Exported]]]:
        """Return a name for the file, and what finds what is in it."""
        unit, name = request.query_params.get("unit", ""), request.query_params.get("incident", "")
        if name:
            return f"incident-{unit}", lambda: export.exported(self._records, [self._kept(unit, name)])
        since, until = self._span(request)
        return f"incidents-{since}-to-{until}", lambda: export.exported(self._records, self._of_span(since, until))

    async def export_json(self, request: Request) -> Response:
        """One incident or a span as JSON."""
        self._gate.manager(request)
        name, find = self._chosen(request)
        body = await asyncio.to_thread(lambda: export.as_json(self._store, find(), self._zone, time.time()))
        return _download(body, "application/json", f"{name}.json")

    async def export_pdf(self, request: Request) -> Response:
        """One incident or a span as PDF."""
        self._gate.manager(request)
        name, find = self._chosen(request)
        body, _ = await asyncio.to_thread(
            lambda: export.as_pdf(self._store, find()[:SPAN_MOST], self._zone, time.time())
        )
        return _download(body, "application/pdf", f"{name}.pdf")

    # --- drills -------------------------------------------------------------------------------------------------------

    async def calendar(self, request: Request) -> Response:
        """The year's calendar; begins a drill."""
        account = self._gate.manager(request)
        if request.method == "POST":
            form = await self._gate.form(request)
            unit, scenario = form.get("unit", ""), form.get("scenario", "")
            places = await asyncio.to_thread(self._places)
            if form.get("sure") != "yes" and unit in places and scenario in drills.BY_ID:
                return self._ask_drill(request, unit, scenario, places[unit])
            return _to(drill_link(await self._begin(account, unit, scenario)))
        year = _year(request.query_params.get("year", ""), self._today().year)
        return await self._html(request, "manage_drills.html", lambda: self._drills(year))

    def _ask_drill(self, request: Request, unit: str, scenario: str, place: str) -> Response:
        """Ask once: it sounds on every board."""
        says = f"{drills.BY_ID[scenario].title}, at {place}. The boards sound, and say that it is a drill."
        fields = {"unit": unit, "scenario": scenario}
        facts = {"ask": "Begin this drill now?", "says": says, "fields": fields, "yes": "Begin the drill"}
        return self._gate.html(request, "sure.html", **facts)

    async def _begin(self, account: Account, unit: str, scenario: str) -> str:
        if unit not in await asyncio.to_thread(self._places):
            raise Turned(HTTPStatus.BAD_REQUEST, "This store has no such desk. Go back and choose one.")
        if scenario != OPENING and scenario not in drills.BY_ID:
            raise Turned(HTTPStatus.BAD_REQUEST, "There is no such drill. Go back and choose one.")
        try:
            drill = await self._start(account.person.id, unit, scenario)
        except AnswerRefused as refused:
            raise Turned(HTTPStatus.CONFLICT, str(refused)) from None
        asked = drills.Asked(drill=drill, unit=unit, scenario=scenario, by=account.person.id, at_s=time.time())
        await asyncio.to_thread(self._records.keep_drill, asked)
        return drill

    def _drills(self, year: int) -> dict[str, Any]:
        places = self._places()
        planned = drills.plan(self._store.store.id, tuple(sorted(places)), year, self._store.norm.drill_days)
        now_s, today = time.time(), self._today()
        past = [one for one in self._scores(now_s - 400 * DAY_S, now_s + DAY_S) if not one.opening]
        return {
            "year": year,
            "planned": [_planned_row(one, places, today) for one in planned],
            "due": drills.next_of(planned, today),
            "scenarios": drills.SCENARIOS,
            "places": sorted(places.items(), key=lambda one: one[1]),
            "past": [self._drill_row(one) for one in past][:LAST_SHOWN],
            "every": self._store.norm.drill_days,
        }

    async def drill(self, request: Request) -> Response:
        """One drill: what is played, how it goes, and what was said right."""
        self._gate.manager(request)
        name = request.query_params.get("id", "")
        if request.method == "POST":
            form = await self._gate.form(request)
            await asyncio.to_thread(self._keep_score, name, form)
            return _to(drill_link(name))
        return await self._html(request, "manage_drill.html", lambda: self._drill(name))

    def _drill_of(self, name: str) -> tuple[drills.Asked, Kept | None]:
        asked = self._records.drill(name)
        found = self._records.incidents_named(name)
        if asked is not None:
            return asked, next((one for one in found if one.unit == asked.unit), None)
        if not found or not found[0].drill:
            raise _not_found("This drill is not on record (any more).")
        kept = found[0]
        scenario = kept.scenario or ""
        return drills.Asked(drill=name, unit=kept.unit, scenario=scenario, by="", at_s=kept.opened_s), kept

    def _keep_score(self, name: str, form: Mapping[str, str]) -> None:
        asked, _ = self._drill_of(name)
        known = drills.BY_ID.get(asked.scenario)
        ticked = tuple(number for number in range(len(known.good) if known else 0) if f"good{number}" in form)
        learned = _text(form, "learned", LEARNED_MOST)
        self._records.keep_drill(asked.model_copy(update={"ticked": ticked, "learned": learned}))

    def _drill(self, name: str) -> dict[str, Any]:
        asked, kept = self._drill_of(name)
        score = drills.score(asked, kept, self._places().get(asked.unit, asked.unit), time.time())
        took = [
            ("Shown on a device", score.seen_s),
            ("A human answered", score.answer_s),
            ("Somebody was there", score.arrived_s),
        ]
        return {
            "score": score,
            "when": export.when(score.at_s, self._zone),
            "took": [
                (what, trust.duration(value) if value is not None else "not yet" if not score.over else "no")
                for what, value in took
            ],
            "scenario": drills.BY_ID.get(asked.scenario),
            "ticked": asked.ticked or (),
            "scored": asked.ticked is not None,
            "learned": asked.learned,
            "lines": export.lines(kept) if kept else [],
        }

    # --- the opening press --------------------------------------------------------------------------------------------

    async def opening(self, request: Request) -> Response:
        """Each desk's opening press, for everybody of the staff."""
        account = self._gate.account(request)
        if request.method == "POST":
            form = await self._gate.form(request)
            await self._begin(account, form.get("unit", ""), OPENING)
            return _to("/manage/opening")
        return await self._html(request, "manage_opening.html", self._opening)

    def _opening(self) -> dict[str, Any]:
        now_s = time.time()
        scores = self._scores(now_s - 2 * DAY_S, now_s + DAY_S)
        heard = {one.unit: one for one in self._records.desks()}
        rows = []
        for unit, place in sorted(self._places().items(), key=lambda one: one[1]):
            last = next((one for one in scores if one.opening and one.unit == unit), None)
            rows.append(self._desk_row(unit, place, heard, last))
        return {"desks": rows, "waiting": any(one.state in {"waiting", "running"} for one in rows)}

    def _desk_row(self, unit: str, place: str, heard: Mapping[str, Any], last: drills.Score | None) -> DeskRow:
        desk = heard.get(unit)
        proven_s = desk.proven_s if desk else None
        proven = f"Last proven {export.when(proven_s, self._zone)}." if proven_s else "Never proven."
        self_s = self._records.self_proven_s.get(unit)
        proven += f" It tested itself {export.when(self_s, self._zone)}." if self_s else ""
        today = proven_s is not None and datetime.fromtimestamp(proven_s, self._zone).date() == self._today()
        if desk is not None and desk.opening:
            return DeskRow(unit, place, proven, "waiting", WAITS_FOR_PRESS)
        if last is not None and last.began and not last.over and last.answer_s is None:
            return DeskRow(unit, place, proven, "running", PRESSED if last.real else PRESSED_AND_SAID)
        if last is not None and last.waiting:
            return DeskRow(unit, place, proven, "waiting", "Asking the desk to wait for its button…")
        missed = last is not None and not today and last.at_s > time.time() - DAY_S
        says = last.says if last is not None and missed else ""
        return DeskRow(unit, place, proven, "proven" if today else "old" if proven_s else "never", says)

    # --- afterwards ---------------------------------------------------------------------------------------------------

    def _task_row(self, task: Task) -> str:
        kept = self._records.incident(task.unit, task.incident)
        opened = export.when(kept.opened_s, self._zone) if kept else export.when(task.ready_s, self._zone)
        return f"{task.place}, {opened}"

    def _open_tasks(self) -> list[Task]:
        return afterwards.still_open(self._records.tasks(), time.time(), self._store.keep.contact_days)

    def _task_rows(self, account: Account) -> list[tuple[str, str, str, str]]:
        """Return link, what, which incident, and when due, for the open tasks of a person."""
        found = afterwards.mine(self._open_tasks(), account.person.id, manager=account.manager)
        return [
            (_link(task), KINDS[task.kind], self._task_row(task), due_words(task.day(self._zone), self._today()))
            for task in found
        ]

    async def follow_ups(self, request: Request) -> Response:
        """A person's own open tasks; for a manager those of others too, without anybody's debrief."""
        account = self._gate.account(request)
        return await self._html(request, "manage_follow_ups.html", lambda: self._follow_ups(account))

    def _follow_ups(self, account: Account) -> dict[str, Any]:
        tasks = self._records.tasks() if account.manager else []
        calls = self._open_tasks() if account.manager else []
        others = [one for one in calls if one.kind == "call" and one.who not in {"", account.person.id}]
        shared = [one for one in tasks if one.kind == "debrief" and one.shared and one.who != account.person.id]
        return {
            "mine": self._task_rows(account),
            "others": [
                (_link(one), one.who_name, self._task_row(one), due_words(one.day(self._zone), self._today()))
                for one in others
            ],
            "shared": [(_link(one), one.who_name, self._task_row(one)) for one in shared],
        }

    def _task_for(self, account: Account, key: str, kind: str) -> Task:
        task = self._records.task(key)
        if task is None or task.kind != kind or not task.readable_by(account.person.id, manager=account.manager):
            raise _not_found("This is not on your list (any more).")
        return task

    async def follow_up(self, request: Request) -> Response:
        """The next day's call."""
        account = self._gate.account(request)
        find = functools.partial(self._task_for, account, request.path_params["key"], "call")
        task = await asyncio.to_thread(find)
        if request.method == "POST":
            form = await self._gate.form(request)
            await asyncio.to_thread(self._keep_call, task, form)
            return _to("/manage/follow-ups" if "done" in form else _link(task))
        return await self._html(request, "manage_follow_up.html", lambda: self._task_facts(task))

    def _task_facts(self, task: Task) -> dict[str, Any]:
        kept = self._records.incident(task.unit, task.incident)
        return {
            "task": task,
            "what": self._task_row(task),
            "head": export.head(kept) if kept else "",
            "note": self._records.note(kept) if kept else "",
            "due": due_words(task.day(self._zone), self._today()),
            "steps": afterwards.CALL_STEPS,
            "care": afterwards.CARE,
            "questions": afterwards.QUESTIONS,
            "help": afterwards.HELP,
            "contact": self._store.store.contact,
            "days": self._store.keep.contact_days,
            "done": export.when(task.done_s, self._zone) if task.done_s else "",
        }

    def _keep_call(self, task: Task, form: Mapping[str, str]) -> None:
        now_s = time.time()
        ticked = tuple(key for key, _, _ in afterwards.CALL_STEPS if key in form)
        contact = _text(form, "contact", CONTACT_MOST)
        since_s = task.contact_at_s if contact == task.contact else now_s
        kept = task.model_copy(
            update={"ticked": ticked, "contact": contact, "contact_at_s": since_s if contact else None}
        )
        if "done" in form:
            kept = afterwards.without_contact(kept).model_copy(update={"done_s": now_s})
        self._records.keep_task(kept)
        if task.contact and task.contact != kept.contact:
            self._records.scrub()

    async def debrief(self, request: Request) -> Response:
        """Three kind questions; only their owner writes, and others read only what was shared."""
        account = self._gate.account(request)
        find = functools.partial(self._task_for, account, request.path_params["key"], "debrief")
        task = await asyncio.to_thread(find)
        own = task.who == account.person.id
        if request.method == "POST":
            form = await self._gate.form(request)
            if not own:
                raise Turned(HTTPStatus.FORBIDDEN, "Only whose debrief it is can change it.")
            await asyncio.to_thread(self._keep_debrief, task, form)
            return _to("/manage/follow-ups")
        return await self._html(request, "manage_debrief.html", lambda: {**self._task_facts(task), "own": own})

    def _keep_debrief(self, task: Task, form: Mapping[str, str]) -> None:
        words = tuple(_text(form, f"words{number}", WORDS_MOST) for number in range(len(afterwards.QUESTIONS)))
        changed = {"words": words if any(words) else (), "shared": "shared" in form, "done_s": time.time()}
        self._records.keep_task(task.model_copy(update=changed))
        if any(task.words) and task.words != changed["words"]:
            self._records.scrub()


KINDS = {"call": "Call the customer", "debrief": "A moment for you"}


def due_words(day: date, today: date) -> str:
    """Return when something is due, as people say it."""
    days = (day - today).days
    if days in {-1, 0, 1}:
        return {-1: "since yesterday", 0: "today", 1: "tomorrow"}[days]
    return f"on {day:%A}" if days > 0 else f"since {day:%-d %B}"


def _planned_row(one: drills.Planned, places: Mapping[str, str], today: date) -> dict[str, Any]:
    scenario = drills.BY_ID[one.scenario]
    where = places.get(one.unit, "")
    return {"day": f"{one.day:%a %-d %B}", "iso": one.day.isoformat(), "title": scenario.title, "id": scenario.id,
            "unit": one.unit, "place": where, "when": one.when, "past": one.day < today}  # fmt: skip


def _link(task: Task) -> str:
    return f"/manage/{'follow-up' if task.kind == 'call' else 'debrief'}/{task.key}"


def drill_link(drill: str) -> str:
    """Return where a drill's page is; an id may hold any letters."""
    return f"/manage/drill?{urlencode({'id': drill})}"


def _to(link: str) -> Response:
    return RedirectResponse(link, HTTPStatus.SEE_OTHER)


def _download(body: bytes, media_type: str, name: str) -> Response:
    return Response(body, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})

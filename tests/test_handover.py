"""The card for an emergency call, and the timeline in words: what is on it, in which order, and what never is. Pure."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk import events as ev
from kiosk.board import timeline
from kiosk.board.handover import CODE_BYTES, Handover, code_svg, handover
from kiosk.board.kept import kept_of
from kiosk.board.model import Model
from kiosk.board.replies import Answers
from kiosk.board.view import make_view
from kiosk.messages import (
    COVERT_PHRASE,
    BadMessage,
    Choice,
    Entry,
    Face,
    Going,
    Language,
    NextStep,
    Person,
    Reach,
    Severity,
    Snapshot,
    State,
    Status,
    Trigger,
    UnitState,
    incident_topic,
    parse_snapshot,
)
from tests.test_incident import machine

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SAM = Person(id="sam", name="Sam")
FACE = Face(
    store="harbour", unit="desk-3", place="Service desk 3", address="12 Quay Street, Leeds. East door.",
    emergency_number="112", police_number="110", phone="0113 496 0000", defibrillator="Red box", meet="the north door",
)  # fmt: skip
ARCHITECTURE = Path(__file__).parent.parent / "docs/architecture.md"


def snapshot(**facts: Any) -> Snapshot:
    base: dict[str, Any] = {
        "store": "harbour", "unit": "desk-3", "place": "Service desk 3", "id": "one", "revision": 1,
        "state": State.RAISED, "severity": Severity.ALERT, "trigger": Trigger.BUTTON, "tier": 1,
        "tiers": ("the staff", "the manager"), "reach": Reach.OK, "opened_at": NOON, "elapsed_s": 125.0,
    }  # fmt: skip
    return Snapshot(**{**base, **facts})


def card(face: Face | None = FACE, **facts: Any) -> Handover:
    model = Model()
    model.take_snapshot(snapshot(**facts), now_s=0.0, utc=NOON, retained=False)
    status = Status(store="harbour", unit="desk-3", place="Service desk 3", state=UnitState.READY, face=face)
    model.take_status(status, 0.0)
    (incident,) = model.open_incidents()
    return handover(incident, model.desk("desk-3"), 0.0, datetime(2026, 3, 1, 14, 2, 31, tzinfo=UTC))


def said(one: Handover, *, covert: bool = True) -> list[str]:
    return [line.text for line in one.say if covert or not line.covert]


def test_it_is_said_in_the_order_in_which_a_dispatcher_asks() -> None:
    one = card(choice=Choice.CHEST_PAIN, name="Ana", language=Language.SPANISH)
    assert said(one) == [
        "The address is 12 Quay Street, Leeds. East door.",
        "Go to: Service desk 3.",
        "The phone here is 0113 496 0000.",
        "They told us: Chest pain.",
        "It began 2 minutes ago.",
        "Their first name is Ana.",
        "They read Spanish.",
        "We meet the crew here: the north door.",
    ]
    assert (one.number, one.dial, one.police, one.dial_police) == ("112", "112", "110", "110")
    assert one.code.splitlines()[:3] == ["112", "12 Quay Street, Leeds. East door.", "Service desk 3"]


def test_times_are_this_machines_own_whatever_clock_the_desk_has() -> None:
    skewed = datetime(2019, 1, 1, tzinfo=UTC)
    one = card(opened_at=skewed, timeline=(Entry(t_s=0, what="opened", who="button"), Entry(t_s=61, what="raised")))
    assert [(line.at, line.since) for line in one.lines] == [("14:00:26", "0:00"), ("14:01:27", "1:01")]


def test_what_nobody_told_is_not_on_it_and_what_the_settings_lack_is_named() -> None:
    one = card(face=None)
    assert said(one)[0] == "Say the address of the store."
    assert "Somebody asked for help. We do not know yet what is wrong." in said(one)
    assert one.lacks == (
        "the address",
        "the phone at the desk",
        "where the defibrillator is",
        "where the crew is met",
    )
    assert (one.number, one.dial) == ("", "")


def test_in_a_drill_nothing_dials_and_the_code_says_so() -> None:
    one = card(drill=True, trigger=Trigger.DRILL)
    assert (one.dial, one.dial_police) == ("", "")
    assert one.code.startswith("DRILL: do not call 112")


def test_nothing_covert_is_for_paper_and_a_silent_call_has_no_code() -> None:
    told = (
        Entry(t_s=0, what="opened", who="button"),
        Entry(t_s=1, what="pressed_covert"),
        Entry(t_s=2, what="heard", who=COVERT_PHRASE),
        Entry(t_s=3, what="told_choice", who="robbery"),
        Entry(t_s=4, what="here", who="Sam"),
    )
    one = card(covert=True, choice=Choice.ROBBERY, timeline=told)
    paper = [line.says for line in one.lines if not line.covert] + said(one, covert=False) + [one.code, *one.done]
    assert not re.search("secret|covert|safe|threat|robbery", " ".join(paper), flags=re.IGNORECASE)
    assert [line.covert for line in one.lines] == [False, True, True, True, False]
    assert "Somebody called for help in secret. They may be threatened." in said(one)
    assert card(silent=True, trigger=Trigger.COVERT).code == ""


def test_who_goes_and_what_the_desk_shows_is_what_was_done() -> None:
    one = card(state=State.COMING, coming=(Going(responder=SAM, eta_s=48),), choice=Choice.CHOKING, emergency=True)
    assert one.done[0] == "Sam is coming, 0:48 left."
    assert one.done[1].startswith("The desk shows them what to do: ")
    assert one.done[2] == "The desk shows the emergency number. Ask if somebody has called already."
    assert card().done == ("Nobody of the staff is there yet.",)
    assert card(state=State.ATTENDED, here=SAM).done == ("Sam is at the desk.",)


def test_a_code_is_never_larger_than_a_phone_reads_and_holds_no_script_of_its_own() -> None:
    evil = FACE.model_copy(update={"address": "مركز <script>alert(1)</script> " * 20})
    one = card(face=evil)
    assert len(one.code.encode()) <= CODE_BYTES
    picture = code_svg(one.code)
    assert picture.startswith("<svg")
    assert "script" not in picture
    assert "style=" not in picture


SPANS = st.floats(0.0, 1e308) | st.floats(0.0, 1e9)
TIMES = st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e9, 1e9)
LEEDS = ZoneInfo("Europe/London")
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=23, minutes=59)), timezone(-timedelta(hours=12))])


@given(
    elapsed_s=SPANS,
    t_s=TIMES,
    left_s=SPANS,
    opened_at=st.datetimes(timezones=st.none() | ZONES),
    local_s=st.integers(1, 2**63 // 10**9),
    now_s=st.floats(0.0, 1e9),
    retained=st.booleans(),
)
def test_no_age_and_no_date_keeps_a_card_or_a_board_from_being_shown(
    elapsed_s: float, t_s: float, left_s: float, opened_at: datetime, local_s: int, now_s: float, retained: bool
) -> None:
    utc = datetime.fromtimestamp(local_s, UTC)
    odd = snapshot(coming=(Going(responder=SAM, eta_s=left_s),), next=NextStep(what="remind", in_s=left_s))
    facts = {"elapsed_s": elapsed_s, "opened_at": opened_at.isoformat(), "timeline": [{"t_s": t_s, "what": "raised"}]}
    payload = json.dumps({**odd.model_dump(mode="json"), **facts}).encode()
    model = Model()
    came = parse_snapshot(incident_topic("harbour", "desk-3"), payload)
    model.take_snapshot(came, now_s=now_s, utc=utc, retained=retained)
    (incident,) = model.open_incidents()
    assert handover(incident, None, now_s + 1.0, utc.astimezone(LEEDS)).lines[0].says == "It became an alert."
    (alert,) = make_view(model, Answers(), "sam", "Sam", now_s + 1.0, down="").alerts
    assert len(alert.clock) < len("87600:00:00 or more!")
    kept_of(came, float(local_s), retained=retained)


@pytest.mark.parametrize("elapsed_s", ["NaN", "Infinity", "-1", "-1e300", '"soon"', "null"])
def test_an_age_that_is_none_is_refused_in_one_line(elapsed_s: str) -> None:
    payload = snapshot(elapsed_s=77.0).model_dump_json().replace(":77.0", f":{elapsed_s}").encode()
    with pytest.raises(BadMessage, match=r"^incident on \S+: elapsed_s: [^\n]+; ignored$"):
        parse_snapshot(incident_topic("harbour", "desk-3"), payload)


@pytest.mark.parametrize(
    ("elapsed_s", "says"),
    [(59, "less than a minute"), (60, "1 minute"), (7199, "119 minutes"), (7200, "2 hours"), (4e5, "4 days")],
)
def test_how_long_ago_it_began_is_said_in_one_number(elapsed_s: float, says: str) -> None:
    assert f"It began {says} ago." in said(card(elapsed_s=elapsed_s))


# --- the timeline -----------------------------------------------------------------------------------------------------


def test_every_code_of_the_timeline_has_words() -> None:
    listed = re.search(r"Codes of the timeline \(`Snapshot.timeline`\): ([^.]+)\.", ARCHITECTURE.read_text())
    assert listed
    codes = re.split(r",\s+", listed[1])
    assert len(codes) > 30
    unknown = [code for code in codes if timeline.words(Entry(t_s=0, what=code, who="x")).startswith("Noted")]
    assert unknown == []


@pytest.mark.parametrize(
    ("what", "who", "says"),
    [
        ("opened", "voice", "A call for help was heard."),
        ("heard", "breathe", "Heard “I can’t breathe”."),
        ("heard", COVERT_PHRASE, "Heard the covert phrase."),
        ("severity", "grave", "It became grave."),
        ("raised", "", "It became an alert."),
        ("told_choice", "breathing", "They touched: I cannot breathe."),
        ("told_language", "hi", "They chose a language: Hindi."),
        ("coming", "{who} <b>", "{who} <b> said: I am coming."),
        ("closed", "", "Closed."),
        ("closed", "Sam", "Closed by Sam."),
        ("new_code", "somebody", "Noted by the desk: new_code somebody"),
    ],
)
def test_the_words_of_some_entries(what: str, who: str, says: str) -> None:
    assert timeline.words(Entry(t_s=0, what=what, who=who)) == says


def told_by(*happened: tuple[ev.Event, float]) -> list[str]:
    """Return what is told of an incident as the machine itself notes it."""
    made = machine((ev.Listener(SAM, 1),))
    for event, at_s in happened:
        made.handle(event, at_s)
    assert made.incident is not None
    return [says for _, says in timeline.told(made.incident.timeline)]


def test_each_thing_of_an_alert_is_told_once() -> None:
    pressed = ["The button was pressed.", "It became an alert."]
    assert told_by((ev.ButtonPressed(), 0.0)) == pressed
    later: list[tuple[ev.Event, float]] = [(ev.ResponderHere(SAM, "reply-1"), 5.0), (ev.ButtonPressed(), 60.0)]
    assert told_by((ev.ButtonPressed(), 0.0), *later) == [
        *pressed,
        "Sam is at the desk.",
        "The button was pressed.",
        "Staff were asked again.",
    ]
    assert told_by((ev.DrillStarted("drill-0", "faint", SAM), 0.0)) == ["Sam began a drill.", "It became an alert."]
    assert told_by((ev.PersonTouched(), 0.0)) == ["They asked for a person to come."]

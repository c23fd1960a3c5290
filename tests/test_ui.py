"""The real screen, rendered by Kivy without a display: what it sends, what it shows, and what it does when parts fail."""

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kiosk.guidance import IN_S, OUT_S, Pace
from kiosk.local import GREETING_S, Local, dump
from kiosk.messages import (
    Choice,
    Going,
    Hello,
    Language,
    PlayProof,
    ProofSound,
    Role,
    ScreenBeat,
    Severity,
    Show,
    Speaking,
    State,
    Touch,
    TouchAction,
    Trigger,
)
from kiosk.page import Theme
from kiosk.ui.palette import COLOURS, Colour
from kiosk.ui.panel import panels
from tests.screen import PRIYA, ROOT, SAM, SCENES, START, Rig, Scene, check, config, show, snapshot

pytestmark = pytest.mark.parts
DAY = COLOURS[Theme.LIGHT]
DEBOUNCE_S = 0.3


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A screen that plays scene after scene."""
    with Rig(tmp_path_factory.mktemp("screen"), 800, 480) as rig:
        yield rig


@pytest.fixture
def speaking(tmp_path: Path) -> Iterator[Rig]:
    """A screen with a speaker that nobody hears."""
    with Rig(tmp_path, 800, 480, more={"speaker": {"device": "null"}}) as rig:
        yield rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A screen that is new to each test."""
    with Rig(tmp_path, 800, 480) as rig:
        yield rig


def pixels(path: Path) -> tuple[int, int, list[bytes]]:
    """Return width, height and the rows of an 8-bit RGB or RGBA PNG, top first, three bytes a pixel."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    step = {2: 3, 6: 4}[data[25]]
    raw, at, packed = b"", 8, b""
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + size]
        at += size + 12
    raw = zlib.decompress(packed)
    rows: list[bytes] = []
    before = bytearray(width * step)
    for y in range(height):
        start = y * (width * step + 1)
        before = _unfilter(raw[start], bytearray(raw[start + 1 : start + 1 + width * step]), before, step)
        row = bytes(before)
        rows.append(row if step == 3 else b"".join(row[x : x + 3] for x in range(0, len(row), 4)))
    return width, height, rows


def _unfilter(kind: int, row: bytearray, above: bytearray, step: int) -> bytearray:
    for x in range(len(row)):
        left, up = (row[x - step] if x >= step else 0), above[x]
        corner = above[x - step] if x >= step else 0
        row[x] = (row[x] + (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]) % 256
    return row


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))


def rgb(colour: Colour) -> bytes:
    return bytes(round(255 * channel) for channel in colour)


# --- the pictures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_every_scene_has_its_page_and_nothing_is_cramped(gallery: Rig, name: str) -> None:
    page = gallery.play(SCENES[name])
    assert page["cramped"] == []
    assert page["size"] == [800, 480]


def test_a_larger_panel_shows_each_kind_of_page(tmp_path: Path) -> None:
    first: dict[str, Scene] = {}
    for scene in SCENES.values():
        first.setdefault(scene.kind, scene)
    with Rig(tmp_path, 1280, 720) as rig:
        for kind, scene in first.items():
            page = rig.play(scene)
            assert (page["size"], page["cramped"]) == ([1280, 720], []), kind
            rig.remote.shot(tmp_path / f"{kind}.png")
    assert len({path.read_bytes() for path in tmp_path.glob("*.png")}) == len(first)


def test_a_picture_has_the_ground_the_button_and_its_letters(rig: Rig, tmp_path: Path) -> None:
    rig.play(SCENES["checking"])
    rig.remote.shot(tmp_path / "checking.png")
    width, height, rows = pixels(tmp_path / "checking.png")
    assert (width, height) == (800, 480)
    colours = [row[x : x + 3] for row in rows[::4] for x in range(0, width * 3, 12)]
    share = {colour: colours.count(rgb(colour)) / len(colours) for colour in (DAY.ground, DAY.main)}
    assert 0.3 < share[DAY.ground] < 0.9
    assert 0.1 < share[DAY.main] < 0.4
    assert len(set(colours)) > 20  # letters have soft edges


# --- silent: every frame is one of the ordinary screen ----------------------------------------------------------------


def frame(rig: Rig, name: str) -> bytes:
    rig.remote.wait(lambda page: bool(page["still"]), "still page")
    rig.remote.shot(rig.run_dir / f"{name}.png")
    return (rig.run_dir / f"{name}.png").read_bytes()


def greeting(folder: Path, turned_s: float) -> Rig:
    """A screen whose minutes of the two greetings began at `turned_s`."""
    folder.mkdir(parents=True)
    (folder / "screen.json").write_text(dump(Local(turned_s=turned_s)))
    return Rig(folder, 800, 480, more={"speaker": {"device": "null"}})


def test_a_silent_incident_is_pixel_for_pixel_the_ordinary_screen(tmp_path: Path) -> None:
    now_s = time.monotonic()
    with greeting(tmp_path / "other", now_s - GREETING_S) as rig:
        rig.remote.wait_page("idle")
        other = frame(rig, "other")
    with greeting(tmp_path / "usual", now_s) as rig:
        rig.remote.wait_page("idle")
        usual = frame(rig, "usual")
        assert usual != other
        hidden: dict[str, object] = {"id": "i-silent", "silent": True, "trigger": Trigger.COVERT}
        frames = []
        for revision, (told, state, facts) in enumerate(SILENT, 1):
            rig.hub.show(show(snapshot(state, revision=revision, **hidden, **facts), told=told))
            rig.hub.wait(ScreenBeat, partial(beats, revision))
            page = rig.remote.wait(lambda page: bool(page["still"]), "still page")
            assert (page["kind"], page["incident"], page["prompts"], page["said"]) == ("idle", None, [], [])
            frames.append(frame(rig, f"silent{revision}"))
        rig.hub.show(show())
        frames.append(frame(rig, "after"))
        assert rig.hub.bad == []
        assert not [one for one in list(rig.hub.heard.queue) if isinstance(one, Speaking)]
        rig.remote.tap("I need help")
        rig.hub.wait(Touch, lambda touch: touch.action is TouchAction.HELP)
    # who knows of it sees the greeting turn when the broker has taken the call; nobody sees anything else
    assert frames == [usual, *[other] * (len(frames) - 1)]


SILENT: tuple[tuple[bool, State, dict[str, object]], ...] = (
    (False, State.RAISED, {}),
    (True, State.RAISED, {}),
    (True, State.RAISED, {"seen": (PRIYA, SAM)}),
    (True, State.COMING, {"coming": (Going(responder=SAM, eta_s=64),), "severity": Severity.GRAVE}),
    (
        True,
        State.COMING,
        {"check_in_open": True, "emergency": True, "tier": 2, "choice": Choice.COLLAPSE, "name": "Ana"},
    ),
    (True, State.ATTENDED, {"here": SAM}),
)
"""What happens in a silent incident, step by step: whether the broker has it, and what staff do."""


def beats(revision: int, beat: ScreenBeat) -> bool:
    return beat.revision == revision


def is_help(touch: Touch) -> bool:
    return touch.action is TouchAction.HELP


# --- touches ----------------------------------------------------------------------------------------------------------


def test_a_touch_of_help_reaches_the_hub_and_claims_nothing_until_it_answers(rig: Rig) -> None:
    rig.remote.wait_page("idle")
    rig.remote.tap("I need help")
    assert rig.hub.wait(Touch, is_help) == Touch(action=TouchAction.HELP)
    page = rig.remote.wait_page("telling")
    assert "Telling the staff" in page["texts"]
    rig.hub.show(show(snapshot()))
    assert "I asked the staff" in rig.remote.wait_page("waiting")["texts"]


def test_a_touch_carries_the_incident_that_the_person_saw(rig: Rig) -> None:
    rig.play(SCENES["raised"])
    rig.remote.tap("Someone is hurt")
    touch = rig.hub.wait(Touch, lambda touch: touch.action is TouchAction.CHOOSE)
    assert (touch.action, touch.choice, touch.incident) == (TouchAction.CHOOSE, "someone_hurt", "i-1")
    assert rig.remote.wait_page("steps")["incident"] == "i-1"


def middle(page: dict[str, Any], text: str) -> tuple[float, float]:
    x, y = page["middles"][page["buttons"].index(text)]
    return x, y


@pytest.mark.parametrize(("times", "mouse"), [(2, False), (1, True), (2, True)])
def test_a_panel_that_sends_each_touch_twice_counts_once(rig: Rig, times: int, mouse: bool) -> None:
    """Whether twice through one driver, or once each through two that see the same finger."""
    page = rig.play(SCENES["checking"])
    time.sleep(0.3)  # as long as a person needs to see it: sooner it is taken for a touch of the page before
    assert rig.remote.touch(*middle(page, "I’m fine"), times=times, mouse=mouse) == 1
    rig.hub.wait(Touch, lambda touch: touch.action is TouchAction.FINE)
    rig.hub.show(show())
    rig.hub.wait(ScreenBeat, lambda beat: beat.incident is None)
    assert not [
        one for one in list(rig.hub.heard.queue) if isinstance(one, Touch) and one.action is not TouchAction.LANGUAGE
    ]


@pytest.mark.parametrize("gap_s", [0.25, 0.15])
def test_who_types_fast_loses_no_letter(rig: Rig, gap_s: float) -> None:
    page = rig.play(SCENES["name"])
    time.sleep(0.3)
    for letter in "MARIA":
        began_s = time.monotonic()
        rig.remote.touch(*middle(page, letter))
        time.sleep(max(0.0, began_s + gap_s - time.monotonic()))
    rig.remote.wait(lambda page: "Maria" in page["texts"], "name")


def quickly(rig: Rig, *at: tuple[float, float], after: tuple[float, float] | None = None) -> list[int]:
    """Touch one place after another within 0.3 s; return which counted.

    A busy machine gets more than one try, and each begins from the same page: `after` is touched first.
    """
    for _ in range(10):
        time.sleep(0.4)
        if after is not None:
            rig.remote.touch(*after)
            time.sleep(0.4)
        began_s = time.monotonic()
        counted = [rig.remote.touch(*one) for one in at]
        if time.monotonic() - began_s < DEBOUNCE_S:
            return counted
    pytest.fail("this machine takes 0.3 s for two touches")


def test_a_finger_that_comes_down_twice_on_a_key_or_as_the_page_turns_counts_once(rig: Rig) -> None:
    page = rig.play(SCENES["name"])
    assert quickly(rig, middle(page, "A"), middle(page, "A")) == [1, 0]
    assert quickly(rig, middle(page, "A"), middle(page, "I")) == [1, 1]
    page = rig.play(SCENES["view"])
    turns = quickly(rig, middle(page, "Español"), middle(page, "Français"), after=middle(page, "English"))
    assert turns == [1, 0]


def test_another_language_is_shown_at_once_and_told_to_the_hub(rig: Rig) -> None:
    rig.remote.wait_page("idle")
    rig.remote.tap("Español")
    page = rig.remote.wait(lambda page: page["look"]["language"] == "es", "Spanish")
    assert "Necesito ayuda" in page["buttons"]
    rig.hub.wait(Touch, lambda touch: touch.language is Language.SPANISH)
    rig.hub.show(show(snapshot(language=Language.ENGLISH)))  # a hub that does not know yet is told again
    rig.hub.wait(Touch, lambda touch: touch.language is Language.SPANISH)


@pytest.mark.parametrize("text", ["中文", "العربية", "हिन्दी"])
def test_each_script_has_its_letters_and_nothing_is_said_to_be_missing(rig: Rig, tmp_path: Path, text: str) -> None:
    rig.remote.wait_page("idle")
    rig.remote.shot(tmp_path / "english.png")
    rig.remote.tap(text)
    rig.remote.wait(lambda page: page["look"]["language"] != "en" and bool(page["still"]), "another language")
    rig.remote.shot(tmp_path / "other.png")
    assert (tmp_path / "english.png").read_bytes() != (tmp_path / "other.png").read_bytes()
    rig.hub.show(show(snapshot(revision=9, seen=(PRIYA, SAM))))
    assert rig.hub.wait(ScreenBeat, partial(beats, 9)).faults == ()


def test_at_night_the_screen_is_dark_unless_a_person_wants_it_otherwise(tmp_path: Path) -> None:
    now = datetime.now().astimezone()
    hours = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=1):%H:%M}"
    with Rig(tmp_path, 800, 480, more={"ui": {"night": hours}}) as rig:
        assert rig.remote.wait_page("idle")["look"]["theme"] == Theme.DARK
        rig.remote.shot(tmp_path / "night.png")
        colours = [row[:3] for row in pixels(tmp_path / "night.png")[2]]
        assert set(colours) == {rgb(COLOURS[Theme.DARK].ground)}
        rig.remote.tap("Aa")
        rig.remote.wait_page("view")
        rig.remote.tap("Light")
        rig.remote.wait(lambda page: page["look"]["theme"] == Theme.LIGHT, "light screen")
        rig.hub.show(show(snapshot(revision=8)))
        rig.hub.wait(ScreenBeat, partial(beats, 8))
        assert rig.remote.page()["look"]["theme"] == Theme.LIGHT


# --- what moves -------------------------------------------------------------------------------------------------------


def moving(rig: Rig, scene: str, pace: Pace) -> dict[str, Any]:
    """Play a scene, and go on to the step of its case that moves."""
    page = rig.play(SCENES[scene])
    while page["pace"] != pace:
        rig.remote.tap("Next")
        page = rig.remote.wait(partial(another, page["step"]), "next step")
        assert page["step"] > 0, f"no step of {scene} moves as {pace}"
    return page


def another(step: int, page: dict[str, Any]) -> bool:
    return bool(page["step"] != step)


def test_a_breath_and_a_beat_move_and_stand_still_for_their_picture(rig: Rig, tmp_path: Path) -> None:
    shots: dict[tuple[str, float], bytes] = {}
    for scene, pace in (("steps_overwhelmed", Pace.BREATHING), ("steps_collapse", Pace.CPR)):
        moving(rig, scene, pace)
        first, _ = rig.remote.frames()
        check(lambda first=first: rig.remote.frames()[0] > first + 10, "moving picture")
        rig.remote.wait(lambda page: bool(page["still"]), "page that no longer fades")
        for since_s in (IN_S / 2, IN_S / 2, IN_S + OUT_S / 2, 0.0):
            rig.remote.shot(tmp_path / "shot.png", since_s)
            shot = (tmp_path / "shot.png").read_bytes()
            assert shots.setdefault((scene, since_s), shot) == shot
    assert len(set(shots.values())) == len(shots)  # the same size of the circle, breathing in or out, says so in words


def test_the_rest_of_the_time_no_frame_is_drawn(rig: Rig) -> None:
    rig.remote.wait(lambda page: bool(page["kind"] == "idle" and page["still"]), "still idle page")
    rig.remote.shot(rig.run_dir / "a.png")
    before, at_s = rig.remote.frames()
    check(lambda: rig.remote.frames()[1] > at_s + 2, "two seconds more")
    assert rig.remote.frames()[0] - before <= 2  # a minute may begin


# --- what is said -----------------------------------------------------------------------------------------------------


def test_a_page_that_turns_says_its_words_and_again_when_asked(speaking: Rig) -> None:
    page = speaking.play(SCENES["checking"])
    assert page["said"] == page["prompts"] == ["say_need_help"]
    first = speaking.hub.wait(Speaking)
    speaking.hub.wait(Speaking, lambda one: one.start_s == first.start_s and one.end_s != first.end_s)
    page = speaking.play(SCENES["steps_chest"])
    assert page["said"] == page["prompts"] != []
    speaking.hub.wait(Speaking, lambda one: one.start_s > first.start_s)
    then = speaking.hub.wait(Speaking)
    speaking.remote.tap("Say it again")
    speaking.hub.wait(Speaking, lambda one: one.start_s > then.start_s)
    assert speaking.hub.bad == []


PROOF = PlayProof(proof="proof-0123456789abcdef", attempt=1, gain_db=-15.0)


def test_a_screen_plays_the_daily_proof_until_a_finger_comes_and_for_two_minutes_none_after_it(speaking: Rig) -> None:
    speaking.hub.show(show(proving=PROOF.proof))
    speaking.remote.wait_page("idle")
    assert speaking.hub.tell(PROOF)
    told = speaking.hub.wait(ProofSound)
    assert (told.what, told.proof) == ("begins", PROOF.proof)
    assert speaking.hub.wait(ProofSound).what in {"ended", "cut"}
    speaking.remote.touch(2, 2)
    assert speaking.hub.wait(ProofSound).what == "touched"
    assert speaking.hub.tell(PROOF)
    assert speaking.hub.wait(ProofSound).what == "touched"
    assert speaking.hub.bad == []


def test_a_screen_without_a_speaker_is_silent_in_the_daily_proof_too(rig: Rig) -> None:
    rig.hub.show(show(proving=PROOF.proof))
    rig.remote.wait_page("idle")
    assert rig.hub.tell(PROOF)
    told = rig.hub.wait(ProofSound)
    assert (told.what, bool(told.says)) == ("off", True)


def test_a_screen_without_a_speaker_says_nothing(rig: Rig) -> None:
    page = rig.play(SCENES["checking"])
    assert (page["prompts"], page["said"]) == ([], [])


# --- on a display ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A bare X server of 1024 x 600, without a window manager."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1024x600x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=(write,), stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as number:
        yield f":{number.readline().strip()}"
    server.terminate()
    server.wait(10)


def test_a_panel_is_filled_and_what_is_missing_there_is_a_fault(tmp_path: Path, display: str) -> None:
    with Rig(tmp_path, 1024, 600, display) as rig:
        assert rig.remote.wait_page("idle")["size"] == [1024, 600]
        expected = [] if panels() else ["panel_missing"]
        assert [fault.code for fault in rig.hub.wait(ScreenBeat).faults] == expected
        rig.remote.tap("I need help")
        rig.hub.wait(Touch, is_help)


def test_a_panel_of_another_size_than_the_file_says_is_a_fault(tmp_path: Path, display: str) -> None:
    with Rig(tmp_path, 800, 480, display) as rig:
        beat = rig.hub.wait(ScreenBeat)
        assert "the panel is 1024 x 600, the file says 800 x 480" in [fault.says for fault in beat.faults]


# --- when parts fail --------------------------------------------------------------------------------------------------


def test_a_hub_that_goes_is_said_and_a_touch_is_kept_for_its_return(rig: Rig) -> None:
    rig.remote.wait_page("idle")
    rig.hub.stop()
    page = rig.remote.wait_page("gone", timeout_s=5.0)  # no more than 5 s after its last word
    assert "This unit cannot call for you." in page["texts"]
    rig.remote.tap("I need help")
    kept = "You asked for help. I keep trying to pass it on."
    rig.remote.wait(lambda page: kept in page["texts"], "word that the call is kept")
    rig.hub.start()
    assert rig.hub.wait(Touch, is_help) == Touch(action=TouchAction.HELP)
    rig.hub.show(show(snapshot()))
    rig.remote.wait_page("waiting")


def test_a_hub_that_hangs_with_its_socket_open_is_gone_too(rig: Rig) -> None:
    rig.remote.wait_page("idle")
    rig.hub.hang()
    assert "Call 112 myself" in rig.remote.wait_page("gone")["buttons"]


def kill(rig: Rig) -> None:
    assert rig.process is not None
    rig.process.send_signal(signal.SIGKILL)
    rig.process.wait(10)


def test_a_new_screen_comes_back_to_the_same_page(rig: Rig) -> None:
    rig.play(SCENES["coming"])
    kill(rig)
    rig.start()
    check(lambda: rig.hub.show(SCENES["coming"].show), "screen on the bus")
    assert "Sam is coming, in about 1 minute." in rig.remote.wait_page("coming")["texts"]


def test_a_new_screen_comes_back_to_the_same_language_and_step(rig: Rig) -> None:
    rig.remote.wait_page("idle")
    rig.remote.tap("Français")
    scene = SCENES["steps_chest"].show
    rig.hub.show(scene)
    rig.remote.wait_page("steps")
    rig.remote.tap("Suivant")
    before = rig.remote.wait(lambda page: page["step"] == 1, "second step")
    kill(rig)
    rig.begin()
    after = rig.remote.wait_page("steps")
    assert check(lambda: rig.hub.show(scene), "screen on the bus")
    for what in ("kind", "choice", "step", "look", "incident"):
        assert after[what] == before[what], what


def test_a_call_for_help_that_nobody_confirmed_outlives_the_screen(rig: Rig) -> None:
    rig.remote.wait_page("idle")
    rig.remote.tap("I need help")
    rig.hub.wait(Touch, is_help)
    rig.remote.wait_page("telling")
    kill(rig)
    rig.start()
    rig.hub.wait(Touch, is_help)


def killed_and_shown_again(rig: Rig, shown: Show) -> None:
    kill(rig)
    rig.hub.heard.queue.clear()
    rig.begin()
    check(lambda: rig.hub.show(shown), "screen on the bus", 30)


def test_what_a_person_told_outlives_the_screen_until_the_incident_shows_it(rig: Rig) -> None:
    shown = show(snapshot(id="i-7"))
    rig.hub.show(shown)
    rig.remote.wait_page("waiting")
    rig.remote.tap("Tell my name")
    rig.remote.wait_page("name")
    for letter in "ANA":
        rig.remote.tap(letter)
    rig.remote.tap("Done")
    rig.hub.wait(Touch, lambda touch: touch.name == "Ana")
    rig.remote.tap("Someone is hurt")
    rig.hub.wait(Touch, lambda touch: touch.choice is Choice.SOMEONE_HURT)
    killed_and_shown_again(rig, shown)
    first = rig.hub.wait(Touch, lambda touch: touch.action in {TouchAction.NAME, TouchAction.CHOOSE})
    second = rig.hub.wait(Touch, lambda touch: touch.action in {TouchAction.NAME, TouchAction.CHOOSE} - {first.action})
    assert {first.incident, second.incident} == {"i-7"}
    assert {first.name, second.name, first.choice, second.choice} == {None, "Ana", Choice.SOMEONE_HURT}


def test_that_it_is_worse_outlives_the_screen(rig: Rig) -> None:
    shown = show(snapshot(id="i-8", check_in_open=True))
    rig.hub.show(shown)
    page = rig.remote.wait_page("check_in")
    rig.remote.tap(next(text for text in page["buttons"] if "worse" in text))
    rig.hub.wait(Touch, lambda touch: touch.action is TouchAction.WORSE)
    killed_and_shown_again(rig, shown)
    assert rig.hub.wait(Touch, lambda touch: touch.action is TouchAction.WORSE).incident == "i-8"


@pytest.mark.parametrize(("width", "height"), [(480, 800), (800, 600)])
def test_other_shapes_of_panel_show_every_kind_of_page(tmp_path: Path, width: int, height: int) -> None:
    first = {scene.kind: scene for scene in reversed(SCENES.values())}
    with Rig(tmp_path, width, height) as rig:
        for kind, scene in first.items():
            page = rig.play(scene)
            assert (page["size"], page["cramped"]) == ([width, height], []), kind
        rig.hub.show(show(snapshot(revision=77)))
        assert rig.hub.wait(ScreenBeat, partial(beats, 77)).faults == ()


def test_it_says_hello_beats_with_what_it_shows_and_ends_when_told(rig: Rig) -> None:
    assert rig.hub.wait(Hello).role is Role.UI
    rig.hub.show(show(snapshot(revision=41)))
    beat = rig.hub.wait(ScreenBeat, lambda beat: beat.revision == 41)
    assert (beat.incident, beat.faults) == ("i-1", ())
    assert rig.process is not None
    rig.process.terminate()
    assert rig.process.wait(10) == 0
    assert rig.hub.bad == []


@pytest.mark.parametrize("driver", ["x11", "KMSDRM", "dummy", "no_such_driver", "wayland,x11,KMSDRM"])
def test_without_a_display_it_says_one_clear_line_and_ends(tmp_path: Path, driver: str) -> None:
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"}
    env = {key: value for key, value in os.environ.items() if key not in hidden}
    env |= {"PYTHONPATH": str(ROOT), **({} if "," in driver else {"SDL_VIDEODRIVER": driver})}
    done = subprocess.run(
        [sys.executable, "-c", START, config(tmp_path, 800, 480)], env=env, capture_output=True, check=False, timeout=60
    )
    lines = [line for line in done.stderr.decode().splitlines() if "INFO" not in line]
    assert done.returncode == 1
    assert len(lines) == 1
    assert f"no window could be opened (SDL_VIDEODRIVER={driver}); connect a display" in lines[0]


def test_without_anything_that_draws_it_says_what_to_install_and_ends(tmp_path: Path) -> None:
    nothing = {"LIBGL_DRIVERS_PATH": str(tmp_path), "__EGL_VENDOR_LIBRARY_DIRS": str(tmp_path)}
    env = {**os.environ, "SDL_VIDEODRIVER": "offscreen", "PYTHONPATH": str(ROOT), **nothing}
    done = subprocess.run(
        [sys.executable, "-c", START, config(tmp_path, 800, 480)], env=env, capture_output=True, check=False, timeout=60
    )
    said = [line for line in done.stderr.decode().splitlines() if line.startswith("ERROR")]
    assert (done.returncode, len(said)) == (1, 1)
    assert "install libgl1-mesa-dri" in said[0]


def test_a_run_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    done = subprocess.run(
        [sys.executable, "-c", START, config(tmp_path / "run", 800, 480)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert b"check [unit] run_dir and its owner" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_nobody_can_touch_it_from_outside_unless_asked_for(tmp_path: Path) -> None:
    env = {**os.environ, "SDL_VIDEODRIVER": "offscreen", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", START, config(tmp_path, 800, 480)], env=env)
    try:
        check((tmp_path / "kivy").is_dir, "run folder")
        assert [one.name for one in tmp_path.iterdir() if one.is_socket()] == []
    finally:
        process.terminate()
        process.wait(30)


def test_a_remote_request_that_is_none_is_answered(rig: Rig) -> None:
    with pytest.raises(Exception, match="no button 'Nowhere'"):
        rig.remote.tap("Nowhere")
    with pytest.raises(Exception, match="'dance' is not one of"):
        rig.remote._ask(do="dance")
    assert json.loads(json.dumps(rig.remote.page()))["kind"] == "idle"

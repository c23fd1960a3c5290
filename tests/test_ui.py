"""The real screen, rendered by Kivy without a display: what it sends, what it shows, and what it does when parts fail."""

import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.messages import Hello, Role, ScreenBeat, Touch, TouchAction
from kiosk.ui.palette import GREEN, PAPER, Colour
from kiosk.ui.panel import panels
from tests.screen import ROOT, SCENES, START, Rig, Scene, check, config, show, snapshot

pytestmark = pytest.mark.parts


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A screen that plays scene after scene."""
    with Rig(tmp_path_factory.mktemp("screen"), 800, 480) as rig:
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
    share = {colour: colours.count(rgb(colour)) / len(colours) for colour in (PAPER, GREEN)}
    assert 0.3 < share[PAPER] < 0.9
    assert 0.1 < share[GREEN] < 0.4
    assert len(set(colours)) > 20  # letters have soft edges


def test_a_silent_incident_is_pixel_for_pixel_the_ordinary_screen(rig: Rig, tmp_path: Path) -> None:
    rig.remote.wait_page("idle")
    rig.remote.shot(tmp_path / "idle.png")
    silent = snapshot(id="i-silent", silent=True, revision=7)
    rig.hub.show(show(silent))
    rig.hub.wait(ScreenBeat, lambda beat: beat.revision == 7)
    rig.remote.shot(tmp_path / "silent.png")
    assert (tmp_path / "idle.png").read_bytes() == (tmp_path / "silent.png").read_bytes()
    rig.remote.tap("I need help")
    assert rig.hub.wait(Touch) == Touch(action=TouchAction.HELP)


# --- touches ----------------------------------------------------------------------------------------------------------


def test_a_touch_of_help_reaches_the_hub_and_claims_nothing_until_it_answers(rig: Rig) -> None:
    rig.remote.wait_page("idle")
    rig.remote.tap("I need help")
    assert rig.hub.wait(Touch) == Touch(action=TouchAction.HELP)
    page = rig.remote.wait_page("telling")
    assert "Telling the staff" in page["texts"]
    rig.hub.show(show(snapshot()))
    assert "I asked the staff" in rig.remote.wait_page("waiting")["texts"]


def test_a_touch_carries_the_incident_that_the_person_saw(rig: Rig) -> None:
    rig.play(SCENES["raised"])
    rig.remote.tap("Someone is hurt")
    touch = rig.hub.wait(Touch)
    assert (touch.action, touch.choice, touch.incident) == (TouchAction.CHOOSE, "someone_hurt", "i-1")
    assert rig.remote.wait_page("steps")["incident"] == "i-1"


def test_a_panel_that_sends_each_touch_twice_counts_once(rig: Rig) -> None:
    rig.play(SCENES["checking"])
    rig.remote.wait(lambda page: "I’m fine" in page["buttons"], "the check")
    for _ in range(2):
        rig.remote.touch(590, 325)
    assert rig.hub.wait(Touch).action is TouchAction.FINE
    rig.hub.show(show())
    rig.hub.wait(ScreenBeat, lambda beat: beat.incident is None)
    assert not [one for one in list(rig.hub.heard.queue) if isinstance(one, Touch)]


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
        assert rig.hub.wait(Touch).action is TouchAction.HELP


def test_a_panel_of_another_size_than_the_file_says_is_a_fault(tmp_path: Path, display: str) -> None:
    with Rig(tmp_path, 800, 480, display) as rig:
        beat = rig.hub.wait(ScreenBeat)
        assert "the panel is 1024 x 600, the file says 800 x 480" in [fault.says for fault in beat.faults]


# --- when parts fail --------------------------------------------------------------------------------------------------


def test_a_hub_that_goes_is_said_and_a_touch_is_kept_for_its_return(rig: Rig) -> None:
    rig.remote.wait_page("idle")
    rig.hub.stop()
    page = rig.remote.wait_page("gone")
    assert "This unit cannot call for you." in page["texts"]
    rig.remote.tap("I need help")
    kept = "You asked for help. I keep trying to pass it on."
    rig.remote.wait(lambda page: kept in page["texts"], "word that the call is kept")
    rig.hub.start()
    assert rig.hub.wait(Touch) == Touch(action=TouchAction.HELP)
    rig.hub.show(show(snapshot()))
    rig.remote.wait_page("waiting")


def test_a_hub_that_hangs_with_its_socket_open_is_gone_too(rig: Rig) -> None:
    rig.remote.wait_page("idle")
    rig.hub.hang()
    assert "Call 112 myself" in rig.remote.wait_page("gone")["buttons"]


def test_a_new_screen_comes_back_to_the_same_page(rig: Rig) -> None:
    rig.play(SCENES["coming"])
    assert rig.process is not None
    rig.process.send_signal(signal.SIGKILL)
    rig.process.wait(10)
    rig.start()
    check(lambda: rig.hub.show(SCENES["coming"].show), "screen on the bus")
    assert "Sam is coming, about 1 minute." in rig.remote.wait_page("coming")["texts"]


def test_it_says_hello_beats_with_what_it_shows_and_ends_when_told(rig: Rig) -> None:
    assert rig.hub.wait(Hello).role is Role.UI
    rig.hub.show(show(snapshot(revision=41)))
    beat = rig.hub.wait(ScreenBeat, lambda beat: beat.revision == 41)
    assert (beat.incident, beat.faults) == ("i-1", ())
    assert rig.process is not None
    rig.process.terminate()
    assert rig.process.wait(10) == 0
    assert rig.hub.bad == []


@pytest.mark.parametrize("driver", ["x11", "wayland,x11,KMSDRM"])
def test_without_a_display_it_says_one_clear_line_and_ends(tmp_path: Path, driver: str) -> None:
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"}
    env = {key: value for key, value in os.environ.items() if key not in hidden}
    env |= {"PYTHONPATH": str(ROOT), **({"SDL_VIDEODRIVER": driver} if driver == "x11" else {})}
    done = subprocess.run(
        [sys.executable, "-c", START, config(tmp_path, 800, 480)], env=env, capture_output=True, check=False, timeout=60
    )
    lines = [line for line in done.stderr.decode().splitlines() if "INFO" not in line]
    assert done.returncode == 1
    assert len(lines) == 1
    assert f"no window could be opened (SDL_VIDEODRIVER={driver}); connect a display" in lines[0]


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

"""Safe mode: what only starts and dies stays down, hub and button go on, and how it ends."""

import functools
import json
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.bad_starts import AGAIN_S, GOOD_S, MOST, BadStarts
from kiosk.bus import Leaf, ask, runtime_socket
from kiosk.messages import AskStatus, Hello, Role, ScreenBeat, StatusAnswer
from kiosk.safe_mode import FILE, STARTS, SafeMode
from kiosk.update.apply import Kept, Phase, State, save
from tests.board_parts import Program, until
from tests.provision_parts import run

KIOSK = """
[unit]
store = "harbour"
id = "desk-3"
place = "Service desk 3"
address = "Harbour Street 1"
country = "GB"
state_dir = "{folder}"
run_dir = "{folder}/run"

[broker]
host = "localhost"
port = 9
ca_file = "{folder}/ca.pem"
username = "unit-desk-3"
password = "not-a-real-one"
"""

# --- counting ---------------------------------------------------------------------------------------------------------


def test_ten_bad_starts_and_one_too_many() -> None:
    starts = BadStarts({})
    assert [starts.begins("ui", float(number)) for number in range(MOST + 2)] == [False] * MOST + [True, True]
    starts.once_more()
    assert [starts.begins("ui", 99.0), starts.begins("ui", 99.0)] == [False, True]


def test_ten_good_minutes_forgive_and_a_break_in_them_does_not() -> None:
    starts = BadStarts({"ui": 9, "listen": 9})
    assert not starts.look({"ui", "listen"}, 0.0)
    assert not starts.look({"ui"}, 300.0)
    assert starts.look({"ui", "listen"}, GOOD_S)
    assert starts.counts == {"listen": 9}
    assert starts.look({"ui", "listen"}, 2 * GOOD_S)
    assert starts.counts == {}


@given(
    st.lists(
        st.tuples(st.sampled_from(["hub", "ui", "listen"]), st.sampled_from(["begins", "ends", "good"])), max_size=80
    )
)
def test_no_part_is_shut_out_for_what_another_did(happens: list[tuple[str, str]]) -> None:
    starts, now_s, bad = BadStarts({}), 0.0, dict.fromkeys(("hub", "ui", "listen"), 0)
    for part, what in happens:
        now_s += 1.0
        if what == "begins":
            assert starts.begins(part, now_s) == (bad[part] >= MOST)
            bad[part] = min(bad[part] + 1, MOST)
        elif what == "ends":
            starts.ends_well({part})
            bad[part] = max(bad[part] - 1, 0)
        else:
            starts.look({part}, now_s)
            now_s += GOOD_S
            starts.look({part}, now_s)
            bad[part] = 0
        assert {one: count for one, count in bad.items() if count} == starts.counts


# --- its files --------------------------------------------------------------------------------------------------------


def bad_starts(folder: Path, times: int) -> SafeMode:
    """Start the hub and have it die, again and again; return the last one."""
    for _ in range(times):
        mode = SafeMode(folder, 0.0)
    return mode


def test_it_is_kept_over_starts_and_ends_when_its_file_goes(tmp_path: Path) -> None:
    assert bad_starts(tmp_path, MOST).held is None
    mode = bad_starts(tmp_path, 1)
    assert mode.held is not None
    assert mode.held.why == "the hub started 11 times, and never ran for 10 minutes"
    assert bad_starts(tmp_path, 1).held == mode.held
    (tmp_path / FILE).unlink()
    mode.look(set(), 1.0)
    assert mode.held is None
    mode.begins("ui", 2.0)
    assert mode.held is None
    mode.look(set(), GOOD_S)
    assert json.loads((tmp_path / STARTS).read_text()) == {"ui": 1}, "the hub itself ran for ten minutes"


def test_after_a_day_it_is_tried_once(tmp_path: Path) -> None:
    mode = bad_starts(tmp_path, MOST + 1)
    for since_unix_s in (0.0, 9e12):  # long ago, and by a clock that was far ahead
        (tmp_path / FILE).write_text(json.dumps({"why": "x", "since_unix_s": since_unix_s}))
        mode = SafeMode(tmp_path, 0.0)
        assert mode.held is not None
        mode.look(set(), 1.0)
        assert mode.held is None
        assert not (tmp_path / FILE).exists()
    mode.begins("hub", 3.0)
    assert mode.held is None
    mode.begins("hub", 4.0)
    assert mode.held is not None
    assert AGAIN_S == 86400.0


def test_an_orderly_end_is_no_bad_start(tmp_path: Path) -> None:
    for _ in range(3 * MOST):
        mode = SafeMode(tmp_path, 0.0)
        mode.begins("ui", 0.0)
        mode.ends_well(["ui"], 0.0)
    assert mode.held is None


def test_at_an_orderly_end_screen_and_ear_are_ended_first(tmp_path: Path) -> None:
    for _ in range(3 * MOST):
        mode = SafeMode(tmp_path, 0.0)
        mode.begins("ui", 1.0)
        mode.begins("listen", 1.0)
        mode.gone("listen", 60.0)
        mode.gone("ui", 64.0)
        mode.ends_well([], 66.0)
    assert mode.held is None
    for _ in range(MOST + 1):
        mode.begins("ui", 100.0)
        mode.gone("ui", 101.0)
        mode.ends_well([], 120.0)
    assert mode.held is not None, "a screen that died long before was not ended in good order"


def test_a_hub_that_dies_with_screen_and_ear_down_gives_the_screen_back(tmp_path: Path) -> None:
    for _ in range(9 * MOST):
        mode = SafeMode(tmp_path, 0.0)
    assert mode.held is None, "the screen says that it cannot call"
    assert not (tmp_path / FILE).exists()
    for _ in range(MOST + 1):
        mode.begins("ui", 0.0)
    assert mode.held is not None, "a screen that dies is left down all the same"


def test_a_hub_that_runs_well_again_gives_the_screen_back_and_has_one_more_start(tmp_path: Path) -> None:
    mode = bad_starts(tmp_path, MOST + 1)
    mode.look(set(), GOOD_S - 1.0)
    assert mode.held is not None
    mode.look(set(), GOOD_S)
    assert mode.held is None
    mode.look(set(), GOOD_S + 1.0)
    assert bad_starts(tmp_path, 1).held is None
    assert bad_starts(tmp_path, 1).held is not None


def test_a_card_that_cannot_be_changed_costs_safe_mode_and_never_the_hub(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / FILE
    file.write_text(json.dumps({"why": "x", "since_unix_s": 1.0}))
    mode = SafeMode(tmp_path, 0.0)
    file.unlink()
    file.mkdir()  # nobody can unlink that, as on a card gone read-only
    for now_s in range(9):
        mode.look(set(), float(now_s))
    assert mode.held is not None
    assert [one.getMessage().partition(":")[0] for one in caplog.records] == [str(file)], "one line, and no more"
    file.rmdir()
    mode.look(set(), 9.0)
    assert mode.held is None
    caplog.clear()
    (tmp_path / "rot").touch()
    mode = SafeMode(tmp_path / "rot", 0.0)
    for _ in range(2 * MOST):
        mode.begins("ui", 0.0)
        mode.look(set(), 0.0)
    assert mode.held is None, "what cannot be written does not hold"
    assert len(caplog.records) == 1


@given(st.binary(max_size=40))
def test_damaged_files_count_as_none(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("safe")
    (folder / STARTS).write_bytes(data)
    assert SafeMode(folder, 0.0).held is None
    (folder / FILE).write_bytes(data)
    assert SafeMode(folder, 0.0).held is not None, "whoever made it means it"


# --- the real hub -----------------------------------------------------------------------------------------------------


@pytest.mark.parts
def test_a_screen_that_only_starts_and_dies_is_left_down_and_the_hub_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, updates = tmp_path / "kiosk.toml", tmp_path / "update"
    config.write_text(KIOSK.format(folder=tmp_path))
    updates.mkdir()
    monkeypatch.setenv("STAYBY_UPDATE_DIR", str(updates))
    hub = Program("alertd", config, tmp_path / "log")
    socket = runtime_socket(tmp_path / "run")

    def faults() -> dict[str, str]:
        answer = ask(socket, AskStatus(), 3.0)
        assert isinstance(answer, StatusAnswer)
        return {one.code: one.says for one in answer.status.faults}

    try:
        until(socket.exists)
        for _ in range(MOST + 1):
            screen = Leaf(socket, Hello(role=Role.UI), *[lambda *_: None] * 4)
            until(functools.partial(screen.send, ScreenBeat()))
            screen.close()
        until((tmp_path / FILE).exists)
        until(lambda: "safe-mode" in faults())
        assert "the screen started 11 times" in faults()["safe-mode"]
        assert "screen" not in faults(), "what is kept off is not told as broken"
        code, said = run("safe-mode", "--config", config)
        assert (code, "the screen started 11 times" in said) == (1, True)
        assert run("safe-mode", "off", "--config", config)[0] == 0
        until(lambda: "safe-mode" not in faults())
        assert run("safe-mode", "--config", config) == (0, "safe mode is off\n")
        (tmp_path / FILE).touch()
        until(lambda: "somebody made" in faults().get("safe-mode", ""))
        (tmp_path / FILE).unlink()
        until(lambda: "safe-mode" not in faults())
        old, new = Kept("0.1.0", "a", "0"), Kept("0.2.0", "b", "0")
        save(updates, State(Phase.BACK, old, new, why="it did not prove itself (sound)"))
        until(lambda: faults().get("update-failed") == "0.2.0 went back: it did not prove itself (sound); 0.1.0 runs")
        save(updates, State(Phase.GOING_BACK, old, new, why="its services did not start", trouble="no room"))
        until(lambda: "0.1.0 is not in yet: no room" in faults().get("update-stuck", ""))
        assert "update-failed" not in faults(), "nobody is told that all works"
        (updates / "state.json").write_text("{")
        until(lambda: "cannot be read" in faults().get("update-stuck", ""))
        save(updates, State(Phase.GOOD, old, new))
        until(lambda: not {"update-failed", "update-stuck"} & faults().keys())
    finally:
        hub.end(signal.SIGTERM)
    assert "hub" not in json.loads((tmp_path / STARTS).read_text())

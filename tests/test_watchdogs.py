"""Each part of a real unit hangs once, in the times of a test; and the power of one is cut ten times."""

import re
from pathlib import Path

import pytest

from bench import power_cuts
from bench.supervised import SYSTEMD, seconds
from bench.watchdogs import CASES, SEEN_LIMIT_S, SERVICES, Case, Rig
from kiosk.duty import FRESH_S

pytestmark = [pytest.mark.parts, pytest.mark.timeout(300)]
QUICK_S = 5.0
"""Not less than an ear takes to say that its capture hangs."""
PROVEN = {"MQTT thread", "capture thread", "screen frozen", "no microphone", "silent chip"}


@pytest.mark.parametrize("case", [case for case in CASES if case.name in PROVEN], ids=lambda case: case.name)
def test_what_hangs_is_seen_on_a_board_and_over_again(tmp_path: Path, case: Case) -> None:
    services = tuple(dict.fromkeys(("alertd", case.service)))
    with Rig(tmp_path, case, services, QUICK_S) as rig:
        outcome = rig.play()
    assert outcome.kills >= 1 if case.restarts else outcome.kills == 0


@pytest.mark.parametrize("service", SERVICES)
def test_what_hangs_is_over_within_the_promised_time(service: str) -> None:
    noticed_s, ended_s = FRESH_S + seconds(service, "WatchdogSec"), seconds(service, "TimeoutAbortSec")
    assert noticed_s + ended_s + seconds(service, "RestartSec") + 30 < SEEN_LIMIT_S, "30 s to start on a busy Pi"


def test_no_unit_waits_for_the_network_or_for_what_is_less_than_the_button() -> None:
    hub = (SYSTEMD / "stayby-alertd.service").read_text()
    named = re.findall(r"^(?:After|Requires|Wants|BindsTo)=(.*)$", hub, flags=re.MULTILINE)
    assert named == ["local-fs.target"]


def test_a_power_cut_loses_nothing(tmp_path: Path) -> None:
    tally = power_cuts.play(tmp_path, cuts=10, seed=11)
    assert tally.findings == []
    assert (tally.cuts, tally.lost, tally.configs_lost) == (10, 0, 0)
    assert tally.unsure_writes

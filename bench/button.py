"""The button's chip and wire in virtual time: the same on every machine."""

from concurrent.futures import ProcessPoolExecutor

from rich.console import Console
from rich.table import Table

from bench.measure import Measure, percentile
from bench.presses import Tally, press_in_two_processes
from firmware_bridge.build import firmware_elf, firmware_sizes
from firmware_bridge.simulator.hostile import Outcome, into_the_hub, into_the_unit
from firmware_bridge.simulator.measure import physical_floor_ms, press_to_host_ms

PRESSES = 1000
PRESSES_A_SHARE = 2500
RUNS_A_SHARE = 2
SHARES = (0.10, 0.03, 0.0, 0.01)
"""Of the bytes on the wire, both ways, get one flipped bit."""
SEED = 1
HOSTILE = ((into_the_unit, 500_000, SEED), (into_the_unit, 500_000, SEED + 1), (into_the_hub, 1_000_000, SEED))
"""A million frames into each end."""
FLASH_BYTES, RAM_BYTES = 8192, 1024
"""What the design allows the firmware."""


def measure() -> dict[str, Measure]:
    """Run the real firmware on its simulated chip and return what it did and what it takes."""
    return {**_delays(), **_presses(), **_frames(), **_sizes()}


def _delays() -> dict[str, Measure]:
    samples, floor_ms = press_to_host_ms(PRESSES), physical_floor_ms()
    p99 = percentile(samples, 0.99)
    beside = f"debounce and wire alone: {floor_ms:.1f} ms"
    return {
        "button_press_to_hub_p99_ms": Measure(p99, "ms", len(samples), beside),
        "button_press_to_hub_ratio_p99": Measure(p99 / floor_ms, "×", len(samples), "design: ≤ 1.15"),
    }


def _presses() -> dict[str, Measure]:
    presses = PRESSES_A_SHARE // RUNS_A_SHARE
    shares = [share for share in SHARES for _ in range(RUNS_A_SHARE)]
    tallies = press_in_two_processes([(presses, share, seed) for seed, share in enumerate(shares, SEED)])
    _show(tallies)
    sent, lost, doubled = (sum(getattr(tally, what) for tally in tallies) for what in ("sent", "lost", "doubled"))
    return {
        "button_presses_sent": Measure(sent, "", sent, "0, 1, 3, 10 % damaged bytes, faults"),
        "button_presses_lost": Measure(lost, "", sent, "design: 0"),
        "button_presses_doubled": Measure(doubled, "", sent, "design: 0"),
    }


def _show(tallies: list[Tally]) -> None:
    table = Table("bytes damaged", "sent", "lost", "doubled", "median ms", "worst s", "faults", title="Random presses")
    for share in sorted(SHARES):
        those = [tally for tally in tallies if tally.share == share]
        delays_s = sorted(delay_s for tally in those for delay_s in tally.delays_s)
        counts = [sum(getattr(tally, what) for tally in those) for what in ("sent", "lost", "doubled")]
        faults = sum(tally.faults.total() for tally in those)
        median_ms, worst_s = 1000 * percentile(delays_s, 0.5), delays_s[-1]
        table.add_row(f"{share:.0%}", *map(str, counts), f"{median_ms:.1f}", f"{worst_s:.1f}", str(faults))
    console = Console(width=120)
    console.print(table)
    for finding in (finding for tally in tallies for finding in tally.findings):
        console.print(finding)


def _frames() -> dict[str, Measure]:
    with ProcessPoolExecutor(2) as pool:
        attacks = [pool.submit(end, frames, seed) for end, frames, seed in HOSTILE]
        ends: list[Outcome] = [attack.result() for attack in attacks]
    findings = [finding for end in ends for finding in end.findings]
    if findings:
        raise RuntimeError(f"{len(findings)} findings among hostile frames, seed {SEED}, first: {findings[0]}")
    total = sum(end.frames for end in ends)
    return {"button_frames_fuzzed": Measure(total, "", total, "no crash, no reset, no press invented")}


def _sizes() -> dict[str, Measure]:
    flash, ram = firmware_sizes(firmware_elf())
    return {
        "button_flash_bytes": Measure(flash, "B", 1, f"design: ≤ {FLASH_BYTES}"),
        "button_ram_bytes": Measure(ram, "B", 1, f"static; design: ≤ {RAM_BYTES}"),
    }

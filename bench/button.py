"""From the contact closing to the host's end of the wire, in virtual time: the same on every machine."""

from bench.measure import Measure, percentile
from firmware_bridge.simulator.measure import physical_floor_ms, press_to_host_ms

PRESSES = 1000


def measure() -> dict[str, Measure]:
    """Press the real firmware on its simulated chip and return what chip and wire cost."""
    samples, floor_ms = press_to_host_ms(PRESSES), physical_floor_ms()
    p99 = percentile(samples, 0.99)
    beside = f"debounce and wire alone: {floor_ms:.1f} ms"
    return {
        "button_press_to_hub_p99_ms": Measure(p99, "ms", len(samples), beside),
        "button_press_to_hub_ratio_p99": Measure(p99 / floor_ms, "×", len(samples), "design: ≤ 1.15"),
    }

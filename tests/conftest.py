"""What all tests share: property tests are never judged by the clock of a busy machine; Ctrl-C works; an older firmware."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

from firmware_bridge.build import FIRMWARE_SOURCES, _compile_firmware

settings.register_profile("stayby", settings(), deadline=None)
settings.load_profile("stayby")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts us in the background hands on a deaf one


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that wait for real parts: of tests that run beside each other, the longest must not come last."""
    slow = {item.path for item in items if item.get_closest_marker("parts")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def firmware_without_meter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return this firmware, but as it was when no Meter was known."""
    folder = tmp_path_factory.mktemp("older")
    known = "case MSG_METER: status = on_meter(payload, length); break;"
    for source in FIRMWARE_SOURCES.glob("*.[ch]"):
        text = source.read_text()
        assert (known in text) == (source.name == "link.c")
        (folder / source.name).write_text(text.replace(known, "case MSG_METER: (void)on_meter; break;"))
    elf = folder / "button.elf"
    _compile_firmware(elf, sorted(folder.glob("*.c")), build_id="01d01d01")
    return elf

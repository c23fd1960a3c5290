"""A real Home Assistant core with its mqtt integration, for tests: run by the Python that has `homeassistant` installed.

Usage: home_assistant_core.py FOLDER, where FOLDER/entry.json is the data of mqtt's config entry. It says its version in one line
of JSON, then what it shows after each line of standard input; the line "press ENTITY" presses a button first.
"""

import asyncio
import json
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

from homeassistant import bootstrap, config_entries, core, loader
from homeassistant.const import __version__
from homeassistant.core_config import async_process_ha_core_config
from homeassistant.helpers import device_registry, entity_registry
from homeassistant.setup import async_setup_component


async def start(folder: Path) -> core.HomeAssistant:
    """Return a core that runs, with no integration but mqtt and what that stands on."""
    (folder / "configuration.yaml").touch()
    hass = core.HomeAssistant(str(folder))
    hass.config.skip_pip = True
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await loader.async_get_custom_components(hass)
    await bootstrap.async_load_base_functionality(hass)
    await async_setup_component(hass, core.DOMAIN, {})
    await async_process_ha_core_config(hass, {})
    await hass.config_entries.async_add(
        config_entries.ConfigEntry(
            domain="mqtt",
            title="broker",
            data=json.loads((folder / "entry.json").read_text()),
            options={},
            version=1,
            minor_version=2,
            source=config_entries.SOURCE_USER,
            unique_id=None,
            discovery_keys=MappingProxyType({}),
            subentries_data=(),
        )
    )
    await hass.async_start()
    return hass


def seen(hass: core.HomeAssistant) -> dict[str, Any]:
    """Return what it shows: devices, and of each entity its state, category and attributes."""
    entities, devices = entity_registry.async_get(hass), device_registry.async_get(hass)
    shown = {}
    for entry in entities.entities.values():
        state = hass.states.get(entry.entity_id)
        shown[entry.entity_id] = {
            "state": state.state if state else None,
            "class": entry.original_device_class,
            "category": entry.entity_category,
            "attributes": dict(state.attributes) if state else {},
        }
    named = {device.name: device.sw_version for device in devices.devices.values()}
    return {"devices": named, "entities": shown}


async def serve(folder: Path) -> None:
    """Answer each line of standard input."""
    hass = await start(folder)
    print(json.dumps({"version": __version__, "python": sys.version.split()[0]}), flush=True)
    while line := await hass.async_add_executor_job(sys.stdin.readline):
        word, _, entity = line.strip().partition(" ")
        if word == "press":
            await hass.services.async_call("button", "press", {"entity_id": entity}, blocking=True)
        await hass.async_block_till_done()
        print(json.dumps(seen(hass), default=str), flush=True)
    await hass.async_stop()


asyncio.run(serve(Path(sys.argv[1])))

"""The documents name every option and every command that exists, and none that does not."""

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kiosk.cli import COMMANDS
from kiosk.config import BoardConfig, UnitConfig, load_unit
from kiosk.config_faults import sections
from kiosk.store_config import StoreConfig, load_store

DOCS = Path(__file__).parent.parent / "docs"


def options_in_docs(part: str) -> dict[str, dict[str, tuple[str, str]]]:
    """Return, by table and option, the meaning and default that the document gives."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for section in re.split(r"^### ", part, flags=re.MULTILINE)[1:]:
        name = re.match(r"`\[+(\w+)\]+`", section)
        assert name, f"not the heading of a table: {section[:40]}"
        rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", section, flags=re.MULTILINE)
        found[name[1]] = {option: (means, default) for option, means, default in rows}
    return found


def options_in_code(model: type[BaseModel]) -> dict[str, dict[str, str]]:
    """Return, by table and option, the default in the way of the document."""
    return {
        name: {key: default_of(field) for key, field in section.model_fields.items()}
        for name, section in sections(model)
    }


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None:
        return "not set"
    value = str(field.default) if isinstance(field.default, Path) else field.default
    return f"`{json.dumps(value)}`"


KINDS: dict[type[BaseModel], str] = {UnitConfig: "kiosk.toml", StoreConfig: "store.toml", BoardConfig: "board.toml"}


def part(model: type[BaseModel]) -> str:
    """Return what the document says of one kind of file."""
    chapters = re.split(r"^## ", (DOCS / "config.md").read_text(), flags=re.MULTILINE)
    (found,) = [chapter for chapter in chapters if chapter.startswith(f"`{KINDS[model]}`")]
    return found


@pytest.mark.parametrize("model", KINDS)
def test_every_option_is_documented_with_its_default_and_no_other(model: type[BaseModel]) -> None:
    documented = options_in_docs(part(model))
    expected = options_in_code(model)
    if model is not UnitConfig:
        del expected["broker"]  # the same as a unit's
    assert {name: {key: default for key, (_, default) in rows.items()} for name, rows in documented.items()} == expected
    assert all(means.strip() for rows in documented.values() for means, _ in rows.values())
    for key in set(model.model_fields) - set(options_in_code(model)):
        assert f"`{key}`" in part(model)


def test_the_example_of_a_store_is_a_good_configuration() -> None:
    example = re.search(r"```toml\n(.*?)```", part(StoreConfig), flags=re.DOTALL)
    assert example
    assert load_store(example[1]).store.id == "harbour"


def test_the_example_is_a_good_configuration() -> None:
    example = re.search(r"```toml\n(.*?)```", (DOCS / "config.md").read_text(), flags=re.DOTALL)
    assert example
    assert load_unit(example[1]).unit.store == "harbour"


def test_every_command_is_documented_and_no_other() -> None:
    documented = re.findall(r"^\| `stayby ([\w-]+)[^`]*` \|", (DOCS / "commands.md").read_text(), flags=re.MULTILINE)
    assert sorted(documented) == sorted(COMMANDS)


def test_no_document_names_a_command_that_does_not_exist() -> None:
    for document in (*DOCS.glob("*.md"), *DOCS.parent.glob("*.md")):
        named = set(re.findall(r"`stayby ([a-z]+(?:-[a-z]+)*)", document.read_text()))
        assert named <= set(COMMANDS), f"{document.name} names {named - set(COMMANDS)}"

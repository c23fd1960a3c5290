"""The configuration in force as TOML, each setting with where it came from.

Rules
- What comes out is TOML that says the same, but for secrets, which are masked.
- Settings that are not set are comments, so that a reader sees that they exist.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from kiosk.config_faults import Loc, key_lines

MASK = "********"
FILLED = frozenset({("unit", "emergency_number"), ("unit", "police_number")})
"""Settings that `country` gives where they are not set."""


def show(config: BaseModel, text: str) -> str:
    """Return `config`, which was read from `text`, as commented TOML."""
    return "\n".join(_tables(config, key_lines(text))) + "\n"


def _tables(config: BaseModel, lines: Mapping[Loc, int]) -> Iterator[str]:
    for name in type(config).model_fields:
        section = getattr(config, name)
        if section is None:
            yield f"# [{name}]  # not set\n"
            continue
        yield f"[{name}]"
        for key in type(section).model_fields:
            value, line = getattr(section, key), lines.get((name, key))
            from_country = (name, key) in FILLED and value != type(section).model_fields[key].default
            yield _setting(key, value, f"line {line}" if line else "from country" if from_country else "default")
        yield ""


def _setting(key: str, value: object, source: str) -> str:
    if value is None:
        return f"# {key} =  # not set"
    return f"{key} = {_toml(value)}  # {source}"


def _toml(value: Any) -> str:
    if isinstance(value, SecretStr):
        return json.dumps(MASK)
    if isinstance(value, str | Path):
        # a JSON string is a TOML basic string, but for DEL
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    return json.dumps(value)

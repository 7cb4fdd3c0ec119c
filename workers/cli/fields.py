"""Parses name=value of the command line. The value is JSON if it can be, else text; a.b=5 sets a nested field."""

import json
from typing import Any

from receiver.contract.errors import ConfigurationError


def parse_field(text: str) -> tuple[str, Any]:
    """Raises ConfigurationError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigurationError([f"takes name=value, not {text!r}"])
    try:
        return name, json.loads(value, parse_constant=refuse)
    except (ValueError, RecursionError):
        return name, value


def refuse(word: str) -> None:
    """NaN and Infinity are no JSON."""
    raise ValueError(word)


def set_field(document: dict[str, Any], path: str, value: Any) -> None:
    """Sets a field. Raises ConfigurationError where a value stands in the way."""
    *names, last = path.split(".")
    for name in names:
        document = document.setdefault(name, {})
        if not isinstance(document, dict):
            raise ConfigurationError([f"{path}: {name} is a value already"])
    document[last] = value

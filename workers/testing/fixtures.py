"""Events in files: what `zyra-receiver events capture` writes, and tests read."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from receiver.contract.records import Body, Content, EventRecord, Labels

from ..event import Event, make_event

KEPT_NAMES = re.compile(r"(^|_)(id|ids|type|event|status|state|kind|currency|at|date|time|version)$")
KEPT_HEADERS = re.compile(r"content-type|.*event.*|.*topic.*")
MAX_KEPT_CHARACTERS = 64  # of a text under such a name


def make_fixture(opened: EventRecord, payload: Any) -> dict[str, Any]:
    """An event as a file holds it, with this payload. Of a form, or what is no JSON, the fields as JSON."""
    labels, content = opened.labels, opened.content
    return {
        "id": labels.id,
        "source": labels.source,
        "type": labels.type,
        "received_at": labels.received_at,
        "stem": content.stem,
        "resource": list(content.resource),
        "headers": {name: value for name, value in content.headers if KEPT_HEADERS.fullmatch(name)},
        "payload": payload,
    }


def redact(value: Any, keep: set[str], path: str = "") -> Any:
    """The value with its structure and numbers, but without texts that may be anybody's.

    keep: paths such as data.plan, whose values stay as they are.
    """
    if path in keep:
        return value
    if isinstance(value, Mapping):
        return {name: redact(one, keep, f"{path}.{name}" if path else name) for name, one in value.items()}
    if isinstance(value, list):
        return [redact(one, keep, path) for one in value]
    if not isinstance(value, str):
        return value
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", path.rpartition(".")[2]).lower()
    if KEPT_NAMES.search(name) and len(value) <= MAX_KEPT_CHARACTERS and "@" not in value:
        return value
    return re.sub(r"[^\W_]", "x", value)


def load_event(path: str | Path) -> Event[Any]:
    """The event of a file that `events capture` wrote."""
    fixture = json.loads(Path(path).read_text())
    labels = Labels(
        id=fixture["id"], source=fixture["source"], type=fixture["type"], received_at=fixture["received_at"]
    )
    content = Content(
        body=json.dumps(fixture["payload"]).encode(),
        headers=tuple(fixture["headers"].items()),
        format=Body.JSON,
        stem=fixture["stem"],
        resource=tuple(fixture["resource"]),
    )
    return make_event(EventRecord(labels=labels, content=content))

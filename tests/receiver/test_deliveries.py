"""Documented deliveries of the providers, unsigned: structure from their pages and SDKs, values made up.

`tests/data/deliveries.json` says of each which identity, type and resource it has, and how its body is read.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from receiver.contract.body import decide_format, read
from receiver.contract.payload_paths import find_resource_id
from receiver.contract.records import Content
from receiver.delivery import Delivery, walk_path
from receiver.labels import LabelReader, Marks, parse_place
from receiver.schemes import Scheme, load_schemes
from receiver.sources import Source

DATA = json.loads((Path(__file__).parent.parent / "data/deliveries.json").read_text())
BY_NAME = {f"{one['scheme']}: {one['name']}": one for one in DATA}


def labels_of(scheme: Scheme) -> LabelReader:
    return Source(name="x", scheme=scheme, secrets=()).labels


def delivery(one: dict[str, Any], body: bytes | None = None, **headers: str) -> Delivery:
    found = {name.lower(): str(value) for name, value in one["headers"].items()} | headers
    url = "https://hooks.example.com/x" + (f"?{one['query'].removeprefix('?')}" if one["query"] else "")
    pairs = [(name.encode(), value.encode()) for name, value in found.items()]
    return Delivery(pairs, one["body"].encode() if body is None else body, "POST", url)


def marks(scheme: Scheme, one: Delivery) -> Marks:
    labels = labels_of(scheme)
    seen = labels.peek(one, labels.format(one))
    return labels.marks(one, labels.identity(one, seen), labels.type(one, seen)[0])


def test_there_are_deliveries_of_the_rows_that_are_confirmed() -> None:
    shown = {one["scheme"] for one in DATA}
    confirmed = {name for name, row in load_schemes().items() if row.is_confirmed}

    assert len(shown) >= 120
    assert confirmed <= shown | {"zyra"}


@pytest.mark.parametrize("name", BY_NAME)
def test_what_a_documented_delivery_means(name: str) -> None:
    one = BY_NAME[name]
    scheme = load_schemes()[one["scheme"]]
    found, labels = delivery(one), labels_of(scheme)
    seen = labels.peek(found, labels.format(found))
    body = Content(body=found.body, format=labels.format(found), json_field=scheme.json_field)

    kind, _ = labels.type(found, seen)
    payload = read(body)  # it is readable

    assert (kind, labels.identity(found, seen), str(labels.format(found))) == (
        one["type"],
        one["identity"],
        one["format"],
    )
    if one["resource"] is not None:
        assert find_resource_id(payload, kind, scheme.resource_id) == one["resource"]


def changed_at(document: Any, path: str) -> bytes | None:
    """The JSON with another value at a path, or None where there is none."""
    copy = json.loads(json.dumps(document))
    *before, last = path.split(".")
    for holder in walk_path([copy], before):
        if isinstance(holder, dict) and last in holder:
            holder[last] = "changed" if isinstance(holder[last], str) else 987654321
            return json.dumps(copy).encode()
    return None


@pytest.mark.parametrize("name", [name for name, one in BY_NAME.items() if one["format"] == "json" and one["body"]])
def test_two_events_are_two_and_a_redelivery_is_one(name: str) -> None:
    one = BY_NAME[name]
    scheme = load_schemes()[one["scheme"]]
    try:
        document = json.loads(one["body"])
    except ValueError:
        return
    base = json.dumps(document).encode()
    genuine = marks(scheme, delivery(one, base)).event

    assert marks(scheme, delivery(one, base)).event == genuine
    for path in scheme.attempt_fields:  # what changes with each attempt makes no event
        if again := changed_at(document, path):
            assert marks(scheme, delivery(one, again)).event == genuine, path
    for spots in map(parse_place, scheme.identity if one["identity"] else ()):
        for kind, place, _ in spots:
            if kind == "header" and place in {header.lower() for header in one["headers"]}:
                assert marks(scheme, delivery(one, base, **{place: "changed"})).event != genuine, place
                break
            if kind == "json" and (other := changed_at(document, place)):
                assert marks(scheme, delivery(one, other)).event != genuine, place
                break
    if isinstance(document, dict) and not scheme.signs_content:
        longer = json.dumps(document | {"another-field": 1}).encode()
        same = scheme.identity_scope == "event" and labels_of(scheme).is_id_signed and one["identity"] != ""
        assert (marks(scheme, delivery(one, longer)).event == genuine) is same


def test_the_bytes_decide_for_every_row() -> None:
    for name, row in load_schemes().items():
        assert decide_format(b"{}", row.body) in row.body, name
        assert decide_format(b"a=1", row.body) in row.body, name

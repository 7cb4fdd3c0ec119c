import json
from typing import Any

import pytest

from receiver.contract.payload_paths import find_resource_id, read_resource_id
from receiver.contract.records import Body, Content


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        ({"data": {"id": "vs_1"}, "id": "x"}, "vs_1"),
        ({"data": {"virtual_server_id": "vs_2"}}, "vs_2"),
        ({"virtual_server_id": 7}, "7"),
        ({"resource_id": "r"}, "r"),
        ({"id": "vs_3"}, ""),  # the event's own
        ({"id": 1002, "resource": {"id": 1001}}, "1001"),
        ({"id": 1002, "data": {"id": 3, "resource": {"id": 1001}}}, "1001"),
        ({"data": {"virtual_server": {"id": "vs_4"}, "id": "evt"}}, "vs_4"),
        ({"virtual_server": {"id": "vs_5"}}, "vs_5"),
        ({"data": {"object": {"id": "vs_6"}}}, "vs_6"),
        ({"data": {"id": None}, "resource_id": True}, ""),
        ({"data": [1]}, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_the_resource_is_found_where_it_may_stand(payload: Any, found: str) -> None:
    content = Content(body=json.dumps(payload).encode())

    assert find_resource_id(payload, "virtual_server.error") == found
    assert read_resource_id(content, "virtual_server.error") == found


def test_a_source_may_name_its_own_paths() -> None:
    assert find_resource_id({"a": {"b": "x"}, "id": "y"}, "t", ("a.b",)) == "x"
    assert find_resource_id({"id": "evt_1"}, "t", ("id",)) == "evt_1"
    assert find_resource_id({"sla_id": 1, "breach_id": 2}, "sla.breach.started", ("{family}_id",)) == "1"


def test_the_more_particular_word_of_a_type_comes_first() -> None:
    payload = {"data": {"sla_id": "rule", "id": "breach"}}

    assert find_resource_id(payload, "sla.breach.started") == "breach"
    assert find_resource_id({"data": {"sla_id": "rule"}}, "sla.breach.started") == "rule"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (Content(body=b'{"data": {"id": "a"}, "data": {"id": "b"}}'), "b"),
        (Content(body=b'\xef\xbb\xbf{"data": {"id": "a"}}'), "a"),
        (Content(body=b'{"data": {"id": "\\ud800"}, "x": [{}]}'), "\ud800"),
        (Content(body=b'{"a": [{"id": 5}]}', resource=("a.0.id",)), "5"),
        (Content(body=b'{"a": {"b": {"c": 1}}}', resource=("a.b", "a.b.c")), "1"),
        (Content(body=b"data[id]=x&resource_id=r", format=Body.FORM), "r"),
        (Content(body=b'payload={"resource_id": "r"}', format=Body.FORM, json_field="payload"), "r"),
        (Content(body=b"resource_id", format=Body.RAW), ""),
        (Content(body=b'{"resource_id": "r"'), ""),
        (Content(body=b""), ""),
    ],
)
def test_the_receiver_reads_it_from_the_body(content: Content, found: str) -> None:
    assert read_resource_id(content, "t.x") == found

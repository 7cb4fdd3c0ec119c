from typing import Any

import pytest

from receiver.contract.records import Content, EventRecord, Labels
from workers.event import PATHS, find_resource_id, make_event


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
    assert find_resource_id(payload, "virtual_server.error", PATHS) == found


def test_a_source_may_name_its_own_paths() -> None:
    assert find_resource_id({"a": {"b": "x"}, "id": "y"}, "t", ("a.b",)) == "x"
    assert find_resource_id({"id": "evt_1"}, "t", ("id",)) == "evt_1"
    assert find_resource_id({"sla_id": 1, "breach_id": 2}, "sla.breach.started", ("{family}_id",)) == "1"


def test_the_more_particular_word_of_a_type_comes_first() -> None:
    payload = {"data": {"sla_id": "rule", "id": "breach"}}

    assert find_resource_id(payload, "sla.breach.started", PATHS) == "breach"
    assert find_resource_id({"data": {"sla_id": "rule"}}, "sla.breach.started", PATHS) == "rule"


def test_the_key_is_the_same_over_attempts_and_differs_between_handlers() -> None:
    labels = Labels(id="evt_1", source="zyra", type="a.b", received_at=1_700_000_000_000)
    sealed = EventRecord(labels=labels, content=Content(body=b"{}", headers=(("a", "b"),)))

    first = make_event(sealed, attempt=1, handler="h")

    assert first.key == make_event(sealed, attempt=5, is_replay=True, handler="h").key
    assert first.key != make_event(sealed, handler="other").key
    assert (first.headers["a"], first.received_at.isoformat()) == ("b", "2023-11-14T22:13:20+00:00")


def test_what_is_logged_of_an_event_is_no_payload() -> None:
    labels = Labels(id="evt_1", source="zyra", type="a.b", received_at=0)
    content = Content(body=b'{"secret": "word"}', headers=(("x", "word"),))

    for one in (make_event(EventRecord(labels=labels, content=content)), EventRecord(labels=labels, content=content)):
        assert "evt_1" in repr(one)
        assert "word" not in repr(one)

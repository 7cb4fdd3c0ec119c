from decimal import Decimal
from typing import Any

from receiver.contract.records import Body, Content, EventRecord, Labels
from workers.event import make_event


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


def test_the_data_of_an_event_is_the_object_that_its_id_stands_in() -> None:
    def data(body: bytes, kind: str = "virtual_server.error", form: Body = Body.JSON) -> Any:
        labels = Labels(id="evt_1", source="zyra", type=kind, received_at=0)
        return make_event(EventRecord(labels=labels, content=Content(body=body, format=form))).data

    server = data(b'{"data": {"id": "vs_1", "vcpus": 2.5, "extra": 1}}')
    assert (server.id, server.vcpus, server["extra"]) == ("vs_1", Decimal("2.5"), 1)
    assert data(b'{"resource": {"id": "vs_1"}, "id": "x"}').id == "vs_1"
    assert data(b'{"data": {"total": "48.00"}}', "invoice.paid").total == Decimal("48.00")
    assert data(b"[1]") == data(b"5") == {}
    assert data(b"data=1", "a.b", Body.FORM) == {}
    assert not hasattr(data(b"{}", "job.failed"), "vcpus")


def test_the_trace_of_an_event_is_the_receivers_or_the_senders() -> None:
    labels = Labels(id="evt_1", source="zyra", type="a.b", received_at=0)
    ours = EventRecord(labels=labels, content=Content(trace="00-a", headers=(("traceparent", "00-b"),)))

    assert make_event(ours).traceparent == "00-a"

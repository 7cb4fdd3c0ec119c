from receiver.contract.records import Content, EventRecord, Labels
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

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from receiver.config import load_sources
from receiver.contract.keys import make_event_id
from receiver.contract.records import Body
from receiver.delivery import Delivery
from receiver.errors import BadSignature
from receiver.sources import Accepted, Source
from tests.support.kit import sign_headers, signed
from tests.support.receiver import accept_delivery


def make(tmp_path: Path, text: str = "", env: dict[str, str] | None = None) -> dict[str, Source]:
    path = tmp_path / "sources.toml"
    path.write_text(text or '[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:S"]\n')
    faults: list[str] = []
    found = load_sources({"RECEIVER_CONFIG": str(path), "S": "test-secret", **(env or {})}, faults)
    assert not faults, faults
    return found


def deliver(source: Source, body: bytes, kind: str = "virtual_server.error", **more: str) -> Accepted:
    headers = signed(body, kind, "zyra") | more
    return accept_delivery(
        source, Delivery([(k.encode(), v.encode()) for k, v in headers.items()], body), 1_700_000_000.0
    )


@pytest.fixture
def zyra(tmp_path: Path) -> Source:
    return make(tmp_path)["zyra"]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"event_id": "e1", "id": "evt_2"}, "e1"),
        ({"delivery_id": "d1"}, "d1"),
        ({"id": "evt_2"}, "evt_2"),
        ({"id": "vs_2"}, ""),  # a resource's id names no event
        ({"event_id": 5}, "5"),
        ({"event_id": 1.5}, "1.5"),
        ({"event_id": True}, ""),
        ({"event_id": None, "id": {"evt": 1}}, ""),
        ({"event_id": ""}, ""),
        ({"event_id": "x" * 251}, ""),
        ([], ""),
        ("text", ""),
    ],
)
def test_only_fields_that_name_the_event_are_its_id(zyra: Source, body: Any, name: str) -> None:
    assert deliver(zyra, json.dumps(body).encode()).event.labels.delivery_id == name


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 5000, b'{"event_id":"\\ud800"}', b'{"id":1e999}']
)
def test_a_body_that_cannot_be_read_is_accepted_all_the_same(zyra: Source, body: bytes) -> None:
    accepted = deliver(zyra, body)

    assert accepted.event.content.body == body
    json.dumps(accepted.event.labels.delivery_id).encode()  # storable


def test_the_digest_marks_source_type_and_body_for_a_short_while(zyra: Source) -> None:
    one, other = deliver(zyra, b"{}"), deliver(zyra, b"{}", "device.online")

    assert one.window == other.window == 300
    assert one.mark != other.mark
    assert one.mark == deliver(zyra, b"{}").mark
    assert one.mark.startswith("zyra:d:")


def test_an_id_marks_for_a_week(zyra: Source) -> None:
    assert deliver(zyra, b'{"event_id":"1"}').window == 7 * 86400


@pytest.mark.parametrize(
    ("header", "body", "kind"),
    [
        ("device.online", b'{"event_type":"device.online"}', "device.online"),
        ("device.online", b'{"event_type":"device.offline"}', "device.offline"),  # the signed word counts
        ("device.online", b'{"type":"vm"}', "device.online"),  # not one of the catalogue: something else
        ("new.kind", b"{}", "new.kind"),
        ("", b"{}", "event"),
        ("x" * 251, b"{}", "event"),
    ],
)
def test_the_type(zyra: Source, header: str, body: bytes, kind: str) -> None:
    assert deliver(zyra, body, header).event.labels.type == kind


def test_a_source_may_name_the_type_of_events_without_one(zyra: Source) -> None:
    assert deliver(replace(zyra, type="order.created"), b"{}", "").event.labels.type == "order.created"


def test_a_source_may_let_the_header_count(zyra: Source) -> None:
    trusting = replace(zyra, check_type=False)

    assert deliver(trusting, b'{"type":"device.offline"}', "device.online").event.labels.type == "device.online"


def test_kept_headers_hold_no_credentials(tmp_path: Path) -> None:
    text = '[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:S"]\nkeep_headers = ["X-Trace"]\n'
    accepted = deliver(make(tmp_path, text)["zyra"], b"{}", **{"x-trace": "t", "cookie": "c", "authorization": "a"})

    assert dict(accepted.event.content.headers) == {
        "content-type": "application/json", "x-zyra-event": "virtual_server.error", "x-trace": "t",
    }  # fmt: skip


def test_a_wrong_signature_is_no_event(zyra: Source) -> None:
    with pytest.raises(BadSignature, match="wrong"):
        deliver(zyra, b"{}", **{"x-zyra-signature": "0" * 64})


def test_github_and_standard_webhooks_name_id_and_type(tmp_path: Path) -> None:
    text = """
        [sources.gh]
        scheme = "github"
        secrets = ["env:S"]
        [sources.std]
        scheme = "standard-webhooks"
        secrets = ["file:KEY"]
        tolerance = 60
    """
    (tmp_path / "key").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    sources = make(tmp_path, text.replace("KEY", str(tmp_path / "key")))
    body = b'{"type":"user.created"}'
    github = accept_delivery(sources["gh"], as_delivery(signed(body, "push", "github"), body), 0)
    headers = sign_standard(body)
    standard = accept_delivery(sources["std"], as_delivery(headers, body), 1000)

    assert (github.event.labels.type, len(github.event.labels.delivery_id)) == ("push", 16)
    assert (standard.event.labels.type, standard.event.labels.delivery_id) == ("user.created", "msg_1")
    with pytest.raises(BadSignature, match="stale"):
        accept_delivery(sources["std"], as_delivery(headers, body), 1100)


def as_delivery(headers: dict[str, str], body: bytes) -> Delivery:
    return Delivery([(k.encode(), v.encode()) for k, v in headers.items()], body)


def sign_standard(body: bytes) -> dict[str, str]:
    from receiver.schemes import load_schemes
    from receiver.signatures.verify import decode_key

    scheme = load_schemes()["standard-webhooks"]
    return sign_headers(scheme, decode_key(scheme, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), body, "", "msg_1", 1000)


def test_an_id_in_a_header_is_bounded_too(tmp_path: Path) -> None:
    source = make(tmp_path, '[sources.gh]\nscheme = "github"\nsecrets = ["env:S"]\n')["gh"]
    headers = signed(b"{}", "push", "github") | {"x-github-delivery": "x" * 5000}

    assert accept_delivery(source, as_delivery(headers, b"{}"), 0).event.labels.delivery_id == ""


@pytest.mark.parametrize("field", ["event_id", "x-github-delivery", "x-zyra-event"])
def test_the_longest_id_and_type_that_are_kept(tmp_path: Path, field: str) -> None:
    text = (
        '[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:S"]\n[sources.hub]\nscheme = "github"\nsecrets = ["env:S"]\n'
    )
    found = make(tmp_path, text)
    for length, kept in ((250, True), (251, False)):
        value = "x" * length
        if field == "event_id":
            told = deliver(found["zyra"], json.dumps({"event_id": value}).encode()).event.labels.delivery_id
        elif field == "x-zyra-event":
            told = deliver(found["zyra"], b"{}", value).event.labels.type
        else:
            headers = signed(b"{}", "push", "github") | {field: value}
            told = accept_delivery(found["hub"], as_delivery(headers, b"{}"), 1.0).event.labels.delivery_id

        assert (told == value) is kept


@pytest.mark.parametrize(
    ("agent", "origin"),
    [("zyra-receiver-send/1", "send"), ("curl/8", "delivery"), ("my zyra-receiver-send", "delivery")],
)
def test_our_own_sender_is_told_apart(zyra: Source, agent: str, origin: str) -> None:
    assert deliver(zyra, b"{}", **{"user-agent": agent}).event.labels.origin == origin
    assert deliver(zyra, b"{}").event.labels.origin == "delivery"


def test_the_time_is_kept_in_milliseconds(zyra: Source) -> None:
    headers = signed(b"{}", "a", "zyra")

    labels = accept_delivery(zyra, as_delivery(headers, b"{}"), 1_700_000_000.1239).event.labels

    assert labels.received_at == 1_700_000_000_123
    assert labels.id[:13] == make_event_id(1_700_000_000_123)[:13]


def test_a_source_may_know_better_where_its_resource_is_named(tmp_path: Path) -> None:
    text = '[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:S"]\nresource_id = ["data.server"]\n'

    content = deliver(make(tmp_path, text)["zyra"], b"{}").event.content

    assert (content.resource, content.format) == (("data.server",), Body.JSON)


@pytest.mark.parametrize(
    ("body", "formats", "expected"),
    [
        (b"{}", [Body.RAW], Body.RAW),
        (b"a=1", [Body.JSON], Body.JSON),
        (b" \xef", [Body.JSON, Body.FORM], Body.FORM),
        (b"\xef\xbb\xbf \n{}", [Body.FORM, Body.JSON], Body.JSON),
        (b"[", [Body.FORM, Body.JSON], Body.JSON),
        (b"a=1", [Body.JSON, Body.FORM], Body.FORM),
        (b"--x\r\n", [Body.JSON, Body.FORM], Body.FORM),
        (b"", [Body.FORM, Body.JSON], Body.FORM),
        (b"a=1", [Body.JSON, Body.RAW], Body.JSON),
    ],
)
def test_the_bytes_decide_among_the_formats_of_the_scheme(
    zyra: Source, body: bytes, formats: list[Body], expected: Body
) -> None:
    source = replace(zyra, scheme=replace(zyra.scheme, body=tuple(formats)))

    assert deliver(source, body, **{"content-type": "text/plain"}).event.content.format is expected


def test_marks_are_the_same_in_every_release(zyra: Source) -> None:
    """Else an upgrade would take a redelivery for a new event."""
    named = deliver(zyra, b'{"event_id":"e1"}', "a")
    nameless = deliver(zyra, b"{}", "a")

    assert (named.mark, named.signed_mark) == ("zyra:i:d81a98ab4e5c9e20c6667084acbe0a10", "")
    assert (nameless.mark, nameless.signed_mark) == (
        "zyra:d:ac844aea811948f0581e429ea5e6a839",
        "zyra:b:44136fa355b3678a1146ad16f7e8649e",
    )


def test_a_field_that_is_no_text_at_all(zyra: Source) -> None:
    assert deliver(zyra, b'{"event_id":"\xff"}').event.labels.delivery_id == ""


def test_a_scheme_without_fields_to_look_at(tmp_path: Path) -> None:
    hub = make(tmp_path, '[sources.hub]\nscheme = "github"\nsecrets = ["env:S"]\n')["hub"]
    headers = signed(b"{}", "push", "github")
    del headers["x-github-event"]

    event = accept_delivery(hub, as_delivery(headers, b"{}"), 1.0).event

    assert event.labels.type == "event"


def test_a_type_that_is_no_ascii_is_none(zyra: Source) -> None:
    headers = [(k.encode(), v.encode()) for k, v in signed(b"{}", "a", "zyra").items() if k != "x-zyra-event"]

    event = accept_delivery(zyra, Delivery([*headers, (b"x-zyra-event", b"\xff")], b"{}"), 1.0).event

    assert event.labels.type == "event"


def test_exactly_these_headers_are_kept(tmp_path: Path) -> None:
    text = (
        '[sources.hub]\nscheme = "github"\nsecrets = ["env:S"]\n'
        '[sources.std]\nscheme = "standard-webhooks"\nsecrets = ["env:W"]\n'
    )
    found = make(tmp_path, text, {"W": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
    hub = signed(b"{}", "push", "github") | {"user-agent": "u", "content-type": "c", "authorization": "Bearer x"}
    standard = sign_standard(b"{}") | {"user-agent": "u", "cookie": "c"}

    kept = dict(accept_delivery(found["hub"], as_delivery(hub, b"{}"), 1.0).event.content.headers)
    also = dict(accept_delivery(found["std"], as_delivery(standard, b"{}"), 1000).event.content.headers)

    assert set(kept) == {"x-github-event", "x-github-delivery", "user-agent", "content-type"}
    assert set(also) >= {"webhook-id", "webhook-timestamp", "user-agent"}
    assert not {"webhook-signature", "cookie"} & set(also)


def test_what_a_source_does_unless_told_otherwise(zyra: Source) -> None:
    plain = Source(name="x", scheme=zyra.scheme, secrets=zyra.secrets)

    assert (plain.success_status, plain.dedup_window, plain.digest_window, plain.check_type) == (
        200,
        604_800,
        300,
        True,
    )
    assert (plain.keep_headers, plain.id_fields, plain.resource_id) == ((), None, ())
    assert "test-secret" not in repr(plain)


def test_an_id_of_one_letter_is_one(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text('[sources.github]\nscheme = "github"\nsecrets = ["env:SECRET"]\n')
    source = load_sources({"RECEIVER_CONFIG": str(path), "SECRET": "test-secret"}, [])["github"]
    headers = sign_headers(source.scheme, b"test-secret", b"{}", "push", "d", 0)

    accepted = accept_delivery(source, Delivery([(k.encode(), v.encode()) for k, v in headers.items()], b"{}"), 0)

    assert accepted.event.labels.delivery_id == "d"
    assert accepted.window == 604_800
    with pytest.raises(AttributeError):
        accepted.mark = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        source.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(("body", "stem"), [(b'{"action":"opened"}', "push"), (b"{}", "")])
def test_the_first_part_of_a_composed_type(tmp_path: Path, body: bytes, stem: str) -> None:
    hub = make(tmp_path, '[sources.hub]\nscheme = "github"\nsecrets = ["env:S"]\n')["hub"]

    accepted = accept_delivery(hub, as_delivery(signed(body, "push", "github"), body), 1.0)

    assert accepted.event.content.stem == stem
    assert accepted.event.labels.type == ("push.opened" if stem else "push")


def test_what_changes_with_each_attempt_makes_no_event(tmp_path: Path) -> None:
    linear = make(tmp_path, '[sources.l]\nscheme = "linear"\nsecrets = ["env:S"]\n')["l"]

    def mark(stamp: int, action: str = "create") -> str:
        body = json.dumps({"action": action, "webhookTimestamp": stamp}).encode()
        one = as_delivery({"linear-delivery": "d1", "linear-event": "Issue"}, body)
        seen = linear.labels.peek(one, linear.labels.format(one))
        return linear.labels.marks(one, linear.labels.identity(one, seen), linear.labels.type(one, seen)[0]).event

    assert mark(1) == mark(2)
    assert mark(1) != mark(1, "update")

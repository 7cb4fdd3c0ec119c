import json
from pathlib import Path
from typing import Any

import pytest

from receiver.config import load
from receiver.errors import BadSignature
from receiver.signatures import Delivery
from receiver.sources import Accepted, Source
from tests.kit import signed


def make(tmp_path: Path, text: str = "", env: dict[str, str] | None = None) -> dict[str, Source]:
    path = tmp_path / "sources.toml"
    path.write_text(text or '[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:S"]\n')
    faults: list[str] = []
    found = load({"RECEIVER_CONFIG": str(path), "S": "test-secret", **(env or {})}, faults)
    assert not faults, faults
    return found


def deliver(source: Source, body: bytes, kind: str = "virtual_server.error", **more: str) -> Accepted:
    headers = signed(body, kind, "zyra") | more
    return source.accept(Delivery([(k.encode(), v.encode()) for k, v in headers.items()], body), 1_700_000_000.0)


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
        ({"event_id": 5}, ""),
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
    ("kind", "body", "doubt"),
    [
        ("device.online", b'{"event_type":"device.online"}', ""),
        ("device.online", b'{"event_type":"device.offline"}', "type-mismatch"),
        ("device.online", b'{"type":"vm"}', ""),  # not one of the catalogue: something else
        ("new.kind", b"{}", ""),
        ("", b"{}", "no-type"),
        ("x" * 251, b"{}", "no-type"),
    ],
)
def test_doubts_about_the_type(zyra: Source, kind: str, body: bytes, doubt: str) -> None:
    assert deliver(zyra, body, kind).event.content.doubt == doubt


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
    github = sources["gh"].accept(as_delivery(signed(body, "push", "github"), body), 0)
    headers = sign_standard(body)
    standard = sources["std"].accept(as_delivery(headers, body), 1000)

    assert (github.event.labels.type, len(github.event.labels.delivery_id)) == ("push", 16)
    assert (standard.event.labels.type, standard.event.labels.delivery_id) == ("user.created", "msg_1")
    with pytest.raises(BadSignature, match="stale"):
        sources["std"].accept(as_delivery(headers, body), 1100)


def as_delivery(headers: dict[str, str], body: bytes) -> Delivery:
    return Delivery([(k.encode(), v.encode()) for k, v in headers.items()], body)


def sign_standard(body: bytes) -> dict[str, str]:
    from receiver.schemes import table
    from receiver.signatures import decode_key, sign

    scheme = table()["standard-webhooks"]
    return sign(scheme, decode_key(scheme, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), body, "", "msg_1", 1000)


def test_a_secret_that_becomes_none_leaves_the_last_good_one(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    source = make(tmp_path, f'[sources.s]\nscheme = "standard-webhooks"\nsecrets = ["file:{path}"]\n')["s"]
    body = b"{}"
    headers = sign_standard(body)
    source.accept(as_delivery(headers, body), 1000)

    path.write_text("not base64!")
    source.secrets[0]._checked -= 5

    assert source.accept(as_delivery(headers, body), 1000).event.labels.delivery_id == "msg_1"


def test_an_id_in_a_header_is_bounded_too(tmp_path: Path) -> None:
    source = make(tmp_path, '[sources.gh]\nscheme = "github"\nsecrets = ["env:S"]\n')["gh"]
    headers = signed(b"{}", "push", "github") | {"x-github-delivery": "x" * 5000}

    assert source.accept(as_delivery(headers, b"{}"), 0).event.labels.delivery_id == ""


def test_a_rotated_secret_counts_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("test-secret")
    source = make(tmp_path, f'[sources.zyra]\nscheme = "zyra"\nsecrets = ["file:{path}"]\n')["zyra"]
    deliver(source, b"{}")

    path.write_text("another-secret")
    source.secrets[0]._checked -= 5

    with pytest.raises(BadSignature, match="wrong"):
        deliver(source, b"{}")

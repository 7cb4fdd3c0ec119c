import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from receiver.delivery import Delivery
from receiver.errors import BadSignature
from receiver.handshakes import Answer, answer, list_methods
from receiver.schemes import Handshake, load_schemes
from receiver.signatures.verify import decode_key, verify
from tests.support.kit import sign_headers

NOW = 1_700_000_000


def ask(
    name: str, method: str = "GET", query: str = "", headers: Any = (), body: bytes = b"", **change: Any
) -> Delivery:
    pairs = [(key.encode(), value.encode()) for key, value in headers]
    return Delivery(pairs, body, method, f"https://hooks.example.com/{name}{'?' * bool(query)}{query}")


def test_a_ping_that_must_be_signed_is() -> None:
    secret = ed25519.Ed25519PrivateKey.generate()
    discord, body = load_schemes()["discord"], b'{"type": 0}'
    keys = [decode_key(discord, secret.public_key().public_bytes_raw().hex())]
    signature = secret.sign(b"1700000000" + body).hex()
    headers = [("x-signature-ed25519", signature), ("x-signature-timestamp", "1700000000")]

    assert answer(discord, ask("d", "POST", headers=headers, body=body), keys, NOW) == Answer(204)
    with pytest.raises(BadSignature):  # Discord probes with bad signatures on purpose
        answer(discord, ask("d", "POST", headers=headers, body=b'{"type":0}'), keys, NOW)
    interaction = b'{"type": 1}'
    headers[0] = ("x-signature-ed25519", secret.sign(b"1700000000" + interaction).hex())
    found = answer(discord, ask("d", "POST", headers=headers, body=interaction), keys, NOW)
    assert found is not None
    assert json.loads(found.body) == {"type": 1}
    other = b'{"type": 2}'
    assert answer(discord, ask("d", "POST", headers=headers, body=other), keys, NOW) is None


@pytest.mark.parametrize("token", ["v0:1700000000:{}", "a b", "", "x" * 101, '{"a":1}', "é"])
def test_nobody_can_have_us_sign_a_delivery(token: str) -> None:
    """What Zoom signs has colons, what X signs is JSON: no challenge may look like that."""
    zoom = load_schemes()["zoom"]
    body = json.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": token}}).encode()
    headers = sign_headers(zoom, b"key", body, "", "", NOW)

    with pytest.raises(BadSignature, match="malformed"):
        answer(zoom, ask("z", "POST", headers=headers.items(), body=body), [b"key"], NOW)


def test_a_crc_that_is_no_token_is_not_signed() -> None:
    with pytest.raises(BadSignature, match="malformed"):
        answer(load_schemes()["x-twitter"], ask("x", query="crc_token=%7B%7D"), [b"key"], NOW)
    with pytest.raises(BadSignature, match="wrong"):
        answer(load_schemes()["x-twitter"], ask("x", query="crc_token=abc"), [], NOW)


def test_a_wrong_token_is_refused() -> None:
    meta, query = (
        replace(load_schemes()["meta"], parameter="verify"),
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
    )

    assert answer(meta, ask("m", query=query + "verify"), [b"secret"], NOW) is not None
    for token in ("other", ""):
        with pytest.raises(BadSignature, match="wrong"):
            answer(meta, ask("m", query=query + token), [b"secret"], NOW)
    with pytest.raises(BadSignature, match="wrong"):  # no token at all must not fit an empty one
        answer(replace(meta, parameter=""), ask("m", query=query), [b"secret"], NOW)


@pytest.mark.parametrize("challenge", ["a%0d%0aset-cookie:x", "%00", "x" * 1025])
def test_a_challenge_is_text_of_a_bounded_length(challenge: str) -> None:
    with pytest.raises(BadSignature, match="malformed"):
        answer(load_schemes()["dropbox"], ask("d", query=f"challenge={challenge}"), [], NOW)


def test_a_header_of_the_answer_is_ascii() -> None:
    asana = load_schemes()["asana"]
    asked = Delivery([(b"x-hook-secret", b"hook-secret")], b"", "POST")

    found = answer(asana, asked, [], NOW)

    assert found == Answer(200, b"", (("x-hook-secret", "hook-secret"),), "hook-secret")
    wide = replace(
        asana, handshakes=(Handshake(challenge="query:c", when={"query:c": ""}, headers={"a": "{challenge}"}),)
    )
    with pytest.raises(BadSignature, match="malformed"):
        answer(wide, ask("a", "POST", query="c=%C3%A9"), [], NOW)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"type": "event_callback"}', b"\xff"])
def test_what_is_no_handshake_is_a_delivery(body: bytes) -> None:
    assert answer(load_schemes()["slack"], ask("s", "POST", body=body), [b"key"], NOW) is None
    assert answer(load_schemes()["zyra"], ask("z", "POST", body=body), [b"key"], NOW) is None


def test_a_form_that_is_signed_is_no_ping() -> None:
    woo = load_schemes()["woocommerce"]
    headers = [("content-type", "application/x-www-form-urlencoded")]

    assert answer(woo, ask("w", "POST", headers=headers, body=b"webhook_id=1"), [], NOW) == Answer(200)
    headers.append(("x-wc-webhook-signature", "x"))
    assert answer(woo, ask("w", "POST", headers=headers, body=b"webhook_id=1"), [], NOW) is None


def test_values_are_not_searched_for_names() -> None:
    found = answer(load_schemes()["dropbox"], ask("d", query="challenge={parameter}{mac}"), [], NOW)

    assert found is not None
    assert found.body == b"{parameter}{mac}"


def test_the_methods_of_handshakes() -> None:
    assert list_methods(load_schemes()["cloudevents-webhook"]) == {"OPTIONS"}
    assert list_methods(load_schemes()["slack"]) == frozenset()


def test_a_challenge_that_we_sign_for_anybody_is_no_delivery() -> None:
    """X's CRC is not signed: who asks gets the MAC of any text of its form, which a body could be."""
    scheme = load_schemes()["x-twitter"]
    told = answer(scheme, ask("x-twitter", query="crc_token=abc_123"), [b"key"], NOW)
    assert told
    mac = json.loads(told.body)["response_token"]
    headers = {"x-twitter-webhooks-signature": mac}

    with pytest.raises(BadSignature, match="challenge"):
        verify(scheme, Delivery([(k.encode(), v.encode()) for k, v in headers.items()], b"abc_123"), [b"key"], NOW)


def test_only_our_topic_is_subscribed_to() -> None:
    scheme = replace(load_schemes()["websub"], parameter="https://example.com/feed")

    def told(mode: str, topic: str) -> tuple[int, bytes] | None:
        query = f"hub.mode={mode}&hub.topic={quote(topic)}&hub.challenge=c"
        found = answer(scheme, ask("websub", query=query), [b"key"], NOW)
        return (found.status, found.body) if found else None

    assert told("subscribe", "https://example.com/feed") == (200, b"c")
    assert told("subscribe", "https://example.com/other") == (404, b"")
    assert told("unsubscribe", "https://example.com/feed") is None

"""Deliveries that providers' own SDKs accept or made: we verify them, and make the same."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from receiver.delivery import Delivery
from receiver.errors import BadSignature
from receiver.schemes import Scheme, load_schemes
from receiver.signatures.draft import encode_payload
from receiver.signatures.signing import Signed, sign
from receiver.signatures.verify import decode_key, verify

NOW = 1_760_000_000.0
DATA = Path(__file__).parents[2] / "data"
CONTENTFUL = {
    "content-type": "application/json",
    "x-contentful-topic": "ContentManagement.Entry.publish",
    "x-contentful-timestamp": "1760000000000",
    "x-contentful-signed-headers": "content-type,x-contentful-signed-headers,x-contentful-timestamp,x-contentful-topic",
}
CONTENTFUL_PATHS = {  # npm @contentful/node-apps-toolkit 3.16.1
    "/hooks/in?name=a%20b&path=x/y&t=10:30&list=1,2": "c65d09942125f4206949c40fdc37dc07929db43da0a20d67b05ef5916af8f2fb",
    "/hooks/in?q=a+b&w=M%C3%BCnchen": "b597d89e03dcfb55050303f6c4424f99865801d0ceba0cb1a0561137b095e645",
    "/hooks/in?q=a%2Bb&u=%c3%bc!*()'~;@$": "931d628f9c05a3b39e5cc59a83873cd3d244f40105128b40b04e207cf521545b",
    "/h%C3%A4%20k/x?": "04650b62c2b93a1b2c0ab493278f2d2fff9767bd049dd2a861f7824c060d2d31",
    "/plain/a b:c,d+e?x=1?y=2": "e3d6ba7a3f1fe7c8d6046cbec202f23bd316e38b53e70837206d023cca039f20",
}
SHARED_KEY = "key=webhooks_sharedkey_01k0000000000000000000000a,algorithm="
TWILIO = b"CallSid=CA123&From=%2B14155550100&To=%2B14155550101&Body=h%C3%A9llo+world"
POLAR = b'{"type":"customer.deleted","timestamp":"2025-10-09T08:53:20Z","api_version":"2026-04","data":{"id":"c1"}}'
WHSEC = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
ADYEN_KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
ADYEN = (
    '{"live":"false","notificationItems":[{"NotificationRequestItem":{"pspReference":"7914073381342284",'
    '"originalReference":"","merchantAccountCode":"TestMerchant","merchantReference":"TestPayment-1407325143704",'
    '"amount":{"value":1130,"currency":"EUR"},"eventCode":"AUTHORISATION","success":"true",'
    '"eventDate":"2025-10-09T10:53:20+02:00","paymentMethod":"visa","additionalData":{"hmacSignature":"%s"}}}]}'
)
CRISP = '{"website_id":"w-1","event":"message:send","data":{"content":"Grüße / 1.0","n":1},"timestamp":1760000000000}'
ZOOM = '{"event":"meeting.started","payload":{"account_id":"AAAA","object":{"id":"123","topic":"Grüße / x"}},"event_ts":1760000000000}'


def holds(scheme: Scheme, headers: dict[str, str], body: bytes, *secrets: str, url: str = "") -> bool:
    one = Delivery([(name.encode(), value.encode()) for name, value in headers.items()], body, "POST", url)
    try:
        verify(scheme, one, [decode_key(scheme, secret) for secret in secrets], NOW)
    except BadSignature:
        return False
    return True


@pytest.mark.parametrize("path", CONTENTFUL_PATHS)
def test_contentfuls_query_is_escaped_twice(path: str) -> None:
    headers = CONTENTFUL | {"x-contentful-signature": CONTENTFUL_PATHS[path]}
    secret, body = "0123456789abcdef" * 4, b'{"sys":{"id":"abc"}}'

    assert holds(load_schemes()["contentful"], headers, body, secret, url=f"https://hooks.example.com{path}")


@pytest.mark.parametrize(
    ("settings", "signature", "expected"),
    [
        (SHARED_KEY + "HMAC_SHA256", "0AwY7kS0puliZotFLcreOtm23c6CjTwIldinCtl79N0=", True),
        (SHARED_KEY + "hmac_sha1", "nUTXwmZuT64PBShTlIT7jADy/lg=", True),
        ("", "nUTXwmZuT64PBShTlIT7jADy/lg=", True),
        ("", "0AwY7kS0puliZotFLcreOtm23c6CjTwIldinCtl79N0=", False),
        (SHARED_KEY + "MD5", "nUTXwmZuT64PBShTlIT7jADy/lg=", False),
    ],
)
def test_twilios_shared_key_names_its_algorithm(settings: str, signature: str, expected: bool) -> None:
    headers = {"x-twilio-signature": signature, "x-twilio-webhooks-signature-settings": settings}
    url = "https://example.com/voice?foo=1&bar=a%20b"

    assert holds(load_schemes()["twilio"], headers, TWILIO, "sk_example_shared_key_secret_123", url=url) is expected


@pytest.mark.parametrize(
    ("secret", "signature", "expected"),
    [  # npm @polar-sh/sdk 1.0.1; the server decides by the age of the secret which key it takes
        ("polar_whs_AbCdEf0123456789AbCdEf0123456789", "hjJB0+qKV01iq/SsYqgHHdpXszNRDsT6W6mdpcVeOWE=", True),
        (WHSEC, "hB+rJJdsIkad5sEAsq9Q6/DfeYt8BF5qLZ9m+pQbh98=", True),
        (WHSEC, "hqii9ENFs98PelQMtbcZ787vIpTZ3mZIeNVGXlnMIM0=", True),
        (WHSEC, "qGr/j9k8UVMLd57UT2FYa/hIAuJyVMJ0b+B+sorPdJw=", False),
    ],
)
def test_a_secret_of_polar_stands_for_two_keys(secret: str, signature: str, expected: bool) -> None:
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1760000000", "webhook-signature": f"v1,{signature}"}

    assert holds(load_schemes()["polar"], headers, POLAR, "other", secret) is expected


@pytest.mark.parametrize(
    ("stamp", "signature", "expected"),
    [
        ({}, "bdd3007a2af98d7e660b27b488ff7f2025322e905ecd42a615b6296ca254c328", True),
        ({"x-time": "1760000000"}, "6a49df3e7f1d1872b33a7edf04a3583b6715439d05114373a4435cc4f6578c55", True),
        ({"x-time": "1760000001"}, "6a49df3e7f1d1872b33a7edf04a3583b6715439d05114373a4435cc4f6578c55", False),
    ],
)
def test_grafana_may_sign_a_time(stamp: dict[str, str], signature: str, expected: bool) -> None:
    row = replace(load_schemes()["grafana"], parameter="X-Time")
    headers = {"x-grafana-alerting-signature": signature} | stamp
    body = b'{"receiver":"wh","status":"firing","alerts":[]}'

    assert holds(row, headers, body, "grafana-hmac-secret-example") is expected


def test_the_items_of_a_batch_may_be_signed_with_different_secrets_of_ours() -> None:
    adyen, other = load_schemes()["adyen"], "AB" * 32
    empty = json.loads(ADYEN % "")
    two = json.dumps({**empty, "notificationItems": empty["notificationItems"] * 2}).encode()
    first = json.loads(sign(adyen, decode_key(adyen, ADYEN_KEY), two, "A", "e", NOW).body)
    second = json.loads(sign(adyen, decode_key(adyen, other), two, "A", "e", NOW).body)
    mixed = {**first, "notificationItems": [first["notificationItems"][0], second["notificationItems"][1]]}

    body = json.dumps(mixed).encode()

    assert holds(adyen, {}, body, ADYEN_KEY, other)
    assert holds(adyen, {}, body, other, ADYEN_KEY)
    assert not holds(adyen, {}, body, ADYEN_KEY)
    assert not holds(adyen, {}, body, other)


MADE: list[tuple[str, str, bytes, dict[str, Any]]] = [  # scheme, secret, body, and what the SDK accepts or made
    (
        "workos", "workos_whsec_example", b'{"id":"event_01","event":"connection.activated"}',
        {"workos-signature": "t=1760000000000, v1=d8bfc218cddcf29c97413d63a91227131d00fe7db34799ce8d57f516ccf26489"},
    ),
    (
        "shopify", "shpss_example_secret", b'{"id":820982911946154508,"email":"jon@example.com"}',
        {
            "x-shopify-hmac-sha256": "35DGSCsYGhssCXikM1rFvRtvLrHjZ3LG9BTZ5lYDs7g=", "x-shopify-topic": "a/b",
            "x-shopify-shop-domain": "example.myshopify.com", "x-shopify-api-version": "2025-10",
            "x-shopify-webhook-id": "id1",
        },
    ),
    (
        "crisp", "crisp_hook_secret_example", CRISP.encode(),
        {"x-crisp-signature": "46918caffbc957094a516e47082886fb567eb0afd0fd6e6c73bea302fb5dfcae"},
    ),
    (
        "zoom", "zoom_secret_token_example", ZOOM.encode(),
        {"x-zm-signature": "v0=8d3a682acefb9283d046feea2effea52869434e44f02bc65ccac1a4dd9e73b67"},
    ),
    (
        "linear", "lin_wh_example",
        b'{"action":"create","type":"Issue","createdAt":"2025-10-09T08:53:20.000Z","data":{"id":"i1","title":"x"},'
        b'"webhookTimestamp":1,"webhookId":"w1"}',
        {"linear-signature": "3010c791a7e700a39f43f6091c933d4fcd5f71216b11e2dd605fc9ae63e94b52"},
    ),
    (
        "pusher", "pkey:psecret", b'{"time_ms":1,"events":[{"name":"channel_occupied","channel":"room"}]}',
        {
            "x-pusher-key": "pkey", "content-type": "application/json",
            "x-pusher-signature": "0a88ffd1739f395a597e7b1903563ad390b35f72fd2b62912fb022d409afe5fe",
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "secret", "body", "expected"), MADE, ids=[row[0] for row in MADE])
def test_we_make_what_the_sdk_accepts(name: str, secret: str, body: bytes, expected: dict[str, Any]) -> None:
    scheme = load_schemes()[name]
    if name == "crisp":
        scheme = replace(scheme, unit="ms")  # its time is in milliseconds in this one

    made = sign(scheme, decode_key(scheme, secret), body, "a/b", "id1", NOW)

    assert expected.items() <= made.headers.items()


def test_we_sign_within_the_body_as_the_sdks_do() -> None:
    adyen, mailgun, dropbox = (load_schemes()[name] for name in ("adyen", "mailgun", "dropbox-sign"))
    token = b'{"signature":{"token":"e0b5477167110d68991efc6b9f89f0a11066af27834600e123"},"event-data":{}}'
    event = b'{"event":{"event_type":"signature_request_sent"}}'

    signed = sign(adyen, decode_key(adyen, ADYEN_KEY), (ADYEN % "").encode(), "AUTHORISATION", "", NOW)
    mail = sign(mailgun, b"mg-webhook-signing-key-example", token, "", "", NOW)
    request = sign(dropbox, b"dbsign_api_key_example", b"json=" + event, "", "", NOW)

    assert signed.body.decode() == ADYEN % "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="
    assert json.loads(mail.body)["signature"] == {
        "token": "e0b5477167110d68991efc6b9f89f0a11066af27834600e123",
        "timestamp": "1760000000",
        "signature": "27e258604e7720e7178c37e0a886ecf915b9974742e6a52b91e4ee73db2aac00",
    }
    assert b"62b27afefa7c199a40fcc90cacb1e800da61a218da25405fe331287fce56b501" in request.body


def test_we_sign_forms_and_urls_as_the_sdks_do() -> None:
    twilio, plivo = load_schemes()["twilio"], load_schemes()["plivo"]
    url = "https://example.com/voice?foo=1&bar=a%20b"

    voice = sign(twilio, b"sk_example_shared_key_secret_123", TWILIO, "", "", NOW, url)
    json_body = sign(twilio, b"k", b'{"a":1}', "", "", NOW, "https://example.com/json")
    call = sign(
        plivo, b"plivo_auth_token_example", b"To=14155550101&From=14155550100&CallUUID=abc", "", "05429567804466091622",
        NOW, "https://example.com/plivo/answer",
    )  # fmt: skip

    assert voice.headers["x-twilio-signature"] == "nUTXwmZuT64PBShTlIT7jADy/lg="
    assert json_body.query == "bodySHA256=015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    assert call.headers["x-plivo-signature-v3"] == "ANN/gwpl4CkjCWzFUYLeUn/ft46Rauk+mqGSH0Wp4pI="


@pytest.mark.parametrize(
    ("name", "key", "body", "why"),
    [
        ("telnyx", b"k", b"{}", "holds the private key"),
        ("rfc9421", object(), b"{}", "public key"),
        ("linear", b"k", b"no JSON", "must be JSON"),
        (replace(load_schemes()["fusionauth"], signature=("body:",)), b"k", b"{}", "cannot write to body:"),
        ("kofi", b"k", b"a=" + b"x" * 10 + b"&a" * 20_000, "must be a form"),
    ],
)
def test_what_cannot_be_signed_says_why(name: str | Scheme, key: Any, body: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        sign(load_schemes()[name] if isinstance(name, str) else name, key, body, "a", "e", NOW)


def test_payloads_are_written_in_the_first_format_of_the_scheme() -> None:
    payload = {"id": "é", "data": {"n": 1}}

    assert encode_payload(load_schemes()["zyra"], payload) == '{"id":"é","data":{"n":1}}'.encode()
    assert encode_payload(load_schemes()["kofi"], payload) == b"id=%C3%A9&data=%7B%22n%22%3A1%7D"
    assert encode_payload(load_schemes()["mandrill"], payload).startswith(b"mandrill_events=%7B")
    assert isinstance(sign(load_schemes()["zyra"], b"k", b"{}", "a.b", "e", NOW), Signed)


TRUELAYER = next(
    one for one in json.loads((DATA / "vectors.json").read_text())["vectors"] if one["scheme"] == "truelayer"
)
MANY_NAMES = base64.urlsafe_b64encode(
    json.dumps({"alg": "ES512", "tl_version": "2", "tl_headers": ",".join(["a"] * 101)}).encode()
).rstrip(b"=")


@pytest.mark.parametrize(
    ("name", "headers", "body", "cause"),
    [
        ("alipay", {}, b"sign=AAAA&a=1&a=2", "repeated"),
        ("alipay", {}, b"sign=AAAA&a=1&sign_type=RSA", "algorithm"),
        ("payos", {}, b'{"signature":"' + b"a" * 64 + b'","data":{}}', "malformed"),
        ("payos", {}, b'{"signature":"' + b"a" * 64 + b'","data":{"a":1e999}}', "malformed"),
        ("payos", {}, b'{"signature":"' + b"a" * 64 + b'","data":{"a":null,"b":"null","c":[{"d":1}]}}', "wrong"),
        ("truelayer", {"tl-signature": MANY_NAMES.decode() + "..AAAA"}, b"{}", "malformed"),
        (
            "ebay",
            {"x-ebay-signature": base64.b64encode(b'{"alg":"rsa","kid":"k","signature":"AAAA","digest":"SHA1"}').decode()},
            b"{}", "algorithm",
        ),
    ],
)  # fmt: skip
def test_what_the_builders_refuse(name: str, headers: dict[str, str], body: bytes, cause: str) -> None:
    one = Delivery([(key.encode(), value.encode()) for key, value in headers.items()], body, "POST", "https://a/b")
    keys = [decode_key(load_schemes()["truelayer"], TRUELAYER["secrets"][0])] if name == "truelayer" else [b"key"]

    with pytest.raises(BadSignature) as refused:
        verify(load_schemes()[name], one, keys, NOW)

    assert refused.value.cause == cause


def test_a_slash_at_the_end_of_truelayers_path_may_be_lost() -> None:
    headers = dict(TRUELAYER["headers"])
    body, url = base64.b64decode(TRUELAYER["body_b64"]), TRUELAYER["url"]

    assert holds(
        load_schemes()["truelayer"],
        {k.lower(): v for k, v in headers.items()},
        body,
        *TRUELAYER["secrets"],
        url=url + "/",
    )


def test_a_named_key_names_itself() -> None:
    scheme = load_schemes()["polar"]
    made = sign(scheme, decode_key(scheme, WHSEC), POLAR, "", "msg_1", NOW)

    assert made.headers["webhook-signature"] == "v1,hqii9ENFs98PelQMtbcZ787vIpTZ3mZIeNVGXlnMIM0="


def test_a_body_is_written_where_the_scheme_wants_it() -> None:
    given = sign(load_schemes()["braintree"], b"k" * 20, b"bt_payload=YQ%3D%3D", "", "", NOW)
    answered_early = sign(load_schemes()["websub"], b"k", b"{}", "", "", NOW)

    assert b"bt_payload=YQ%3D%3D" in given.body
    assert answered_early.headers["x-hub-signature"].startswith("sha256=")

"""What the builders refuse, and RFC 8785 (JSON as ECMAScript writes it); what they accept stands in the vectors."""

import base64
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest

from receiver.delivery import Delivery
from receiver.errors import BadSignature
from receiver.schemes import load_schemes
from receiver.signatures.builders import paddle_classic, write_canonical_json, write_ecmascript_number
from receiver.signatures.verify import verify

FORM = "application/x-www-form-urlencoded"
ADYEN = json.dumps({"notificationItems": [{"NotificationRequestItem": {}}] * 101}).encode()
HALF = {
    "notificationItems": [
        {"NotificationRequestItem": {"pspReference": "\ud800", "additionalData": {"hmacSignature": "A"}}}
    ]
}
SNS = {"Type": "Notification", "SignatureVersion": "1", "Signature": "AAAA", "TopicArn": "theirs", "Timestamp": "2023-11-14T22:13:20Z",
       "SigningCertURL": "https://sns.us-east-1.amazonaws.com/a.pem"}  # fmt: skip


def ebay(**said: str) -> str:
    return base64.b64encode(json.dumps(said).encode()).decode()


@pytest.mark.parametrize(
    ("name", "headers", "body", "url"),
    [
        ("twilio", {"x-twilio-signature": "A" * 28, "content-type": FORM}, b"a=1", "https://a:99999/"),
        ("contentful", {"x-contentful-signature": "0" * 64, "x-contentful-timestamp": "1", "x-contentful-signed-headers": "a"}, b"", ""),
        ("hubspot-v1v2", {"x-hubspot-signature": "0" * 64, "x-hubspot-signature-version": "v9"}, b"", ""),
        ("adyen", {}, b"{}", ""),
        ("adyen", {}, b'{"notificationItems": []}', ""),
        ("adyen", {}, ADYEN, ""),
        ("ebay", {"x-ebay-signature": "!"}, b"", ""),
        ("ebay", {"x-ebay-signature": ebay(alg="none", digest="SHA1")}, b"", ""),
        ("aws-sns", {}, json.dumps(SNS | {"Type": "Other"}).encode(), ""),
        ("aws-sns", {}, json.dumps(SNS).encode(), ""),
        ("aws-sns", {}, json.dumps(SNS | {"TopicArn": "ours", "SignatureVersion": "1", "Message": "\ud800"}).encode(), ""),
        ("adyen", {}, json.dumps(HALF).encode(), ""),
        ("braintree", {"content-type": FORM}, b"bt_signature=a|" + b"0" * 40 + b"&bt_payload=" + b"0" * 20, ""),
        ("websub", {"x-hub-signature": "md5=00"}, b"", ""),
        ("websub", {"x-hub-signature": "sha512=00"}, b"", ""),
        ("nowpayments", {"x-nowpayments-sig": "0" * 128}, b"{", ""),
        ("paddle-classic", {"content-type": FORM}, b"p_signature=AAAA&a=1", ""),
    ],
)  # fmt: skip
def test_what_a_builder_cannot_read_is_refused(name: str, headers: dict[str, str], body: bytes, url: str) -> None:
    scheme = replace(load_schemes()[name], parameter="ours", tolerance=0)
    pairs = [(key.encode(), value.encode()) for key, value in headers.items()]

    with pytest.raises(BadSignature):
        verify(scheme, Delivery(pairs, body, "POST", url), [b"key"], 0)


def test_websub_takes_the_digest_that_the_header_names() -> None:
    text = hmac.digest(b"key", b"body", "sha384").hex()

    assert (
        verify(
            load_schemes()["websub"], Delivery([(b"x-hub-signature", f"sha384={text}".encode())], b"body"), [b"key"], 0
        )
        == 0
    )


def test_the_php_of_paddle_classic() -> None:
    body: Any = Delivery([(b"content-type", FORM.encode())], "b=é&a=1&p_signature=x".encode())

    (claim,) = paddle_classic(body, None, None, b"", [])

    assert claim.texts == ['a:2:{s:1:"a";s:1:"1";s:1:"b";s:2:"é";}'.encode()]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1.0, "1"), (-1.5, "-1.5"), (1e-5, "0.00001"), (1e-6, "0.000001"), (1e-7, "1e-7"),
        (12.5e-8, "1.25e-7"), (1e16, "10000000000000000"), (1e20, "100000000000000000000"), (1e21, "1e+21"),
        (1.5e300, "1.5e+300"), (5e-324, "5e-324"), (9007199254740993.0, "9007199254740992"), (100.0, "100"),
        (333333333.33333329, "333333333.3333333"), (4.50, "4.5"), (2e-3, "0.002"), (123456.789, "123456.789"),
    ],
)  # fmt: skip
def test_a_number(number: float, text: str) -> None:
    assert write_ecmascript_number(number) == text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_in_json(number: float) -> None:
    with pytest.raises(ValueError, match="no number"):
        write_ecmascript_number(number)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1.0, "a": [None, True, False, ""]}, '{"a":[null,true,false,""],"b":1}'),
        ({"\U0001f600": 1.0, "\ufb33": 2.0}, '{"\U0001f600":1,"\ufb33":2}'),  # by UTF-16: a surrogate comes first
        ('é\n\x0f"\\/\u2028', '"é\\n\\u000f\\"\\\\/\u2028"'),
        ({}, "{}"),
    ],
)
def test_a_document(value: Any, text: str) -> None:
    assert write_canonical_json(value) == text

"""Signed deliveries of every row that we can sign for."""

import base64

from receiver.contract.records import Body
from receiver.delivery import Delivery
from receiver.schemes import Scheme, load_schemes
from receiver.signatures import signing
from receiver.signatures.signing import Signed

URL = "https://hooks.example.com/in/abc?a=1&b=2"
NOW = 1_700_000_000
SIGNED = [name for name, row in load_schemes().items() if not signing.find_obstacle(row)]


def secret(scheme: Scheme, letter: str = "k") -> str:
    """A secret as the row wants it."""
    raw = letter.encode() * 32
    texts = {"hex": raw.hex(), "base64": base64.b64encode(raw).decode(), "whsec": base64.b64encode(raw).decode()}
    texts["any"] = texts["base64"]
    tokens = scheme.primitive in ("static-token", "none")
    return texts.get(scheme.key, f"user:{letter}-secret" if tokens else f"user:{letter}-Sécret")


def deliver(scheme: Scheme, made: Signed, *more: tuple[str, str], url: str = URL) -> Delivery:
    """The delivery as the receiver gets it. more: headers that stand twice."""
    pairs = [(name.encode(), value.encode()) for name, value in (*made.headers.items(), *more)]
    return Delivery(pairs, made.body, "POST", f"{url}&{made.query}" if made.query else url)


def body_of(scheme: Scheme) -> bytes:
    return b"a=1&b=two" if scheme.body[0] is Body.FORM else '{"id": "é", "n": [1, 2.50]}'.encode()

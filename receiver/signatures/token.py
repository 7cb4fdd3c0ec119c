"""Schemes that sign nothing: a token that is always the same, and Basic authentication."""

import base64
import hmac
from collections.abc import Sequence

from ..delivery import Delivery, compile_place
from ..errors import BadSignature
from ..schemes import Scheme


class Token:
    """A text that the provider repeats: in a header, in the query, or in a field of the body."""

    def __init__(self, scheme: Scheme) -> None:
        prefix = scheme.prefix.encode()
        self._places = [
            (compile_place(name), prefix if name.startswith("header:") else b"") for name in scheme.signature
        ]

    def build_content(self, delivery: Delivery) -> bytes:
        return delivery.body

    def verify(self, delivery: Delivery, keys: Sequence[bytes], now: float) -> int:
        values = [(value, prefix) for read, prefix in self._places if (value := read(delivery))]
        if not values:
            raise BadSignature("missing")
        tokens = [value[len(prefix) :] for value, prefix in values if value.startswith(prefix)]
        return find_key(keys, tokens)


class Basic:
    """RFC 7617. A key is user:password."""

    def __init__(self, scheme: Scheme) -> None:
        self._place = compile_place(scheme.signature[0])

    def build_content(self, delivery: Delivery) -> bytes:
        return delivery.body

    def verify(self, delivery: Delivery, keys: Sequence[bytes], now: float) -> int:
        value = self._place(delivery)
        if not value:
            raise BadSignature("missing")
        word, _, rest = value.partition(b" ")
        try:
            password = base64.b64decode(rest.strip(b" "), validate=True)
        except ValueError:
            raise BadSignature("malformed") from None
        if word.lower() != b"basic":
            raise BadSignature("malformed")
        return find_key(keys, [password])


def find_key(keys: Sequence[bytes], tokens: Sequence[bytes]) -> int:
    if not tokens:
        raise BadSignature("malformed")
    for position, key in enumerate(keys):
        for token in tokens:
            if hmac.compare_digest(key, token):
                return position
    raise BadSignature("wrong")

"""What is signed: a template of literal text and of parts in braces, made into functions.

{body} the bytes as they came, {raw} before they were inflated; {timestamp} as sent; {key}; {parameter}; {method};
{url} as the provider called it; {url_decoded} as HubSpot does; {url_without_query}; {url_path}; {header:x}, {query:x},
{form:x}, {json:a.b}, {item:x}: what stands there; {form_sorted}: names and values of the form, in order; {body_sha256}
in hex; {body_crc32} in decimal; {body_json}: the body as a JSON string.
A brace itself is written twice.
"""

import hashlib
import json
import re
import string
import zlib
from collections.abc import Callable, Mapping

from ..delivery import Delivery, compile_place, split_url
from ..errors import BadSignature

Items = Mapping[bytes, bytes]
Part = Callable[[Delivery, bytes, Items, bytes], bytes]  # of a delivery, its timestamp, the value's items and the key


def compile_template(template: str, parameter: str = "") -> tuple[Part, ...]:
    """Raises ValueError where the template names no part."""
    pieces = list(string.Formatter().parse(template))
    parts = []
    for number, (literal, name, rest, conversion) in enumerate(pieces):
        if literal:
            parts.append(make_constant(literal.encode()))
        if name is not None:
            following = pieces[number + 1][0] if number + 1 < len(pieces) else ""
            full = f"{name}:{rest}" if rest else name
            if conversion:
                raise ValueError(f"{{{full}!{conversion}}} is no part")
            parts.append(make_constant(parameter.encode()) if full == "parameter" else make_part(full, following))
    return tuple(parts)


def make_constant(value: bytes) -> Part:
    return lambda *_: value


def make_part(name: str, following: str) -> Part:
    kind, _, rest = name.partition(":")
    if name in NAMED:
        return NAMED[name]
    if kind == "item":
        item = rest.encode()
        return lambda _d, _t, items, _k: require(items.get(item, b""))
    if kind == "header" and following.startswith("."):
        return make_signed_id(name)
    read_place = compile_place(name)
    return lambda delivery, *_: require(read_place(delivery))


def make_signed_id(name: str) -> Part:
    """A dot would let the border between id and timestamp move, so Standard Webhooks forbids it."""
    read_place = compile_place(name)

    def read(delivery: Delivery, *_: object) -> bytes:
        value = require(read_place(delivery))
        if b"." in value:
            raise BadSignature("malformed")
        return value

    return read


def require(value: bytes) -> bytes:
    if not value:
        raise BadSignature("missing")
    return value


def encode_json_string(delivery: Delivery) -> bytes:
    """As JavaScript writes it: nothing but quotes, backslashes and control characters is escaped."""
    try:
        return json.dumps(delivery.body.decode(), ensure_ascii=False).encode()
    except UnicodeError:
        raise BadSignature("malformed") from None


def join_sorted_form(delivery: Delivery) -> bytes:
    return "".join(name + value for name, value in delivery.sorted_form).encode()


def strip_query(url: str) -> bytes:
    parts = split_url(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}".encode()


DECODED = re.compile("%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)


def decode_url(url: str) -> str:
    """https://developers.hubspot.com/docs/api/webhooks/validating-requests: these characters alone are decoded."""
    return DECODED.sub(lambda match: chr(int(match[0][1:], 16)), url)


NAMED: dict[str, Part] = {
    "body": lambda delivery, *_: delivery.body,
    "raw": lambda delivery, *_: delivery.raw,
    "timestamp": lambda _d, stamp, *_: stamp,
    "key": lambda _d, _t, _i, key: key,
    "method": lambda delivery, *_: delivery.method.encode(),
    "url": lambda delivery, *_: delivery.url.encode(),
    "url_decoded": lambda delivery, *_: decode_url(delivery.url).encode(),
    "url_without_query": lambda delivery, *_: strip_query(delivery.url),
    "url_path": lambda delivery, *_: str(split_url(delivery.url).path or "/").encode(),
    "form_sorted": lambda delivery, *_: join_sorted_form(delivery),
    "body_sha256": lambda delivery, *_: hashlib.sha256(delivery.body).hexdigest().encode(),
    "body_crc32": lambda delivery, *_: b"%d" % zlib.crc32(delivery.body),
    "body_json": lambda delivery, *_: encode_json_string(delivery),
}

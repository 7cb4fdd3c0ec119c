"""Parsers for the options of a source. Each raises ValueError that says what is allowed."""

import re
from urllib.parse import urlsplit

from .contract.settings import seconds

FIELD = re.compile("[A-Za-z0-9_$-]+([.][A-Za-z0-9_$-]+)*(:[A-Za-z0-9_-]+)?")
TYPE = re.compile(r"[A-Za-z0-9._:/-]{1,250}")
PATH = re.compile(r"(?:[A-Za-z0-9_$.-]|\{resource\})+")


def names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ValueError("must be a list of names")
    return tuple(value)


def fields(value: object) -> tuple[str, ...]:
    words = names(value)
    if not all(FIELD.fullmatch(name) for name in words):
        raise ValueError("must name fields of letters, digits, _, - and $, such as event_id, data.id or id:evt")
    return words


def paths(value: object) -> tuple[str, ...]:
    words = names(value)
    if not all(PATH.fullmatch(path) for path in words):
        raise ValueError("must be paths such as data.id or data.{resource}_id")
    return words


def headers(value: object) -> tuple[str, ...]:
    words = tuple(name.lower() for name in names(value))
    secret = [name for name in words if name in ("authorization", "cookie") or "signature" in name or "token" in name]
    if secret:
        raise ValueError(f"must not name {', '.join(secret)}: credentials are not kept")
    return words


def url(value: object) -> str:
    text = str(value)
    parts = urlsplit(text)
    if (
        parts.scheme not in ("https", "http")
        or not parts.netloc
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise ValueError("must be the URL that the provider calls, such as https://hooks.example.com/webhooks/x")
    return text


def https(value: object) -> str:
    if not str(value).startswith("https://"):
        raise ValueError("must be an https URL, such as https://shop.example.com/.well-known/jwks.json")
    return url(value)


def word(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text")
    return value


def event_type(value: object) -> str:
    if not isinstance(value, str) or not TYPE.fullmatch(value):
        raise ValueError("must be a type such as order.created, for events that name none")
    return value


def repeats(value: object) -> str:
    if value not in ("accept", "duplicate"):
        raise ValueError('must be "accept" or "duplicate"')
    return str(value)


def redelivery(value: object) -> str:
    if value not in ("replay", "ignore"):
        raise ValueError('must be "replay" or "ignore"')
    return str(value)


def status(value: object) -> int:
    if type(value) is not int or value not in (200, 201, 202, 204):
        raise ValueError("must be 200, 201, 202 or 204")
    return value


def size(value: object) -> int:
    if type(value) is not int or not 1024 <= value <= 256 * 1024 * 1024:
        raise ValueError("must be bytes, from 1024 to 268435456")
    return value


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def tolerance(value: object) -> int:
    if type(value) is not int or not 0 < value <= 86400:
        raise ValueError("must be seconds, from 1 to 86400")
    return value


def duration(value: object) -> float:
    return seconds(str(value))


PARSERS = {
    "keep_headers": headers,
    "success_status": status,
    "dedup_window": duration,
    "digest_window": duration,
    "id_fields": fields,
    "resource_id": paths,
    "type": event_type,
    "check_type": flag,
    "tolerance": tolerance,
    "unconfirmed": flag,
    "repeats": repeats,
    "redelivery": redelivery,
    "capture": flag,
    "max_body": size,
    "public_url": url,
    "keys_url": https,
    "parameter": word,
    "account": word,
}

"""Parsers for the options of a source. Each raises ValueError that says what is allowed."""

import re
from urllib.parse import urlsplit

from .contract.settings import parse_duration

FIELD = re.compile("[A-Za-z0-9_$-]+([.][A-Za-z0-9_$-]+)*(:[A-Za-z0-9_-]+)?")
TYPE = re.compile(r"[A-Za-z0-9._:/-]{1,250}")
MAX_INDEXED_PATHS = 4
PLAIN_PATH = re.compile(r"[A-Za-z0-9_$-]+([.][A-Za-z0-9_$-]+)*")
PATH = re.compile(r"(?:[A-Za-z0-9_$.-]|\{(?:resource|family)\})+")


def parse_names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ValueError("must be a list of names")
    return tuple(value)


def parse_fields(value: object) -> tuple[str, ...]:
    words = parse_names(value)
    if not all(FIELD.fullmatch(name) for name in words):
        raise ValueError("must name fields of letters, digits, _, - and $, such as event_id, data.id or id:evt")
    return words


def parse_paths(value: object) -> tuple[str, ...]:
    words = parse_names(value)
    if not all(PATH.fullmatch(path) for path in words):
        raise ValueError("must be paths such as data.id or data.{resource}_id")
    return words


def parse_index(value: object) -> tuple[str, ...]:
    words = parse_names(value)
    if len(words) > MAX_INDEXED_PATHS or not all(PLAIN_PATH.fullmatch(path) for path in words):
        raise ValueError(f"must be at most {MAX_INDEXED_PATHS} paths such as data.customer, or the word resource")
    return words


def parse_keep(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError("must be a duration such as 1h or 30d")
    return parse_duration(value)


def parse_interval(value: object) -> float:
    seconds = parse_keep(value)
    if seconds < 1:
        raise ValueError("must be at least 1s")
    return seconds


def parse_headers(value: object) -> tuple[str, ...]:
    words = tuple(name.lower() for name in parse_names(value))
    secret = [name for name in words if name in ("authorization", "cookie") or "signature" in name or "token" in name]
    if secret:
        raise ValueError(f"must not name {', '.join(secret)}: credentials are not kept")
    return words


def parse_url(value: object) -> str:
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


def parse_https_url(value: object) -> str:
    if not str(value).startswith("https://"):
        raise ValueError("must be an https URL, such as https://shop.example.com/.well-known/jwks.json")
    return parse_url(value)


def parse_text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text")
    return value


def parse_type(value: object) -> str:
    if not isinstance(value, str) or not TYPE.fullmatch(value):
        raise ValueError("must be a type such as order.created, for events that name none")
    return value


def parse_repeats(value: object) -> str:
    if value not in ("accept", "duplicate"):
        raise ValueError('must be "accept" or "duplicate"')
    return str(value)


def parse_redelivery(value: object) -> str:
    if value not in ("replay", "ignore"):
        raise ValueError('must be "replay" or "ignore"')
    return str(value)


def parse_status(value: object) -> int:
    if type(value) is not int or value not in (200, 201, 202, 204):
        raise ValueError("must be 200, 201, 202 or 204")
    return value


def parse_size(value: object) -> int:
    if type(value) is not int or not 1024 <= value <= 256 * 1024 * 1024:
        raise ValueError("must be bytes, from 1024 to 268435456")
    return value


def parse_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def parse_tolerance(value: object) -> int:
    if type(value) is not int or not 0 < value <= 86400:
        raise ValueError("must be seconds, from 1 to 86400")
    return value


def parse_window(value: object) -> float:
    return parse_duration(str(value))


PARSERS = {
    "keep_headers": parse_headers,
    "success_status": parse_status,
    "dedup_window": parse_window,
    "digest_window": parse_window,
    "id_fields": parse_fields,
    "resource_id": parse_paths,
    "index": parse_index,
    "keep_done": parse_keep,
    "keep_body": parse_keep,
    "expect_every": parse_interval,
    "type": parse_type,
    "check_type": parse_flag,
    "tolerance": parse_tolerance,
    "unconfirmed": parse_flag,
    "repeats": parse_repeats,
    "redelivery": parse_redelivery,
    "capture": parse_flag,
    "max_body": parse_size,
    "public_url": parse_url,
    "keys_url": parse_https_url,
    "parameter": parse_text,
    "account": parse_text,
}

"""What a call is, and how its answer is read.

https://getzyra.io/documentation/user-guides/organization/stage-4/01-api-and-cli
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx2

from .errors import RateLimited, Unreachable, ZyraError, kind

LONGEST_WAIT = 3600.0  # seconds of a Retry-After that we believe
DEFAULT_WAIT = 60.0  # limits are per minute
PAGE = 200  # the most that a list call may ask for


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def path(*parts: str) -> str:
    """A path below /api/v1, its parts quoted, since an id must not climb to another path. Raises ValueError."""
    if not all(parts) or any(part in (".", "..") for part in parts):
        raise ValueError(f"an id is empty or no id: {parts}")
    return "/api/v1/" + "/".join(quote(part, safe="-_~") for part in parts)


def read(call: Call, response: httpx2.Response) -> Any:
    """What stands under `data`, or the whole document where there is no envelope. Raises ZyraError."""
    document = parse(response)
    if response.is_success and not (isinstance(document, dict) and document.get("success") is False):
        if response.content and document is None:
            raise Unreachable(response.status_code, "unreadable", "the answer is no JSON", call=str(call))
        return document["data"] if isinstance(document, dict) and "data" in document else document
    raise error(call, response, document)


def parse(response: httpx2.Response) -> Any:
    try:
        return json.loads(response.content, parse_float=Decimal) if response.content else None
    except (ValueError, RecursionError, ArithmeticError):
        return None


def error(call: Call, response: httpx2.Response, document: Any) -> ZyraError:
    told = mapping(document)
    block = mapping(told.get("error")) or told
    meta = mapping(told.get("meta"))
    found = kind(response.status_code)(
        response.status_code,
        str(block.get("code") or ""),
        str(block.get("message") or block.get("detail") or "")[:300],
        block.get("details"),
        str(meta.get("request_id") or block.get("request_id") or ""),
        str(call),
    )
    if isinstance(found, RateLimited):
        found.seconds = retry_after(response.headers.get("retry-after", ""))
    return found


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def retry_after(text: str) -> float:
    """Seconds, from a number or a date."""
    try:
        wait = float(text)
    except ValueError:
        try:
            wait = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            wait = DEFAULT_WAIT
    return min(max(wait, 0.0), LONGEST_WAIT) if wait == wait else DEFAULT_WAIT


@dataclass(frozen=True, slots=True)
class Page:
    items: list[dict[str, Any]]
    total: int | None


def page(call: Call, response: httpx2.Response) -> Page:
    """One page of a list. Where `total` and the items stand is not documented: all the likely places are looked at."""
    data, document = read(call, response), parse(response)
    items = data if isinstance(data, list) else next((v for v in mapping(data).values() if isinstance(v, list)), None)
    if items is None:
        raise Unreachable(response.status_code, "unreadable", "the answer holds no list", call=str(call))
    places = [mapping(document), mapping(mapping(document).get("meta")), mapping(data)]
    totals = [place["total"] for place in places if isinstance(place.get("total"), int)]
    return Page(items, totals[0] if totals else None)


def first(call: Call) -> Call:
    """A list call's first page."""
    return replace(call, params={**call.params, "offset": 0, "limit": PAGE})


def after(call: Call, found: Page) -> Call | None:
    """The page after this one, or None: by the total, or where there is none, by a page that is empty."""
    offset = call.params["offset"] + len(found.items)
    more = found.items and (found.total is None or offset < found.total)
    return replace(call, params={**call.params, "offset": offset}) if more else None


def unlike(call: Call, found: Page, before: Page | None) -> Page:
    """The page, if it is not the one before again. Raises Unreachable: a list that never ends is no list."""
    if before is not None and found.items and found.items == before.items:
        raise Unreachable(200, "unreadable", "a page repeats the one before it", call=str(call))
    return found

"""What a call is, and how its answer is read.

https://getzyra.io/documentation/user-guides/organization/stage-4/01-api-and-cli
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from ..retry_after import parse_retry_after
from .errors import RateLimited, Unreadable, ZyraError, choose_class
from .routes import Certainty, Limit, Route

MAX_PAGE_ITEMS = 200  # the most that a list call may ask for


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """ids: what stands in the path's braces; body: what becomes JSON."""

    route: Route
    path: str
    ids: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None

    def __str__(self) -> str:
        return f"{self.route.method} {self.path}"

    @property
    def digest(self) -> str:
        """Of what is asked besides verb and path; nothing of it can be read back."""
        text = json.dumps([self.params, self.body], sort_keys=True, default=str, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, whole. headers: names in lower case. size: of its content in bytes, also where that is a file."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    size: int = 0

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


def make_listed_call(
    route: Route, ids: tuple[str, ...] = (), params: Mapping[str, Any] | None = None, body: Any = None
) -> Call:
    """Raises ValueError for ids that are none."""
    return Call(route=route, path=route.at(*ids), ids=ids, params=params or {}, body=body)


def make_call(method: str, path: str, params: Mapping[str, Any] | None = None, body: Any = None) -> Call:
    """A call that is in no table. Raises ValueError: the key must not go to another host."""
    if not path.startswith("/") or path.startswith("//") or not path.isprintable():
        raise ValueError(f"{path!r} must be a path such as /api/v1/ml/jobs")
    method = method.upper()
    limit = Limit.BULK if path.startswith("/scim/") else Limit.READ if method == "GET" else Limit.CREATE
    row = Route(call=f"{method} {path}", limit=limit, certainty=Certainty.ASSUMED, source="", name="request")
    return Call(route=row, path=path, params=params or {}, body=body)


def read_data(call: Call, answer: Answer) -> Any:
    """What stands under `data`, or the whole document where there is no envelope. Raises ZyraError."""
    document = parse(answer)
    if answer.is_success and not (isinstance(document, dict) and document.get("success") is False):
        if answer.content and document is None:
            raise Unreadable(answer.status, "unreadable", "the answer is no JSON", call=str(call))
        return document["data"] if isinstance(document, dict) and "data" in document else document
    raise make_error(call, answer, document)


def parse(answer: Answer) -> Any:
    try:
        return json.loads(answer.content, parse_float=Decimal) if answer.content else None
    except (ValueError, RecursionError, ArithmeticError):
        return None


def make_error(call: Call, answer: Answer, document: Any) -> ZyraError:
    fields = to_mapping(document)
    block = to_mapping(fields.get("error")) or fields
    meta = to_mapping(fields.get("meta"))
    failure = choose_class(answer.status)(
        answer.status,
        str(block.get("code") or ""),
        str(block.get("message") or block.get("detail") or block.get("error") or "")[:300],
        block.get("details") or block.get("detail"),
        str(meta.get("request_id") or block.get("request_id") or ""),
        str(call),
    )
    if isinstance(failure, RateLimited):
        failure.seconds = parse_retry_after(answer.headers.get("retry-after", ""))
    return failure


def encode(body: Any) -> bytes:
    """JSON; amounts as numbers. Raises TypeError for what has no JSON, and ValueError for NaN."""
    return json.dumps(body, default=encode_amount, allow_nan=False).encode()


def encode_amount(value: Any) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


def to_mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Page:
    items: list[dict[str, Any]]
    total: int | None


def read_page(call: Call, answer: Answer) -> Page:
    """One page of a list. Where `total` and the items stand is not documented: all the likely places are looked at."""
    data, document = read_data(call, answer), parse(answer)
    items = data if isinstance(data, list) else max(filter(is_rows, to_mapping(data).values()), key=len, default=None)
    if items is None:
        raise Unreadable(answer.status, "unreadable", "the answer holds no list", call=str(call))
    places = [to_mapping(document), to_mapping(to_mapping(document).get("meta")), to_mapping(data)]
    totals = [place[name] for place in places for name in ("total", "totalResults") if type(place.get(name)) is int]
    return Page([item for item in items if isinstance(item, dict)], totals[0] if totals else None)


def is_rows(value: Any) -> bool:
    """Whether these may be a list's items: texts in a list, as the schemas that SCIM names, are none."""
    return isinstance(value, list) and not any(isinstance(item, str) for item in value)


class Pages:
    """The pages of a list, one after the other. next: the call for the page that comes, or None after the last one.

    The list ends by its total, or where it names none, by an empty page.
    """

    def __init__(self, call: Call) -> None:
        self.next: Call | None = replace(call, params={**call.params, **make_page_parameters(call, 0)})
        self.count = 0  # pages so far
        self.total = 0  # items so far
        self._before: Page | None = None

    def take(self, page: Page) -> list[dict[str, Any]]:
        """The items of the page that `next` brought. Raises Unreadable: a list that never ends is no list."""
        call, before = self.next, self._before
        assert call
        if before is not None and page.items and page.items == before.items:
            raise Unreadable(200, "unreadable", "a page repeats the one before it", call=str(call))
        self.count, self.total, self._before = self.count + 1, self.total + len(page.items), page
        offset = (call.params["startIndex"] - 1 if call.route.is_scim else call.params["offset"]) + len(page.items)
        has_more = page.items and (page.total is None or offset < page.total)
        self.next = replace(call, params={**call.params, **make_page_parameters(call, offset)}) if has_more else None
        return page.items


def make_page_parameters(call: Call, offset: int) -> dict[str, int]:
    """The parameters of a page; SCIM counts from 1 (RFC 7644, 3.4.2.4)."""
    return (
        {"startIndex": offset + 1, "count": MAX_PAGE_ITEMS}
        if call.route.is_scim
        else {"offset": offset, "limit": MAX_PAGE_ITEMS}
    )


def read_size(call: Call, answer: Answer) -> int:
    """Bytes of an answer that was saved as a file. Raises ZyraError."""
    if not answer.is_success:
        raise make_error(call, answer, parse(answer))
    return answer.size

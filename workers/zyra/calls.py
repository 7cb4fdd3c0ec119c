"""What a call is, and how its answer is read.

https://getzyra.io/documentation/user-guides/organization/stage-4/01-api-and-cli
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlsplit

from ..retry_after import parse_retry_after
from .errors import RateLimited, Redirected, Unreadable, WrongVerb, ZyraError, choose_class
from .models import Row
from .routes import Certainty, Kind, Limit, Route, write_change

MAX_REQUEST_ID = 200  # characters that are kept
MAX_READINGS = 20  # of a list that shrinks while it is read
MAX_PAGE_ITEMS = 200  # the most that a list call may ask for
WRAPPERS = ("data", "result", "resource", "item")  # names under which a thing may stand
TOTAL_PLACES = ("data", "result", "meta", "pagination", "paging", "page")
TOTAL_NAMES = ("total", "totalResults", "total_count", "totalCount", "total_items")


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


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back, whole. headers: names in lower case. size: of its content in bytes, also where that is a file."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    size: int = 0

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @cached_property
    def document(self) -> Any:
        """Its content as JSON; None where there is none, or it is no JSON."""
        try:
            return json.loads(self.content, parse_float=Decimal) if self.content else None
        except (ValueError, RecursionError, ArithmeticError):
            return None

    @property
    def request_id(self) -> str:
        """Zyra's id of the request, from the envelope or else from the header; "" if there is none."""
        document = to_mapping(self.document)
        places = [to_mapping(document.get("meta")), to_mapping(document.get("error")), document]
        told = [str(place["request_id"]) for place in places if place.get("request_id")]
        return (told[0] if told else self.headers.get("x-request-id", ""))[:MAX_REQUEST_ID]


def make_listed_call(
    route: Route, ids: Sequence[object] = (), params: Mapping[str, Any] | None = None, body: Any = None
) -> Call:
    """Raises NoId for ids that are none."""
    return Call(route=route, path=route.at(*ids), ids=tuple(map(str, ids)), params=params or {}, body=body)


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
    document = answer.document
    if call.route.answer is Kind.REDIRECT and 300 <= answer.status < 400 and "location" in answer.headers:
        return {"location": answer.headers["location"]}
    if answer.is_success and says_success(answer):
        if answer.content and document is None:
            raise Unreadable(answer.status, "unreadable", "the answer is no JSON", call=str(call))
        return document["data"] if isinstance(document, dict) and "data" in document else document
    raise make_error(call, answer)


def read_answer(call: Call, answer: Answer) -> Answer:
    """The answer itself. Raises ZyraError where it tells of no success."""
    if answer.is_success and says_success(answer):
        return answer
    raise make_error(call, answer)


def says_success(answer: Answer) -> bool:
    """Whether the envelope reports no failure; an answer without one reports none."""
    return to_mapping(answer.document).get("success") is not False


def read_row(call: Call, answer: Answer) -> Row:
    """The object of an answer, with the request id; an empty one where nothing was told. Raises ZyraError."""
    data = read_data(call, answer)
    if not isinstance(data, dict | None):
        raise Unreadable(answer.status, "unreadable", "the answer holds no object", call=str(call))
    return Row.make(find_row(call.route, data or {}), answer.request_id)


def find_row(route: Route, data: Mapping[str, Any], levels: int = 2) -> dict[str, Any]:
    """The fields of one thing, wherever they stand: its id is under `id`, and its state under `status` or `state`.

    It may be some levels down, under the name of its kind: {"server": {"uuid": ...}}.
    """
    row = {**to_mapping(data.get("attributes")), **data}  # as JSON:API has them
    if levels and not find_id(route, row):
        kinds = [*WRAPPERS, *(name.removesuffix("_id") for name in route.id)]
        within = (find_row(route, to_mapping(data.get(name)), levels - 1) for name in kinds)
        row.update(next((one for one in within if find_id(route, one)), {}))
    if name := find_id(route, row):
        row["id"] = row[name]
    if (told := next((name for name in route.state if name in row), "state")) not in ("status", "state"):
        row["status"] = row[told]
    return row


def find_id(route: Route, row: Mapping[str, Any]) -> str:
    """The name of the field that holds the id; "" if there is none."""
    return next((name for name in route.id if is_id(row.get(name))), "")


def is_id(value: Any) -> bool:
    """Whether it may be one: a text or a number."""
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def make_error(call: Call, answer: Answer) -> ZyraError:
    fields = to_mapping(answer.document)
    block = to_mapping(fields.get("error")) or fields
    failure = choose_class(answer.status)(
        answer.status,
        str(block.get("code") or ""),
        str(block.get("message") or block.get("detail") or block.get("error") or "")[:300],
        block.get("details") or block.get("detail"),
        answer.request_id,
        str(call),
    )
    if isinstance(failure, RateLimited):
        failure.seconds = parse_retry_after(answer.headers.get("retry-after", ""))
    if isinstance(failure, Redirected):
        failure.location = answer.headers.get("location", "")[:300]
        failure.advice = advise_on_redirect(call, failure.location)
    if isinstance(failure, WrongVerb) and (allowed := answer.headers.get("allow", "")):
        verb = allowed.partition(",")[0].strip()
        change = write_change(call.route.name, verb, call.route.path)
        failure.advice = f"the path takes {allowed[:100]}: {change}"
    return failure


def advise_on_redirect(call: Call, location: str) -> str:
    """What a person is to set, so that the call goes to its new address."""
    parts = urlsplit(location)
    names = {
        quote(value, safe="-_~"): f"{{{name}}}" for value, name in zip(call.ids, call.route.parameters, strict=False)
    }
    path = "/".join(names.get(step, step) for step in parts.path.split("/"))  # its ids become parameters again
    advice = f"it has moved to {location or 'nowhere that it tells'}"
    if parts.netloc:
        advice += f"; if that is another host, set ZYRA_API_URL={parts.scheme}://{parts.netloc}"
    if path not in ("", call.route.path):
        advice += f"; {write_change(call.route.name, call.route.method, path)}"
    return advice


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
    request_id: str = ""


def read_page(call: Call, answer: Answer) -> Page:
    """One page of a list. Where `total` and the items stand is not documented: all the likely places are looked at."""
    data, document = read_data(call, answer), answer.document
    items = data if isinstance(data, list) else find_items(to_mapping(data))
    if items is None:
        raise Unreadable(answer.status, "unreadable", "the answer holds no list", call=str(call))
    tops = [to_mapping(document), to_mapping(data)]
    places = [*tops, *(to_mapping(top.get(name)) for top in tops for name in TOTAL_PLACES)]
    totals = [place[name] for place in places for name in TOTAL_NAMES if type(place.get(name)) is int]
    rows = [find_row(call.route, item) for item in items if isinstance(item, dict)]
    return Page(rows, totals[0] if totals else None, answer.request_id)


def find_items(data: Mapping[str, Any]) -> list[Any] | None:
    """The longest list of things in an object, or else one level down."""
    for places in ([data], [value for value in data.values() if isinstance(value, dict)]):
        lists: list[list[Any]] = [value for place in places for value in place.values() if is_rows(value)]
        if lists:
            return max(lists, key=len)
    return None


def is_rows(value: Any) -> bool:
    """Whether these may be a list's items: texts in a list, as the schemas that SCIM names, are none."""
    return isinstance(value, list) and not any(isinstance(item, str) for item in value)


class Pages:
    """The pages of a list, one after the other. next: the call for the page that comes, or None after the last one.

    The list ends by its total, or where it names none, by an empty page. Rows that have ids come once. What is deleted
    while the list is read moves the rest towards its beginning, out of the pages to come: where the total has shrunk,
    the list is read again from its beginning, until that brings nothing new. Without a total nobody can notice.
    """

    def __init__(self, call: Call) -> None:
        self.next: Call | None = replace(call, params={**call.params, **make_page_parameters(call, 0)})
        self.count = 0  # pages so far
        self.total = 0  # items so far
        self._before: Page | None = None
        self._seen: set[str] = set()  # ids
        self._first_total: int | None = None  # of this reading
        self._is_new = False  # whether this reading has brought a row that was not seen before
        self._readings = 1
        self._repeatable = True  # whether all rows have ids

    def take(self, page: Page) -> list[dict[str, Any]]:
        """The new items of the page that `next` asked for. Raises Unreadable for a list that never ends."""
        call, before = self.next, self._before
        assert call
        if before is not None and page.items and page.items == before.items:
            raise Unreadable(200, "unreadable", "a page repeats the one before it", call=str(call))
        self.count, self.total, self._before = self.count + 1, self.total + len(page.items), page
        offset = (call.params["startIndex"] - 1 if call.route.is_scim else call.params["offset"]) + len(page.items)
        has_more = page.items and (page.total is None or offset < page.total)
        new = self._choose_new(page)
        if not has_more and self._begin_again(page):
            has_more, offset = True, 0
        self.next = replace(call, params={**call.params, **make_page_parameters(call, offset)}) if has_more else None
        return new

    def _choose_new(self, page: Page) -> list[dict[str, Any]]:
        new = []
        for item in page.items:
            name = read_row_id(item)
            self._repeatable = self._repeatable and name != ""
            if name == "" or name not in self._seen:
                new.append(item)
            self._seen.add(name)
        self._is_new = self._is_new or bool(new)
        if self._first_total is None:
            self._first_total = page.total
        return new

    def _begin_again(self, page: Page) -> bool:
        """Begins to read the list again if rows may have moved to pages that were read before; whether it does."""
        shrank = page.total is not None and self._first_total is not None and page.total < self._first_total
        again = shrank and self._is_new and self._repeatable and self._readings < MAX_READINGS
        self._readings, self._first_total, self._is_new, self._before = self._readings + 1, None, False, None
        return again


def read_row_id(item: Mapping[str, Any]) -> str:
    """The id of a list's row, which may be a number; "" where it has none."""
    return str(item["id"]) if is_id(item.get("id")) else ""


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
        raise make_error(call, answer)
    return answer.size

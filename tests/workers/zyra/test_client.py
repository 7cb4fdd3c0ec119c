"""The client against a fake Zyra of one function."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from workers import GiveUp, RetryLater
from workers.zyra import AsyncZyra, Zyra, ZyraError, errors
from workers.zyra.transport import make_options

URL = "https://zyra.test"
Answer = Callable[[httpx2.Request], httpx2.Response]


def sync(answer: Answer) -> Zyra:
    http = httpx2.Client(transport=httpx2.MockTransport(answer), **make_options(URL))
    return Zyra(URL, lambda: "zyra_sk_1", http=http)


def asynchronous(answer: Answer) -> AsyncZyra:
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer), **make_options(URL))
    return AsyncZyra(URL, lambda: "zyra_sk_1", http=http)


def envelope(data: Any, **meta: Any) -> httpx2.Response:
    return httpx2.Response(200, json={"success": True, "data": data, "meta": {"request_id": "req_1", **meta}})


CALLS: list[tuple[Callable[[Any], Any], str, str]] = [
    (lambda z: z.devices.get("d/1"), "GET", "/api/v1/devices/d%2F1"),
    (lambda z: z.devices.register(name="x"), "POST", "/api/v1/devices"),
    (lambda z: z.devices.approve("d"), "POST", "/api/v1/devices/d/approve"),
    (lambda z: z.devices.remove("d"), "DELETE", "/api/v1/devices/d"),
    (lambda z: z.virtual_servers.get("vs_1"), "GET", "/api/v1/virtual-servers/vs_1"),
    (lambda z: z.virtual_servers.create(name="x"), "POST", "/api/v1/virtual-servers"),
    (lambda z: z.virtual_servers.start("vs_1"), "POST", "/api/v1/virtual-servers/vs_1/start"),
    (lambda z: z.virtual_servers.stop("vs_1"), "POST", "/api/v1/virtual-servers/vs_1/stop"),
    (lambda z: z.virtual_servers.resize("vs_1", vcpus=2), "POST", "/api/v1/virtual-servers/vs_1/resize"),
    (lambda z: z.virtual_servers.terminate("vs_1"), "DELETE", "/api/v1/virtual-servers/vs_1"),
    (lambda z: z.invoices.get("inv_1"), "GET", "/api/v1/invoices/inv_1"),
    (lambda z: z.webhooks.endpoints.create("https://x", ["a"]), "POST", "/api/v1/webhooks/endpoints"),
    (lambda z: z.webhooks.endpoints.get("w"), "GET", "/api/v1/webhooks/endpoints/w"),
    (lambda z: z.webhooks.endpoints.delete("w"), "DELETE", "/api/v1/webhooks/endpoints/w"),
    (lambda z: z.request("POST", "/api/v1/ml/jobs", body={"a": 1}), "POST", "/api/v1/ml/jobs"),
]


@pytest.mark.parametrize(("call", "method", "path"), CALLS)
def test_both_clients_send_the_same(call: Callable[[Any], Any], method: str, path: str) -> None:
    seen: list[tuple[str, str, str]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append((request.method, request.url.raw_path.decode(), request.headers["authorization"]))
        return envelope({"id": "x"})

    async def awaited() -> Any:
        return await call(asynchronous(answer))

    assert call(sync(answer)) == asyncio.run(awaited()) == {"id": "x"}
    assert seen == [(method, path, "Bearer zyra_sk_1")] * 2


@pytest.mark.parametrize("name", ["", "..", "."])
def test_an_id_cannot_climb(name: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        sync(lambda request: envelope({})).virtual_servers.get(name)


ROWS = [{"id": str(n)} for n in range(450)]


@pytest.mark.parametrize("place", ["meta", "top", "data", "nowhere"])
def test_lists_are_read_to_their_end_wherever_the_total_stands(place: str) -> None:
    asked: list[int] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        offset, limit = int(request.url.params["offset"]), int(request.url.params["limit"])
        asked.append(offset)
        rows = ROWS[offset : offset + limit]
        if place == "data":
            return envelope({"items": rows, "total": 450})
        document = {"success": True, "data": rows, "meta": {"total": 450} if place == "meta" else {}}
        return httpx2.Response(200, json=document | ({"total": 450} if place == "top" else {}))

    async def awaited() -> list[Any]:
        return [row async for row in asynchronous(answer).virtual_servers.list()]

    assert list(sync(answer).devices.list(status="online")) == asyncio.run(awaited()) == ROWS
    assert asked == [0, 200, 400, *([450] if place == "nowhere" else [])] * 2


def test_a_list_that_never_grows_ends() -> None:
    assert list(sync(lambda request: envelope([], total=9)).invoices.list()) == []
    assert list(sync(lambda request: envelope([], total=9)).webhooks.endpoints.list()) == []


def test_a_list_that_never_ends_is_an_error() -> None:
    with pytest.raises(errors.Unreadable, match="repeats"):
        list(sync(lambda request: envelope(ROWS[:200])).devices.list())


@pytest.mark.parametrize("path", ["https://evil.test/x", "//evil.test/x", "x"])
def test_the_key_goes_to_our_host_only(path: str) -> None:
    with pytest.raises(ValueError, match="must be a path"):
        sync(lambda request: envelope({})).request("GET", path)


def test_a_query_in_a_path_is_kept() -> None:
    seen: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.url.raw_path.decode())
        return envelope([])

    sync(answer).request("GET", "/api/v1/devices?status=online")

    assert seen == ["/api/v1/devices?status=online"]


def test_a_list_that_is_none_is_an_error() -> None:
    with pytest.raises(errors.Unreadable, match="holds no list"):
        list(sync(lambda request: envelope({"a": 1})).devices.list())
    with pytest.raises(errors.Unreadable, match="holds no list"):
        list(sync(lambda request: envelope("text")).devices.list())


@pytest.mark.parametrize(
    ("status", "kind", "family"),
    [
        (400, ZyraError, Exception),
        (401, errors.Unauthorized, RetryLater),
        (403, errors.Forbidden, Exception),
        (404, errors.NotFound, GiveUp),
        (409, errors.Conflict, GiveUp),
        (422, errors.Invalid, GiveUp),
        (429, errors.RateLimited, RetryLater),
        (500, errors.ServerError, Exception),
        (301, errors.Redirected, Exception),
        (405, errors.WrongVerb, Exception),
    ],
)
def test_errors_tell_all_that_the_api_said(status: int, kind: type[ZyraError], family: type[Exception]) -> None:
    block = {"code": "c", "message": "m", "details": {"a": 1}, "request_id": "req_9"}

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, json={"success": False, "error": block}, headers={"location": "https://evil"})

    with pytest.raises(kind) as caught:
        sync(answer).virtual_servers.get("vs_1")

    error = caught.value
    assert isinstance(error, family)
    assert isinstance(error, (GiveUp, RetryLater)) == (family in (GiveUp, RetryLater))
    assert (error.status, error.code, error.message, error.details, error.request_id) == (
        status,
        "c",
        "m",
        {"a": 1},
        "req_9",
    )
    assert "zyra_sk_1" not in str(error)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[" * 100_000, b'{"a": 1e99999999999999999999}', b'{"detail": [{"loc": []}]}', b"null"]
)
def test_errors_without_an_envelope(content: bytes) -> None:
    with pytest.raises(errors.Invalid) as caught:
        sync(lambda request: httpx2.Response(422, content=content)).invoices.get("i")

    assert caught.value.status == 422


@pytest.mark.parametrize(("content", "value"), [(b"", None), (b'{"id": 1}', {"id": 1}), (b"[1.5]", [Decimal("1.5")])])
def test_answers_without_an_envelope(content: bytes, value: Any) -> None:
    assert sync(lambda request: httpx2.Response(200, content=content)).request("GET", "/x") == value


def test_a_success_that_is_none_is_an_error() -> None:
    with pytest.raises(errors.Unreadable, match="no JSON"):
        sync(lambda request: httpx2.Response(200, content=b"<html>")).request("GET", "/x")
    with pytest.raises(ZyraError, match="oops"):
        sync(lambda request: httpx2.Response(200, json={"success": False, "error": {"code": "oops"}})).request(
            "GET", "/x"
        )


def test_a_limit_becomes_retry_later() -> None:
    with pytest.raises(RetryLater) as caught:
        sync(lambda request: httpx2.Response(429, headers={"retry-after": "7"})).invoices.get("i")

    assert caught.value.seconds == 7


def test_no_answer_is_an_ordinary_failure() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("slow")

    with pytest.raises(errors.Unreachable, match="ReadTimeout"):
        sync(answer).invoices.get("i")

    async def awaited() -> None:
        client = asynchronous(answer)
        try:
            await client.within(client.caller).invoices.get("i")
        finally:
            await client.close()

    with pytest.raises(errors.Unreachable):
        asyncio.run(awaited())
    sync(answer).close()


def test_a_redirect_does_not_carry_the_key_away() -> None:
    hosts: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        hosts.append(request.url.host)
        return httpx2.Response(302, headers={"location": "https://evil.test/"})

    with pytest.raises(ZyraError):
        sync(answer).invoices.get("i")
    assert hosts == ["zyra.test"]


def test_async_request_and_nothing_but_asked_for() -> None:
    async def awaited() -> Any:
        return await asynchronous(lambda request: envelope({"a": 1})).request("GET", "/x", params={"q": "1"})

    assert asyncio.run(awaited()) == {"a": 1}

"""Answers over our HTTP protocol, by applications that answer in other ways than ours does."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ...support.asgi import exchange

Answer = Callable[[Any, Any, Any], Awaitable[None]]


def start(status: int, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(text: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text, "more_body": more}


async def whole(scope: Any, receive: Any, send: Any) -> None:
    await send(start(202, (b"content-length", b"2")))
    await send(body(b"ok"))


async def closing(scope: Any, receive: Any, send: Any) -> None:
    await send(start(413, (b"content-length", b"2"), (b"connection", b"close")))
    await send(body(b"no"))


async def in_parts(scope: Any, receive: Any, send: Any) -> None:
    await send(start(200))
    await send(body(b"a", more=True))
    await send(body(b"b"))


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    await send(start(200))


async def fails(scope: Any, receive: Any, send: Any) -> None:
    await send(start(200))
    raise KeyError("x")


async def twice(scope: Any, receive: Any, send: Any) -> None:
    await whole(scope, receive, send)
    await send(body(b"more"))


GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


def test_a_whole_answer_keeps_its_connection_and_the_next_one_follows() -> None:
    said = exchange(whole, GET + GET)

    assert said.count(b"HTTP/1.1 202 Accepted\r\n") == 2
    assert said.count(b"\r\n\r\nok") == 2
    assert b"date: " in said
    assert b"connection" not in said


@pytest.mark.parametrize(
    ("app", "request_"), [(closing, GET), (whole, GET.replace(b"1.1", b"1.0"))], ids=["answer", "request"]
)
def test_one_that_closes_says_so_once(app: Answer, request_: bytes) -> None:
    said = exchange(app, request_ + GET)

    assert said.count(b"HTTP/1.1") == 1
    assert said.count(b"connection: close\r\n") == 1


def test_an_answer_in_parts_is_uvicorns() -> None:
    assert b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n" in exchange(in_parts, GET)


def test_the_answer_to_head_has_no_body() -> None:
    said = exchange(whole, GET.replace(b"GET", b"HEAD"))

    assert said.startswith(b"HTTP/1.1 202")
    assert said.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("app", [nothing, fails])
def test_an_application_that_fails_is_a_500(app: Answer) -> None:
    assert exchange(app, GET).startswith(b"HTTP/1.1 500")


def test_what_follows_a_whole_answer_is_uvicorns_error() -> None:
    assert exchange(twice, GET).count(b"HTTP/1.1") == 1


def test_nobody_is_answered_who_has_gone() -> None:
    async def late(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await whole(scope, receive, send)
        told.append(True)

    told: list[bool] = []

    assert exchange(late, GET) == b""
    assert told

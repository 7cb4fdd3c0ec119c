"""Which requests our server takes and which it refuses, byte by byte: the cases of uNetworking/h1spec, and smuggling."""

import json
from itertools import pairwise
from typing import Any

import pytest

from ...support import asgi
from ...support.asgi import answer

Scope = dict[str, Any]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says what it got: method, path, header names and body."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    names = sorted(name.decode() for name, _ in scope["headers"])
    said = [scope["method"], scope["path"], names, body.decode()]
    await answer(send, 200, json.dumps(said).encode())


async def early(scope: Any, receive: Any, send: Any) -> None:
    """Answers without a look at the body."""
    await answer(send, 413, scope["path"].encode())


def exchange(*pieces: bytes, app: Any = echo, **seconds: float) -> bytes:
    return asgi.exchange(app, *pieces, **seconds)


def said(text: bytes) -> list[Any]:
    """What `echo` got, request by request."""
    return [json.loads(part.partition(b"\r\n\r\n")[2]) for part in text.split(b"HTTP/1.1 200 OK\r\n")[1:]]


H = "Host: example.com\r\n"
FRAGMENTS = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r"
WAITS = (0, 0)
CASES = [
    *((FRAGMENTS[:length], WAITS) for length in (1, 4, 10, 11, 15, 19, 20, 21, 24, 26, 27, 36, 37, 38, 39)),
    ("GET / \r\n\r\n", (400, 599)),
    (f"GET / HTTP/1.1\r\n{H}Expect: 100-continue\r\n\r\n", (100, 299)),
    (f"GET / HTTP/1.1\r\n{H}\r\n", (200, 299)),
    ("GET / HTTP/1.1\r\nhoSt:\texample.com\r\nempty:\r\n\r\n", (200, 299)),
    (f"GET / HTTP/1.1\r\n{H}X-Invalid[]: test\r\n\r\n", (400, 499)),
    ("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", (400, 499)),
    (f"GET / HTTP/1.1\r\n{H}Host: example.org\r\n\r\n", (400, 499)),
    (f"GET / HTTP/1.1\r\n{H}Content-Length: -123456789123456789123456789\r\n\r\n", (400, 499)),
    (f"GET / HTTP/1.1\r\n{H}Content-Length: -1234\r\n\r\n", (400, 499)),
    (f"GET / HTTP/1.1\r\n{H}Content-Length: abc\r\n\r\n", (400, 499)),
    (f"GET / HTTP/1.1\r\n{H}X-Empty-Header: \r\n\r\n", (200, 299)),
    (f"GET / HTTP/1.1\r\n{H}X-Bad-Control-Char: test\x07\r\n\r\n", (400, 499)),
    (f"GET / HTTP/9.9\r\n{H}\r\n", (400, 599)),
    (f"Extra lineGET / HTTP/1.1\r\n{H}\r\n", (400, 599)),
    (f"GET / HTTP/1.1\r\n{H}\rSome-Header: Test\r\n\r\n", (400, 499)),
    (f"POST / HTTP/1.1\r\n{H}Content-Length: 5\r\n\r\nhello", (200, 299)),
    (f"POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\nc\r\nHellO world1\r\n0\r\n\r\n", (200, 299)),
    (
        f"POST / HTTP/1.1\r\n{H}content-LengtH: 5\r\nTransFer-Encoding: chunked\r\n\r\nc\r\nHellO world1\r\n0\r\n\r\n",
        (400, 499),
    ),
    # not of h1spec
    ("GET / HTTP/1.0\r\n\r\n", (200, 299)),
    (f"CONNECT example.com:443 HTTP/1.1\r\n{H}\r\n", (400, 400)),
    (f"CONNECT / HTTP/1.1\r\n{H}Upgrade: x\r\nConnection: upgrade\r\n\r\n", (400, 400)),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 499)),
    (f"GET / HTTP/1.1\r\n{H}" + "a: b\r\n" * 300 + "\r\n", (431, 431)),
    (f"GET / HTTP/1.1\r\n{H}a: {'b' * 66_000}\r\n\r\n", (431, 431)),
    (f"GET /{'a' * 66_000} HTTP/1.1\r\n{H}\r\n", (431, 431)),
    (f"POST / HTTP/1.1\r\n{H}a: {'b' * 60_000}\r\nContent-Length: 9000\r\n\r\n{'c' * 9_000}", (200, 200)),
]


@pytest.mark.parametrize(("request_", "expected"), CASES, ids=[str(number) for number in range(len(CASES))])
def test_h1spec(request_: str, expected: tuple[int, int]) -> None:
    text = exchange(request_.encode("latin-1"), silence=0.15)

    low, high = expected
    assert low <= int(text[9:12] or 0) <= high


UPGRADES = ["h2c", "websocket", "TLS/1.0"]
BODY = '{"data": 1}'
SMUGGLED = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("split", ["whole", "after the head", "in the body", "byte by byte"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_an_upgrade_changes_nothing(upgrade: str, split: str, chunked: bool) -> None:
    body = BODY + SMUGGLED
    framed = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n" if chunked else body
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    head = f"POST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AA\r\n{length}\r\nX-A: 1\r\n\r\n"
    whole = (head + framed + "GET /b HTTP/1.1\r\nHost: x\r\n\r\n").encode()
    at = {"whole": [], "after the head": [len(head)], "in the body": [len(head) + 20]}.get(split, range(1, len(whole)))
    edges = [0, *at, len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(edges)]

    found = said(exchange(*pieces, pause=0.02 if len(pieces) < 5 else 0))

    names = ["host", "transfer-encoding" if chunked else "content-length", "x-a"]
    assert found == [["POST", "/a", sorted(names), body], ["GET", "/b", ["host"], ""]]


def test_an_upgrade_without_a_body_is_answered() -> None:
    request_ = f"GET /a HTTP/1.1\r\n{H}Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n\r\n"

    found = said(exchange(request_.encode() * 3))

    assert found == [["GET", "/a", ["connection", "host"], ""]] * 3


def test_an_upgrade_that_also_closes_closes() -> None:
    request_ = f"GET /a HTTP/1.1\r\n{H}Connection: close, upgrade\r\nUpgrade: h2c\r\n\r\n"

    text = exchange(request_.encode() * 2)

    assert len(said(text)) == 1
    assert text.count(b"connection: close") == 1


def test_trailers_are_no_headers() -> None:
    head = f"POST /a HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nTrailer: x-zyra-signature\r\n\r\n2\r\n".encode()
    tail = b"{}\r\n0\r\nx-zyra-signature: 00\r\nhost: y\r\n\r\n"

    whole = said(exchange(head + tail))
    split = said(exchange(head, tail))

    assert whole == split == [["POST", "/a", ["host", "trailer", "transfer-encoding"], "{}"]]


@pytest.mark.parametrize("tail", [b"x-a: " + b"a" * 400_000, b"x-a: b\r\n" * 50_000, b"a: " + b"\r\na: b" * 60_000])
def test_trailers_have_an_end(tail: bytes) -> None:
    head = f"POST /a HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n".encode()

    text = exchange(head, *(tail[at : at + 20_000] for at in range(0, len(tail), 20_000)), pause=0.002)

    assert text.startswith(b"HTTP/1.1 400")
    assert b"the trailers are too large" in text


def test_few_requests_may_wait_for_their_answers() -> None:
    text = exchange(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" * 50)

    assert text.count(b"HTTP/1.1 200") == 9
    assert text.count(b"connection: close") == 1
    assert text.rpartition(b"HTTP/1.1 200")[2].count(b"connection: close") == 1


def test_those_before_a_malformed_request_are_answered_first() -> None:
    text = exchange(f"GET /a HTTP/1.1\r\n{H}\r\nGET /b HTTP/1.1\r\n\r\n".encode())

    assert text.startswith(b"HTTP/1.1 200")
    assert text.count(b"HTTP/1.1 400") == 1


def test_a_bad_chunk_behind_another_request() -> None:
    first, second = f"GET /a HTTP/1.1\r\n{H}\r\n", f"POST /b HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\nzz\r\n"

    text = exchange((first + second).encode())

    assert text.startswith(b"HTTP/1.1 200")
    assert text.count(b"HTTP/1.1") == 2
    assert b"HTTP/1.1 400" in text


def test_a_bad_chunk_alone_is_one_answer() -> None:
    text = exchange(f"POST /b HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\nzz\r\n".encode())

    assert text.count(b"HTTP/1.1") == 1
    assert text.startswith(b"HTTP/1.1 400")


def test_who_is_answered_before_the_end_hears_it_and_no_further_byte_is_parsed() -> None:
    head = f"POST /a HTTP/1.1\r\n{H}Content-Length: 3000000\r\n\r\n".encode()

    texts = [exchange(head, *[SMUGGLED.encode() * 500] * 100, app=early, pause=0.001) for _ in range(5)]

    assert [text.count(b"HTTP/1.1 413") for text in texts] == [1] * 5
    assert all(b"connection: close" in text and text.endswith(b"/a") for text in texts)


def test_a_complete_request_that_is_answered_early_keeps_its_connection() -> None:
    text = exchange(
        f"POST /a HTTP/1.1\r\n{H}Content-Length: 2\r\n\r\n{{}}GET /b HTTP/1.1\r\n{H}\r\n".encode(), app=early
    )

    assert text.count(b"HTTP/1.1 413") == 2
    assert b"connection: close" not in text


def test_blank_lines_between_requests_do_no_harm() -> None:
    request_ = f"GET /a HTTP/1.1\r\n{H}\r\n\r\n\r\n".encode()

    assert len(said(exchange(request_, b"\r\n", request_))) == 2

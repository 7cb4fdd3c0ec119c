"""Requests that no provider sends: made by mutation from a good one, from a seed."""

import asyncio
import json
import random
from collections import Counter

from .sender import SECRET, signature

HEADERS = [
    "x-zyra-event",
    "x-zyra-signature",
    "content-type",
    "content-encoding",
    "content-length",
    "transfer-encoding",
]
STRANGE = [b"", b"\x00", b"\xff\xfe", b"\r", b"a" * 9000, b"%s%n", "é".encode(), b"../..", b"-1", b"1e9", b"\xc0\xaf"]
BODIES = [
    b"", b"{", b"[" * 20_000, b'{"a":' * 3000, b"9" * 6000, b'{"a":1e999,"b":NaN}', b'{"id":1,"id":2}', b"\xef\xbb\xbf{}",
    b'{"event_id":"\\ud800"}', b'{"event_id":' + b'"x"' * 2, b'{"id":true}', b'{"event_id":["a"]}', b"\x1f\x8b\x08", b"null",
    '{"a":1}'.encode("utf-16"), b'{"event_id":"' + b"x" * 5000 + b'"}', b'{"event_id":"\\u0000"}', b'"evt"', b'{"type":5}',
]  # fmt: skip


def requests(seed: int, count: int) -> list[bytes]:
    """Half of them are signed, after the mutation of the body; headers and framing are mutated after that."""
    chance = random.Random(seed)
    return [one(chance, number % 2 == 0, number) for number in range(count)]


def one(chance: random.Random, signed: bool, number: int) -> bytes:
    body = mutate(chance, json.dumps({"event_id": f"corpus-{number}", "data": {"id": "vs_1"}}).encode())
    headers = [
        (b"host", b"receiver"),
        (b"x-zyra-event", b"corpus.event"),
        (b"x-zyra-signature", signature(body).encode() if signed else forged(chance, body)),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    path, method = b"/webhooks/zyra", b"POST"
    for _ in range(chance.randrange(3)):
        what = chance.randrange(8)
        place = chance.randrange(len(headers))
        name, value = headers[place]
        if what == 0:
            headers[place] = (name, chance.choice(STRANGE))
        elif what == 1:
            headers.append((chance.choice(HEADERS).encode(), chance.choice([*STRANGE, value])))
        elif what == 2 and name != b"content-length":
            headers.pop(place)
        elif what == 3:
            headers[place] = (flip(chance, name), value)
        elif what == 4:
            path = chance.choice(
                [b"/webhooks/zyra/", b"/webhooks/%7ayra", b"//webhooks/zyra", b"/webhooks/none", b"/%00", b"*"]
            )
        elif what == 5:
            method = chance.choice([b"GET", b"PUT", b"OPTIONS", b"post", b"\xff", b"CONNECT"])
        elif what == 6:
            headers[place] = (name, flip(chance, value))
        else:
            headers += [(b"x-%d" % n, b"y" * 20) for n in range(chance.choice([10, 200, 4000]))]
    head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return method + b" " + path + b" HTTP/1.1\r\n" + head + b"connection: close\r\n\r\n" + body


def mutate(chance: random.Random, body: bytes) -> bytes:
    what = chance.randrange(5)
    if what == 0:
        return chance.choice(BODIES)
    if what == 1:
        return flip(chance, body)
    if what == 2:
        return body[: chance.randrange(len(body))]
    if what == 3:
        return body + chance.randbytes(chance.randrange(1, 200))
    return body


def flip(chance: random.Random, value: bytes) -> bytes:
    changed = bytearray(value or b"x")
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def forged(chance: random.Random, body: bytes) -> bytes:
    right = signature(body).encode()
    return chance.choice(
        [b"", right[:-1], right.upper() + b"0", b"0" * 64, b"sha256=", SECRET, "ñ".encode() * 32, right[::-1]]
    )


async def post(port: int, request: bytes) -> str:
    """The status, or "" where the connection ended without one."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return "gone"
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(15):
            return (await reader.read(12))[9:12].decode("latin-1")
    except (OSError, TimeoutError):
        return ""
    finally:
        writer.close()


async def post_all(port: int, corpus: list[bytes], at_once: int = 16) -> Counter[str]:
    """How often each status was answered."""
    gate, found = asyncio.Semaphore(at_once), Counter[str]()

    async def send(request: bytes) -> None:
        async with gate:
            found[await post(port, request)] += 1

    await asyncio.gather(*(send(request) for request in corpus))
    return found

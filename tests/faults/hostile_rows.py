"""Those who mean harm: at the door, and behind it."""

import asyncio
import random
import secrets
import time

from receiver.contract.keys import make_event_id
from tests.support.kit import wait_for

from . import corpus
from .row import Scene
from .world import commands

CORPUS = 10_000


def port_of(base: str) -> int:
    return int(base.rpartition(":")[2])


def unsigned_flood(scene: Scene) -> None:
    """10,000 unsigned requests while 50 signed ones a second go on; the flood alone makes Redis do nothing."""
    here = scene.here
    base, _ = here.receiver()
    flood = corpus.requests(41, 2 * CORPUS)[1::2]
    before = commands(here.redis.client)
    asyncio.run(corpus.post_all(port_of(base), flood[:1000]))
    scene.insist(commands(here.redis.client) == before, "the flood reached Redis")
    here.worker()
    sending = scene.sending(base, count=500, at_once=2, seconds=0.0)
    asyncio.run(corpus.post_all(port_of(base), flood[1000:]))
    sending.join()
    slow = sorted(scene.sent.times)[len(scene.sent.times) * 99 // 100]
    scene.insist(slow < 0.25, f"99 % of the signed ones were answered within {slow:.2f} s only")


def slow_loris(scene: Scene) -> None:
    """200 connections that send a byte now and then: the others are served, and they are closed."""
    here = scene.here
    base, _ = here.receiver()
    here.worker()
    sending = scene.sending(base, count=600, at_once=4)
    closed = asyncio.run(dawdle(port_of(base), 200))
    sending.join()
    scene.insist(closed == 200, f"only {closed} of 200 were closed within 15 s")


async def dawdle(port: int, number: int) -> int:
    """How many connections the receiver closed."""

    async def one(tail: bytes) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /webhooks/zyra HTTP/1.1\r\nhost: x\r\n" + tail)
        try:
            async with asyncio.timeout(15):
                for _ in range(30):
                    await asyncio.sleep(0.5)
                    if reader.at_eof() or writer.is_closing():
                        return True
                    writer.write(b"a")
                return False
        except OSError:
            return True
        except TimeoutError:
            return False
        finally:
            writer.close()

    tails = [b"x-a: ", b"content-length: 1000\r\n\r\n{", b"transfer-encoding: chunked\r\n\r\n5\r\n"]
    return sum(await asyncio.gather(*(one(tails[n % 3]) for n in range(number))))


def hostile_corpus(scene: Scene) -> None:
    """10,000 mutated requests: no 5xx, no traceback; the unsigned half makes Redis do nothing."""
    here = scene.here
    base, _ = here.receiver()
    mutated = corpus.requests(43, CORPUS)
    before = commands(here.redis.client)
    answers = asyncio.run(corpus.post_all(port_of(base), mutated[1::2]))
    scene.insist(commands(here.redis.client) == before, "an unsigned request reached Redis")
    scene.insist("202" not in answers, "an unsigned request was accepted")
    answers += asyncio.run(corpus.post_all(port_of(base), mutated[::2]))
    bad = {status: count for status, count in answers.items() if status[:1] not in ("2", "4") and status}
    scene.insist(not bad, f"answers: {bad}")
    scene.insist(answers["202"] > CORPUS / 10, "too few of the signed ones were accepted to prove anything")
    here.worker()
    scene.sending(base, count=100)


def forged_records(scene: Scene) -> None:
    """Who can write to Redis invents events from those that are there, and alters others: none of them reaches a handler."""
    here = scene.here
    base, _ = here.receiver()
    scene.sending(base, count=200)
    scene.wait()
    client, keys, chance = here.redis.client, here.ledger.keys, random.Random(12)
    events = [event.decode() for event in client.zrange(keys.name("pending"), 0, -1)]
    for event in events[:50]:
        invented = make_event_id(int(time.time() * 1000) + chance.randrange(1000))
        record = client.hgetall(keys.event(event)) | {b"delivery_id": b"invented-" + secrets.token_hex(4).encode()}
        ordinal = client.incr(keys.name("ordinal"))
        job = f"{ordinal}-{invented}"
        client.hset(keys.event(invented), mapping={**record, b"job": str(ordinal).encode()})  # type: ignore[dict-item]
        client.set(keys.body(invented), client.get(keys.body(event)) or b"")
        client.zadd(keys.name("pending"), {invented: ordinal})
        client.rpush(keys.jobs, job)
    here.worker()
    wait_for(lambda: client.zcard(keys.name("pending")) == client.zcard(keys.name("queued")) == 0)

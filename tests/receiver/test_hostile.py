"""A thousand requests that no provider sends, to a receiver as it runs; `make faults ROW=43` sends ten thousand."""

import asyncio

import httpx2

from receiver.contract.connection import connect
from tests.faults.corpus import post_all, requests
from tests.faults.world import commands
from tests.support.kit import Server, free_port, running, wait_for


def test_no_mutation_makes_us_fail_and_no_unsigned_one_reaches_redis(own_server: Server, env: dict[str, str]) -> None:
    port, client = free_port(), connect(own_server.url, "")
    mutated = requests(7, 1000)
    with running("workers.cli", "serve", env={"PORT": str(port), "REDIS_URL": own_server.url}) as process:
        wait_for(lambda: alive(port))
        before = commands(client)

        unsigned = asyncio.run(post_all(port, mutated[1::2]))
        quiet = commands(client) == before
        signed = asyncio.run(post_all(port, mutated[::2]))

        process.terminate()
        _, errors = process.communicate(timeout=20)
    client.close()
    assert quiet
    assert "202" not in unsigned
    assert signed["202"] > 50
    assert {status[:1] for status in unsigned + signed} <= {"2", "4", ""}
    assert "Traceback" not in errors


def alive(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False

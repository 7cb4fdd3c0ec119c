"""The receiver's connections to Redis, on the event loop that the service runs on."""

import secrets

import pytest
import redis
import uvloop

from receiver.redis_connections import LIBRARY, GuardedWrites, connect
from tests.support.kit import Server


@pytest.mark.parametrize("kind", ["connection", "tls_connection", "unix_connection", "sentinel_connection"])
def test_every_kind_of_connection_is_guarded(kind: str) -> None:
    assert issubclass(getattr(LIBRARY, kind), GuardedWrites)


def test_a_connection_that_ended_before_a_write_is_an_error_of_redis(server: Server) -> None:
    async def write_after_the_end() -> None:
        client = connect(server.url, "t" + secrets.token_hex(4))
        connection = await client.connection_pool.get_connection()
        connection._writer.transport.abort()
        with pytest.raises(redis.ConnectionError):
            await connection.send_packed_command(b"PING\r\n", check_health=False)
        await client.aclose()

    uvloop.run(write_after_the_end())

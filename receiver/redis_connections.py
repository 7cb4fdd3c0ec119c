"""The receiver's own connections to Redis: they do not block, are bounded in time, and never repeat a call silently."""

from typing import Any

import redis.asyncio as redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelManagedConnection
from redis.exceptions import ResponseError

from .contract.connection import GONE, Library, make_client
from .contract.slot import ELSEWHERE, SlotOwner

CONNECT_SECONDS = 0.5
READ_SECONDS = 1.0
MAX_CONNECTIONS = 16


class GuardedWrites(AbstractConnection):
    """Of a connection that ended: redis-py expects an OSError when it writes, uvloop raises a RuntimeError."""

    async def send_packed_command(self, *arguments: Any, **options: Any) -> None:
        try:
            await super().send_packed_command(*arguments, **options)
        except RuntimeError as error:
            await self.disconnect(nowait=True)
            raise redis.ConnectionError(str(error)) from None


class UnixConnection(GuardedWrites, redis.UnixDomainSocketConnection):
    """To a server on this machine."""


class SentinelConnection(GuardedWrites, SentinelManagedConnection):
    """To the primary that Sentinels name."""


class OwnerConnection(GuardedWrites, redis.Connection):
    """`contract.connection.OwnerConnection`, without blocking."""

    def __init__(self, *, owner: SlotOwner, **options: Any) -> None:
        super().__init__(**options)
        self._owner = owner
        self._generation = -1

    async def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        if self.is_connected and self._generation == self._owner.generation:
            return
        await self.disconnect(nowait=True)
        failure: Exception = redis.ConnectionError("no node is known")
        for node in self._owner.list_nodes():
            try:
                await self._follow(node)
            except GONE as error:
                failure = error
                self._owner.distrust((self.host, self.port))
            else:
                return
        raise failure

    async def _follow(self, node: tuple[str, int]) -> None:
        """Connects to the owner that this node knows: most often itself."""
        self._generation = self._owner.generation
        self.host, self.port = node
        await super().connect_check_health(retry_socket_connect=False)
        try:
            owner = self._owner.learn(node, await self._ask("CLUSTER", "SLOTS"), await self._ask("CLUSTER", "MYID"))
        except ResponseError:  # no cluster, or it may not be asked; MOVED would tell
            return
        if owner != node:
            await self.disconnect(nowait=True)
            self.host, self.port = owner
            await super().connect_check_health(retry_socket_connect=False)

    async def _ask(self, *command: str) -> Any:
        await self.send_command(*command, check_health=False)
        return await self.read_response()

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)
        except ELSEWHERE as error:
            await self.disconnect(nowait=True)
            raise self._owner.leave((self.host, self.port), error) from None


class OwnerTlsConnection(OwnerConnection, redis.SSLConnection):
    """The same by TLS."""


LIBRARY = Library(
    redis=redis,
    connection=OwnerConnection,
    tls_connection=OwnerTlsConnection,
    unix_connection=UnixConnection,
    sentinel_connection=SentinelConnection,
    sentinel=Sentinel,
    retry=Retry,
)


def connect(url: str, tag: str) -> redis.Redis:
    """A client for the keys of this hash tag; it connects at the first call."""
    options = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": READ_SECONDS,
        "client_name": "zyra-receiver",
    }
    client: redis.Redis = make_client(url, tag, LIBRARY, max_connections=MAX_CONNECTIONS, **options)
    return client

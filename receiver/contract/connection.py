"""Clients for Redis with timeouts and without silent retries: the caller decides what an unknown outcome means.

redis://user:password@host:6379/0 may name several nodes of a cluster, host:6379,host:6379: see `slot.py`.
sentinel://user:password@host:26379,host:26379/service?db=0 asks Sentinels who the primary is, at every new connection.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection

from .slot import ELSEWHERE, SlotMoved, SlotOwner, parse_hosts, split_hosts

GONE = (redis.ConnectionError, redis.TimeoutError, OSError)  # no answer: the outcome is unknown
FAULTS = (redis.RedisError, OSError)  # no answer, or one that says no
SENTINEL_SECONDS = 0.5  # for a Sentinel's answer
C = TypeVar("C")


class OwnerConnection(redis.Connection):
    """Connects to the owner of the ledger's slot, and drops the connection when that is another one."""

    def __init__(self, *, owner: SlotOwner, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._owner = owner
        self._generation = -1

    def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        """What redis-py calls wherever it needs a connection: at the first call, and after one that was dropped."""
        if self._sock and self._generation == self._owner.generation:
            return
        self.disconnect()  # type: ignore[no-untyped-call]
        failure: Exception = redis.ConnectionError("no node is known")
        for node in self._owner.list_nodes():
            try:
                self._follow(node)
            except GONE as error:
                failure = error
                self._owner.distrust((self.host, self.port))
            else:
                return
        raise failure

    def _follow(self, node: tuple[str, int]) -> None:
        """Connects to the owner that this node knows: most often itself."""
        self._generation = self._owner.generation
        self.host, self.port = node
        super().connect_check_health(retry_socket_connect=False)
        try:
            owner = self._owner.learn(node, self._ask("CLUSTER", "SLOTS"), self._ask("CLUSTER", "MYID"))
        except redis.ResponseError:  # no cluster, or it may not be asked; MOVED would tell
            return
        if owner != node:
            self.disconnect()  # type: ignore[no-untyped-call]
            self.host, self.port = owner
            super().connect_check_health(retry_socket_connect=False)

    def _ask(self, *command: str) -> Any:
        self.send_command(*command, check_health=False)  # type: ignore[no-untyped-call]
        return self.read_response()

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().read_response(*arguments, **options)
        except ELSEWHERE as error:
            self.disconnect()  # type: ignore[no-untyped-call]
            raise self._owner.leave((self.host, self.port), error) from None


class OwnerTlsConnection(OwnerConnection, redis.SSLConnection):
    """The same by TLS."""


OWNED = {redis.Connection: OwnerConnection, redis.SSLConnection: OwnerTlsConnection}


class Library(NamedTuple):
    """What a client is made of. redis: redis-py's package, the blocking one or `redis.asyncio`."""

    redis: Any
    connection: Any
    tls_connection: Any
    unix_connection: Any
    sentinel_connection: Any
    sentinel: Any
    retry: Any


BLOCKING = Library(
    redis=redis,
    connection=OwnerConnection,
    tls_connection=OwnerTlsConnection,
    unix_connection=redis.UnixDomainSocketConnection,
    sentinel_connection=SentinelManagedConnection,
    sentinel=Sentinel,
    retry=Retry,
)


def connect(url: str, tag: str, *, read: float = 2.0, name: str = "zyra-receiver") -> redis.Redis:
    """A blocking client for the keys of this hash tag; it connects at the first call.

    read: seconds after which a call ends.
    """
    options: dict[str, Any] = {"socket_connect_timeout": 1.0, "socket_timeout": read, "client_name": name}
    client: redis.Redis = make_client(url, tag, BLOCKING, **options)
    return client


def make_client(url: str, tag: str, library: Library, max_connections: int | None = None, **options: Any) -> Any:
    """A client that never repeats a call by itself, unless the server refused it because the slot has moved."""
    once = {"retry": library.retry(NoBackoff(), 1, (SlotMoved,)), "driver_info": None}  # SETINFO: not in Redis 7.0
    if url.startswith("sentinel:"):
        hosts, service, login = parse_sentinels(url)
        asking = {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS, **once}
        sentinels = library.sentinel(hosts, sentinel_kwargs=asking)
        kind = {"connection_class": library.sentinel_connection, "max_connections": max_connections}
        return sentinels.master_for(service, library.redis.Redis, **kind, **login, **options, **once)
    arguments = {**options, **once, **read_url(url)}
    kind = arguments.pop("connection_class", redis.Connection)
    if kind is redis.UnixDomainSocketConnection:
        connection = library.unix_connection
    else:
        connection = library.tls_connection if kind is redis.SSLConnection else library.connection
        arguments["owner"] = SlotOwner(arguments.pop("nodes"), tag)
    pool = library.redis.ConnectionPool(connection_class=connection, max_connections=max_connections, **arguments)
    return library.redis.Redis.from_pool(pool)


def read_url(url: str) -> dict[str, Any]:
    """redis-py's options of a redis://, rediss:// or unix:// URL, and the nodes that it names. Raises ValueError."""
    if url.startswith("unix:"):
        return dict(parse_url(url))  # type: ignore[no-untyped-call]
    first, nodes = split_hosts(url)
    return {**parse_url(first), "nodes": nodes}  # type: ignore[no-untyped-call]


def is_cluster(client: Any) -> bool:
    """Whether the server that the client is connected to is in cluster mode."""
    owner = client.connection_pool.connection_kwargs.get("owner")
    return owner is not None and owner.is_cluster


def name_mode(client: Any) -> str:
    """cluster, sentinel or single: what the client is connected to."""
    if is_cluster(client):
        return "cluster"
    return "sentinel" if hasattr(client.connection_pool, "service_name") else "single"


def describe_mode(client: Any) -> str:
    """The same in words, with the place of the ledger."""
    owner: SlotOwner | None = client.connection_pool.connection_kwargs.get("owner")
    mode = name_mode(client)
    place = f", slot {owner.slot} at {owner.address[0]}:{owner.address[1]}" if owner and owner.is_cluster else ""
    words = {"cluster": "cluster mode", "sentinel": "primary of a Sentinel service", "single": "single server"}
    return words[mode] + place


def parse_sentinels(url: str) -> tuple[list[tuple[str, int]], str, dict[str, str | int]]:
    """The Sentinels, the name of the service they watch, and how to log in there. Raises ValueError."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    service = parts.path.strip("/")
    addresses = list(parse_hosts(hosts, 26379))
    query = dict(parse_qsl(parts.query))
    database = query.pop("db", "0")
    if query or not service or "/" in service or not database.isdecimal():
        raise ValueError("must be sentinel://host:26379,host:26379/service, with ?db=N if it is not 0")
    options: dict[str, str | int] = {"username": unquote(user), "password": unquote(password), "db": int(database)}
    return addresses, unquote(service), {name: value for name, value in options.items() if value}


def check(url: str) -> None:
    """Raises ValueError where the URL cannot be read."""
    if url.startswith("sentinel:"):
        parse_sentinels(url)
    else:
        read_url(url)


def connect_again(of: redis.Redis, tag: str, **options: Any) -> redis.Redis:
    """Another client to the same server, for the keys of this hash tag: a forked process must not share connections.

    of: any blocking client. Where it is redis-py's own, the new one finds the slot's owner all the same.
    """
    pool = of.connection_pool
    kind = OWNED.get(pool.connection_class, pool.connection_class)
    arguments = {**pool.connection_kwargs, **options}
    if "owner" in arguments:
        arguments["owner"] = arguments["owner"].copy(tag)
    elif kind is not pool.connection_class:
        arguments["owner"] = SlotOwner([(arguments.get("host", "localhost"), arguments.get("port", 6379))], tag)
        arguments["retry"] = Retry(NoBackoff(), 1, (SlotMoved,))
    if isinstance(pool, SentinelConnectionPool):
        arguments.pop("connection_pool")
        mine = SentinelConnectionPool(pool.service_name, pool.sentinel_manager, **arguments)  # type: ignore[no-untyped-call]
        return redis.Redis.from_pool(mine)
    return redis.Redis.from_pool(redis.ConnectionPool(connection_class=kind, **arguments))


def decode_text(value: object) -> str:
    """A reply of Redis as text. Bytes that are no UTF-8 were not written by us, and are escaped."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def compute_memory_share(info: Mapping[str, Any]) -> float:
    """The share of maxmemory in use, of what INFO memory says; 0 where there is no limit."""
    limit = int(info.get("maxmemory", 0))
    return int(info.get("used_memory", 0)) / limit if limit else 0.0

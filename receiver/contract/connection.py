"""Clients for Redis with timeouts and without silent retries: the caller decides what an unknown outcome means.

sentinel://user:password@host:26379,host:26379/service?db=0 asks Sentinels who the primary is, at every new connection.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

GONE = (redis.ConnectionError, redis.TimeoutError, OSError)  # no answer: the outcome is unknown
FAULTS = (redis.RedisError, OSError)  # no answer, or one that says no
SENTINEL_SECONDS = 0.5  # for a Sentinel's answer
C = TypeVar("C")


def connect(url: str, *, read: float = 2.0, name: str = "zyra-receiver") -> redis.Redis:
    """A blocking client whose calls end after `read` seconds; it connects at the first call."""
    options = {"socket_connect_timeout": 1.0, "socket_timeout": read, "client_name": name}
    return make_client(url, redis.Redis, Sentinel, Retry, **options)


def make_client(url: str, kind: Callable[..., C], sentinel: Any, retry: Any, **options: Any) -> C:
    """A client of this class, blocking or not, that never retries a call by itself."""
    once = {"retry": retry(NoBackoff(), 0), "driver_info": None}  # CLIENT SETINFO is younger than Redis 7.0
    if not url.startswith("sentinel:"):
        return kind.from_url(url, **options, **once)  # type: ignore[attr-defined,no-any-return]
    hosts, service, login = parse_sentinels(url)
    asking = {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS, **once}
    return sentinel(hosts, sentinel_kwargs=asking).master_for(service, kind, **login, **options, **once)  # type: ignore[no-any-return]


def parse_sentinels(url: str) -> tuple[list[tuple[str, int]], str, dict[str, str | int]]:
    """The Sentinels, the name of the service they watch, and how to log in there. Raises ValueError."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    service = parts.path.strip("/")
    addresses = []
    for host in hosts.split(","):
        name, _, port = host.rpartition(":") if ":" in host.rpartition("]")[2] else (host, "", "26379")
        if not name or not port.isdecimal():
            raise ValueError(f"has no Sentinel at {host!r}: sentinel://host:26379,host:26379/service")
        addresses.append((name.strip("[]"), int(port)))
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
        parse_url(url)  # type: ignore[no-untyped-call]


def connect_again(of: redis.Redis, **options: Any) -> redis.Redis:
    """Another client to the same server, because a forked process must not share connections."""
    pool = of.connection_pool
    arguments = {**pool.connection_kwargs, **options}
    if isinstance(pool, SentinelConnectionPool):
        arguments.pop("connection_pool")
        mine = SentinelConnectionPool(pool.service_name, pool.sentinel_manager, **arguments)  # type: ignore[no-untyped-call]
        return redis.Redis.from_pool(mine)
    return redis.Redis.from_pool(redis.ConnectionPool(connection_class=pool.connection_class, **arguments))


def decode_text(value: object) -> str:
    """A reply of Redis as text. Bytes that are no UTF-8 were not written by us, and are escaped."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def compute_memory_share(info: Mapping[str, Any]) -> float:
    """The share of maxmemory in use, of what INFO memory says; 0 where there is no limit."""
    limit = int(info.get("maxmemory", 0))
    return int(info.get("used_memory", 0)) / limit if limit else 0.0

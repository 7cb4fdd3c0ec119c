"""Redis, with bounded time and no silent retries: whoever calls decides what a doubt means."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

GONE = (redis.ConnectionError, redis.TimeoutError, OSError)  # no answer: the outcome is unknown
FAULTS = (redis.RedisError, OSError)  # no answer, or one that says no


def connect(url: str, *, read: float = 2.0, name: str = "zyra-receiver") -> redis.Redis:
    """A blocking client whose calls end after `read` seconds; it connects at the first call."""
    return redis.Redis.from_url(
        url, socket_connect_timeout=1.0, socket_timeout=read, retry=Retry(NoBackoff(), 0), client_name=name
    )


def text(value: object) -> str:
    """A reply of Redis as text; what is no UTF-8 was not written by us and stays recognizable."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)

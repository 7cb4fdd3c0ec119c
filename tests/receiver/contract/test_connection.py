"""Redis by its URL: what is refused, what is asked for, and who is asked."""

import pytest
import redis
from redis.sentinel import SentinelConnectionPool

from receiver.contract.connection import compute_memory_share, connect, connect_again, parse_sentinels
from receiver.contract.settings import parse_redis_url
from receiver.contract.slot import SlotMoved


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("sentinel://a:1,b:2/main", ([("a", 1), ("b", 2)], "main", {})),
        ("sentinel://a/main?db=3", ([("a", 26379)], "main", {"db": 3})),
        ("sentinel://[::1]:5,[::2]/m", ([("::1", 5), ("::2", 26379)], "m", {})),
        ("sentinel://u:p%40w@a:1/m", ([("a", 1)], "m", {"username": "u", "password": "p@w"})),
        ("sentinel://:pw@a:1/m%20x", ([("a", 1)], "m x", {"password": "pw"})),
    ],
)
def test_sentinels_are_read_from_their_url(url: str, found: object) -> None:
    assert parse_redis_url(url) == url
    assert parse_sentinels(url) == found


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://", "sentinel://a:1", "sentinel:///m", "sentinel://a:x/m", "sentinel://a:1,/m", "sentinel://a:1/m/n",
        "sentinel://a:1/m?db=x", "sentinel://a:1/m?ssl=1", "http://a", "redis://a:x", "",
    ],
)  # fmt: skip
def test_what_is_no_url_of_ours_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|has no|cannot"):
        parse_redis_url(url)


@pytest.mark.parametrize("url", ["redis://u:p@h:1/2", "sentinel://u:p@h:1/main?db=2"])
def test_a_client_never_repeats_a_call_and_gives_up_in_time(url: str) -> None:
    for one in (
        connect(url, "", read=3.0, name="n"),
        connect_again(connect(url, "", name="n"), "", socket_timeout=3.0),
    ):
        told = one.connection_pool.connection_kwargs

        assert (told["socket_timeout"], told["socket_connect_timeout"], told["client_name"]) == (3.0, 1.0, "n")
        assert (told["username"], told["password"], told["db"]) == ("u", "p", 2)
        assert told["retry"]._supported_errors == (SlotMoved,)


def test_another_client_asks_the_same_sentinels() -> None:
    first = connect("sentinel://127.0.0.1:1/main", "")
    second = connect_again(first, "")

    assert isinstance(second.connection_pool, SentinelConnectionPool)
    assert second.connection_pool is not first.connection_pool
    with pytest.raises(redis.ConnectionError, match="main"):
        second.ping()


def test_memory_without_a_limit_is_never_full() -> None:
    assert compute_memory_share({"maxmemory": 0, "used_memory": 5}) == 0
    assert compute_memory_share({"maxmemory": 10, "used_memory": 5}) == 0.5

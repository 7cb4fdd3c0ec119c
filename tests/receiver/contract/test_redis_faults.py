"""What is wrong with Redis, in a sentence: by what redis-py raises, from servers that really behave so."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from receiver.contract.connection import connect
from receiver.contract.redis_faults import SENTENCES, explain, explain_to_operator
from tests.support.https import certificates
from tests.support.kit import Server


def provoke(url: str) -> str:
    client = connect(url, "{t}")
    try:
        client.set("zr:{t}:anchor", "", xx=True)
    except redis.RedisError as error:
        return explain(error)
    finally:
        client.close()
    return ""


@pytest.fixture
def tls_port(tmp_path: Path) -> Iterator[int]:
    """Of a server that speaks TLS, with a certificate of an authority that nobody knows."""
    chain, _ = certificates(tmp_path, ("localhost",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(plain, server_side=True):
                        pass
                except OSError:
                    plain.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (("CONFIG", "SET", "min-replicas-to-write", "1"), "too few replicas"),
        (("REPLICAOF", "127.0.0.1", "1"), "is a replica"),
        (("CONFIG", "SET", "maxmemory", "1"), "out of memory"),
        (("ACL", "SETUSER", "default", "-set"), "lacks a right"),
        (("CONFIG", "SET", "requirepass", "x"), "wants a password"),
    ],
)
def test_what_redis_says_is_explained(own_server: Server, setting: tuple[str, ...], told: str) -> None:
    client = redis.Redis.from_url(own_server.url)
    client.execute_command(*setting)

    assert told in provoke(own_server.url)
    client.close()


def test_a_wrong_password_is_called_one(own_server: Server) -> None:
    client = redis.Redis.from_url(own_server.url)
    client.execute_command("CONFIG", "SET", "requirepass", "x")
    client.close()

    assert "refuses the user or the password" in provoke(f"{own_server.url}?password=wrong")


def test_tls_faults_are_told_apart(tls_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer() -> None:
            with plain.accept()[0] as talk:
                talk.sendall(b"-ERR unknown\r\n")

        threading.Thread(target=answer, daemon=True).start()
        assert "speaks no TLS" in provoke(f"rediss://127.0.0.1:{plain.getsockname()[1]}/0")
    assert "unknown CA" in provoke(f"rediss://localhost:{tls_port}/0")


def test_nobody_there_is_told_with_what_the_system_says() -> None:
    assert provoke("redis://127.0.0.1:1/0") == "Redis does not answer"  # no address: anybody may read it
    assert explain_to_operator(redis.ConnectionError("Error 111")) == "Redis does not answer (Error 111)"


def test_every_known_code_has_a_sentence() -> None:
    for word, sentence in SENTENCES.items():
        assert explain(redis.ResponseError(f"{word} something")) == sentence

"""A worker at whose start Redis is not there yet."""

import json
import signal
import time

import pytest
import redis

from receiver.contract.connection import connect
from receiver.contract.errors import ConfigurationError
from receiver.contract.seal import Seal
from tests.support.kit import Server, accept, running, wait_for
from workers.ledger import query
from workers.ledger.transitions import Ledger
from workers.runtime import redis_wait
from workers.runtime.redis_wait import wait_for_redis


def test_it_waits_says_so_once_and_works(
    own_server: Server, own_ledger: Ledger, seal: Seal, env: dict[str, str]
) -> None:
    own_server.stop()
    settings = env | {"REDIS_URL": own_server.url, "WORKER_HANDLERS": "tests.plugins.basic", "METRICS_PORT": "0"}
    with running("workers.cli", "work", env=settings) as worker:
        time.sleep(3.5)
        assert worker.poll() is None
        own_server.start()
        event = accept(own_ledger, seal, kind="basic.good")
        wait_for(lambda: (query.show(own_ledger, event) or {})["state"] == "done")
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=40)

    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    texts = [line["text"] for line in lines]
    assert sum(text.startswith("the worker waits: Redis does not answer") for text in texts) == 1
    (start,) = [line for line in lines if line["text"] == "worker starts"]
    assert {"version", "queue", "worker"} < start.keys()
    (loaded,) = [line for line in lines if line["text"] == "a process starts"]
    assert "good" in loaded["handlers"]
    (end,) = [line for line in lines if line["text"] == "attempt ended"]
    assert (end["event"], end["handler"], end["attempt"], end["outcome"]) == (event, "good", 1, "done")
    assert texts[-1] == "worker ends"


def test_what_waiting_does_not_mend_is_an_error(own_server: Server) -> None:
    admin = redis.Redis.from_url(own_server.url)
    admin.execute_command("CONFIG", "SET", "requirepass", "x")
    admin.close()
    client = connect(own_server.url, "{t}")

    with pytest.raises(ConfigurationError) as caught:
        wait_for_redis(client.ping)

    assert "wants a password" in caught.value.faults[0]
    client.close()


@pytest.mark.parametrize("word", ["LOADING", "CLUSTERDOWN", "MISCONF", "READONLY"])
def test_what_passes_is_waited_for(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setattr(redis_wait, "PAUSE_SECONDS", 0)
    answers: list[object] = [redis.ResponseError(f"{word} now"), redis.ConnectionError("gone"), "PONG"]

    def ask() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait_for_redis(ask) == "PONG"


def test_what_nobody_knows_is_raised() -> None:
    def ask() -> None:
        raise redis.ResponseError("ERR unknown command")

    with pytest.raises(redis.ResponseError):
        wait_for_redis(ask)

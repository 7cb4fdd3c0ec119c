"""The server process: drain, several processes, ports."""

import json
import os
import signal
import socket
import time
from pathlib import Path

import httpx2
import pytest
import redis

from receiver.contract.keys import Keys
from receiver.server.serve import listen
from tests.support.kit import children_of, free_port, payload, running, wait_for
from tests.support.receiver import post, up


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_drain_accepts_until_the_listener_closes(env: dict[str, str], processes: str) -> None:
    port, metrics = free_port(), free_port()
    more = {"PORT": str(port), "DRAIN_SECONDS": "2", "WEB_CONCURRENCY": processes, "METRICS_PORT": str(metrics)}
    with running("workers.cli", "serve", env=more) as process:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as http:
            wait_for(lambda: up(http))
            assert http.get("/readyz").status_code == 200
            for _ in range(10):
                assert post(http, payload()).status_code == 202
            process.send_signal(signal.SIGTERM)
            wait_for(lambda: http.get("/readyz").status_code == 503, 1.9)
            assert post(http, payload()).status_code == 202
            text = httpx2.get(f"http://127.0.0.1:{metrics}/metrics").text
        process.wait(8)

    assert 'zr_accepted_total{source="zyra"} 11.0' in text


def test_a_slow_client_cannot_hold_the_end_up(env: dict[str, str]) -> None:
    port = free_port()
    with running("workers.cli", "serve", env={"PORT": str(port)}) as process:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as http:
            wait_for(lambda: up(http))
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"POST /webhooks/zyra HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
            time.sleep(0.2)
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            answer = slow.recv(4096)
            process.wait(10)

    assert time.monotonic() - started < 6
    assert answer.startswith(b"HTTP/1.1 503")


def test_a_process_that_died_is_replaced_by_one_that_drains(env: dict[str, str]) -> None:
    port = free_port()
    more = {"PORT": str(port), "DRAIN_SECONDS": "2", "WEB_CONCURRENCY": "2"}
    with running("workers.cli", "serve", env=more) as process:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as http:
            wait_for(lambda: up(http))
            for child in children_of(process.pid):
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(child, signal.SIGKILL)
            time.sleep(2)
            wait_for(lambda: up(http))
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as http:
            process.send_signal(signal.SIGTERM)
            wait_for(lambda: http.get("/readyz").status_code == 503, 1.9)
        process.wait(10)


def test_metrics_ports_in_use_are_one_line(env: dict[str, str], client: redis.Redis, keys: Keys) -> None:
    with listen("0.0.0.0", 0) as taken:
        more = {"PORT": str(free_port()), "METRICS_PORT": str(taken.getsockname()[1])}
        with running("workers.cli", "serve", env=more) as process:
            _, said = process.communicate(timeout=20)
        with running("workers.cli", "work", env=more) as process:
            wait_for(lambda: client.zcard(keys.name("workers")) == 1)
            process.send_signal(signal.SIGTERM)
            _, worked = process.communicate(timeout=20)

    assert (process.returncode, said.count("\n")) == (0, 1)
    assert "METRICS_PORT changes it" in said
    assert "METRICS_PORT changes it" in worked


def test_a_second_signal_ends_at_once(env: dict[str, str]) -> None:
    port = free_port()
    with running("workers.cli", "serve", env={"PORT": str(port), "DRAIN_SECONDS": "30"}) as process:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as http:
            wait_for(lambda: up(http))
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        process.wait(5)


def test_a_port_in_use_is_one_line(env: dict[str, str]) -> None:
    with listen("127.0.0.1", 0) as taken:
        with running("workers.cli", "serve", env={"PORT": str(taken.getsockname()[1])}) as process:
            _, said = process.communicate(timeout=20)

    assert process.returncode == 1
    (line,) = said.splitlines()
    assert json.loads(line)["level"] == "error"
    assert json.loads(line)["text"].startswith("cannot listen on 127.0.0.1")


def test_ipv6_is_fine() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with listen("::1", 0) as found:
        assert found.getsockname()[1] > 0


def ask(connection: socket.socket) -> bytes:
    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    return connection.recv(4096)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_draining_receiver_ends_each_connection_with_its_next_answer(env: dict[str, str], processes: str) -> None:
    port = free_port()
    more = {"PORT": str(port), "DRAIN_SECONDS": "2", "WEB_CONCURRENCY": processes}
    with (
        running("workers.cli", "serve", env=more) as process,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}") as http,
    ):
        wait_for(lambda: up(http))
        used, unused = (socket.create_connection(("127.0.0.1", port)) for _ in range(2))
        assert b"connection: close" not in ask(used)
        assert b"connection: close" not in ask(unused)
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: http.get("/readyz").status_code == 503, 1.9)

        answer, end = ask(used), used.recv(4096)

        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        assert end == b""
        process.wait(10)
        assert unused.recv(4096) == b"", "an idle one closes in order at the end"
        used.close()
        unused.close()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_who_connected_before_the_listener_closed_is_served(env: dict[str, str], processes: str) -> None:
    """While the processes stand still, connections wait in the listener, and the time to close it comes."""
    port = free_port()
    more = {"PORT": str(port), "DRAIN_SECONDS": "1", "WEB_CONCURRENCY": processes}
    with running("workers.cli", "serve", env=more) as process:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as http:
            wait_for(lambda: up(http))
        servers = [one for one in children_of(process.pid) if processes == "2"] or [process.pid]
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        for one in servers:
            os.kill(one, signal.SIGSTOP)
        time.sleep(1)
        waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        for one in servers:
            os.kill(one, signal.SIGCONT)

        answers = [ask(connection) for connection in waiting]

        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        process.wait(10)
        for connection in waiting:
            connection.close()

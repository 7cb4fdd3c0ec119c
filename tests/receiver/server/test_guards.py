"""Bounds on what unsigned senders may use of a server process, in real processes over real sockets."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from tests.support.hostile import guarded, number, waits
from tests.support.kit import payload, signed, wait_for

HEAD = b"POST /webhooks/zyra HTTP/1.1\r\nHost: x\r\n"
LARGE = 1024 * 1024


@contextmanager
def sockets(port: int, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)) for _ in range(count)]


def test_pipelined_requests_cost_no_memory(env: dict[str, str]) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    with guarded() as here, waits(here) as slowest:
        before = here.rss()
        with sockets(here.port, 1) as (one,):
            try:
                for _ in range(24):
                    one.sendall(request * (LARGE // len(request)))
            except OSError:
                pass
            assert here.rss() - before < 40
    assert slowest() < 1


def test_bodies_under_way_have_a_budget(env: dict[str, str]) -> None:
    with guarded(BODY_BUDGET_BYTES=str(16 * LARGE)) as here:
        before = here.rss()
        with waits(here) as slowest, sockets(here.port, 100) as senders:
            for one in senders:
                one.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % LARGE)
            for _ in range(15):
                for one in senders:
                    with suppress(OSError):
                        one.sendall(b"x" * 65536)
            grown = here.rss() - before
            shed: list[bytes] = []
            wait_for(lambda: [shed.extend(filter(None, map(read_now, senders)))] and len(shed) > 80, 10)
        assert slowest() < 1
        assert grown < 32
        assert len(shed) < 100
        assert all(text.startswith(b"HTTP/1.1 503") and b"retry-after" in text for text in shed)
        assert wait_for(lambda: here.rss() - before < 20, 15)
        assert "zr_body_bytes 0.0" in wait_for(lambda: "zr_body_bytes 0.0" in here.metrics() and here.metrics())


def read_now(one: socket.socket) -> bytes:
    """What has come by now."""
    one.setblocking(False)
    try:
        return one.recv(4096)
    except OSError:
        return b""


def test_a_small_body_finds_room_beside_large_ones(env: dict[str, str]) -> None:
    with guarded(BODY_BUDGET_BYTES=str(2 * LARGE)) as here, sockets(here.port, 3) as senders:
        for one in senders:
            one.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % LARGE + b"x" * 600_000)
        body = payload()

        answer = httpx2.post(here.url, content=body, headers=signed(body))

    assert answer.status_code == 202


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"Content-Length: 30000000\r\n\r\n",
        b"POST /webhooks/none HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n",
        b"PUT /webhooks/zyra HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n",
    ],
    ids=["too large", "unknown source", "wrong method", "health"],
)
def test_who_is_answered_before_the_end_of_a_body_hears_it(env: dict[str, str], request_: bytes) -> None:
    with guarded() as here:
        heard = []
        for _ in range(5):
            with sockets(here.port, 1) as (one,):
                one.sendall(request_)
                for _ in range(30):
                    one.sendall(b"x" * 1_000_000)  # the whole body, before the answer is read
                heard.append(one.recv(65536))

    assert all(b"connection: close" in text for text in heard)
    assert {text[9:10] for text in heard} == {b"4"}


def test_connections_that_never_end_are_ended(env: dict[str, str]) -> None:
    """Those that begin nothing, answer nothing, read nothing, or never end a head, a body or trailers."""
    starts = [
        b"", b"GET", HEAD, HEAD + b"Content-Length: 5\r\n\r\nab", HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nx-a: ", b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        b"POST /webhooks/none HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", HEAD + b"Content-Length: 9999999\r\n\r\n",
    ]  # fmt: skip
    with guarded() as here, sockets(here.port, len(starts) * 3) as senders:
        for number, one in enumerate(senders):
            one.sendall(starts[number % len(starts)])
        deadline = time.monotonic() + 24
        while time.monotonic() < deadline and here.connections():
            for one in senders:
                with suppress(OSError):
                    one.send(b"a")  # a byte now and then changes nothing
            time.sleep(0.5)
        assert here.connections() == 0


def test_at_the_limit_the_one_that_has_waited_longest_goes(env: dict[str, str]) -> None:
    with guarded(MAX_CONNECTIONS="50") as here, waits(here) as slowest, sockets(here.port, 300) as senders:
        for one in senders:
            one.sendall(HEAD)
        wait_for(lambda: here.connections() <= 51)
        for _ in range(20):
            body = payload()
            assert httpx2.post(here.url, content=body, headers=signed(body)).status_code == 202
        wait_for(lambda: number(here.metrics(), "zr_evicted_total") >= 250)
        limit = number(here.metrics(), "zr_connections_limit")

    assert slowest() < 1
    assert limit == 50


def test_few_open_files_are_enough(env: dict[str, str]) -> None:
    """More connections than the process may open files: the newcomers are served all the same."""
    with guarded(files=256) as here, waits(here) as slowest, sockets(here.port, 400):
        for _ in range(10):
            body = payload()
            assert httpx2.post(here.url, content=body, headers=signed(body), timeout=5).status_code == 202
            time.sleep(0.1)

    assert slowest() < 1


def test_a_flood_of_what_is_no_http_is_one_line_a_second(env: dict[str, str]) -> None:
    with guarded() as here:
        for _ in range(2000):
            with sockets(here.port, 1) as (one,):
                one.sendall(b"\x16\x03\x01\x00\x05\r\n")
        wait_for(lambda: "zr_malformed_total 2000.0" in here.metrics())
        wait_for(lambda: any("malformed requests" in line for line in here.log()))
        lines = here.log()

    assert len(lines) < 30
    assert "Traceback" not in "".join(lines)


def test_the_metrics_port_has_bounds_and_an_address(env: dict[str, str]) -> None:
    with guarded() as here:
        with sockets(here.metrics_port, 200) as idle:
            for one in idle[::2]:
                one.sendall(b"GET /metrics HTTP/1.1\r\n")
            assert "zr_connections" in here.metrics()
            assert here.threads() < 20
        with sockets(here.metrics_port, 1) as (one,):
            one.sendall(b"POST / HTTP/1.1\r\n\r\n")
            assert one.recv(100).startswith(b"HTTP/1.1 405")
        with sockets(here.metrics_port, 1) as (one,):
            one.sendall(b"x" * 20_000)
            one.settimeout(8)
            with suppress(ConnectionResetError):
                assert one.recv(100) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", here.metrics_port), timeout=1)


def test_no_process_writes_a_core_dump(env: dict[str, str]) -> None:
    with guarded() as here:
        limits = Path(f"/proc/{here.process.pid}/limits").read_text()

    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]

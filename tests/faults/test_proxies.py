"""Behind reverse proxies as people set them up: no smuggling by Upgrade, and every answer is heard."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import redis

from receiver.contract.keys import Keys
from tests.support.hostile import guarded
from tests.support.kit import free_port, payload, running, signed, wait_for

pytestmark = [pytest.mark.proxies, pytest.mark.timeout(120)]

NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_max_body_size 100m;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  upstream receiver {{ server 127.0.0.1:{receiver}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://receiver; proxy_http_version 1.1; proxy_set_header Host $host; proxy_request_buffering off;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    }}
  }}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  http-reuse always
  server s 127.0.0.1:{receiver}
"""
CADDY = """
{{
  admin off
  auto_https off
}}
http://127.0.0.1:{port} {{
  reverse_proxy 127.0.0.1:{receiver}
}}
"""
PROXIES = {
    "nginx": (NGINX, ["nginx", "-p", "{folder}", "-c", "{config}"]),
    "haproxy": (HAPROXY, ["haproxy", "-db", "-f", "{config}"]),
    "caddy": (CADDY, ["caddy", "run", "--adapter", "caddyfile", "--config", "{config}"]),
}


@contextlib.contextmanager
def proxy(name: str, receiver: int) -> Iterator[int]:
    """A proxy in front of the receiver; its port."""
    assert shutil.which(name), f"{name} is not installed"
    text, command = PROXIES[name]
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="zr-proxy-") as folder:
        config = Path(folder) / "config"
        config.write_text(text.format(folder=folder, port=port, receiver=receiver))
        process = subprocess.Popen(
            [part.format(folder=folder, config=config) for part in command], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={"HOME": folder, "PATH": "/usr/sbin:/usr/bin:/bin"},
        )  # fmt: skip
        try:
            wait_for(lambda: answers(port))
            yield port
        finally:
            process.terminate()
            process.wait(15)


def answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/livez", trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


SMUGGLED = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


def smuggle(port: int, ends: threading.Event) -> None:
    """Requests with an Upgrade whose body holds others, in a packet of its own."""
    while not ends.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as one:
            body = SMUGGLED * 3
            head = b"POST /webhooks/none HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            one.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body))
            time.sleep(0.01)
            one.sendall(body)
            one.settimeout(0.3)
            one.recv(65536)


@pytest.mark.parametrize("name", PROXIES)
def test_nothing_is_smuggled_by_an_upgrade(name: str, env: dict[str, str], client: redis.Redis, keys: Keys) -> None:
    with guarded() as here, proxy(name, here.port) as port:
        ends = threading.Event()
        attackers = [threading.Thread(target=smuggle, args=(port, ends)) for _ in range(4)]
        for one in attackers:
            one.start()
        heard = []
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            for _ in range(200):
                body = payload()
                heard.append(http.post("/webhooks/zyra", content=body, headers=signed(body)))
        ends.set()
        for one in attackers:
            one.join()

    assert [answer.status_code for answer in heard] == [202] * 200
    assert {answer.json().get("status") for answer in heard} == {"accepted"}
    assert client.zcard(keys.name("events")) == 200


@pytest.mark.parametrize("name", PROXIES)
def test_who_sends_too_much_hears_it(name: str, env: dict[str, str]) -> None:
    with guarded() as here, proxy(name, here.port) as port:
        body = b"x" * 30_000_000
        heard = [
            httpx2.post(f"http://127.0.0.1:{port}/webhooks/zyra", content=body, trust_env=False, timeout=30).status_code
            for _ in range(5)
        ]

    assert heard == [413] * 5


# --- rolling restarts

NGINX_TWO = NGINX.replace(
    "server 127.0.0.1:{receiver};",
    "server 127.0.0.1:{receiver} max_fails=0; server 127.0.0.1:{other} max_fails=0;",
)
HAPROXY_TWO = HAPROXY.replace(
    "  server s 127.0.0.1:{receiver}",
    "  option httpchk GET /readyz\n  option redispatch\n  retries 3\n  default-server check inter 500ms fall 1 rise 1\n"
    "  server one 127.0.0.1:{receiver}\n  server two 127.0.0.1:{other}",
)
BALANCERS = {"nginx": (NGINX_TWO, PROXIES["nginx"][1]), "haproxy": (HAPROXY_TWO, PROXIES["haproxy"][1])}
TOTAL = int(os.environ.get("ROLLING", "6000"))  # deliveries, 1,000 a second
A_SECOND = 1000 if TOTAL > 10_000 else 500
SENDERS = 32
SECONDS_BETWEEN = 1.0  # from a receiver's start to the next one's end


async def send_all(port: int) -> Counter[str]:
    """Deliveries over connections that are kept open, at a steady rate: how often each answer came."""
    heard, started, each = Counter[str](), time.monotonic(), TOTAL // SENDERS

    async def send(number: int) -> None:
        reader = writer = None
        for turn in range(each):
            due = started + (turn * SENDERS + number) / A_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            body = payload()
            head = "".join(f"{name}: {value}\r\n" for name, value in signed(body).items())
            request = f"POST /webhooks/zyra HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{head}\r\n"
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                assert reader
                writer.write(request.encode() + body)
                answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
                length = int(re.search(rb"(?i)content-length: (\d+)", answer)[1])  # type: ignore[index]
                await reader.readexactly(length)
                heard[answer[9:12].decode()] += 1
                if b"connection: close" in answer.lower():
                    writer.close()
                    writer = None
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                heard[type(error).__name__] += 1
                writer = None
        if writer:
            writer.close()

    await asyncio.gather(*[send(number) for number in range(SENDERS)])
    return heard


def restart_in_turn(ports: list[int], ends: threading.Event, restarts: list[int]) -> None:
    """Each receiver ends and starts anew, one after the other, until there is nothing more to send."""
    with contextlib.ExitStack() as stack:
        receivers = [stack.enter_context(start(port)) for port in ports]
        restarts.append(0)
        while not ends.wait(SECONDS_BETWEEN):
            turn = restarts[0] % 2
            receivers[turn].send_signal(signal.SIGTERM)
            receivers[turn].wait(20)
            receivers[turn] = stack.enter_context(start(ports[turn]))
            restarts[0] += 1


@contextlib.contextmanager
def start(port: int) -> Iterator[subprocess.Popen[str]]:
    more = {"PORT": str(port), "DRAIN_SECONDS": "1", "MAX_PENDING": "1000000", "LOG_DELIVERIES": "off"}
    with running("workers.cli", "serve", env=more) as process:
        wait_for(lambda: answers(port))
        yield process


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BALANCERS)
def test_rolling_restarts_cut_nothing(
    name: str, env: dict[str, str], client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports, ends, restarts = [free_port(), free_port()], threading.Event(), list[int]()
    rolling = threading.Thread(target=restart_in_turn, args=(ports, ends, restarts))
    rolling.start()
    try:
        wait_for(lambda: restarts)
        monkeypatch.setitem(PROXIES, name, (BALANCERS[name][0].replace("{other}", str(ports[1])), BALANCERS[name][1]))
        with proxy(name, ports[0]) as port:
            heard = asyncio.run(send_all(port))
    finally:
        ends.set()
        rolling.join()

    print(f"{name}: {sum(heard.values())} deliveries, {restarts[0]} restarts: {dict(heard)}")
    assert restarts[0] >= 2
    assert heard == {"202": TOTAL // SENDERS * SENDERS}
    assert client.zcard(keys.name("events")) == TOTAL // SENDERS * SENDERS

"""zyra-receiver health"""

import os
import socket
from collections.abc import Callable
from typing import Annotated

import httpx2
import typer

from receiver import health as health_check
from receiver.contract.connection import GONE, connect, decode_text
from receiver.contract.errors import ConfigurationError
from receiver.contract.keys import Keys
from receiver.contract.settings import (
    DEFAULT_QUEUE,
    DEFAULT_REDIS_URL,
    find_wrong_tag,
    parse_redis_url,
    parse_rq_prefix,
    parse_word,
    read_text,
)

from ..errors import CommandFailed
from ..output import print_line
from .check import Role

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def health(
    role: Annotated[Role, typer.Option(help="Role of this container.")] = Role.RECEIVER,
    url: Annotated[str, typer.Option(help="URL of the receiver; default: 127.0.0.1 and PORT.")] = "",
) -> int:
    """Exit with 0 if the process of this role answers /livez. In containers: python -m receiver.health ROLE."""
    if url:
        return check_receiver(url)
    if role is Role.WORKER and os.environ.get("METRICS_PORT") == "0":
        return check_worker()
    if status := health_check.main(role.value):
        return status
    print_line("ok")
    return 0


def check_receiver(base: str) -> int:
    try:
        status = httpx2.get(f"{base}/livez", timeout=2, trust_env=False).status_code
    except httpx2.HTTPError as error:
        raise CommandFailed(f"no answer from {base}: {type(error).__name__}") from None
    if status != 200:
        raise CommandFailed(f"{base}/livez answers {status}")
    print_line("ok")
    return 0


def read(name: str, parse: Callable[[str], str], default: str) -> str:
    try:
        text = read_text(os.environ, name)
        return default if text is None else parse(text)
    except ValueError as error:
        raise ConfigurationError([f"{name} {error}"]) from None


def check_worker() -> int:
    """Without a metrics port: whether a worker of this host is registered.

    It counts as alive while Redis does not answer: a restart would not help.
    """
    queue, prefix = read("QUEUE", parse_word, DEFAULT_QUEUE), read("RQ_KEY_PREFIX", parse_rq_prefix, "")
    if faults := find_wrong_tag(queue, prefix):
        raise ConfigurationError(faults)
    keys = Keys(queue, prefix)
    client = connect(read("REDIS_URL", parse_redis_url, DEFAULT_REDIS_URL), keys.tag)
    try:
        workers = client.smembers(f"{keys.rq_prefix}:workers")
        hosts = [decode_text(client.hget(decode_text(worker), "hostname") or "") for worker in workers]
    except GONE as error:
        print_line(f"Redis does not answer, so nothing is known: {error}")
        return 0
    if socket.gethostname() not in hosts:
        raise CommandFailed("no worker of this host is registered")
    print_line("ok")
    return 0

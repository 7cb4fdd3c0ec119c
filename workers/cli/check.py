"""zyra-receiver check"""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer
from redis import ResponseError

from receiver import settings as receiving
from receiver.contract.connection import GONE, connect, text
from receiver.contract.errors import ConfigurationError
from receiver.contract.settings import Durability
from receiver.durability import Verdict, judge
from receiver.sources import Source

from .. import plugins
from .. import settings as working
from ..zyra.keyring import SHOWN
from .local import current_folder_importable, environment
from .output import line

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Role(StrEnum):
    RECEIVER = "receiver"
    WORKER = "worker"


@app.command()
def check(role: Annotated[Role, typer.Option(help="Whose configuration.")] = Role.RECEIVER) -> int:
    """Names every fault at once. Exits with 2 where the configuration is wrong, 1 where Redis is away."""
    current_folder_importable()
    return receiver() if role is Role.RECEIVER else worker()


def receiver() -> int:
    found = receiving.read(environment())
    verdict = look(found.redis_url, found.durability, found.replicas)
    for source in found.sources.values() if verdict else ():
        for told in guarantees(source, found.durability, verdict):
            line(f"{source.name}:", told)
    return conclude(found.redis_url, verdict)


def worker() -> int:
    found = working.read(environment())
    names = [handler.name for handler in plugins.load(found.handlers)]
    line("handlers:", ", ".join(names) or "none")
    if found.api_key is None and not found.api_user:
        line("warning: ZYRA_API_KEY is not set: handlers cannot call back")
    else:
        who = f"key {found.api_key.values[0][:SHOWN]}" if found.api_key else f"login of {found.api_user}"
        most = found.api_limits
        line(f"API: {found.api_url}, {who}; a minute {most.create} creates, {most.read} reads, {most.bulk} of SCIM")
    return conclude(found.redis_url, look(found.redis_url, Durability.NONE, 1))


def conclude(url: str, verdict: Verdict | None) -> int:
    if verdict is None:
        line(f"Redis does not answer at {shown(url)}: start it, or set REDIS_URL")
        return 1
    for hidden in verdict.hidden:
        line("warning:", hidden)
    if verdict.lacks:
        raise ConfigurationError(verdict.lacks)
    line("ok")
    return 0


def look(url: str, level: Durability, replicas: int) -> Verdict | None:
    client = connect(url)
    try:
        info = told(client.info)
        config = told(lambda: client.config_get("appendfsync", "maxmemory-policy"))
    except GONE:
        return None
    finally:
        client.close()
    return judge(level, info, {text(k): text(v) for k, v in config.items()}, replicas)


def told(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except ResponseError:  # managed servers and tight rights hide it
        return {}


def guarantees(source: Source, level: Durability, verdict: Verdict | None) -> list[str]:
    """What really holds for a source, each with its reason."""
    scheme = source.scheme
    sure = "confirmed" if scheme.confirmed else f"not confirmed ({scheme.confidence}: {scheme.source})"
    return [
        f"scheme: {scheme.title}, {sure}",
        f"keys: {origin(source)}",
        f"signed: {COVERS[scheme.covers]}",
        f"durability: {DURABLE[level] if verdict and not verdict.lacks else 'NOT MET'}",
        f"dedup: {dedup(source)}",
        f"replay protection: {replay(source)}",
    ]


DURABLE = {
    Durability.ALWAYS: "on disk before the answer",
    Durability.EVERYSEC: "on disk within a second: a power cut may take the last second",
    Durability.REPLICATED: "on replicas too before the answer, as DURABILITY=replicated asks",
    Durability.NONE: "whatever this Redis gives: DURABILITY=none asks for nothing",
}
COVERS = {
    "body": "the body as it came",
    "part": "some fields of the body: do not trust the others",
    "nothing": "nothing of the body: a valid delivery says who sent it, not that nobody changed it",
}


def origin(source: Source) -> str:
    """Where its keys come from."""
    remote = source.scheme.remote
    if source.fetches and remote:
        host = remote.url.removeprefix("https://").partition("/")[0]
        named = "the address that the delivery names, if the scheme allows its host"
        told = f"fetched from {host if '://' in remote.url else named}"
    else:
        told = f"{len(source.keys)} given" if source.keys else "none yet: the provider will tell its secret"
    if source.scheme.shared:
        told += "; one key signs for all customers of the provider: what is meant for another one verifies too"
    return told


def dedup(source: Source) -> str:
    if source.scheme.id_header:
        return f"header {source.scheme.id_header}, kept {source.dedup_window:g} s"
    if source.id_fields:
        return f"payload fields {', '.join(source.id_fields)}, else a digest for {source.digest_window:g} s"
    return f"a digest of the body for {source.digest_window:g} s: the provider gives no id"


def replay(source: Source) -> str:
    if source.scheme.timestamp and source.scheme.tolerance:
        return f"the signed time may be {source.scheme.tolerance} s off"
    if source.id_signed:
        return "only the dedup key: the provider signs no time, so a captured delivery stays valid"
    if source.repeats == "duplicate":
        return "the same bytes run once, whatever their id, which is not signed"
    return (
        'the id is not signed: the same bytes under a new id are accepted, and marked; repeats = "duplicate" '
        "refuses to run them again"
    )


def shown(url: str) -> str:
    """The URL without its password."""
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if at else url

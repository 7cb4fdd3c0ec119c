"""zyra-receiver check"""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
from redis import Redis, RedisError, ResponseError

from receiver import settings as receiving
from receiver.contract import formats, telemetry
from receiver.contract.connection import GONE, connect, decode_text, describe_mode
from receiver.contract.errors import ConfigurationError
from receiver.contract.figures import read_counters
from receiver.contract.keys import Keys
from receiver.contract.ledger_facts import pick
from receiver.contract.redis_faults import NO_ANSWER, explain_to_operator, name_cause
from receiver.contract.settings import Durability, Shared
from receiver.durability import Assessment, judge
from receiver.signatures.verify import PUBLIC
from receiver.sources import Source

from ... import settings as working
from ...zyra.credentials import SHOWN_CHARACTERS
from ..errors import CommandFailed
from ..handler_list import load_and_print
from ..local import make_current_folder_importable, read_environment
from ..output import print_line
from ..secret_forms import find_doubts

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Role(StrEnum):
    RECEIVER = "receiver"
    WORKER = "worker"


@app.command()
def check(role: Annotated[Role, typer.Option(help="Role whose configuration is validated.")] = Role.RECEIVER) -> int:
    """Name every fault at once. Exits with 2 if the configuration is wrong, 1 if Redis does not answer."""
    make_current_folder_importable()
    telemetry.refuse_faults()
    return check_receiver() if role is Role.RECEIVER else check_worker()


def check_receiver() -> int:
    settings = receiving.read(read_environment())
    doubts = [doubt for source in settings.sources.values() for doubt in find_doubts(source)]
    for fault in (*find_commas(settings.sources), *find_shared_secrets(settings.sources), *doubts):
        print_line("warning:", fault)
    verdict = judge_redis(settings, settings.durability, settings.replicas)
    for source in settings.sources.values():
        for guarantee in list_guarantees(source, settings.durability, verdict):
            print_line(f"{source.name}:", guarantee)
    return conclude(verdict)


def check_worker() -> int:
    settings = working.read(read_environment())
    load_and_print(settings.handlers)
    if settings.api_key is None and not settings.api_user:
        print_line("warning: ZYRA_API_KEY is not set: handlers cannot call back")
    else:
        who = (
            f"key {settings.api_key.values[0][:SHOWN_CHARACTERS]}"
            if settings.api_key
            else f"login of {settings.api_user}"
        )
        most = settings.api_limits
        print_line(
            f"API: {settings.api_url}, {who}; a minute {most.create} creates, {most.read} reads, {most.bulk} of SCIM"
        )
    return conclude(judge_redis(settings, Durability.NONE, 1))


def conclude(verdict: Assessment) -> int:
    for hidden in verdict.hidden:
        print_line("warning:", hidden)
    if verdict.lacks:
        raise ConfigurationError(verdict.lacks)
    print_line("ok")
    return 0


def judge_redis(settings: Shared, level: Durability, replicas: int) -> Assessment:
    """What Redis lacks for a level. Raises CommandFailed where it does not answer, and says why."""
    client = connect(settings.redis_url, settings.keys.tag)
    try:
        info = read_or_hidden(client.info)
        config = read_or_hidden(lambda: client.config_get("appendfsync", "maxmemory-policy"))
        fault = find_ledger_fault(client, settings.keys)
        print_line("Redis:", describe_mode(client))
        for line in describe_seal_keys(client, settings):
            print_line(line)
    except GONE as error:
        raise CommandFailed(f"{hide_password(settings.redis_url)}: {explain_no_answer(error)}") from None
    finally:
        client.close()
    texts = {decode_text(name): decode_text(value) for name, value in config.items()}
    return judge(level, info, texts, replicas, fault)


def find_ledger_fault(client: Redis, keys: Keys) -> str:
    """The ledger's fault, which may be that it cannot be read or written. Raises GONE."""
    try:
        if fault := formats.look_at_ledger(client, keys):
            return fault
        client.set(keys.script_keys[0], "", xx=True)  # the anchor: refused where a write is
    except GONE:
        raise
    except RedisError as error:
        return f"deliveries get 503: {explain_to_operator(error)}"
    return ""


def describe_seal_keys(client: Redis, settings: Shared) -> Iterator[str]:
    """What each key of SEAL_KEY is good for. Nothing where the ledger cannot be read."""
    try:
        counts = pick(read_counters(client, settings.keys), "sealed:")
    except ResponseError:
        return
    held = list(settings.seal.ciphers)
    for key in held[1:]:
        count = counts.get(key, 0)
        if count > 0:
            yield f"SEAL_KEY: {key} seals {count} events; `zyra-receiver ledger reseal` moves them to {held[0]}"
        else:
            yield f"SEAL_KEY: {key} seals nothing any more: it may be removed"
    for key, count in counts.items():
        if count > 0 and key not in held:
            yield f"warning: {count} events are sealed with {key}, which SEAL_KEY does not hold"


def explain_no_answer(error: Exception) -> str:
    """What is wrong, and what to do where nothing more is known."""
    told = explain_to_operator(error)
    if name_cause(error) != NO_ANSWER or "SSL" in str(error):
        return told
    if "closed" in str(error) or "reset" in str(error):
        return f"{told}: if it speaks TLS at this port, REDIS_URL begins with rediss://"
    return f"{told}: start it, or set REDIS_URL"


def read_or_hidden(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except ResponseError:  # managed servers and tight rights hide it
        return {}


def list_guarantees(source: Source, level: Durability, verdict: Assessment) -> list[str]:
    """What holds for a source, one line each."""
    scheme = source.scheme
    sure = {
        "confirmed": "confirmed",
        "signature-only": f"signature confirmed; no source for {', '.join(scheme.missing_answers)}",
        "unconfirmed": f"not confirmed ({scheme.confidence}: {scheme.source})",
    }[scheme.status]
    return [
        f"scheme: {scheme.title}, {sure}",
        f"keys: {describe_origin(source)}",
        f"signed: {COVERS[scheme.covers]}",
        f"durability: {DURABLE[level] if not verdict.lacks else 'NOT MET'}",
        f"dedup: {describe_dedup(source)}",
        f"replay protection: {describe_window(source)}",
        f"answer: {source.success_status}; retries: {scheme.retries or 'no page says'}",
        f"unprotected: {'; '.join(scheme.open_parts) or 'nothing'}",
    ]


def find_commas(sources: Mapping[str, Source]) -> Iterator[str]:
    """Secrets of the environment with a comma, which separated two of them in earlier versions."""
    for name, source in sources.items():
        for secret in source.secrets:
            if secret.has_comma:
                yield (
                    f"source {name}: {secret.name} holds a comma, and is one secret since 0.2.0; for two use a list, "
                    'secrets = ["env:A", "env:B"], or the lines of a file'
                )


def find_shared_secrets(sources: Mapping[str, Source]) -> Iterator[str]:
    """Sources that hold the same secret: what is signed for one of them is then valid at the other."""
    holders: dict[str, list[str]] = {}
    for name, source in sources.items():
        for secret in {secret for _, secret in source.list_texts()} if source.scheme.key not in PUBLIC else ():
            holders.setdefault(secret, []).append(name)
    for names in sorted({tuple(names) for names in holders.values() if len(names) > 1}):
        yield f"sources {', '.join(names)} share a secret: a delivery to one of them is valid at the other"


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


def describe_origin(source: Source) -> str:
    """Where its keys come from."""
    remote = source.scheme.remote
    if source.fetches and remote:
        host = remote.url.removeprefix("https://").partition("/")[0]
        named = "the address that the delivery names, if the scheme allows its host"
        origin = f"fetched from {host if '://' in remote.url else named}"
    else:
        texts = source.list_texts()
        origin = f"{len(texts)} given" if texts else "none yet: the provider will tell its secret"
    if source.scheme.shares_keys:
        origin += "; one key signs for all customers of the provider: what is meant for another one verifies too"
    return origin


def describe_dedup(source: Source) -> str:
    """How repetitions are known."""
    places = source.identity
    if not places:
        return f"the body's digest, for {source.digest_window:g} s: no id is known"
    alone = " alone" if source.scheme.identity_scope == "event" else " and the body's digest"
    return f"{' and '.join(places).replace('|', ' or ')}{alone}, for {source.dedup_window:g} s"


def describe_window(source: Source) -> str:
    """For how long a captured delivery can be replayed."""
    if source.scheme.timestamp and source.scheme.tolerance:
        window = (
            f"a captured delivery can be sent again for {source.scheme.tolerance} s, then its signed time is too old"
        )
    else:
        window = "a captured delivery stays valid for ever: the provider signs no time"
    if source.labels.is_id_signed and source.labels.is_type_signed:
        return f"{window}; it is known by its id or digest, which are signed"
    if source.repeats == "duplicate":
        return f"{window}; the same signed bytes run once, whatever id and type come with them"
    return f'{window}; under another id or type it is a new event, marked `repeats` (repeats = "duplicate" refuses it)'


def hide_password(url: str) -> str:
    """The URL without its password."""
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if at else url

"""zyra-receiver send"""

import asyncio
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from receiver import config
from receiver.contract.errors import ConfigurationError
from receiver.errors import BadSignature
from receiver.signatures.draft import encode_payload
from receiver.signatures.signing import Signed, sign
from receiver.source_keys import SourceKeys
from receiver.sources import SENDER, Source

from ...option_checks import CATALOGUES, find_misspelling
from ..fields import parse_field, set_field
from ..local import find_running_dev, read_environment
from ..output import print_line, print_note

app = typer.Typer(add_completion=False, rich_markup_mode=None)
MAX_PARALLEL = 50


@app.command()
def send(
    type: Annotated[str, typer.Argument(help="Type of the event, such as virtual_server.error.")],
    source: Annotated[str, typer.Option(help="Source whose secret signs.")] = "zyra",
    set: Annotated[
        list[str] | None, typer.Option(help="Field of the payload, such as data.id=vs_0002; may be repeated.")
    ] = None,
    body: Annotated[Path | None, typer.Option(help="File with the whole body.")] = None,
    copies: Annotated[int, typer.Option(min=1, help="Number of copies of each delivery.")] = 1,
    count: Annotated[int, typer.Option(min=1, help="Number of events.")] = 1,
    parallel: Annotated[bool, typer.Option(help="Send them concurrently.")] = False,
    url: Annotated[
        str, typer.Option(help="URL of the receiver; default: the running dev, else 127.0.0.1 and PORT.")
    ] = "",
) -> int:
    """Sign a new event and post it. Exits with 0 only if every answer is 2xx."""
    env = read_environment()
    faults: list[str] = []
    sender = config.load_sources(env, faults).get(source)
    if sender is None:
        raise ConfigurationError(faults or [f"there is no source {source!r} in the configuration"])
    if not sender.list_texts():
        raise ConfigurationError([f"source {source!r} has no secret to sign with: only its provider can sign"])
    if not (type.isascii() and type.isprintable()):
        raise ConfigurationError([f"a type is printable ASCII: {type!r} cannot stand in a header"])
    if hint := find_misspelling(type, CATALOGUES.get(source, ())):
        print_note(f"{source} sends no {type!r}: {hint.partition(' If the type')[0]}")
    base = url or find_running_dev(env).get("receiver") or f"http://127.0.0.1:{env.get('PORT', '8080')}"
    target = f"{base.rstrip('/')}/webhooks/{source}"
    deliveries = [sign_delivery(sender, type, set or [], body) for _ in range(count)]
    copied = [one for one in deliveries for _ in range(copies)]
    answers = asyncio.run(post_all(target, copied, MAX_PARALLEL if parallel else 1))
    for answer in answers:
        print_line(answer)
    return 0 if all(answer.startswith("2") for answer in answers) else 1


def sign_delivery(source: Source, kind: str, settings: list[str], body: Path | None) -> Signed:
    """A delivery of this type. Raises ConfigurationError."""
    event = f"evt_{secrets.token_hex(12)}"
    scheme, key = source.scheme, SourceKeys(source.name, source.scheme, source.secrets).get()[0]
    try:
        raw = body.read_bytes() if body else encode_payload(scheme, make_payload(event, kind, settings))
    except OSError as error:
        raise ConfigurationError([f"--body {body}: {error.strerror}"]) from None
    try:
        return sign(scheme, key, raw, kind, event, time.time(), source.public_url, fill=body is None)
    except (ValueError, BadSignature) as error:
        raise ConfigurationError([f"cannot sign for source {source.name!r}: {error}"]) from None


def make_payload(event: str, kind: str, settings: list[str]) -> dict[str, Any]:
    """A payload as the sandbox makes them, with the given fields set; a value is JSON if it can be, else text."""
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    document: dict[str, Any] = {"id": event, "event": kind, "type": kind, "created_at": moment, "data": {}}
    for setting in settings:
        set_field(document, *parse_field(setting))
    return document


async def post_all(target: str, deliveries: list[Signed], at_once: int) -> list[str]:
    gate = asyncio.Semaphore(at_once)
    async with httpx2.AsyncClient(timeout=15, trust_env=False) as http:

        async def post(one: Signed) -> str:
            url = f"{target}?{one.query}" if one.query else target
            async with gate:
                try:
                    response = await http.post(url, content=one.body, headers={**one.headers, "user-agent": SENDER})
                except httpx2.HTTPError as error:
                    return f"failed: {target} does not answer ({type(error).__name__}): is the receiver running?"
                return f"{response.status_code} {response.text}"

        return await asyncio.gather(*(post(one) for one in deliveries))

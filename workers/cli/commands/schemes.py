"""zyra-receiver schemes"""

import base64
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from receiver import handshakes
from receiver.contract.errors import ConfigurationError
from receiver.delivery import Delivery, inflate
from receiver.errors import BadSignature
from receiver.schemes import Scheme
from receiver.schemes import load_schemes as schemes
from receiver.signatures.verify import PUBLIC, Key, decode_key, verify

from ..output import print_line, print_table
from ..scheme_words import describe_retry, describe_setup

app = typer.Typer(add_completion=False, rich_markup_mode=None)


MAX_BODY_BYTES = 16 * 1024 * 1024  # of a body


class Request(msgspec.Struct):
    method: str = "POST"
    url: str = ""
    headers: list[tuple[str, str]] = []
    body_b64: str = ""


class Entry(Request, kw_only=True):
    """A signature to judge, or a handshake to answer: then the request stands in `request`."""

    id: str
    provider: str
    scheme: str = ""
    secrets: list[str] = []
    now: float = 0
    tolerance_seconds: int | None = None
    request: Request | None = None


class Document(msgspec.Struct):
    vectors: list[Entry] = []
    handshakes: list[Entry] = []


@app.command("list")
def list_schemes(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    confirmed: Annotated[bool, typer.Option(help="Only confirmed schemes.")] = False,
) -> int:
    """List the signature schemes that a source may name."""
    rows = {name: row for name, row in sorted(schemes().items()) if row.is_confirmed or not confirmed}
    if as_json:
        for name, row in rows.items():
            print_line(json.dumps(describe_scheme(name, row), ensure_ascii=False))
    else:
        print_table(
            ("ID", "TITLE", "PRIMITIVE", "COVERS", "CONFIDENCE", ""),
            [(n, r.title, r.primitive, r.covers, r.confidence, r.status) for n, r in rows.items()],
        )
    return 0


@app.command()
def show(scheme: Annotated[str, typer.Argument(help="Id of the scheme.")]) -> int:
    """Print every column of one scheme, as it would stand in a configuration file."""
    row = schemes().get(scheme)
    if row is None:
        raise ConfigurationError([f"there is no scheme {scheme!r}: `zyra-receiver schemes list` shows all"])
    for text in json.dumps(describe_scheme(scheme, row) | list_columns(row), indent=2, ensure_ascii=False).splitlines():
        print_line(text)
    return 0


def describe_scheme(name: str, row: Scheme) -> dict[str, Any]:
    return {
        "id": name, "title": row.title, "primitive": row.primitive, "covers": row.covers, "confidence": row.confidence,
        "status": row.status, "missing_answers": row.missing_answers, "source": row.source,
        "unprotected": row.open_parts, "setup": describe_setup(row), "retry": describe_retry(row),
    }  # fmt: skip


def list_columns(row: Scheme) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if value not in ("", (), {}, False, 0)}


@app.command("verify")
def verify_file(file: Annotated[Path, typer.Argument(help="JSON file with `vectors` and `handshakes`.")]) -> int:
    """Verify the deliveries of a file, a line each. Exits with 0 if every one could be judged."""
    try:
        document = msgspec.json.decode(file.read_bytes(), type=Document)
    except OSError as error:
        raise ConfigurationError([f"{file}: {error.strerror}"]) from None
    except msgspec.MsgspecError as error:
        raise ConfigurationError([f"{file}: {error}"]) from None
    judged = [judge_vector(entry) for entry in document.vectors] + [
        judge_handshake(entry) for entry in document.handshakes
    ]
    for text, _ in judged:
        print_line(text)
    return 0 if all(sure for _, sure in judged) else 1


def judge_vector(entry: Entry) -> tuple[str, bool]:
    row = find_scheme(entry)
    if row is None:
        return f"{entry.id} unknown scheme {entry.scheme or entry.provider}", False
    try:
        scheme, keys = prepare(row, entry.secrets)
        verify(scheme, make_delivery(entry), keys, entry.now)
    except BadSignature as error:
        return f"{entry.id} invalid {error.cause}", True
    except ValueError as error:
        return f"{entry.id} invalid the secret {error}", True
    return f"{entry.id} valid", True


def judge_handshake(entry: Entry) -> tuple[str, bool]:
    row = find_scheme(entry)
    if row is None:
        return f"{entry.id} unknown scheme {entry.scheme or entry.provider}", False
    request = make_delivery(entry.request or entry)
    try:
        scheme, keys = prepare(row, entry.secrets, handshake=True)
        answer = handshakes.answer(scheme, request, keys, entry.now)
        if answer is None:
            verify(scheme, request, keys, entry.now)
            answer = handshakes.Answer(scheme.success_status, scheme.success_body.encode())
    except BadSignature:
        answer = handshakes.Answer(row.failure_status)
    return f"{entry.id} {answer.status} {answer.body.decode()}".rstrip(), True


def find_scheme(entry: Entry) -> Scheme | None:
    """The row that the variant names, else the provider's."""
    scheme = schemes().get(entry.scheme) or schemes().get(entry.provider)
    if scheme is None or entry.tolerance_seconds is None:
        return scheme
    return replace(scheme, tolerance=entry.tolerance_seconds)


def prepare(scheme: Scheme, secrets: list[str], handshake: bool = False) -> tuple[Scheme, list[Key]]:
    """The scheme with its parameter, and the keys. Raises ValueError for an invalid key."""
    if scheme.needs and not scheme.ours and (len(secrets) > 1 or handshake) and secrets:
        scheme, secrets = replace(scheme, parameter=secrets[0]), secrets[len(secrets) > 1 :]
    if not handshake:
        return scheme, [decode_key(scheme, secret) for secret in secrets]
    return scheme, [key for secret in secrets for key in decode_keys(scheme, secret)]


def decode_keys(scheme: Scheme, secret: str) -> list[Key]:
    """The keys; [] if a challenge needs none."""
    try:
        return [decode_key(scheme, secret)]
    except ValueError:
        return [] if scheme.key in PUBLIC else [secret.encode()]


def make_delivery(request: Request) -> Delivery:
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers]
    try:
        body = base64.b64decode(request.body_b64, validate=True)
    except ValueError:
        raise ConfigurationError([f"body_b64 is not base64: {request.body_b64[:40]!r}"]) from None
    if (b"content-encoding", b"gzip") in headers:
        return Delivery(headers, inflate(body, MAX_BODY_BYTES), request.method, request.url, body)
    return Delivery(headers, body, request.method, request.url)

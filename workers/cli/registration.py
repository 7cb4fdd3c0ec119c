"""Registers an endpoint at Zyra so that neither the endpoint nor its secret, which is told only once, can get lost."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from ..zyra import Zyra, ZyraError, calls
from ..zyra.caller import may_have_happened
from ..zyra.calls import Answer
from ..zyra.models import Endpoint
from ..zyra.transport import run
from . import secret_file
from .access import list_all, wait_for_budget
from .errors import CommandFailed


def iterate_endpoints(zyra: Zyra) -> Iterator[Endpoint]:
    return map(Endpoint, list_all(zyra, calls.make_listed_call(zyra.caller.routes["endpoints.list"])))


def list_ours(zyra: Zyra, url: str) -> dict[str, Endpoint]:
    """The endpoints with our URL, by id."""
    return {row.id: row for row in iterate_endpoints(zyra) if row.url == url and row.id}


def create_endpoint(
    zyra: Zyra,
    url: str,
    events: Sequence[str],
    description: str,
    path: Path,
    keep: Callable[[str, str], None],
    place: str = "",
) -> str:
    """Creates an endpoint, stores its id and secret by `keep`, and returns its id. What cannot be stored is deleted.

    path: the file that is to hold the secret. place: where in it, in words, should a person have to put it there.
    Raises CommandFailed, and ZyraError where it surely was not made.
    """
    before = list_ours(zyra, url)
    body = {"url": url, "events": [*events], "description": description}
    call = calls.make_listed_call(zyra.caller.routes["endpoints.create"], body=body)
    try:
        answer: Answer = wait_for_budget(lambda: run(zyra.caller.fetch_answer(call), zyra.http))
    except ZyraError as error:
        if may_have_happened(error):
            remove_unknown(zyra, url, [*before], f"the answer of Zyra was lost ({error})")
        raise
    except KeyboardInterrupt:
        remove_unknown(zyra, url, [*before], "broken off")
    document = calls.to_mapping(answer.document)
    endpoint = Endpoint.make(calls.to_mapping(document.get("data")) or document, answer.request_id)
    name = endpoint.id or next((one for one in list_ours(zyra, url) if one not in before), "")
    if not endpoint.secret:
        try:
            kept = keep_answer(path, answer, name, list_fields(document), place)
        except OSError as error:
            remove_unknown(zyra, url, [*before], f"cannot keep Zyra's answer beside {path}: {error.strerror}", name)
        raise CommandFailed(kept)
    try:
        keep(name, endpoint.secret)
    except BaseException as error:
        remove_unknown(zyra, url, [*before], f"cannot write {path}: {getattr(error, 'strerror', None) or error}", name)
    return name


def keep_answer(path: Path, answer: Answer, name: str, fields: Sequence[str], place: str) -> str:
    """Stores the answer, and returns the message for the user."""
    kept = secret_file.keep_answer(path, answer.content)
    known = ", ".join(Endpoint.SECRET_NAMES)
    fate = f"`endpoints delete {name}`" if name else "delete the new one of `endpoints list`"
    return (
        f"registered {name or 'an endpoint'}, but Zyra's answer has no field that we know as its secret ({known}). Its "
        f"fields are {', '.join(fields) or 'none'}; the whole answer is in {kept}. Put the secret from there into "
        f"{path}{place}, or {fate} and look at `zyra-receiver api check`"
    )


def list_fields(document: dict[str, object], prefix: str = "") -> list[str]:
    """The names of a document's fields, those of objects within it too, without their values."""
    found = []
    for name, value in document.items():
        found += list_fields(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]
    return found


def remove_unknown(zyra: Zyra, url: str, before: Sequence[str], reason: str, name: str = "") -> NoReturn:
    """Deletes a new endpoint whose secret was not stored, because nobody could verify what it sends.

    name: its id, if it is known. Raises CommandFailed, which says what is there now.
    """
    try:
        new = [name] if name else [one for one in list_ours(zyra, url) if one not in before]
        for one in new:
            wait_for_budget(partial(zyra.webhooks.endpoints.delete, one))
    except (ZyraError, CommandFailed) as error:
        raise CommandFailed(
            f"{reason}. An endpoint for {url} may be registered whose secret is not known: `endpoints list` shows it; "
            f"delete it before you register again ({error})"
        ) from None
    fate = f"The new endpoint {', '.join(new)} was deleted again, and nothing else has changed"
    raise CommandFailed(f"{reason}. {fate if new else 'Zyra lists no new endpoint, so nothing has changed'}")

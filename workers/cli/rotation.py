"""A new signing secret without losing an event: a second endpoint, both secrets, then the first goes.

Zyra has no call for it. The first endpoint goes only once the receiver has taken a delivery signed with the new secret.
https://getzyra.io/documentation/user-guides/organization/stage-4/02-webhooks
"""

import contextlib
import re
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

import httpx2

from receiver import signing
from receiver.schemes import table as schemes
from receiver.sources import SENDER

from ..zyra import Zyra
from ..zyra.models import Endpoint
from . import secret_file
from .api import patiently
from .output import line
from .secret_file import Rotation

OURS = "zyra-receiver"
ROTATED = re.compile(r"\(in place of ([^)]+)\)")
PROBES = 5  # deliveries in a row that must be taken, since a balancer has several receivers behind it
APART = 0.5  # seconds between two
BODY = b"zyra-receiver endpoints rotate: is the new secret accepted?"  # no JSON, so no handler ever sees it


class Refused(Exception):
    """What was asked for cannot be done; the message says what to do."""


def rotate(zyra: Zyra, ours: Sequence[Endpoint], path: Path, events: Sequence[str], wait: float, probe: bool) -> None:
    """Raises Refused and ZyraError; called again, it goes on where it was."""
    note = secret_file.under_way(path)
    present = secret_file.read(path) or (note.before if note else "")
    if not present:
        raise Refused(f"{path} does not hold the present secret: without it what is under way would be refused")
    old, new = pair(ours, note)
    if new and note and note.endpoint == new.id:
        restore(path, note)
    else:
        if new:
            remove(zyra, new)
            line(f"deleted {new.id}, of a rotation that was broken off before its secret was kept")
        note = second(zyra, old, path, present, events)
    line(f"both secrets are accepted once the receivers have read {path} again")
    if probe:
        proved(str(old.url), note.secret, wait, path)
    else:
        time.sleep(wait)
    remove(zyra, old)
    secret_file.end(path)
    line(f"deleted {old.id}, {note.endpoint} is in its place")
    line("the old secret stays in the file for what Zyra may still repeat: `sources` says when it is safe to remove")


def remove(zyra: Zyra, endpoint: Endpoint) -> None:
    patiently(lambda: zyra.webhooks.endpoints.delete(str(endpoint.id)))


def pair(ours: Sequence[Endpoint], note: Rotation | None) -> tuple[Endpoint, Endpoint | None]:
    """The endpoint that is to go, and the one in its place, if a rotation was broken off. Raises Refused."""
    by_id = {row.id: row for row in ours}
    for row in ours:
        before = ROTATED.search(row.description or "")
        if before and before[1] in by_id:
            return by_id[before[1]], row
    if note and len(ours) == 2 and note.endpoint in by_id:  # where Zyra does not repeat descriptions
        return next(row for row in ours if row.id != note.endpoint), by_id[note.endpoint]
    if len(ours) != 1:
        raise Refused(f"the URL is registered {len(ours)} times, not once: `endpoints list` shows all")
    return ours[0], None


def second(zyra: Zyra, old: Endpoint, path: Path, before: str, events: Sequence[str]) -> Rotation:
    """Registers the second endpoint; its secret stands in the file before the old ones. Raises Refused."""
    secret_file.writable(path)
    wanted = events or told(zyra, old)
    description = f"{OURS} (in place of {old.id})"
    made = patiently(lambda: zyra.webhooks.endpoints.create(str(old.url), wanted, description))
    try:
        rotation = Rotation(endpoint=str(made.id), secret=its_secret(made), before=before)
        secret_file.begin(path, rotation)
    except BaseException as error:
        remove(zyra, made)  # nobody could verify what it would send
        if isinstance(error, OSError):
            with contextlib.suppress(OSError):
                secret_file.keep(path, before)
            raise Refused(f"cannot write {path}: {error.strerror}: nothing was changed at Zyra") from None
        raise
    line(f"registered {made.id}; its secret is in {path}, before the old one")
    return rotation


def told(zyra: Zyra, old: Endpoint) -> list[str]:
    """The types that the endpoint is told. Raises Refused: one without any would hear nothing."""
    found = old.events or patiently(lambda: zyra.webhooks.endpoints.get(str(old.id))).events
    if not found:
        raise Refused(f"Zyra does not say which types {old.id} is told: name them with --events")
    return found


def its_secret(made: Endpoint) -> str:
    """The secret of a new endpoint."""
    if not made.secret:
        raise Refused(f"Zyra's answer holds no secret: delete {made.id}, and look at `api check`")
    return made.secret


def restore(path: Path, note: Rotation) -> None:
    """The new secret into the file, if it is not there."""
    present = secret_file.read(path)
    if note.secret not in (present or "").split(","):
        secret_file.keep(path, f"{note.secret},{present or note.before}")


def proved(url: str, secret: str, wait: float, path: Path) -> None:
    """Posts deliveries signed with the new secret until some in a row are taken. Raises Refused."""
    until, taken, said = time.monotonic() + wait, 0, ""
    name = f"probe_{secrets.token_hex(8)}"
    while taken < PROBES:
        said = probed(url, secret, name)
        taken = taken + 1 if said.startswith("2") else 0
        if taken < PROBES:
            if time.monotonic() > until:
                raise Refused(
                    f"{url} does not take the new secret ({said}), so both endpoints stay, and nothing is lost. Do the "
                    f"receivers read {path}? Restart them if they may not see it change, and call this again; from "
                    f"where {url} cannot be reached, --no-probe takes your word for it"
                )
            time.sleep(APART)
    line(f"{url} takes the new secret")


def probed(url: str, secret: str, name: str) -> str:
    """The status of the answer, or what went wrong."""
    made = signing.headers(schemes()["zyra"], secret.encode(), BODY, f"{OURS}.probe", name, time.time())
    try:  # a connection of its own each time: the next receiver may answer it
        answer = httpx2.post(url, content=BODY, headers={**made, "user-agent": SENDER}, timeout=10, trust_env=False)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return type(error).__name__
    return str(answer.status_code)

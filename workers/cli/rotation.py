"""Replaces the signing secret without losing an event: a second endpoint, both secrets, then the first is deleted.

Zyra has no call for it. The first endpoint goes only once the receiver has taken a delivery signed with the new secret.
https://getzyra.io/documentation/user-guides/organization/stage-4/02-webhooks
"""

import contextlib
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2

from receiver.schemes import load_schemes as schemes
from receiver.signatures import signing
from receiver.sources import SENDER

from ..zyra import Zyra
from ..zyra.models import Endpoint
from . import secret_file
from .access import wait_for_budget
from .errors import CommandFailed
from .output import print_line
from .registration import create_endpoint, list_ours
from .secret_file import Rotation

OURS = "zyra-receiver"
ROTATED = re.compile(r"\(in place of ([^)]+)\)")
PROBE_SECONDS = 0.25  # between two probes
BODY = b"zyra-receiver endpoints rotate: is the new secret accepted?"  # no JSON, so no handler ever sees it


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePlan:
    """probes: deliveries in a row that must be taken; 0: none, just wait. wait: seconds for it."""

    probes: int
    wait: float


def rotate(zyra: Zyra, url: str, path: Path, events: Sequence[str], proof: ProbePlan) -> None:
    """Raises CommandFailed, ZyraError and ConfigurationError; called again, it goes on where it was."""
    ours = list_ours(zyra, url)
    note = secret_file.read_rotation(path)
    if note and note.endpoint not in ours:
        note = None  # of some rotation before, whose endpoint somebody has deleted
    if note is None:
        note = make_second(zyra, find_only(ours, url), path, events)
    else:
        restore(path, note)
    print_line(f"both secrets are accepted once the receivers have read {path} again")
    if note.first in ours:
        if proof.probes:
            probe_until_taken(url, note.secret, proof, path)
        else:
            time.sleep(proof.wait)
        remove_first(zyra, url, path, note)
    secret_file.end_rotation(path)
    print_line(f"deleted {note.first}, {note.endpoint} is in its place")
    print_line(
        "the old secret stays in the file for what Zyra may still repeat: `sources` says when it is safe to remove"
    )


def find_only(ours: Mapping[str, Endpoint], url: str) -> Endpoint:
    """Raises CommandFailed."""
    if len(ours) == 1:
        return next(iter(ours.values()))
    for row in ours.values():
        before = ROTATED.search(row.description or "")
        if before and before[1] in ours:
            raise CommandFailed(
                f"{row.id} is in place of {before[1]} already, and its secret is not known here. Somebody else rotates "
                f"it now, or a rotation was broken off before its secret was kept: then `endpoints delete {row.id}`, "
                f"and call this again"
            )
    raise CommandFailed(f"{url} is registered {len(ours)} times, not once: `endpoints list` shows all")


def remove_first(zyra: Zyra, url: str, path: Path, note: Rotation) -> None:
    """Raises CommandFailed where the second one is not there any more, or its secret is not."""
    present = secret_file.read(path) or ""
    if note.endpoint not in list_ours(zyra, url) or note.secret not in present.split(","):
        raise CommandFailed(
            f"{note.endpoint}, or its secret in {path}, is gone: somebody else was at work; nothing is deleted"
        )
    wait_for_budget(lambda: zyra.webhooks.endpoints.delete(note.first))


def make_second(zyra: Zyra, old: Endpoint, path: Path, events: Sequence[str]) -> Rotation:
    """Registers the second endpoint; its secret stands in the file before the old ones. Raises CommandFailed."""
    before = secret_file.read(path)
    if before is None:
        raise CommandFailed(f"{path} does not hold the present secret: without it what is under way would be refused")
    secret_file.check_writable(path)
    wanted = events or list_types(zyra, old)
    description = f"{OURS} (in place of {old.id})"
    begun: list[Rotation] = []

    def keep(name: str, secret: str) -> None:
        rotation = Rotation(first=str(old.id), endpoint=name, secret=secret, before=before)
        try:
            secret_file.begin_rotation(path, rotation)
        except BaseException:
            with contextlib.suppress(OSError):
                secret_file.write(path, before)  # first of all, since receivers read it
            secret_file.end_rotation(path)
            raise
        begun.append(rotation)

    name = create_endpoint(zyra, str(old.url), wanted, description, path, keep, ", before the present one and a comma")
    print_line(f"registered {name}; its secret is in {path}, before the old one")
    return begun[0]


def list_types(zyra: Zyra, old: Endpoint) -> list[str]:
    """The types that the endpoint is told. Raises CommandFailed: one without any would hear nothing."""
    types = old.events or wait_for_budget(lambda: zyra.webhooks.endpoints.get(str(old.id))).events
    if not types:
        raise CommandFailed(f"Zyra does not say which types {old.id} is told: name them with --events")
    return types


def restore(path: Path, note: Rotation) -> None:
    """Writes all secrets of an interrupted rotation to the file, if one is missing. Raises CommandFailed."""
    wanted = [note.secret, *note.before.split(",")]
    if not set(wanted) <= set((secret_file.read(path) or "").split(",")):
        try:
            secret_file.write(path, ",".join(wanted))
        except OSError as error:
            raise CommandFailed(f"cannot write {path}: {error.strerror}: both endpoints stay") from None


def probe_until_taken(url: str, secret: str, proof: ProbePlan, path: Path) -> None:
    """Posts deliveries signed with the new secret until enough in a row are taken. Raises CommandFailed.

    It is a sample: behind a balancer that picks at random each receiver should be asked several times.
    """
    name, until, taken = f"probe_{secrets.token_hex(8)}", time.monotonic() + proof.wait, 0
    if probe(url, secrets.token_hex(32), name).startswith("2"):
        raise CommandFailed(
            f"{url} accepted a delivery with an invalid signature, so probing proves nothing; "
            "pass --no-probe to skip it"
        )
    while taken < proof.probes:
        status = probe(url, secret, name)
        taken = taken + 1 if status.startswith("2") else 0
        if not taken and time.monotonic() > until:
            raise CommandFailed(
                f"{url} does not take the new secret ({status}), so both endpoints stay, and nothing is lost. Do all "
                f"receivers read {path}? Restart those that may not see it change, and call this again; from where "
                f"{url} cannot be reached, --no-probe takes your word for it"
            )
        time.sleep(PROBE_SECONDS)
    print_line(f"{url} takes the new secret")


def probe(url: str, secret: str, name: str) -> str:
    """The status of the answer, or what went wrong."""
    headers = signing.sign(schemes()["zyra"], secret.encode(), BODY, f"{OURS}.probe", name, time.time()).headers
    try:  # a connection of its own each time: the next receiver may answer it
        answer = httpx2.post(url, content=BODY, headers={**headers, "user-agent": SENDER}, timeout=10, trust_env=False)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return type(error).__name__
    return str(answer.status_code)

"""Refused deliveries, as receivers note them for a day."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from receiver.contract.connection import decode_text
from receiver.contract.errors import SealError
from receiver.contract.seal import Seal
from receiver.notices import name_capture

from ..ledger.transitions import Ledger


def list_refusals(ledger: Ledger) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The key of its list, its text there, and what it says."""
    for name in ledger.client.smembers(ledger.keys.name("refusals")):
        key = ledger.keys.name(f"refusals:{decode_text(name)}")
        for raw in ledger.client.lrange(key, 0, -1):
            if entry := parse_refusal(raw):
                yield key, decode_text(raw), entry


def parse_refusal(raw: bytes | str) -> dict[str, Any] | None:
    """One refusal, or None for what is none of ours."""
    try:
        entry = json.loads(raw)
        return entry if {"id", "at", "source", "cause", "reason"} <= entry.keys() and float(entry["at"]) else None
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def open_captured(refusal: dict[str, Any], seal: Seal) -> bytes | None:
    """The captured body, or None where there is none. Raises SealError, or ValueError where it is none of ours."""
    sealed = refusal.get("body_sealed")
    return seal.unwrap(name_capture(refusal["id"]), base64.b64decode(sealed)) if isinstance(sealed, str) else None


def show_captured(refusal: dict[str, Any], seal: Seal) -> None:
    """Puts the captured body, if there is one, in the place of its sealed bytes."""
    try:
        body = open_captured(refusal, seal)
    except (SealError, ValueError) as error:
        refusal["body_b64"] = f"cannot be decrypted: {error}"
    else:
        if body is not None:
            refusal["body_b64"] = base64.b64encode(body).decode()
    refusal.pop("body_sealed", None)

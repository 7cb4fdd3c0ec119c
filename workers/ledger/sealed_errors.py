"""Errors of attempts, which may hold parts of a payload, as the ledger keeps them."""

import base64

import msgspec

from receiver.contract.errors import SealError
from receiver.contract.seal import Seal

from .units import Cause, Outcome

MAX_ERROR_CHARACTERS = 500  # of a kept error
pack = msgspec.msgpack.Encoder().encode


class KeptError(msgspec.Struct, frozen=True, array_like=True):
    """What is sealed of a failed attempt. frames: the last lines of its traceback."""

    error: str
    frames: tuple[str, ...] = ()


unpack = msgspec.msgpack.Decoder(KeptError).decode


def seal_error(seal: Seal, outcome: Outcome) -> str:
    """In base64. Half a surrogate pair in the error is no UTF-8, and becomes a question mark."""
    error = outcome.error[:MAX_ERROR_CHARACTERS].encode("utf-8", "replace").decode()
    sealed = seal.wrap(name_error(outcome.unit), pack(KeptError(error, outcome.frames)))
    return base64.b64encode(sealed).decode()


def open_error(seal: Seal | None, unit: str, sealed: str) -> KeptError:
    """The error of an attempt. Says so where it cannot be opened."""
    if not sealed or not seal:
        return KeptError("")
    try:
        return unpack(seal.unwrap(name_error(unit), base64.b64decode(sealed)))
    except (SealError, ValueError) as error:
        return KeptError(f"cannot be decrypted: {error}")


def reseal_error(seal: Seal, unit: str, sealed: str) -> str:
    """The same under the first key. Raises SealError."""
    return base64.b64encode(seal.rewrap(name_error(unit), base64.b64decode(sealed))).decode() if sealed else ""


def name_error(unit: str) -> str:
    """The name under which the errors of a run are sealed."""
    return f"error:{unit}"


def digest_cause(seal: Seal, cause: Cause) -> dict[str, str]:
    """A cause as the ledger knows it: by digests under a key. `coarse`: of the same error, whatever its words."""
    same = f"{cause.handler}\n{cause.kind}\n{cause.path}"
    return {
        "id": seal.fingerprint(f"{same}\n{cause.words}".encode()),
        "coarse": seal.fingerprint(same.encode()),
        "handler": cause.handler,
        "kind": cause.kind,
        "place": cause.place,
    }

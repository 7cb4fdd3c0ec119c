"""A worker with one guard off: python -m tests.faults.without sweeper work. For rows that must fail."""

import sys
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from receiver.contract import seal
from workers.cli import main
from workers.ledger import transitions
from workers.ledger.composition import compose_transition
from workers.ledger.sweeper import Sweeper

composed = compose_transition


def sweeper() -> None:
    """What was lost on the way stays lost."""
    Sweeper.sweep = lambda self: transitions.SweepResult()  # type: ignore[method-assign]


def fencing() -> None:
    """Whoever says last how an attempt ended is believed."""
    guard = "if own.token ~= token or own.state ~= 'running' then"

    def unfenced(name: str) -> str:
        script = composed(name)
        assert name != "finish.lua" or guard in script
        return script.replace(guard, "if false then") if name == "finish.lua" else script

    vars(transitions)["compose_transition"] = unfenced


class Unsealed:
    """AES-GCM that decrypts and does not check."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def decrypt(self, nonce: bytes, sealed: bytes, bound: Any) -> bytes:
        return Cipher(algorithms.AES(self.key), modes.CTR(nonce + b"\0\0\0\2")).decryptor().update(sealed[:-16])


def unsealed() -> None:
    """Who can write to Redis can invent events."""
    vars(seal)["AESGCM"] = Unsealed


GUARDS = {"sweeper": sweeper, "fencing": fencing, "seal": unsealed}

if __name__ == "__main__":
    GUARDS[sys.argv.pop(1)]()
    main()

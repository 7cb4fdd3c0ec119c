"""The journal of a run's calls, in memory: what `Journal` asks of the ledger."""

import secrets
from typing import Any

from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from receiver.contract.secrets import Secret

from ..zyra.journal import Journal

SEAL = Seal(Secret("SEAL_KEY", secrets.token_hex(32), None))


class JournalMemory:
    """Stands for the ledger and its Redis, of one run."""

    def __init__(self) -> None:
        self.client = self
        self.keys = Keys("test")
        self.token = 0  # of the attempt that owns the run
        self.last = 0
        self.entries: dict[bytes, bytes] = {}

    def make_journal(self, run: str, attempt: int, key: str) -> Journal:
        """The journal as an attempt finds it."""
        self.token = attempt
        return Journal(self, SEAL, run, attempt, attempt, key)  # type: ignore[arg-type]

    def call(self, name: str, what: str, run: str, *values: Any) -> int:
        """What journal.lua does."""
        if what == "begin":
            token, number, entry = values
            if token != self.token:
                return 0
            self.last = number
            self.entries[str(number).encode()] = entry
            return 1
        number, before, after = values
        if self.entries.get(str(number).encode()) != before:
            return 0
        self.entries[str(number).encode()] = after
        return 1

    def hgetall(self, name: str) -> dict[bytes, bytes]:
        return dict(self.entries)

    def hmget(self, name: str, *fields: str) -> list[bytes | None]:
        return [None, str(self.last).encode()]

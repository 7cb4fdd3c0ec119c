"""What a run has asked of the API: each changing call, before it is made and once its outcome is known.

A later attempt of the run makes the same calls: those whose answer is recorded are not made again. Calls are the same
if verb, path and what is asked are; the second of two equal ones is another one.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec

from receiver.contract.connection import decode_text
from receiver.contract.errors import SealError
from receiver.contract.formats import FORMAT
from receiver.contract.records import read_number
from receiver.contract.seal import Seal

from ..errors import LeaseLost
from ..ledger.transitions import Ledger
from .calls import Answer, Call, find_row, read_data, read_row_id, to_mapping

log = logging.getLogger(__name__)
MAX_ANSWER_BYTES = 256 * 1024  # of an answer that are kept


class State(StrEnum):
    SENT = "sent"  # it may have happened, or not
    DONE = "done"
    REFUSED = "refused"  # it has not happened


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """at: milliseconds since 1970. looked_up: whether the outcome was found out later.

    by_person: whether a person told the outcome. A new field needs a default.
    """

    number: int
    method: str
    path: str
    digest: str
    attempt: int
    at: int
    state: State = State.SENT
    status: int = 0
    content: bytes = b""
    request_id: str = ""
    looked_up: bool = False
    by_person: bool = False
    format: int = 1

    @property
    def answer(self) -> Answer:
        return Answer(status=self.status, headers={"x-request-id": self.request_id}, content=self.content)

    def is_of(self, call: Call) -> bool:
        return (self.method, self.path, self.digest) == (call.route.method, call.path, call.digest)


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said at a replay. entries: digests of the entries that it speaks of."""

    happened: bool
    entries: tuple[str, ...]


class Journal:
    """Of one attempt. Blocking; raises redis errors, LeaseLost, and SealError for entries that are none of ours."""

    def __init__(self, ledger: Ledger, seal: Seal, run: str, token: int, attempt: int, key: str) -> None:
        self.key = key  # of event and handler
        self.run = run
        self._ledger = ledger
        self._seal = seal
        self._token = token
        self.attempt = attempt
        self._entries: dict[int, tuple[Entry, bytes]] | None = None
        self._last = 0  # the highest number that was given, as the run's record says
        self._used: set[int] = set()
        self._busy = threading.Lock()  # a handler may have threads of its own

    def find(self, call: Call) -> Entry | None:
        """What an earlier attempt recorded of this call, or this one without hearing an answer."""
        with self._busy:
            for entry, _ in self._load().values():
                if entry.is_of(call) and entry.state is not State.REFUSED and entry.number not in self._used:
                    self._used.add(entry.number)  # an equal call beside this one is another one
                    return entry
        return None

    def find_lost(self, call: Call) -> Entry | None:
        """A new entry for a call that may have been made, if entries are gone that were there; it is to be looked up.

        Who can write to Redis can delete an entry; nobody must make a call twice for that.
        """
        with self._busy:
            known = self._load()
            has_gaps = max(self._last, *known, 0) > len(known)
        return self.begin(call) if has_gaps else None

    def begin(self, call: Call) -> Entry:
        """Records that the call is made, before it is. Raises LeaseLost where the run is another attempt's."""
        with self._busy:
            known = self._load()
            entry = Entry(
                number=max(self._last, *known, 0) + 1,
                method=call.route.method,
                path=call.path,
                digest=call.digest,
                attempt=self.attempt,
                at=int(time.time() * 1000),
                format=FORMAT,
            )
            sealed = self._seal_entry(entry)
            if not self._ledger.call("journal.lua", "begin", self.run, self._token, entry.number, sealed):
                raise LeaseLost("the run is another attempt's by now: nothing was sent")
            known[entry.number] = entry, sealed
            self._last = entry.number
            self._used.add(entry.number)  # while it is under way it is no earlier call of another one like it
            return entry

    def forget_cache(self, entry: Entry) -> None:
        """No answer came: should the handler make the call again, its outcome is to be found out first."""
        self._used.discard(entry.number)

    def record_answer(self, entry: Entry, answer: Answer, looked_up: bool = False) -> bool:
        """It has happened. Whether that was recorded: not if another attempt changed the entry meanwhile."""
        content = answer.content if len(answer.content) <= MAX_ANSWER_BYTES else b""
        return self._change(entry, State.DONE, answer, content, looked_up)

    def record_refusal(self, entry: Entry, answer: Answer | None = None) -> bool:
        """It has not happened: it may be made again. Whether that was recorded."""
        return self._change(entry, State.REFUSED, answer, b"", answer is None)

    def list_made_ids(self, call: Call) -> set[str]:
        """The ids of what the run's other calls to the same path have made."""
        with self._busy:
            entries = [entry for entry, _ in self._load().values() if entry.state is State.DONE]
        made = [one.answer for one in entries if (one.method, one.path) == (call.route.method, call.path)]
        return {read_row_id(find_row(call.route, to_mapping(read_data(call, answer)))) for answer in made}

    def _change(self, entry: Entry, state: State, answer: Answer | None, content: bytes, looked_up: bool) -> bool:
        with self._busy:
            known = self._load()
            changed = msgspec.structs.replace(
                entry,
                state=state,
                status=answer.status if answer else 0,
                content=content,
                request_id=answer.request_id if answer else entry.request_id,
                looked_up=looked_up,
            )
            sealed = self._seal_entry(changed)
            if not self._ledger.call("journal.lua", "change", self.run, entry.number, known[entry.number][1], sealed):
                self._entries = None  # read it again
                self._used.discard(entry.number)
                return False
            known[entry.number] = changed, sealed
            return True

    def _load(self) -> dict[int, tuple[Entry, bytes]]:
        if self._entries is None:
            self._entries = load_entries(self._ledger, self._seal, self.run)
            decision, last = self._ledger.client.hmget(self._ledger.keys.run(self.run), "unanswered", "calls")
            self._last = read_number(last)
            if decision is not None:
                self._decide(self._entries, decision)
        return self._entries

    def _decide(self, known: dict[int, tuple[Entry, bytes]], text: Any) -> None:
        """What a person said, at a replay, of calls that nobody heard an answer of."""
        word = open_word(self._seal, self.run, text)
        if word is None:
            log.warning("what a person said of unanswered calls is not what was sealed: they are looked up")
            return
        state = State.DONE if word.happened else State.REFUSED
        for number, (entry, sealed) in known.items():
            if entry.state is State.SENT and digest(sealed) in word.entries:
                known[number] = msgspec.structs.replace(entry, state=state, status=200, by_person=True), sealed

    def _seal_entry(self, entry: Entry) -> bytes:
        return self._seal.wrap(name_entry(self.run, entry.number), msgspec.json.encode(entry))


def load_entries(ledger: Ledger, seal: Seal, run: str) -> dict[int, tuple[Entry, bytes]]:
    """A run's entries in their order, with their sealed text. Raises SealError."""
    raw: dict[Any, Any] = ledger.client.hgetall(ledger.keys.name(f"calls:{run}"))
    loaded = {}
    for number in sorted(int(decode_text(field)) for field in raw if decode_text(field).isdecimal()):
        sealed = raw[str(number).encode()]
        try:
            entry = msgspec.json.decode(seal.unwrap(name_entry(run, number), sealed), type=Entry)
        except msgspec.MsgspecError:
            raise SealError("an entry of the journal cannot be read") from None
        if entry.format > FORMAT:
            raise SealError(f"an entry of the journal is of the later format {entry.format}: update this worker")
        loaded[number] = entry, sealed
    return loaded


def seal_word(ledger: Ledger, seal: Seal, run: str, happened: bool) -> bytes:
    """What a person says of a run's calls that nobody heard an answer of, sealed: it counts for these entries alone.

    Raises SealError.
    """
    unanswered = [sealed for entry, sealed in load_entries(ledger, seal, run).values() if entry.state is State.SENT]
    word = Word(happened=happened, entries=tuple(map(digest, unanswered)))
    return seal.wrap(name_word(run), msgspec.json.encode(word))


def open_word(seal: Seal, run: str, text: Any) -> Word | None:
    """What a person said, or None where that is not what was sealed."""
    try:
        return msgspec.json.decode(seal.unwrap(name_word(run), text), type=Word)
    except (SealError, msgspec.MsgspecError):
        return None


def digest(sealed: bytes) -> str:
    return hashlib.sha256(sealed).hexdigest()


def name_word(run: str) -> str:
    return f"unanswered:{run}"


def list_calls(ledger: Ledger, seal: Seal, run: str) -> Sequence[dict[str, Any]]:
    """The calls of a run for `events show`. person_says: of a call without an answer: happened, repeat or ""."""
    text = ledger.client.hget(ledger.keys.run(run), "unanswered")
    word = open_word(seal, run, text) if text is not None else None
    words = dict.fromkeys(word.entries, "happened" if word.happened else "repeat") if word else {}
    return [
        {
            "order": entry.number,
            "call": f"{entry.method} {entry.path}",
            "outcome": entry.state.value if entry.state is not State.SENT else "unknown",
            "person_says": words.get(digest(sealed), "happened" if entry.by_person else ""),
            "status": entry.status,
            "attempt": entry.attempt,
            "at": entry.at,
            "request_id": entry.request_id,
            "looked_up": entry.looked_up,
        }
        for entry, sealed in load_entries(ledger, seal, run).values()
    ]


def name_entry(run: str, number: int) -> str:
    return f"calls:{run}:{number}"

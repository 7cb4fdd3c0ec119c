"""Runs a handler to its end as a worker does: attempts, backoff, leases, journalled calls; time passes at once."""

import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx2
import msgspec

from receiver.contract.keys import make_run_id

from ..context import Context, Lease
from ..errors import RetryLater
from ..event import Event, make_key
from ..handler import Handler
from ..ledger.transitions import LEASE_SECONDS, RETRY_LATER_SECONDS
from ..outgoing import Post
from ..router import Router
from ..runtime.attempt import draw_backoff, is_last_failure
from ..runtime.foreground import Ending, LocalCounter, run_attempt
from ..sandbox.in_process import RecordedCall, SandboxInProcess
from .answers import Answers, Documents
from .clock import Clock
from .journal import JournalMemory

MOMENT = re.compile(r"(before|after) call ([1-9][0-9]*)")
MAX_ATTEMPTS = 1000  # whatever a handler asks for


class Killed(BaseException):
    """The process of the attempt died here."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended.

    outcome: done, dead, skipped, waiting, or unwanted: the handler is not for this event. error: of the last attempt.
    reason: why it was skipped, or what it waits for. calls: of all attempts. seconds: how long a worker would have
    taken, waits included.
    """

    outcome: str
    attempts: int = 0
    error: BaseException | None = None
    reason: str = ""
    calls: tuple[RecordedCall, ...] = ()
    posts: tuple[Post, ...] = ()
    seconds: float = 0.0

    @property
    def changes(self) -> list[str]:
        """Calls that have changed something, as `POST /api/v1/...`."""
        return [str(call) for call in self.calls if call.method != "GET" and call.status < 400]


def run_handler(
    handler: Handler | Callable[..., Any],
    event: Event,
    *,
    zyra: SandboxInProcess | None = None,
    answers: Documents | None = None,
    kill_at: str = "",
    pause_at: str = "",
    clock: Clock | None = None,
) -> Result:
    """Runs a handler on an event until it is done or dead.

    handler: the function, or a handler of a router. zyra: the API; else a fresh one that knows every id.
    answers: of other APIs, such as {"GET https://api.github.com/user": {"login": "octocat"}}; the rest answer {}.
    kill_at: "before call 2" or "after call 2": where the process of the first attempt dies; only calls that change
        something count. The next attempt goes on from the journal, once the lease has ended.
    pause_at: "after call 2": where the process of the first attempt stops for longer than its lease. Another attempt
        runs to its end; then the first one goes on.
    Raises ValueError where `kill_at` or `pause_at` is none of these, or no call is the one that it names.
    """
    found, api, time = find_handler(handler), zyra or SandboxInProcess(pretends=True), clock or Clock()
    if not is_wanted(found, event):
        return Result(outcome="unwanted")
    api.tell(event.type, event.resource_id, event.payload.get("data") if isinstance(event.payload, dict) else None)
    moments = parse_moment("kill_at", kill_at), parse_moment("pause_at", pause_at)
    run = Run(found, event, api, time, Answers(answers), *moments)
    return run.finish()


class Run:
    """One run of a handler. outcome: "" until it has ended."""

    def __init__(
        self,
        handler: Handler,
        event: Event,
        api: SandboxInProcess,
        clock: Clock,
        others: Answers,
        kill_at: "Moment | None" = None,
        pause_at: "Moment | None" = None,
        counter: LocalCounter | None = None,
    ) -> None:
        self.name = make_run_id(event.id, handler.name)
        self.attempts = 0
        self.outcome = ""
        self._handler = handler
        self._event = msgspec.structs.replace(event, key=make_key(event.id, handler.name))
        self._api = api
        self._others = others
        self._calls: list[RecordedCall] = []
        self._clock = clock
        self._kill_at = kill_at
        self._pause_at = pause_at
        self._began = clock.now
        self._failures = 0
        self._error: BaseException | None = None
        self._journal = JournalMemory()
        self._counter = counter or LocalCounter(clock.read)
        self._changes = 0
        self._posts: list[Post] = []

    def finish(self) -> Result:
        """Makes attempts until the run is done or dead."""
        self._clock.advance(self._handler.delay)
        self._go_on()
        if moment := self._kill_at or self._pause_at:
            raise ValueError(f"there is no call {moment[1]}: the handler made {self._changes}")
        return self.describe()

    def step(self) -> float | None:
        """Makes one attempt: seconds until the next one, or None if the run has ended."""
        self.attempts += 1
        ending = self._attempt(self.attempts)
        if self.outcome:  # by another attempt, which ran while this one was paused
            return None
        if ending is None:
            return LEASE_SECONDS
        self._error = error = ending.error
        if error is None:
            self.outcome = "done"
            return None
        if is_last_failure(error, self._failures, self._handler):
            self.outcome = "dead"
            return None
        if isinstance(error, RetryLater):
            wait = error.seconds
        else:
            wait = draw_backoff(self._failures, self._handler.backoff)
            self._failures += 1
        if self.attempts == MAX_ATTEMPTS or self._clock.now + wait - self._began > RETRY_LATER_SECONDS:
            self.outcome = "dead"
            return None
        return wait

    def describe(self) -> Result:
        return Result(
            outcome=self.outcome,
            attempts=self.attempts,
            error=self._error,
            calls=tuple(self._calls),
            posts=tuple(self._posts),
            seconds=self._clock.now - self._began,
        )

    def _go_on(self) -> None:
        while (wait := self.step()) is not None:
            self._clock.advance(wait)

    def _attempt(self, number: int) -> Ending | None:
        """None: it was killed."""
        event = msgspec.structs.replace(self._event, attempt=number)
        try:
            self._handler.wants(event)
            self._handler.find_key(event)
            self._handler.find_age(event)
        except Exception as error:  # of the author's `when` or `key`: an attempt of a worker fails, too
            return Ending(error=error)
        journal = self._journal.make_journal(self.name, number, event.key)
        lease = Lease(self._clock.read(), clock=self._clock.read)
        context = Context(
            self._counter, lease, self._handler.name, lambda: journal, answer=partial(self._answer, self._others)
        )
        client = self._api.make_client(
            self._handler.is_async, journal=journal, answer=partial(self._answer, self._api), guard=lease.check
        )
        try:
            ending = run_attempt(self._handler, event, client, context=context)
        except Killed:
            self._kill_at = None
            return None
        self._posts += ending.posts
        return ending

    def _answer(self, api: SandboxInProcess | Answers, request: httpx2.Request) -> httpx2.Response:
        is_change = request.method != "GET"
        self._changes += is_change
        number = self._changes if is_change else 0
        if self._kill_at == ("before", number):
            raise Killed
        response = api.answer(request)
        self._calls.append(api.calls[-1])
        if self._kill_at == ("after", number):
            raise Killed
        if self._pause_at == ("after", number):
            self._pause()
        return response

    def _pause(self) -> None:
        """Lets the lease end, and another attempt run; in a thread, because this one may stand in an event loop."""
        self._pause_at = None
        self._clock.advance(LEASE_SECONDS + 1)
        with ThreadPoolExecutor(1) as other:
            other.submit(self._go_on).result()


def is_wanted(handler: Handler, event: Event) -> bool:
    """Whether there is a run. A `when` that raises makes one, which fails."""
    try:
        return handler.wants(event)
    except Exception:
        return True


Moment = tuple[str, int]  # before or after, and the number of the call


def parse_moment(option: str, text: str) -> Moment | None:
    if not text:
        return None
    match = MOMENT.fullmatch(text)
    if not match or (option == "pause_at" and match[1] == "before"):
        like = '"after call 2"' if option == "pause_at" else '"before call 1" or "after call 2"'
        raise ValueError(f"{option} must be like {like}, not {text!r}")
    return match[1], int(match[2])


def find_handler(handler: Handler | Callable[..., Any]) -> Handler:
    """The handler of a function, as its module's router has it. Raises LookupError."""
    if isinstance(handler, Handler):
        return handler
    module = sys.modules.get(handler.__module__)
    for router in vars(module).values() if module else ():
        if isinstance(router, Router):
            for one in router:
                if one.function is handler:
                    return one
    raise LookupError(f"no router of {handler.__module__} has {handler.__name__}: is @router.on above it?")

"""The functions of RQ jobs for a stock `rq worker`: one unit in this process, with a lease of its own.

export RQ_KEY_PREFIX={events}:rq
rq worker events -S json --job-class receiver.contract.jobs.LedgerJob --queue-class receiver.contract.jobs.LedgerQueue
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache

from msgspec import structs

from receiver.contract.connection import FAULTS
from receiver.contract.logs import CONTEXT

from . import plugins, settings
from .context import CURRENT, Context, Lease
from .handler import Handler
from .ledger.transitions import LEASE_SECONDS, Ledger
from .ledger.units import Claim, Outcome
from .router import Router
from .runtime.attempt import Attempt, conclude, judge_timeout, prepare
from .runtime.clients import Clients
from .runtime.contexts import make_context
from .runtime.dispatch import plan, record
from .runtime.foreground import call_function
from .settings import Settings
from .zyra import AsyncZyra, Zyra

log = logging.getLogger(__name__)
ASYNC_SLACK_SECONDS = 1.0  # for an `async def` to end by its own timeout


def dispatch(job: str) -> None:
    """Makes the runs of the event that the job names."""
    ledger, router, config = load_worker()
    for claim in ledger.take([job]):
        lane_key = ledger.lane_key if any(one.ordered and one.key for one in router) else b""
        record([plan(claim, router, config.seal, lane_key=lane_key)], ledger, claim.claimed_at)


def run(job: str) -> None:
    """One attempt of the run that the job names."""
    ledger, router, config = load_worker()
    for claim in ledger.take([job]):
        if claim.suspect:
            ledger.claim_alone(claim.unit, claim.token)
        ready = prepare(claim, router, config.seal, ledger)
        ledger.finish([ready if isinstance(ready, Outcome) else perform(ready, ledger, config)])


def refuse(job: str) -> None:
    """Counts a job that we did not queue, and does nothing else."""
    load_worker()[0].take([job])
    log.error("a forged job was refused", extra={"job": job})


@cache
def load_worker() -> tuple[Ledger, Router, Settings]:
    config = settings.read()
    ledger = Ledger.open(config)
    return ledger, plugins.load_handlers(config.handlers), config


def perform(ready: Attempt, ledger: Ledger, config: Settings) -> Outcome:
    """The handler's end. A `def` handler that does not end in time is left behind in its thread: RQ's child exits."""
    with renew_lease(ready.claim, ledger) as lease:
        own = make_context(ledger, lease, ready)
        arguments = [make_client(ready.handler, own, ledger, config)] if ready.handler.takes_client else []
        ended: list[Outcome] = []
        context = copy_context()
        context.run(CURRENT.set, own)
        context.run(CONTEXT.set, ready.describe())
        thread = threading.Thread(
            target=lambda: ended.append(context.run(call_handler, ready, lease, arguments)), daemon=True
        )
        thread.start()
        thread.join(ready.handler.timeout + (ASYNC_SLACK_SECONDS if ready.handler.is_async else 0))
        lease.lost = lease.lost or not ended  # its client refuses calls from now on
        return ended[0] if ended else structs.replace(judge_timeout(ready.claim, ready.handler), slot=ready.slot)


def call_handler(ready: Attempt, lease: Lease, arguments: Sequence[object]) -> Outcome:
    try:
        lease.check()
        call_function(ready.handler, [ready.event, *arguments])
    except BaseException as error:
        return conclude(ready, error)
    return conclude(ready, None)


def make_client(handler: Handler, context: Context, ledger: Ledger, config: Settings) -> Zyra | AsyncZyra:
    """An async client lives in the loop of one call; the other one for the whole process."""
    if handler.is_async:
        return Clients(config, ledger).make_async(context)
    return load_clients().make_sync(context)


@cache
def load_clients() -> Clients:
    ledger, _, config = load_worker()
    return Clients(config, ledger)


@contextmanager
def renew_lease(claim: Claim, ledger: Ledger) -> Iterator[Lease]:
    """Renews the lease from a thread while the handler runs."""
    lease, done = Lease(claim.claimed_at), threading.Event()

    def renew() -> None:
        while not done.wait(LEASE_SECONDS / 3):
            now = time.monotonic()
            try:
                lease.lost = lease.lost or bool(ledger.renew([(claim.unit, claim.token)]))
                lease.claimed_at = now
            except FAULTS as error:
                log.warning("lease not renewed", extra={"run": claim.unit, "error": str(error)})

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        done.set()
        thread.join()

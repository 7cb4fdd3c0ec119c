"""RQ's worker class for our queue. RQ registers and lists it; the ledger says what it does.

zyra-receiver work --processes 2
RQ_KEY_PREFIX={events}:rq rq worker events --worker-class workers.worker.Worker
"""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from importlib import metadata
from types import FrameType
from typing import TYPE_CHECKING, Any

import redis

from receiver.contract import formats, memory, telemetry
from receiver.contract.connection import connect_again
from receiver.contract.errors import ConfigurationError
from receiver.contract.figures import show_life
from receiver.contract.jobs import LedgerJob, LedgerQueue
from receiver.contract.keys import Keys, find_tag
from receiver.contract.rq_names import RQ_KEY_PREFIX, BaseWorker, Queue, WorkerStatus
from receiver.contract.sentry import open_sentry
from receiver.contract.tracing import open_tracing

from .. import plugins, settings
from ..ledger.transitions import Ledger
from ..ledger.units import Ticket
from ..settings import Settings
from . import limits, prints
from .pipe import Clock, Pipe
from .process import Process
from .pulse import Phase, Pulse
from .redis_wait import wait_for_redis
from .supervisor import BROKEN_STATUS, Supervisor

if TYPE_CHECKING:
    from .clients import Clients

log = logging.getLogger(__name__)
Work = tuple[Pipe, Clock, Ticket | None]
WORKER_TTL_SECONDS = 60  # after which RQ forgets a worker that shows no sign of life
TIMEOUTS_SECONDS = {
    "socket_timeout": 3.0,
    "socket_connect_timeout": 1.0,
}  # seconds: a parent that hangs renews no lease


class Worker(BaseWorker):
    """One parent and its processes. Nothing that is published to RQ's command channel is listened to."""

    queue_class: type[Queue] = LedgerQueue
    job_class = LedgerJob

    def __init__(
        self,
        queues: Any,
        name: str | None = None,
        *,
        connection: redis.Redis,
        settings: Settings | None = None,
        processes: int = 1,
        concurrency: int = 16,
        keep_going: bool = False,
        pulse: Pulse | None = None,
        prepare_for_work: bool = True,
        **options: Any,
    ) -> None:
        memory.forbid_core_dumps()
        wait_for_redis(connection.ping)
        named = [queue if isinstance(queue, str) else queue.name for queue in to_list(queues)]
        super().__init__(
            named, name=name, connection=connection, worker_ttl=WORKER_TTL_SECONDS, prepare_for_work=prepare_for_work
        )
        self.settings = settings
        self.processes = processes
        self.concurrency = concurrency
        self.keep_going = keep_going
        self.pulse = pulse or Pulse()

    def _set_connection(self, connection: redis.Redis) -> redis.Redis:
        """RQ would raise its time-out to minutes: a parent that hangs renews no lease."""
        return connect_again(connection, find_tag(RQ_KEY_PREFIX))

    def work(self, burst: bool = False, *ignored: Any, **options: Any) -> bool:
        """Works until SIGTERM or SIGINT, or in burst mode until nothing is due. Raises ConfigurationError."""
        if len(self.queues) != 1:
            raise ConfigurationError(["a worker serves exactly one queue: start one for each"])
        config = self.settings or settings.read()
        telemetry.refuse_faults()
        keys = Keys(self.queues[0].name, RQ_KEY_PREFIX)
        ledger = Ledger(
            connect_again(self.connection, keys.tag, **TIMEOUTS_SECONDS), keys, config.seal, config.keep_done
        )
        if fault := wait_for_redis(lambda: formats.look_at_ledger(ledger.client, keys)):
            raise ConfigurationError([fault])
        memory.settle()  # what is there before the forks is not touched by any collector, and so stays shared
        parent = Supervisor(
            ledger,
            lambda pipe, clock, unit, ends: self._fork(config, keys, (pipe, clock, unit), ends),
            processes=self.processes,
            heartbeat=partial(self._send_heartbeat, ledger),
            burst=burst,
            beat=self.pulse.beat,
            keep_done_min=config.keep_done_min,
        )

        def stop(signum: int, frame: FrameType | None) -> None:
            self.pulse.beat(Phase.STOPPING)
            parent.stop()

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        if not sys.stdin or not sys.stdin.isatty():  # where a terminal that closes must not end it
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: parent.reload())
        wait_for_redis(self._register)
        facts = {"version": metadata.version("zyra-receiver"), "queue": keys.queue, "worker": self.name}
        log.info("worker starts", extra=facts)
        try:
            parent.run()
        finally:
            log.info("worker ends", extra=facts)
            for number, handler in before.items():
                signal.signal(number, handler)
            with contextlib.suppress(redis.RedisError):
                ledger.client.zrem(keys.name("workers"), self.name)
                self.register_death()  # type: ignore[no-untyped-call]
        if parent.broken:
            raise ConfigurationError(parent.broken.splitlines())
        return True

    def _register(self) -> None:
        """What RQ does at a worker's birth; also after a try that failed midway."""
        self.connection.delete(self.key)
        self.register_birth()  # type: ignore[no-untyped-call]

    def _send_heartbeat(self, ledger: Ledger, busy: bool) -> None:
        show_life(ledger.client, ledger.keys, self.name)
        state = WorkerStatus.BUSY if busy else WorkerStatus.IDLE
        if self.get_state() != state:
            self.set_state(state)
        if not self.connection.hexists(self.key, "birth"):  # we were out of reach for longer than our record lives
            self._register()
            log.warning("registered again")
        self.heartbeat()

    def _fork(self, config: Settings, keys: Keys, work: Work, ends: list[Pipe]) -> int:
        parent = os.getpid()
        sys.stdout.flush()
        if pid := os.fork():
            with contextlib.suppress(OSError):  # it may have been quicker, and may be gone
                os.setpgid(pid, pid)
            return pid
        status = 1  # pragma: no cover - the child's first lines run before its measurement begins
        try:  # pragma: no cover
            limits.end_with_parent(parent)
            os.setpgid(0, 0)  # what a handler starts and leaves behind ends with its process
            for end in ends:  # else nobody would see the parent's end
                end.close()
            status = self._run_child(config, keys, *work)
        except BaseException:
            log.exception("a worker process ended")
        finally:
            os._exit(status)

    def _run_child(self, config: Settings, keys: Keys, pipe: Pipe, clock: Clock, unit: Ticket | None) -> int:
        # The parent decides; what a handler starts decides for itself.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(-1)
        most = limits.apply(config.memory, self.processes)
        try:
            router = plugins.load_handlers(config.handlers, keep_going=self.keep_going)
        except ConfigurationError as error:
            pipe.send(broken=str(error))
            return BROKEN_STATUS
        ledger = Ledger(
            connect_again(self.connection, keys.tag, **TIMEOUTS_SECONDS), keys, config.seal, config.keep_done
        )
        clients = partial(load_clients, config, ledger)
        process = Process(
            ledger,
            router,
            config.seal,
            pipe,
            clock,
            clients,
            self.concurrency,
            most,
            log_runs=config.log_deliveries,
            log_errors=config.log_errors,
            tracing=open_tracing("worker"),
            sentry=open_sentry("worker"),
        )
        prints.install()
        logging.captureWarnings(True)  # such as "coroutine ... was never awaited"
        if unit is None:
            log.info("a process starts", extra={"handlers": [handler.name for handler in router]})
        process.run_alone(*unit) if unit else process.run()
        return 0


def load_clients(config: Settings, ledger: Ledger) -> "Clients":
    """The API clients. Imported only if a handler takes one, because their libraries are large."""
    from .clients import Clients

    return Clients(config, ledger)


def to_list(queues: Any) -> Sequence[Any]:
    return queues if isinstance(queues, list | tuple) else [queues]

"""A worker process's threads, in this process: faults of Redis at every step, and words from the parent."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from receiver.contract.seal import Seal
from receiver.contract.secrets import Secret
from tests.support.kit import Server, accept, dispatch, wait_for
from workers import Event, Router, Zyra
from workers.errors import LeaseLost
from workers.ledger import query
from workers.ledger.transitions import Ledger
from workers.runtime import limits
from workers.runtime.clients import Clients
from workers.runtime.pipe import Clock, Pipe, make_pair, unpack_outcome
from workers.runtime.process import Process
from workers.settings import Settings
from workers.zyra.routes import Limits

OPEN: list[Pipe] = []  # a process whose parent's end is gone ends at once: these stay open as long as the tests run


@pytest.fixture
def seen() -> list[str]:
    return []


@pytest.fixture
def router(seen: list[str]) -> Router:
    router = Router()

    @router.on("plain", name="plain")
    def plain(event: Event) -> None:
        seen.append("plain")

    @router.on("single", name="single", concurrency=1)
    def single(event: Event) -> None:
        seen.append("single")

    @router.on("waits", name="waits")
    def waits(event: Event, zyra: Zyra) -> None:
        seen.append("waits")
        for _ in range(100):
            time.sleep(0.05)
            try:
                zyra.virtual_servers.get("vs_1")
            except LeaseLost:
                seen.append("lost")
                raise
            except Exception:
                pass

    return router


Start = Callable[..., tuple[Process, Pipe]]


@pytest.fixture
def start(ledger: Ledger, router: Router, seal: Seal) -> Iterator[Start]:
    running: list[tuple[Process, threading.Thread]] = []

    def begin(on: Ledger | None = None, run: bool = True) -> tuple[Process, Pipe]:
        parent, child = make_pair()
        OPEN.append(parent)
        key, plenty = Secret("K", "zyra_sk_1", None), Limits(read=1000)
        settings = Settings(seal=seal, api_url="http://127.0.0.1:1", api_key=key, api_limits=plenty)
        process = Process(on or ledger, router, seal, child, Clock(), lambda: Clients(settings, ledger), 4)
        if run:
            thread = threading.Thread(target=process.run)
            thread.start()
            running.append((process, thread))
        return process, parent

    yield begin
    for process, thread in running:
        process.draining.set()
        thread.join(30)
        assert not thread.is_alive()


def state(ledger: Ledger, event: str) -> str:
    found = query.show(ledger, event)
    assert found is not None
    return str(found["state"])


def test_a_dispatch_that_cannot_be_recorded_is_tried_until_it_can(
    ledger: Ledger, router: Router, seal: Seal, start: Start, client: redis.Redis, seen: list[str]
) -> None:
    def spoil(event: Event) -> bool:
        if not seen:
            seen.append("spoilt")
            client.set(ledger.keys.name("audit"), "junk")
        return True

    router.on("plain", name="spoiler", when=spoil)(lambda event: None)
    event = accept(ledger, seal, kind="plain")
    start()
    wait_for(lambda: seen)
    time.sleep(0.5)
    assert state(ledger, event) == "accepted"
    client.delete(ledger.keys.name("audit"))

    wait_for(lambda: state(ledger, event) == "done")
    assert seen == ["spoilt", "plain"]


def test_a_ledger_that_is_spoilt_is_waited_for(
    ledger: Ledger, seal: Seal, start: Start, client: redis.Redis, seen: list[str]
) -> None:
    event = accept(ledger, seal, kind="plain")
    client.set(ledger.keys.name("open"), "junk")
    start()
    time.sleep(0.5)
    client.delete(ledger.keys.name("open"))

    ledger.sweep(lost_after=-1)
    ledger.sweep(lost_after=-1)  # the job was popped, and could not be claimed
    wait_for(lambda: state(ledger, event) == "done")


def test_an_outcome_that_cannot_be_recorded_is_kept(
    own_server: Server, own_ledger: Ledger, seal: Seal, start: Start, seen: list[str]
) -> None:
    event = accept(own_ledger, seal, kind="waits")
    process, _ = start(own_ledger)
    wait_for(lambda: seen)
    own_server.stop()
    wait_for(lambda: process._recorder._outcomes.empty() and process._threads._batches.empty())
    time.sleep(6)
    own_server.start()

    wait_for(lambda: state(own_ledger, event) == "done")
    assert seen == ["waits"]


@pytest.mark.parametrize("at", ["dispatch", "run"])
def test_a_process_that_is_worn_leaves_the_record_to_its_parent(
    ledger: Ledger, seal: Seal, start: Start, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    accept(ledger, seal, kind="plain")
    if at == "run":
        dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["plain"])
    (claim,) = ledger.take([], 1)
    process, parent = start(run=False)
    process._start()
    client.set(ledger.keys.name("audit"), "junk")  # every script refuses from now on
    monkeypatch.setattr(limits, "find_wear", lambda most: "it has no file descriptor left")

    process._begin([claim])
    process._stop()

    told = [message for message in parent.receive() or [] if "record" in message]
    verdict = "done" if at == "run" else "handed"
    ((outcome,),) = [map(unpack_outcome, message["record"]) for message in told]
    assert (outcome.unit, outcome.token, outcome.verdict, outcome.error) == (claim.unit, claim.token, verdict, "")


def test_a_place_that_cannot_be_asked_for_hands_back(
    ledger: Ledger, seal: Seal, start: Start, client: redis.Redis, seen: list[str]
) -> None:
    client.set(ledger.keys.name("slots:single"), "junk")
    event = accept(ledger, seal, kind="single")
    start()
    wait_for(lambda: b"attempts_handed" in client.hgetall(ledger.keys.name("counters")))
    client.delete(ledger.keys.name("slots:single"))

    wait_for(lambda: state(ledger, event) == "done")
    found = query.show(ledger, event)
    assert found is not None
    assert found["runs"][0]["attempts"] == 1


def test_a_lost_lease_is_told_to_the_client(ledger: Ledger, seal: Seal, start: Start, seen: list[str]) -> None:
    event = accept(ledger, seal, kind="waits")
    _, parent = start()
    wait_for(lambda: seen)
    found = query.show(ledger, event)
    assert found is not None
    (unit,) = ledger.client.zrange(ledger.keys.name("running"), 0, -1)

    parent.send(lost=[("evt_other", 1), (unit.decode(), 1)])

    wait_for(lambda: seen[:2] == ["waits", "lost"])


def test_what_was_paused_before_it_began_does_not_begin(
    ledger: Ledger, seal: Seal, start: Start, seen: list[str]
) -> None:
    accept(ledger, seal, kind="plain")
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["plain"])
    (claim,) = ledger.take([], 1)
    process, _ = start(run=False)
    process.clock.set(time.monotonic() - 60)
    process._start()

    process._begin([replace(claim, claimed_at=time.monotonic() - 60)])
    process._stop()

    assert seen == []


def test_the_parents_word_ends_it(ledger: Ledger, start: Start) -> None:
    process, parent = start()

    parent.send(drain=True)

    wait_for(process.draining.is_set)


def test_what_was_claimed_and_not_started_is_handed_back(
    ledger: Ledger, seal: Seal, start: Start, seen: list[str]
) -> None:
    event = accept(ledger, seal, kind="plain")
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["plain"])
    process, _ = start(run=False)
    process._start()
    process.draining.set()
    (claim,) = ledger.take([], 1)

    process._begin([claim])
    process._stop()

    found = query.show(ledger, event)
    assert found is not None
    assert (found["runs"][0]["state"], found["runs"][0]["attempts"], seen) == ("queued", 0, [])


def test_alone_with_a_token_that_is_not_ours(ledger: Ledger, seal: Seal, start: Start, seen: list[str]) -> None:
    accept(ledger, seal, kind="plain")
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["plain"])
    (claim,) = ledger.take([], 1)
    process, _ = start(run=False)

    process.run_alone(claim.unit, claim.token + 1)

    assert seen == []
    other, _ = start(run=False)
    other.run_alone(claim.unit, claim.token)
    assert seen == ["plain"]


def test_alone_while_redis_is_away_costs_nothing(
    own_server: Server, own_ledger: Ledger, seal: Seal, start: Start, seen: list[str]
) -> None:
    event = accept(own_ledger, seal, kind="plain")
    dispatch(own_ledger, own_ledger.take([], 1)[0], "dispatched", "", ["plain"])
    (claim,) = own_ledger.take([], 1)
    own_ledger.finish([])
    process, _ = start(own_ledger, run=False)
    own_server.stop()
    thread = threading.Thread(target=process.run_alone, args=(claim.unit, claim.token))
    thread.start()
    time.sleep(0.5)
    own_server.start()
    thread.join(20)

    found: dict[str, Any] | None = query.show(own_ledger, event)
    assert found is not None
    assert (found["runs"][0]["state"], found["runs"][0]["attempts"], seen) == ("queued", 0, [])


FIELDS = ["source", "type", "received_at", "delivery_id", "origin", "key", "state", "job", "queued_at", "token", "body"]


@pytest.mark.parametrize("at", ["accepted", "dispatched"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_flipped_byte_in_any_value_runs_nothing_altered(
    ledger: Ledger, seal: Seal, router: Router, start: Start, client: redis.Redis, field: str, at: str
) -> None:
    """Whatever is flipped, before dispatch or after it: no handler sees anything else than was sealed, work goes on."""
    told: list[tuple[str, str, bytes]] = []
    router.on("*", source="*", name="all")(lambda event: told.append((event.source, event.type, event.body)))
    event = accept(ledger, seal, b'{"a": 1}', kind="plain", delivery_id="d1")
    if at == "dispatched":
        dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["all"])
    key = ledger.keys.body(event) if field == "body" else ledger.keys.event(event)
    held: Any = client.get(key) if field == "body" else client.hget(key, field)
    value = bytearray(held or b"0")
    value[len(value) // 2] ^= 1
    client.set(key, bytes(value)) if field == "body" else client.hset(key, field, bytes(value))
    start()
    after = accept(ledger, seal, b'{"b": 2}', kind="other")

    wait_for(lambda: state(ledger, after) == "done")
    assert set(told) <= {("zyra", "plain", b'{"a": 1}'), ("zyra", "other", b'{"b": 2}')}
    if field in ("source", "type", "received_at", "delivery_id", "origin", "body"):
        wait_for(lambda: state(ledger, event) == "dead")
        assert told == [("zyra", "other", b'{"b": 2}')]


def test_a_fault_of_ours_keeps_no_place(
    ledger: Ledger, router: Router, start: Start, client: redis.Redis, seal: Seal
) -> None:
    """A seal that opens but holds no content of ours: it cannot be read, and still nothing is held for ever."""
    from receiver.contract import seal as module
    from receiver.contract.records import Labels

    nonce, events = b"n" * 12, []
    for number in range(2):
        event = accept(ledger, seal, kind="plain")
        client.hset(ledger.keys.event(event), "received_at", number)
        labels = Labels(id=event, source="zyra", type="plain", received_at=number)
        sealed = seal.ciphers[next(iter(seal.ciphers))].encrypt(
            nonce, b"\0\0\0\1[", module.bind_labels(next(iter(seal.ciphers)), ledger.keys.queue, labels)
        )
        client.set(ledger.keys.body(event), nonce + sealed)
        events.append(event)
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["plain"])
    process, _ = start()

    wait_for(lambda: client.llen(ledger.keys.jobs) == 0 and process._holding.free == 4)
    found = query.show(ledger, events[0])
    assert found is not None
    wait_for(lambda: query.show(ledger, events[0])["runs"][0]["state"] == "waiting")  # type: ignore[index]


class Reports:
    """In the place of Sentry."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.flushed = False

    def capture(self, error: BaseException, **tags: Any) -> None:
        self.heard.append((type(error).__name__, tags))

    def flush(self) -> None:
        self.flushed = True


def test_failures_of_handlers_are_reported_and_other_ends_are_not(
    ledger: Ledger, router: Router, seal: Seal, start: Start
) -> None:
    def fails(event: Event) -> None:
        raise KeyError

    router.on("fails", name="fails")(fails)
    events = [accept(ledger, seal, kind=kind) for kind in ("plain", "fails")]
    process, _ = start(run=False)
    reports = Reports()
    process._sentry = reports  # type: ignore[assignment]
    thread = threading.Thread(target=process.run)
    thread.start()

    wait_for(lambda: reports.heard)
    wait_for(lambda: state(ledger, events[0]) == "done")
    process.draining.set()
    thread.join(30)

    assert reports.heard == [("KeyError", {"event": events[1], "handler": "fails", "attempt": 1})]
    assert reports.flushed

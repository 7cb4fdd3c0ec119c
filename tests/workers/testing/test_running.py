"""The test kit, used as an author uses it."""

import asyncio
import socket
import time
from typing import Any

import pytest

from workers import (
    AsyncZyra,
    Event,
    Failure,
    GiveUp,
    RetryLater,
    Router,
    VirtualServerEvent,
    Zyra,
    allow,
    async_client,
    client,
    post,
)
from workers.runtime.foreground import LocalCounter
from workers.sandbox.in_process import SandboxInProcess
from workers.testing import check_crashes, make_event, run_events, run_handler
from workers.testing.clock import Clock
from workers.testing.journal import JournalMemory

router = Router()
pytest_plugins: list[str] = []
ERROR = "virtual_server.error"


@pytest.fixture(autouse=True)
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@router.on(ERROR)
def replace(event: VirtualServerEvent, zyra: Zyra) -> None:
    zyra.virtual_servers.terminate(event.resource_id)
    zyra.virtual_servers.create(name=f"after-{event.key}", vcpus=2, memory_mb=1024)


@router.on(ERROR)
def careless(event: Event, zyra: Zyra) -> None:
    if zyra.virtual_servers.get(event.resource_id).state == "error":
        zyra.virtual_servers.stop(event.resource_id)
        zyra.virtual_servers.start(event.resource_id)


@router.on(ERROR)
def forgetful(event: Event, zyra: Zyra) -> None:
    zyra.virtual_servers.create(name=f"{event.attempt} {event.key}", vcpus=1, memory_mb=1024)


@router.on(ERROR)
async def gentle(event: Event, zyra: AsyncZyra) -> None:
    await asyncio.sleep(0)
    await zyra.virtual_servers.stop(event.resource_id)


@router.on("job.failed", max_attempts=3)
def fails(event: Event) -> None:
    allowed = allow("once an hour", 1, 3600)
    if event.payload["data"]["id"] == "later":
        if not allowed:
            raise RetryLater(600, "too soon")
    elif event.payload["data"]["id"] == "never":
        raise GiveUp("never")
    else:
        raise ValueError(event.attempt)


@router.on("job.failed", when=lambda event: event.data.id == "wanted")
def picky(event: Event) -> None:
    post("https://example.com", json={"job": event.resource_id})


def refuse(event: Event) -> None:
    raise ValueError


@router.on("job.queued")
def waits_for_ever(event: Event) -> None:
    raise RetryLater(86400)


def test_calls_are_recorded_and_nothing_is_sent() -> None:
    started = time.monotonic()

    result = run_handler(replace, make_event(ERROR, data={"id": "vs_9"}))

    first, second = result.changes
    assert (result.outcome, result.attempts, first) == ("done", 1, "DELETE /api/v1/virtual-servers/vs_9")
    assert second.startswith('POST /api/v1/virtual-servers {"name":"after-')
    assert time.monotonic() - started < 1


def test_each_effect_happens_once_wherever_it_is_killed() -> None:
    assert len(check_crashes(replace, make_event(ERROR, data={"id": "vs_9"})).changes) == 2
    assert check_crashes(gentle, make_event(ERROR, data={"id": "vs_9"})).outcome == "done"


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (careless, "killed after call 1, it left out: POST /api/v1/virtual-servers/vs_9/start"),
        (forgetful, r"killed before call 1, it repeated: .*2 "),
    ],
)
def test_a_handler_that_a_crash_harms_is_found(handler: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_crashes(handler, make_event(ERROR, data={"id": "vs_9"}))


def test_one_kill_and_the_attempt_after_it() -> None:
    result = run_handler(replace, make_event(ERROR, data={"id": "vs_9"}), kill_at="after call 2")

    assert (result.outcome, result.attempts, len(result.changes)) == ("done", 2, 2)
    for wrong, message in (("during call 1", "kill_at must be like"), ("after call 3", "there is no call 3")):
        with pytest.raises(ValueError, match=message):
            run_handler(replace, make_event(ERROR, data={"id": "vs_9"}), kill_at=wrong)


def test_an_attempt_that_is_paused_past_its_lease_makes_no_further_call() -> None:
    result = run_handler(replace, make_event(ERROR, data={"id": "vs_9"}), pause_at="after call 1")

    assert (result.outcome, result.attempts, len(result.changes)) == ("done", 2, 2)
    assert result.seconds >= 16
    for wrong, message in (
        ("before call 1", 'pause_at must be like "after call 2"'),
        ("after call 3", "there is no call 3"),
    ):
        with pytest.raises(ValueError, match=message):
            run_handler(replace, make_event(ERROR, data={"id": "vs_9"}), pause_at=wrong)


def test_a_coroutine_can_be_paused_too() -> None:
    result = run_handler(gentle, make_event(ERROR, data={"id": "vs_9"}), pause_at="after call 1")

    assert (result.outcome, result.attempts, len(result.changes)) == ("done", 2, 1)


def test_a_paused_attempt_posts_nothing_more() -> None:
    own = Router()

    @own.on(ERROR, name="posts")
    def posts(event: Event, zyra: Zyra) -> None:
        zyra.virtual_servers.stop(event.resource_id)
        post("https://example.com")

    (handler,) = own

    result = run_handler(handler, make_event(ERROR, data={"id": "vs_9"}), pause_at="after call 1")

    assert (result.outcome, len(result.posts)) == ("done", 1)


def test_a_killed_attempt_is_repeated_after_its_lease() -> None:
    result = run_handler(replace, make_event(ERROR, data={"id": "vs_9"}), kill_at="after call 1")

    assert result.seconds == 15


def make_handler(kind: str = "job.failed", function: Any = None, **options: Any) -> Any:
    own = Router()
    own.on(kind, name="own", **options)(function or (lambda event: None))
    (handler,) = own
    return handler


def make_jobs(*names: str, **data: Any) -> list[Event]:
    return [make_event("job.failed", data={"id": name, **data}) for name in names]


@pytest.mark.parametrize("keep", ["last", "first"])
def test_fifty_events_make_one_run(keep: str) -> None:
    handler = make_handler(key="resource", debounce=5, at_most=60, keep=keep)

    results = run_events(handler, make_jobs(*["job_1"] * 50, "job_2"), at=[n / 10 for n in range(51)])

    outcomes = [one.outcome for one in results]
    one_run = ["skipped"] * 49 + ["done"] if keep == "last" else ["done"] + ["skipped"] * 49
    assert outcomes == [*one_run, "done"]
    assert results[10].reason.startswith("superseded by evt_")
    assert results[49 if keep == "last" else 0].seconds == pytest.approx(5 if keep == "last" else 9.9)


def test_a_debounced_run_starts_in_any_case_after_a_while() -> None:
    handler = make_handler(debounce=5, at_most=20)

    results = run_events(handler, make_jobs(*["job_1"] * 31), at=range(31))

    assert [place for place, one in enumerate(results) if one.outcome == "done"] == [19, 30]


def test_a_rate_spreads_the_starts() -> None:
    handler = make_handler(rate="2/min")

    results = run_events(handler, make_jobs(*["job_1"] * 5))

    assert [round(one.seconds) for one in results] == [0, 0, 61, 61, 122]


def test_allow_counts_over_all_events() -> None:
    def once(event: Event) -> None:
        if not allow("page", times=1, seconds=60):
            raise GiveUp("told already")

    results = run_events(make_handler(function=once), make_jobs("job_1", "job_2", "job_3"), at=[0, 30, 61])

    assert [one.outcome for one in results] == ["done", "dead", "done"]


def test_a_stale_event_is_skipped() -> None:
    handler = make_handler(key="resource", newest="data.updated_at")
    events = [make_jobs("job_1", updated_at=f"2026-01-0{day}T00:00:00Z")[0] for day in (3, 1, 4)]

    results = run_events(handler, events, at=range(3))

    assert [one.outcome for one in results] == ["done", "skipped", "done"]
    assert results[1].reason == "stale: a newer event of its key is done"


@pytest.mark.parametrize("on_dead", ["continue", "stop"])
def test_runs_of_a_key_follow_one_another(on_dead: str) -> None:
    order = []

    def note(event: Event) -> None:
        order.append((event.resource_id, event.payload["data"]["number"]))
        if (event.resource_id, event.payload["data"]["number"]) == ("job_1", 1):
            raise ValueError("no")

    handler = make_handler(function=note, key="resource", ordered=True, on_dead=on_dead, retries=1, backoff=10)
    events = [make_jobs(name, number=number)[0] for number in range(3) for name in ("job_1", "job_2")]

    results = run_events(handler, events)

    rest = [("job_1", 1), ("job_1", 2)] if on_dead == "continue" else [("job_1", 1)]
    assert order == [("job_1", 0), ("job_2", 0), ("job_1", 1), ("job_2", 1), ("job_2", 2), *rest]
    last = "done" if on_dead == "continue" else "waiting"
    assert [one.outcome for one in results] == ["done", "done", "dead", "done", last, "done"]


def test_a_delay_a_condition_and_a_key_that_fails() -> None:
    wanted = make_handler(when=lambda event: event.resource_id != "job_2", delay=30)
    keyed = make_handler(key=lambda event: event.payload["none"], concurrency=1, max_attempts=2)

    results = run_events(wanted, make_jobs("job_1", "job_2"))
    (failed,) = run_events(keyed, make_jobs("job_1"))

    assert [(one.outcome, one.seconds) for one in results] == [("done", 30), ("unwanted", 0)]
    assert (failed.outcome, failed.attempts, str(failed.error)) == ("dead", 2, "'none'")
    assert run_handler(keyed, make_jobs("job_1")[0]).attempts == 2
    broken = make_handler(when=lambda event: event.payload["none"], max_attempts=2)
    assert [one.attempts for one in run_events(broken, make_jobs("job_1"))] == [2]
    assert run_handler(broken, make_jobs("job_1")[0]).outcome == "dead"
    for at in ([-1, 2], ["x", 2]):
        with pytest.raises(ValueError, match="at= must be seconds, none below 0"):
            run_events(wanted, make_jobs("job_1", "job_2"), at=at)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="answers= names calls like"):
        run_handler(wanted, make_jobs("job_1")[0], answers={"https://api.github.com/user": {}})
    with pytest.raises(ValueError, match="a time for each of the 2 events, and never fall"):
        run_events(wanted, make_jobs("job_1", "job_2"), at=[2, 1])


def test_time_passes_at_once() -> None:
    failed = run_handler(fails, make_event("job.failed", data={"id": "job_1"}))
    never = run_handler(fails, make_event("job.failed", data={"id": "never"}))
    put_off = run_handler(waits_for_ever, make_event("job.queued"))

    assert (failed.outcome, failed.attempts, str(failed.error)) == ("dead", 3, "3")
    assert 20 < failed.seconds < 40
    assert (never.outcome, never.attempts, str(never.error)) == ("dead", 1, "never")
    assert (put_off.outcome, put_off.attempts) == ("dead", 4)


def test_delay_and_backoff_count() -> None:
    own = Router()
    own.on("job.failed", delay=100, retries=2, backoff=[10, 1000], name="own")(refuse)
    (handler,) = own

    result = run_handler(handler, make_event("job.failed"))

    assert (result.outcome, result.attempts) == ("dead", 3)
    assert 100 + 0.8 * 1010 <= result.seconds <= 100 + 1.2 * 1010


def test_a_condition_decides_and_posts_are_recorded() -> None:
    assert run_handler(picky, make_event("job.failed")).outcome == "unwanted"

    (sent,) = run_handler(picky, make_event("job.failed", data={"id": "wanted"})).posts

    assert (sent.url, sent.body) == ("https://example.com", b'{"job": "wanted"}')


def test_the_fixture_is_an_api_of_ones_own(zyra: SandboxInProcess) -> None:
    zyra.add("virtual_servers", "vs_9", status="running", vcpus=4)

    result = run_handler(careless, make_event(ERROR, data={"id": "vs_9"}), zyra=zyra)

    assert (result.outcome, result.changes) == ("done", [])
    assert [call.method for call in zyra.calls] == ["GET"]
    with pytest.raises(ValueError, match="there is no area"):
        zyra.add("virtual_server", "vs_1")


def test_events_are_as_they_would_come() -> None:
    event = make_event("push", {"ref": "main"}, source="github", headers={"x-github-event": "push"}, attempt=2)

    assert (event.source, event.payload, event.headers["x-github-event"], event.attempt) == (
        "github", {"ref": "main"}, "push", 2,
    )  # fmt: skip
    assert make_event(ERROR, data={"id": "vs_9"}).payload["data"]["status"] == "error"
    assert make_event(ERROR, body=b'{"data": {"id": 7}}').resource_id == "7"


def test_a_function_that_no_router_has_is_named() -> None:
    with pytest.raises(LookupError, match=r"no router of .* has make_event: is @router\.on above it"):
        run_handler(make_event, make_event("job.failed"))
    (handler, *_) = router
    assert run_handler(handler, make_event(ERROR, data={"id": "vs_9"})).outcome == "done"


async def many(event: Event, zyra: AsyncZyra) -> None:
    for _ in range(120):
        await zyra.virtual_servers.get("vs_1")


async def slow(event: Event) -> None:
    await asyncio.sleep(60)


async def gives_up_early(event: Event) -> None:
    raise TimeoutError("of somebody else")


def test_many_calls_a_timeout_and_an_own_timeout_error() -> None:
    own = Router()
    own.on("job.failed", name="many")(many)
    own.on("job.failed", name="slow", timeout=0.05, retries=0)(slow)
    own.on("job.failed", name="early", retries=0)(gives_up_early)
    results = {handler.name: run_handler(handler, make_event("job.failed")) for handler in own}

    assert (results["many"].outcome, len(results["many"].calls)) == ("done", 120)
    assert str(results["slow"].error) == "not done after 0.05 s"
    assert str(results["early"].error) == "of somebody else"


def test_a_counter_forgets() -> None:
    clock = Clock()
    counter = LocalCounter(clock.read)

    assert [counter.allow("x", 1, 60, who) for who in ("a", "a", "b")] == [True, True, False]
    clock.advance(60)
    assert counter.allow("x", 1, 60, "b")


def test_the_journal_in_memory_refuses_what_somebody_else_changed() -> None:
    memory = JournalMemory()
    memory.make_journal("run", 1, "key")
    memory.call("journal.lua", "begin", "run", 1, 1, b"entry")

    assert memory.call("journal.lua", "change", "run", 1, b"another", b"new") == 0
    assert memory.call("journal.lua", "change", "run", 1, b"entry", b"new") == 1


github = client("github", "https://api.github.com", token="GITHUB_TOKEN")
hub = async_client("github", "https://api.github.com", token="GITHUB_TOKEN")


@router.on("issues", source="github")
def label(event: Event) -> None:
    login = github.get("/user")["login"]
    github.post("/labels", json={"by": login})
    github.post("/comments", repeat=True)


@router.on("issues", source="github")
async def label_later(event: Event) -> None:
    await hub.post("/labels", json={})


USER = {"GET https://api.github.com/user": {"login": "octocat"}}


def test_other_apis_are_answered_and_recorded() -> None:
    result = run_handler(label, make_event("issues", {}, source="github"), answers=USER)
    later = run_handler(label_later, make_event("issues", {}, source="github"))
    refused = run_handler(
        label, make_event("issues", {}, source="github"), answers={"GET https://api.github.com/user": (404, {})}
    )

    assert result.changes == [
        'POST https://api.github.com/labels {"by":"octocat"}', "POST https://api.github.com/comments",
    ]  # fmt: skip
    assert later.changes == ["POST https://api.github.com/labels {}"]
    assert (refused.outcome, str(refused.error)) == ("dead", "GET https://api.github.com/user: 404: {}")


def test_a_call_that_must_not_be_repeated_is_a_dead_letter_after_a_crash() -> None:
    event = make_event("issues", {}, source="github")

    killed = run_handler(label, event, answers=USER, kill_at="after call 1")
    with pytest.raises(AssertionError, match="killed before call 1, it left out"):
        check_crashes(label, event, answers=USER)

    assert (killed.outcome, type(killed.error).__name__) == ("dead", "Unanswered")
    assert run_handler(label, event, answers=USER, kill_at="after call 2").outcome == "done"


def test_what_runs_for_dead_letters() -> None:
    own = Router()

    @own.on_dead
    def page(event: Event) -> None:
        post("https://example.com", json=[failure.handler for failure in event.failures])

    (handler,) = own
    failure = Failure(handler="label", attempts=8, error="ValueError")

    result = run_handler(handler, make_event("issues", {}, source="github", failures=[failure]))

    assert [one.body for one in result.posts] == [b'["label"]']
    assert run_handler(handler, make_event("issues", {}, source="github")).outcome == "unwanted"


@router.on("issues", source="github")
def label_wrongly(event: Event) -> None:
    hub.post("/labels", json={})


def test_an_async_call_in_a_def_fails_the_attempt() -> None:
    result = run_handler(label_wrongly, make_event("issues", {}, source="github"))

    assert (result.outcome, result.changes) == ("dead", [])
    assert str(result.error).startswith("never awaited, so never sent: github.post('/labels')")

"""Calls that must not happen twice: against the sandbox, with answers that get lost on the way."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis

from receiver.contract.errors import SealError
from receiver.contract.keys import make_run_id
from tests.support.run import HANDLER, Run
from workers.errors import GiveUp, LeaseLost, RetryLater
from workers.ledger.units import Outcome, Verdict
from workers.runtime.failures import describe_error
from workers.zyra import AsyncZyra, Zyra, recovery
from workers.zyra.budget import Budget
from workers.zyra.errors import Conflict, OutcomeUnknown, ServerError, Unreachable, Unreadable
from workers.zyra.journal import load_entries


def test_a_later_attempt_gets_the_recorded_answer(run: Run) -> None:
    first = run.attempt().virtual_servers.create(name="web", vcpus=2)

    second = run.again().virtual_servers.create(vcpus=2, name="web")

    assert first == second
    assert len(run.sandbox.calls("POST", "/api/v1/virtual-servers")) == 1
    assert run.outcomes() == [("POST /api/v1/virtual-servers", "done")]


def test_two_equal_calls_are_two(run: Run) -> None:
    zyra = run.attempt()
    made = [zyra.virtual_servers.create(name="a").id for _ in range(2)]
    later = run.again()
    again = [later.virtual_servers.create(name="a").id for _ in range(3)]

    assert again[:2] == made
    assert len(set(again)) == 3
    assert len(run.sandbox.calls("POST", "/api/v1/virtual-servers")) == 3


def test_what_was_not_called_yet_is_called(run: Run) -> None:
    """A handler may see by now that a first step is done, and go on with the second one."""
    run.attempt().virtual_servers.stop("vs_0001")
    run.again().virtual_servers.start("vs_0001")

    assert run.outcomes() == [
        ("POST /api/v1/virtual-servers/vs_0001/stop", "done"), ("POST /api/v1/virtual-servers/vs_0001/start", "done"),
    ]  # fmt: skip


Act = Callable[[Zyra], Any]
BY_STATE: list[tuple[str, Act, str]] = [
    ("stop", lambda z: z.virtual_servers.stop("vs_0001"), "/api/v1/virtual-servers/vs_0001/stop"),
    ("start", lambda z: z.virtual_servers.start("vs_0003"), "/api/v1/virtual-servers/vs_0003/start"),
    ("terminate", lambda z: z.virtual_servers.terminate("vs_0003"), "/api/v1/virtual-servers/vs_0003"),
    ("approve", lambda z: z.devices.approve("dev_0003"), "/api/v1/devices/dev_0003/approve"),
    ("remove", lambda z: z.devices.remove("dev_0003"), "/api/v1/devices/dev_0003"),
    ("create", lambda z: z.virtual_servers.create(name="web-e5c0a1"), "/api/v1/virtual-servers"),
    ("submit", lambda z: z.ml_jobs.submit(name="e5c0a1"), "/api/v1/ml/jobs"),
]


@pytest.mark.parametrize(("name", "act", "path"), BY_STATE, ids=[one[0] for one in BY_STATE])
def test_a_lost_answer_is_looked_up_and_the_call_not_repeated(run: Run, name: str, act: Act, path: str) -> None:
    run.line.plan = ["lost"]
    with pytest.raises(Unreachable):
        act(run.attempt())
    assert run.outcomes()[0][1] == "unknown"

    found = act(run.again())

    made = [one for one in run.sandbox.log() if one["path"] == path and one["method"] != "GET"]
    assert [one["status"] for one in made] == [200]
    assert run.outcomes()[0][1] == "done"
    assert found.get("id") or name == "remove"
    assert act(run.again()) == found


@pytest.mark.parametrize(("name", "act", "path"), BY_STATE, ids=[one[0] for one in BY_STATE])
@pytest.mark.parametrize("fault", ["unsent", "500"])
def test_a_call_that_did_not_happen_is_made(run: Run, name: str, act: Act, path: str, fault: str) -> None:
    run.line.plan = [fault]
    with pytest.raises((Unreachable, ServerError)):
        act(run.attempt())

    act(run.again())

    made = [one for one in run.sandbox.log() if one["path"] == path and one["method"] != "GET"]
    assert [one["status"] for one in made] == [200]
    assert [outcome for _, outcome in run.outcomes()] == ["refused", "done"]


@pytest.mark.parametrize(
    "act",
    [
        lambda z: z.virtual_servers.create(name="web"),
        lambda z: z.webhooks.endpoints.create("https://x.example", ["device.online"]),
        lambda z: z.cost_advisor.apply("rec_0001"),
        lambda z: z.request("POST", "/api/v1/virtual-servers", body={"name": "web"}),
    ],
)
def test_where_nobody_can_know_the_run_ends(run: Run, act: Act) -> None:
    run.line.plan = ["lost"]
    with pytest.raises(Unreachable):
        act(run.attempt())

    for _ in range(2):
        with pytest.raises(OutcomeUnknown) as caught:
            act(run.again())

    assert isinstance(caught.value, GiveUp)
    assert describe_error(caught.value).startswith("outcome-unknown: POST /api/v1/")
    assert len([one for one in run.sandbox.log() if one["method"] == "POST"]) == 1


def test_what_changes_nothing_a_second_time_is_repeated(run: Run) -> None:
    run.line.plan = ["lost"]
    with pytest.raises(Unreachable):
        run.attempt().virtual_servers.resize("vs_0001", vcpus=8)

    assert run.again().virtual_servers.resize("vs_0001", vcpus=8).vcpus == 8
    assert len(run.sandbox.calls("POST")) == 2


def test_an_answer_that_is_none_leaves_the_outcome_open(run: Run) -> None:
    run.line.plan = ["html"]
    with pytest.raises(Unreadable):
        run.attempt().virtual_servers.stop("vs_0001")

    assert run.again().virtual_servers.stop("vs_0001").status == "stopped"
    assert len(run.sandbox.calls("POST")) == 1


def test_a_handler_that_tries_again_itself_is_looked_after_too(run: Run) -> None:
    run.line.plan = ["lost"]
    zyra = run.attempt()
    with pytest.raises(Unreachable):
        zyra.virtual_servers.stop("vs_0001")

    assert zyra.virtual_servers.stop("vs_0001").status == "stopped"
    assert len(run.sandbox.calls("POST")) == 1


def test_a_refusal_is_no_outcome(run: Run) -> None:
    """What the API refuses has not happened, so a later attempt may ask again."""
    zyra = run.attempt()
    with pytest.raises(Conflict):
        zyra.virtual_servers.stop("vs_0003")
    run.sandbox.state.areas["virtual_servers"]["vs_0003"]["status"] = "running"

    assert run.again().virtual_servers.stop("vs_0003").status == "stopped"
    assert [outcome for _, outcome in run.outcomes()] == ["refused", "done"]


def test_a_call_may_still_be_under_way_so_a_look_up_waits(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "SETTLE_MINUTES", 5.0)  # of minutes of 0.1 s
    run.line.plan = ["500"]
    with pytest.raises(ServerError):
        run.attempt().virtual_servers.create(name="web-e5c0a1")
    (entry, _), *_ = load_entries(run.ledger, run.seal, run.claim.unit).values()

    run.again().virtual_servers.create(name="web-e5c0a1")

    looked = [one for one in run.sandbox.log() if one["method"] == "GET"]
    assert float(str(looked[0]["at"])) >= entry.at / 1000 + 0.5


def test_a_list_that_is_too_long_tells_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "MAX_PAGES", 1)
    monkeypatch.setattr("workers.zyra.calls.MAX_PAGE_ITEMS", 2)
    run.line.plan = ["lost"]
    with pytest.raises(Unreachable):
        run.attempt().virtual_servers.create(name="web-e5c0a1")

    with pytest.raises(OutcomeUnknown, match="too long"):
        run.again().virtual_servers.create(name="web-e5c0a1")


def test_who_lost_the_run_calls_nothing(run: Run) -> None:
    late = run.attempt()
    run.again()

    with pytest.raises(LeaseLost):
        late.virtual_servers.stop("vs_0001")

    assert len(run.sandbox.log()) == 0
    assert run.outcomes() == []


def test_an_answer_that_comes_when_the_run_is_lost_still_counts(run: Run) -> None:
    journal = run.journal()
    from workers.zyra import calls

    call = calls.make_listed_call(run.caller.routes["virtual_servers.stop"], ("vs_0001",))
    entry = journal.begin(call)
    run.again()
    journal.record_answer(entry, calls.Answer(status=200, headers={}, content=b'{"data": {"id": "late"}}'))

    assert run.attempt().virtual_servers.stop("vs_0001").id == "late"


def test_a_forged_journal_is_refused(run: Run, client: redis.Redis) -> None:
    run.attempt().virtual_servers.stop("vs_0001")
    name = run.ledger.keys.name(f"calls:{run.claim.unit}")
    sealed = client.hget(name, "1")
    client.hset(name, "2", sealed)

    with pytest.raises(SealError):
        run.again().virtual_servers.stop("vs_0001")
    client.hset(name, "2", run.seal.wrap(f"calls:{run.claim.unit}:2", b"{}"))
    with pytest.raises(SealError, match="cannot be read"):
        run.again().virtual_servers.stop("vs_0001")
    client.hset(name, "2", b"short")
    with pytest.raises(SealError):
        run.again().virtual_servers.stop("vs_0001")


def test_a_large_answer_is_not_kept(run: Run) -> None:
    big = "x" * 300_000

    run.attempt().virtual_servers.create(name="a", note=big)
    again = run.again().virtual_servers.create(name="a", note=big)

    assert again == {}  # it happened, and that is all that is known
    assert len(run.sandbox.calls("POST")) == 1


@pytest.mark.parametrize(("keep", "calls"), [(False, 2), (True, 1)])
def test_a_replay_starts_a_fresh_journal_or_keeps_it(run: Run, keep: bool, calls: int) -> None:
    run.attempt().virtual_servers.resize("vs_0001", vcpus=4)
    run.ledger.finish([Outcome(unit=run.claim.unit, token=run.claim.token, verdict=Verdict.DEAD)])

    assert run.ledger.replay(run.claim.event, keep_calls=keep) == ("replayed", 1)

    (run.claim,) = run.ledger.take([], 1)
    run.attempt().virtual_servers.resize("vs_0001", vcpus=4)
    assert len(run.sandbox.calls("POST")) == calls


def test_the_journal_goes_with_its_event(run: Run, client: redis.Redis) -> None:
    run.attempt().virtual_servers.stop("vs_0001")
    name = run.ledger.keys.name(f"calls:{make_run_id(run.claim.event, HANDLER)}")
    assert client.exists(name)

    run.ledger.keep = 0
    run.ledger.finish([Outcome(unit=run.claim.unit, token=run.claim.token, verdict=Verdict.DONE)])
    run.ledger.sweep()

    assert not client.exists(name)


def test_calls_side_by_side(run: Run) -> None:
    async def main() -> list[str | None]:
        zyra = AsyncZyra(run.sandbox.url, caller=replace(run.caller, journal=run.journal()))
        made = await asyncio.gather(*(zyra.virtual_servers.create(name="same") for _ in range(5)))
        await zyra.close()
        return [one.id for one in made]

    first = asyncio.run(main())
    run.again()
    second = asyncio.run(main())

    assert sorted(map(str, first)) == sorted(map(str, second))
    assert len(set(first)) == 5
    assert len(run.sandbox.calls("POST")) == 5


def test_redis_away_says_nothing_against_the_handler(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    zyra = run.attempt()
    monkeypatch.setattr(zyra.caller.journal, "_entries", None)
    client = redis.Redis.from_url("unix:///nonexistent")
    zyra = zyra.within(replace(zyra.caller, budget=Budget(client)))

    with pytest.raises(RetryLater, match="Redis does not answer"):
        zyra.virtual_servers.stop("vs_0001")
    client.close()


def test_a_query_counts_as_what_is_asked() -> None:
    from workers.zyra import calls

    one = calls.make_call("POST", "/x", {"a": 1}, {"b": [1, {"c": 2}]})
    same = calls.make_call("POST", "/x", {"a": 1}, json.loads('{"b": [1, {"c": 2}]}'))
    other = calls.make_call("POST", "/x", {"a": 2}, {"b": [1, {"c": 2}]})

    assert one.digest == same.digest != other.digest

"""What a hostile reading found: ways in which a call could have been made twice, or wrongly be taken as made."""

import asyncio
import json
import logging
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from receiver.contract.seal import Seal
from tests.support.run import Run
from tests.support.sandbox import KEY, Sandbox
from workers.errors import GiveUp, LeaseLost, RetryLater
from workers.ledger.transitions import Ledger
from workers.ledger.units import Outcome, Verdict
from workers.zyra import AsyncZyra, Zyra, calls, recovery
from workers.zyra.budget import Budget
from workers.zyra.caller import Caller
from workers.zyra.credentials import ApiKey, Login
from workers.zyra.errors import OutcomeUnknown, ServerError, Unauthorized, Unreachable, Unreadable, ZyraError
from workers.zyra.journal import Journal, seal_word
from workers.zyra.routes import Limits, load_default_routes, load_routes
from workers.zyra.transport import make_options

Answer = httpx2.Response


def posts(box: Sandbox) -> list[str]:
    return [str(one["path"]) for one in box.log() if one["method"] == "POST"]


def other(found: Run, answer: Any, **more: Any) -> Zyra:
    """A client of this run's next attempt whose Zyra is one function."""
    http = httpx2.Client(transport=httpx2.MockTransport(answer), **make_options(found.sandbox.url))
    caller = replace(found.caller, **{"journal": found.journal(), **more})
    return Zyra(found.sandbox.url, caller=caller, http=http)


def test_a_cancelled_call_is_not_made_again(run: Run) -> None:
    async def main() -> str:
        async def slow(request: httpx2.Request) -> httpx2.Response:
            got.append(request.url.path)
            await asyncio.sleep(5)
            return Answer(200, json={})

        got: list[str] = []
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(slow), **make_options(run.sandbox.url))
        zyra = AsyncZyra(run.sandbox.url, caller=replace(run.caller, journal=run.journal()), http=http)
        try:
            async with asyncio.timeout(0.2):
                await zyra.cost_advisor.apply("rec_0001")
        except TimeoutError:
            try:
                await zyra.cost_advisor.apply("rec_0001")
            except OutcomeUnknown:
                return f"unknown after {len(got)}"
            finally:
                await http.aclose()
        return f"made {len(got)}"

    assert asyncio.run(main()) == "unknown after 1"


def test_an_answer_that_could_not_be_recorded_is_looked_up(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    zyra, journal = run.attempt(), run.journal()
    real = Journal.record_answer

    def fails(*_: Any, **__: Any) -> bool:
        raise redis.TimeoutError("slow")

    monkeypatch.setattr(Journal, "record_answer", fails)
    with pytest.raises(RetryLater):
        zyra.virtual_servers.stop("vs_0001")
    monkeypatch.setattr(Journal, "record_answer", real)

    assert zyra.virtual_servers.stop("vs_0001").status == "stopped"
    assert len(posts(run.sandbox)) == 1
    assert journal.key


def test_another_attempts_late_answer_counts(run: Run) -> None:
    """Attempt B looks the call up while A's answer is on its way; A records it before B says that nothing happened."""
    early = run.journal()
    call = calls.make_listed_call(load_default_routes()["virtual_servers.create"], body={"name": "web-e5c0a1"})
    entry = early.begin(call)
    late = run.again()
    assert late.caller.journal is not None
    late.caller.journal.find(call)
    late.caller.journal.forget_cache(entry)
    early.record_answer(entry, calls.Answer(status=200, headers={}, content=b'{"data": {"id": "vs_by_a"}}'))

    assert late.virtual_servers.create(name="web-e5c0a1").id == "vs_by_a"
    assert posts(run.sandbox) == []


@pytest.mark.parametrize("fault", ["no key", "lease", "body"])
def test_what_never_left_has_not_happened(run: Run, fault: str) -> None:
    def lost() -> None:
        raise LeaseLost("gone")

    zyra = run.attempt()
    body: Any = {"name": "web"}
    if fault == "no key":
        zyra = zyra.within(replace(zyra.caller, ring=ApiKey(str)))
    elif fault == "lease":
        zyra = zyra.within(replace(zyra.caller, guard=lost))
    else:
        body = {"name": "web", "when": object()}
    with pytest.raises((Unauthorized, LeaseLost, TypeError)):
        zyra.request("POST", "/api/v1/virtual-servers", body=body)

    assert run.outcomes() == []
    assert run.again().virtual_servers.create(name="web", cost_per_hour=Decimal("0.10")).id
    assert len(posts(run.sandbox)) == 1


def test_an_enveloped_refusal_is_none_of_the_recorded_answers(run: Run) -> None:
    busy = other(run, lambda _: Answer(200, json={"success": False, "error": {"code": "BUSY"}}))
    with pytest.raises(ZyraError, match="BUSY"):
        busy.virtual_servers.stop("vs_0001")

    assert run.again().virtual_servers.stop("vs_0001").status == "stopped"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(404, text="<html>default backend</html>"), Unreadable),
        (Answer(200, json={"data": {"server": {"status": "stopped"}}}), OutcomeUnknown),
        (Answer(200, json={"data": {"status": {"is": "stopped"}}}), OutcomeUnknown),
        (Answer(500, json={}), ServerError),
    ],
)
def test_what_proves_nothing(run: Run, answer: Answer, expected: type[Exception]) -> None:
    run.line.plan = ["lost"]
    with pytest.raises(Unreachable):
        run.attempt().virtual_servers.terminate("vs_0001")
    run.again()

    with pytest.raises(expected):
        other(run, lambda _: answer).virtual_servers.terminate("vs_0001")
    assert run.outcomes()[0][1] == "unknown"


def test_what_another_call_of_the_run_has_made_proves_nothing(run: Run) -> None:
    name = "web-e5c0a1"
    run.attempt().virtual_servers.create(name=name, vcpus=2)
    run.line.plan = ["", "500"]
    later = run.again()
    first = later.virtual_servers.create(name=name, vcpus=2)
    run.line.plan = ["500"]
    with pytest.raises(ServerError):
        later.virtual_servers.create(name=name, vcpus=4)

    second = run.again().virtual_servers.create(name=name, vcpus=4)

    assert second.id != first.id
    assert second.vcpus == 4


def test_what_is_deleted_between_two_pages_hides_nothing(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.zyra.calls.MAX_PAGE_ITEMS", 2)
    rows = [{"id": str(n), "name": f"n{n}"} for n in range(3)] + [{"id": "ours", "name": "web-e5c0a1"}]
    run.line.plan = ["lost"]
    with pytest.raises(Unreachable):
        run.attempt().virtual_servers.create(name="web-e5c0a1")
    run.again()
    asked: list[int] = []

    def shifting(request: httpx2.Request) -> httpx2.Response:
        offset = int(request.url.params["offset"])
        asked.append(offset)
        page = rows[offset : offset + 2]
        if len(asked) == 1:
            del rows[0:2]  # what followed moves into the part that was read already
        return Answer(200, json={"data": page, "total": len(rows)})

    assert other(run, shifting).virtual_servers.create(name="web-e5c0a1").id == "ours"
    assert asked[:3] == [0, 2, 0] or "ours" in json.dumps(rows)


@pytest.mark.parametrize(("said", "made"), [("happened", 1), ("repeat", 2)])
def test_a_person_says_what_happened(run: Run, said: str, made: int) -> None:
    run.line.plan = ["lost"]
    with pytest.raises(Unreachable):
        run.attempt().cost_advisor.apply("rec_0001")
    run.sandbox.state.areas["recommendations"]["rec_0001"]["status"] = "open"
    with pytest.raises(OutcomeUnknown):
        run.again().cost_advisor.apply("rec_0001")
    run.ledger.finish([Outcome(unit=run.claim.unit, token=run.claim.token, verdict=Verdict.DEAD)])

    word = seal_word(run.ledger, run.seal, run.claim.unit, said == "happened")
    run.ledger.replay(run.claim.event, keep_calls=True, unanswered={run.claim.unit: word})
    (run.claim,) = run.ledger.take([], 1)
    run.attempt().cost_advisor.apply("rec_0001")

    assert len(posts(run.sandbox)) == made
    run.line.plan = ["lost"]
    with pytest.raises(Unreachable):  # what it said is not said of later calls
        run.again().cost_advisor.apply("rec_0002")
    with pytest.raises(OutcomeUnknown):
        run.again().cost_advisor.apply("rec_0002")


def test_a_word_that_nobody_sealed_is_none(run: Run, ledger: Ledger) -> None:
    run.line.plan = ["lost"]
    with pytest.raises(Unreachable):
        run.attempt().cost_advisor.apply("rec_0001")
    run.sandbox.state.areas["recommendations"]["rec_0001"]["status"] = "open"
    run.ledger.client.hset(run.ledger.keys.run(run.claim.unit), "unanswered", "repeat 9")

    with pytest.raises(OutcomeUnknown):
        run.again().cost_advisor.apply("rec_0001")

    assert len(posts(run.sandbox)) == 1


@pytest.mark.parametrize("gone", ["the entry", "the journal"])
def test_a_call_whose_entry_was_deleted_is_looked_up_and_never_made_blindly(run: Run, gone: str) -> None:
    zyra = run.attempt()
    zyra.virtual_servers.stop("vs_0001")
    zyra.cost_advisor.apply("rec_0001")
    run.sandbox.state.areas["recommendations"]["rec_0001"]["status"] = "open"
    made, journal = len(posts(run.sandbox)), run.ledger.keys.name(f"calls:{run.claim.unit}")
    run.ledger.client.hdel(journal, "2") if gone == "the entry" else run.ledger.client.delete(journal)

    again = run.again()
    assert again.virtual_servers.stop("vs_0001").status in ("stopping", "stopped")
    with pytest.raises(OutcomeUnknown):
        again.cost_advisor.apply("rec_0001")
    with pytest.raises(OutcomeUnknown):  # and an attempt later as well
        run.again().cost_advisor.apply("rec_0001")

    assert len(posts(run.sandbox)) == made


def test_a_journal_goes_with_its_run(run: Run, ledger: Ledger) -> None:
    run.attempt().virtual_servers.stop("vs_0001")
    ledger.client.delete(ledger.keys.run(run.claim.unit))

    ledger.replay(run.claim.event, again=True)

    assert not ledger.client.exists(ledger.keys.name(f"calls:{run.claim.unit}"))


def test_ids_stay_in_their_places(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        '"organizations.remove_member" = "DELETE /api/v1/members/{member}/organizations/{id}"\n'
    )
    with pytest.raises(ValueError, match="in this order"):
        load_routes(tmp_path / "r.toml")


def test_a_read_is_one_however_it_is_written(run: Run) -> None:
    zyra = run.attempt()

    assert zyra.request("get", "/api/v1/virtual-servers/vs_0001")["status"] == "running"
    assert run.outcomes() == []


def test_trouble_at_zyra_is_no_acceptance(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    statuses = [401, 503, 401, 503, 401]
    short = replace(run.caller, budget=Budget(run.ledger.client, Limits(read=1000), 0.1))
    zyra = other(
        run, lambda _: Answer(statuses.pop(0), json={}), ring=ApiKey(lambda: "zyra_sk_odd"), budget=short.budget
    )
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            with pytest.raises(ZyraError):
                zyra.devices.get("d")
            time.sleep(0.06)

    assert caplog.text.count("Zyra refuses the API key") == 1
    assert "accepted again" not in caplog.text
    for name in run.ledger.client.scan_iter("zr::{api}*"):
        run.ledger.client.delete(name)


def test_a_key_that_is_replaced_meanwhile_is_not_blamed(run: Run) -> None:
    held = ["zyra_sk_old"]

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.headers["authorization"].endswith("old"):
            held[0] = KEY
            return Answer(401, json={})
        return Answer(200, json={"data": {"id": "d"}})

    zyra = other(run, answer, ring=ApiKey(lambda: held[0]))
    with pytest.raises(Unauthorized):
        zyra.devices.get("d")

    assert zyra.devices.get("d").id == "d"
    for name in run.ledger.client.scan_iter("zr::{api}*"):
        run.ledger.client.delete(name)


def test_a_token_that_another_worker_replaced_is_not_forgotten(client: redis.Redis, seal: Seal) -> None:
    from workers.zyra.credentials import Token

    ring = Login("race@example.com", lambda: "pw", client, seal, load_default_routes())
    ring._keep(Token("new", until=1e12))

    assert ring.forget("old")
    assert ring._read() is not None
    assert ring.forget("new")
    assert ring._read() is None
    assert ring.forget("new")


def test_a_wrong_password_is_one_alert_and_a_pause(
    run: Run,
    seal: Seal,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ring = Login("nobody@example.com", lambda: "pw", run.ledger.client, seal, load_default_routes())
    zyra = run.attempt()
    zyra = zyra.within(replace(zyra.caller, ring=ring))
    for _ in range(5):
        with pytest.raises(Unauthorized):
            zyra.virtual_servers.stop("vs_0001")

    assert len([one for one in run.sandbox.log() if "login" in str(one["path"])]) == 1
    assert caplog.text.count("Zyra refuses the login of") == 1
    assert run.outcomes() == []
    for name in run.ledger.client.scan_iter("zr::{api}*"):
        run.ledger.client.delete(name)


@pytest.mark.parametrize("journalled", [True, False])
def test_tokens_that_are_never_accepted_are_a_refused_key(
    run: Run,
    seal: Seal,
    caplog: pytest.LogCaptureFixture,
    journalled: bool,
) -> None:
    """A login may succeed and its token may not: that is no loop, and no dead letter."""
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        login = request.url.path.endswith("login")
        return Answer(200, json={"data": {"access_token": f"t{len(asked)}"}}) if login else Answer(401, json={})

    zyra = other(
        run, answer, ring=Login("odd@example.com", lambda: "pw", run.ledger.client, seal, load_default_routes())
    )
    with pytest.raises(Unauthorized) as caught:
        zyra.virtual_servers.stop("vs_0001") if journalled else zyra.virtual_servers.get("vs_0001")

    assert isinstance(caught.value, RetryLater)
    assert len(asked) <= 6
    assert caplog.text.count("Zyra refuses the login of") == 1
    for name in run.ledger.client.scan_iter("zr::{api}*"):
        run.ledger.client.delete(name)


def test_a_login_that_is_limited_holds_back(run: Run, seal: Seal) -> None:
    ring = Login("busy@example.com", lambda: "pw", run.ledger.client, seal, load_default_routes())
    zyra = other(run, lambda _: Answer(429, headers={"retry-after": "9"}, json={}), ring=ring)
    for _ in range(2):
        with pytest.raises(RetryLater) as caught:
            zyra.devices.get("d")

    assert 1 <= caught.value.seconds <= 9
    for name in run.ledger.client.scan_iter("zr::{api}*"):
        run.ledger.client.delete(name)


def test_another_machines_clock_does_not_hold_us_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "SETTLE_MINUTES", 1.0)
    run.line.plan = ["500"]
    with monkeypatch.context() as clock:
        clock.setattr("workers.zyra.journal.time.time", lambda: 4e9)
        with pytest.raises(ServerError):
            run.attempt().virtual_servers.create(name="web-e5c0a1")

    assert run.again().virtual_servers.create(name="web-e5c0a1").id


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1.evil.example", "http://localhost@evil.example", "https://", "ftp://x"]
)
def test_the_key_goes_where_it_may(url: str) -> None:
    from workers.settings import parse_api_url

    with pytest.raises(ValueError, match="must start with"):
        parse_api_url(url)


def test_what_cannot_be_asked_is_unsent(run: Run) -> None:
    with pytest.raises(ValueError, match="must be a path"):
        run.attempt().request("GET", "/x\n")
    assert issubclass(OutcomeUnknown, GiveUp)
    assert Caller(ring=ApiKey(str)).ticket != Caller(ring=ApiKey(str)).ticket

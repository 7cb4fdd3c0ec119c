"""Zyra as it may be: other states, ids, answers, addresses; one function plays it, written from its pages alone."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.run import Run
from workers import GiveUp, RetryLater
from workers.ledger.units import Outcome, Verdict
from workers.zyra import Zyra, calls, recovery
from workers.zyra.calls import Answer, Page, Pages
from workers.zyra.errors import (
    Invalid,
    NoId,
    OutcomeUnknown,
    Redirected,
    ServerError,
    Unreachable,
    Unreadable,
    WrongVerb,
    describe_details,
)
from workers.zyra.journal import list_calls, seal_word
from workers.zyra.models import Endpoint, Row, normalize_state
from workers.zyra.routes import load_default_routes, load_routes
from workers.zyra.transport import make_options

URL = "https://zyra.test"
Played = Callable[[httpx2.Request], httpx2.Response]
Reply = httpx2.Response


@pytest.fixture(autouse=True)
def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is under way here that a look-up would have to wait for."""
    monkeypatch.setattr(recovery, "SETTLE_MINUTES", 0.01)


def client(answer: Played) -> Zyra:
    http = httpx2.Client(transport=httpx2.MockTransport(answer), **make_options(URL))
    return Zyra(URL, lambda: "zyra_sk_1", http=http)


def within(run: Run, answer: Played, **more: Any) -> Zyra:
    """A client of this run's next attempt whose Zyra is one function."""
    http = httpx2.Client(transport=httpx2.MockTransport(answer), **make_options(URL))
    changes: dict[str, Any] = {"journal": run.journal(), "who": "m.f", **more}
    return Zyra(URL, caller=replace(run.caller, **changes), http=http)


# --- request ids


def test_each_request_is_one_line_with_its_request_id(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    def answer(request: httpx2.Request) -> Reply:
        if request.url.path.endswith("/vs_2"):
            raise httpx2.ConnectError("no way")
        return Reply(200, json={"data": {"id": "vs_1"}, "meta": {"request_id": "req_1"}})

    zyra = within(run, answer)
    with caplog.at_level(logging.INFO, "workers.zyra.caller"):
        zyra.virtual_servers.get("vs_1")
        with pytest.raises(Unreachable):
            zyra.virtual_servers.get("vs_2")

    lines = [vars(one) for one in caplog.records if one.message == "API call"]
    facts = [{name: line.get(name) for name in ("method", "path", "status", "request_id")} for line in lines]
    assert facts == [
        {"method": "GET", "path": "/api/v1/virtual-servers/{id}", "status": 200, "request_id": "req_1"},
        {"method": "GET", "path": "/api/v1/virtual-servers/{id}", "status": 0, "request_id": None},
    ]
    assert {(line["event"], line["handler"], line["attempt"]) for line in lines} == {(run.claim.event, "m.f", 1)}
    assert all(line["ms"] >= 0 for line in lines)


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"data": {}, "meta": {"request_id": "req_meta"}}, "req_meta"),
        ({"success": True, "data": {}, "request_id": "req_top"}, "req_top"),
        ({"data": {}}, "req_header"),
        ([], "req_header"),
        (None, "req_header"),
    ],
)
def test_a_row_tells_the_request_id_of_envelope_or_header(document: Any, found: str) -> None:
    content = b"" if document is None else json.dumps(document).encode()
    answer = Answer(status=200, headers={"x-request-id": "req_header"}, content=content)

    assert answer.request_id == found
    zyra = client(lambda _: Reply(200, content=content, headers={"X-Request-ID": "req_header"}))
    if document != []:
        assert zyra.devices.get("d").request_id == found


def test_the_rows_of_a_list_tell_it_and_an_error_says_it() -> None:
    rows = {"data": [{"id": 1}], "meta": {"request_id": "req_list", "total": 1}}
    (row,) = client(lambda _: Reply(200, json=rows)).devices.list()
    refused = client(lambda _: Reply(404, json={}, headers={"x-request-id": "req_404"}))

    assert (row.request_id, row.id) == ("req_list", "1")
    with pytest.raises(GiveUp, match="req_404"):
        refused.devices.get("d")


def test_the_journal_keeps_it(run: Run) -> None:
    answer = Reply(200, json={"data": {"id": "vs_1", "status": "stopped"}}, headers={"x-request-id": "req_h"})

    first = within(run, lambda _: answer).virtual_servers.stop("vs_1")
    again = within(run, lambda _: answer).virtual_servers.stop("vs_1")

    assert first.request_id == again.request_id == "req_h"


# --- states


def lose_then_tell(run: Run, row: Any, act: Callable[[Zyra], Any], status: int = 200, **more: Any) -> list[str]:
    """A changing call whose answer is lost; then the next attempt, to which the item is told. The verbs that were sent."""
    sent: list[str] = []

    def answer(request: httpx2.Request) -> Reply:
        sent.append(request.method)
        if request.method == "GET":
            return Reply(status, json=row)
        if sent.count(request.method) == 1:
            raise httpx2.ReadTimeout("lost")
        return Reply(200, json={"data": {"id": "x"}})

    with pytest.raises(Unreachable):
        act(within(run, answer, **more))
    act(within(run, answer, **more))
    return sent


def stop(zyra: Zyra) -> Row:
    return zyra.virtual_servers.stop("vs_1")


def terminate(zyra: Zyra) -> Row:
    return zyra.virtual_servers.terminate("vs_1")


def delete(zyra: Zyra) -> Row:
    return zyra.webhooks.endpoints.delete("we_1")


@pytest.mark.parametrize(
    ("act", "row", "again"),
    [
        (stop, {"status": "STOPPED"}, False),
        (stop, {"status": "Stopping"}, False),
        (stop, {"state": "stopped"}, False),
        (stop, {"status": {"state": "stopped"}}, False),
        (stop, {"status": "RUNNING"}, True),
        (terminate, {"status": "Terminated"}, False),
        (terminate, {"status": "deleted"}, False),
        (terminate, {"status": "Running"}, True),
        (delete, {"url": "https://x", "is_active": True}, True),
    ],
)
def test_a_known_state_decides(run: Run, act: Callable[[Zyra], Any], row: dict[str, Any], again: bool) -> None:
    verb = "POST" if act is stop else "DELETE"

    sent = lose_then_tell(run, {"data": {"id": "x", **row}}, act)

    assert sent.count(verb) == 1 + again


@pytest.mark.parametrize(
    ("act", "row"),
    [
        (stop, {"status": "halted"}),
        (stop, {"status": 4}),
        (stop, {}),
        (terminate, {"status": "bye"}),
        (terminate, {"status": "running", "deleted_at": "2026-01-01T00:00:00Z"}),
        (delete, {"url": "https://x"}),
        (delete, {"url": "https://x", "is_active": False}),
        (delete, {"url": "https://x", "status": "archived"}),
    ],
)
def test_a_state_that_is_not_known_decides_nothing(run: Run, act: Callable[[Zyra], Any], row: dict[str, Any]) -> None:
    with pytest.raises(OutcomeUnknown, match="ZYRA_API_ROUTES"):
        lose_then_tell(run, {"data": {"id": "x", **row}}, act)


@pytest.mark.parametrize(("state", "again"), [("HALTED", False), ("up", True)])
def test_states_may_be_configured(run: Run, tmp_path: Path, state: str, again: bool) -> None:
    (tmp_path / "r.toml").write_text('"virtual_servers.stop" = {after = ["halted"], before = ["up"]}\n')
    routes = load_routes(tmp_path / "r.toml")

    assert lose_then_tell(run, {"data": {"status": state}}, stop, routes=routes).count("POST") == 1 + again
    assert routes["virtual_servers.stop"].call == load_default_routes()["virtual_servers.stop"].call


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('"devices.list" = {after = ["a"]}', "is not looked up by a state"),
        ('devices = {after = ["a"]}', "is an area"),
        ('devices = "GET /x"', "is an area"),
        ('"devices.approve" = {afterwards = ["a"]}', "it may have call, after, before, id and state"),
        ('"devices.approve" = {after = "a"}', "it may have call, after, before, id and state"),
    ],
)
def test_what_is_wrong_with_states(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "r.toml").write_text(line)

    with pytest.raises(ValueError, match=told):
        load_routes(tmp_path / "r.toml")


def test_a_path_may_name_its_ids_as_it_likes(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('"devices.get" = "GET /v2/devices/{deviceId}"\n')

    assert load_routes(tmp_path / "r.toml")["devices.get"].at("d") == "/v2/devices/d"


@pytest.mark.parametrize("text", ["IN ERROR", "in-error", "In_Error", " in error "])
def test_a_state_is_one_in_any_spelling(text: str) -> None:
    assert normalize_state(text) == Row(status=text).state == "in_error"


# --- ids


def test_numbers_are_ids() -> None:
    route = load_default_routes()["virtual_servers.get"]

    assert route.at(1001) == "/api/v1/virtual-servers/1001"
    assert calls.make_listed_call(route, (0,)).ids == ("0",)


@pytest.mark.parametrize("value", [None, "", "None", "null", "..", True, 1.5, " "])
def test_what_is_no_id_is_never_sent(value: Any) -> None:
    sent: list[str] = []

    def answer(request: httpx2.Request) -> Reply:
        sent.append(request.url.path)
        return Reply(200, json={})

    with pytest.raises(NoId, match="no id") as refused:
        client(answer).virtual_servers.terminate(value)
    assert isinstance(refused.value, GiveUp)
    assert sent == []


def create(zyra: Zyra, name: str = "web-e5c0a1") -> Row:
    return zyra.virtual_servers.create(name=name)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"success": true, "data": null}'])
def test_a_create_whose_answer_tells_no_id_is_found_by_its_name(run: Run, content: bytes) -> None:
    made: list[str] = []

    def answer(request: httpx2.Request) -> Reply:
        if request.method == "POST":
            made.append(request.url.path)
            return Reply(201, content=content)
        return Reply(200, json={"data": [{"id": 7, "name": "other"}, {"id": 8, "name": "web-e5c0a1"}], "total": 2})

    assert create(within(run, answer)).id == "8"
    assert create(within(run, answer)).id == "8"
    assert len(made) == 1


def test_one_that_cannot_be_found_is_unknown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.zyra.caller.LIST_SECONDS", 0.01)

    def answer(request: httpx2.Request) -> Reply:
        return Reply(204) if request.method == "POST" else Reply(200, json={"data": [], "total": 0})

    with pytest.raises(OutcomeUnknown, match="answered 204 without an id, and lists nothing of this name"):
        create(within(run, answer))
    with pytest.raises(OutcomeUnknown, match=r"event\.key"):
        create(within(run, answer), "web")


@pytest.mark.parametrize(("there", "found"), [(["web"], "1"), (["web", "web"], ""), ([], "")])
def test_a_create_of_which_a_person_said_that_it_happened_gets_the_only_one_of_its_name(
    run: Run, there: list[str], found: str
) -> None:
    def answer(request: httpx2.Request) -> Reply:
        if request.method == "POST":
            raise httpx2.ReadTimeout("lost")
        return Reply(
            200, json={"data": [{"id": n + 1, "name": one} for n, one in enumerate(there)], "total": len(there)}
        )

    with pytest.raises(Unreachable):
        create(within(run, answer), "web")
    run.ledger.finish([Outcome(unit=run.claim.unit, token=run.claim.token, verdict=Verdict.DEAD)])
    word = seal_word(run.ledger, run.seal, run.claim.unit, happened=True)
    run.ledger.replay(run.claim.event, keep_calls=True, unanswered={run.claim.unit: word})
    assert [one["person_says"] for one in list_calls(run.ledger, run.seal, run.claim.unit)] == ["happened"]
    (run.claim,) = run.ledger.take([], 1)

    if not found:
        with pytest.raises(OutcomeUnknown, match="exactly one thing of its name"):
            create(within(run, answer), "web")
        return
    assert create(within(run, answer), "web").id == found
    (call,) = list_calls(run.ledger, run.seal, run.claim.unit)
    assert (call["outcome"], call["person_says"], call["looked_up"]) == ("done", "happened", True)


def test_an_id_one_level_down_is_one(run: Run) -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> Reply:
        asked.append(request.method)
        return Reply(201, json={"data": {"virtual_server": {"id": 5}}})

    made = create(within(run, answer), "web")

    assert (made.id, made["virtual_server"]) == ("5", {"id": 5})
    assert asked == ["POST"]


def test_the_field_that_a_person_names_is_the_state(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('devices = {state = ["phase"]}')
    route = load_routes(tmp_path / "r.toml")["devices.get"]

    row = calls.find_row(route, {"id": 5, "status": "billed", "phase": "online"})

    assert (row["status"], row["phase"]) == ("online", "online")


@pytest.mark.parametrize("name", ["id", "endpoint_id", "webhook_id"])
@pytest.mark.parametrize("secret", ["secret", "signing_secret", "webhook_secret", "secret_key"])
@pytest.mark.parametrize("nested", [False, True])
def test_an_endpoint_has_its_id_and_secret_under_other_names(name: str, secret: str, nested: bool) -> None:
    fields = {name: 5, secret: "s3cret"}

    row = Endpoint({"endpoint": fields} if nested else fields)

    assert (row.id, row.secret) == ("5", "s3cret")


# --- lists


def read(call_total: list[tuple[list[Any], int | None]]) -> list[Any]:
    """What comes of pages with these ids and totals."""
    pages = Pages(calls.make_listed_call(load_default_routes()["devices.list"]))
    found = []
    for ids, total in call_total:
        assert pages.next
        found += [row["id"] for row in pages.take(Page([{"id": one} for one in ids], total))]
    assert pages.next is None
    return found


def test_no_row_comes_twice() -> None:
    assert read([([1, 2], 4), ([2, 3], 4)]) == [1, 2, 3]


def test_what_slipped_by_while_others_were_deleted_is_read() -> None:
    """Two rows went after the first page: what followed them moved into places that were read already."""
    assert read([([1, 2], 4), ([], 2), ([3, 4], 2)]) == [1, 2, 3, 4]


def test_a_list_without_a_total_ends_with_an_empty_page() -> None:
    assert read([([1, 2], None), ([2, 3], None), ([], None)]) == [1, 2, 3]


def test_rows_without_ids_are_told_as_they_come() -> None:
    """They cannot be told apart, so such a list is not read twice."""
    pages = Pages(calls.make_listed_call(load_default_routes()["monitoring.alerts"]))
    first = pages.take(Page([{"a": 1}, {"a": 1}], 3))
    second = pages.take(Page([{"a": 2}], 2))

    assert (first + second, pages.next) == ([{"a": 1}, {"a": 1}, {"a": 2}], None)


def test_every_one_of_a_list_can_be_terminated_while_it_is_read() -> None:
    there = [{"id": n} for n in range(1, 451)]

    def answer(request: httpx2.Request) -> Reply:
        if request.method == "DELETE":
            there[:] = [row for row in there if str(row["id"]) != request.url.path.rpartition("/")[2]]
            return Reply(204)
        offset = int(request.url.params["offset"])
        return Reply(200, json={"data": there[offset : offset + 200], "meta": {"total": len(there)}})

    zyra = client(answer)
    ended = [zyra.virtual_servers.terminate(one.id or "") for one in zyra.virtual_servers.list()]

    assert (len(ended), there) == (450, [])


# --- errors


@pytest.mark.parametrize(
    ("details", "told"),
    [
        ([{"loc": ["body", "vcpus"], "msg": "must be positive", "type": "x"}], "vcpus: must be positive"),
        ([{"loc": ["body", "a", 0], "msg": "m"}, {"msg": "n"}], "a.0: m; n"),
        ({"name": ["taken"], "size": "small"}, "name: taken; size: small"),
        ({"field": "name", "message": "taken"}, "name: taken"),
        ("plain", "plain"),
        (None, ""),
    ],
)
def test_details_are_told_in_one_line(details: Any, told: str) -> None:
    assert describe_details(details) == told
    assert told in str(Invalid(422, "invalid", "no", details))


def test_what_the_api_does_not_take_is_told() -> None:
    document = {"detail": [{"loc": ["body", "name"], "msg": "field required"}]}

    with pytest.raises(Invalid, match="name: field required"):
        client(lambda _: Reply(422, json=document)).devices.register()


@pytest.mark.parametrize(
    ("location", "advice"),
    [
        ("/api/v2/devices/d%2F1", '"devices.get" = "GET /api/v2/devices/{id}"'),
        ("https://eu.zyra.test/api/v1/devices/d%2F1", "set ZYRA_API_URL=https://eu.zyra.test"),
        ("", "nowhere that it tells"),
    ],
)
def test_a_redirect_says_where_to_and_how_to_set_it(location: str, advice: str) -> None:
    with pytest.raises(Redirected) as moved:
        client(lambda _: Reply(308, headers={"location": location})).devices.get("d/1")

    assert advice in moved.value.advice
    assert moved.value.location == location


def test_an_id_is_told_from_the_words_around_it() -> None:
    with pytest.raises(Redirected) as moved:
        client(lambda _: Reply(308, headers={"location": "/api/v2/devices/d"})).devices.get("d")

    assert '"devices.get" = "GET /api/v2/devices/{id}"' in moved.value.advice


def test_a_redirect_of_a_change_has_not_happened(run: Run) -> None:
    with pytest.raises(Redirected):
        stop(within(run, lambda _: Reply(307, headers={"location": "/x"})))

    assert run.outcomes() == [("POST /api/v1/virtual-servers/vs_1/stop", "refused")]


def test_a_wrong_verb_names_the_right_one() -> None:
    with pytest.raises(WrongVerb) as wrong:
        client(lambda _: Reply(405, headers={"allow": "PUT, GET"})).devices.approve("d")

    assert '"devices.approve" = "PUT /api/v1/devices/{id}/approve"' in wrong.value.advice


def test_an_address_that_is_the_answer_is_told() -> None:
    assert client(lambda _: Reply(302, headers={"location": "https://idp.test/x"})).auth.sso(domain="a") == {
        "location": "https://idp.test/x"
    }


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Reply(502, text="bad"), ServerError),
        (Reply(200, text="<html>"), Unreadable),
        (httpx2.ReadTimeout("x"), Unreachable),
    ],
)
def test_a_lost_answer_to_a_change_says_that_it_may_have_happened(answer: Any, error: type[Exception]) -> None:
    def play(request: httpx2.Request) -> Reply:
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    with pytest.raises(error) as lost:
        stop(client(play))
    assert (
        "it may have happened all the same: look before you repeat it, `zyra-receiver api virtual-servers get vs_1`"
        in (
            lost.value.advice  # type: ignore[attr-defined]
        )
    )
    with pytest.raises(error) as unlisted:
        client(play).request("POST", "/api/v1/x")
    assert "`zyra-receiver api get /api/v1/x`" in unlisted.value.advice  # type: ignore[attr-defined]
    with pytest.raises(error) as harmless:
        client(play).devices.get("d")
    assert "may have happened" not in harmless.value.advice  # type: ignore[attr-defined]


def test_a_file_that_is_none_is_not_kept(tmp_path: Path) -> None:
    page = client(lambda _: Reply(200, text="<html>log in</html>"))
    with pytest.raises(Unreadable, match="the file is no %PDF-"):
        page.invoices.pdf("inv_1", tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []

    assert client(lambda _: Reply(200, content=b"%PDF-1.7 x")).invoices.pdf("inv_1", tmp_path / "a.pdf") == 10


def test_nothing_is_put_off_for_ever(run: Run) -> None:
    """A lost answer in the first look-up is an ordinary failure, and leaves the journal as it was."""

    def answer(request: httpx2.Request) -> Reply:
        raise httpx2.ReadTimeout("lost")

    for _ in range(2):
        with pytest.raises((Unreachable, RetryLater)):
            stop(within(run, answer))
    assert run.outcomes() == [("POST /api/v1/virtual-servers/vs_1/stop", "unknown")]

"""Clients of other APIs: against a real server, whose answers get lost, with the ledger's journal and budget."""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from receiver.contract.seal import Seal
from tests.support.kit import accept, dispatch
from tests.support.other_server import Others, listening
from workers import ApiError, Router, async_client, client
from workers.api.client import Api, AsyncApi
from workers.api.errors import LimitReached, Refused, TokenRefused, Unanswered
from workers.api.service import Options
from workers.context import CURRENT, Context, Lease
from workers.errors import GiveUp, LeaseLost, RetryLater, WrongHandler
from workers.event import make_event
from workers.ledger.transitions import Ledger
from workers.ledger.units import Outcome, Verdict
from workers.runtime.attempt import Attempt
from workers.runtime.contexts import make_context
from workers.zyra import transport

Attempts = Callable[[], contextlib.AbstractContextManager[Context]]
NAMES = itertools.count()


@pytest.fixture
def others() -> Iterator[Others]:
    with listening() as found:
        found.body = b'{"id": 7}'
        yield found


@pytest.fixture
def attempt(ledger: Ledger, seal: Seal) -> Attempts:
    """Begins the next attempt of one run."""
    accept(ledger, seal)
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["labels"])
    router = Router()
    router.on("*", name="labels")(lambda event: None)
    (handler,) = router

    @contextlib.contextmanager
    def begin() -> Iterator[Context]:
        (claim,) = ledger.take([], 1)
        event = make_event(seal.open(claim.key, claim.labels, claim.sealed), handler="labels")
        lease = Lease(time.monotonic(), time.monotonic)
        context = make_context(ledger, lease, Attempt(claim=claim, handler=handler, event=event))
        token = CURRENT.set(context)
        try:
            yield context
        finally:
            CURRENT.reset(token)
            ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=Verdict.HANDED)])

    return begin


def make_api(others: Others, **options: Any) -> Api:
    """Each has a budget of its own."""
    return client(f"github-{next(NAMES)}-{time.time_ns()}", others.url.partition("/x")[0], **options)


def test_a_call_carries_token_and_headers(others: Others, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    github = make_api(others, token="GITHUB_TOKEN", headers={"x-api-version": "1"})

    answers = [
        github.get("/user", params={"page": 2}),
        github.post("/issues", json={"title": "é"}),
        github.put("/a"),
        github.patch("/a"),
        github.delete("/a"),
    ]

    assert answers == [{"id": 7}] * 5
    assert others.requests == ["GET /user?page=2", "POST /issues", "PUT /a", "PATCH /a", "DELETE /a"]
    headers, body = others.got[1]
    assert (headers["authorization"], headers["x-api-version"]) == ("Bearer secret", "1")
    assert body == b'{"title": "\\u00e9"}'


def test_another_header_takes_the_token(others: Others, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_TOKEN", "secret")

    make_api(others, token="GITLAB_TOKEN", header="private-token", prefix="").get("/")

    assert others.got[0][0]["private-token"] == "secret"


def test_without_a_token_nothing_is_sent(others: Others) -> None:
    with pytest.raises(TokenRefused, match="NO_TOKEN is not set: it holds the token of github") as caught:
        make_api(others, token="NO_TOKEN").get("/")

    assert isinstance(caught.value, RetryLater)
    assert not others.requests


def test_a_token_that_cannot_stand_in_a_header_is_not_sent(others: Others, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "two words")

    with pytest.raises(TokenRefused, match="GITHUB_TOKEN must be printable ASCII without spaces"):
        make_api(others, token="GITHUB_TOKEN").get("/")


def test_outside_a_handler_an_async_call_is_just_a_coroutine(others: Others) -> None:
    github = async_client("github", others.url.partition("/x")[0])

    async def call() -> Any:
        return await github.get("/user")

    assert asyncio.run(call()) == {"id": 7}


def test_an_answer_that_is_too_long_is_an_ordinary_failure(
    others: Others, attempt: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", 3)

    with attempt(), pytest.raises(ApiError, match="longer than 3 bytes") as caught:
        make_api(others).get("/")

    assert not isinstance(caught.value, GiveUp | RetryLater)


def test_a_later_attempt_gets_the_recorded_answer(others: Others, attempt: Attempts) -> None:
    github = make_api(others)
    for _ in range(2):
        with attempt():
            assert github.post("/issues", json={"title": "a"}) == {"id": 7}
            assert github.get("/user") == {"id": 7}

    assert others.requests == ["POST /issues", "GET /user", "GET /user"]


def test_a_call_without_an_answer_is_a_dead_letter_unless_it_may_be_repeated(others: Others, attempt: Attempts) -> None:
    github = make_api(others)
    for repeat in (None, False):
        others.lost = 1
        with attempt(), pytest.raises(ApiError):
            github.post(f"/issues/{repeat}", repeat=repeat)
        with (
            attempt(),
            pytest.raises(
                Unanswered, match="an earlier attempt made this call, and no answer says whether it happened"
            ) as caught,
        ):
            github.post(f"/issues/{repeat}", repeat=repeat)
        assert isinstance(caught.value, GiveUp)
    assert others.requests == ["POST /issues/None", "POST /issues/False"]


@pytest.mark.parametrize(
    ("method", "repeat", "options"),
    [("POST", True, {}), ("PUT", None, {}), ("DELETE", None, {}), ("POST", None, {"idempotency_header": "idem-key"})],
)
def test_a_call_that_may_be_repeated_is_made_again_once(
    others: Others, attempt: Attempts, method: str, repeat: bool | None, options: Options
) -> None:
    github = make_api(others, **options)
    others.lost = 1
    with attempt(), pytest.raises(ApiError):
        github.request(method, "/issues", repeat=repeat)
    for _ in range(2):
        with attempt():
            assert github.request(method, "/issues", repeat=repeat).document == {"id": 7}

    assert others.requests == [f"{method} /issues"] * 2
    keys = {headers.get("idem-key") for headers, _ in others.got}
    assert len(keys) == 1
    assert (keys != {None}) == bool(options)


def test_a_refused_call_is_made_again_with_a_new_key(others: Others, attempt: Attempts) -> None:
    github = make_api(others, idempotency_header="idem-key")
    others.status = 422
    with attempt(), pytest.raises(Refused, match=r"POST .*/issues: 422: ") as caught:
        github.post("/issues")
    assert isinstance(caught.value, GiveUp)
    assert caught.value.document == {"id": 7}
    others.status = 200
    with attempt():
        github.post("/issues")

    assert len({headers["idem-key"] for headers, _ in others.got}) == 2


@pytest.mark.parametrize(
    ("status", "headers", "error", "seconds"),
    [
        (429, {"retry-after": "7"}, LimitReached, 7),
        (403, {"retry-after": "7"}, LimitReached, 7),
        (503, {"retry-after": "7"}, LimitReached, 7),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "4102444800"}, LimitReached, 3600),
        (429, {}, LimitReached, 60),
        (401, {}, TokenRefused, 30),
        (403, {}, Refused, 0),
        (404, {}, Refused, 0),
        (301, {"location": "/elsewhere"}, Refused, 0),
        (408, {}, ApiError, 0),
        (500, {}, ApiError, 0),
    ],
)
def test_what_an_answer_means_for_the_run(
    others: Others, attempt: Attempts, status: int, headers: dict[str, str], error: type[ApiError], seconds: float
) -> None:
    others.status, others.headers = status, headers

    with attempt(), pytest.raises(ApiError) as caught:
        make_api(others).get("/")

    assert type(caught.value) is error
    assert (caught.value.status, getattr(caught.value, "seconds", 0)) == (status, seconds)


def test_a_pause_that_the_api_asks_for_holds_all_workers(others: Others, attempt: Attempts) -> None:
    github = make_api(others)
    others.status, others.headers = 429, {"retry-after": "30"}
    with attempt(), pytest.raises(LimitReached):
        github.post("/issues")
    others.status = 200

    with attempt(), pytest.raises(LimitReached, match="or it asked for a pause") as caught:
        github.post("/issues")

    assert 25 < caught.value.seconds <= 30
    assert len(others.requests) == 1


def test_parameters_are_not_logged(others: Others, attempt: Attempts, caplog: pytest.LogCaptureFixture) -> None:
    others.status = 429
    caplog.set_level(logging.INFO)

    with attempt(), pytest.raises(LimitReached) as caught:
        make_api(others).get("/a", params={"api_key": "hunter2", "none": None, "all": True})

    assert others.requests == ["GET /a?api_key=hunter2&all=true"]
    own = [record.getMessage() for record in caplog.records if record.name.startswith("workers.")]
    assert "hunter2" not in str(own) + str(caught.value)


def test_what_has_no_json_fails_the_attempt_and_is_not_journalled(others: Others, attempt: Attempts) -> None:
    github = make_api(others)
    for value in (object(), float("nan")):
        for _ in range(2):
            with attempt(), pytest.raises((TypeError, ValueError)):
                github.post("/issues", json={"at": value})

    assert not others.requests


def test_head_changes_nothing_and_other_methods_are_refused(others: Others, attempt: Attempts) -> None:
    github = make_api(others)
    for _ in range(2):
        with attempt():
            github.request("HEAD", "/a")

    assert others.requests == ["HEAD /a"] * 2
    with pytest.raises(ValueError, match="'TRACE' is no method of an API"):
        github.request("trace", "/a")


def test_a_limit_of_seconds_is_not_halved(others: Others, attempt: Attempts) -> None:
    github = make_api(others, rate="20/s")
    started = time.monotonic()
    with attempt():
        for _ in range(40):
            github.get("/")

    assert time.monotonic() - started < 2.5


def test_half_of_a_rate_goes_at_once_and_the_rest_evenly(others: Others, attempt: Attempts) -> None:
    github = make_api(others, rate="4/min")
    with attempt():
        github.get("/")
        github.get("/")
        with pytest.raises(LimitReached, match="the limit of github-"):
            github.get("/")

    assert len(others.requests) == 2


def test_after_the_lease_is_lost_nothing_is_sent(others: Others, attempt: Attempts) -> None:
    with attempt() as context:
        context.lease.lost = True
        with pytest.raises(LeaseLost):
            make_api(others).post("/issues")

    assert not others.requests


def test_nobody_answers(attempt: Attempts) -> None:
    with listening() as gone:
        github = make_api(gone)
    with attempt(), pytest.raises(ApiError, match="ConnectError"):
        github.post("/issues")
    with attempt(), pytest.raises(ApiError, match="ConnectError"):  # it has not happened, so it is no dead letter
        github.post("/issues")


def test_an_async_client(others: Others, attempt: Attempts, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    github = async_client("github", others.url.partition("/x")[0])

    async def call() -> list[Any]:
        return [
            await github.get("/user"), await github.post("/a"), await github.put("/a"), await github.patch("/a"),
            await github.delete("/a"), (await github.request("GET", "/user")).status,
        ]  # fmt: skip

    with attempt():
        assert asyncio.run(call()) == [{"id": 7}] * 5 + [200]
    assert len(others.requests) == 6
    lines = [record for record in caplog.records if record.message == "API call"]
    assert {(record.api, record.status) for record in lines} == {("github", 200)}  # type: ignore[attr-defined]


def test_a_call_that_nobody_awaits_is_noticed(others: Others, attempt: Attempts) -> None:
    github: AsyncApi = async_client("github", others.url.partition("/x")[0])

    with attempt() as context:
        github.post("/issues")

        assert context.issued.drop_unawaited() == ["github.post('/issues')"]


def test_two_clients_of_one_attempt_share_its_journal(others: Others, attempt: Attempts) -> None:
    one, two = make_api(others), make_api(others)
    for _ in range(2):
        with attempt():
            one.post("/a")
            two.post("/b")

    assert others.requests == ["POST /a", "POST /b"]


@pytest.mark.parametrize(
    ("name", "url", "options", "fault"),
    [
        ("", "https://api.example.com", {}, "the name must be a text"),
        ("a", "http://api.example.com", {}, "the URL must be like https://api.example.com/v1, without user"),
        ("a", None, {}, "the URL must be like"),
        ("a", "https://user:hunter2@x", {}, "the URL must be like"),
        ("a", "https://x?key=1", {}, "the URL must be like"),
        ("a", "https://x#a", {}, "the URL must be like"),
        ("a", "https://x:99999", {}, "the URL must be like"),
        ("a", "https://x y", {}, "the URL must be like"),
        ("a", "https://x", {"token": "hunter2"}, "token= must be the name of an environment variable"),
        ("a", "https://x", {"header": "a b"}, "header= must be the name of a header"),
        ("a", "https://x", {"headers": {"a": "hunter2", "b": 5}}, "headers= must be names and values of headers"),
        ("a", "https://x", {"rate": "5000"}, 'rate= must be like "5000/h"'),
        ("a", "https://x", {"tokn": "A"}, "there is no option tokn=: there are token, header"),
    ],
)
def test_wrong_arguments_are_refused(name: Any, url: Any, options: Any, fault: str) -> None:
    for make in (client, async_client):
        with pytest.raises(WrongHandler, match=f"test_client.py:[0-9]+: .*{fault}") as caught:
            make(name, url, **options)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "user",
        "//elsewhere.example",
        "https://elsewhere.example",
        "/a\nb",
        "/a/../b",
        "/..",
        "/a/%2e%2e/b",
        "/a?x=1",
        "/a#b",
        "/a\\b",
        "/a b",
    ],
)
def test_the_token_goes_to_no_other_host(others: Others, path: str) -> None:
    with pytest.raises(ValueError, match="must be a path below"):
        make_api(others).get(path)

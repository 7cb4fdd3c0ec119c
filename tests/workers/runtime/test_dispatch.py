from typing import Any

import pytest
import redis

from receiver.contract.records import Body
from receiver.contract.seal import Seal
from receiver.contract.secrets import Secret
from tests.support.kit import accept
from workers import Router
from workers.ledger import query
from workers.ledger.transitions import Ledger
from workers.runtime.dispatch import plan, record


def boom(event: Any) -> bool:
    raise KeyError("n")


def dispatched(ledger: Ledger, router: Router, seal: Seal) -> str:
    """What became of the event whose dispatch is claimed here."""
    (claim,) = ledger.take([], 1)
    assert not record([plan(claim, router, seal)], ledger, 0.0)
    found = query.show(ledger, claim.unit)
    assert found is not None
    return str(found["state"])


@pytest.fixture
def router() -> Router:
    found = Router()
    found.on("a.*", name="one")(lambda event: None)
    found.on("a.b", name="two")(lambda event: None)
    found.on("c", name="three")(lambda event: None)
    found.on("a.b", name="boom", when=boom)(lambda event: None)
    found.on("a.b", name="no", when=lambda event: False)(lambda event: None)
    return found


@pytest.mark.parametrize(
    ("kind", "body", "more", "state", "cause", "handlers"),
    [
        ("a.b", b"{}", {}, "dispatched", "", ["one", "two", "boom"]),
        ("a.c", b"{}", {}, "dispatched", "", ["one"]),
        ("a.c", b"[1]", {}, "dispatched", "", ["one"]),
        ("b", b"{}", {}, "unhandled", "", []),
        ("c.paid", b"{}", {}, "unhandled", 'handler three is for "c": did you mean "c.*"?', []),
        ("cc.paid", b"{}", {}, "unhandled", "", []),
        ("a.b", b"{", {}, "unreadable", "not-json", []),
        ("a.b", b"{", {"format": Body.RAW}, "dispatched", "", ["one", "two", "boom"]),
        ("a.b", b"", {}, "dispatched", "", ["one", "two", "boom"]),
        ("a.b", b"a=1", {"format": Body.FORM}, "dispatched", "", ["one", "two", "boom"]),
    ],
)
def test_what_becomes_of_an_event(
    ledger: Ledger,
    seal: Seal,
    router: Router,
    kind: str,
    body: bytes,
    more: dict[str, Any],
    state: str,
    cause: str,
    handlers: list[str],
) -> None:
    event = accept(ledger, seal, body, kind, **more)

    assert dispatched(ledger, router, seal) == state

    found = query.show(ledger, event)
    assert found is not None
    assert (found["state"], found["cause"], [run["handler"] for run in found["runs"]]) == (state, cause, handlers)


def test_an_altered_event_is_dead_and_an_unknown_key_parks(
    ledger: Ledger, seal: Seal, router: Router, client: redis.Redis
) -> None:
    altered, parked = accept(ledger, seal, kind="a.b"), accept(ledger, seal, kind="a.b")
    client.setrange(ledger.keys.body(altered), 30, "xx")
    other = Seal(Secret("S", bytes(range(32)).hex(), None))

    assert dispatched(ledger, router, seal) == "dead"
    assert dispatched(ledger, router, other) == "accepted"  # and parked
    found = [query.show(ledger, event) for event in (altered, parked)]
    assert [(one["state"], one["cause"]) for one in found if one] == [
        ("dead", "altered"),
        ("accepted", "unknown-seal-key"),
    ]


def test_an_event_that_no_handler_wants_is_found_as_well(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    router = Router()
    router.on("a.b", name="never", when=lambda event: False)(lambda event: None)
    for kind in ("a.b", "a.c"):
        accept(ledger, seal, b'{"data": {"customer": "c42"}}', kind=kind, index=("data.customer",))

    record([plan(claim, router, seal) for claim in ledger.take([], 2)], ledger, 0.0)

    assert client.zcard(ledger.keys.name("blind_index")) == 2

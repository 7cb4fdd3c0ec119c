import asyncio
import hashlib
import hmac
from pathlib import Path

import httpx2
import pytest

from workers.sandbox import webhooks
from workers.sandbox.state import State
from workers.sandbox.webhooks import Webhooks


def test_nothing_more_is_sent_to_an_endpoint_that_was_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "RETRY_SECONDS", (0, 0, 0))
    state = State(tmp_path, "k")
    row = state.add_endpoint("http://127.0.0.1:1/x", ["a.b"], "")
    odd = state.add_endpoint("http://127.0.0.1:99999999/x", ["a.b"], "")
    got: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.port == 99999999:
            raise OverflowError("port must be 0-65535")  # as it is from a real connection
        got.append(request)
        del state.endpoints[row["id"]]
        return httpx2.Response(503)

    async def tell() -> None:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
            hooks = Webhooks(state, http)
            hooks.tell("a.b", {})
            await asyncio.gather(*hooks._tasks)

    asyncio.run(tell())

    assert len(got) == 1
    assert [[one["status"] for one in state.deliveries[name].values()] for name in (row["id"], odd["id"])] == [
        ["failed"]
    ] * 2


def test_events_are_signed_and_tried_until_they_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "RETRY_SECONDS", (0, 0, 0))
    state = State(tmp_path, "k")
    row = state.add_endpoint("http://127.0.0.1:1/x", ["a.b"], "")
    got: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        got.append(request)
        if len(got) == 1:
            raise httpx2.ConnectError("down")
        return httpx2.Response({2: 503, 3: 202}.get(len(got), 500))

    async def tell() -> None:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
            hooks = Webhooks(state, http)
            hooks.tell("not.wanted", {})
            hooks.tell("a.b", {"id": "vs_1"})
            await asyncio.gather(*hooks._tasks)
            hooks.tell("a.b", {"id": "vs_2"})
            await asyncio.gather(*hooks._tasks)

    asyncio.run(tell())

    assert len(got) == 6  # three for the first, three in vain for the second
    expected = hmac.new(row["secret"].encode(), got[0].content, hashlib.sha256).hexdigest()
    assert got[0].headers["x-zyra-signature"] == expected
    assert got[0].headers["x-zyra-event"] == "a.b"
    assert got[0].content == got[2].content

"""What comes back is bounded, and whole or an error."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from workers.zyra import AsyncZyra, Zyra, transport
from workers.zyra.errors import NotFound, Unreachable, Unreadable
from workers.zyra.transport import make_options

URL = "https://zyra.test"
Answer = Callable[[httpx2.Request], httpx2.Response]


def sync(answer: Answer) -> Zyra:
    return Zyra(
        URL, lambda: "zyra_sk_1", http=httpx2.Client(transport=httpx2.MockTransport(answer), **make_options(URL))
    )


async def awaited(answer: Answer, act: Callable[[AsyncZyra], Any]) -> Any:
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer), **make_options(URL))
    try:
        return await act(AsyncZyra(URL, lambda: "zyra_sk_1", http=http))
    finally:
        await http.aclose()


def test_an_answer_is_bounded_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", 1000)
    big: Answer = lambda _: httpx2.Response(200, content=b"x" * 1001)  # noqa: E731

    with pytest.raises(Unreadable, match="too-long"):
        sync(big).devices.get("d")
    with pytest.raises(Unreadable, match="too-long"):
        asyncio.run(awaited(big, lambda z: z.devices.get("d")))


def test_and_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_SECONDS", -1.0)

    with pytest.raises(Unreadable, match="too-long"):
        sync(lambda _: httpx2.Response(200, content=b"{}")).devices.get("d")


def test_an_answer_that_never_begins_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_SECONDS", -0.9)

    async def slow(_: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(5)
        return httpx2.Response(200)

    async def main() -> None:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(slow), **make_options(URL))
        try:
            await AsyncZyra(URL, lambda: "zyra_sk_1", http=http).devices.get("d")
        finally:
            await http.aclose()

    with pytest.raises(Unreachable, match="TimeoutError") as caught:
        asyncio.run(main())
    assert not caught.value.unsent


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pdf"
    pdf: Answer = lambda _: httpx2.Response(200, content=b"%PDF-" * 80)  # noqa: E731

    assert sync(pdf).invoices.pdf("i", path) == 400
    assert asyncio.run(awaited(pdf, lambda z: z.invoices.pdf("i", tmp_path / "b.pdf"))) == 400
    with pytest.raises(NotFound):
        sync(lambda _: httpx2.Response(404)).invoices.pdf("i", tmp_path / "c.pdf")
    with pytest.raises(NotFound):
        asyncio.run(awaited(lambda _: httpx2.Response(404), lambda z: z.invoices.pdf("i", tmp_path / "c.pdf")))

    def torn() -> Iterator[bytes]:
        yield b"%PDF"
        raise httpx2.ReadError("cut off")

    with pytest.raises(Unreachable):
        sync(lambda _: httpx2.Response(200, content=torn())).invoices.pdf("i", path)
    monkeypatch.setattr(transport, "MAX_FILE_BYTES", 10)
    with pytest.raises(Unreadable):
        sync(pdf).invoices.pdf("i", path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.pdf", "b.pdf"]
    assert path.stat().st_size == 400


def test_an_object_must_be_one() -> None:
    with pytest.raises(Unreadable, match="no object"):
        sync(lambda _: httpx2.Response(200, json={"data": [1]})).devices.get("d")
    assert sync(lambda _: httpx2.Response(204)).devices.remove("d") == {}


def test_other_lists_are_read_too() -> None:
    rows: Answer = lambda _: httpx2.Response(200, json={"data": [{"id": "a"}], "total": 1})  # noqa: E731

    async def listed(zyra: AsyncZyra) -> list[Any]:
        return [row async for row in zyra.pages("/api/v1/x")]

    assert [row.id for row in sync(rows).pages("/api/v1/x")] == ["a"]
    assert [row.id for row in asyncio.run(awaited(rows, listed))] == ["a"]


def test_scim_lists_count_from_one() -> None:
    asked: list[tuple[str, str]] = []
    rows = [{"id": str(n)} for n in range(450)]

    def answer(request: httpx2.Request) -> httpx2.Response:
        start, count = request.url.params["startIndex"], request.url.params["count"]
        asked.append((start, count))
        page = rows[int(start) - 1 : int(start) - 1 + int(count)]
        return httpx2.Response(200, json={"schemas": ["urn:x"], "totalResults": 450, "Resources": page})

    from dataclasses import replace

    from workers.zyra.credentials import ApiKey

    client = sync(answer)
    client = client.within(replace(client.caller, scim=ApiKey(lambda: "s")))

    assert len(list(client.scim_users.list())) == 450
    assert asked == [("1", "200"), ("201", "200"), ("401", "200")]

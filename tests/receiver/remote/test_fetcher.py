"""Against a real https server whose certificate is for `keys.example`."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.remote import fetcher
from receiver.remote.fetcher import Fetcher, FetchFailed, FetchNotFound
from tests.support.https import Https, serving


@pytest.fixture
def https(tmp_path: Path) -> Iterator[Https]:
    with serving(tmp_path, "keys.example") as found:
        yield found


def fetch(https: Https, path: str, host: str = "keys.example", **how: Any) -> bytes:
    return asyncio.run(https.fetcher(**how).get(f"https://{host}:{https.port}{path}"))


def test_a_document_is_fetched_under_its_own_name(https: Https) -> None:
    https.answers["/a?b=c"] = 200, b"key"

    assert fetch(https, "/a?b=c") == b"key"
    assert https.asked[0][1]["host"] == f"keys.example:{https.port}"


def test_a_certificate_of_another_host_is_refused(https: Https) -> None:
    https.answers["/"] = 200, b"key"

    with pytest.raises(FetchFailed, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(https, "/", host="other.example")
    assert https.asked == []


def test_a_redirect_is_not_followed(https: Https) -> None:
    https.answers["/"] = 302, b""

    with pytest.raises(FetchFailed, match="302"):
        fetch(https, "/")
    assert https.paths == ["/"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, FetchNotFound),
        (403, FetchNotFound),
        (400, FetchNotFound),
        (410, FetchNotFound),
        (500, FetchFailed),
        (429, FetchFailed),
    ],
)
def test_what_is_not_there_differs_from_what_failed(https: Https, status: int, expected: type[FetchFailed]) -> None:
    https.answers["/"] = status, b""

    with pytest.raises(FetchFailed) as caught:
        fetch(https, "/")
    assert type(caught.value) is expected


def test_a_large_answer_is_not_read_to_its_end(https: Https) -> None:
    https.answers["/"] = 200, b"x" * (fetcher.MAX_ANSWER_BYTES + 1)

    with pytest.raises(FetchFailed, match="longer than"):
        fetch(https, "/")


def test_a_slow_answer_is_given_up(https: Https, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "FETCH_SECONDS", 0.2)
    https.answers["/"], https.slow = (200, b"key"), 1.0

    with pytest.raises(FetchFailed, match="no answer in"):
        fetch(https, "/")


def test_a_private_address_is_not_connected_to(https: Https) -> None:
    fetcher = https.fetcher()
    real = Fetcher(fetcher._resolve, context=fetcher._context)

    with pytest.raises(FetchFailed, match="not public"):
        asyncio.run(real.get(f"https://keys.example:{https.port}/"))
    with pytest.raises(FetchFailed, match="not public"):
        asyncio.run(Fetcher().get(f"https://localhost:{https.port}/"))
    assert https.asked == []


@pytest.mark.parametrize(
    "url", ["http://keys.example/", "https://a@keys.example/", "https://[", "https://keys.example:99999/", "ftp://x"]
)
def test_an_address_that_is_no_plain_https_is_refused(https: Https, url: str) -> None:
    with pytest.raises(FetchFailed):
        asyncio.run(https.fetcher().get(url))


def test_an_ipv6_address_is_written_in_brackets(https: Https) -> None:
    with pytest.raises(FetchFailed):  # nobody listens there
        fetch(https, "/", address="::1")
    with pytest.raises(FetchFailed):
        fetch(https, "/", address="not an address")


def test_a_token_is_got_with_id_and_secret(https: Https) -> None:
    https.answers["/t"] = 200, b'{"access_token": "abc", "expires_in": 7200}'
    url = f"https://keys.example:{https.port}/t"

    assert asyncio.run(https.fetcher().token(url, "id:secret", "s")) == ("abc", 7200.0)
    assert https.asked[0][1]["authorization"] == "Basic aWQ6c2VjcmV0"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"access_token": "a", "expires_in": []}',
        b"\xff",
        b'{"access_token": null}',
        b'{"access_token": "a b"}',
        b'{"access_token": "a", "expires_in": NaN}',
        b'{"access_token": "a", "expires_in": 1%s}' % (b"0" * 400),
    ],
)
def test_an_answer_without_a_token_is_a_failure(https: Https, body: bytes) -> None:
    https.answers["/t"] = 200, body

    with pytest.raises(FetchFailed, match="no token"):
        asyncio.run(https.fetcher().token(f"https://keys.example:{https.port}/t", "id:secret", "s"))


def test_with_a_credential_403_speaks_of_it(https: Https) -> None:
    https.answers["/"] = 403, b""

    with pytest.raises(FetchFailed) as caught:
        asyncio.run(https.fetcher().get(f"https://keys.example:{https.port}/", {"authorization": "Bearer x"}))
    assert not isinstance(caught.value, FetchNotFound)


def test_a_token_that_is_not_to_be_had_says_nothing_of_the_key(https: Https) -> None:
    with pytest.raises(FetchFailed) as caught:
        asyncio.run(https.fetcher().token(f"https://keys.example:{https.port}/t", "id:secret", "s"))
    assert not isinstance(caught.value, FetchNotFound)

"""Keys from a real https server; which deliveries reach for one, and which wait."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from receiver.contract.secrets import Secret
from receiver.delivery import Delivery
from receiver.errors import BadSignature, Unavailable
from receiver.remote import keys as remote_keys
from receiver.remote.keys import RemoteKeys
from receiver.schemes import Scheme, load_schemes, parse_scheme
from tests.support.https import Https, serving

KEY = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)


def pem(key: Any = KEY) -> bytes:
    public = key.public_key()
    return bytes(public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))


def jwks(kid: str, key: ed25519.Ed25519PrivateKey) -> dict[str, str]:
    raw = key.public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode()}


@pytest.fixture
def https(tmp_path: Path) -> Iterator[Https]:
    with serving(tmp_path, "keys.example") as found:
        yield found


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Harness:
    """A source of a scheme that fetches, its clock, and the server where the keys are."""

    def __init__(self, https: Https, row: Scheme, credential: str | None = None) -> None:
        self.clock, self.https, self.row = Clock(), https, row
        assert row.remote
        secret = Secret("C", credential, None) if credential else None
        self.keys = RemoteKeys("x", row, row.remote, https.fetcher(), secret, self.clock)

    async def judge(self, delivery: Delivery, now: float | None = None) -> str:
        try:
            await self.keys.prove(delivery, time.time() if now is None else now)
        except (BadSignature, Unavailable) as error:
            return error.cause
        return "valid"


def named(https: Https, **more: Any) -> Scheme:
    remote = {
        "url": f"https://keys.example:{https.port}/keys/{{named}}", "named": ["header:k"], "pattern": "[a-z0-9]{1,9}",
    }  # fmt: skip
    row = {"title": "t", "primitive": "asym-remote", "source": "s", "confidence": "own", "signature": ["header:s"],
           "encoding": "base64", "algorithm": "rsa-sha256", "key": "pem", "remote": remote | more.pop("remote", {})}  # fmt: skip
    return parse_scheme(row | more)


def signed(name: str = "a", key: Any = KEY, body: bytes = b"{}", **more: str) -> Delivery:
    value = base64.b64encode(key.sign(body, padding.PKCS1v15(), hashes.SHA256()))
    headers = {"s": value.decode(), "k": name, **more}
    return Delivery([(k.encode(), v.encode()) for k, v in headers.items()], body)


def test_a_key_is_fetched_once_and_used_again(https: Https) -> None:
    https.answers["/keys/a"] = 200, pem()
    source = Harness(https, named(https))

    async def main() -> list[str]:
        return [await source.judge(signed()), await source.judge(signed(key=OTHER)), await source.judge(signed())]

    assert asyncio.run(main()) == ["valid", "wrong", "valid"]
    assert https.paths == ["/keys/a"]


@pytest.mark.parametrize(
    ("delivery", "expected"),
    [
        (Delivery([(b"k", b"a")], b"{}"), "missing"),
        (signed("../secret"), "key-url"),
        (signed("A" * 4), "key-url"),
        (signed(t="1"), "stale"),
        (signed(t=str(int(time.time())), u="you"), "not-ours"),
    ],
)
def test_nothing_is_fetched_for_what_is_wrong_anyway(https: Https, delivery: Delivery, expected: str) -> None:
    dated = dict(delivery.headers).get(b"t")
    row = named(https, **({"timestamp": "header:t", "tolerance": 300} if dated else {}))
    if b"u" in dict(delivery.headers):
        row = replace(row, ours="header:u", parameter="me")

    assert asyncio.run(Harness(https, row).judge(delivery)) == expected
    assert https.asked == []


def test_builders_look_before_the_fetch(https: Https) -> None:
    said = {"Type": "Other", "SigningCertURL": "https://sns.us-east-1.amazonaws.com/a.pem", "Signature": "AAAA",
            "Timestamp": "2026-01-01T00:00:00Z", "SignatureVersion": "1"}  # fmt: skip
    delivery = Delivery((), json.dumps(said).encode())

    assert asyncio.run(Harness(https, load_schemes()["aws-sns"]).judge(delivery, 1767225600.0)) == "version"


def test_an_unknown_key_is_a_bad_signature_and_believed_for_a_minute(https: Https) -> None:
    source = Harness(https, named(https))

    async def main() -> list[str]:
        found = [await source.judge(signed()), await source.judge(signed())]
        source.clock.now += 61
        https.answers["/keys/a"] = 200, pem()
        return [*found, await source.judge(signed())]

    assert asyncio.run(main()) == ["no-key", "no-key", "valid"]
    assert https.paths == ["/keys/a"] * 2


@pytest.mark.parametrize("body", [b"no key", b"\xff"])
def test_trouble_is_no_verdict(https: Https, body: bytes) -> None:
    https.answers |= {"/keys/a": (500, b""), "/keys/b": (200, body)}
    source = Harness(https, named(https))

    async def main() -> list[str]:
        found = [await source.judge(signed())]
        source.clock.now += 2
        return [*found, await source.judge(signed("b"))]

    assert asyncio.run(main()) == ["key", "key"]


def test_one_fetch_begins_each_second(https: Https) -> None:
    https.answers |= {"/keys/a": (200, pem()), "/keys/b": (200, pem())}
    source = Harness(https, named(https))

    async def main() -> list[str]:
        found = [await source.judge(signed()), await source.judge(signed("b"))]
        source.clock.now += 1
        return [*found, await source.judge(signed("b"))]

    assert asyncio.run(main()) == ["valid", "key", "valid"]


def test_one_fetch_is_shared_and_nobody_else_waits(https: Https) -> None:
    https.answers |= {"/keys/a": (200, pem()), "/keys/b": (200, pem())}
    source = Harness(https, named(https))

    async def main() -> tuple[list[str], str]:
        await source.judge(signed("b"))
        https.slow, source.clock.now = 0.2, source.clock.now + 2
        waiting = [asyncio.create_task(source.judge(signed())) for _ in range(20)]
        await asyncio.sleep(0.05)
        other = await source.judge(signed("b"))
        assert not any(task.done() for task in waiting)
        return list(await asyncio.gather(*waiting)), other

    together, other = asyncio.run(main())
    assert together == ["valid"] * 20
    assert other == "valid"
    assert https.paths == ["/keys/b", "/keys/a"]


def test_a_request_waits_for_a_moment_and_the_fetch_goes_on(https: Https, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_keys, "MAX_WAIT_SECONDS", 0.1)
    https.answers["/keys/a"], https.slow = (200, pem()), 0.4
    source = Harness(https, named(https))

    async def main() -> list[str]:
        first = await source.judge(signed())
        await asyncio.sleep(0.6)
        return [first, await source.judge(signed())]

    assert asyncio.run(main()) == ["key", "valid"]


def test_an_old_key_serves_while_it_is_renewed_but_not_for_ever(https: Https) -> None:
    https.answers["/keys/a"] = 200, pem()
    source = Harness(https, named(https))

    async def main() -> list[str]:
        found = [await source.judge(signed())]
        https.answers["/keys/a"] = 500, b""
        for seconds in (remote_keys.FRESH_SECONDS + 1, remote_keys.STALE_SECONDS):
            source.clock.now += seconds
            found.append(await source.judge(signed()))
            await asyncio.sleep(0.2)
        return found

    assert asyncio.run(main()) == ["valid", "valid", "key"]


def test_a_set_of_keys_is_asked_again_for_one_that_it_lacks(https: Https) -> None:
    old, new = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    https.answers["/jwks"] = 200, json.dumps({"keys": [jwks("1", old)]}).encode()
    row = parse_scheme(
        {"title": "t", "primitive": "asym-remote", "source": "s", "confidence": "own", "signature": ["header:s"],
         "algorithm": "ed25519", "key": "jwks", "remote": {"url": f"https://keys.example:{https.port}/jwks"}}
    )  # fmt: skip
    source = Harness(https, row)

    def delivery(key: ed25519.Ed25519PrivateKey) -> Delivery:
        return Delivery([(b"s", key.sign(b"{}").hex().encode())], b"{}")

    async def main() -> list[str]:
        found = [await source.judge(delivery(old)), await source.judge(delivery(new))]
        https.answers["/jwks"] = 200, json.dumps({"keys": [jwks("1", old), jwks("2", new)]}).encode()
        source.clock.now += remote_keys.FAILURE_SECONDS
        return [*found, await source.judge(delivery(new)), await source.judge(delivery(old))]

    assert asyncio.run(main()) == ["valid", "wrong", "valid", "valid"]
    assert https.paths == ["/jwks", "/jwks"]


def test_any_of_two_named_keys_may_fit(https: Https) -> None:
    https.answers |= {"/keys/a": (200, pem(OTHER)), "/keys/b": (200, pem())}
    source = Harness(https, named(https, remote={"named": ["header:k", "header:l"]}))

    async def main() -> list[str]:
        found = [await source.judge(signed("a", l="b"))]
        source.clock.now += 1
        return [*found, await source.judge(signed("a", l="b"))]

    assert asyncio.run(main()) == ["key", "valid"]  # one fetch a second: the provider comes again


def test_a_credential_is_shown_and_the_key_read_from_its_place(https: Https) -> None:
    https.answers["/keys/a"] = 200, json.dumps({"data": {"publicKey": pem().decode()}}).encode()
    source = Harness(https, named(https, remote={"read": "json:data.publicKey", "credential": "bearer"}), "abc")

    assert asyncio.run(source.judge(signed())) == "valid"
    assert https.asked[0][1]["authorization"] == "Bearer abc"


def test_a_token_is_got_first_and_kept(https: Https) -> None:
    https.answers |= {
        "/token": (200, b'{"access_token": "t", "expires_in": 100}'), "/keys/a": (200, pem()), "/keys/b": (200, pem()),
    }  # fmt: skip
    row = named(https, remote={"credential": f"https://keys.example:{https.port}/token", "scope": "s"})
    source = Harness(https, row, "id:secret")

    async def main() -> list[str]:
        found = [await source.judge(signed())]
        source.clock.now += 2
        return [*found, await source.judge(signed("b"))]

    assert asyncio.run(main()) == ["valid", "valid"]
    assert https.paths == ["/token", "/keys/a", "/keys/b"]
    assert https.asked[1][1]["authorization"] == "Bearer t"


def test_who_names_keys_does_not_fill_our_memory_nor_push_out_what_is_in_use() -> None:
    known: dict[str, remote_keys.FetchedKey] = {"used": remote_keys.FetchedKey(None, 0.0, proven=True)}
    for number in range(remote_keys.MAX_REMEMBERED + 5):
        remote_keys.remember(known, str(number), remote_keys.FetchedKey(None, 0.0))

    assert len(known) == remote_keys.MAX_REMEMBERED
    assert "used" in known
    assert "5" not in known
    proven = {str(n): remote_keys.FetchedKey(None, 0.0, proven=True) for n in range(remote_keys.MAX_REMEMBERED)}
    remote_keys.remember(proven, "new", remote_keys.FetchedKey(None, 0.0, proven=True))
    assert "0" not in proven


def test_made_up_names_do_not_keep_a_key_in_use_from_being_renewed(https: Https) -> None:
    https.answers["/keys/a"] = 200, pem()
    source = Harness(https, named(https))

    async def main() -> list[str]:
        found = [await source.judge(signed())]
        for hour in range(30):
            source.clock.now += 3600
            found.append(await source.judge(signed(f"made{hour}")))
            found.append(await source.judge(signed()))
            await asyncio.sleep(0.05)
        return found

    found = asyncio.run(main())
    assert found[0::2] == ["valid"] * 31
    assert found[1::2] == ["no-key"] * 30


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"null", b"[]", b'{"keys": []}', b'{"keys": "abc"}', b'{"keys": [1]}', b'{"keys": [{"kty": "RSA", "n": 1}]}',
        b'{"a":' * 50_000, b"-----BEGIN X-----" * 16_000, b"AAAA", pem(ed25519.Ed25519PrivateKey.generate()),
    ],
    ids=range(11),
)  # fmt: skip
@pytest.mark.parametrize("key", ["pem", "jwks", "any"])
def test_what_is_no_key_of_the_row_is_trouble_that_is_remembered(https: Https, key: str, answer: bytes) -> None:
    """Above all it never becomes a secret key, which everybody would know."""
    https.answers["/keys/a"] = 200, answer
    source = Harness(https, named(https, key=key))

    async def main() -> list[str]:
        found = [await source.judge(signed())]
        source.clock.now += 2
        return [*found, await source.judge(signed())]

    assert asyncio.run(main()) == ["key", "key"]
    assert len(https.asked) == 1


def test_a_certificate_of_the_past_is_none(https: Https) -> None:
    key, now = rsa.generate_private_key(65537, 2048), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])

    def certificate(until: timedelta) -> bytes:
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(1).not_valid_before(now - timedelta(days=9)).not_valid_after(now + until)
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    https.answers |= {
        "/keys/a": (200, certificate(timedelta(days=-1))), "/keys/b": (200, certificate(timedelta(days=1)))
    }  # fmt: skip
    source = Harness(https, named(https))

    async def main() -> list[str]:
        found = [await source.judge(signed("a", key))]
        source.clock.now += 2
        return [*found, await source.judge(signed("b", key))]

    assert asyncio.run(main()) == ["key", "valid"]


def test_a_set_that_cannot_be_renewed_is_no_verdict(https: Https) -> None:
    old, new = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    odd = {"kty": "OKP", "crv": "Ed999", "x": "AAAA"}
    https.answers["/jwks"] = 200, json.dumps({"keys": [odd, jwks("1", old)]}).encode()
    row = parse_scheme(
        {"title": "t", "primitive": "asym-remote", "source": "s", "confidence": "own", "signature": ["header:s"],
         "algorithm": "ed25519", "key": "jwks", "remote": {"url": f"https://keys.example:{https.port}/jwks"}}
    )  # fmt: skip
    source = Harness(https, row)

    async def main() -> list[str]:
        found = [await source.judge(Delivery([(b"s", old.sign(b"{}").hex().encode())], b"{}"))]
        https.answers["/jwks"] = 500, b""
        source.clock.now += remote_keys.FAILURE_SECONDS
        return [*found, await source.judge(Delivery([(b"s", new.sign(b"{}").hex().encode())], b"{}"))]

    assert asyncio.run(main()) == ["valid", "key"]


@pytest.mark.parametrize("other", [(404, b""), (500, b"")])
def test_one_of_two_keys_is_enough(https: Https, other: tuple[int, bytes]) -> None:
    https.answers |= {"/keys/a": other, "/keys/b": (200, pem())}
    source = Harness(https, named(https, remote={"named": ["header:k", "header:l"]}))

    async def main() -> list[str]:
        await source.judge(signed("b", l="b"))
        source.clock.now += 2
        return [await source.judge(signed("a", l="b"))]

    assert asyncio.run(main()) == ["valid"]


def test_no_credential_is_logged(https: Https, caplog: pytest.LogCaptureFixture) -> None:
    source = Harness(https, named(https, remote={"credential": "bearer"}), "top-secret\n")
    source.keys._credential = Secret("C", "top\nsecret", None)

    async def main() -> None:
        await source.judge(signed())
        source.clock.now += 2
        with pytest.raises(Unavailable):
            await source.keys.visit(f"https://keys.example:{https.port}/?Action=ConfirmSubscription&Token=abc")

    asyncio.run(main())

    assert "secret" not in caplog.text
    assert "abc" not in caplog.text
    assert caplog.text.count("source x") == 2


def test_a_subscription_is_confirmed_once(https: Https) -> None:
    source = Harness(https, named(https))
    url = f"https://keys.example:{https.port}/?Action=ConfirmSubscription"

    async def visit() -> str:
        try:
            await source.keys.visit(url)
        except Unavailable as error:
            return error.cause
        return "done"

    async def main() -> list[str]:
        found = [await visit()]
        https.answers["/?Action=ConfirmSubscription"] = 200, b"<ok/>"
        source.clock.now += 61  # a failure is believed for a minute
        return [*found, await visit(), await visit()]

    assert asyncio.run(main()) == ["visit", "done", "done"]
    assert len(https.asked) == 2

"""`check` says what is wrong with the form of a secret, and shows none of it."""

import base64
from pathlib import Path
from typing import Any

import pytest

from receiver import config
from receiver.delivery import Delivery
from receiver.errors import BadSignature
from receiver.handshakes import answer
from receiver.schemes import load_schemes
from receiver.sources import Source
from workers.cli.secret_forms import find_doubts


def doubts(tmp_path: Path, scheme: str, secret: str, *lines: str) -> list[str]:
    path = tmp_path / "c.toml"
    path.write_text("\n".join([f'[sources.s]\nscheme = "{scheme}"\nsecrets = ["env:S"]\nunconfirmed = true', *lines]))
    faults: list[str] = []
    found = config.load_sources({"RECEIVER_CONFIG": str(path), "S": secret}, faults)
    assert not faults
    return list(find_doubts(found["s"]))


@pytest.mark.parametrize(
    ("scheme", "secret", "told"),
    [
        ("github", "correct-horse\n", "newline"),
        ("github", " correct-horse", "blank"),
        ("github", '"correct-horse"', "quotes"),
        ("github", "short", "only 5 characters"),
        ("stripe", "sk_live_0123456789abcdef", "looks like an API key"),
        ("slack", "xoxb-0123456789", "looks like an API key"),
        ("pusher", "secret-without-id", "has no key id"),
        ("svix", "whsec_" + base64.b64encode(b"x" * 16).decode(), "decodes to 16 bytes"),
    ],
)
def test_a_secret_of_the_wrong_form_is_told(tmp_path: Path, scheme: str, secret: str, told: str) -> None:
    (doubt,) = doubts(tmp_path, scheme, secret)

    assert told in doubt
    assert doubt.startswith("source s: S 1 ")
    assert secret.strip() not in doubt or secret == "short"


@pytest.mark.parametrize(
    ("scheme", "secret"),
    [
        ("github", "correct-horse-battery"),
        ("stripe", "whsec_0123456789abcdef"),
        ("svix", "whsec_" + base64.b64encode(b"x" * 24).decode()),
        ("pusher", "id:correct-horse"),
        ("postmark", "user:password"),
    ],
)
def test_a_secret_of_the_right_form_is_not(tmp_path: Path, scheme: str, secret: str) -> None:
    assert doubts(tmp_path, scheme, secret) == []


def test_what_a_challenge_needs_is_told_before_the_provider_asks(tmp_path: Path) -> None:
    assert "parameter is not set (the public key)" in doubts(tmp_path, "braintree", "correct-horse")[0]
    assert "parameter is not set (the verify token)" in doubts(tmp_path, "meta", "correct-horse")[0]
    assert doubts(tmp_path, "meta", "correct-horse", 'parameter = "token"') == []
    ebay = Source(name="e", scheme=load_schemes()["ebay"], secrets=())
    assert ["parameter" in doubt or "public_url" in doubt for doubt in find_doubts(ebay)] == [True, True]


def test_basic_authentication_needs_a_user_and_a_password(tmp_path: Path) -> None:
    path, faults = tmp_path / "c.toml", list[str]()
    path.write_text('[sources.s]\nscheme = "postmark"\nsecrets = ["env:S"]\nunconfirmed = true\n')

    config.load_sources({"RECEIVER_CONFIG": str(path), "S": "password-alone"}, faults)

    assert faults == ["source 's': the secret env:S is not user:password, which Basic authentication requires"]


@pytest.mark.parametrize(
    ("scheme", "url", "cause"),
    [
        ("ebay", "https://x/?challenge_code=abcdefabcdefabcdefabcdef", "missing"),
        ("braintree", "https://x/?bt_challenge=20f9f8ed05f77439fe955c977e4c8a53", "unset"),
    ],
)
def test_a_challenge_that_we_cannot_answer_rightly_is_refused(scheme: str, url: str, cause: str) -> None:
    challenge: Any = Delivery([], b"", "GET", url)

    with pytest.raises(BadSignature, match=cause):
        answer(load_schemes()[scheme], challenge, [b"k" * 20], 0)

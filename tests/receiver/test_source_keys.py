"""Secrets whose files change while the receiver runs."""

import base64
from pathlib import Path

import pytest

from receiver.contract.secrets import Secret
from receiver.delivery import Delivery
from receiver.errors import BadSignature
from receiver.schemes import load_schemes
from receiver.source_keys import SourceKeys
from tests.support.kit import signed

KEYS = [bytes([number]) * 32 for number in (1, 2)]
TEXTS = ["whsec_" + base64.b64encode(key).decode() for key in KEYS]


def watch(path: Path, scheme: str, text: str) -> tuple[SourceKeys, Secret]:
    path.write_text(text)
    secret = Secret("s", None, path)
    return SourceKeys("s", load_schemes()[scheme], [secret]), secret


def change(path: Path, secret: Secret, text: str) -> None:
    path.write_text(text)
    secret._checked -= 5


def test_of_changed_secrets_the_last_good_one_counts(tmp_path: Path) -> None:
    """Good, then another good one, then none at all: the second goes on, and the first does not come back."""
    keys, secret = watch(tmp_path / "secret", "standard-webhooks", TEXTS[0])
    found = [keys.get()]
    for text in (TEXTS[1], "whsec_!"):
        change(tmp_path / "secret", secret, text)
        found.append(keys.get())

    assert found == [(KEYS[0],), (KEYS[1],), (KEYS[1],)]
    assert list(keys.previous) == TEXTS


def test_a_changed_secret_counts_without_a_restart(tmp_path: Path) -> None:
    keys, secret = watch(tmp_path / "secret", "zyra", "test-secret")
    delivery = Delivery([(k.encode(), v.encode()) for k, v in signed(b"{}", "a.b", "zyra").items()], b"{}")
    assert keys.prove(delivery, 0).position == 0

    change(tmp_path / "secret", secret, "another-secret")

    with pytest.raises(BadSignature, match="wrong"):
        keys.prove(delivery, 0)


def test_uses_are_counted_until_they_are_taken(tmp_path: Path) -> None:
    keys, _ = watch(tmp_path / "secret", "zyra", "other\ntest-secret")
    delivery = Delivery([(k.encode(), v.encode()) for k, v in signed(b"{}", "a.b", "zyra").items()], b"{}")

    for _ in range(3):
        keys.prove(delivery, 0)

    assert keys.take_uses() == {1: 3}
    assert keys.take_uses() == {}

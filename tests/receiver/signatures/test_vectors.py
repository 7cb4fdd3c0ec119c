"""Deliveries and handshakes that others made: by the providers' own libraries, their pages, or by independent means."""

import json
from dataclasses import replace
from typing import Any

import pytest

from receiver import handshakes
from receiver.errors import BadSignature
from receiver.signatures.verify import PUBLIC, decode_key, verify
from tests.support.vectors import DATA, delivery, row


@pytest.mark.parametrize("vector", DATA["vectors"], ids=lambda vector: vector["id"])
def test_a_delivery_that_others_made_is_judged_as_they_judge_it(vector: dict[str, Any]) -> None:
    scheme, secrets = row(vector), list(vector["secrets"])
    if scheme.needs and not scheme.ours and len(secrets) > 1:
        scheme = replace(scheme, parameter=secrets.pop(0))
    keys = [decode_key(scheme, secret) for secret in secrets]

    try:
        verify(scheme, delivery(vector, scheme), keys, vector["now"])
        valid = True
    except BadSignature:
        valid = False

    assert valid is vector["valid"], vector["cause"]


@pytest.mark.parametrize("entry", DATA["handshakes"], ids=lambda entry: entry["id"])
def test_a_handshake_is_answered_as_the_provider_wants(entry: dict[str, Any]) -> None:
    scheme, secrets, expected = row(entry), list(entry["secrets"]), entry["expect"]
    if scheme.needs and secrets:
        scheme = replace(scheme, parameter=secrets[0])
        secrets = secrets[len(secrets) > 1 :]
    keys = [] if scheme.key in PUBLIC else [decode_key(scheme, secret) for secret in secrets]
    request = delivery(entry["request"], scheme)

    answer = handshakes.answer(scheme, request, keys, entry["now"])

    if answer is None:  # it is a delivery like any other
        assert verify(scheme, request, keys, entry["now"]) == 0
        assert scheme.success_status == expected["status"]
        return
    told = dict(answer.headers)
    assert answer.status == expected["status"]
    assert all(value in told[name.lower()] for name, value in expected["headers"].items())
    if expected["compare"] == "exact":
        assert answer.body.decode() == expected["body"]
    if expected["compare"] == "json":
        assert json.loads(answer.body) == json.loads(expected["body"])

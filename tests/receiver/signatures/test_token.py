import base64
from dataclasses import replace

import pytest

from receiver.delivery import Delivery
from receiver.errors import BadSignature
from receiver.schemes import load_schemes
from receiver.signatures.verify import decode_key, verify

GITLAB, POSTMARK = load_schemes()["gitlab"], load_schemes()["postmark"]


def cause(name: str, headers: list[tuple[bytes, bytes]], key: str = "user:pass") -> str:
    scheme = load_schemes()[name]
    try:
        verify(scheme, Delivery(headers, b"{}", "POST", "https://a/b"), [decode_key(scheme, key)], 0)
    except BadSignature as error:
        return error.cause
    return "valid"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Basic " + base64.b64encode(b"user:pass"), "valid"),
        (b"basic " + base64.b64encode(b"user:pass"), "valid"),
        (b"Basic " + base64.b64encode(b"user:other"), "wrong"),
        (b"Basic " + base64.b64encode(b"user:pass") + b"!", "malformed"),
        (b"Bearer " + base64.b64encode(b"user:pass"), "malformed"),
        (b"Basic", "wrong"),
        (b"", "missing"),
    ],
)
def test_basic_authentication(value: bytes, expected: str) -> None:
    assert cause("postmark", [(b"authorization", value)]) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(b"user:pass", "valid"), (b"user:pas", "wrong"), (b"USER:PASS", "wrong"), (b"", "missing")]
)
def test_a_token_is_compared_as_it_stands(value: bytes, expected: str) -> None:
    assert cause("gitlab", [(b"x-gitlab-token", value)]) == expected


def test_the_word_before_a_token_must_be_there() -> None:
    assert cause("cloudevents-webhook", [(b"authorization", b"user:pass")]) == "malformed"
    assert cause("cloudevents-webhook", [(b"authorization", b"Bearer user:pass")]) == "valid"


def test_which_of_two_secrets_fitted_is_told() -> None:
    one = Delivery([(b"x-gitlab-token", b"new")], b"")

    assert verify(GITLAB, one, [b"old", b"new"], 0) == 1


def test_every_item_of_a_batch_must_hold_the_token() -> None:
    graph = load_schemes()["microsoft-graph"]
    good, bad = (Delivery([], b'{"value":[{"clientState":"a"},{"clientState":"%s"}]}' % text) for text in (b"a", b"b"))

    assert verify(graph, good, [b"a"], 0) == 0
    with pytest.raises(BadSignature, match="repeated"):
        verify(graph, bad, [b"a"], 0)


def test_a_token_of_another_place_does_not_count() -> None:
    moved = replace(GITLAB, signature=("query:token",))

    with pytest.raises(BadSignature, match="missing"):
        verify(moved, Delivery([(b"x-gitlab-token", b"k")], b""), [b"k"], 0)

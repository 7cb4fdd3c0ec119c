import base64
import secrets
from dataclasses import replace

import pytest

from receiver.contract.errors import Altered, UnknownKey
from receiver.contract.records import Body, Content, Event, Labels
from receiver.contract.seal import Seal
from receiver.contract.secrets import Secret

LABELS = Labels(id="evt_1", source="zyra", type="a.b", received_at=5, delivery_id="d", origin="delivery")
CONTENT = Content(body=b"\x00body", headers=(("user-agent", "x"),), format=Body.RAW, resource=("a.b",), doubt="no-type")


def make(*keys: str) -> Seal:
    return Seal.from_secret(Secret("SEAL_KEY", ",".join(keys), None))


def test_what_is_sealed_opens_the_same(seal: Seal) -> None:
    event = Event(labels=LABELS, content=CONTENT)

    assert seal.open(seal.newest, LABELS, seal.close(event)) == event


def test_a_flipped_bit_anywhere_does_not_open(seal: Seal) -> None:
    sealed = seal.close(Event(labels=LABELS, content=CONTENT))

    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(Altered):
            seal.open(seal.newest, LABELS, bytes(changed))


@pytest.mark.parametrize(
    "change",
    [{"id": "evt_2"}, {"source": "x"}, {"type": "a.c"}, {"received_at": 6}, {"delivery_id": ""}, {"origin": "send"}],
)
def test_another_label_does_not_open(seal: Seal, change: dict[str, object]) -> None:
    sealed = seal.close(Event(labels=LABELS, content=CONTENT))

    with pytest.raises(Altered):
        seal.open(seal.newest, replace(LABELS, **change), sealed)


@pytest.mark.parametrize("sealed", [b"", b"short", b"x" * 12, b"x" * 28])
def test_no_seal_at_all_does_not_open(seal: Seal, sealed: bytes) -> None:
    with pytest.raises(Altered):
        seal.open(seal.newest, LABELS, sealed)


def test_keys_rotate_newest_first() -> None:
    old, new = secrets.token_hex(32), base64.b64encode(secrets.token_bytes(32)).decode()
    sealed = make(old).close(Event(labels=LABELS, content=CONTENT))

    both = make(new, old)

    assert both.open(make(old).newest, LABELS, sealed).content == CONTENT
    assert both.newest == make(new).newest
    with pytest.raises(UnknownKey):
        make(new).open(make(old).newest, LABELS, sealed)

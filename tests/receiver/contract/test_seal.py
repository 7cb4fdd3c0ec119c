import base64
import secrets
from pathlib import Path

import pytest
from msgspec.structs import replace

from receiver.contract.errors import Altered, ConfigurationError, UnknownKey
from receiver.contract.records import Body, Content, EventRecord, Labels
from receiver.contract.seal import Seal, parse_key
from receiver.contract.secrets import Secret

LABELS = Labels(id="evt_1", source="zyra", type="a.b", received_at=5, delivery_id="d", origin="delivery")
CONTENT = Content(
    body=b"\x00body",
    headers=(("user-agent", "x"),),
    format=Body.RAW,
    resource=("a.b",),
    json_field="payload",
    unordered=True,
)


def opened(closed: tuple[str, bytes]) -> tuple[str, Labels, bytes]:
    return closed[0], LABELS, closed[1]


def make(*keys: str) -> Seal:
    return Seal(Secret("SEAL_KEY", ",".join(keys), None))


def test_what_is_sealed_opens_the_same(seal: Seal) -> None:
    event = EventRecord(labels=LABELS, content=CONTENT)

    assert seal.open(*opened(seal.close(event))) == event


def test_a_flipped_bit_anywhere_does_not_open(seal: Seal) -> None:
    _, sealed = seal.close(EventRecord(labels=LABELS, content=CONTENT))

    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(Altered):
            seal.open(next(iter(seal.ciphers)), LABELS, bytes(changed))


@pytest.mark.parametrize(
    "change",
    [{"id": "evt_2"}, {"source": "x"}, {"type": "a.c"}, {"received_at": 6}, {"delivery_id": ""}, {"origin": "send"}],
)
def test_another_label_does_not_open(seal: Seal, change: dict[str, object]) -> None:
    _, sealed = seal.close(EventRecord(labels=LABELS, content=CONTENT))

    with pytest.raises(Altered):
        seal.open(next(iter(seal.ciphers)), replace(LABELS, **change), sealed)


@pytest.mark.parametrize("sealed", [b"", b"short", b"x" * 12, b"x" * 28])
def test_no_seal_at_all_does_not_open(seal: Seal, sealed: bytes) -> None:
    with pytest.raises(Altered):
        seal.open(next(iter(seal.ciphers)), LABELS, sealed)


def test_a_changed_key_file_counts_at_once_and_a_broken_one_does_not(tmp_path: Path) -> None:
    now, path = [0.0], tmp_path / "key"
    old, new = secrets.token_hex(32), secrets.token_hex(32)
    path.write_text(old)
    seal = Seal(Secret("SEAL_KEY", None, path, lambda: now[0]))

    for moment, text, expected in [(2.0, f"{new},{old}\n", new), (4.0, "broken", new)]:
        path.write_text(text)
        now[0] = moment
        assert next(iter(seal.ciphers)) == next(iter(make(expected).ciphers))
    assert len(seal.ciphers) == 2


def test_keys_rotate_newest_first() -> None:
    old, new = secrets.token_hex(32), base64.b64encode(secrets.token_bytes(32)).decode()
    _, sealed = make(old).close(EventRecord(labels=LABELS, content=CONTENT))

    both = make(new, old)

    assert both.open(next(iter(make(old).ciphers)), LABELS, sealed).content == CONTENT
    assert next(iter(both.ciphers)) == next(iter(make(new).ciphers))
    with pytest.raises(UnknownKey):
        make(new).open(next(iter(make(old).ciphers)), LABELS, sealed)


def test_what_an_older_release_sealed_opens() -> None:
    """Its format and its keys' names are written down here: a change of either would park every kept event."""
    seal = Seal(Secret("SEAL_KEY", bytes(range(32)).hex(), None), "events")
    sealed = bytes.fromhex("6e6e6e6e6e6e6e6e6e6e6e6ea75b1760ce7ec4dd510e0b789433c7c6d726435845b05ee50fac66f3f900")
    entry = bytes.fromhex("39373164663930376e6e6e6e6e6e6e6e6e6e6e6edf3a927d99553a90d212435a8c3bc2bad2")

    assert list(seal.ciphers) == ["971df907"]
    assert seal.open("971df907", LABELS, sealed).content == Content(body=b"x", stem="a")
    assert seal.unwrap("calls:r:1", entry) == b"x"


def test_a_copy_in_the_ledger_of_another_queue_does_not_open(seal_key: str) -> None:
    ours, theirs = (Seal(Secret("SEAL_KEY", seal_key, None), queue) for queue in ("ours", "theirs"))
    key, sealed = ours.close(EventRecord(labels=LABELS, content=CONTENT))
    entry = ours.wrap("calls:r:1", b"call")

    with pytest.raises(Altered):
        theirs.open(key, LABELS, sealed)
    with pytest.raises(Altered):
        theirs.unwrap("calls:r:1", entry)


def test_what_all_queues_share_opens_in_each(seal_key: str) -> None:
    ours, theirs = (Seal(Secret("SEAL_KEY", seal_key, None), queue).of_all_queues for queue in ("ours", "theirs"))

    assert theirs.unwrap("login", ours.wrap("login", b"token")) == b"token"


def test_a_key_may_be_in_either_base64() -> None:
    raw = bytes([0xFB, 0xEF, 0xFF]) * 5 + bytes(range(17))
    standard, safe = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()

    assert {"+", "/"} & set(standard)
    assert {"-", "_"} & set(safe)
    assert parse_key(standard) == parse_key(safe) == raw


def test_a_key_is_refused_that_is_none_or_weak() -> None:
    good = base64.b64encode(bytes(range(32))).decode()
    with pytest.raises(ConfigurationError, match="32 bytes"):
        parse_key(good[:10] + "!" + good[10:])
    with pytest.raises(ConfigurationError, match="weak"):
        parse_key((bytes(range(7)) * 5)[:32].hex())

    assert parse_key((bytes(range(8)) * 4).hex())

import pytest

from receiver.contract import formats
from receiver.contract.connection import connect
from receiver.contract.keys import Keys

KEYS = Keys("events")


def test_the_evidence_is_the_last_job_number_and_the_format() -> None:
    client = connect("redis://127.0.0.1:1", KEYS.tag)

    assert formats.list_evidence(client, KEYS) == ["zr:{events}:ordinal", "zr:{events}:format", "zr:events:ordinal"]


@pytest.mark.parametrize(
    ("ordinal", "number"),
    [(None, None), (None, b"1"), (b"5", b"1"), (b"5", b"2"), (b"5", b"9")],
    ids=["no ledger", "emptied", "ours", "the next", "a later one"],
)
def test_a_ledger_of_ours_or_a_later_release_is_fine(ordinal: object, number: object) -> None:
    assert formats.find_fault(KEYS, [ordinal, number]) == ""


@pytest.mark.parametrize(("number", "words"), [(None, "has no format number"), (b"?", "has format 0")])
def test_an_older_ledger_is_refused_with_the_line_to_set(number: object, words: str) -> None:
    fault = formats.find_fault(KEYS, [b"5", number])

    assert words in fault
    assert "QUEUE=events-1 for all receivers and workers" in fault


def test_the_format_before_ours_is_read_and_none_before_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "FORMAT", 3)

    assert formats.find_fault(KEYS, [b"5", b"2"]) == ""
    assert "has format 1" in formats.find_fault(KEYS, [b"5", b"1"])


def test_a_ledger_whose_keys_have_no_tag_is_refused() -> None:
    assert "has no hash tag in its keys" in formats.find_fault(KEYS, [None, None, b"5"])
    assert formats.find_fault(KEYS, [None, None, None]) == ""

import os
from pathlib import Path

import pytest

from receiver.contract.errors import ConfigurationError
from receiver.contract.secrets import Secret, read


@pytest.mark.parametrize("name", ["ZYRA_WEBHOOK_SECRET", "SEAL_KEY"])
def test_two_variables_may_hold_several_newest_first(name: str) -> None:
    assert Secret(name, "new, old", None).values == ("new", "old")


def test_a_comma_is_a_part_of_any_other_secret(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("pass,word\nold one\n")

    assert Secret("S", "pass,word ", None).values == ("pass,word ",)
    assert Secret("S", None, tmp_path / "s").values == ("pass,word", "old one")
    assert Secret("S", None, tmp_path / "s", commas=True).values == ("pass", "word", "old one")


def test_public_keys_are_one_value_each() -> None:
    pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"

    assert Secret("S", f"{pem}\n{pem},\n", None).values == (pem, pem)
    assert Secret("S", '{"keys": [1, 2]}', None).values == ('{"keys": [1, 2]}',)


@pytest.mark.parametrize("text", ["", " ", "a,", ",a", "a,,b"])
def test_an_empty_item_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="SEAL_KEY is empty or has an empty item"):
        Secret("SEAL_KEY", text, None)


def test_one_trailing_newline_of_a_file_is_stripped(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("abc\n")

    assert read({"S_FILE": str(tmp_path / "s")}, "S").values == ("abc",)


def test_a_changed_file_is_read_again_and_a_broken_one_is_not(tmp_path: Path) -> None:
    now, path = [0.0], tmp_path / "s"
    path.write_text("one")
    secret = Secret("S", None, path, lambda: now[0])

    path.write_text("three")
    assert secret.values == ("one",)  # within a second nobody looks
    now[0] = 2.0
    assert secret.values == ("three",)
    path.unlink()
    now[0] = 4.0
    assert secret.values == ("three",)
    path.write_text("")
    now[0] = 6.0
    assert secret.values == ("three",)


def test_both_forms_at_once_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="keep one"):
        read({"S": "a", "S_FILE": "b"}, "S")


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="S_FILE: cannot read"):
        read({"S_FILE": str(tmp_path / "none")}, "S")
    (tmp_path / "s").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="S_FILE: cannot read"):
        read({"S_FILE": str(tmp_path / "s")}, "S")


def test_an_unset_secret_is_none() -> None:
    assert read(os.environ, "ZR_TEST_NO_SUCH_SECRET") is None


def test_a_secret_that_is_awaited_is_learned_once(tmp_path: Path) -> None:
    first, second = (Secret("S", None, tmp_path / "s", awaited=True) for _ in range(2))

    assert not first.values
    assert first.learn("told-secret")
    assert first.values == ("told-secret",)
    assert second.learn("told-secret")  # another receiver with the same folder
    assert not second.learn("another-one")
    assert second.values == ("told-secret",)
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["s"]
    assert Secret("S", None, tmp_path / "s", awaited=True).values == ("told-secret",)
    (tmp_path / "s").unlink()
    assert not first.learn("of-a-stranger")  # while it is gone for a moment


def test_a_secret_that_is_not_awaited_is_not_learned(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("given")

    assert not Secret("S", None, tmp_path / "s").learn("given")
    assert not Secret("S", "given", None).learn("given")


def test_a_secret_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot write"):
        Secret("S", None, tmp_path / "none" / "s", awaited=True).learn("told-secret")

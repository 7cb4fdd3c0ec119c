from pathlib import Path

import pytest

from receiver.config import load

BAD = """
extra = 1
[sources.a]
scheme = "nope"
colour = "red"
[sources.b]
scheme = "zyra"
secrets = ["literal-secret"]
keep_headers = ["Cookie"]
success_status = 500
dedup_window = "long"
id_fields = ['a"b']
resource_id = ["data.{server}_id"]
check_type = "yes"
tolerance = 0
[sources.c]
scheme = "zyra"
id_fields = "x"
[sources.d]
scheme = "standard-webhooks"
secrets = ["env:S", "env:NOT_SET", 5]
[sources."e e"]
scheme = "zyra"
"""


def test_every_fault_of_a_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(BAD)
    faults: list[str] = []
    load({"RECEIVER_CONFIG": str(tmp_path / "c.toml"), "S": "é"}, faults)

    text = "\n".join(faults)
    assert "literal-secret" not in text
    for expected in (
        "unknown key 'extra'", "'a': unknown key 'colour'", "there is no scheme", "never the secret itself",
        "keep_headers must not name cookie", "success_status must be", "dedup_window is not a duration", "id_fields must name", "id_fields must be a list",
        "resource_id must be", "check_type must be", "tolerance must be", "'c': secrets must be a list", "is not base64",
        "NOT_SET is not set", "a table with a name of letters",
    ):  # fmt: skip
        assert expected in text, expected


@pytest.mark.parametrize("text", ["[", "", "sources = 5\n", "[sources]\n"])
def test_a_configuration_without_sources_is_a_fault(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    faults: list[str] = []

    assert load({"RECEIVER_CONFIG": str(tmp_path / "c.toml")}, faults) == {}
    assert len(faults) == 1


def test_a_missing_configuration_or_secret_is_named(tmp_path: Path) -> None:
    faults: list[str] = []

    load({"RECEIVER_CONFIG": str(tmp_path / "none")}, faults)
    load({}, faults)

    assert "cannot read" in faults[0]
    assert "ZYRA_WEBHOOK_SECRET is not set" in faults[1]

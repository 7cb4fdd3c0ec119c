from pathlib import Path

import pytest

from receiver.config import load_sources

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
type = "a type"
repeats = "never"
redelivery = "again"
max_body = 5
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
    load_sources({"RECEIVER_CONFIG": str(tmp_path / "c.toml"), "S": "é"}, faults)

    text = "\n".join(faults)
    assert "literal-secret" not in text
    for expected in (
        "unknown key 'extra'", "'a': unknown key 'colour'", "there is no scheme", "never the secret itself",
        "keep_headers must not name cookie", "success_status must be", "dedup_window is not a duration", "id_fields must name", "id_fields must be a list",
        "resource_id must be", "check_type must be", "tolerance must be", "type must be a type such as", 'repeats must be "accept"', 'redelivery must be "replay"',
        "max_body must be bytes", "'c': secrets must be a list", "is not base64",
        "NOT_SET is not set", "a table with a name of letters",
    ):  # fmt: skip
        assert expected in text, expected


@pytest.mark.parametrize("text", ["[", "", "sources = 5\n", "[sources]\n"])
def test_a_configuration_without_sources_is_a_fault(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    faults: list[str] = []

    assert load_sources({"RECEIVER_CONFIG": str(tmp_path / "c.toml")}, faults) == {}
    assert len(faults) == 1


def test_a_missing_configuration_or_secret_is_named(tmp_path: Path) -> None:
    faults: list[str] = []

    load_sources({"RECEIVER_CONFIG": str(tmp_path / "none")}, faults)
    load_sources({}, faults)

    assert "cannot read" in faults[0]
    assert "ZYRA_WEBHOOK_SECRET is not set" in faults[1]


OWN = """
[schemes.mine]
signature = ["header:x-mine"]
type = ["json:type"]
[sources.a]
scheme = "mine"
secrets = ["env:S"]
[sources.b]
scheme = "trello"
unconfirmed = true
secrets = ["env:S"]
public_url = "https://hooks.example.com/webhooks/b"
[sources.c]
scheme = "paypal"
secrets = ["env:PEM"]
parameter = "WH-1"
repeats = "duplicate"
"""
PEM = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="


def test_rows_of_ones_own_and_what_a_source_may_say(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(OWN)
    faults: list[str] = []

    found = load_sources({"RECEIVER_CONFIG": str(tmp_path / "c.toml"), "S": "s", "PEM": PEM}, faults)

    assert faults == []
    assert found["a"].scheme.title == "mine"
    assert (found["c"].scheme.parameter, found["c"].repeats) == ("WH-1", "duplicate")


EARLIER = """
[schemes.old]
signature = ["header:x-old"]
body = "form"
id_header = "x-id"
id_fields = ["id", "data.id"]
[sources.a]
scheme = "old"
type = "order.created"
secrets = ["env:S"]
"""


def test_a_row_of_an_earlier_version_says_the_same_in_the_columns_of_today(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(EARLIER)
    faults: list[str] = []

    source = load_sources({"RECEIVER_CONFIG": str(tmp_path / "c.toml"), "S": "s"}, faults)["a"]

    assert faults == []
    assert source.scheme.body == ("form",)
    assert source.scheme.identity == ("header:x-id|json:id|data.id",)
    assert source.type == "order.created"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("schemes = 5\n", "schemes must be tables"),
        ("[schemes.x]\nnothing = 1\n", "scheme 'x'"),
        ('[schemes.x]\nsignature = ["header:a"]\nidentity = ["json:"]\n', "'json:' is no place"),
        ("[schemes]\nx = 5\n", "scheme 'x'"),
        ('[schemes.x]\nsignature = ["header:a"]\ntype = ["nope:a"]\n', "'nope:a' is no place"),
        ('[schemes.x]\nsignature = ["header:a"]\ntolerance = -5\n', ">= 0"),
        ('[schemes.x]\nsignature = ["header:a"]\nsuccess_status = 99\n', ">= 200"),
        ('[schemes.x]\nsignature = ["header:a"]\nprimitive = "hmca-body"\n', "Invalid enum value 'hmca-body'"),
        ('[schemes.x]\nsignature = ["header:a"]\nunit = "days"\n', "Invalid enum value 'days' - at `$.unit`"),
        ('[schemes.x]\nsignature = ["header:a"]\nsuccess_headers = { a = "b\\nc" }\n', "$.success_headers"),
        ('[schemes.x]\nsignature = ["header:a"]\nsuccess_headers = { "a b" = "c" }\n', "in `$.success_headers`"),
        ('[schemes.x]\nsignature = ["header:a"]\nsigned = "{what}"\n', "is no place"),
        ('[sources.s]\nscheme = "trello"\nsecrets = ["env:S"]\n', "is not confirmed (secondary"),
        ('[sources.s]\nscheme = "strip"\nsecrets = ["env:S"]\n', "do you mean stripe"),
        ('[sources.s]\nscheme = "square"\nsecrets = ["env:S"]\n', "public_url must be set"),
        (
            '[sources.s]\nscheme = "square"\nsecrets = ["env:S"]\npublic_url = "hooks/x?a"\n',
            "public_url must be the URL",
        ),
        ('[sources.s]\nscheme = "paypal"\nsecrets = ["env:S"]\n', "parameter must be set: the webhook id"),
        (
            '[sources.s]\nscheme = "zyra"\nsecrets = ["env:S"]\nparameter = 5\nrepeats = "no"\n',
            "parameter must be a text",
        ),
        ('[sources.s]\nscheme = "zyra"\nsecrets = ["env:S"]\nrepeats = "no"\n', "repeats must be"),
        ('[sources.s]\nscheme = "aws-sns"\n', "parameter must be set: the ARN of the topic"),
        ('[sources.s]\nscheme = "ebay"\n', "those who show client_id:client_secret: credential must name it"),
        ('[sources.s]\nscheme = "circle"\nunconfirmed = true\n', "those who show an API key"),
        ('[sources.s]\nscheme = "ebay"\ncredential = "abc"\n', "credential: a secret must be env:NAME"),
        ('[sources.s]\nscheme = "ebay"\ncredential = "env:NO"\n', "credential: NO is not set"),
        ('[sources.s]\nscheme = "zyra"\nkeys_url = "https://a/"\n', "keys_url is for schemes with public keys"),
        ('[sources.s]\nscheme = "kinde"\nkeys_url = "http://a/"\n', "keys_url must be an https URL"),
        ('[sources.s]\nscheme = "kinde"\n', "secrets must be a list"),
        (
            '[schemes.x]\nsignature = ["header:a"]\nremote = { url = "{named}", named = ["header:b"], pattern = "[" }\n',
            "unterminated",
        ),
        (
            '[schemes.x]\nprimitive = "static-token"\nsignature = ["header:a"]\nours = "header:b"\n',
            "`ours` is compared only",
        ),
        ('[sources.s]\nscheme = "google-pubsub"\nunconfirmed = true\nparameter = "a"\n', "account must be set"),
        ('[sources.s]\nscheme = "ebay"\ncredential = "env:ODD"\n', "must be visible ASCII"),
        ('[schemes.x]\nremote = { address = "https://a/" }\n', "unknown column address"),
    ],
)
def test_what_is_wrong_with_a_scheme_or_its_source(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    faults: list[str] = []

    load_sources({"RECEIVER_CONFIG": str(tmp_path / "c.toml"), "S": "s", "ODD": "a b"}, faults)

    assert told in "\n".join(faults)


REMOTE = """
[sources.sns]
scheme = "aws-sns"
parameter = "arn:aws:sns:eu-west-1:1:t"
[sources.ebay]
scheme = "ebay"
credential = "env:S"
[sources.kinde]
scheme = "kinde"
keys_url = "https://example.kinde.com/.well-known/jwks"
[sources.pinned]
scheme = "paypal"
secrets = ["env:PEM"]
parameter = "WH-1"
[sources.asana]
scheme = "asana"
unconfirmed = true
secrets = ["learned:/nonexistent/asana"]
"""


def test_sources_that_fetch_keys_or_wait_for_a_secret(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(REMOTE)
    faults: list[str] = []

    found = load_sources({"RECEIVER_CONFIG": str(tmp_path / "c.toml"), "S": "a:b", "PEM": PEM}, faults)

    assert faults == []
    assert [name for name, source in found.items() if source.fetches] == ["sns", "ebay", "kinde"]
    assert found["asana"].list_texts() == []

import json
from pathlib import Path
from typing import Any

import pytest

from receiver.schemes import load_schemes
from tests.support.kit import Tool
from workers.cli.scheme_words import describe_retry, describe_setup

DATA = Path(__file__).parents[3] / "data/vectors.json"


def test_a_file_of_vectors_is_judged_line_by_line(tool: Tool) -> None:
    code, out, _ = tool("schemes", "verify", str(DATA))

    document = json.loads(DATA.read_text())
    verdicts = [line.split(" ")[:2] for line in out.splitlines()]
    vectors, handshakes = document["vectors"], document["handshakes"]
    assert code == 0
    assert verdicts[: len(vectors)] == [[one["id"], "valid" if one["valid"] else "invalid"] for one in vectors]
    assert verdicts[len(vectors) :] == [[one["id"], str(one["expect"]["status"])] for one in handshakes]


def entry(**more: Any) -> dict[str, Any]:
    return {"id": "a", "provider": "zyra", "headers": [], "body_b64": "", "secrets": ["s"], "now": 0, **more}


def test_what_cannot_be_judged_is_told(tool: Tool, tmp_path: Path) -> None:
    file = tmp_path / "v.json"
    file.write_text(
        json.dumps({"vectors": [entry(provider="nobody"), entry(id="b")], "handshakes": [entry(provider="none")]})
    )

    assert tool("schemes", "verify", str(file))[:2] == (
        1,
        "a unknown scheme nobody\nb invalid missing\na unknown scheme none\n",
    )


def test_a_secret_that_is_none_is_no_valid_delivery(tool: Tool, tmp_path: Path) -> None:
    file = tmp_path / "v.json"
    file.write_text(
        json.dumps({"vectors": [entry(provider="clerk", secrets=["é"])], "handshakes": [entry(provider="discord")]})
    )

    assert tool("schemes", "verify", str(file))[:2] == (
        0,
        "a invalid the secret is not base64, with or without whsec_ before it\na 401\n",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "truncated"),
        ('{"vectors": [{}]}', "missing required"),
        (json.dumps({"vectors": [entry(body_b64="!")]}), "body_b64"),
    ],
)
def test_a_file_that_is_none_is_wrong_usage(tool: Tool, tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "v.json"
    file.write_text(text)

    code, _, err = tool("schemes", "verify", str(file))

    assert (code, told in err) == (2, True)
    assert tool("schemes", "verify", str(tmp_path / "none"))[0] == 2


def test_the_list(tool: Tool) -> None:
    rows = [json.loads(line) for line in tool("schemes", "list", "--json")[1].splitlines()]

    assert {row["id"] for row in rows} == set(load_schemes())
    assert all({"id", "title", "primitive", "confidence", "status", "unprotected"} <= set(row) for row in rows)
    assert sum(row["status"] == "confirmed" for row in rows) >= 90
    confirmed = tool("schemes", "list", "--confirmed")[1].splitlines()
    assert len(confirmed) == sum(row["status"] == "confirmed" for row in rows)


def test_one_row(tool: Tool) -> None:
    shown = json.loads(tool("schemes", "show", "zoom")[1])

    assert (shown["id"], shown["signed"], shown["status"]) == ("zoom", "v0:{timestamp}:{body}", "confirmed")
    assert tool("schemes", "show", "nobody")[0] == 2


@pytest.mark.parametrize(
    ("scheme", "setup", "retry"),
    [
        (
            "shopify",
            {
                "url": "https://HOST/webhooks/NAME",
                "content_type": "application/json",
                "secret": "as the provider shows it",
            },
            "8 times over 4 hours",
        ),
        ("postmark", {"secret": "user:password"}, "a duplicate is recognized by"),
        (
            "pusher",
            {"secret": "id:secret, the secret as the provider shows it"},
            "a duplicate is recognized by the digest",
        ),
        ("meta", {"parameter": "verify token"}, "answered 200"),
        (
            "twilio",
            {"public_url": "the URL as the provider calls it, without its query"},
            "a duplicate is recognized by",
        ),
        ("gumroad", {"url": "https://HOST/webhooks/NAME?secret=SECRET"}, "not documented"),
        ("aws-sns", {"parameter": "ARN of the topic"}, "own policy"),
    ],
)
def test_a_row_says_what_to_set_and_what_a_failure_brings(
    tool: Tool,
    scheme: str,
    setup: dict[str, str],
    retry: str,
) -> None:
    shown = json.loads(tool("schemes", "show", scheme)[1])

    assert setup.items() <= shown["setup"].items()
    assert retry in shown["retry"]


def test_every_row_can_be_described() -> None:
    for row in load_schemes().values():
        assert describe_setup(row)["secret"]
        assert describe_retry(row)

import base64
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from receiver import settings
from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from receiver.notices import name_secret
from receiver.schemes import load_schemes
from receiver.signatures.signing import sign
from tests.support.kit import Tool
from workers.cli.commands.send import make_payload
from workers.cli.commands.sources import give_advice


@pytest.mark.parametrize(
    ("used", "newest", "secrets", "days", "told"),
    [
        (0, 0, 1, 0, "the only one"), (100, 100, 2, 0, "in use"), (0, 100, 2, 1, "not used yet"), (0, 100, 2, 5, "safe to remove"),
        (100, 100 + 4 * 86400, 2, 5, "safe to remove"), (0, 0, 2, 5, "not used yet"),
    ],
)  # fmt: skip
def test_what_to_do_with_a_secret(used: int, newest: int, secrets: int, days: int, told: str) -> None:
    assert told in give_advice(used, newest, secrets, days)


def test_the_secrets_of_our_sources(
    tool: Tool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    env: dict[str, str],
    client: redis.Redis,
    keys: Keys,
) -> None:
    (tmp_path / "c.toml").write_text('[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:NEW", "env:OLD"]\n')
    for name, value in {"RECEIVER_CONFIG": str(tmp_path / "c.toml"), "NEW": "new", "OLD": "old"}.items():
        monkeypatch.setenv(name, value)
    found = settings.read(env | {"RECEIVER_CONFIG": str(tmp_path / "c.toml"), "NEW": "new", "OLD": "old"})
    name = name_secret(found.seal, found.sources["zyra"], "new")
    now = datetime.now(UTC)
    client.hset(keys.name("secrets"), name, int(time.time()))
    for day in (now, now - timedelta(days=4)):
        client.hset(keys.name(f"secrets:{day:%Y%m%d}"), name, 5)

    rows = [json.loads(line) for line in tool("sources", "--json")[1].splitlines()]

    assert [(row["secret"], row["deliveries"]) for row in rows] == [("NEW 1", 10), ("OLD 1", 0)]
    assert [row["advice"].partition(":")[0] for row in rows] == ["in use", "safe to remove"]
    assert "never" in tool("sources")[1]


def test_sources_without_a_secret(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.toml").write_text(
        '[sources.e]\nscheme = "ebay"\ncredential = "env:C"\n'
        '[sources.g]\nscheme = "google-pubsub"\nunconfirmed = true\nparameter = "a"\naccount = "b"\n'
        '[sources.a]\nscheme = "asana"\nunconfirmed = true\nsecrets = ["learned:/nonexistent/a"]\n'
        '[sources.p]\nscheme = "aws-sns"\nparameter = "arn:aws:sns:eu-west-1:1:t"\n'
    )
    monkeypatch.setenv("RECEIVER_CONFIG", str(tmp_path / "c.toml"))
    monkeypatch.setenv("C", "id:secret")

    told, checked = tool("sources")[1], tool("check")[1]

    assert "keys are fetched" in told
    assert "waits for the provider" in told
    assert "e: keys: fetched from api.ebay.com" in checked
    assert "p: keys: fetched from the address that the delivery names" in checked
    assert "a: keys: none yet" in checked
    assert tool("send", "a.b", "--source", "a")[0] == 2
    assert "one key signs for all customers" in checked


@pytest.mark.parametrize(
    ("scheme", "kind", "expected"),
    [
        ("slack", "message", {"event": {"type": "message"}}),
        ("plaid", "ITEM.ERROR", {"webhook_type": "ITEM", "webhook_code": "ERROR"}),
        ("airship", "x", {}),
    ],
)
def test_the_type_stands_where_the_provider_writes_it(scheme: str, kind: str, expected: dict[str, Any]) -> None:
    row, raw = load_schemes()[scheme], json.dumps(make_payload("e", kind, ["data.a=5"])).encode()
    if scheme == "plaid":
        row = replace(row, algorithms=("HS256",))

    found = json.loads(sign(row, b"k", raw, kind, "e", 0, fill=True).body)

    assert expected.items() <= found.items()
    assert found["data"] == {"a": 5}


def test_why_deliveries_were_refused(tool: Tool, client: redis.Redis, keys: Keys) -> None:
    entries = [
        {"id": f"ref_{n}", "at": time.time() - n * 50_000, "source": source, "cause": "wrong", "reason": "r\x1b[0m"}
        for n, source in enumerate(("a", "b", "a"))
    ]
    client.sadd(keys.name("refusals"), "a", "b")
    client.rpush(keys.name("refusals:a"), *map(json.dumps, entries[::2]), "junk", "{}", "[]")
    client.rpush(keys.name("refusals:b"), json.dumps(entries[1]))

    lines = tool("events", "explain")[1].splitlines()
    assert [line.split("\t")[1] for line in lines] == ["ref_0", "ref_1"]  # the third is older than a day
    assert "\x1b" not in lines[0]
    assert [
        json.loads(line)["id"] for line in tool("events", "explain", "--source", "b", "--json")[1].splitlines()
    ] == ["ref_1"]
    assert "cause: wrong" in tool("events", "explain", "ref_1")[1]
    assert tool("events", "explain", "ref_9")[0] == 1


def test_a_captured_body_is_shown_to_who_has_the_key(
    tool: Tool,
    client: redis.Redis,
    keys: Keys,
    seal: Seal,
    env: dict[str, str],
) -> None:
    sealed = seal.wrap("refusal:ref_1", b"the body")
    entries = [
        {"id": f"ref_{n}", "at": time.time(), "source": "a", "cause": "wrong", "reason": "r", "body_sealed": text}
        for n, text in enumerate(("junk", base64.b64encode(sealed).decode(), base64.b64encode(sealed).decode()))
    ]
    client.sadd(keys.name("refusals"), "a")
    client.rpush(keys.name("refusals:a"), *map(json.dumps, entries))

    assert "cannot be decrypted" in tool("events", "explain", "ref_0")[1]
    assert base64.b64encode(b"the body").decode() in tool("events", "explain", "ref_1")[1]
    assert "cannot be decrypted" in tool("events", "explain", "ref_2")[1]  # the bytes of another refusal

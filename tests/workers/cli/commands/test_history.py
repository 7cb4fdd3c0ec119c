"""What keeps, moves, finds and deletes history: export, import, purge, erase, reseal, pause, by the command line."""

import base64
import json
import secrets
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from receiver.contract.errors import ConfigurationError
from receiver.contract.keys import Keys, make_run_id
from receiver.contract.payload_paths import find_value
from receiver.contract.records import Content, EventRecord
from receiver.contract.seal import Seal
from receiver.contract.secrets import Secret
from receiver.contract.settings import read_seal
from tests.support.kit import Dead, Tool, accept, dispatch, find_readable
from workers.ledger import query
from workers.ledger.blind_index import list_digests
from workers.ledger.transitions import Ledger
from workers.ledger.units import Outcome, Verdict


@pytest.fixture
def done(ledger: Ledger, seal: Seal) -> str:
    return finish(ledger, seal)


def finish(ledger: Ledger, seal: Seal, body: bytes = b"{}", source: str = "zyra", digests: str = "") -> str:
    event = accept(ledger, seal, body, source=source)
    (claim,) = ledger.take([], 1)
    dispatch(ledger, claim, "dispatched", "", ["a"], digests=digests)
    (run,) = ledger.take([], 1)
    ledger.finish([Outcome(unit=run.unit, token=run.token, verdict=Verdict.DONE)])
    return event


def states(ledger: Ledger, *events: str) -> list[str]:
    return [found["state"] if (found := query.show(ledger, event)) else "gone" for event in events]


# --- purge and retention


def test_purge_deletes_finished_events_alone(tool: Tool, done: str, dead: Dead, ledger: Ledger, seal: Seal) -> None:
    letter, waiting = dead(), accept(ledger, seal)

    assert tool("events", "purge", "--older", "1h")[:2] == (0, "0 events purged\n")
    assert tool("events", "purge", "--older", "0s", "--dry-run")[:2] == (0, "1 events would be purged\n")
    assert tool("events", "purge", "--older", "0s")[:2] == (0, "1 events purged\n")

    assert states(ledger, done, letter, waiting) == ["gone", "dead", "accepted"]
    assert tool("events", "purge", "--older", "soon")[0] == 2


def test_a_source_keeps_events_and_bodies_for_a_time_of_its_own(
    ledger: Ledger, seal: Seal, client: redis.Redis
) -> None:
    client.hset(ledger.keys.name("keeps"), mapping={"short": "0 ", "bare": " 0", "junk": "x"})
    short, bare, other = (finish(ledger, seal, source=name) for name in ("short", "bare", "zyra"))
    time.sleep(0.01)

    ledger.sweep()

    assert states(ledger, short, bare, other) == ["gone", "done", "done"]
    assert [client.exists(ledger.keys.body(event)) for event in (bare, other)] == [0, 1]
    assert ledger.replay(bare, again=True) == ("the body is gone", 0)


def test_an_event_of_such_a_source_is_replayed_like_any_other(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    client.hset(ledger.keys.name("keeps"), "zyra", "60000 ")
    event = finish(ledger, seal)
    assert client.zcard(ledger.keys.name("final:zyra")) == 1

    assert ledger.replay(event, again=True) == ("replayed", 1)
    assert client.zcard(ledger.keys.name("final:zyra")) == 0


def test_keep_done_counts_at_the_sweep(client: redis.Redis, keys: Keys, seal: Seal, ledger: Ledger, done: str) -> None:
    time.sleep(0.01)
    assert ledger.sweep().deleted == 0

    assert Ledger(client, keys, seal, keep_done=0).sweep().deleted == 1
    assert states(ledger, done) == ["gone"]


def test_what_must_be_kept_is_not_deleted_for_room(ledger: Ledger, done: str) -> None:
    assert ledger.make_room(keep_seconds=3600) == (0, 0)
    assert [ledger.make_room(), ledger.make_room()] == [(1, 0), (0, 1)]
    assert states(ledger, done) == ["gone"]


# --- erase


def test_erase_leaves_nothing_but_the_mark(
    tool: Tool, ledger: Ledger, seal: Seal, client: redis.Redis, keys: Keys
) -> None:
    find = list_digests(seal, {"data.customer": "c42"})
    event = finish(ledger, seal, b'{"data": {"customer": "c42"}}', digests=find)
    ledger.replay(event, again=True, reason="Ann asked for it")
    (run,) = ledger.take([], 1)
    ledger.finish([Outcome(unit=run.unit, token=run.token, verdict=Verdict.DEAD, error="no Ann")])
    ledger.discard(event, reason="Ann again")
    client.hset(keys.name(f"calls:{run.unit}"), "1", "sealed")
    client.sadd(keys.name("refusals"), "zyra")
    same = {"body_digest": seal.fingerprint(b'{"data": {"customer": "c42"}}'), "body_sealed": "x"}
    refusal = {"id": "ref_1", "at": time.time(), "source": "zyra", "cause": "wrong", "reason": "r"}
    client.lpush(keys.name("refusals:zyra"), json.dumps({**refusal, "id": "ref_2"}), json.dumps(refusal | same))

    assert tool("events", "erase", event, "--dry-run")[:2] == (0, f"{event}: would be erased\n")
    code, out, _ = tool("events", "erase", event)

    assert (code, out) == (0, f"{event}: erased\n1 refused deliveries erased\n")
    assert states(ledger, event) == ["gone"]
    assert find_readable(client, keys, ["Ann", run.unit, "ref_1"]) == []
    kept = {name.decode().removeprefix(keys.prefix).partition(":")[0] for name in client.scan_iter(f"*{event}*")}
    assert kept == set()
    holders = [name for name in client.scan_iter(f"{keys.prefix}*") if event in repr(read_any(client, name))]
    assert {name.decode().removeprefix(keys.prefix).partition(":")[0] for name in holders} == {"seen", "audit"}


def read_any(client: redis.Redis, name: bytes) -> object:
    kind = client.type(name)
    if kind == b"string":
        return client.get(name)
    if kind == b"hash":
        return client.hgetall(name)
    if kind == b"list":
        return client.lrange(name, 0, -1)
    return client.smembers(name) if kind == b"set" else client.zrange(name, 0, -1)


def test_erase_by_subject(tool: Tool, ledger: Ledger, seal: Seal) -> None:
    hit = finish(ledger, seal, b'{"data": {"customer": "c42"}}')
    other = finish(ledger, seal, b'{"data": {"customer": "c43"}}')

    assert tool("events", "erase", "--where", "data.customer=c42")[:2] == (0, f"{hit}: erased\n")
    assert states(ledger, hit, other) == ["gone", "done"]
    assert tool("events", "erase", "--where", "data.customer=c42")[:2] == (0, "no event fits\n")


def test_erase_by_subject_reaches_captured_bodies(tool: Tool, seal: Seal, client: redis.Redis, keys: Keys) -> None:
    def capture(name: str, body: bytes) -> None:
        sealed = base64.b64encode(seal.wrap(f"refusal:{name}", body)).decode()
        refusal = {"id": name, "at": time.time(), "source": "zyra", "cause": "wrong", "reason": "r"}
        client.lpush(keys.name("refusals:zyra"), json.dumps(refusal | {"body_sealed": sealed}))

    client.sadd(keys.name("refusals"), "zyra")
    capture("ref_1", b'{"data": {"customer": "c42"}}')
    capture("ref_2", b'{"data": {"customer": "c43"}}')
    capture("ref_3", b"no json")
    client.lpush(keys.name("refusals:zyra"), "junk")

    assert tool("events", "erase", "--where", "data.customer=c42")[:2] == (0, "1 refused deliveries erased\n")
    assert find_readable(client, keys, ["ref_1", "ref_2", "ref_3"]) == ["ref_2", "ref_3"]


def test_what_is_under_way_is_not_erased(tool: Tool, ledger: Ledger, seal: Seal) -> None:
    waits = accept(ledger, seal)
    assert tool("events", "erase", waits)[:2] == (1, f"{waits}: not erased: it waits for its dispatch\n")
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["a"])
    ledger.take([], 1)

    assert tool("events", "erase", waits)[:2] == (1, f"{waits}: not erased: a run of it is under way\n")
    assert tool("events", "erase", "evt_none")[:2] == (1, "evt_none: no such event\n")
    assert tool("events", "erase")[0] == 2


# --- finding


def index(ledger: Ledger, source: str, *paths: str) -> None:
    ledger.client.hset(ledger.keys.name("indexed"), source, ",".join(paths))
    ledger.client.hset(ledger.keys.name("heard"), source, "1")


def find(tool: Tool, *options: str) -> list[str]:
    code, out, err = tool("events", "list", "--json", *options)
    assert code == 0, err
    return [json.loads(line)["id"] for line in out.splitlines()]


def test_find_by_what_no_index_has(tool: Tool, ledger: Ledger, seal: Seal) -> None:
    first = finish(ledger, seal, b'{"data": {"customer": "c42", "id": "vs_1"}}')
    second = finish(ledger, seal, b'{"data": {"customer": "c42", "id": "vs_2"}}')
    accept(ledger, seal, b"no json")

    assert find(tool, "--where", "data.customer=c42") == [second, first]
    assert find(tool, "--where", "data.customer=c42", "--limit", "1") == [second]
    assert find(tool, "--resource", "vs_1") == [first]
    assert find(tool, "--resource", "vs_3") == []


def test_find_in_the_index_and_where_there_is_none(tool: Tool, ledger: Ledger, seal: Seal) -> None:
    index(ledger, "acme", "data.customer")
    body = b'{"data": {"customer": "c42"}}'
    hit = finish(ledger, seal, body, "acme", list_digests(seal, {"data.customer": "c42"}))
    unindexed = finish(ledger, seal, body, "acme")
    elsewhere = finish(ledger, seal, body, "other")
    ledger.client.hset(ledger.keys.name("heard"), "other", "1")

    assert find(tool, "--where", "data.customer=c42") == [elsewhere, hit]
    assert find(tool, "--where", "data.customer=c42", "--source", "acme") == [hit]
    assert unindexed not in find(tool, "--where", "data.customer=c42")


def test_the_index_goes_with_its_event_and_shows_nothing(
    ledger: Ledger, seal: Seal, client: redis.Redis, keys: Keys
) -> None:
    finish(
        ledger, seal, digests=list_digests(seal, {"data.customer": "customer-c42-of-ours", "resource": "vs_1-of-ours"})
    )
    assert client.zcard(keys.name("blind_index")) == 2
    assert find_readable(client, keys, ["customer-c42-of-ours", "vs_1-of-ours"]) == []

    ledger.purge(0)

    assert client.zcard(keys.name("blind_index")) == 0


def test_the_index_is_searched_under_every_key(
    tool: Tool, ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    index(ledger, "zyra", "data.customer")
    event = finish(ledger, seal, digests=list_digests(seal, {"data.customer": "c42"}))

    monkeypatch.setenv("SEAL_KEY", f"{secrets.token_hex(32)},{env['SEAL_KEY']}")

    assert find(tool, "--where", "data.customer=c42") == [event]


def test_an_event_that_both_ways_find_is_listed_once(tool: Tool, ledger: Ledger, seal: Seal) -> None:
    body, digest = b'{"data": {"customer": "c42"}}', list_digests(seal, {"data.customer": "c42"})
    both = finish(ledger, seal, body, digests=digest)  # its source declared the path once, and does not now
    other = finish(ledger, seal, body, "acme", digest)

    assert find(tool, "--where", "data.customer=c42") == [other, both]
    assert find(tool, "--where", "data.customer=c42", "--source", "zyra") == [both]


def test_find_by_handler_error_and_until(tool: Tool, dead: Dead, done: str) -> None:
    letter = dead()

    assert find(tool, "--handler", "flaky") == [letter]
    assert find(tool, "--handler", "a") == [done]
    assert find(tool, "--error", "NO\x1b") == [letter]
    assert find(tool, "--until", "1h") == []
    assert find(tool, "--until", "2999-01-01T00:00:00Z") == [letter, done]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--where", "data.customer"], "--where must be a path and its value"),
        (["--where", "a=b", "--resource", "x"], "not both"),
        (["--until", "soon"], "--until: 'soon' is neither"),
    ],
)
def test_wrong_filters_are_named(tool: Tool, options: list[str], fault: str) -> None:
    code, _, err = tool("events", "list", *options)

    assert code == 2
    assert fault in err


def test_what_stands_at_a_path() -> None:
    payload = {"data": {"id": "vs_1", "n": 7, "flag": True, "list": [{"x": "y"}], "none": None}}

    asked = ("data.n", "data.flag", "data.list.0.x", "data.none", "data.absent", "resource")
    assert [find_value(payload, "a.b", path) for path in asked] == ["7", "", "y", "", "", "vs_1"]


# --- export and import


def test_an_archive_brings_events_back_as_they_were(
    tool: Tool, ledger: Ledger, seal: Seal, dead: Dead, tmp_path: Path, client: redis.Redis, keys: Keys
) -> None:
    find = list_digests(seal, {"data.customer": "c42"})
    events = [finish(ledger, seal, b"\xff\x00", digests=find), dead(), accept(ledger, seal)]
    half = accept(ledger, seal)
    ledger.take([], 1)
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["a", "b"])
    ledger.finish([Outcome(unit=ledger.take([], 1)[0].unit, token=1, verdict=Verdict.DONE)])
    events.append(half)
    before = [query.show(ledger, event) for event in events]
    code, out, _ = tool("events", "export")
    assert code == 0
    (tmp_path / "a").write_text(out)
    for name in client.scan_iter(f"*{keys.queue}*"):
        client.delete(name)

    assert tool("events", "import", str(tmp_path / "a"), "--dry-run")[:2] == (0, "4 events would be imported\n")
    assert tool("events", "import", str(tmp_path / "a"))[:2] == (0, "4 events imported\n")
    assert tool("events", "import", str(tmp_path / "a"))[1] == "0 events imported, 4 were there already\n"

    after = [query.show(ledger, event) for event in events]
    for one, other in zip(before, after, strict=True):
        assert one is not None
        assert other is not None
        for run in (*one["runs"], *other["runs"]):
            run.pop("attempts")
    assert after == before
    assert client.zcard(keys.name("blind_index")) == 1
    assert {claim.event for claim in ledger.take([], 10)} == {events[2], half}
    ledger.sweep()
    assert states(ledger, *events) == ["done", "dead", "accepted", "dispatched"]


def test_an_opened_archive_fits_another_queue_and_key(
    tool: Tool, ledger: Ledger, seal: Seal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: redis.Redis
) -> None:
    event = finish(ledger, seal, b'{"who": "Ann"}')
    _, sealed, _ = tool("events", "export", event)
    _, opened, _ = tool("events", "export", event, "--opened")
    assert "Ann" not in sealed
    assert "Ann" in opened
    (tmp_path / "sealed").write_text(sealed)
    (tmp_path / "opened").write_text(opened)
    other = Keys(f"{ledger.keys.queue}2")
    monkeypatch.setenv("QUEUE", other.queue)
    monkeypatch.setenv("SEAL_KEY", key := secrets.token_hex(32))

    assert "export it with --opened" in tool("events", "import", str(tmp_path / "sealed"))[2]
    assert tool("events", "import", str(tmp_path / "opened"))[0] == 0

    there = Ledger(client, other)
    assert (
        query.open_event(there, Seal(Secret("SEAL_KEY", key, None), other.queue), event).content.body
        == b'{"who": "Ann"}'
    )
    for name in client.scan_iter(f"*{other.queue}*"):
        client.delete(name)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda text: text[: len(text) // 2], "not a line of an archive"),
        (lambda text: "".join(text.splitlines(True)[:-1]), "its last line is missing"),
        (lambda text: text.replace('"state":"done"', '"state":"dead"'), "the event was changed"),
        (
            lambda text: "".join(text.splitlines(True)[:1] + text.splitlines(True)[2:]),
            "1 events were written, 0 are here",
        ),
        (lambda text: text + text.splitlines(True)[1], "after the end"),
        (lambda text: "", "its last line is missing"),
        (lambda text: "{}", "not an archive"),
        (lambda text: "[", "not a line of an archive"),
    ],
)
def test_an_archive_that_is_not_whole_changes_nothing(
    tool: Tool, done: str, tmp_path: Path, ledger: Ledger, change: Any, fault: str
) -> None:
    _, text, _ = tool("events", "export")
    ledger.purge(0)
    (tmp_path / "a").write_text(change(text))

    code, _, err = tool("events", "import", str(tmp_path / "a"))

    assert code == 1
    assert fault in err
    assert states(ledger, done) == ["gone"]


def test_an_event_that_is_gone_is_left_out(tool: Tool, done: str) -> None:
    _, text, _ = tool("events", "export", done, "evt_" + "0" * 26)

    assert json.loads(text.splitlines()[-1])["count"] == 1


def test_a_file_that_is_none_is_named(tool: Tool, tmp_path: Path) -> None:
    assert tool("events", "import", str(tmp_path / "none"))[0::2] == (
        2,
        f"error: {tmp_path}/none: No such file or directory\n",
    )
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert tool("events", "import", str(tmp_path / "binary"))[2].endswith(": not a text file\n")


def test_an_event_that_does_not_open_is_exported_sealed_alone(
    tool: Tool, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAL_KEY", secrets.token_hex(32))

    assert tool("events", "export")[0] == 0
    assert "cannot decrypt an event" in tool("events", "export", "--opened")[2]


def test_an_event_without_a_body_comes_back_without_one(
    tool: Tool, done: str, ledger: Ledger, tmp_path: Path, client: redis.Redis
) -> None:
    client.delete(ledger.keys.body(done))
    for option in ([], ["--opened"]):
        _, text, _ = tool("events", "export", *option)
        (tmp_path / "a").write_text(text)
        ledger.purge(0)

        assert tool("events", "import", str(tmp_path / "a"))[0] == 0
        assert states(ledger, done) == ["done"]
        assert not client.exists(ledger.keys.body(done))


# --- seal keys


def test_reseal_moves_all_to_the_first_key_and_check_says_that_the_old_one_may_go(
    tool: Tool, ledger: Ledger, seal: Seal, dead: Dead, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    letter, event = dead(), finish(ledger, seal, b'{"data": {"customer": "c42"}}')
    indexed = seal_with_index(ledger, seal)
    new, old = secrets.token_hex(32), env["SEAL_KEY"]
    monkeypatch.setenv("SEAL_KEY", f"{new},{old}")
    assert f"{seal.first_key} seals 3 events" in tool("check", "--role", "worker")[1]

    code, out, _ = tool("ledger", "reseal")

    assert code == 0
    assert out.startswith("3 events moved to the key ")
    assert "it may be removed" in tool("check", "--role", "worker")[1]
    monkeypatch.setenv("SEAL_KEY", new)
    assert "no\\x1b" in tool("events", "show", letter)[1]
    assert '"c42"' in tool("events", "show", event, "--body")[1]
    index(ledger, "zyra", "data.customer")
    assert find(tool, "--where", "data.customer=c43") == [indexed]
    assert tool("ledger", "reseal")[1].startswith("0 events moved")


def seal_with_index(ledger: Ledger, seal: Seal) -> str:
    """An event whose source indexes data.customer."""
    event = finish(ledger, seal, b'{"data": {"customer": "c43"}}', digests=list_digests(seal, {"data.customer": "c43"}))
    opened = query.open_event(ledger, seal, event)
    content = Content(body=opened.content.body, index=("data.customer",))
    _, sealed = seal.close(EventRecord(labels=opened.labels, content=content))
    ledger.client.set(ledger.keys.body(event), sealed)
    return event


def test_reseal_moves_the_journal_and_events_without_a_body(
    tool: Tool, ledger: Ledger, seal: Seal, dead: Dead, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = dead()
    run = make_run_id(letter, "flaky")
    sealed = seal.wrap(f"calls:{run}:1", b"{}")
    ledger.client.hset(ledger.keys.name(f"calls:{run}"), "1", sealed)
    ledger.client.delete(ledger.keys.body(letter))
    monkeypatch.setenv("SEAL_KEY", f"{secrets.token_hex(32)},{env['SEAL_KEY']}")

    assert tool("ledger", "reseal")[1].startswith("1 events moved")
    moved = ledger.client.hget(ledger.keys.name(f"calls:{run}"), "1")
    assert moved
    assert moved != sealed


def test_check_goes_on_where_the_counters_are_none(tool: Tool, ledger: Ledger) -> None:
    ledger.client.set(ledger.keys.name("counters"), "junk")

    assert "Redis: " in tool("check", "--role", "worker")[1]


def test_reseal_leaves_what_is_under_way_and_says_so(
    tool: Tool, ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(ledger, seal)
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["a"])
    ledger.take([], 1)
    monkeypatch.setenv("SEAL_KEY", f"{secrets.token_hex(32)},{env['SEAL_KEY']}")

    code, out, _ = tool("ledger", "reseal")

    assert code == 1
    assert "1 are under way" in out


def test_reseal_names_what_it_cannot_open(tool: Tool, done: str, monkeypatch: pytest.MonkeyPatch, seal: Seal) -> None:
    monkeypatch.setenv("SEAL_KEY", secrets.token_hex(32))

    code, out, _ = tool("ledger", "reseal")

    assert code == 1
    assert "1 cannot be moved: sealed with key" in out
    assert (
        f"1 events are sealed with {seal.first_key}, which SEAL_KEY does not hold"
        in tool("check", "--role", "worker")[1]
    )


def test_reseal_of_a_body_that_no_parser_reads(
    tool: Tool, ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(ledger, seal, b"no json")
    monkeypatch.setenv("SEAL_KEY", f"{secrets.token_hex(32)},{env['SEAL_KEY']}")

    assert tool("ledger", "reseal")[1].startswith("1 events moved")


def test_the_seal_key_comes_from_a_command(seal_key: str) -> None:
    seal = read_seal({"SEAL_KEY_COMMAND": f"printf '%s\\n' {seal_key}"}, "q")

    assert seal.first_key == read_seal({"SEAL_KEY": seal_key}, "q").first_key


@pytest.mark.parametrize(
    ("env", "fault"),
    [
        ({"SEAL_KEY_COMMAND": "/no/such/program"}, "cannot be run: No such file"),
        ({"SEAL_KEY_COMMAND": "false"}, "failed with exit status 1"),
        ({"SEAL_KEY_COMMAND": "true"}, "is empty"),
        ({"SEAL_KEY_COMMAND": "echo 'open"}, "cannot be run: No closing quotation"),
        ({"SEAL_KEY_COMMAND": "true", "SEAL_KEY": "x"}, "are both set"),
        ({"SEAL_KEY_COMMAND": "echo hidden"}, "must be 32 bytes"),
    ],
)
def test_a_command_that_gives_no_key_is_named_and_its_output_is_not(env: dict[str, str], fault: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_seal(env, "q")
    assert fault in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.contract.secrets.COMMAND_SECONDS", 0.1)

    with pytest.raises(ConfigurationError) as refused:
        read_seal({"SEAL_KEY_COMMAND": "sleep 5"}, "q")
    assert "did not end within 0.1 s" in str(refused.value)


# --- pauses


def test_pause_and_resume_by_name(tool: Tool, ledger: Ledger, seal: Seal) -> None:
    assert tool("handlers", "pause", "flaky", "--reason", "its API is down")[:2] == (
        0, "paused: flaky. Its runs wait until `zyra-receiver handlers resume flaky`\n",
    )  # fmt: skip
    accept(ledger, seal)
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["flaky"])
    ledger.take([], 1)

    assert "paused: flaky, since 20" in tool("status")[1]
    assert ", 1 runs wait: handlers resume flaky" in tool("status")[1]
    assert "paused already" in tool("handlers", "pause", "flaky")[2]
    assert tool("handlers", "resume", "flakey")[2] == "error: flakey is not paused; paused: flaky\n"
    assert tool("handlers", "resume", "flaky")[:2] == (0, "resumed: flaky, 1 runs queued\n")
    assert tool("handlers", "resume", "flaky")[2] == "error: flaky is not paused; no handler is\n"


def test_a_name_that_no_handler_has_is_refused(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tool("handlers", "pause", "flakey")[0::2] == (
        2, "error: there is no handler 'flakey'; did you mean 'flaky'?\n",
    )  # fmt: skip
    assert "`zyra-receiver handlers` lists them" in tool("handlers", "pause", "xyz123")[2]
    monkeypatch.setenv("WORKER_HANDLERS", "workers.handlers.log_event")
    assert "did you mean 'workers.handlers.log_event.log_event'" in tool("handlers", "pause", "log_event")[2]


def test_a_handler_is_known_by_what_it_did_where_none_is_loaded(
    tool: Tool, ledger: Ledger, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(ledger, seal)
    monkeypatch.delenv("WORKER_HANDLERS")

    assert tool("handlers", "pause", "a")[0] == 0


def test_status_lists_refusals(tool: Tool, ledger: Ledger) -> None:
    minute = int(time.time() // 60)
    for ago in range(3):
        ledger.client.hset(
            ledger.keys.name(f"recent:{minute - ago}"), mapping={"refused:zyra:wrong": 2, "accepted:zyra": 1}
        )

    out = tool("status")[1]

    assert "source zyra: 6 of 9 deliveries refused in 5 min, wrong\n" in out
    assert "! source zyra: 6 of 9 deliveries refused in 5 min, wrong: 6" in out
    assert "events explain --source zyra" in out


def test_show_has_attempts_with_their_frames(tool: Tool, ledger: Ledger, seal: Seal) -> None:
    from tests.workers.ledger.test_causes import begin, fail

    claim = begin(ledger, seal)
    fail(ledger, claim)

    out = tool("events", "show", claim.event)[1]

    assert f"1.5 s on {ledger.host}, failed: RuntimeError: card 4111\n    handlers.py:12 in note: raise\n" in out


def test_status_lists_causes(tool: Tool, ledger: Ledger, seal: Seal) -> None:
    from tests.workers.ledger.test_causes import BOOM, begin, fail
    from workers.ledger.units import Cause

    for n in range(12):
        fail(ledger, begin(ledger, seal), Cause(handler="op.note", kind="E", words="abcdefghijkl"[n]))
    fail(ledger, begin(ledger, seal), BOOM)

    code, out, _ = tool("status", "--fail")

    assert code == 1
    assert "new: op.note fails: 1 of 13 in 5 min, 1 since 20" in out
    assert "3 more causes: --json shows all" in out
    assert "! op.note fails: 13 of 13 attempts in 5 min" in out

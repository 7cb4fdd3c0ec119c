"""What a person says of a call that nobody heard an answer of, from the command line to the end of the run."""

import json
from pathlib import Path
from typing import Any

import pytest

from receiver.contract.seal import Seal
from tests.support.kit import Tool, accept, running, wait_for
from tests.support.sandbox import KEY, PLENTY, playing
from workers.ledger.transitions import Ledger
from workers.sandbox.chaos import Chaos


@pytest.mark.parametrize(
    ("word", "servers", "dead_again"), [("happened", 1, False), ("repeat", 2, False), ("", 1, True)]
)
def test_a_create_goes_on_as_a_person_says(
    tool: Tool,
    ledger: Ledger,
    seal: Seal,
    env: dict[str, str],
    tmp_path: Path,
    word: str,
    servers: int,
    dead_again: bool,
) -> None:
    (tmp_path / "pids").mkdir()
    trouble = Chaos(frozenset({"fail-after"}), 1, 1.0)  # what is asked happens, and is answered 500

    def show(event: str) -> Any:
        return json.loads(tool("events", "show", event, "--json")[1])

    def ends(event: str, state: str) -> bool:
        return [run["state"] for run in show(event)["runs"]] == [state]

    with playing(tmp_path, PLENTY, chaos=trouble) as sandbox:
        settings = {
            **env,
            "ZYRA_API_URL": sandbox.url,
            "ZYRA_API_KEY": KEY,
            "ZYRA_API_MINUTE": "1",
            "ZYRA_API_LIMITS": "create=1000,read=1000",
            "WORKER_HANDLERS": "tests.plugins.callers",
            "PIDS": str(tmp_path / "pids"),
        }
        event = accept(ledger, seal, kind="call.blind")
        with running("workers.cli", "work", env=settings):
            wait_for(lambda: ends(event, "dead"), 60)
            trouble.often = 0
            options = ["--unanswered", word] if word else []
            assert tool("events", "replay", event, "--keep-calls", *options)[0] == 0
            wait_for(lambda: ends(event, "dead" if dead_again else "done"), 60)
        made = [row for row in sandbox.state.areas["virtual_servers"].values() if row.get("note") == event]
        stops = [one for one in sandbox.calls("POST") if str(one["path"]).endswith("/stop")]

    first, *_ = show(event)["runs"][0]["calls"]
    assert len(made) == servers
    assert len(stops) == (0 if dead_again else 1)
    assert first["person_says"] == word

from pathlib import Path

import pytest

from receiver import settings as receiving
from receiver.contract.errors import ConfigurationError
from receiver.contract.settings import Shared, load, parse_duration

KEY = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"


def faults(**env: str) -> list[str]:
    found: list[str] = []
    load(Shared, {"SEAL_KEY": KEY, **env}, found)
    return found


def test_every_fault_is_named_at_once() -> None:
    found = faults(REDIS_URL="http://x", QUEUE="a b", LOG_LEVEL="loud", KEEP_DONE="soon", SEAL_KEY="")

    assert [text.split()[0] for text in found] == ["REDIS_URL", "QUEUE", "LOG_LEVEL", "KEEP_DONE", "SEAL_KEY"]
    assert faults(LOG_DELIVERIES="maybe") == ["LOG_DELIVERIES must be on or off, not 'maybe'"]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "empty"),
        ("abc", "32 bytes"),
        ("!!", "32 bytes"),
        ("é", "32 bytes"),
        ("00" * 32, "weak"),
        (KEY + ",", "empty item"),
    ],
)
def test_a_bad_seal_key_is_refused(key: str, said: str) -> None:
    assert said in faults(SEAL_KEY=key)[0]


def test_a_missing_seal_key_is_told_with_its_remedy() -> None:
    found: list[str] = []

    assert load(Shared, {}, found) is None
    assert "openssl rand -hex 32" in found[0]


@pytest.mark.parametrize(("text", "value"), [("90", 90), ("15s", 15), ("5m", 300), ("24h", 86400), ("7d", 604800)])
def test_durations(text: str, value: float) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf", "1y", "9e99"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_the_receivers_own_faults_are_named_with_the_others() -> None:
    env = {"SEAL_KEY": KEY, "ZYRA_WEBHOOK_SECRET": "s", "PORT": "99999", "WEB_CONCURRENCY": "x", "DURABILITY": "maybe"}
    with pytest.raises(ConfigurationError) as caught:
        receiving.read(env)

    assert [fault.split()[0] for fault in caught.value.faults] == ["DURABILITY", "PORT", "WEB_CONCURRENCY"]


def test_good_settings_are_read() -> None:
    found = load(Shared, {"SEAL_KEY": KEY, "REDIS_URL": "unix:///x", "LOG_LEVEL": "debug", "KEEP_DONE": "1h"}, [])

    assert found is not None
    assert (found.redis_url, found.log_level, found.keep_done, found.queue) == ("unix:///x", "DEBUG", 3600, "events")


def test_the_url_of_redis_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://:secret,with,commas@h:1/0\n")
    env = {"SEAL_KEY": KEY, "REDIS_URL_FILE": str(tmp_path / "url")}

    found = load(Shared, env, [])

    assert found
    assert found.redis_url == "redis://:secret,with,commas@h:1/0"
    assert faults(**env | {"REDIS_URL": "redis://h"}) == ["REDIS_URL and REDIS_URL_FILE are both set: keep one"]
    assert "REDIS_URL_FILE: cannot read" in faults(REDIS_URL_FILE=str(tmp_path / "none"))[0]

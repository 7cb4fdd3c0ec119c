"""The environment of a worker."""

from pathlib import Path

import pytest

from receiver.contract.errors import ConfigurationError
from workers.settings import read


@pytest.mark.parametrize("key", ["two\nlines", "é", "with space"])
def test_a_key_that_cannot_stand_in_a_header_is_refused(env: dict[str, str], key: str) -> None:
    with pytest.raises(ConfigurationError, match="ZYRA_API_KEY must be a key"):
        read(env | {"ZYRA_API_KEY": key})


def test_empty_handler_names_are_refused(env: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="WORKER_HANDLERS is empty"):
        read(env | {"WORKER_HANDLERS": "a,,b"})


@pytest.mark.parametrize("value", ["x", "-1", "5", "1.5", ""])
def test_a_process_needs_some_memory(value: str) -> None:
    env = {"SEAL_KEY": bytes(range(32)).hex(), "WORKER_HANDLERS": "a"}

    with pytest.raises(ConfigurationError, match="WORKER_MEMORY must be MiB"):
        read(env | {"WORKER_MEMORY": value})
    assert read(env | {"WORKER_MEMORY": "512"}).memory == 512 << 20
    assert read(env).memory == 0


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"ZYRA_API_LIMITS": "create=0"}, "ZYRA_API_LIMITS must be like create=5"),
        ({"ZYRA_API_LIMITS": "none=5"}, "ZYRA_API_LIMITS must be like"),
        ({"ZYRA_API_MINUTE": "soon"}, "ZYRA_API_MINUTE must be the seconds"),
        ({"ZYRA_API_MINUTE": "0"}, "ZYRA_API_MINUTE must be the seconds"),
        ({"ZYRA_API_ROUTES": "/nonexistent"}, "ZYRA_API_ROUTES cannot be read"),
        ({"ZYRA_API_USER": "a@example.com"}, "ZYRA_API_USER and ZYRA_API_PASSWORD go together"),
        ({"ZYRA_API_USER": "a@example.com", "ZYRA_API_PASSWORD": "pw"}, "are both set: keep one"),
        ({"ZYRA_SCIM_TOKEN": "a b"}, "ZYRA_SCIM_TOKEN must be printable"),
    ],
)
def test_what_is_wrong_with_the_settings_of_the_api(env: dict[str, str], told: str, seal_key: str) -> None:
    base = {"SEAL_KEY": seal_key, "WORKER_HANDLERS": "a", "ZYRA_API_KEY": "zyra_sk_1"}

    with pytest.raises(ConfigurationError, match=told):
        read(base | env)


def test_the_settings_of_the_api(seal_key: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('"devices.get" = "GET /v2/devices/{id}"\n')
    base = {"SEAL_KEY": seal_key, "WORKER_HANDLERS": "a", "ZYRA_API_LIMITS": "read=60, bulk=7"}

    found = read(base | {"ZYRA_API_MINUTE": "30", "ZYRA_API_ROUTES": str(tmp_path / "r.toml"), "ZYRA_SCIM_TOKEN": "s"})

    assert (found.api_limits.create, found.api_limits.read, found.api_limits.bulk) == (5, 60, 7)
    assert found.api_minute == 30
    assert found.api_routes is not None
    assert found.api_routes["devices.get"].path == "/v2/devices/{id}"

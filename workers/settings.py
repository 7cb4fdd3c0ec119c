"""The environment of a worker."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from receiver.contract import secrets
from receiver.contract.errors import ConfigurationError
from receiver.contract.secrets import Secret
from receiver.contract.settings import Shared, load, number, setting


def modules(text: str) -> tuple[str, ...]:
    found = tuple(name.strip() for name in text.split(","))
    if not all(found):
        raise ValueError("is empty or has an empty item: name at least one module, such as workers.handlers.log_event")
    return found


def api_url(text: str) -> str:
    if not text.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
        raise ValueError("must start with https:// (http:// only for this machine)")
    return text.rstrip("/")


def api_key(env: Mapping[str, str]) -> Secret | None:
    """The key for Zyra's API, or None. Raises ConfigurationError where it could not stand in a header."""
    found = secrets.read(env, "ZYRA_API_KEY")
    if found and not all(value.isascii() and value.isprintable() and " " not in value for value in found.values):
        raise ConfigurationError(["ZYRA_API_KEY must be printable ASCII without spaces: one key, or a comma list"])
    return found


def mebibytes(text: str) -> int:
    """Bytes; 0 leaves the choice to us."""
    if not text.isdecimal() or 0 < int(text) < 128:
        raise ValueError("must be MiB of memory for one worker process, at least 128, or 0 for most of what there is")
    return int(text) << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Shared):
    handlers: tuple[str, ...] = setting("WORKER_HANDLERS", modules, ())
    api_url: str = setting("ZYRA_API_URL", api_url, "https://app.getzyra.io")
    memory: int = setting("WORKER_MEMORY", mebibytes, 0)
    metrics_port: int = setting("METRICS_PORT", number(0, 65535), 9465)
    api_key: Secret | None = field(default=None, repr=False)


def read(env: Mapping[str, str] = os.environ, *, need_handlers: bool = True) -> Settings:
    """A worker's settings. Raises ConfigurationError with every fault there is."""
    faults: list[str] = []
    key = None
    try:
        key = api_key(env)
    except ConfigurationError as error:
        faults += error.faults
    if need_handlers and "WORKER_HANDLERS" not in env:
        faults.append(
            "WORKER_HANDLERS is not set: name the modules with your handlers, or * for every installed plugin"
        )
    found = load(Settings, env, faults, api_key=key)
    if found is None or faults:
        raise ConfigurationError(faults)
    return found

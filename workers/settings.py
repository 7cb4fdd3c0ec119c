"""The environment of a worker."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from receiver.contract import secrets
from receiver.contract.addresses import LOOPBACK_NAMES
from receiver.contract.errors import ConfigurationError
from receiver.contract.secrets import Secret
from receiver.contract.settings import Shared, load, make_number_parser, parse_duration, parse_switch, setting

from .zyra.routes import Limit, Limits, Routes
from .zyra.routes import load_routes as load_routes

NO_HANDLERS = "WORKER_HANDLERS is not set: name the modules with your handlers, or * for every installed plugin"
KEY = re.compile("zyra_sk_[A-Za-z0-9_-]+")


def parse_modules(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ValueError("is empty or has an empty item: name at least one module, such as workers.handlers.log_event")
    return names


def parse_api_url(text: str) -> str:
    parts = urlsplit(text)
    here = parts.scheme == "http" and parts.hostname in LOOPBACK_NAMES
    if not (parts.scheme == "https" or here) or not parts.hostname or "@" in parts.netloc:
        raise ValueError("must start with https:// (http:// only for this machine)")
    return text.rstrip("/")


def read_api_key(env: Mapping[str, str]) -> Secret | None:
    """The key for Zyra's API, or None. Raises ConfigurationError where it is none."""
    secret = secrets.read(env, "ZYRA_API_KEY")
    if secret and not all(KEY.fullmatch(value) for value in secret.values):
        raise ConfigurationError(["ZYRA_API_KEY must be a key as Zyra makes it: zyra_sk_ and letters, digits, _ or -"])
    return secret


def read_header_secret(env: Mapping[str, str], name: str) -> Secret | None:
    """A secret that goes into a header. Raises ConfigurationError where it could not stand there."""
    secret = secrets.read(env, name)
    if secret and not all(value.isascii() and value.isprintable() and " " not in value for value in secret.values):
        raise ConfigurationError([f"{name} must be printable ASCII without spaces"])
    return secret


def parse_limits(text: str) -> Limits:
    """create=5,read=30: what is not named keeps its default."""
    limits = {}
    for item in text.split(","):
        name, _, value = item.strip().partition("=")
        if name not in list(Limit) or not value.isdecimal() or not 1 <= int(value) <= 100_000:
            raise ValueError(f"must be like create=5,read=30,bulk=100, not {text!r}")
        limits[name] = int(value)
    return Limits(**limits)


def parse_minute(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 3600:
        raise ValueError(f"must be the seconds for which a limit counts, 0.1 to 3600, not {text!r}")
    return value


def parse_routes(text: str) -> Routes | None:
    return load_routes(Path(text))


def parse_mebibytes(text: str) -> int:
    """Bytes; 0 leaves the choice to us."""
    if not text.isdecimal() or 0 < int(text) < 128:
        raise ValueError("must be MiB of memory for one worker process, at least 128, or 0 for most of what there is")
    return int(text) << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Shared):
    handlers: tuple[str, ...] = setting("WORKER_HANDLERS", parse_modules, ())
    api_url: str = setting("ZYRA_API_URL", parse_api_url, "https://app.getzyra.io")
    log_errors: bool = setting("LOG_ERRORS", parse_switch, False)
    keep_done_min: float = setting("KEEP_DONE_MIN", parse_duration, 0.0)
    memory: int = setting("WORKER_MEMORY", parse_mebibytes, 0)
    metrics_port: int = setting("METRICS_PORT", make_number_parser(0, 65535), 9465)
    api_key: Secret | None = field(default=None, repr=False)
    api_user: str = setting("ZYRA_API_USER", str, "")
    api_password: Secret | None = field(default=None, repr=False)
    scim_token: Secret | None = field(default=None, repr=False)
    api_limits: Limits = setting("ZYRA_API_LIMITS", parse_limits, Limits())
    api_minute: float = setting("ZYRA_API_MINUTE", parse_minute, 60.0)
    api_routes: Routes | None = setting("ZYRA_API_ROUTES", parse_routes, None)


def read_modules(env: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The handler modules, where nothing else of the settings is needed. Raises ConfigurationError."""
    if "WORKER_HANDLERS" not in env:
        raise ConfigurationError([NO_HANDLERS])
    try:
        return parse_modules(env["WORKER_HANDLERS"])
    except ValueError as error:
        raise ConfigurationError([f"WORKER_HANDLERS {error}"]) from None


def read(env: Mapping[str, str] = os.environ, *, need_handlers: bool = True) -> Settings:
    """A worker's settings. Raises ConfigurationError with every fault there is."""
    faults: list[str] = []
    loaded: dict[str, Secret | None] = {}
    readers: dict[str, Callable[[Mapping[str, str]], Secret | None]] = {
        "api_key": read_api_key,
        "api_password": lambda env: secrets.read(env, "ZYRA_API_PASSWORD"),
        "scim_token": lambda env: read_header_secret(env, "ZYRA_SCIM_TOKEN"),
    }
    for name, reader in readers.items():
        try:
            loaded[name] = reader(env)
        except ConfigurationError as error:
            faults += error.faults
    if bool(env.get("ZYRA_API_USER")) != bool(loaded.get("api_password")):
        faults.append("ZYRA_API_USER and ZYRA_API_PASSWORD go together")
    if env.get("ZYRA_API_USER") and loaded.get("api_key"):
        faults.append("ZYRA_API_KEY and ZYRA_API_USER are both set: keep one")
    if need_handlers and "WORKER_HANDLERS" not in env:
        faults.append(NO_HANDLERS)
    settings = load(Settings, env, faults, **loaded)
    if settings is None or faults:
        raise ConfigurationError(faults)
    return settings

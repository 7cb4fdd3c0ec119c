"""Reports errors to Sentry where SENTRY_DSN asks for it, with the extra `sentry`; else nothing.

An error goes with its message, which may hold parts of a payload, and without variables, bodies and headers.
"""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from .errors import ConfigurationError

FLUSH_SECONDS = 2.0  # that the end of a process waits


class Sentry:
    """Of one process."""

    def __init__(self, sdk: Any) -> None:
        self._sdk = sdk

    def capture(self, error: BaseException, **tags: str | int) -> None:
        with self._sdk.new_scope() as scope:
            for name, value in tags.items():
                scope.set_tag(name, value)
            scope.capture_exception(error)

    def flush(self) -> None:
        self._sdk.flush(FLUSH_SECONDS)


def find_faults(env: Mapping[str, str]) -> list[str]:
    """What keeps errors from being sent, where SENTRY_DSN is set."""
    if not env.get("SENTRY_DSN"):
        return []
    if not find_spec("sentry_sdk"):
        return ["SENTRY_DSN is set, and Sentry's SDK is not installed: pip install 'zyra-receiver[sentry]'"]
    from sentry_sdk.utils import BadDsn, Dsn

    try:
        Dsn(env["SENTRY_DSN"])
    except BadDsn as error:
        return [f"SENTRY_DSN cannot be read: {error}"]
    return []


def open_sentry(role: str, env: Mapping[str, str] = os.environ, **options: Any) -> Sentry | None:
    """The client of this process, or None. In a process that was forked, after the fork. Raises ConfigurationError."""
    if faults := find_faults(env):
        raise ConfigurationError(faults)
    if not env.get("SENTRY_DSN"):
        return None
    import sentry_sdk
    from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger

    ignore_logger("workers.runtime.attempt")  # `capture` tells these, with their exception
    sentry_sdk.init(
        dsn=env["SENTRY_DSN"],
        default_integrations=False,
        integrations=[LoggingIntegration()],
        data_collection={
            "user_info": False,
            "http_bodies": [],
            "queues": False,
            "database_query_data": False,
            "stack_frame_variables": False,
        },
        **options,
    )
    sentry_sdk.set_tag("role", role)
    return Sentry(sentry_sdk)

"""Refuses a configuration of traces and error reports that cannot work, before any process is started."""

import os
from collections.abc import Mapping

from . import sentry, tracing
from .errors import ConfigurationError


def refuse_faults(env: Mapping[str, str] = os.environ) -> None:
    """Raises ConfigurationError. A process that is forked or spawned could only fail, again and again."""
    if faults := [*tracing.find_faults(env), *sentry.find_faults(env)]:
        raise ConfigurationError(faults)

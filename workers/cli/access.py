"""Opens the ledger and Zyra's API for commands."""

import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from receiver.contract.errors import ConfigurationError

from .. import settings
from ..ledger.transitions import Ledger
from ..runtime.clients import make_caller
from ..settings import Settings
from ..zyra import calls
from ..zyra.client import Zyra
from ..zyra.errors import RateLimited
from ..zyra.models import Row
from ..zyra.transport import run
from .local import read_environment
from .output import print_note

MAX_WAIT_SECONDS = 120.0  # that a person waits for the budget
T = TypeVar("T")


def open_ledger() -> tuple[Ledger, Settings]:
    """The ledger of the environment, and the settings that name it. Raises ConfigurationError."""
    config = settings.read(read_environment(), need_handlers=False)
    return Ledger.open(config), config


def open_client() -> Zyra:
    """The client of the command line. Raises ConfigurationError."""
    config, ledger = read_settings()
    if config.api_key is None and not config.api_user:
        raise ConfigurationError(["ZYRA_API_KEY is not set: make one at Zyra under Settings, API Keys"])
    if config.api_user and ledger is None:
        raise ConfigurationError(["ZYRA_API_USER wants REDIS_URL and SEAL_KEY, too: the login is shared with workers"])
    return Zyra(config.api_url, caller=make_caller(config, ledger))


def read_settings() -> tuple[Settings, Ledger | None]:
    """The workers' settings, and the ledger if REDIS_URL is set. Without it, nothing counts our calls."""
    env = read_environment()
    sealed = not {"SEAL_KEY", "SEAL_KEY_FILE", "SEAL_KEY_COMMAND"}.isdisjoint(env)
    config = settings.read(env if sealed else {**env, "SEAL_KEY": secrets.token_hex(32)}, need_handlers=False)
    if not {"REDIS_URL", "REDIS_URL_FILE"} & env.keys() or (config.api_user and not sealed):
        return config, None
    return config, Ledger.open(config)


def list_all(zyra: Zyra, call: calls.Call) -> Iterator[Row]:
    """The items of all pages; between two of them there may be a wait."""
    pages = calls.Pages(call)
    while following := pages.next:
        page = wait_for_budget(partial(fetch_page, zyra, following))
        yield from map(Row, pages.take(page))


def fetch_page(zyra: Zyra, call: calls.Call) -> calls.Page:
    page: calls.Page = run(zyra.caller.fetch_page(call), zyra.http)
    return page


def wait_for_budget(act: Callable[[], T]) -> T:
    """Calls `act`, and waits up to MAX_WAIT_SECONDS for room in the budget. Raises ZyraError."""
    until = time.monotonic() + MAX_WAIT_SECONDS
    while True:
        try:
            return act()
        except RateLimited as error:
            if time.monotonic() + error.seconds > until:
                raise
            print_note(f"waiting {error.seconds:.0f} s: {error.message}")
            time.sleep(error.seconds)

"""The environment of a command: the process's own, completed by a running `dev` on this machine."""

import fcntl
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from receiver.contract.errors import ConfigurationError

from .output import print_note

SECRETS = {"ZYRA_WEBHOOK_SECRET": "secret_file", "ZYRA_API_KEY": "api_key_file", "SEAL_KEY": "seal_key_file"}
PLAIN = {"REDIS_URL": "redis_url", "ZYRA_API_URL": "sandbox", "WORKER_HANDLERS": "handlers"}


def find_data_folder(env: Mapping[str, str] = os.environ) -> Path:
    return Path(env.get("RECEIVER_DATA_DIR", ".zyra-receiver")).absolute()


def check_private(folder: Path) -> None:
    """Raises ConfigurationError where others could change what we keep there: keys, and what a `dev` runs."""
    stat = folder.stat()
    if stat.st_uid != os.geteuid() and os.geteuid() != 0:
        raise ConfigurationError([f"{folder} belongs to another user: name a folder of your own with --data-dir"])
    if stat.st_mode & 0o022:
        raise ConfigurationError([f"others may write to {folder}: chmod go-w {folder}, once you trust what is in it"])


def find_running_dev(env: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What a `dev` that runs now has written to dev.json, or nothing."""
    try:
        facts: dict[str, Any] = json.loads((find_data_folder(env) / "dev.json").read_text())
        with open(find_data_folder(env) / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # held as long as that dev lives
        return facts
    except (OSError, ValueError):
        pass
    return {}


def read_environment(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """env, and where it says nothing about Redis, what the running `dev` uses."""
    completed = dict(env)
    if {"REDIS_URL", "REDIS_URL_FILE"} & env.keys() or not (dev := find_running_dev(env)):
        return completed
    for name, key in PLAIN.items():
        completed.setdefault(name, dev[key])
    if dev.get("config"):
        completed.setdefault("RECEIVER_CONFIG", dev["config"])
    for name, key in SECRETS.items():
        own = [form for form in (name, f"{name}_FILE", f"{name}_COMMAND") if form in completed]
        if own:
            print_note(f"{own[0]} of this shell is used, not the key of the running dev")
        else:
            completed[f"{name}_FILE"] = dev[key]
    return completed


def make_current_folder_importable() -> None:
    """Puts the current folder on the path, as uvicorn and rq do."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())

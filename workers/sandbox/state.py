"""What the sandbox knows. Everything begins anew at each start but the endpoints and their secrets."""

import hashlib
import json
import os
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from .request_bodies import Role
from .rows import Row, Rows, fill, make_seeds

CONTROL_TOKEN = "control-token"  # noqa: S105 - the file that holds it
MAX_ENDPOINTS = 10
MAX_AUDIT_ENTRIES = 10_000  # of the audit log
MAX_KEYS = 10  # active ones of a user


class User(msgspec.Struct, frozen=True):
    password: str
    role: Role = "org_admin"


@dataclass(frozen=True, slots=True)
class Key:
    """Of an API key only digest and beginning are kept."""

    user: str
    prefix: str


@dataclass(slots=True)
class State:
    folder: Path
    api_key: str
    areas: dict[str, Rows] = field(default_factory=make_seeds)
    users: dict[str, User] = field(default_factory=dict)  # by e-mail
    stopped: set[str] = field(default_factory=lambda: {"vs_0003"})  # servers that are meant to stand still
    keys: dict[str, Key] = field(default_factory=dict)  # active ones, by digest
    tokens: dict[str, tuple[str, float]] = field(default_factory=dict)  # user and end, by JWT or refresh token
    token_seconds: float = 900.0
    scim_token: str = "scim-demo"  # noqa: S105 - the sandbox is for everybody on this machine
    sso: Row = field(default_factory=dict)
    deliveries: dict[str, Rows] = field(default_factory=dict)  # by endpoint
    log: deque[Row] = field(
        default_factory=lambda: deque(maxlen=100_000)
    )  # every call: at, method, path, limit, status
    row_count: int = 3
    is_saved: bool = True  # whether endpoints outlive this process
    control_token: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)

    def __post_init__(self) -> None:
        self.add_key(self.api_key)

    @property
    def endpoints(self) -> Rows:
        return self.areas["endpoints"]

    def load(self) -> None:
        """The endpoints that were registered. Raises ValueError."""
        if self.file.exists():
            endpoints = msgspec.json.decode(self.file.read_bytes(), type=dict[str, Row])
            self.areas["endpoints"] = {name: fill("endpoints", name, row) for name, row in endpoints.items()}

    def add(self, text: str) -> None:
        """Adds rows, or replaces them: JSON of areas, ids and rows; also of users. Raises ValueError."""
        try:
            areas = msgspec.json.decode(text)
        except RecursionError:
            raise ValueError("the seed is nested too deeply") from None
        if not isinstance(areas, dict) or not all(isinstance(rows, dict) for rows in areas.values()):
            raise ValueError('a seed is JSON such as {"devices": {"dev_1": {"status": "online"}}}')
        try:
            users = msgspec.convert(areas.pop("users", {}), dict[str, User])
        except msgspec.ValidationError as error:
            raise ValueError(f"users: {error}") from None
        filled: dict[str, Rows] = {}
        for area, rows in areas.items():
            if area not in self.areas or area in ("audit_log", "endpoints"):
                known = (one for one in self.areas if one not in ("audit_log", "endpoints"))
                raise ValueError(f"there is no area {area!r}: {', '.join(known)}, users")
            filled[area] = {name: fill(area, name, row) for name, row in rows.items()}
        self.users |= users
        for area, rows in filled.items():
            self.areas[area] |= rows
        self.stopped |= {name for name, row in filled.get("virtual_servers", {}).items() if row["status"] == "stopped"}

    @property
    def file(self) -> Path:
        return self.folder / "sandbox.json"

    def save(self) -> None:
        if self.is_saved:
            write_private(self.file, json.dumps(self.endpoints, indent=1))

    def name(self, prefix: str) -> str:
        while True:
            self.row_count += 1
            name = f"{prefix}_{self.row_count:04d}"
            if not any(name in rows for rows in self.areas.values()):
                return name

    def add_key(self, key: str, user: str = "") -> bool:
        """Whether the user had room for one more; the one without a name is the organization's admin."""
        if sum(one.user == user for one in self.keys.values()) >= MAX_KEYS:
            return False
        self.keys[digest(key)] = Key(user, key[:18])
        return True

    def revoke(self, key: str) -> None:
        self.keys.pop(digest(key), None)

    def find_user(self, credential: str) -> str | None:
        """The user of a key or a token, or None."""
        if key := self.keys.get(digest(credential)):
            return key.user
        user, until = self.tokens.get(credential, ("", 0.0))
        return user if time.time() < until and credential.startswith("eyJ") else None

    def find_role(self, user: str) -> str:
        return self.users[user].role if user in self.users else "org_admin"

    def audit(self, event: str, user: str, resource: str, name: str, success: bool = True) -> None:
        entry = self.name("aud")
        self.areas["audit_log"][entry] = {
            "id": entry, "event_type": event, "user_id": user or "usr_admin", "ip_address": "127.0.0.1",
            "user_agent": "", "resource_type": resource, "resource_id": name, "details": {}, "success": success,
            "created_at": format_now(),
        }  # fmt: skip
        if len(self.areas["audit_log"]) > MAX_AUDIT_ENTRIES:
            del self.areas["audit_log"][next(iter(self.areas["audit_log"]))]

    def add_endpoint(self, url: str, events: list[str], description: str) -> Row:
        """A new endpoint with its secret: 32 bytes, shown as 64 hex digits."""
        row: Row = {"id": f"whe_{secrets.token_hex(8)}", "url": url, "events": events, "description": description}
        row["secret"] = secrets.token_hex(32)
        self.endpoints[row["id"]] = row
        self.save()
        return row

    def add_demo_endpoint(self, url: str, events: list[str]) -> str:
        """The secret of the endpoint that `dev` listens on: the same at every start, though the port may differ.

        It is known by its path on this machine, since after a rotation another endpoint is in its place.
        """
        path = urlsplit(url).path
        places = [(urlsplit(row["url"]), row) for row in self.endpoints.values()]
        mine = [row for place, row in places if (place.hostname, place.path) == ("127.0.0.1", path)]
        row = mine[-1] if mine else self.add_endpoint(url, events, "dev")
        for one in mine:
            one["url"] = url
        self.save()
        return str(row["secret"])


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def format_now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def write_private(path: Path, text: str) -> None:
    """Writes the file whole, for its owner's eyes only."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
    new.replace(path)

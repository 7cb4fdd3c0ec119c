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
from typing import Any
from urllib.parse import urlsplit

import msgspec

from .forms import Role, answered

DEMO_SERVER = "vs_0002"  # stands in error at every start
MOST_ENDPOINTS = 10
SCIM_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
TYPES = {"rules": "sla", "breaches": "sla.breaches", "alerts": "monitoring", "recommendations": "cost_advisor"}
MOST_ENTRIES = 10_000  # of the audit log
MOST_KEYS = 10  # active ones of a user
# https://getzyra.io/documentation/user-guides/organization/stage-4/02-webhooks
CATALOGUE = (
    *(f"device.{what}" for what in ("online", "offline", "approved", "removed")),
    *(f"virtual_server.{what}" for what in ("created", "started", "stopped", "terminated", "error")),
    *(f"job.{what}" for what in ("queued", "started", "completed", "failed")),
    *("sla.breach.started", "sla.breach.resolved", "invoice.generated", "invoice.paid", "payment.failed"),
)

Row = dict[str, Any]
Rows = dict[str, Row]


def blank(area: str, name: str) -> Row:
    """A row of an area as it is where nothing else is said."""
    money = {"subtotal": "0.00", "tax_amount": "0.00", "total": "0.00", "currency": "USD"}
    server = {"vcpus": 1, "memory_mb": 1024, "gpu": 0, "cost_per_hour": "0.10", "total_cost": "0.0000"}
    rest: Row = {
        "organizations": {"name": name, "settings": {}, "members": {}},
        "devices": {"status": "online", "capability_score": 0},
        "virtual_servers": {"status": "running", "name": name, **server},
        "ml_jobs": {"status": "queued", "name": name},
        "inference": {"status": "queued", "name": name},
        "fine_tuning_jobs": {"status": "queued", "name": name},
        "invoices": {"status": "issued", "invoice_number": f"INV-{datetime.now(UTC):%Y}-{number(name)}", **money},
        "rules": {"status": "active", "name": name},
        "breaches": {"status": "open"},
        "alerts": {"status": "open"},
        "recommendations": {"status": "open", "kind": "idle", "savings": "0.00"},
        "endpoints": {},
        "scim_users": {"userName": name, "schemas": [SCIM_USER], "active": True},
    }
    return {"id": name, **rest[area]}


def number(name: str) -> str:
    """The digits of an id, four at least."""
    return "".join(filter(str.isdecimal, name)).zfill(4)


def rows(area: str, states: dict[str, str], **common: Any) -> Rows:
    return {name: {**blank(area, name), "status": status, **common} for name, status in states.items()}


def servers() -> Rows:
    found = rows("virtual_servers", {"vs_0001": "running", DEMO_SERVER: "error", "vs_0003": "stopped"})
    return {name: {**row, "name": f"demo-{name[-1]}", "vcpus": 2, "memory_mb": 4096} for name, row in found.items()}


def invoices() -> Rows:
    money = {"subtotal": "40.00", "tax_amount": "8.00", "total": "48.00"}
    found = rows("invoices", {"inv_0001": "paid", "inv_0002": "issued"}, **money)
    return {name: {**row, "invoice_number": f"INV-2026-{name[-4:]}"} for name, row in found.items()}


def seeds() -> dict[str, Rows]:
    """What is there at the start, by area of the route table."""
    demo = {"name": "Demo", "settings": {"region": "eu", "tax_rate": "0.20"}}
    return {
        "organizations": {"org_0001": {**blank("organizations", "org_0001"), **demo}},
        "devices": rows(
            "devices", {"dev_0001": "online", "dev_0002": "offline", "dev_0003": "pending"}, capability_score=640
        ),
        "virtual_servers": servers(),
        "ml_jobs": rows("ml_jobs", {"job_0001": "completed"}, name="demo-train"),
        "inference": rows("inference", {"inf_0001": "running"}, name="demo-model"),
        "fine_tuning_jobs": rows("fine_tuning_jobs", {"ft_0001": "failed"}, name="demo-tune"),
        "invoices": invoices(),
        "rules": rows(
            "rules", {"rule_0001": "active"}, name="demo-1 CPU > 85 %", metric="cpu", threshold=85, minutes=5
        ),
        "breaches": rows("breaches", {"br_0001": "resolved"}, virtual_server_id="vs_0003"),
        "alerts": rows("alerts", {"al_0001": "open"}, metric="cpu", virtual_server_id="vs_0001"),
        "recommendations": rows("recommendations", {"rec_0001": "open", "rec_0002": "open"}, savings="12.40"),
        "audit_log": {},
        "scim_users": {},
        "endpoints": {},
    }


def filled(area: str, name: str, row: Any) -> Row:
    """The row with all that its area's rows have. Raises ValueError."""
    try:
        made = {**blank(area, name), **msgspec.convert(row, Row), "id": name}
        found = msgspec.convert(made, answered(TYPES.get(area, area)))
    except msgspec.ValidationError as error:
        raise ValueError(f"{area}, {name}: {error}") from None
    if isinstance(begun := getattr(found, "started_at", None), datetime):
        made["started_at"] = begun.isoformat()  # in one of the forms that are read everywhere
    return made


def refuse(word: str) -> None:
    """NaN and Infinity are no JSON."""
    raise ValueError(f"{word} is no JSON")


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
    areas: dict[str, Rows] = field(default_factory=seeds)
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
    made: int = 3

    def __post_init__(self) -> None:
        self.add_key(self.api_key)

    @property
    def endpoints(self) -> Rows:
        return self.areas["endpoints"]

    def load(self) -> None:
        """The endpoints that were registered. Raises ValueError."""
        if self.file.exists():
            found = msgspec.json.decode(self.file.read_bytes(), type=dict[str, Row])
            self.areas["endpoints"] = {name: filled("endpoints", name, row) for name, row in found.items()}

    def add(self, text: str) -> None:
        """Adds rows, or replaces them: JSON of areas, ids and rows; also of users. Raises ValueError."""
        try:
            found = json.loads(text, parse_constant=refuse)
        except RecursionError:
            raise ValueError("the seed is nested too deeply") from None
        if not isinstance(found, dict) or not all(isinstance(rows, dict) for rows in found.values()):
            raise ValueError('a seed is JSON such as {"devices": {"dev_1": {"status": "online"}}}')
        try:
            users = msgspec.convert(found.pop("users", {}), dict[str, User])
        except msgspec.ValidationError as error:
            raise ValueError(f"users: {error}") from None
        made: dict[str, Rows] = {}
        for area, rows in found.items():
            if area not in self.areas or area in ("audit_log", "endpoints"):
                known = (one for one in self.areas if one not in ("audit_log", "endpoints"))
                raise ValueError(f"there is no area {area!r}: {', '.join(known)}, users")
            made[area] = {name: filled(area, name, row) for name, row in rows.items()}
        self.users |= users
        for area, rows in made.items():
            self.areas[area] |= rows
        self.stopped |= {name for name, row in made.get("virtual_servers", {}).items() if row["status"] == "stopped"}

    @property
    def file(self) -> Path:
        return self.folder / "sandbox.json"

    def save(self) -> None:
        write_private(self.file, json.dumps(self.endpoints, indent=1))

    def name(self, prefix: str) -> str:
        while True:
            self.made += 1
            name = f"{prefix}_{self.made:04d}"
            if not any(name in rows for rows in self.areas.values()):
                return name

    def add_key(self, key: str, user: str = "") -> bool:
        """Whether the user had room for one more; the one without a name is the organization's admin."""
        if sum(one.user == user for one in self.keys.values()) >= MOST_KEYS:
            return False
        self.keys[digest(key)] = Key(user, key[:18])
        return True

    def revoke(self, key: str) -> None:
        self.keys.pop(digest(key), None)

    def who(self, credential: str) -> str | None:
        """The user of a key or a token, or None."""
        if key := self.keys.get(digest(credential)):
            return key.user
        user, until = self.tokens.get(credential, ("", 0.0))
        return user if time.time() < until and credential.startswith("eyJ") else None

    def role(self, user: str) -> str:
        return self.users[user].role if user in self.users else "org_admin"

    def audit(self, event: str, user: str, resource: str, name: str, success: bool = True) -> None:
        entry = self.name("aud")
        self.areas["audit_log"][entry] = {
            "id": entry, "event_type": event, "user_id": user or "usr_admin", "ip_address": "127.0.0.1",
            "user_agent": "", "resource_type": resource, "resource_id": name, "details": {}, "success": success,
            "created_at": moment(),
        }  # fmt: skip
        if len(self.areas["audit_log"]) > MOST_ENTRIES:
            del self.areas["audit_log"][next(iter(self.areas["audit_log"]))]

    def add_endpoint(self, url: str, events: list[str], description: str) -> Row:
        """A new endpoint with its secret: 32 bytes, shown as 64 hex digits."""
        row: Row = {"id": f"whe_{secrets.token_hex(8)}", "url": url, "events": events, "description": description}
        row["secret"] = secrets.token_hex(32)
        self.endpoints[row["id"]] = row
        self.save()
        return row

    def demo_endpoint(self, url: str, events: list[str]) -> str:
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


def moment() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def write_private(path: Path, text: str) -> None:
    """Writes the file whole, for its owner's eyes only."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
    new.replace(path)

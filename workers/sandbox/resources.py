"""What each call answers, as types: rows are held against them, and /openapi.json tells them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from .request_bodies import Anything, Money, Role, Settings, Whole


class Device(Struct):
    id: str
    status: str
    name: str | UnsetType = UNSET
    capability_score: Annotated[int, Meta(ge=0, le=1000)] | UnsetType = UNSET


class VirtualServer(Struct):
    id: str
    status: str
    name: str
    vcpus: Whole
    memory_mb: Whole
    gpu: int
    cost_per_hour: Money
    total_cost: Money
    started_at: Annotated[datetime, Meta(tz=True)] | UnsetType = UNSET


class Job(Struct):
    id: str
    status: str
    name: str | UnsetType = UNSET


class Invoice(Struct):
    id: str
    invoice_number: str
    status: str
    subtotal: Money
    tax_amount: Money
    total: Money
    currency: str


class Rule(Struct):
    id: str
    status: str
    name: str


class Breach(Struct):
    id: str
    status: str
    virtual_server_id: str | UnsetType = UNSET


class Alert(Struct):
    id: str
    status: str


class Recommendation(Struct):
    id: str
    status: str
    kind: str
    savings: Money


class Summary(Struct):
    total_savings: Money
    currency: str


class AuditEntry(Struct):
    """https://getzyra.io/documentation/user-guides/organization/stage-4/04-audit-log"""

    id: str
    event_type: str
    user_id: str
    ip_address: str
    user_agent: str
    resource_type: str
    resource_id: str
    details: dict[str, Any]
    success: bool
    created_at: str


class Endpoint(Struct):
    """secret: in the answer to its creation alone."""

    id: str
    url: str
    events: list[str]
    description: str
    secret: str | UnsetType = UNSET


class Delivery(Struct):
    id: str
    event_type: str
    status: Literal["pending", "delivered", "failed"]
    attempts: int
    body: str
    response_status: int | UnsetType = UNSET


class Member(Struct):
    id: str
    email: str
    role: Role
    status: str


class Organization(Struct):
    id: str
    name: str
    settings: Settings
    members: dict[str, Member]


class Tokens(Struct):
    access_token: str
    refresh_token: str
    token_type: Literal["bearer"]
    expires_in: float


class Sent(Struct):
    sent: bool


class Entry(Struct):
    url: str | None


class User(Struct):
    """RFC 7643, 4.1"""

    id: str
    schemas: list[str]
    user_name: str = field(name="userName")
    active: bool | UnsetType = UNSET


ANSWER_TYPES: dict[str, type[Struct]] = {
    "auth": Tokens,
    "auth.reset_password": Sent,
    "auth.sso": Entry,
    "organizations": Organization,
    "organizations.members": Member,
    "organizations.invite": Member,
    "organizations.remove_member": Member,
    "organizations.settings": Settings,
    "organizations.change_settings": Settings,
    "devices": Device,
    "virtual_servers": VirtualServer,
    "ml_jobs": Job,
    "inference": Job,
    "fine_tuning_jobs": Job,
    "endpoints": Endpoint,
    "endpoints.deliveries": Delivery,
    "endpoints.redeliver": Delivery,
    "invoices": Invoice,
    "sla": Rule,
    "sla.breaches": Breach,
    "monitoring": Alert,
    "cost_advisor": Recommendation,
    "cost_advisor.summary": Summary,
    "audit_log": AuditEntry,
    "sso": Anything,
    "scim_users": User,
    "sdk": Anything,
}  # by call, or by area where nothing else is said


def find_answer_type(name: str) -> type[Struct]:
    return ANSWER_TYPES.get(name) or ANSWER_TYPES[name.partition(".")[0]]

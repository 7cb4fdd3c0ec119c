"""What each call takes and answers, as types: requests are held against them, and /openapi.json tells them.

Zyra's own fields are known in part only, so whatever else is sent is kept and told again.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

Money = Annotated[str, Meta(pattern=r"^[0-9]{1,15}(\.[0-9]{1,9})?$")]
Cost = Money | Annotated[float, Meta(ge=0, le=10**6)]
Name = Annotated[str, Meta(max_length=200)]
Whole = Annotated[int, Meta(ge=1, le=10**9)]
Url = Annotated[str, Meta(pattern=r"^(https://[a-zA-Z0-9]|http://127\.0\.0\.1[:/])", max_length=2000)]
Role = Literal["org_admin", "org_member"]

# --- what is taken


class Anything(Struct):
    pass


class Login(Struct):
    email: str
    password: str


class Refresh(Struct):
    refresh_token: str


class Email(Struct):
    email: str


class Changed(Struct):
    name: Name | UnsetType = UNSET


class Settings(Struct):
    region: str | UnsetType = UNSET
    tax_rate: Money | UnsetType = UNSET


class Invitation(Struct):
    email: str
    role: Role
    name: Name | UnsetType = UNSET


class NewDevice(Struct):
    name: Name
    capability_score: Annotated[int, Meta(ge=0, le=1000)] | UnsetType = UNSET


class Size(Struct):
    vcpus: Whole | UnsetType = UNSET
    memory_mb: Whole | UnsetType = UNSET
    gpu: Annotated[int, Meta(ge=0, le=64)] | UnsetType = UNSET


class NewServer(Size, kw_only=True):
    name: Name
    cost_per_hour: Cost | UnsetType = UNSET


class NewJob(Struct):
    """fail: it ends as failed, for those who test what then happens."""

    name: Name
    fail: bool | UnsetType = UNSET


class NewEndpoint(Struct):
    url: Url
    events: list[str]
    description: str | UnsetType = UNSET


class ChangedEndpoint(Struct):
    url: Url | UnsetType = UNSET
    events: list[str] | UnsetType = UNSET
    description: str | UnsetType = UNSET


class NewRule(Struct):
    name: Name


class SamlConfig(Struct):
    """https://getzyra.io/documentation/user-guides/organization/stage-4/03-sso-and-saml"""

    idp_entity_id: str
    idp_sso_url: str
    idp_certificate: str
    attribute_mapping: dict[str, str] | UnsetType = UNSET
    default_role: Role | UnsetType = UNSET
    auto_provision_users: bool | UnsetType = UNSET
    email_domains: list[str] | UnsetType = UNSET


class NewUser(Struct):
    user_name: str = field(name="userName")
    active: bool | UnsetType = UNSET


class Operation(Struct):
    op: str
    path: str | UnsetType = UNSET
    value: Any = UNSET


class Operations(Struct):
    operations: list[Operation] = field(name="Operations")


# --- what is answered


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


TAKEN: dict[str, type[Struct]] = {
    "auth.login": Login,
    "auth.refresh": Refresh,
    "auth.reset_password": Email,
    "organizations.update": Changed,
    "organizations.change_settings": Settings,
    "organizations.invite": Invitation,
    "devices.register": NewDevice,
    "virtual_servers.create": NewServer,
    "virtual_servers.resize": Size,
    "ml_jobs.submit": NewJob,
    "inference.submit": NewJob,
    "fine_tuning_jobs.submit": NewJob,
    "endpoints.create": NewEndpoint,
    "endpoints.update": ChangedEndpoint,
    "sla.create_rule": NewRule,
    "sso.configure": SamlConfig,
    "scim_users.create": NewUser,
    "scim_users.replace": NewUser,
    "scim_users.update": Operations,
}  # by call; all others take anything, or nothing
ANSWERED: dict[str, type[Struct]] = {
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


def taken(name: str) -> type[Struct]:
    return TAKEN.get(name, Anything)


def answered(name: str) -> type[Struct]:
    return ANSWERED.get(name) or ANSWERED[name.partition(".")[0]]

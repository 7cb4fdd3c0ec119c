"""What each call takes, as types: requests are held against them, and /openapi.json tells them.

Zyra's own fields are known in part only, so whatever else is sent is kept and told again.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

Money = Annotated[str, Meta(pattern=r"^[0-9]{1,15}(\.[0-9]{1,9})?$")]
Cost = Money | Annotated[float, Meta(ge=0, le=10**6)]
Name = Annotated[str, Meta(max_length=200)]
Whole = Annotated[int, Meta(ge=1, le=10**9)]
Url = Annotated[str, Meta(pattern=r"^(https://[a-zA-Z0-9]|http://127\.0\.0\.1[:/])", max_length=2000)]
Role = Literal["org_admin", "org_member"]


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


BODY_TYPES: dict[str, type[Struct]] = {
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


def find_body_type(name: str) -> type[Struct]:
    return BODY_TYPES.get(name, Anything)

"""What the API tells, as dictionaries that keep every field, with typed attributes for those that Zyra's pages state.

An attribute is None where its field is missing, or is not of its type; money and scores come as numbers or as text.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Field(Generic[T]):
    def __init__(self, name: str, read: Callable[[Any], T | None]) -> None:
        self._name = name
        self._read = read

    @overload
    def __get__(self, row: None, owner: type) -> "Field[T]": ...
    @overload
    def __get__(self, row: "Row", owner: type) -> T | None: ...
    def __get__(self, row: "Row | None", owner: type) -> "Field[T] | T | None":
        return self if row is None else self._read(row.get(self._name))


def as_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def as_name(value: Any) -> str | None:
    """An id, which may come as a number."""
    return str(value) if type(value) is int else as_text(value)


def as_flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def as_decimal(value: Any) -> Decimal | None:
    """Exact: what stands in the document as a number was read as a Decimal, too."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        number = Decimal(value)
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def as_whole(value: Any) -> int | None:
    number = as_decimal(value)
    return int(number) if number is not None and number == number.to_integral_value() and abs(number) < 2**63 else None


def as_moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def as_texts(value: Any) -> list[str] | None:
    return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else None


def as_mapping(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


class Row(dict[str, Any]):
    """Whatever the API tells of one thing."""

    id = Field("id", as_name)
    name = Field("name", as_text)
    status = Field("status", as_text)


class Device(Row):
    """https://getzyra.io/documentation/user-guides/organization/stage-5/02-capacity-planning"""

    capability_score = Field("capability_score", as_decimal)
    reputation_score = Field("reputation_score", as_decimal)


class VirtualServer(Row):
    """https://getzyra.io/documentation/user-guides/organization/stage-3/06-billing-and-invoices"""

    vcpus = Field("vcpus", as_decimal)
    memory_mb = Field("memory_mb", as_whole)
    gpu = Field("gpu", as_decimal)
    started_at = Field("started_at", as_moment)
    cost_per_hour = Field("cost_per_hour", as_decimal)
    total_cost = Field("total_cost", as_decimal)


class Job(Row):
    """No page states a field of a job."""


class Endpoint(Row):
    """https://getzyra.io/documentation/user-guides/organization/stage-4/02-webhooks

    secret: told once, in the answer to its creation.
    """

    url = Field("url", as_text)
    events = Field("events", as_texts)
    description = Field("description", as_text)
    secret = Field("secret", as_text)


class Invoice(Row):
    """https://getzyra.io/documentation/user-guides/organization/stage-3/06-billing-and-invoices"""

    invoice_number = Field("invoice_number", as_name)
    period_start = Field("period_start", as_moment)
    period_end = Field("period_end", as_moment)
    subtotal = Field("subtotal", as_decimal)
    tax_amount = Field("tax_amount", as_decimal)
    total = Field("total", as_decimal)
    currency = Field("currency", as_text)


class AuditEntry(Row):
    """https://getzyra.io/documentation/user-guides/organization/stage-4/04-audit-log"""

    event_type = Field("event_type", as_text)
    user_id = Field("user_id", as_text)
    ip_address = Field("ip_address", as_text)
    user_agent = Field("user_agent", as_text)
    resource_type = Field("resource_type", as_text)
    resource_id = Field("resource_id", as_text)
    details = Field("details", as_mapping)
    success = Field("success", as_flag)
    created_at = Field("created_at", as_moment)


class SsoConfig(Row):
    """https://getzyra.io/documentation/user-guides/organization/stage-4/03-sso-and-saml"""

    idp_entity_id = Field("idp_entity_id", as_text)
    idp_sso_url = Field("idp_sso_url", as_text)
    idp_certificate = Field("idp_certificate", as_text)
    attribute_mapping = Field("attribute_mapping", as_mapping)
    default_role = Field("default_role", as_text)
    auto_provision_users = Field("auto_provision_users", as_flag)
    email_domains = Field("email_domains", as_texts)


class ScimUser(Row):
    """RFC 7643"""

    user_name = Field("userName", as_text)
    active = Field("active", as_flag)

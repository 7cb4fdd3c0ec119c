"""What the API tells, as dictionaries that keep every field, with typed attributes for those that Zyra's pages state.

An attribute is None where its field is missing, or is not of its type; money and scores come as numbers or as text.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, Self, TypeVar, overload

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


class Named(Field[str]):
    """A text that may have one of several names, there or in an object one level down."""

    def __init__(self, *names: str) -> None:
        super().__init__(names[0], as_name)
        self._names = names

    def __get__(self, row: "Row | None", owner: type) -> Any:
        if row is None:
            return self
        places = [row, *(value for value in row.values() if isinstance(value, dict))]
        found = (as_name(place.get(name)) for place in places for name in self._names)
        return next((text for text in found if text), None)


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


def normalize_state(state: str) -> str:
    """A state as it is compared: STOPPED, Stopped and stopped are one; so are in-error, "in error" and IN_ERROR."""
    return re.sub(r"[^a-z0-9]+", "_", state.casefold()).strip("_")


def read_state(row: Mapping[str, Any]) -> str:
    """The normalized state in `status` or `state`, at the top or one level down; "" if there is none."""
    for name in ("status", "state"):
        value = row.get(name)
        if isinstance(value, str) and value:
            return normalize_state(value)
        if isinstance(value, dict) and (inner := read_state(value)):
            return inner
    return ""


class Row(dict[str, Any]):
    """Whatever the API tells of one thing. request_id: of the call that told it, for Zyra's support; "" if unknown."""

    request_id = ""

    id = Field("id", as_name)
    name = Field("name", as_text)
    status = Field("status", as_text)

    @property
    def state(self) -> str:
        """The normalized status: lower case, words joined by _; "" if there is none."""
        return read_state(self)

    @classmethod
    def make(cls, fields: Mapping[str, Any], request_id: str) -> Self:
        """A row of these fields."""
        row = cls(fields)
        row.request_id = request_id
        return row


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


class Breach(Row):
    """No page states the fields of an SLA breach; these are the sandbox's."""

    virtual_server_id = Field("virtual_server_id", as_name)
    started_at = Field("started_at", as_moment)


class Endpoint(Row):
    """https://getzyra.io/documentation/user-guides/organization/stage-4/02-webhooks

    secret: told once, in the answer to its creation. No page names its field, nor that of the id.
    """

    SECRET_NAMES = ("secret", "signing_secret", "webhook_secret", "secret_key")
    id = Named("id", "endpoint_id", "webhook_id", "webhook_endpoint_id")
    secret = Named(*SECRET_NAMES)

    url = Field("url", as_text)
    events = Field("events", as_texts)
    description = Field("description", as_text)


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

"""The calls by area, as methods. `One` and `Many` are what a client makes of them: values, or values to await.

Which verb and path each of them is stands in `routes.toml`, under the area's name and the method's.
"""

from collections.abc import Sequence
from os import PathLike
from typing import Any, Generic, Protocol, TypeVar

One = TypeVar("One")
Many = TypeVar("Many")
Size = TypeVar("Size")
O = TypeVar("O", covariant=True)  # noqa: E741 - the covariant twin of One
M = TypeVar("M", covariant=True)
S = TypeVar("S", covariant=True)


class Sender(Protocol[O, M, S]):
    """How a client sends: one call for one object, or as many as a list has pages; or a file into a file."""

    def one(self, name: str, *ids: str, body: Any = None, params: dict[str, Any] | None = None) -> O: ...

    def many(self, name: str, *ids: str, params: dict[str, Any]) -> M: ...

    def save(self, name: str, *ids: str, into: str | PathLike[str], params: dict[str, Any]) -> S: ...


class Area(Generic[One, Many, Size]):
    def __init__(self, send: Sender[One, Many, Size]) -> None:
        self._send = send


class Auth(Area[One, Many, Size]):
    def login(self, email: str, password: str) -> One:
        return self._send.one("auth.login", body={"email": email, "password": password})

    def refresh(self, refresh_token: str) -> One:
        return self._send.one("auth.refresh", body={"refresh_token": refresh_token})

    def reset_password(self, email: str) -> One:
        return self._send.one("auth.reset_password", body={"email": email})

    def sso(self, **filters: Any) -> One:
        return self._send.one("auth.sso", params=filters)


class Organizations(Area[One, Many, Size]):
    def list(self, **filters: Any) -> Many:
        return self._send.many("organizations.list", params=filters)

    def get(self, organization: str) -> One:
        return self._send.one("organizations.get", organization)

    def update(self, organization: str, **fields: Any) -> One:
        return self._send.one("organizations.update", organization, body=fields)

    def members(self, organization: str, **filters: Any) -> Many:
        return self._send.many("organizations.members", organization, params=filters)

    def invite(self, organization: str, *, email: str, role: str = "org_member", **fields: Any) -> One:
        return self._send.one("organizations.invite", organization, body={"email": email, "role": role, **fields})

    def remove_member(self, organization: str, member: str) -> One:
        return self._send.one("organizations.remove_member", organization, member)

    def settings(self, organization: str) -> One:
        return self._send.one("organizations.settings", organization)

    def change_settings(self, organization: str, **fields: Any) -> One:
        return self._send.one("organizations.change_settings", organization, body=fields)


class Devices(Area[One, Many, Size]):
    def list(self, **filters: Any) -> Many:
        return self._send.many("devices.list", params=filters)

    def get(self, device: str) -> One:
        return self._send.one("devices.get", device)

    def register(self, **fields: Any) -> One:
        return self._send.one("devices.register", body=fields)

    def approve(self, device: str) -> One:
        return self._send.one("devices.approve", device)

    def remove(self, device: str) -> One:
        return self._send.one("devices.remove", device)


class VirtualServers(Area[One, Many, Size]):
    def list(self, **filters: Any) -> Many:
        return self._send.many("virtual_servers.list", params=filters)

    def get(self, server: str) -> One:
        return self._send.one("virtual_servers.get", server)

    def create(self, **fields: Any) -> One:
        """A name that holds `event.key` lets a later attempt find out whether this has happened."""
        return self._send.one("virtual_servers.create", body=fields)

    def start(self, server: str) -> One:
        return self._send.one("virtual_servers.start", server)

    def stop(self, server: str) -> One:
        return self._send.one("virtual_servers.stop", server)

    def resize(self, server: str, **fields: Any) -> One:
        return self._send.one("virtual_servers.resize", server, body=fields)

    def terminate(self, server: str) -> One:
        return self._send.one("virtual_servers.terminate", server)


class Jobs(Area[One, Many, Size]):
    """One of the three families of jobs: ml_jobs, inference, fine_tuning_jobs."""

    def __init__(self, send: Sender[One, Many, Size], family: str) -> None:
        super().__init__(send)
        self._family = family

    def list(self, **filters: Any) -> Many:
        return self._send.many(f"{self._family}.list", params=filters)

    def get(self, job: str) -> One:
        return self._send.one(f"{self._family}.get", job)

    def submit(self, **fields: Any) -> One:
        """A name that holds `event.key` lets a later attempt find out whether this has happened."""
        return self._send.one(f"{self._family}.submit", body=fields)

    def cancel(self, job: str) -> One:
        return self._send.one(f"{self._family}.cancel", job)


class Endpoints(Area[One, Many, Size]):
    def list(self, **filters: Any) -> Many:
        return self._send.many("endpoints.list", params=filters)

    def get(self, endpoint: str) -> One:
        return self._send.one("endpoints.get", endpoint)

    def create(self, url: str, events: Sequence[str], description: str = "") -> One:
        """The endpoint, with its signing secret: this is the only time that Zyra tells it."""
        return self._send.one("endpoints.create", body={"url": url, "events": [*events], "description": description})

    def update(self, endpoint: str, **fields: Any) -> One:
        return self._send.one("endpoints.update", endpoint, body=fields)

    def delete(self, endpoint: str) -> One:
        return self._send.one("endpoints.delete", endpoint)

    def deliveries(self, endpoint: str, **filters: Any) -> Many:
        return self._send.many("endpoints.deliveries", endpoint, params=filters)

    def redeliver(self, endpoint: str, delivery: str) -> One:
        return self._send.one("endpoints.redeliver", endpoint, delivery)


class Invoices(Area[One, Many, Size]):
    def list(self, **filters: Any) -> Many:
        return self._send.many("invoices.list", params=filters)

    def get(self, invoice: str) -> One:
        return self._send.one("invoices.get", invoice)

    def pdf(self, invoice: str, into: str | PathLike[str]) -> Size:
        """Writes the PDF to a file, whole or not at all; its size in bytes."""
        return self._send.save("invoices.pdf", invoice, into=into, params={})


class Sla(Area[One, Many, Size]):
    def rules(self, **filters: Any) -> Many:
        return self._send.many("sla.rules", params=filters)

    def create_rule(self, **fields: Any) -> One:
        return self._send.one("sla.create_rule", body=fields)

    def delete_rule(self, rule: str) -> One:
        return self._send.one("sla.delete_rule", rule)

    def breaches(self, **filters: Any) -> Many:
        return self._send.many("sla.breaches", params=filters)


class Monitoring(Area[One, Many, Size]):
    def alerts(self, **filters: Any) -> Many:
        return self._send.many("monitoring.alerts", params=filters)


class CostAdvisor(Area[One, Many, Size]):
    def recommendations(self, **filters: Any) -> Many:
        return self._send.many("cost_advisor.recommendations", params=filters)

    def summary(self) -> One:
        return self._send.one("cost_advisor.summary")

    def apply(self, recommendation: str) -> One:
        return self._send.one("cost_advisor.apply", recommendation)

    def dismiss(self, recommendation: str) -> One:
        return self._send.one("cost_advisor.dismiss", recommendation)


class AuditLog(Area[One, Many, Size]):
    def list(self, **filters: Any) -> Many:
        return self._send.many("audit_log.list", params=filters)

    def export(self, into: str | PathLike[str], **filters: Any) -> Size:
        return self._send.save("audit_log.export", into=into, params=filters)


class Sso(Area[One, Many, Size]):
    def metadata(self, into: str | PathLike[str]) -> Size:
        """Writes the service provider's XML, for the identity provider, to a file."""
        return self._send.save("sso.metadata", into=into, params={})

    def get(self) -> One:
        return self._send.one("sso.get")

    def configure(self, **fields: Any) -> One:
        return self._send.one("sso.configure", body=fields)


class ScimUsers(Area[One, Many, Size]):
    """Wants a token of its own, ZYRA_SCIM_TOKEN."""

    def list(self, **filters: Any) -> Many:
        return self._send.many("scim_users.list", params=filters)

    def get(self, user: str) -> One:
        return self._send.one("scim_users.get", user)

    def create(self, **fields: Any) -> One:
        return self._send.one("scim_users.create", body=fields)

    def replace(self, user: str, **fields: Any) -> One:
        return self._send.one("scim_users.replace", user, body=fields)

    def update(self, user: str, operations: Sequence[dict[str, Any]]) -> One:
        return self._send.one("scim_users.update", user, body={"Operations": [*operations]})

    def delete(self, user: str) -> One:
        return self._send.one("scim_users.delete", user)


class Sdk(Area[One, Many, Size]):
    def discover(self) -> One:
        return self._send.one("sdk.discover")


class Webhooks(Generic[One, Many, Size]):
    def __init__(self, send: Sender[One, Many, Size]) -> None:
        self.endpoints = Endpoints(send)

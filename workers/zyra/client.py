"""The two clients: `Zyra` for `def` handlers, `AsyncZyra` for `async def` ones. Both raise ZyraError; LeaseLost where
another attempt may own the run; RetryLater where the budget, the key or Redis wants them to come back.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar

import httpx2

from . import calls, resources
from .caller import Caller
from .credentials import ApiKey
from .issued_calls import IssuedCalls
from .models import AuditEntry, Device, Endpoint, Invoice, Job, Row, ScimUser, SsoConfig, VirtualServer
from .results import Awaiting, Blocking
from .transport import make_options, run, run_async

R = TypeVar("R", bound=Row)


class Zyra:
    """Zyra's API for `def` handlers.

    key: called for each request, so that a changed key file counts at once.
    """

    def __init__(
        self,
        base_url: str,
        key: Callable[[], str] | None = None,
        *,
        caller: Caller | None = None,
        http: httpx2.Client | None = None,
    ) -> None:
        self._base_url = base_url
        self.caller = caller or Caller(ring=ApiKey(key or str))
        self.http = http or httpx2.Client(**make_options(base_url))

    def within(self, caller: Caller) -> "Zyra":
        """The same client with another caller: for one attempt of a run."""
        return Zyra(self._base_url, caller=caller, http=self.http)

    def request(self, method: str, path: str, *, params: dict[str, Any] | None = None, body: Any = None) -> Any:
        """Any other call: what stands under `data`."""
        return run(self.caller.fetch(calls.make_call(method, path, params, body)), self.http)

    def pages(self, path: str, *, params: dict[str, Any] | None = None) -> Iterator[Row]:
        """The items of any other list."""
        return Blocking(self.caller, self.http, Row).list_all(calls.make_call("GET", path, params))

    def close(self) -> None:
        self.http.close()

    def _of(self, kind: type[R]) -> "Blocking[R]":
        return Blocking(self.caller, self.http, kind)

    @cached_property
    def auth(self) -> resources.Auth[Row, Iterator[Row], int]:
        return resources.Auth(self._of(Row))

    @cached_property
    def organizations(self) -> resources.Organizations[Row, Iterator[Row], int]:
        return resources.Organizations(self._of(Row))

    @cached_property
    def devices(self) -> resources.Devices[Device, Iterator[Device], int]:
        return resources.Devices(self._of(Device))

    @cached_property
    def virtual_servers(self) -> resources.VirtualServers[VirtualServer, Iterator[VirtualServer], int]:
        return resources.VirtualServers(self._of(VirtualServer))

    @cached_property
    def ml_jobs(self) -> resources.Jobs[Job, Iterator[Job], int]:
        return resources.Jobs(self._of(Job), "ml_jobs")

    @cached_property
    def inference(self) -> resources.Jobs[Job, Iterator[Job], int]:
        return resources.Jobs(self._of(Job), "inference")

    @cached_property
    def fine_tuning_jobs(self) -> resources.Jobs[Job, Iterator[Job], int]:
        return resources.Jobs(self._of(Job), "fine_tuning_jobs")

    @cached_property
    def webhooks(self) -> resources.Webhooks[Endpoint, Iterator[Endpoint], int]:
        return resources.Webhooks(self._of(Endpoint))

    @cached_property
    def invoices(self) -> resources.Invoices[Invoice, Iterator[Invoice], int]:
        return resources.Invoices(self._of(Invoice))

    @cached_property
    def sla(self) -> resources.Sla[Row, Iterator[Row], int]:
        return resources.Sla(self._of(Row))

    @cached_property
    def monitoring(self) -> resources.Monitoring[Row, Iterator[Row], int]:
        return resources.Monitoring(self._of(Row))

    @cached_property
    def cost_advisor(self) -> resources.CostAdvisor[Row, Iterator[Row], int]:
        return resources.CostAdvisor(self._of(Row))

    @cached_property
    def audit_log(self) -> resources.AuditLog[AuditEntry, Iterator[AuditEntry], int]:
        return resources.AuditLog(self._of(AuditEntry))

    @cached_property
    def sso(self) -> resources.Sso[SsoConfig, Iterator[SsoConfig], int]:
        return resources.Sso(self._of(SsoConfig))

    @cached_property
    def scim_users(self) -> resources.ScimUsers[ScimUser, Iterator[ScimUser], int]:
        return resources.ScimUsers(self._of(ScimUser))

    @cached_property
    def sdk(self) -> resources.Sdk[Row, Iterator[Row], int]:
        return resources.Sdk(self._of(Row))


class AsyncZyra:
    """The same for `async def` handlers: what Zyra returns is awaited, lists are iterated with `async for`."""

    def __init__(
        self,
        base_url: str,
        key: Callable[[], str] | None = None,
        *,
        caller: Caller | None = None,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        self._base_url = base_url
        self.caller = caller or Caller(ring=ApiKey(key or str))
        self.issued = IssuedCalls()
        self.http = http or httpx2.AsyncClient(**make_options(base_url))

    def within(self, caller: Caller) -> "AsyncZyra":
        """The same client with another caller: for one attempt of a run."""
        return AsyncZyra(self._base_url, caller=caller, http=self.http)

    def request(
        self, method: str, path: str, *, params: dict[str, Any] | None = None, body: Any = None
    ) -> Awaitable[Any]:
        """Any other call: what stands under `data`."""
        call = run_async(self.caller.fetch(calls.make_call(method, path, params, body)), self.http)
        return self.issued.add(f"request({method!r}, {path!r})", call)

    def pages(self, path: str, *, params: dict[str, Any] | None = None) -> AsyncIterator[Row]:
        """The items of any other list."""
        return Awaiting(self.caller, self.http, Row, self.issued).list_all(calls.make_call("GET", path, params))

    async def close(self) -> None:
        await self.http.aclose()

    def _of(self, kind: type[R]) -> "Awaiting[R]":
        return Awaiting(self.caller, self.http, kind, self.issued)

    @cached_property
    def auth(self) -> resources.Auth[Awaitable[Row], AsyncIterator[Row], Awaitable[int]]:
        return resources.Auth(self._of(Row))

    @cached_property
    def organizations(self) -> resources.Organizations[Awaitable[Row], AsyncIterator[Row], Awaitable[int]]:
        return resources.Organizations(self._of(Row))

    @cached_property
    def devices(self) -> resources.Devices[Awaitable[Device], AsyncIterator[Device], Awaitable[int]]:
        return resources.Devices(self._of(Device))

    @cached_property
    def virtual_servers(
        self,
    ) -> resources.VirtualServers[Awaitable[VirtualServer], AsyncIterator[VirtualServer], Awaitable[int]]:
        return resources.VirtualServers(self._of(VirtualServer))

    @cached_property
    def ml_jobs(self) -> resources.Jobs[Awaitable[Job], AsyncIterator[Job], Awaitable[int]]:
        return resources.Jobs(self._of(Job), "ml_jobs")

    @cached_property
    def inference(self) -> resources.Jobs[Awaitable[Job], AsyncIterator[Job], Awaitable[int]]:
        return resources.Jobs(self._of(Job), "inference")

    @cached_property
    def fine_tuning_jobs(self) -> resources.Jobs[Awaitable[Job], AsyncIterator[Job], Awaitable[int]]:
        return resources.Jobs(self._of(Job), "fine_tuning_jobs")

    @cached_property
    def webhooks(
        self,
    ) -> resources.Webhooks[Awaitable[Endpoint], AsyncIterator[Endpoint], Awaitable[int]]:
        return resources.Webhooks(self._of(Endpoint))

    @cached_property
    def invoices(self) -> resources.Invoices[Awaitable[Invoice], AsyncIterator[Invoice], Awaitable[int]]:
        return resources.Invoices(self._of(Invoice))

    @cached_property
    def sla(self) -> resources.Sla[Awaitable[Row], AsyncIterator[Row], Awaitable[int]]:
        return resources.Sla(self._of(Row))

    @cached_property
    def monitoring(self) -> resources.Monitoring[Awaitable[Row], AsyncIterator[Row], Awaitable[int]]:
        return resources.Monitoring(self._of(Row))

    @cached_property
    def cost_advisor(self) -> resources.CostAdvisor[Awaitable[Row], AsyncIterator[Row], Awaitable[int]]:
        return resources.CostAdvisor(self._of(Row))

    @cached_property
    def audit_log(
        self,
    ) -> resources.AuditLog[Awaitable[AuditEntry], AsyncIterator[AuditEntry], Awaitable[int]]:
        return resources.AuditLog(self._of(AuditEntry))

    @cached_property
    def sso(self) -> resources.Sso[Awaitable[SsoConfig], AsyncIterator[SsoConfig], Awaitable[int]]:
        return resources.Sso(self._of(SsoConfig))

    @cached_property
    def scim_users(
        self,
    ) -> resources.ScimUsers[Awaitable[ScimUser], AsyncIterator[ScimUser], Awaitable[int]]:
        return resources.ScimUsers(self._of(ScimUser))

    @cached_property
    def sdk(self) -> resources.Sdk[Awaitable[Row], AsyncIterator[Row], Awaitable[int]]:
        return resources.Sdk(self._of(Row))

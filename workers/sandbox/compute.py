"""Devices, virtual servers and jobs: what calls do to them, and the events of that."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

from .calls import ApiCall, CallHandler, Page, Refusal, drop_unset
from .rows import Row, fill
from .state import format_now

PREFIXES = {"ml_jobs": "job", "inference": "inf", "fine_tuning_jobs": "ft"}


class Compute(CallHandler):
    async def devices__register(self, call: ApiCall) -> Row:
        name = self.state.name("dev")
        self.state.areas["devices"][name] = fill("devices", name, drop_unset(call.body) | {"status": "pending"})
        self.state.audit("device_register", call.user, "device", name)
        return self.state.areas["devices"][name]

    async def devices__approve(self, call: ApiCall) -> Row:
        device = await self._get(call)
        if device["status"] != "pending":
            raise Refusal(409, "conflict", f"the device is {device['status']}")
        self.state.audit("device_approve", call.user, "device", device["id"])
        return self.change_status(device, "online", "device.approved")

    async def devices__remove(self, call: ApiCall) -> Row:
        device = await self._get(call)
        del self.state.areas["devices"][device["id"]]
        return self.change_status(device, "removed", "device.removed")

    async def virtual_servers__list(self, call: ApiCall) -> Page:
        self.charge()
        return await self._list(call)

    async def virtual_servers__get(self, call: ApiCall) -> Row:
        self.charge()
        return await self._get(call)

    async def virtual_servers__create(self, call: ApiCall) -> Row:
        name = self.state.name("vs")
        fields = drop_unset(call.body) | {"started_at": format_now()}
        if not isinstance(cost := fields.get("cost_per_hour", ""), str):
            fields["cost_per_hour"] = f"{cost:.4f}"
        server = self.state.areas["virtual_servers"][name] = fill("virtual_servers", name, fields)
        return self.change_status(server, "running", "virtual_server.created")

    async def virtual_servers__start(self, call: ApiCall) -> Row:
        server = await self._get(call)
        if server["status"] in ("running", "starting", "stopping", "terminated"):
            raise Refusal(409, "conflict", f"the server is {server['status']}")
        server["status"] = "starting"
        self.state.stopped.discard(server["id"])
        self.start_later(self._boot(server))
        return server

    async def _boot(self, server: Row) -> None:
        await asyncio.sleep(self.boot_seconds)
        if server["status"] == "starting":
            server["started_at"] = format_now()
            self.change_status(server, "running", "virtual_server.started")

    async def virtual_servers__stop(self, call: ApiCall) -> Row:
        server = await self._get(call)
        if server["status"] in ("stopping", "stopped", "terminated"):
            raise Refusal(409, "conflict", f"the server is {server['status']}")
        self.charge()
        self.state.stopped.add(server["id"])
        if self.shape.stop == "at-once":
            return self.change_status(server, "stopped", "virtual_server.stopped")
        server["status"] = "stopping"
        self.start_later(self._halt(server))
        return server

    async def _halt(self, server: Row) -> None:
        await asyncio.sleep(self.boot_seconds)
        if server["status"] == "stopping":
            self.change_status(server, "stopped", "virtual_server.stopped")

    async def virtual_servers__resize(self, call: ApiCall) -> Row:
        server = await self._get(call)
        server.update({name: value for name, value in call.body.items() if name in ("vcpus", "memory_mb", "gpu")})
        return server

    async def virtual_servers__terminate(self, call: ApiCall) -> Row:
        server = await self._get(call)
        if server["status"] == "terminated":
            return server
        self.charge()
        return self.change_status(server, "terminated", "virtual_server.terminated")

    def charge(self) -> None:
        """Hours since a running server's start by its cost an hour, to four places.

        https://getzyra.io/documentation/user-guides/organization/stage-3/06-billing-and-invoices
        """
        now = datetime.now(UTC)
        for server in self.state.areas["virtual_servers"].values():
            if server["status"] == "running" and "started_at" in server:
                seconds = (now - datetime.fromisoformat(server["started_at"])).total_seconds()
                hours = Decimal(max(seconds, 0.0)) / 3600
                server["total_cost"] = f"{hours * Decimal(server['cost_per_hour']):.4f}"

    # --- jobs

    async def _submit(self, call: ApiCall) -> Row:
        area = call.name.partition(".")[0]
        job = self.queue(area, drop_unset(call.body))
        self.state.audit("job_create", call.user, "job", job["id"])
        return dict(job)

    def queue(self, area: str, fields: Row) -> Row:
        name = self.state.name(PREFIXES[area])
        job = self.state.areas[area][name] = fill(area, name, fields | {"created_at": format_now()})
        self.change_status(job, "queued", "job.queued")
        self.start_later(self.work(job))
        return job

    async def work(self, job: Row) -> None:
        """A job's way to its end, unless it is cancelled or told otherwise meanwhile."""
        end = "failed" if job.get("fail") else "completed"
        for before, status, kind in (("queued", "running", "job.started"), ("running", end, f"job.{end}")):
            if job["status"] == before:
                await asyncio.sleep(self.boot_seconds)
            if job["status"] == before:
                self.change_status(job, status, kind)

    async def _cancel(self, call: ApiCall) -> Row:
        job = await self._get(call)
        if job["status"] in ("completed", "failed", "cancelled"):
            raise Refusal(409, "conflict", f"the job is {job['status']}")
        self.state.audit("job_cancel", call.user, "job", job["id"])
        job["status"] = "cancelled"
        return job

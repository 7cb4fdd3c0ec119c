"""Devices, virtual servers and jobs: what calls do to them, and the events of that."""

import asyncio

from .desk import Asked, Desk, Refusal
from .state import Row, moment

BOOT = 0.2  # seconds until a started server runs, and between the states of a job
PREFIXES = {"ml_jobs": "job", "inference": "inf", "fine_tuning_jobs": "ft"}


class Machines(Desk):
    async def devices__register(self, asked: Asked) -> Row:
        name = self.state.name("dev")
        self.state.areas["devices"][name] = {"id": name, "capability_score": 0, **asked.body, "status": "pending"}
        self.state.audit("device_register", asked.user, "device", name)
        return self.state.areas["devices"][name]

    async def devices__approve(self, asked: Asked) -> Row:
        device = await self._get(asked)
        if device["status"] != "pending":
            raise Refusal(409, "conflict", f"the device is {device['status']}")
        self.state.audit("device_approve", asked.user, "device", device["id"])
        return self._becomes(device, "online", "device.approved")

    async def devices__remove(self, asked: Asked) -> Row:
        device = await self._get(asked)
        del self.state.areas["devices"][device["id"]]
        return self._becomes(device, "removed", "device.removed")

    async def virtual_servers__create(self, asked: Asked) -> Row:
        name = self.state.name("vs")
        made = {"id": name, "vcpus": 1, "memory_mb": 1024, "gpu": 0, "cost_per_hour": "0.10", **asked.body}
        self.state.areas["virtual_servers"][name] = {**made, "id": name, "started_at": moment()}
        return self._becomes(self.state.areas["virtual_servers"][name], "running", "virtual_server.created")

    async def virtual_servers__start(self, asked: Asked) -> Row:
        server = await self._get(asked)
        if server["status"] in ("running", "starting", "terminated"):
            raise Refusal(409, "conflict", f"the server is {server['status']}")
        server["status"] = "starting"
        self._soon(self._boot(server))
        return server

    async def _boot(self, server: Row) -> None:
        await asyncio.sleep(BOOT)
        if server["status"] == "starting":
            self._becomes(server, "running", "virtual_server.started")

    async def virtual_servers__stop(self, asked: Asked) -> Row:
        server = await self._get(asked)
        if server["status"] in ("stopped", "terminated"):
            raise Refusal(409, "conflict", f"the server is {server['status']}")
        return self._becomes(server, "stopped", "virtual_server.stopped")

    async def virtual_servers__resize(self, asked: Asked) -> Row:
        server = await self._get(asked)
        server.update(asked.body)
        return server

    async def virtual_servers__terminate(self, asked: Asked) -> Row:
        server = await self._get(asked)
        if server["status"] == "terminated":
            return server
        return self._becomes(server, "terminated", "virtual_server.terminated")

    # --- jobs

    async def _submit(self, asked: Asked) -> Row:
        area = asked.name.partition(".")[0]
        name = self.state.name(PREFIXES[area])
        job = self.state.areas[area][name] = {**asked.body, "id": name, "created_at": moment()}
        self.state.audit("job_create", asked.user, "job", name)
        self._becomes(job, "queued", "job.queued")
        self._soon(self._work(job))
        return dict(job)

    async def _work(self, job: Row) -> None:
        end = "failed" if job.get("fail") else "completed"
        for status, kind in (("running", "job.started"), (end, f"job.{end}")):
            await asyncio.sleep(BOOT)
            if job["status"] == "cancelled":
                return
            self._becomes(job, status, kind)

    async def _cancel(self, asked: Asked) -> Row:
        job = await self._get(asked)
        if job["status"] in ("completed", "failed", "cancelled"):
            raise Refusal(409, "conflict", f"the job is {job['status']}")
        self.state.audit("job_cancel", asked.user, "job", job["id"])
        job["status"] = "cancelled"
        return job

"""The types of Zyra's events.

https://getzyra.io/documentation/user-guides/organization/stage-4/02-webhooks
"""

EVENT_TYPES = (
    "device.online", "device.offline", "device.approved", "device.removed",
    "virtual_server.created", "virtual_server.started", "virtual_server.stopped", "virtual_server.terminated",
    "virtual_server.error",
    "job.queued", "job.started", "job.completed", "job.failed",
    "sla.breach.started", "sla.breach.resolved",
    "invoice.generated", "invoice.paid", "payment.failed",
)  # fmt: skip

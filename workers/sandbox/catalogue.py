"""Zyra's event types, and what each says has changed.

https://getzyra.io/documentation/user-guides/organization/stage-4/02-webhooks
"""

CHANGES = {
    "device.online": ("devices", "offline", "online"),
    "device.offline": ("devices", "online", "offline"),
    "device.approved": ("devices", "pending", "online"),
    "device.removed": ("devices", "offline", "removed"),
    "virtual_server.created": ("virtual_servers", "", "running"),
    "virtual_server.started": ("virtual_servers", "stopped", "running"),
    "virtual_server.stopped": ("virtual_servers", "running", "stopped"),
    "virtual_server.terminated": ("virtual_servers", "stopped", "terminated"),
    "virtual_server.error": ("virtual_servers", "running", "error"),
    "job.queued": ("ml_jobs", "", "queued"),
    "job.started": ("ml_jobs", "queued", "running"),
    "job.completed": ("ml_jobs", "running", "completed"),
    "job.failed": ("ml_jobs", "running", "failed"),
    "sla.breach.started": ("breaches", "", "open"),
    "sla.breach.resolved": ("breaches", "open", "resolved"),
    "invoice.generated": ("invoices", "", "issued"),
    "invoice.paid": ("invoices", "issued", "paid"),
    "payment.failed": ("invoices", "issued", "issued"),
}  # by type: the area, the status before ("": there was none), and the one after
TYPES = tuple(CHANGES)

"""The address of the worker for `rq worker --worker-class workers.worker.Worker`; `runtime` holds it."""

from .runtime.worker import Worker

__all__ = ["Worker"]

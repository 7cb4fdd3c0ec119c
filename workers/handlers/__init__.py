"""Handlers that come with the receiver. None runs unless WORKER_HANDLERS names its module."""

"""
ReceiverError
├── ConfigurationError   one or more faults a person must mend; the command line exits with 2
├── Unreadable           a body that no reader of its format can read
└── SealError            an event's seal does not open
    ├── UnknownKey       sealed with a key that SEAL_KEY no longer names: parked, never dropped
    └── Altered          the bytes or the labels are not the ones we sealed
"""

from collections.abc import Iterable


class ReceiverError(Exception):
    """Base class of the errors that this service raises on purpose."""


class ConfigurationError(ReceiverError):
    """faults: one line each, ready to be shown to the operator."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))


class Unreadable(ReceiverError):
    """cause: one of not-utf-8, not-json, constant, too-deep, long-number, not-form, not-a-token."""

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(cause)


class SealError(ReceiverError):
    pass


class UnknownKey(SealError):
    pass


class Altered(SealError):
    pass

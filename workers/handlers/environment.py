"""What shipped handlers read from the environment as they are loaded: `work` and `check` say what is missing."""

import os


def require(name: str, what: str) -> str:
    """Raises ValueError."""
    value = os.environ.get(name, "")
    if not value:
        raise ValueError(f"{name} is not set: {what}")
    return value


def read_seconds(name: str, default: float) -> float:
    """Raises ValueError."""
    try:
        return float(os.environ.get(name) or default)
    except ValueError:
        raise ValueError(f"{name} must be a number of seconds") from None

class CommandFailed(Exception):
    """What was asked for cannot be done; the message says why, and what to do. The command exits with 1."""

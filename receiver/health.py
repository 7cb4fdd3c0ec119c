"""The health check of a container: `python -m receiver.health [receiver|worker]`.

A socket and nothing else: at a quarter of a core the command line would take seconds to import, and in 64 MiB it would
end the container.
"""

import os
import socket
import sys

SECONDS = 3.0  # for the whole answer
PORTS = {"receiver": ("PORT", "8080"), "worker": ("METRICS_PORT", "9465")}


def ask(host: str, port: int, path: str = "/livez") -> int:
    """The status of the answer. Raises OSError."""
    with socket.create_connection((host, port), SECONDS) as talk:
        talk.settimeout(SECONDS)
        talk.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        words = talk.recv(1024).split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def find_host(role: str) -> str:
    """The address at which this container's own process listens."""
    host = os.environ.get("METRICS_HOST" if role == "worker" else "HOST") or os.environ.get("HOST") or "127.0.0.1"
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def main(role: str = "receiver") -> int:
    """The exit code: 0 while the process answers /livez, 2 for a role that is none."""
    if role not in PORTS:
        print(f"error: there is no role {role!r}: {' or '.join(PORTS)}", file=sys.stderr)
        return 2
    name, default = PORTS[role]
    host, port = find_host(role), os.environ.get(name) or default
    if port == "0":
        print(f"error: {name} is 0, so nobody can be asked: set it, or use `zyra-receiver health`", file=sys.stderr)
        return 2
    try:
        status = ask(host, int(port))
    except (OSError, ValueError) as error:
        print(f"error: no answer from {host}:{port}/livez: {error}", file=sys.stderr)
        return 1
    if status != 200:
        print(f"error: {host}:{port}/livez answers {status}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))

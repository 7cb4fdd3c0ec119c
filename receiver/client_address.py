"""Whose request it is: the address of the connection, or what proxies of ours say. For logs alone: it is not signed."""

import ipaddress
from collections.abc import Sequence

from starlette.types import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(text: str) -> tuple[Network, ...]:
    """10.0.0.0/8,fd00::/8 as networks. Raises ValueError."""
    try:
        return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"must be addresses or networks such as 10.0.0.0/8: {error}") from None


def find_client(scope: Scope, trusted: Sequence[Network]) -> str:
    """The last address that no trusted proxy has; "" on a Unix socket.

    X-Forwarded-For grows to the right: what stands to the left of the first untrusted address may be invented.
    """
    client = scope.get("client")
    address = str(client[0]) if client else ""
    if not is_within(address, trusted):
        return address
    told = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    for hop in reversed(",".join(told).split(",")):
        hop = hop.strip().strip("[]")
        if not is_address(hop):
            break
        address = hop
        if not is_within(address, trusted):
            break
    return address


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_within(address: str, networks: Sequence[Network]) -> bool:
    if not networks or not is_address(address):
        return False
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in networks)

"""SSRF guard: which addresses belong to the open internet. Only these may be contacted if others name the address.

The special-purpose registries of RFC 6890, as IANA keeps them, and what clouds use besides.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

SPECIAL_IPV4 = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's own services, on a public address
    )
]  # fmt: skip
GLOBAL_IPV6 = IPv6Network("2000::/3")  # everything that was ever allocated
SPECIAL_IPV6 = [
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them, which is looked into below
        "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    )
]  # fmt: skip
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")  # hosts that are this machine, as people write them
DEFAULT_PORTS = {"https": 443, "http": 80}
NAT64 = (IPv6Network("64:ff9b::/96"),)


def is_public(text: str) -> bool:
    """Whether an address is of the open internet, and so is the IPv4 address that it may stand for."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return not any(address in network for network in SPECIAL_IPV4)
    if any(address in network for network in NAT64):
        return is_public(str(IPv4Address(int(address) & 0xFFFFFFFF)))
    return is_global_ipv6(address)


def is_global_ipv6(address: IPv6Address) -> bool:
    return address in GLOBAL_IPV6 and not any(address in network for network in SPECIAL_IPV6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL whose host is looked up and checked first: the request then goes to an address, not to a name.

    path: with the query.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        """What the Host header says."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == DEFAULT_PORTS[self.scheme] else f"{name}:{self.port}"

    def at(self, address: str) -> str:
        """The URL with an address in place of the host."""
        return f"{self.scheme}://{f'[{address}]' if ':' in address else address}:{self.port}{self.path}"


def parse_target(url: str) -> Target:
    """Raises ValueError for anything but http and https with a host and without a user."""
    parts = urlsplit(url)
    port = parts.port if parts.port is not None else DEFAULT_PORTS.get(parts.scheme, 0)
    host = (parts.hostname or "").encode("idna").decode()
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError(f"{parts.scheme}://{host} is not https")
    if not host or not port or "@" in parts.netloc:
        raise ValueError("the URL must have a host and a port, and no user: give an Authorization header")
    return Target(
        scheme=parts.scheme, host=host, port=port, path=f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    )


def are_public(addresses: Iterable[str]) -> bool:
    """Whether there are any, and all are public."""
    listed = list(addresses)
    return bool(listed) and all(map(is_public, listed))

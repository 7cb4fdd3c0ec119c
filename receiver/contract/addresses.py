"""Which addresses belong to the open internet, so that nobody's URL leads us to the machines beside us."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

NAT64 = IPv6Network("64:ff9b::/96")


def public(text: str) -> bool:
    """Whether an address is global, and so is the IPv4 address that it may stand for."""
    address = ip_address(text.partition("%")[0])
    return address.is_global and not address.is_multicast and all(one.is_global for one in inside(address))


def inside(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 address is another way of writing."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one]

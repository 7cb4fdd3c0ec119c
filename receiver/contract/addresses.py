"""Which addresses belong to the open internet, so that nobody's URL leads us to the machines beside us."""

from ipaddress import IPv4Address, IPv6Network, ip_address

GLOBAL = IPv6Network("2000::/3")  # all that was ever given out
DOCUMENTATION = IPv6Network("3fff::/20")
NAT64 = IPv6Network("64:ff9b::/96")
CLOUDS = {IPv4Address("168.63.129.16")}  # Azure's own services, on a public address


def public(text: str) -> bool:
    """Whether an address is global, and so is the IPv4 address that it may stand for."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and address not in CLOUDS
    if address in NAT64:
        return public(str(IPv4Address(int(address) & 0xFFFFFFFF)))
    within = [one for one in (address.sixtofour, *(address.teredo or ())) if one]
    known = address in GLOBAL and address not in DOCUMENTATION and address.is_global
    return known and all(public(str(one)) for one in within)

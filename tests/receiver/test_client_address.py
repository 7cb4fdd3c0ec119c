import pytest

from receiver.client_address import find_client, parse_networks

OURS = parse_networks("10.0.0.0/8, fd00::/8")


def scope(address: str, *forwarded: str) -> dict[str, object]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"client": (address, 1) if address else None, "headers": headers}


@pytest.mark.parametrize(
    ("address", "forwarded", "found"),
    [
        ("203.0.113.9", (), "203.0.113.9"),
        ("203.0.113.9", ("198.51.100.7",), "203.0.113.9"),  # nobody of ours said that
        ("10.1.2.3", ("198.51.100.7",), "198.51.100.7"),
        ("10.1.2.3", ("1.1.1.1, 198.51.100.7",), "198.51.100.7"),  # the left may be invented
        ("10.1.2.3", ("1.1.1.1, 198.51.100.7, 10.9.9.9",), "198.51.100.7"),
        ("10.1.2.3", ("1.1.1.1", "198.51.100.7"), "198.51.100.7"),
        ("10.1.2.3", ("10.0.0.1",), "10.0.0.1"),
        ("10.1.2.3", ("junk\n",), "10.1.2.3"),
        ("10.1.2.3", (), "10.1.2.3"),
        ("fd00::1", ("[2001:db8::1]",), "2001:db8::1"),
        ("", ("198.51.100.7",), ""),
    ],
)
def test_the_last_address_that_no_proxy_of_ours_has(address: str, forwarded: tuple[str, ...], found: str) -> None:
    assert find_client(scope(address, *forwarded), OURS) == found


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert find_client(scope("10.1.2.3", "198.51.100.7"), ()) == "10.1.2.3"


def test_what_is_no_network_is_named() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/8"):
        parse_networks("10.0.0.0/8,proxy")

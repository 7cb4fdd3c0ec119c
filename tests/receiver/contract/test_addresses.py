import pytest

from receiver.contract.addresses import are_public, is_public, parse_target


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("52.94.5.1", True),
        ("2600:1f00::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff0e::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::345e:501", True),
        ("2002:7f00:1::", False),
        ("2002:3405:501::", False),  # 6to4, whoever it leads to
        ("192.0.0.8", False),
        ("192.88.99.1", False),
        ("192.31.196.1", False),
        ("198.19.255.255", False),
        ("240.0.0.1", False),
        ("2001::1", False),
        ("2001:1ff:ffff::", False),
        ("2001:200::1", True),
        ("2001:db8::1", False),
        ("2620:4f:8000::1", False),
        ("64:ff9b:1::a00:1", False),
        ("fec0::1", False),
        ("::127.0.0.1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("168.63.129.16", False),
        ("2002:0a00:0001::1", False),
    ],
)
def test_only_addresses_of_the_open_internet_are_public(address: str, expected: bool) -> None:
    assert is_public(address) is expected


@pytest.mark.parametrize(
    ("url", "netloc", "at"),
    [
        ("http://[::1]:80/a?b", "[::1]", "http://[2001:db8::1]:80/a?b"),
        ("https://hooks.example:8443", "hooks.example:8443", "https://[2001:db8::1]:8443/"),
        ("https://b\u00fccher.example/x", "xn--bcher-kva.example", "https://[2001:db8::1]:443/x"),
    ],
)
def test_a_request_goes_to_an_address_and_names_its_host(url: str, netloc: str, at: str) -> None:
    target = parse_target(url)

    assert (target.netloc, target.at("2001:db8::1")) == (netloc, at)


@pytest.mark.parametrize("url", ["ftp://a/", "https://", "https://u@a/", "https://a:99999/", "https://[", "a/b"])
def test_a_url_that_cannot_be_contacted_is_no_target(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_target(url)


def test_no_address_is_not_public() -> None:
    assert not are_public([])
    assert are_public(["8.8.8.8"])
    assert not are_public(["8.8.8.8", "10.0.0.1"])

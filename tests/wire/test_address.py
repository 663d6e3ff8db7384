import pytest

from meshproxy.wire.address import address_problem, endpoint_order, is_spiffe_id, spiffe_id


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.1.1", "::1", "fd00::1", "2001:db8::ff"])
def test_unicast_addresses_are_usable_loopback_included(address):
    assert address_problem(address) == ""


@pytest.mark.parametrize(
    "address",
    ["", "x",
     "010.0.0.1", "10.0.0", "[::1]", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "fe80::1%eth0",
     "FD00::1", "fd00:0::1", "10.0.0.1 ", "10.0.0.1/8", "localhost"],
)  # fmt: skip
def test_what_cannot_be_dialed_or_is_spelled_otherwise_is_refused(address):
    assert address_problem(address)


def test_addresses_are_ordered_as_numbers():
    places = [("fd00::1", 1), ("10.0.0.10", 80), ("10.0.0.9", 90), ("10.0.0.9", 80), ("9.0.0.1", 80)]
    assert sorted(places, key=lambda place: endpoint_order(*place)) == [
        ("9.0.0.1", 80), ("10.0.0.9", 80), ("10.0.0.9", 90), ("10.0.0.10", 80), ("fd00::1", 1),
    ]  # fmt: skip


def test_an_identity_has_one_form():
    assert spiffe_id("cluster.local", "shop", "reviews") == "spiffe://cluster.local/ns/shop/sa/reviews"
    assert is_spiffe_id("spiffe://cluster.local/ns/shop/sa/reviews")


@pytest.mark.parametrize(
    "text",
    ["", "spiffe://",
     "spiffe://td/ns/shop", "spiffe://TD/ns/shop/sa/a", "http://td/ns/shop/sa/a", "spiffe://td/ns//sa/a",
     "spiffe://td/ns/shop/sa/a/b", "spiffe://td/ns/shop/sa/a\n", "spiffe://td/ns/a.b/sa/a", "spiffe://td:1/ns/a/sa/a"],
)  # fmt: skip
def test_any_other_form_is_no_identity(text):
    assert not is_spiffe_id(text)

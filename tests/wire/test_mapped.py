"""IPv4 addresses in IPv6's clothes: the kernel takes both for one, so a snapshot may spell an address one way only."""

from __future__ import annotations

import pytest

from meshproxy.wire import resources as wire
from meshproxy.wire.address import address_problem
from meshproxy.wire.snapshot import SnapshotError, dump, load
from tests.fakes.snapshots import service


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::ffff:7f00:1", "127.0.0.1"),
        ("::FFFF:10.0.0.1", "10.0.0.1"),
        ("0:0:0:0:0:ffff:a00:1", "10.0.0.1"),
    ],
)
def test_a_mapped_address_is_refused_with_the_one_that_is_meant(address: str, plain: str) -> None:
    assert address_problem(address).endswith(f"allowed: {plain}")


@pytest.mark.parametrize("address", ["::ffff:0:0:1", "::fffe:7f00:1", "2001:db8::ffff:7f00:1"])
def test_addresses_that_only_look_like_it_are_usable(address: str) -> None:
    assert address_problem(address) == ""


def test_a_snapshot_with_a_mapped_endpoint_is_refused() -> None:
    entries = service("echo", [wire.Endpoint(address="127.0.0.1", port=80)])
    data = dump(entries)
    assert load(data).entries
    with pytest.raises(SnapshotError, match=r"endpoints\[0\]\.address: .* allowed: 127\.0\.0\.1"):
        load(data.replace(b'"127.0.0.1"', b'"::ffff:7f00:1"'))

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator

import pytest

from loadtest.block import APP_PORT, Block, NoBlockError


@contextlib.contextmanager
def block() -> Iterator[Block]:
    found = Block()
    try:
        yield found
    finally:
        found.release()


def network(block: Block) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(f"{block.address()}/24", strict=False)


def test_blocks_side_by_side_have_no_address_in_common() -> None:
    with contextlib.ExitStack() as stack:
        found = [network(stack.enter_context(block())) for _ in range(20)]
    assert len(set(found)) == 20
    assert all(each.subnet_of(ipaddress.IPv4Network("127.0.0.0/8")) for each in found)
    assert ipaddress.IPv4Network("127.0.0.0/24") not in found


def test_a_block_that_was_released_can_be_had_again() -> None:
    def is_had_again() -> bool:
        with block() as first:
            before = network(first)
        with block() as second:
            return network(second) == before

    assert any(is_had_again() for _ in range(50))  # somebody else may have taken it meanwhile


def test_every_address_is_given_out_once_and_then_it_is_told() -> None:
    with block() as found:
        given = [found.address() for _ in range(253)]
        assert len(set(given)) == 253
        assert all(address.rpartition(".")[2] not in {"0", "254", "255"} for address in given)
        for _ in range(2):
            with pytest.raises(NoBlockError, match="253 addresses"):
                found.address()


def test_an_instance_can_listen_at_every_address() -> None:
    with block() as found, contextlib.ExitStack() as stack:
        for _ in range(253):
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
            listener.bind((found.address(), APP_PORT))


def test_addresses_that_are_not_here_are_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.block._NETWORK", 240)
    with pytest.raises(NoBlockError, match=r"240\.[0-9.]+:7999 cannot be bound \(.+\): .* loopback .* container"):
        Block()

"""Which Ack belongs to which change."""

from __future__ import annotations

import pytest

from control.push.encode import text_frame
from tests.bench.acks import delays
from tests.bench.catalog import place_of
from tests.bench.cluster import Change
from tests.bench.sidecars import Ack, Setup, Sidecar, follow, turn_of
from tests.bench.streams import LightStream


def test_each_follower_of_a_service_counts_once() -> None:
    changes = [Change(1, 7, 10.0), Change(2, 8, 10.5)]
    acks = [Ack(0, 1, 10.2), Ack(1, 1, 10.1), Ack(1, 2, 11.0)]
    found, missing = delays(changes, acks, {7: [0, 1], 8: [1]})
    assert found == pytest.approx([0.1, 0.2, 0.5])
    assert missing == 0


def test_a_later_change_of_the_same_service_stands_for_the_one_before() -> None:
    changes = [Change(1, 7, 10.0), Change(2, 8, 10.1), Change(3, 7, 10.2)]
    found, missing = delays(changes, [Ack(0, 3, 10.3)], {7: [0]})
    assert found == pytest.approx([0.1, 0.3])
    assert missing == 0


def test_what_nobody_has_acknowledged_is_missing() -> None:
    changes = [Change(5, 7, 10.0), Change(6, 7, 11.0)]
    acks = [Ack(0, 4, 9.0), Ack(0, 5, 10.1), Ack(1, 4, 9.0)]
    assert delays(changes, acks, {7: [0, 1]}) == (pytest.approx([0.1]), 3)


def test_a_service_without_followers_has_no_acks() -> None:
    assert delays([Change(1, 7, 10.0)], [], {}) == ([], 0)


@pytest.mark.parametrize("turn", [0, 1, 249, 250, 62_499, 62_500, 1_000_000])
def test_an_address_tells_its_turn(turn: int) -> None:
    assert turn_of(*map(int, place_of(turn).split(".")[1:])) == turn


def test_the_watched_services_have_their_followers_and_the_others_equally_many() -> None:
    setup = Setup(push=0, services=1_000, endpoints=0, streams=100, spread=104, follow=20, watched=[0, 1, 10, 100])
    counts = [0] * setup.services
    for stream in range(setup.streams):
        for service in follow(stream, setup):
            counts[service] += 1
    assert counts[:4] == [0, 1, 10, 100]
    assert set(counts[4:104]) <= {18, 19}
    assert not any(counts[104:])


class Port:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


def test_an_ack_is_noted_with_the_turns_of_its_push() -> None:
    acks: list[Ack] = []
    sidecar: LightStream = Sidecar(3, ["service/a/b"], acks)
    sidecar.connection_made(Port())
    sidecar.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    endpoints = b'{"address":"11.0.0.6"},{"address":"10.0.0.9"},{"address":"11.0.1.1"}'
    sidecar.data_received(text_frame(b'{"type":"push","nonce":"4","updated":[%s],"removed":[]}' % endpoints))
    sidecar.data_received(text_frame(b'{"type":"push","nonce":"5","updated":[],"removed":["service/a/b"]}'))
    assert [(ack.stream, ack.turn) for ack in acks] == [(3, 5), (3, 250)]

"""What is counted, and that it is forgotten when it was told."""

from __future__ import annotations

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from loadtest.client.call import Call, Kind
from loadtest.client.tally import LONGEST_US, Tally, rounded
from loadtest.messages import (
    CHUNK,
    SEEN_BROKEN,
    SEEN_FAILURE,
    SEEN_NOTHING,
    SEEN_SUCCESS,
    SEEN_UNSENT,
    WRITE,
    Cell,
)
from loadtest.outcome import ABANDONED, NOT_SENT, WORDS
from loadtest.scenario.model import Request

HDR = HdrHistogram(1, LONGEST_US, 3)
GET = Kind(Request(), "echo", "echo", "run-0-", True)
POST = Kind(Request(method="POST"), "echo", "echo", "run-0-", True)


def tally(bin_s: float = 0.1) -> Tally:
    return Tally(bin_s, frozenset({200, 201}), [False, True])


@given(st.integers(1, LONGEST_US))
def test_a_latency_is_rounded_as_an_hdr_histogram_does(microseconds: int):
    assert rounded(microseconds) == HDR.get_lowest_equivalent_value(microseconds)


@pytest.mark.parametrize("edge", [1, 2, 2046, 2047, 2048, 2049, 4095, 4096, 4098, LONGEST_US - 1, LONGEST_US])
def test_so_are_the_edges(edge: int):
    assert rounded(edge) == HDR.get_lowest_equivalent_value(edge)


def test_what_is_out_of_range_is_the_nearest_that_is_in():
    assert rounded(-5) == rounded(0) == 1
    assert rounded(10 * LONGEST_US) == HDR.get_lowest_equivalent_value(LONGEST_US)


def settle(
    counted: Tally, number: int, due_s: float, phase: int, outcome: int | str, us: int, kind: Kind = GET
) -> None:
    counted.add(Call(number, due_s, phase, kind), outcome, due_s + us * 1e-6 + 1e-9)


def test_requests_are_counted_by_phase_and_bin_of_their_intended_start():
    counted = tally()
    settle(counted, 0, 0.05, 0, 200, us=1000)
    settle(counted, 1, 0.05, 0, 503, us=2000)
    settle(counted, 2, 0.05, 0, 201, us=2000)
    settle(counted, 3, 0.30, 1, "reset", us=5001)
    assert counted.take_cells() == [
        Cell(0, 0, {"200": 1, "503": 1, "201": 1}, {1000: 1, 2000: 1}, {1000: 1, 2000: 2}),
        Cell(1, 3, {"reset": 1}, {}, {5000: 1}),
    ]


@pytest.mark.parametrize("number", range(30))
def test_a_start_on_the_edge_of_a_bin_is_in_the_later_one(number: int):
    counted = tally()
    settle(counted, 0, number / 10, 0, 200, us=1)
    assert [cell.bin for cell in counted.take_cells()] == [number]


def test_what_was_taken_is_not_told_again():
    counted = tally()
    settle(counted, 0, 0.0, 0, 200, us=10)
    counted.late(0.0000201, 1)
    counted.late(0.0000301, 0)  # not measured
    assert counted.take_lateness() == {20: 1}
    assert len(counted.take_cells()) == 1
    assert counted.take_cells() == []
    assert counted.take_lateness() == {}
    settle(counted, 1, 0.0, 0, 200, us=10)
    assert [cell.counts for cell in counted.take_cells()] == [{"200": 1}]


def test_a_chunk_is_told_once_when_it_is_complete():
    counted = tally()
    for number in reversed(range(1, CHUNK)):
        settle(counted, number, 0.0, 0, 200, us=10)
    settle(counted, CHUNK, 0.0, 0, 200, us=10)
    assert counted.take_chunks(rest=False) == []
    settle(counted, 0, 0.0, 0, 404, us=10)
    (chunk,) = counted.take_chunks(rest=False)
    assert (chunk.index, chunk.seen) == (0, bytes([SEEN_FAILURE] + [SEEN_SUCCESS] * (CHUNK - 1)))
    (rest,) = counted.take_chunks(rest=True)
    assert (rest.index, rest.seen) == (1, bytes([SEEN_SUCCESS] + [SEEN_NOTHING] * (CHUNK - 1)))
    assert counted.take_chunks(rest=True) == []


@pytest.mark.parametrize(
    ("outcome", "seen"),
    [(200, SEEN_SUCCESS), (404, SEEN_FAILURE), (ABANDONED, SEEN_NOTHING)]
    + [(word, SEEN_UNSENT if word in NOT_SENT else SEEN_BROKEN) for word in sorted(set(WORDS) - {ABANDONED})],
)
def test_every_outcome_has_its_byte_and_writes_are_marked(outcome: int | str, seen: int):
    counted = tally()
    settle(counted, 0, 0.0, 0, outcome, us=10)
    settle(counted, 1, 0.0, 0, outcome, us=10, kind=POST)
    (chunk,) = counted.take_chunks(rest=True)
    assert list(chunk.seen[:2]) == [seen, seen + WRITE]


def test_what_was_given_up_before_it_was_sent_is_unsent():
    counted = tally()
    counted.add(Call(0, 0.0, 0, GET), ABANDONED, 1.0, is_sent=False)
    assert counted.take_chunks(rest=True)[0].seen[0] == SEEN_UNSENT
    assert counted.take_cells()[0].counts == {ABANDONED: 1}


def test_nothing_is_kept_of_what_was_told():
    counted = tally()
    for number in range(20 * CHUNK):
        settle(counted, number, number / 1000, 0, 200, us=number % 50)
        if number % 1000 == 999:
            counted.take_cells()
            counted.take_chunks(rest=False)
    counted.take_cells()
    counted.take_chunks(rest=False)
    assert not counted._bins
    assert not counted._chunks
    assert not counted._full

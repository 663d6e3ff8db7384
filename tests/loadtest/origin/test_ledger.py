"""Counts by id."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.messages import CHUNK, Taken
from loadtest.origin.ledger import MOST_CHUNKS, UNKNOWN, Ledger


def test_ids_are_counted_in_their_chunks() -> None:
    ledger = Ledger("r-1")
    first, last = ledger.key(b"r-1-0-0"), ledger.key(b"r-1-3-%d" % (2 * CHUNK - 1))
    ledger.receive(first)
    ledger.receive(last)
    ledger.receive(last)
    ledger.execute(last)
    told = {(each.worker, each.index): each for each in ledger.take_rest()}
    assert set(told) == {(0, 0), (3, 1)}
    assert told[0, 0].received == b"\1" + bytes(CHUNK - 1)
    assert told[0, 0].executed == bytes(CHUNK)
    assert told[3, 1].received == bytes(CHUNK - 1) + b"\2"
    assert told[3, 1].executed == bytes(CHUNK - 1) + b"\1"


@pytest.mark.parametrize(
    "request_id",
    [
        b"", b"r", b"r-1", b"r-1-", b"r-1-0", b"r-1-0-", b"r-1--1", b"r-1-0-x", b"r-1-0-1 ", b"r-1-+0-1", b"r-1-0-1_0",
        b"r-2-0-1", b"R-1-0-1", b"r-1-0-1-1", b"r-1-1000-1", b"r-1-0-%d" % (CHUNK << 32), b"r-1-0-" + b"9" * 5000,
        "r-1-0-\u0661".encode(),
    ],
)  # fmt: skip
def test_what_is_no_id_of_the_run_is_unknown(request_id: bytes) -> None:
    assert Ledger("r-1").key(request_id) == UNKNOWN


def test_what_is_taken_is_forgotten_and_told_once() -> None:
    ledger = Ledger("r")
    for number in (1, CHUNK + 1):
        ledger.receive(ledger.key(b"r-0-%d" % number))
    assert [each.index for each in ledger.take([(0, 1), (0, 1), (0, 7), (1, 0)])] == [1]
    assert [each.index for each in ledger.take_rest()] == [0]
    assert ledger.take_rest() == []


def test_what_comes_after_its_chunk_was_taken_is_told_the_next_time() -> None:
    ledger = Ledger("r")
    key = ledger.key(b"r-0-1")
    ledger.receive(key)
    ledger.take([(0, 0)])
    ledger.execute(key)
    (late,) = ledger.take_rest()
    assert (late.received[1], late.executed[1]) == (0, 1)


def test_counts_stay_at_255() -> None:
    ledger = Ledger("r")
    key = ledger.key(b"r-0-0")
    for _ in range(300):
        ledger.receive(key)
        ledger.execute(key)
    (told,) = ledger.take_rest()
    assert (told.received[0], told.executed[0]) == (255, 255)


def test_chunks_past_the_bound_are_unknown_and_what_was_known_stays() -> None:
    ledger = Ledger("r")
    for index in range(MOST_CHUNKS + 10):
        key = ledger.key(b"r-0-%d" % (index * CHUNK))
        ledger.receive(key)
        ledger.execute(key)
    assert ledger.take_unknown() == 10
    assert ledger.take_unknown() == 0
    told = ledger.take_rest()
    assert [each.index for each in told] == list(range(MOST_CHUNKS))
    # What the run reads in one line (process.py).
    assert len(msgspec.json.encode(Taken(told, 10))) < 64 * 1024 * 1024


@given(st.integers(0, 999), st.integers(0, (CHUNK << 32) - 1))
def test_every_id_has_its_own_place(worker: int, number: int) -> None:
    ledger = Ledger("r")
    ledger.receive(ledger.key(b"r-%d-%d" % (worker, number)))
    (told,) = ledger.take([(worker, number // CHUNK)])
    assert (told.worker, told.index, told.received.index(1)) == (worker, number // CHUNK, number % CHUNK)

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.messages import (
    CHUNK,
    SEEN_BROKEN,
    SEEN_FAILURE,
    SEEN_NOTHING,
    SEEN_SUCCESS,
    SEEN_UNSENT,
    WRITE,
    Executions,
    Outcomes,
)
from loadtest.results.ledger import GRACE_S, MOST_ASKED, MOST_EXAMPLES, Reconciler
from loadtest.results.model import Ledger

FIGURES = (
    "sent", "succeeded", "failed", "failed_executed", "lost", "repeated", "executed_twice", "writes", "writes_repeated",
    "writes_executed_twice",
)  # fmt: skip


def compare(seen: bytes, received: bytes, executed: bytes) -> Ledger:
    """Of one chunk that was asked for."""
    reconciler = Reconciler("r")
    reconciler.saw(0, Outcomes(0, seen), 0.0)
    reconciler.took(reconciler.due(GRACE_S), [Executions(0, 0, received, executed)])
    return reconciler.ledger()


def figures(ledger: Ledger) -> dict[str, int]:
    """Those that are not 0."""
    return {name: value for name in FIGURES if (value := getattr(ledger, name))}


SUCCEEDED = {"sent": 1, "succeeded": 1}
FAILED = {"sent": 1, "failed": 1}
TABLE: list[tuple[int, int, int, dict[str, int]]] = [
    (SEEN_SUCCESS, 0, 0, SUCCEEDED | {"lost": 1}),
    (SEEN_SUCCESS, 1, 0, SUCCEEDED | {"lost": 1}),
    (SEEN_SUCCESS, 2, 0, SUCCEEDED | {"lost": 1, "repeated": 1}),
    (SEEN_SUCCESS, 1, 1, SUCCEEDED),
    (SEEN_SUCCESS, 2, 1, SUCCEEDED | {"repeated": 1}),
    (SEEN_SUCCESS, 2, 2, SUCCEEDED | {"repeated": 1, "executed_twice": 1}),
    (SEEN_SUCCESS, 255, 255, SUCCEEDED | {"repeated": 1, "executed_twice": 1}),
    *[
        row
        for seen in (SEEN_FAILURE, SEEN_BROKEN)
        for row in (
            (seen, 0, 0, FAILED),
            (seen, 1, 0, FAILED),
            (seen, 1, 1, FAILED | {"failed_executed": 1}),
            (seen, 2, 0, FAILED | {"repeated": 1}),
            (seen, 2, 1, FAILED | {"failed_executed": 1, "repeated": 1}),
            (seen, 3, 2, FAILED | {"failed_executed": 1, "repeated": 1, "executed_twice": 1}),
        )
    ],
    *[
        row
        for seen in (SEEN_UNSENT, SEEN_NOTHING)
        for row in (
            (seen, 0, 0, {}),
            (seen, 1, 0, FAILED),
            (seen, 1, 1, FAILED | {"failed_executed": 1}),
            (seen, 2, 2, FAILED | {"failed_executed": 1, "repeated": 1, "executed_twice": 1}),
        )
    ],
]


@pytest.mark.parametrize(("seen", "received", "executed", "counted"), TABLE)
def test_every_row_of_the_table(seen: int, received: int, executed: int, counted: dict[str, int]) -> None:
    ledger = compare(bytes([seen]), bytes([received]), bytes([executed]))
    assert figures(ledger) == counted
    assert ledger.amplification == (received if counted else 0.0)


@pytest.mark.parametrize(("seen", "received", "executed", "counted"), TABLE)
def test_a_write_is_counted_as_one_besides(seen: int, received: int, executed: int, counted: dict[str, int]) -> None:
    ledger = compare(bytes([seen | WRITE]), bytes([received]), bytes([executed]))
    besides = {"writes": "sent", "writes_repeated": "repeated", "writes_executed_twice": "executed_twice"}
    assert figures(ledger) == counted | {name: counted[of] for name, of in besides.items() if of in counted}


class One(NamedTuple):
    seen: int
    received: int
    executed: int


ONES = st.builds(
    lambda seen, write, received, executed: One(seen | write, received, min(received, executed)),
    st.sampled_from([SEEN_NOTHING, SEEN_SUCCESS, SEEN_FAILURE, SEEN_BROKEN, SEEN_UNSENT]),
    st.sampled_from([0, WRITE]),
    st.integers(0, 3),
    st.integers(0, 3),
)
CHUNKS = st.dictionaries(
    st.tuples(st.integers(0, 2), st.integers(0, 5)), st.lists(ONES, min_size=1, max_size=20), max_size=8
)  # fmt: skip


def told(chunks: dict[tuple[int, int], list[One]]) -> Ledger:
    """Outcomes first, and all executions at the end."""
    reconciler = Reconciler("r")
    for (worker, index), ones in chunks.items():
        reconciler.saw(worker, outcomes(index, ones), 0.0)
    for (worker, index), ones in chunks.items():
        reconciler.executed(executions(worker, index, ones))
    return reconciler.ledger()


def outcomes(index: int, ones: list[One]) -> Outcomes:
    return Outcomes(index, bytes(one.seen for one in ones))


def executions(worker: int, index: int, ones: list[One]) -> Executions:
    return Executions(worker, index, bytes(one.received for one in ones), bytes(one.executed for one in ones))


@settings(max_examples=60)
@given(CHUNKS)
def test_what_was_sent_is_conserved(chunks: dict[tuple[int, int], list[One]]) -> None:
    ledger = told(chunks)
    assert ledger.sent == ledger.succeeded + ledger.failed
    assert ledger.lost <= ledger.succeeded
    assert ledger.failed_executed <= ledger.failed
    assert ledger.writes_executed_twice <= ledger.writes_repeated <= ledger.writes <= ledger.sent
    assert ledger.writes_executed_twice <= ledger.executed_twice <= ledger.repeated <= ledger.sent
    ones = [one for each in chunks.values() for one in each]
    assert ledger.succeeded == sum(one.seen & ~WRITE == SEEN_SUCCESS for one in ones)
    assert ledger.executed_twice == sum(one.executed > 1 for one in ones)
    assert ledger.succeeded - ledger.lost + ledger.failed_executed == sum(one.executed > 0 for one in ones)
    assert ledger.amplification * ledger.sent == pytest.approx(sum(one.received for one in ones))


@settings(max_examples=60)
@given(CHUNKS, st.data())
def test_when_it_was_told_does_not_matter(chunks: dict[tuple[int, int], list[One]], data: st.DataObject) -> None:
    reconciler = Reconciler("r")
    rest = []
    for worker, index in data.draw(st.permutations(list(chunks))):
        ones = chunks[worker, index]
        told_first = data.draw(st.booleans())
        if told_first:
            reconciler.executed(executions(worker, index, ones))
        reconciler.saw(worker, outcomes(index, ones), 0.0)
        if not told_first:
            rest.append((worker, index))
    asked = reconciler.due(GRACE_S)
    assert asked == rest
    reconciler.took(asked, [executions(*key, chunks[key]) for key in asked if any(one.received for one in chunks[key])])
    assert reconciler.kept == 0
    ledger = reconciler.ledger()
    assert figures(ledger) == figures(told(chunks))
    assert ledger.amplification == told(chunks).amplification


def test_chunks_are_asked_for_once_and_after_their_grace() -> None:
    reconciler = Reconciler("r")
    reconciler.saw(1, Outcomes(0, b"\1"), 100.0)
    reconciler.saw(0, Outcomes(3, b"\1"), 101.0)
    assert reconciler.due(100.0 + GRACE_S - 0.01) == []
    assert reconciler.due(100.0 + GRACE_S) == [(1, 0)]
    assert reconciler.due(102.0 + GRACE_S) == [(0, 3)]
    assert reconciler.due(1000.0) == []


def test_one_take_asks_for_a_bounded_number() -> None:
    reconciler = Reconciler("r")
    for index in range(MOST_ASKED + 1):
        reconciler.saw(0, Outcomes(index, b"\1"), 0.0)
    assert len(reconciler.due(GRACE_S)) == MOST_ASKED
    assert reconciler.due(GRACE_S) == [(0, MOST_ASKED)]


def test_what_was_asked_for_and_not_told_never_arrived() -> None:
    reconciler = Reconciler("r")
    reconciler.saw(0, Outcomes(0, bytes([SEEN_SUCCESS, SEEN_UNSENT])), 0.0)
    reconciler.took(reconciler.due(GRACE_S), [])
    assert reconciler.kept == 0
    assert figures(reconciler.ledger()) == {"sent": 1, "succeeded": 1, "lost": 1}


def test_what_is_compared_is_forgotten() -> None:
    reconciler = Reconciler("r")
    seen = bytes([SEEN_SUCCESS]) * CHUNK
    most = 0
    for index in range(400):
        reconciler.saw(0, Outcomes(index, seen), float(index))
        due = reconciler.due(float(index))
        reconciler.took(due, [Executions(*chunk, seen, seen) for chunk in due])
        most = max(most, reconciler.kept)
    assert most <= GRACE_S + 1
    reconciler.took([], [Executions(0, index, seen, seen) for index in range(400 - reconciler.kept, 400)])
    ledger = reconciler.ledger()
    assert figures(ledger) == {"sent": 400 * CHUNK, "succeeded": 400 * CHUNK}
    assert ledger.amplification == 1.0
    assert ledger.examples == {}
    assert sum(len(each._beyond) for each in reconciler._compared.values()) == 0


def test_what_arrives_after_the_comparison_is_late() -> None:
    reconciler = Reconciler("r")
    reconciler.saw(0, Outcomes(0, bytes([SEEN_SUCCESS, SEEN_BROKEN])), 0.0)
    reconciler.took(reconciler.due(GRACE_S), [Executions(0, 0, b"\1\0", b"\1\0")])
    reconciler.executed(Executions(0, 0, b"\0\2", b"\0\2"))
    reconciler.executed(Executions(0, 0, b"\0\0", b"\0\0"))
    ledger = reconciler.ledger()
    assert ledger.late == 1
    assert ledger.amplification == 1.5
    assert figures(ledger) == {"sent": 2, "succeeded": 1, "failed": 1}


def test_executions_told_in_parts_add_up() -> None:
    reconciler = Reconciler("r")
    reconciler.executed(Executions(0, 0, b"\1\xfe", b"\1\xfe"))
    reconciler.executed(Executions(0, 0, b"\1\5\1", b"\1\5\1"))
    reconciler.saw(0, Outcomes(0, bytes([SEEN_SUCCESS] * 3)), 0.0)
    ledger = reconciler.ledger()
    assert figures(ledger) == {"sent": 3, "succeeded": 3, "repeated": 2, "executed_twice": 2}
    assert ledger.amplification == (2 + 255 + 1) / 3


def test_executions_without_outcomes_are_of_requests_whose_caller_saw_nothing() -> None:
    reconciler = Reconciler("r")
    reconciler.executed(Executions(7, 2, b"\0\1", b"\0\1"))
    ledger = reconciler.ledger()
    assert figures(ledger) == {"sent": 1, "failed": 1, "failed_executed": 1}
    assert ledger.examples == {"failed_executed": [f"r-7-{2 * CHUNK + 1}"]}


def test_examples_are_a_few_ids_of_each_kind() -> None:
    count = MOST_EXAMPLES + 2
    seen = bytes([SEEN_SUCCESS] + [SEEN_SUCCESS | WRITE] * count + [SEEN_SUCCESS] * count + [SEEN_FAILURE])
    executed = bytes([1] + [2] * count + [0] * count + [1])
    examples = compare(seen, executed, executed).examples
    assert examples.keys() == {"writes_executed_twice", "executed_twice", "lost", "failed_executed"}
    assert examples["writes_executed_twice"] == ["r-0-1", "r-0-2", "r-0-3", "r-0-4", "r-0-5"]
    assert examples["lost"][0] == f"r-0-{1 + count}"
    assert examples["failed_executed"] == [f"r-0-{1 + 2 * count}"]
    assert all(len(ids) <= MOST_EXAMPLES for ids in examples.values())


def test_a_ledger_told_twice_is_the_same() -> None:
    reconciler = Reconciler("r")
    reconciler.saw(0, Outcomes(0, bytes([SEEN_SUCCESS])), 0.0)
    first = figures(reconciler.ledger(unknown=4))
    assert (figures(reconciler.ledger(unknown=4)), reconciler.ledger(unknown=4).unknown) == (first, 4)
    assert reconciler.ledger().is_known


def test_nothing_sent_is_no_amplification() -> None:
    assert Reconciler("r").ledger().amplification == 0.0


@pytest.mark.parametrize("seen", [bytes([5]), bytes([SEEN_SUCCESS, 16]), bytes(CHUNK + 1)])
def test_what_is_no_outcome_is_refused(seen: bytes) -> None:
    with pytest.raises(ValueError, match="no outcome"):
        Reconciler("r").saw(0, Outcomes(0, seen), 0.0)


def test_outcomes_that_come_twice_are_refused() -> None:
    reconciler = Reconciler("r")
    reconciler.saw(0, Outcomes(1, b"\1"), 0.0)
    with pytest.raises(ValueError, match="came twice"):
        reconciler.saw(0, Outcomes(1, b"\1"), 0.0)
    reconciler.took(reconciler.due(GRACE_S), [Executions(0, 1, b"\1", b"\1")])
    with pytest.raises(ValueError, match="came twice"):
        reconciler.saw(0, Outcomes(1, b"\1"), 0.0)

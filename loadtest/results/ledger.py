"""What callers saw against what origins did, id by id: lost, failed, repeated, executed twice.

An arrival proves that a request was sent, whatever the caller saw; without one, the caller's word stands:

| the caller saw       | arrived | sent | counts as                                      |
|----------------------|---------|------|------------------------------------------------|
| success              | no      | yes  | succeeded, lost                                |
| success              | yes     | yes  | succeeded, and lost unless it was executed     |
| failure, broken      | no      | yes  | failed                                         |
| failure, broken      | yes     | yes  | failed, failed_executed if it was executed     |
| unsent, nothing      | no      | no   | nothing                                        |
| unsent, nothing      | yes     | yes  | failed, failed_executed if it was executed     |

What arrived or was executed more than once is repeated or executed_twice, too; with the mark of a write it counts among
those as well. So sent = succeeded + failed. A caller that saw nothing (the run was ended first) saw no success; when
such a request did not arrive either, nothing tells whether it was sent, or whether there was one: it is not counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

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
from loadtest.results.model import Ledger

GRACE_S = 10.0
"""What arrives so long after a whole chunk's outcomes were known is late: time for what still stood in queues."""
MOST_ASKED = 256
"""Chunks in one Take: its answer stays within some megabytes."""
MOST_EXAMPLES = 5
_EXAMPLES = ("lost", "writes_executed_twice", "executed_twice", "failed_executed")
_SEEN = bytes(
    seen + write
    for seen in (SEEN_NOTHING, SEEN_SUCCESS, SEEN_FAILURE, SEEN_BROKEN, SEEN_UNSENT)
    for write in (0, WRITE)
)

# A request's byte: what was seen (4 bits), how often it arrived and how often it was executed (0, 1, or 2 for more).
_ARRIVED_SHIFT = 4
_EXECUTED_SHIFT = 6
_ARRIVED = bytes(min(times, 2) << _ARRIVED_SHIFT for times in range(256))
_EXECUTED = bytes(min(times, 2) << _EXECUTED_SHIFT for times in range(256))


class _Id(NamedTuple):
    """A chunk of ids."""

    worker: int
    number: int


def classify(seen: int, received: int, executed: int) -> frozenset[str]:
    """The figures of a Ledger that a request counts in; the table above."""
    outcome, is_write = seen & ~WRITE, bool(seen & WRITE)
    times = max(received, executed)
    is_sent = outcome in (SEEN_SUCCESS, SEEN_FAILURE, SEEN_BROKEN) or times > 0
    succeeded = outcome == SEEN_SUCCESS
    figures = {
        "sent": is_sent,
        "succeeded": succeeded,
        "failed": is_sent and not succeeded,
        "failed_executed": not succeeded and executed > 0,
        "lost": succeeded and not executed,
        "repeated": times > 1,
        "executed_twice": executed > 1,
        "writes": is_sent and is_write,
        "writes_repeated": is_write and times > 1,
        "writes_executed_twice": is_write and executed > 1,
    }
    return frozenset(name for name, counts in figures.items() if counts)


_FIGURES = {
    seen | times << _ARRIVED_SHIFT | done << _EXECUTED_SHIFT: classify(seen, times, done)
    for seen in _SEEN
    for times in range(3)
    for done in range(3)
}


class Reconciler:
    """Compares chunk by chunk and forgets what is compared, so that memory does not grow with the run."""

    def __init__(self, run: str) -> None:
        self.run = run
        self._ledger = Ledger(is_known=True, examples={})
        self._arrivals = 0
        self._outcomes: dict[_Id, bytes] = {}
        self._executions: dict[_Id, Executions] = {}
        self._waiting: deque[tuple[float, _Id]] = deque()
        self._compared: dict[int, _Numbers] = {}

    def saw(self, worker: int, outcomes: Outcomes, now: float) -> None:
        """A chunk whose outcomes are complete; ValueError for one that was told before, or is none."""
        chunk = _Id(worker, outcomes.index)
        if outcomes.seen.translate(None, _SEEN) or len(outcomes.seen) > CHUNK:
            raise ValueError(f"chunk {chunk.number} of process {worker} holds something that is no outcome")
        if chunk in self._outcomes or self._is_compared(chunk):
            raise ValueError(f"the outcomes of chunk {chunk.number} of process {worker} came twice")
        self._outcomes[chunk] = outcomes.seen
        if chunk in self._executions:
            self._compare(chunk)
        else:
            self._waiting.append((now, chunk))

    def due(self, now: float) -> list[tuple[int, int]]:
        """Chunks to ask for by one Take, now; none: nothing is to be asked. Each is told once."""
        found: list[_Id] = []
        while self._waiting and now - self._waiting[0][0] >= GRACE_S and len(found) < MOST_ASKED:
            found.append(self._waiting.popleft()[1])
        return [(chunk.worker, chunk.number) for chunk in found]

    def took(self, asked: Iterable[tuple[int, int]], answer: Iterable[Executions]) -> None:
        """The answer to a Take of these chunks: nothing of one that is not in it ever arrived."""
        for executions in answer:
            self.executed(executions)
        for chunk in (_Id(worker, number) for worker, number in asked):
            if chunk in self._outcomes:
                self._compare(chunk)

    def executed(self, executions: Executions) -> None:
        """What origins did of a chunk, since it was told last."""
        chunk = _Id(executions.worker, executions.index)
        if self._is_compared(chunk):
            if any(executions.received):
                self._ledger.late += 1
                self._arrivals += sum(executions.received)
        else:
            before = self._executions.get(chunk)
            self._executions[chunk] = executions if before is None else _sum(before, executions)
            if chunk in self._outcomes:
                self._compare(chunk)

    def ledger(self, unknown: int = 0) -> Ledger:
        """At the end, when `rest` was asked for and answered: compares all that is left, and tells the whole.

        `unknown`: how many requests without an id of this run the origins told of.
        """
        for chunk in sorted(self._outcomes.keys() | self._executions.keys()):
            self._compare(chunk)
        self._ledger.unknown = unknown
        sent = self._ledger.sent
        self._ledger.amplification = self._arrivals / sent if sent else 0.0
        return self._ledger

    @property
    def kept(self) -> int:
        """Chunks in memory."""
        return len(self._outcomes.keys() | self._executions.keys())

    def _is_compared(self, chunk: _Id) -> bool:
        return chunk.worker in self._compared and chunk.number in self._compared[chunk.worker]

    def _compare(self, chunk: _Id) -> None:
        seen = self._outcomes.pop(chunk, b"")
        done = self._executions.pop(chunk, None)
        received, executed = (done.received, done.executed) if done else (b"", b"")
        self._compared.setdefault(chunk.worker, _Numbers()).add(chunk.number)
        self._arrivals += sum(received)
        codes = _codes(seen, received, executed)
        for code in set(codes):
            figures = _FIGURES[code]
            count = codes.count(code)
            for name in figures:
                setattr(self._ledger, name, getattr(self._ledger, name) + count)
            for name in figures.intersection(_EXAMPLES):
                self._show(name, chunk, codes, code)

    def _show(self, name: str, chunk: _Id, codes: bytes, code: int) -> None:
        shown = self._ledger.examples.setdefault(name, [])
        at = codes.find(code)
        while at >= 0 and len(shown) < MOST_EXAMPLES:
            shown.append(f"{self.run}-{chunk.worker}-{chunk.number * CHUNK + at}")
            at = codes.find(code, at + 1)


def _codes(seen: bytes, received: bytes, executed: bytes) -> bytes:
    """A byte for each request, a key of _FIGURES; joined as three large numbers, as a loop would take a millisecond."""
    size = max(len(seen), len(received), len(executed))
    together = (
        int.from_bytes(seen, "little")
        | int.from_bytes(received.translate(_ARRIVED), "little")
        | int.from_bytes(executed.translate(_EXECUTED), "little")
    )
    return together.to_bytes(size, "little")


def _sum(one: Executions, other: Executions) -> Executions:
    def add(first: bytes, second: bytes) -> bytes:
        size = max(len(first), len(second))
        pairs = zip(first.ljust(size, b"\0"), second.ljust(size, b"\0"), strict=True)
        return bytes(min(a + b, 255) for a, b in pairs)

    return Executions(
        one.worker, one.index, add(one.received, other.received), add(one.executed, other.executed)
    )  # fmt: skip


class _Numbers:
    """A set of numbers from 0 that come nearly in order: all below one, and a few beyond."""

    __slots__ = ("_below", "_beyond")

    def __init__(self) -> None:
        self._below = 0
        self._beyond: set[int] = set()

    def __contains__(self, number: int) -> bool:
        return number < self._below or number in self._beyond

    def add(self, number: int) -> None:
        self._beyond.add(number)
        while self._below in self._beyond:
            self._beyond.remove(self._below)
            self._below += 1

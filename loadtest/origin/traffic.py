"""What one instance saw, in bins of time."""

from __future__ import annotations

from loadtest.messages import TrafficCell

BEFORE = -1
"""The bin of what arrived before the run began; it is not told."""


class Cell:
    __slots__ = ("answers", "executed", "faults", "received")

    def __init__(self) -> None:
        self.received = 0
        self.executed = 0
        self.answers: dict[int, int] = {}
        self.faults: dict[str, int] = {}


class Book:
    """Counts by bin of arrival, whenever the work is done or the answer given, since the last `take`."""

    __slots__ = ("_cell", "_cells", "_last")

    def __init__(self) -> None:
        self._cells: dict[int, Cell] = {}
        self._last = BEFORE
        self._cell = Cell()

    def cell(self, number: int) -> Cell:
        if number == self._last:
            return self._cell
        found = self._cells.get(number)
        if found is None:
            found = self._cells[number] = Cell()
        self._last = number
        self._cell = found
        return found

    def answer(self, number: int, status: int) -> None:
        answers = self.cell(number).answers
        answers[status] = answers.get(status, 0) + 1

    def fault(self, number: int, kind: str) -> None:
        faults = self.cell(number).faults
        faults[kind] = faults.get(kind, 0) + 1

    def take(self, origin: str, instance: int) -> list[TrafficCell]:
        """Tells and forgets."""
        cells, self._cells = self._cells, {}
        self._last = BEFORE
        self._cell = Cell()
        return [
            TrafficCell(
                origin,
                instance,
                number,
                cell.received,
                cell.executed,
                {str(status): count for status, count in cell.answers.items()},
                cell.faults,
            )
            for number, cell in sorted(cells.items())
            if number != BEFORE
        ]

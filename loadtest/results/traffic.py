"""What each instance saw, bin by bin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from loadtest.messages import TrafficCell
from loadtest.results.model import Endpoint, EndpointBin


class Traffic:
    """Merges the origin's reports. Memory grows with instances times bins, both bounded by the scenario."""

    def __init__(self, bin_s: float) -> None:
        self._bin_s = bin_s
        self._cells: dict[tuple[str, int], dict[int, EndpointBin]] = {}

    def add(self, cells: Iterable[TrafficCell]) -> None:
        for cell in cells:
            bins = self._cells.setdefault((cell.origin, cell.instance), {})
            found = bins.get(cell.bin)
            if found is None:
                found = bins[cell.bin] = EndpointBin(cell.bin * self._bin_s, 0, 0, {}, {})
            found.received += cell.received
            found.executed += cell.executed
            for status, count in cell.answers.items():
                found.answers[status] = found.answers.get(status, 0) + count
            for kind, count in cell.faults.items():
                found.faults[kind] = found.faults.get(kind, 0) + count

    def endpoints(self, addresses: Mapping[tuple[str, int], str]) -> list[Endpoint]:
        """One for each instance that ever was, also for those that saw nothing."""
        found = []
        for (origin, instance), address in sorted(addresses.items()):
            bins = self._cells.get((origin, instance), {})
            found.append(Endpoint(origin, instance, address, [bins[at] for at in sorted(bins)]))
        return found

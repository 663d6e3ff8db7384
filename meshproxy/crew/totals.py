"""What all workers have counted, added up, in the shape that the exposition reads.

- **Added up**: every counter, both histograms, and gauges that count something (active requests, open connections,
  timers). What a worker that has ended had counted stays in the sum; nothing goes backwards.
- **Per worker**, with a label `worker`: `process_*`, `python_*` and the event loop's lag; without that label they are
  the parent's own, which carries no traffic.
- **The mean** of the workers: `meshproxy_endpoints`. Each worker has its own view of the same endpoints, so that the
  states of one backend add up to the number of its endpoints, and a half is ejected where one of two workers does so.
- **The least**: points in time (`..._timestamp_seconds`), because the oldest is what matters. **The greatest**:
  `..._info`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from meshproxy.crew.state import Connections, Exchanges, Record, Series
from meshproxy.metrics.family import Kind
from meshproxy.metrics.labels import label_text
from meshproxy.metrics.slots import ConnectionSlot, ExchangeSlot

if TYPE_CHECKING:
    from meshproxy.metrics.slots import Registry

MAX_PAST = 16_384
"""Slots of workers that have ended whose counts are kept; those of further ones are lost, and told as dropped."""

_DROPPED = "meshproxy_worker_metrics_dropped"
_PER_WORKER = ("process_", "python_", "meshproxy_event_loop_lag_")
_MEAN = frozenset({"meshproxy_endpoints"})


class Sum:
    """One family of all workers."""

    __slots__ = ("_join", "_values", "kind", "meaning", "name", "parts")

    def __init__(self, name: str, kind: Kind, meaning: str) -> None:
        self.name = name
        self.kind = kind
        self.meaning = meaning
        self.parts = 0
        self._join = _join_of(name)
        self._values: dict[str, float] = {}

    def add(self, samples: Iterable[tuple[str, float]], worker: int) -> None:
        """Take in one worker's samples; worker 0 is the parent."""
        self.parts += 1
        own = label_text(("worker",), (str(worker),)) if worker and self.name.startswith(_PER_WORKER) else ""
        for text, value in samples:
            labels = f"{text},{own}" if text and own else text or own
            former = self._values.get(labels)
            self._values[labels] = value if former is None else self._join(former, value)

    def samples(self) -> Iterable[tuple[str, float]]:
        share = self.parts if self.name in _MEAN else 1
        return [(labels, value / share if share > 1 else value) for labels, value in self._values.items()]


class Totals:
    """A registry's looks, for `exposition.expose`; filled anew for each scrape."""

    def __init__(self) -> None:
        self.families: dict[str, Sum] = {}
        self._exchanges: dict[tuple[str, ...], ExchangeSlot] = {}
        self._connections: dict[str, ConnectionSlot] = {}

    def exchanges(self) -> list[ExchangeSlot]:
        return list(self._exchanges.values())

    def connections(self) -> list[ConnectionSlot]:
        return list(self._connections.values())

    def add(self, records: Iterable[Record], worker: int) -> None:
        """Add what a worker has published."""
        for record in records:
            if isinstance(record, Exchanges):
                self._add_exchanges(record)
            elif isinstance(record, Connections):
                self._add_connections(record.labels, record.opened, record.closed)
            elif isinstance(record, Series):
                self._family(record.name, Kind(record.kind), record.meaning).add(record.samples, worker)
            else:
                self._drop(record.records)

    def add_own(self, registry: Registry) -> None:
        """Add the parent's own registry."""
        for family in list(registry.families.values()):
            self._family(family.name, family.kind, family.meaning).add(family.samples(), 0)

    def fold(self, records: Iterable[Record]) -> None:
        """Keep of a worker that has ended what it had counted: no gauges, and nothing of its process."""
        for record in records:
            if isinstance(record, Exchanges):
                if record.key in self._exchanges or len(self._exchanges) < MAX_PAST:
                    self._add_exchanges(record).active = 0
                else:
                    self._drop(1)
            elif isinstance(record, Connections):
                self._add_connections(record.labels, record.opened, record.opened)
            elif isinstance(record, Series):
                if record.kind == Kind.COUNTER.value and not record.name.startswith(_PER_WORKER):
                    self._family(record.name, Kind.COUNTER, record.meaning).add(record.samples, 0)
            else:
                self._drop(record.records)

    def add_past(self, past: Totals) -> None:
        """Add what `fold` has kept."""
        for slot in past._exchanges.values():
            self._add_exchanges(slot)
        for connection in past._connections.values():
            self._add_connections(connection.labels, connection.opened, connection.closed)
        for family in past.families.values():
            self._family(family.name, family.kind, family.meaning).add(family.samples(), 0)

    def _add_exchanges(self, more: Exchanges | ExchangeSlot) -> ExchangeSlot:
        slot = self._exchanges.get(more.key)
        if slot is None:
            slot = self._exchanges[more.key] = ExchangeSlot(more.key)
        slot.active += more.active
        slot.attempts += more.attempts
        slot.budget_refused += more.budget_refused
        slot.sent_bytes += more.sent_bytes
        slot.received_bytes += more.received_bytes
        for reason, count in more.retries.items():
            slot.retries[reason] += count
        for code, count in more.codes.items():
            slot.codes[code] = slot.codes.get(code, 0) + count
        for outcome, count in more.outcomes.items():
            slot.outcomes[outcome] = slot.outcomes.get(outcome, 0) + count
        _add_counts(slot.duration_counts, more.duration_counts)
        _add_counts(slot.first_byte_counts, more.first_byte_counts)
        slot.duration_sum_s += more.duration_sum_s
        slot.first_byte_sum_s += more.first_byte_sum_s
        return slot

    def _add_connections(self, labels: str, opened: int, closed: int) -> None:
        slot = self._connections.get(labels)
        if slot is None:
            slot = self._connections[labels] = ConnectionSlot(labels)
        slot.opened += opened
        slot.closed += closed

    def _family(self, name: str, kind: Kind, meaning: str) -> Sum:
        family = self.families.get(name)
        if family is None:
            family = self.families[name] = Sum(name, kind, meaning)
        return family

    def _drop(self, records: int) -> None:
        meaning = "Slots that are not shown, because a worker's shared memory had no room for them."
        self._family(_DROPPED, Kind.GAUGE, meaning).add([("", records)], 0)


def _add_counts(counts: list[int], more: list[int]) -> None:
    for index, count in enumerate(more):
        counts[index] += count


def _join_of(name: str) -> Callable[[float, float], float]:
    if name.endswith("_timestamp_seconds"):
        return min
    if name.endswith("_info"):
        return max
    return _plus


def _plus(one: float, other: float) -> float:
    return one + other

"""Preallocated slots: where the request path counts.

A slot is found once, when configuration is compiled, and held by what counts in it; counting is attribute and list
arithmetic, and nothing is looked up by label. The `Registry` owns every slot by its labels and gives the same one
again, so that a counter outlives the configuration that asked for it and never goes backwards.

Every bound here is on label cardinality: outcomes per slot, and slots that nobody holds any more.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

from meshproxy.metrics.family import Family, Kind, Read
from meshproxy.metrics.labels import OTHER, label_text

BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds (inclusive) of both histograms' buckets; one more bucket takes the rest."""

MAX_OUTCOMES = 256
"""Distinct (status, fault, peer) of one slot that are told apart; beyond them a new peer is counted as `other`."""
MAX_OTHERS = 64
"""Further outcomes without a peer of their own; beyond them an unseen status is counted as `OTHER_CODE`."""
OTHER_CODE = 0
"""The status of outcomes past every bound; their `code` label says `other`."""
MAX_RETIRED = 1024
"""Idle exchange slots that nobody holds and whose counts are kept nevertheless."""

NEVER = -1.0
"""`first_byte_s` of an exchange to which no byte of a response came."""

EXCHANGE_LABELS = ("direction", "service", "route", "backend", "protocol")
CONNECTION_LABELS = ("direction", "side", "tls")

Outcome = tuple[int, str, str]


class ExchangeSlot:
    """The counts of one (direction, service, route, backend, protocol).

    The exchange calls `finish` once, and increments these itself:
    `active` exchanges begun and not finished; `attempts` tries sent to an endpoint or failed on the way there;
    `retries[reason]` tries after the first, by what made them necessary; `budget_refused` retries that the budget did
    not allow; `sent_bytes` of request bodies written to endpoints, again for each attempt; `received_bytes` of
    response bodies taken from endpoints. Heads, framing and TLS are in neither count.
    """

    __slots__ = (
        "active", "attempts", "budget_refused", "codes", "duration_counts", "duration_sum_s", "first_byte_counts",
        "first_byte_sum_s", "holders", "key", "labels", "outcomes", "received_bytes", "retries", "sent_bytes", "told",
    )  # fmt: skip

    def __init__(self, key: tuple[str, ...]) -> None:
        self.key = key
        self.labels = label_text(EXCHANGE_LABELS, key)
        self.holders = 0
        self.told = 0  # how many had ended when the registry was last asked who is used
        self.active = 0
        self.attempts = 0
        self.retries: defaultdict[str, int] = defaultdict(int)
        self.budget_refused = 0
        self.sent_bytes = 0
        self.received_bytes = 0
        self.codes: dict[int, int] = {}  # of exchanges without fault and without peer: most of them
        self.outcomes: dict[Outcome, int] = {}  # of all others
        self.duration_counts = [0] * (len(BOUNDS_S) + 1)
        self.duration_sum_s = 0.0
        self.first_byte_counts = [0] * (len(BOUNDS_S) + 1)
        self.first_byte_sum_s = 0.0

    def __repr__(self) -> str:
        return f"<ExchangeSlot {self.labels} active={self.active}>"

    def finish(self, status: int, fault: str, peer: str, duration_s: float, first_byte_s: float) -> None:
        """Count an exchange that has ended.

        `status` is what the downstream got (499 when it had gone), `fault` a word of `faults.py` or empty, `peer` the
        verified identity of the other side or empty; `first_byte_s`, from the same start as `duration_s`, is the first
        byte of the final response, or `NEVER`.
        """
        self.duration_counts[bisect_left(BOUNDS_S, duration_s)] += 1
        self.duration_sum_s += duration_s
        if first_byte_s >= 0.0:
            self.first_byte_counts[bisect_left(BOUNDS_S, first_byte_s)] += 1
            self.first_byte_sum_s += first_byte_s
        if fault or peer:
            outcome = (status, fault, peer)
            if outcome in self.outcomes:
                self.outcomes[outcome] += 1
            else:
                self._count_new(outcome)
        elif status in self.codes:
            self.codes[status] += 1
        else:
            self._count_new((status, "", ""))

    def _count_new(self, outcome: Outcome) -> None:
        status, fault, peer = outcome
        room = MAX_OUTCOMES - len(self.outcomes) - len(self.codes)
        if room <= 0 and peer:
            peer = OTHER
        if room <= -MAX_OTHERS and not self._has(status, fault, peer):
            status = OTHER_CODE
        if fault or peer:
            self.outcomes[status, fault, peer] = self.outcomes.get((status, fault, peer), 0) + 1
        else:
            self.codes[status] = self.codes.get(status, 0) + 1

    def _has(self, status: int, fault: str, peer: str) -> bool:
        return (status, fault, peer) in self.outcomes if fault or peer else status in self.codes

    @property
    def is_used(self) -> bool:
        """Something was counted: what never was is not exposed."""
        return bool(self.active or self.attempts or self.codes or self.outcomes)


class ConnectionSlot:
    """Connections of one (direction, side, tls). Whoever owns the connection increments `opened` and `closed`."""

    __slots__ = ("closed", "labels", "opened")

    def __init__(self, labels: str) -> None:
        self.labels = labels
        self.opened = 0
        self.closed = 0

    @property
    def open(self) -> int:
        return self.opened - self.closed


class Registry:
    """Every slot and family of one process.

    An exchange slot is held by whoever asked for it, until it is released as often as it was asked for.
    """

    def __init__(self) -> None:
        self.families: dict[str, Family] = {}
        self._exchanges: dict[tuple[str, ...], ExchangeSlot] = {}
        self._connections: dict[tuple[str, ...], ConnectionSlot] = {}
        self._retired: dict[tuple[str, ...], ExchangeSlot] = {}  # held by nobody, the longest first

    def exchange(self, direction: str, service: str, route: str, backend: str, protocol: str) -> ExchangeSlot:
        """Give the slot of these labels to one more holder: the one that counted before, or a new one."""
        key = (direction, service, route, backend, protocol)
        slot = self._exchanges.get(key)
        if slot is None:
            slot = self._exchanges[key] = ExchangeSlot(key)
        elif not slot.holders:
            self._retired.pop(key, None)
        slot.holders += 1
        return slot

    def release(self, slot: ExchangeSlot) -> None:
        """One holder needs it no more. Past `MAX_RETIRED` the one that was let go first is dropped.

        A slot with active exchanges is never dropped.
        """
        slot.holders -= 1
        if slot.holders:
            return
        self._retired[slot.key] = slot
        while len(self._retired) > MAX_RETIRED:
            idle = next((one for one in self._retired.values() if not one.active), None)
            if idle is None:
                return
            del self._retired[idle.key], self._exchanges[idle.key]

    def used(self, direction: str) -> set[str]:
        """The services in which exchanges have ended since the last call, or are active."""
        services = set()
        for slot in self._exchanges.values():
            ended = sum(slot.duration_counts)
            if (slot.active or ended != slot.told) and slot.key[0] == direction:
                services.add(slot.key[1])
            slot.told = ended
        return services

    def connection(self, direction: str, side: str, tls: bool) -> ConnectionSlot:
        """Give the slot of `inbound` or `outbound` connections, `downstream` or `upstream`, in TLS or plain."""
        key = (direction, side, "true" if tls else "false")
        slot = self._connections.get(key)
        if slot is None:
            slot = self._connections[key] = ConnectionSlot(label_text(CONNECTION_LABELS, key))
        return slot

    def counter(self, name: str, meaning: str, labels: tuple[str, ...] = (), read: Read | None = None) -> Family:
        """Register a counter for what is off the request path; the same name again gives the same one."""
        return self._register(Family(name, Kind.COUNTER, meaning, labels, read))

    def gauge(self, name: str, meaning: str, labels: tuple[str, ...] = (), read: Read | None = None) -> Family:
        """Register a gauge: set by hand, or read anew at each scrape."""
        return self._register(Family(name, Kind.GAUGE, meaning, labels, read))

    def _register(self, family: Family) -> Family:
        known = self.families.setdefault(family.name, family)
        if (known.kind, known.labels) != (family.kind, family.labels):
            raise ValueError(f"metric {family.name} is registered as {known.kind.value} with labels {known.labels}")
        return known

    def exchanges(self) -> list[ExchangeSlot]:
        """List the slots, in the order they were made."""
        return list(self._exchanges.values())

    def connections(self) -> list[ConnectionSlot]:
        return list(self._connections.values())

"""Metrics off the request path, registered by name: a value for each tuple of label values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TypeAlias

from meshproxy.metrics.labels import OTHER, label_text

MAX_SERIES = 1024
"""Label tuples of one family that are told apart; beyond them every label of a new one says `other`."""

Read: TypeAlias = Callable[[], Iterable[tuple[tuple[str, ...], float]]]
"""Makes (label values, value) pairs at a scrape. They are taken in slices, some per turn of the loop, so the iterable
must walk over something that does not change meanwhile."""

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Kind(Enum):
    """The types of the text format that the sidecar uses."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Family:
    """A counter or gauge. A counter's name ends in `_total`; with `read`, values come from there and none are set."""

    __slots__ = ("_read", "_values", "kind", "labels", "meaning", "name")

    def __init__(
        self, name: str, kind: Kind, meaning: str, labels: tuple[str, ...] = (), read: Read | None = None
    ) -> None:
        for word in (name, *labels):
            if not _NAME.fullmatch(word):
                raise ValueError(f"metric {name}: {word!r} is not a name that Prometheus allows")
        if (kind is Kind.COUNTER) != name.endswith("_total"):
            raise ValueError(f"metric {name}: counters end in _total, and only they do")
        self.name = name
        self.kind = kind
        self.meaning = meaning
        self.labels = labels
        self._read = read
        # A counter without labels begins at 0; a gauge that nobody has set is not known, and says nothing.
        self._values: dict[tuple[str, ...], float] = {} if labels or kind is not Kind.COUNTER else {(): 0}

    def add(self, *values: str, n: float = 1) -> None:
        """Add to the series of these label values."""
        key = self._key(values)
        self._values[key] = self._values.get(key, 0) + n

    def set(self, value: float, *values: str) -> None:
        """Set the series of these label values; a counter refuses."""
        if self.kind is Kind.COUNTER:
            raise TypeError(f"{self.name} is a counter")
        self._values[self._key(values)] = value

    def replace(self, value: float, *values: str) -> None:
        """Set the series of these label values and forget all others: for a label that says what is so now."""
        self.set(value, *values)
        self._values = {values: value}

    def get(self, *values: str) -> float:
        """Give the value that was set or added up; 0 where there is none."""
        return self._values.get(values, 0)

    @property
    def is_read(self) -> bool:
        """Whether its values are made by `read`, which may take its time."""
        return self._read is not None

    def _key(self, values: tuple[str, ...]) -> tuple[str, ...]:
        if len(values) != len(self.labels):
            raise ValueError(f"metric {self.name} has the labels {self.labels}, not {len(values)} of them")
        if values in self._values or len(self._values) < MAX_SERIES:
            return values
        return (OTHER,) * len(values)

    def samples(self) -> Iterable[tuple[str, float]]:
        """(label text, value) of every series."""
        read = self._read
        pairs = read() if read is not None else list(self._values.items())
        for values, value in pairs:
            yield label_text(self.labels, values), value

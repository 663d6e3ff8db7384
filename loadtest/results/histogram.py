"""Latencies counted as an HdrHistogram: microseconds up to an hour, three significant digits.

Percentiles are those of HdrHistogram: the highest value that cannot be told from the one at the rank, which is rounded
up, so that at least so many percent are at or below it (the Python library rounds to the nearest, and may tell a p99.9
that is not reached). The library's own walk is over every possible value, tens of milliseconds for a mean; here only
counted ones are walked over.
"""

from __future__ import annotations

import math
import weakref
import zlib
from collections.abc import Mapping, Sequence
from itertools import compress

from hdrh.codec import (
    HdrCookieException,
    HdrHistogramEncoder,
    HdrLengthException,
)
from hdrh.histogram import HdrHistogram

from loadtest.results.model import Percentiles

LEAST_US = 1
MOST_US = 3_600_000_000
"""What took longer than an hour is counted as an hour."""
DIGITS = 3
_MOST_TEXT = 512 * 1024
"""More than any histogram of this range takes: 23552 counters of at most 9 bytes, in base64."""
_NOT_ONE = (ValueError, IndexError, OverflowError, zlib.error, HdrCookieException, HdrLengthException)
_LEVELS = (50.0, 90.0, 99.0, 99.9, 99.99, 100.0)


class Histogram:
    """Microseconds and how often each was counted. ValueError for a negative one."""

    __slots__ = ("_hdr",)

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self._hdr = _freed_when_left(HdrHistogram(LEAST_US, MOST_US, DIGITS))
        for us, count in (counts or {}).items():
            if us < 0 or count < 0:
                raise ValueError(f"{us} us counted {count} times: neither is ever negative")
            if count:
                self._hdr.record_value(min(us, MOST_US), count)

    @classmethod
    def decode(cls, text: str) -> Histogram:
        """From what `encode` gave; empty text is an empty one. ValueError when it is something else."""
        histogram = cls()
        if text:
            histogram._hdr = _decoded(text)
        return histogram

    def encode(self) -> str:
        """HdrHistogram V2, compressed, in base64; empty when nothing was counted."""
        encoded: bytes = self._hdr.encode() if self.count else b""
        return encoded.decode("ascii")

    def add(self, other: Histogram) -> None:
        """Counts what the other one counted as well."""
        if other.count:  # the library takes an empty one for a value of 0
            self._hdr.add(other._hdr)

    @property
    def count(self) -> int:
        return int(self._hdr.total_count)

    def counts(self) -> dict[int, int]:
        """{microseconds: count}, ascending; of values that cannot be told from each other the lowest stands for all."""
        hdr = self._hdr
        if not self.count:
            return {}
        top = hdr.get_counts_array_index(hdr.max_value) + 1
        cells = memoryview(hdr.counts).cast("B").cast("Q")[:top]
        return {hdr.get_value_from_index(at): cells[at] for at in compress(range(top), cells)}

    def at(self, levels: Sequence[float]) -> list[int]:
        """Percentiles at these levels (0 < level <= 100, ascending) in microseconds; zeros when nothing was counted."""
        return self._walk(self.counts(), levels)

    def _walk(self, counts: Mapping[int, int], levels: Sequence[float]) -> list[int]:
        found: list[int] = []
        seen = 0
        total = sum(counts.values())
        rest = iter(counts.items())
        us = 0
        for level in levels:
            # Rounded up: at least `level` percent are at or below. 99.9 % of 1 000 are 999, whatever floats say.
            rank = min(max(1, math.ceil(round(level * total / 100, 6))), total)
            while seen < rank:
                us, count = next(rest)
                seen += count
            found.append(self._hdr.get_highest_equivalent_value(us) if counts else 0)
        return found

    def percentiles(self) -> Percentiles:
        """What is told of a histogram; the mean takes every value for the middle of what it may have been."""
        counts = self.counts()
        middle = self._hdr._hdr_median_equiv_value
        mean = sum(middle(us) * count for us, count in counts.items()) / self.count if counts else 0.0
        return Percentiles(self.count, mean, *self._walk(counts, _LEVELS))


def _freed_when_left(hdr: HdrHistogram) -> HdrHistogram:
    """The library's histogram and its encoder know each other, and would keep 190 kB until a collection of cycles."""
    hdr.encoder.histogram = weakref.proxy(hdr)
    return hdr


def _decoded(text: str) -> HdrHistogram:
    if len(text) > _MOST_TEXT:
        raise ValueError(f"a histogram has at most {_MOST_TEXT} characters, and this has {len(text)}")
    try:
        payload = HdrHistogramEncoder.decode(text)
        head = payload.payload
        shape = (head.lowest_trackable_value, head.highest_trackable_value, head.significant_figures)
        if shape == (LEAST_US, MOST_US, DIGITS):
            return _freed_when_left(HdrHistogram(*shape, hdr_payload=payload))
    except _NOT_ONE as error:
        raise ValueError(f"not an HdrHistogram in base64: {error}") from None
    raise ValueError(f"an HdrHistogram of {(LEAST_US, MOST_US, DIGITS)} is expected, and this is one of {shape}")

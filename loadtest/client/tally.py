"""What became of requests, counted: by bins of time, and id by id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from loadtest.client.call import Call
from loadtest.messages import (
    CHUNK,
    SEEN_BROKEN,
    SEEN_FAILURE,
    SEEN_NOTHING,
    SEEN_SUCCESS,
    SEEN_UNSENT,
    WRITE,
    Cell,
    Outcomes,
)
from loadtest.outcome import ABANDONED, NOT_SENT

LONGEST_US = 3_600_000_000
_EXACT_BITS = 11
"""Significant bits that are kept, as by HdrHistogram(1, LONGEST_US, 3): its first step of 2 comes after 2048 values."""
_BINS = 1 << 32
"""More than a run has bins: a phase and a bin are one number, cheaper as a key than a pair."""
_ABOUT_A_BIN = 1e-9
"""0.3 / 0.1 is less than 3: a start that is on the edge of a bin belongs to the later one."""


def rounded(microseconds: int) -> int:
    """What an HdrHistogram of three digits calls the lowest equivalent value; at least 1, at most an hour."""
    if microseconds < 1:
        return 1
    if microseconds > LONGEST_US:  # noqa: PLR1730 - min() takes longer
        microseconds = LONGEST_US
    shift = microseconds.bit_length() - _EXACT_BITS
    return microseconds >> shift << shift if shift > 0 else microseconds


class _Bin:
    """`ok` are latencies of successes, `other` those of all else."""

    __slots__ = ("counts", "ok", "other")

    def __init__(self) -> None:
        self.counts: dict[int | str, int] = {}
        self.ok: dict[int, int] = {}
        self.other: dict[int, int] = {}


class _Chunk:
    __slots__ = ("left", "seen")

    def __init__(self) -> None:
        self.left = CHUNK
        self.seen = bytearray(CHUNK)


class Tally:
    """Counts every request once, when its outcome is known. What was taken is forgotten, so that it does not grow."""

    __slots__ = ("_bins", "_bins_per_s", "_chunks", "_full", "_measured", "_successes", "lateness", "settled")

    def __init__(self, bin_s: float, successes: frozenset[int], measured: Sequence[bool]) -> None:
        """`measured`: whether each phase is."""
        self._measured = measured
        self._bins_per_s = 1 / bin_s
        self._successes = successes
        self._bins: dict[int, _Bin] = {}
        self._chunks: dict[int, _Chunk] = {}
        self._full: list[Outcomes] = []
        self.lateness: dict[int, int] = {}
        self.settled = 0

    def add(self, call: Call, outcome: int | str, now_s: float, is_sent: bool = True) -> None:
        """The outcome of a request: a status, or a word of outcome.py. `is_sent`: its bytes may have left."""
        intended_s = call.intended_s
        key = call.phase * _BINS + int(intended_s * self._bins_per_s + _ABOUT_A_BIN)
        try:
            found = self._bins[key]
        except KeyError:
            found = self._bins[key] = _Bin()
        latency = rounded(int((now_s - intended_s) * 1e6))
        counts = found.counts
        counts[outcome] = counts.get(outcome, 0) + 1
        if outcome in self._successes:
            seen = SEEN_SUCCESS
            latencies = found.ok
        else:
            seen = _seen(outcome, is_sent)
            latencies = found.other
        latencies[latency] = latencies.get(latency, 0) + 1
        index, place = divmod(call.number, CHUNK)
        try:
            chunk = self._chunks[index]
        except KeyError:
            chunk = self._chunks[index] = _Chunk()
        chunk.seen[place] = seen + WRITE if call.kind.is_write else seen
        chunk.left -= 1
        self.settled += 1
        if not chunk.left:
            del self._chunks[index]
            self._full.append(Outcomes(index, bytes(chunk.seen)))

    def late(self, by_s: float, phase: int) -> None:
        """A request was handled so much after it was due. It counts where latencies count: in measured phases."""
        if self._measured[phase]:
            microseconds = rounded(int(by_s * 1e6))
            self.lateness[microseconds] = self.lateness.get(microseconds, 0) + 1

    def take_cells(self) -> list[Cell]:
        """Counts since they were last taken."""
        bins, self._bins = self._bins, {}
        return [_cell(*divmod(key, _BINS), found) for key, found in bins.items()]

    def take_lateness(self) -> dict[int, int]:
        lateness, self.lateness = self.lateness, {}
        return lateness

    def take_chunks(self, rest: bool) -> list[Outcomes]:
        """Chunks that are full, and with `rest` all others too."""
        full, self._full = self._full, []
        if rest:
            full.extend(Outcomes(index, bytes(chunk.seen)) for index, chunk in sorted(self._chunks.items()))
            self._chunks.clear()
        return full


def _seen(outcome: int | str, is_sent: bool) -> int:
    if not is_sent or outcome in NOT_SENT:
        return SEEN_UNSENT
    if outcome == ABANDONED:
        return SEEN_NOTHING
    return SEEN_FAILURE if isinstance(outcome, int) else SEEN_BROKEN


def _cell(phase: int, number: int, found: _Bin) -> Cell:
    counts = {str(outcome): n for outcome, n in found.counts.items()}
    return Cell(phase, number, counts, found.ok, _sum(found.ok, found.other.items()))


def _sum(ok: dict[int, int], other: Iterable[tuple[int, int]]) -> dict[int, int]:
    both = dict(ok)
    for latency, n in other:
        both[latency] = both.get(latency, 0) + n
    return both

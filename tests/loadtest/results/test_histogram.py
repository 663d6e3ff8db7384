from __future__ import annotations

import base64
import gc
import math
import struct
import weakref
import zlib
from fractions import Fraction

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.results.histogram import MOST_US, Histogram

LEVELS = (50.0, 90.0, 99.0, 99.9, 99.99, 100.0)
COUNTS = st.dictionaries(
    st.one_of(st.integers(0, 5000), st.integers(0, MOST_US)), st.integers(1, 10_000), max_size=40
)  # fmt: skip


def exact(counts: dict[int, int], level: float) -> int:
    """The least value that at least `level` percent are at or below, from all values in order."""
    total = sum(counts.values())
    rank = math.ceil(Fraction(str(level)) * total / 100)
    seen = 0
    for us in sorted(counts):
        seen += counts[us]
        if seen >= rank:
            return us
    raise AssertionError


def library(counts: dict[int, int]) -> HdrHistogram:
    histogram = HdrHistogram(1, 3_600_000_000, 3)
    for us, count in counts.items():
        assert histogram.record_value(us, count)
    return histogram


def varints(data: bytes) -> list[int]:
    """ZigZag LEB128 with at most 9 bytes, of which the last has 8 bits (HdrHistogram V2)."""
    found = []
    at = 0
    while at < len(data):
        value = shift = 0
        for place in range(9):
            byte = data[at]
            at += 1
            if place == 8:
                value |= byte << shift
                break
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        found.append((value >> 1) ^ -(value & 1))
    return found


def decoded_by_hand(text: str) -> dict[int, int]:
    """What the format's own description says is in it: {lowest equivalent value: count}."""
    raw = base64.b64decode(text)
    cookie, length = struct.unpack(">II", raw[:8])
    assert cookie == 0x1C849304 | 0x10
    assert length == len(raw) - 8
    data = zlib.decompress(raw[8:])
    cookie, length, offset, digits, least, most, ratio = struct.unpack(">IIIIQQd", data[:40])
    assert (cookie, offset, digits, least, most, ratio) == (0x1C849303 | 0x10, 0, 3, 1, 3_600_000_000, 1.0)
    assert length == len(data) - 40
    found = {}
    at = 0
    for number in varints(data[40:]):
        if number < 0:
            at -= number
            continue
        if number:
            bucket = max(at // 1024 - 1, 0)
            found[(at - bucket * 1024) << bucket] = number
        at += 1
    return found


@given(COUNTS)
def test_percentiles_are_exact_within_the_precision(counts: dict[int, int]) -> None:
    found = Histogram(counts).at(LEVELS)
    for level, us in zip(LEVELS, found, strict=True):
        true = exact(counts, level) if counts else 0
        assert true <= us <= true * 1.001
        if true < 2048:
            assert us == true


@settings(max_examples=12)  # the library needs a tenth of a second
@given(COUNTS)
def test_it_tells_what_the_library_tells(counts: dict[int, int]) -> None:
    oracle = library(counts)
    found = Histogram(counts).percentiles()
    assert found.count == oracle.get_total_count()
    assert math.isclose(found.mean, oracle.get_mean_value(), rel_tol=1e-9)
    for level, us in zip(LEVELS, (found.p50, found.p90, found.p99, found.p99_9, found.p99_99, found.max), strict=True):
        rank = math.ceil(Fraction(str(level)) * found.count / 100)  # the library rounds to the nearest
        assert us == (oracle.get_value_at_percentile(100 * rank / found.count) if counts else 0)
    assert found.max == oracle.get_max_value()


@given(COUNTS)
def test_the_text_is_read_by_the_library_and_by_hand(counts: dict[int, int]) -> None:
    histogram = Histogram(counts)
    text = histogram.encode()
    assert bool(text) == bool(counts)
    if text:
        read, oracle = HdrHistogram.decode(text), library(counts)
        assert bytes(read.counts) == bytes(oracle.counts)
        assert read.get_total_count() == oracle.get_total_count()
        assert decoded_by_hand(text) == histogram.counts()


@given(COUNTS)
def test_what_is_encoded_is_decoded(counts: dict[int, int]) -> None:
    histogram = Histogram(counts)
    again = Histogram.decode(histogram.encode())
    assert again.counts() == histogram.counts()
    assert again.percentiles() == histogram.percentiles()


@given(COUNTS, COUNTS)
def test_adding_is_counting_both(one: dict[int, int], other: dict[int, int]) -> None:
    both = {us: one.get(us, 0) + other.get(us, 0) for us in one.keys() | other.keys()}
    for added, more in ((one, other), (other, one)):
        histogram = Histogram(added)
        histogram.add(Histogram.decode(Histogram(more).encode()))
        assert histogram.encode() == Histogram(both).encode()
        assert histogram.percentiles() == Histogram(both).percentiles()


def test_what_is_left_is_freed_at_once() -> None:
    gc.collect()
    gc.disable()
    try:
        for histogram in (Histogram({5: 1}), Histogram.decode(Histogram({5: 1}).encode())):
            histogram.add(Histogram({7: 1}))
        seen = weakref.ref(histogram._hdr)
        del histogram
        assert seen() is None
    finally:
        gc.enable()


def test_so_many_that_floats_round_have_percentiles() -> None:
    assert Histogram({5: 2**62 + 1, 9: 2**60 + 3}).at([50.0, 100.0]) == [5, 9]


def test_nothing_counted_is_zeros() -> None:
    nothing = Histogram({5: 0})
    assert nothing.encode() == ""
    assert nothing.at(LEVELS) == [0] * 6
    found = nothing.percentiles()
    assert (found.count, found.mean, found.p50, found.max) == (0, 0.0, 0, 0)


def test_what_takes_longer_than_an_hour_is_an_hour() -> None:
    assert Histogram({10**12: 3}).counts() == Histogram({MOST_US: 3}).counts()


@pytest.mark.parametrize("counts", [{-1: 1}, {1: -1}])
def test_nothing_is_negative(counts: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="ever negative"):
        Histogram(counts)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()))
def test_other_text_is_refused(text: str) -> None:
    if text:
        with pytest.raises(ValueError, match="HdrHistogram"):
            Histogram.decode(text)


@given(st.data())
def test_damaged_text_is_refused_or_a_histogram(data: st.DataObject) -> None:
    raw = bytearray(zlib.decompress(base64.b64decode(Histogram({7: 3, 90_000: 5}).encode())[8:]))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    packed = zlib.compress(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    text = base64.b64encode(struct.pack(">II", 0x1C849314, len(packed)) + packed).decode()
    try:
        histogram = Histogram.decode(text)
    except ValueError:
        return
    assert histogram.percentiles().max >= 0
    assert Histogram.decode(histogram.encode()).counts() == histogram.counts()


@pytest.mark.parametrize("shape", [(1, 3_600_000_000, 2), (1, 1000, 3), (1000, 3_600_000_000, 3)])
def test_a_histogram_of_another_range_is_refused(shape: tuple[int, int, int]) -> None:
    other = HdrHistogram(*shape)
    other.record_value(5)
    with pytest.raises(ValueError, match="is expected"):
        Histogram.decode(other.encode().decode())


def test_text_that_is_too_long_is_not_looked_at() -> None:
    with pytest.raises(ValueError, match="at most"):
        Histogram.decode("A" * 600_000)

"""Durations, rates and sizes, read and told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.scenario.units import duration, parse_duration, parse_rate, parse_size, rate, size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("1.5s", 1.5),
        ("1m30s", 90.0),
        ("2h", 7200.0),
        ("350us", 0.00035),
        ("0s", 0.0),
        ("1h1m1s", 3661.0),
    ],
)
def test_a_duration_is_read(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "1 s", "-1s", "1e3s", ".5s", "1S", "1d", "1s ", "1s,", "٣s", "9" * 13 + "s"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="for example 250ms"):
        parse_duration(text)


def test_a_rate_is_read_and_what_is_none_is_refused():
    assert [parse_rate(text) for text in ("400/s", "2.5k/s", "0.1/s")] == [400.0, 2500.0, 0.1]
    for text in ("400", "400/m", "/s", "-1/s", "1M/s"):
        with pytest.raises(ValueError, match="for example 400/s"):
            parse_rate(text)


def test_a_size_is_read_and_what_is_none_is_refused():
    assert [parse_size(text) for text in ("0B", "64KiB", "1.5MiB")] == [0, 65_536, 1_572_864]
    for text in ("64", "64KB", "1GiB", "-1B", "9" * 400 + "B"):
        with pytest.raises(ValueError, match="for example 64KiB"):
            parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"), (0.00035, "350 us"), (0.0025, "2.5 ms"), (1, "1 s"), (59.5, "59.5 s"), (60, "1 m"),
        (90, "1 m 30 s"), (3600, "1 h"), (3661, "1 h 1 m 1 s"), (86_400, "24 h"),
        (75.25, "1 m 15.25 s"), (119.96, "1 m 59.96 s"), (119.9999, "2 m"), (0.99999, "1 s"), (0.00099999, "1 ms"),
        (12.3456, "12.346 s"), (3600.5, "1 h 0.5 s"), (0.25, "250 ms"), (0.0001234, "123.4 us"),
    ],
)  # fmt: skip
def test_a_duration_is_told_as_people_say_it(seconds, told):
    assert duration(seconds) == told


def test_rates_and_sizes_are_told_as_people_say_them():
    assert [rate(each) for each in (0.5, 2.5, 99.5, 400, 1_000_000)] == [
        "0.5/s",
        "2.5/s",
        "99.5/s",
        "400/s",
        "1000000/s",
    ]
    assert [size(each) for each in (66, 65_536, 1_572_864)] == ["66 B", "64 KiB", "1.5 MiB"]


@given(st.integers(0, 24 * 3600 * 1000))
def test_what_is_told_of_milliseconds_is_what_would_be_written(milliseconds):
    assert parse_duration(duration(milliseconds / 1000).replace(" ", "")) == milliseconds / 1000

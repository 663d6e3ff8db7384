from __future__ import annotations

import pytest

from loadtest.outcome import WORDS
from loadtest.report import words


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0 s"),
        (420, "420 us"),
        (999.6, "1 ms"),
        (2_346, "2.35 ms"),
        (1_234_567, "1.23 s"),
        (83_000_000, "1 m 23 s"),
    ],
)
def test_a_latency_has_three_digits_and_a_unit(us, text):
    assert words.latency(us) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (100.0, "100 %"),
        (99.998, "99.99 %"),
        (99.9999999, "99.99 %"),
        (97.31, "97.31 %"),
        (8.0, "8.00 %"),
        (0.0, "0.00 %"),
    ],
)
def test_only_all_of_them_is_100_percent(value, text):
    assert words.percent(value) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (999, "999"), (40_000, "40 000"), (1_234_567.4, "1 234 567")])
def test_thousands_stand_apart(number, text):
    assert words.count(number) == text


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("200", "200 OK"),
        ("503", "503 Service Unavailable"),
        ("599", "599"),
        ("timeout", WORDS["timeout"]),
        ("of a later version", "of a later version"),
    ],
)
def test_an_outcome_is_told_as_people_read_it(word, text):
    assert words.outcome(word) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 s"),
        (0.25, "0.25 s"),
        (6.5, "6.5 s"),
        (59.9999, "1 m"),
        (75.25, "1 m 15.25 s"),
        (119.96, "1 m 59.96 s"),
    ],
)
def test_a_time_of_a_run_is_told_to_the_millisecond(value, text):
    assert words.seconds(value) == text


def test_what_would_move_a_terminals_cursor_is_gone():
    assert words.printable("a\x1b[2Jb\rc\nd\u202e") == "a?[2Jb?c\nd?"

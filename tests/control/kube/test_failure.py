"""What an API server says, made a sentence; and how long it wants to be left alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.kube.failure import MAX_SENTENCE, Details, Status, of_answer, of_status, read_retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", 0.0),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("9" * 5000, 999_999_999_999.0),
        ("\u0663", 0.0),
        ("soon", 0.0),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90.0),
        ("Sun, 01 Mar 2026 11:59:00 GMT", 0.0),
        ("Sunday, 01-Mar-26 12:01:30 GMT", 90.0),
        ("Sun Mar  1 12:01:30 2026", 90.0),
        ("Sun, 99 Mar 2026 12:01:30 GMT", 0.0),
        ("Sun, 01 Mar 99999999999999999999 12:01:30 GMT", 0.0),
        ("Sun, 01 Mar 2026 12:01:30 +99999999999999999999", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    assert read_retry_after(value, NOW) == seconds


@given(st.integers(min_value=0, max_value=10**6), st.integers(min_value=-12, max_value=12))
def test_a_date_of_any_zone_is_so_far_away(seconds, hours):
    date = (NOW + timedelta(seconds=seconds)).astimezone(timezone(timedelta(hours=hours)))
    assert read_retry_after(format_datetime(date), NOW) == seconds


@given(st.text(max_size=60))
def test_any_text_is_no_time_below_none(value):
    assert read_retry_after(value, NOW) >= 0.0


def test_a_status_is_told_with_its_code_and_reason():
    failure = of_status(Status(message="too old resource version: 1 (920)", reason="Expired", code=410))
    assert (str(failure), failure.code, failure.reason) == (
        "too old resource version: 1 (920) (410 Expired)",
        410,
        "Expired",
    )


def test_the_answers_own_code_and_wait_win_over_those_within():
    within = Status(message="slow down", reason="TooManyRequests", code=500, details=Details(retry_after_seconds=3))
    assert of_status(within).retry_after_s == 3.0
    failure = of_status(within, 429, 1.0)
    assert (failure.code, failure.retry_after_s) == (429, 1.0)
    body = json.dumps({"kind": "Status", "message": "x", "details": {"retryAfterSeconds": 9}}).encode()
    assert of_answer("GET /x", 429, body).retry_after_s == 9.0
    assert of_answer("GET /x", 429, body, "2").retry_after_s == 2.0


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "GET /x was answered by 502 Bad Gateway"),
        (b"404 page not found\n", "GET /x was answered by 502 Bad Gateway: 404 page not found"),
        (b"\xff\xfe", "GET /x was answered by 502 Bad Gateway: \ufffd\ufffd"),
        (b"a\x1b]0;b\x07\r\nc", "GET /x was answered by 502 Bad Gateway: a?]0;b? c"),
        (b'{"kind": "Pod"}', 'GET /x was answered by 502 Bad Gateway: {"kind": "Pod"}'),
        (b'{"kind": "Status"}', "the API server says no more than that (502)"),
        (
            b'{"kind": "Status", "message": 5}',
            'GET /x was answered by 502 Bad Gateway: {"kind": "Status", "message": 5}',
        ),
        (b'{"kind": "Status", "message": "a\\nb", "reason": "\\u001b"}', "a b (502 ?)"),
    ],
)
def test_any_body_gives_one_printable_line(body, told):
    assert str(of_answer("GET /x", 502, body)) == told


def test_a_body_that_is_nested_without_end_is_told_as_text():
    body = b'{"kind": "Status", "x": ' + b"[" * 60_000
    assert str(of_answer("GET /x", 500, body)).startswith(
        'GET /x was answered by 500 Internal Server Error: {"kind": "Status", "x": [[['
    )


@given(st.binary(max_size=3000), st.integers(min_value=100, max_value=999))
def test_no_body_of_any_status_breaks_the_sentence_or_its_bound(body, code):
    failure = of_answer("GET /x", code, body)
    assert str(failure).isprintable()
    assert len(str(failure)) < MAX_SENTENCE + 200
    assert failure.code == code

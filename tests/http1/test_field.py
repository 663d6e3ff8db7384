"""The memos of field lines: they change the cost of a head, never its meaning, and they stay small."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.http1.error import HEAD_FIELDS, ProtocolError
from meshproxy.http1.field import (
    COUNT,
    DROP,
    FORWARDED_PROTO,
    HOST,
    LENGTH,
    RARE,
    REQUEST_ID,
    REQUEST_KINDS,
    FieldMemo,
)

KINDS = [LENGTH, DROP, RARE, HOST, REQUEST_ID, FORWARDED_PROTO]


def counts(seen: int) -> list[int]:
    return [seen // kind & COUNT for kind in KINDS]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(
        st.sampled_from(
            [
                b"Content-Length: 5", b"keep-alive: x", b"Connection: keep-alive", b"Connection: close", b"TE: x",
                b"HOST:a", b"X-Request-Id: r", b"X-Forwarded-Proto: http", b"X-A: 1", b"X-B:",
            ]
        ),
        min_size=1,
        max_size=HEAD_FIELDS,
    )
)  # fmt: skip
def test_one_sum_counts_every_kind_whether_lines_are_new_or_known(lines: list[bytes]) -> None:
    memo = FieldMemo(REQUEST_KINDS)
    names = [line.partition(b":")[0].lower() for line in lines]
    expected = [
        names.count(b"content-length"),
        lines.count(b"keep-alive: x") + lines.count(b"Connection: keep-alive"),
        lines.count(b"Connection: close") + lines.count(b"TE: x"),
        names.count(b"host"),
        names.count(b"x-request-id"),
        names.count(b"x-forwarded-proto"),
    ]
    block = b"\r\n".join(lines)
    first = memo.fields(block)
    assert memo.fields(block) == (*first[:2], True)
    assert counts(first[1]) == expected
    assert [f[3] for f in first[0]] == lines


@pytest.mark.parametrize("kind", [b"Content-Length: 5", b"Host: a", b"TE: x", b"X-Request-Id: 1"])
def test_no_count_runs_over_into_the_next(kind: bytes) -> None:
    memo = FieldMemo(REQUEST_KINDS)
    block = b"\r\n".join([kind] * HEAD_FIELDS)
    for _ in range(2):
        assert sorted(counts(memo.fields(block)[1])) == [0, 0, 0, 0, 0, HEAD_FIELDS]
        with pytest.raises(ProtocolError, match="too many fields"):
            memo.fields(block + b"\r\n" + kind)


def test_a_line_that_was_refused_is_not_remembered() -> None:
    memo = FieldMemo(REQUEST_KINDS)
    for _ in range(2):
        with pytest.raises(ProtocolError):
            memo.fields(b"X-A : 1")
        with pytest.raises(ProtocolError):
            memo.fields(b"Content-Length: +1")
    assert not memo._lines


def test_a_remembered_line_is_told_from_its_near_ones() -> None:
    memo = FieldMemo(REQUEST_KINDS)
    memo.fields(b"Content-Length: 5")
    assert [f[5] for f in memo.fields(b"content-length: 5\r\nContent-Length: 6\r\nContent-Length: 5 ")[0]] == [5, 6, 5]
    assert [f[1] for f in memo.fields(b"content-length: 5\r\nContent-Length: 5")[0]] == [
        b"content-length", b"Content-Length"
    ]  # fmt: skip


def test_the_memo_stays_small_under_lines_that_never_repeat() -> None:
    memo = FieldMemo(REQUEST_KINDS)
    most = 0
    for n in range(10_000):
        memo.fields(b"X-Unique: %d" % n)
        most = max(most, len(memo._lines))
    assert most == 2_048
    assert memo.fields(b"X-Unique: 1")[0][0][2] == b"1"


def test_the_memo_holds_no_long_lines() -> None:
    memo = FieldMemo(REQUEST_KINDS)
    for n in range(100):
        memo.fields(b"Cookie: %d" % n + b"c" * 247)
    assert max(map(len, memo._lines)) <= 256
    assert len(memo._lines) == 10

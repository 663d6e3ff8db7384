"""What a hostile peer can make the codec remember, keep and repeat is bounded. Work is counted, not timed."""

from __future__ import annotations

import re

import pytest

from meshproxy.http1 import chunked, request, response
from meshproxy.http1.error import HEAD_BYTES, HEAD_FIELDS, LEADING_EMPTY_LINES, ProtocolError
from meshproxy.http1.field import MEMO_COST
from meshproxy.http1.request import RequestGrammar, RequestParser
from meshproxy.http1.response import ResponseGrammar, ResponseParser
from tests.http1.good import get, head
from tests.http1.record import RequestRecord, ResponseRecord, read_requests, read_response


class Counted(bytes):
    """Bytes that count how many of them were searched; what a parser makes of them by adding counts as well."""

    searched = 0

    def __radd__(self, before: bytes) -> Counted:
        return Counted(before + bytes(self))

    def find(self, sub: bytes, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        Counted.searched += min(len(self), len(self) if end is None else end) - start
        return super().find(sub, start, len(self) if end is None else end)


class CountedPattern:
    """A pattern that counts how many bytes it was given to search."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern
        self.searched = 0

    def search(self, data: bytes, pos: int = 0) -> re.Match[bytes] | None:
        self.searched += len(data) - pos
        return self._pattern.search(data, pos)


def make_request_parser() -> RequestParser:
    record = RequestRecord()
    record.parser = RequestParser(RequestGrammar(), record)
    return record.parser


def make_response_parser() -> ResponseParser:
    parser = ResponseParser(ResponseGrammar(), ResponseRecord())
    parser.expect(b"GET", b"")
    return parser


def kept(parser: RequestParser | ResponseParser) -> bytes:
    return parser.buffer if isinstance(parser, RequestParser) else parser._buffer


VALUE = b"a" * (HEAD_BYTES - 200)


@pytest.mark.parametrize(
    ("kind", "start", "rest"),
    [
        ("request", b"", get(b"X-A: " + VALUE)[:-1]),
        ("request", b"", head(b"GET /" + VALUE + b" HTTP/1.1", b"Host: a")[:-1]),
        ("response", b"", head(b"HTTP/1.1 200 OK", b"X-A: " + VALUE)[:-1]),
        ("request", get(b"Transfer-Encoding: chunked") + b"0\r\n", b"X-A: " + VALUE + b"\r\n\r"),
        ("response", head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + b"0\r\n", b"X-A: " + VALUE + b"\r\n\r"),
    ],
    ids=["a request's field", "a request line", "a response's field", "a request's trailer", "a response's trailer"],
)
def test_a_head_that_drips_in_is_searched_once(
    kind: str, start: bytes, rest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = CountedPattern(chunked.BARE_LF)
    for module in (chunked, request, response):
        monkeypatch.setattr(module, "BARE_LF", pattern)
    parser = make_request_parser() if kind == "request" else make_response_parser()
    if start:
        parser.feed(start)
    Counted.searched = pattern.searched = 0
    for i in range(len(rest)):
        parser.feed(Counted(rest[i : i + 1]))
    # Three bytes may be seen again with each new one, in case that they begin an empty line.
    assert 0 < pattern.searched <= 4 * len(rest)
    assert 0 < Counted.searched <= 4 * len(rest)


@pytest.mark.parametrize("empty_lines", range(LEADING_EMPTY_LINES + 1))
@pytest.mark.parametrize(("excess", "rule"), [(0, ""), (1, "request head too large")])
@pytest.mark.parametrize("tail", [0, 1, 2, 3, 4, 5])
def test_a_request_head_of_64_kib_is_the_most_however_cut(empty_lines: int, excess: int, rule: str, tail: int) -> None:
    empty = get(b"X-A: ")
    data = get(b"X-A: " + b"a" * (HEAD_BYTES + 4 - len(empty) + excess))
    assert len(data) == HEAD_BYTES + 4 + excess
    data = b"\r\n" * empty_lines + data
    reading = read_requests([data[: len(data) - tail], data[len(data) - tail :]])
    assert reading.rule == rule
    assert len(reading.messages) == (not rule)


@pytest.mark.parametrize(("excess", "rule"), [(0, ""), (1, "response head too large")])
@pytest.mark.parametrize("tail", [0, 1, 2, 3, 4, 5])
def test_a_response_head_of_64_kib_is_the_most_however_cut(excess: int, rule: str, tail: int) -> None:
    empty = head(b"HTTP/1.1 204 X", b"X-A: ")
    data = head(b"HTTP/1.1 204 X", b"X-A: " + b"a" * (HEAD_BYTES + 4 - len(empty) + excess))
    assert read_response([data[: len(data) - tail], data[len(data) - tail :]]).rule == rule


@pytest.mark.parametrize("kind", ["request", "response"])
def test_no_head_is_kept_beyond_its_bound(kind: str) -> None:
    parser = make_request_parser() if kind == "request" else make_response_parser()
    parser.feed(b"GET / HTTP/1.1\r\nX: " if kind == "request" else b"HTTP/1.1 200 OK\r\nX: ")
    lengths = [len(kept(parser))]
    while lengths[-1] <= HEAD_BYTES - 1_000:
        parser.feed(b"a" * 1_000)
        lengths.append(len(kept(parser)))
    parser.feed(b"a" * (HEAD_BYTES + 3 - lengths[-1]))
    assert len(kept(parser)) == HEAD_BYTES + 3
    with pytest.raises(ProtocolError, match="head too large"):
        parser.feed(b"a")
    assert not kept(parser)


def test_fields_are_refused_before_they_are_parsed() -> None:
    grammar = RequestGrammar()
    many = b"\r\n".join(b"X-%d: 1" % n for n in range(HEAD_FIELDS))
    assert read_requests([get(many)], grammar=grammar).rule == "too many fields"
    assert not grammar.fields._lines


def test_memos_stay_small_under_requests_that_never_repeat() -> None:
    grammar = RequestGrammar()
    most = 0
    for n in range(5_000):
        data = head(b"GET /%d HTTP/1.1" % n, b"Host: h%d" % n, b"X-Unique: %d" % n)
        (message,) = read_requests([data], grammar=grammar).messages
        assert (message.target, message.authority) == (b"/%d" % n, b"h%d" % n)
        most = max(most, len(grammar.lines), len(grammar.fields._lines))
    assert most == 2_048
    assert len(request._AUTHORITIES) <= 1_024


def test_memos_hold_nothing_long() -> None:
    grammar = RequestGrammar()
    for n in range(20):
        host = b"h%d" % n + b"x" * 60_000
        assert read_requests([head(b"GET / HTTP/1.1", b"Host: " + host)], grammar=grammar).messages[0].authority == host
        assert read_requests(
            [head(b"GET /%d" % n + b"y" * 60_000 + b" HTTP/1.1", b"Host: a")], grammar=grammar
        ).messages
    assert max(map(len, request._AUTHORITIES)) <= 256
    assert max(map(len, grammar.fields._lines)) <= 256
    assert max(map(len, grammar.lines)) <= 512
    for n in range(2, 100):
        for size in (2, 75):
            again = get(*[b"X-%d: " % i + b"a" * size for i in range(n)])
            read_requests([again], grammar=grammar)
            read_requests([again], grammar=grammar)
    assert 1_900 < max(map(len, grammar.blocks)) <= 2_048
    assert max(len(known[0]) for known in grammar.blocks.values()) == 32


def test_remembered_blocks_cost_no_more_than_their_bound() -> None:
    grammar = RequestGrammar()
    most = 0
    for n in range(4_000):
        again = head(
            b"GET / HTTP/1.1", b"Host: a", *[b"X-%d: %s" % (i, b"a" * 40) for i in range(n % 30)], b"X: %d" % n
        )
        read_requests([again], grammar=grammar)
        read_requests([again], grammar=grammar)
        if n % 100 == 0:
            cost = sum(len(block) + 64 * len(known[0]) for block, known in grammar.blocks.items())
            assert cost <= MEMO_COST
            most = max(most, cost)
    assert most > MEMO_COST * 0.5


def test_status_lines_that_never_repeat_stay_few() -> None:
    grammar = ResponseGrammar()
    most = 0
    for n in range(1_500):
        for reason in (b"r%d" % n, b"r%d" % n + b"x" * 200):
            data = head(b"HTTP/1.1 200 " + reason, b"Content-Length: 0", b"Date: %d" % n)
            assert read_response([data], grammar=grammar).messages[0].is_complete
        most = max(most, len(grammar.lines))
    assert most == 512
    assert max(map(len, grammar.lines)) <= 128

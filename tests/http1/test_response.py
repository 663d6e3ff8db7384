"""Responses: framing, refusals, and a connection's desynchronization."""

from __future__ import annotations

import contextlib

import pytest

from meshproxy.http1.error import ProtocolError
from meshproxy.http1.response import MAX_INTERIM, ResponseGrammar, ResponseParser
from meshproxy.policy.message import Field, ResponseHead
from tests.http1.answers import CONTINUE, GOOD, NEXT, REFUSED, SWITCH, Refused, chunked, head, ok, status
from tests.http1.good import HELLO
from tests.http1.oracle import forwarded, h11_response
from tests.http1.record import Answer, ResponseRecord, read_response

by_name = pytest.mark.parametrize("name", GOOD)
by_case = pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)


def read(name: str) -> Answer:
    good = GOOD[name]
    return read_response([good.data], method=good.method, upgrade=good.upgrade, is_eof=good.is_eof)


@by_name
def test_a_good_response_is_framed_by_its_rule(name: str) -> None:
    good, answer = GOOD[name], read(name)
    final = answer.messages[-1]
    assert answer.rule == ""
    assert (final.length, final.body, answer.has_excess) == (good.length, good.body, good.has_excess)
    assert tuple(m.status for m in answer.messages) == good.statuses
    assert not answer.is_cut
    assert final.is_complete or final.status == 101


@by_name
def test_h11_reads_a_good_response_alike(name: str) -> None:
    good, answer = GOOD[name], read(name)
    verdict, seen = h11_response(good.data, good.method, good.upgrade, is_eof=good.is_eof)
    assert verdict == "accepts"
    assert [(m.status, m.fields, m.trailers) for m in answer.messages] == [
        (s.status, forwarded(s), s.trailers) for s in seen
    ]
    assert answer.messages[-1].body == seen[-1].body


@by_case
def test_a_bad_response_is_refused_by_its_rule(case: Refused) -> None:
    answer = read_response([case.data], method=case.method, upgrade=case.upgrade)
    assert answer.rule == case.rule
    assert not answer.messages or answer.messages[-1].status < 200, "nothing of it reaches the client"


@by_case
def test_a_bad_response_is_refused_however_it_is_cut(case: Refused) -> None:
    size = max(1, len(case.data) // 500)
    pieces = [case.data[i : i + size] for i in range(0, len(case.data), size)]
    assert read_response(pieces, method=case.method, upgrade=case.upgrade).rule


@by_case
def test_the_table_says_what_h11_makes_of_a_bad_response(case: Refused) -> None:
    assert h11_response(case.data, case.method, case.upgrade)[0] == case.h11


@pytest.mark.parametrize(
    ("line", "fields", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK", [], True),
        (b"HTTP/1.1 200 OK", [b"Connection: keep-alive"], True),
        (b"HTTP/1.1 200 OK", [b"Connection: close"], False),
        (b"HTTP/1.1 200 OK", [b"Connection: keep-alive", b"Connection: x, CLOSE"], False),
        (b"HTTP/1.0 200 OK", [], False),
        (b"HTTP/1.0 200 OK", [b"Connection: Keep-Alive"], True),
        (b"HTTP/1.0 200 OK", [b"Connection: keep-alive, close"], False),
        (b"HTTP/1.0 200 OK", [b"Keep-Alive: timeout=5"], False),
    ],
)
def test_a_connection_is_kept_by_its_versions_default_unless_told_otherwise(
    line: bytes, fields: list[bytes], keep_alive: bool
) -> None:
    (answer,) = read_response([head(line, b"Content-Length: 0", *fields)]).messages
    assert answer.keep_alive is keep_alive


def test_hop_by_hop_fields_are_dropped() -> None:
    assert read("hop-by-hop fields").messages[0].fields == [(b"x-a", b"1"), (b"content-length", b"0")]
    assert read("fields that Connection cannot name").messages[0].fields == [
        (b"set-cookie", b"a"), (b"content-length", b"1")
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["204 with a length", "an interim one with a length"])
def test_a_response_that_can_have_no_body_announces_none(name: str) -> None:
    assert read(name).messages[0].fields == [(b"x-a", b"1")]


@pytest.mark.parametrize("name", ["HEAD with a length", "304 with a length"])
def test_head_and_304_keep_the_length_they_speak_of(name: str) -> None:
    answer = read(name)
    assert b"content-length" in dict(answer.messages[0].fields)
    assert not answer.has_excess


# Ends.


def parser_for(method: bytes = b"GET", upgrade: bytes = b"") -> tuple[ResponseParser, ResponseRecord]:
    record = ResponseRecord()
    parser = ResponseParser(ResponseGrammar(), record)
    parser.expect(method, upgrade)
    return parser, record


@pytest.mark.parametrize(
    ("data", "is_cut", "is_complete"),
    [
        (b"", True, None),
        (b"HTTP/1.1 20", True, None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", True, None),
        (CONTINUE, True, True),
        (CONTINUE + b"HT", True, True),
        (ok(b"Content-Length: 5"), True, False),
        (ok(b"Content-Length: 5", body=b"hell"), True, False),
        (ok(b"Content-Length: 5", body=b"hello"), False, True),
        (chunked(b""), True, False),
        (chunked(b"5\r\nhel"), True, False),
        (chunked(b"5\r\nhello"), True, False),
        (chunked(b"5\r\nhello\r\n0\r\n"), True, False),
        (chunked(b"5\r\nhello\r\n0\r\nX: 1\r\n"), True, False),
        (chunked(HELLO), False, True),
        (ok(), False, True),
        (ok(body=b"hell"), False, True),
        (ok(b"Content-Length: 0", body=b"x"), False, True),
    ],
)
def test_the_connections_end_cuts_short_what_was_not_complete(
    data: bytes, is_cut: bool, is_complete: bool | None
) -> None:
    answer = read_response([data], is_eof=True)
    assert answer.is_cut is is_cut
    assert (answer.messages[-1].is_complete if answer.messages else None) is is_complete


def test_a_tunnel_that_ends_is_not_cut_short() -> None:
    answer = read_response([SWITCH + b"x"], upgrade=b"websocket", is_eof=True)
    assert answer.messages[-1].body == b"x"
    assert not answer.is_cut


def test_the_end_of_an_idle_connection_cuts_nothing() -> None:
    parser = ResponseParser(ResponseGrammar(), ResponseRecord())
    assert not parser.eof()
    assert not parser.eof()


# Desynchronization on a pooled connection.


def test_bytes_while_idle_are_excess_and_reach_nobody() -> None:
    parser, record = parser_for()
    parser.feed(ok(b"Content-Length: 2", body=b"ab"))
    assert not parser.has_excess
    parser.feed(NEXT)
    assert parser.has_excess
    assert [r.body for r in record.responses] == [b"ab"]


def test_bytes_before_anything_was_asked_are_excess() -> None:
    record = ResponseRecord()
    parser = ResponseParser(ResponseGrammar(), record)
    parser.feed(NEXT)
    assert parser.has_excess
    assert not record.responses


@pytest.mark.parametrize(
    ("data", "is_reusable"),
    [
        (ok(b"Content-Length: 1", body=b"x"), True),
        (chunked(HELLO), True),
        (status(204), True),
        (CONTINUE + ok(b"Content-Length: 0"), True),
        (head(b"HTTP/1.0 200 OK", b"Connection: keep-alive", b"Content-Length: 0"), True),
        (head(b"HTTP/1.0 200 OK", b"Content-Length: 0"), False),
        (ok(b"Connection: close", b"Content-Length: 0"), False),
        (ok(b"Content-Length: 0", body=b"x"), False),
        (ok(b"Content-Length: 2", body=b"x"), False),
        (ok(body=b"x"), False),
        (CONTINUE, False),
        (chunked(b"0\r\n"), False),
    ],
)
def test_a_connection_is_reusable_after_a_whole_response_that_keeps_it(data: bytes, is_reusable: bool) -> None:
    grammar = ResponseGrammar()
    for _ in range(2):  # as new, and as remembered
        parser = ResponseParser(grammar, ResponseRecord())
        parser.expect(b"GET", b"")
        parser.feed(data)
        assert parser.is_reusable is is_reusable


@pytest.mark.parametrize("name", [name for name, good in GOOD.items() if good.has_excess])
def test_excess_is_known_before_the_responses_end_is_told(name: str) -> None:
    told: list[bool] = []

    class Sink(ResponseRecord):
        def on_response(self, head: ResponseHead, data: bytes, is_end: bool) -> None:
            super().on_response(head, data, is_end)
            if is_end:
                told.append(parser.has_excess)

        def on_response_end(self, data: bytes, trailers: list[Field]) -> None:
            super().on_response_end(data, trailers)
            told.append(parser.has_excess)

    parser = ResponseParser(ResponseGrammar(), Sink())
    parser.expect(GOOD[name].method, b"")
    parser.feed(GOOD[name].data)
    assert told == [True]


@pytest.mark.parametrize("rest", [ok(b"Content-Length: 0", body=b"x"), b"HTTP/9"])
def test_a_dead_parser_expects_nothing_more(rest: bytes) -> None:
    parser, _ = parser_for()
    with contextlib.suppress(ProtocolError):
        parser.feed(rest)
    with pytest.raises(AssertionError):
        parser.expect(b"GET", b"")


def test_one_response_after_another() -> None:
    record = ResponseRecord()
    parser = ResponseParser(ResponseGrammar(), record)
    for method, data, body in [
        (b"HEAD", ok(b"Content-Length: 5"), b""),
        (b"GET", CONTINUE + ok(b"Content-Length: 5", body=b"hello"), b"hello"),
        (b"GET", chunked(HELLO), b"hello"),
        (b"GET", status(304, b"Content-Length: 5"), b""),
        (b"GET", status(204), b""),
        (b"POST", ok(b"Content-Length: 1", body=b"x"), b"x"),
    ]:
        parser.expect(method, b"")
        parser.feed(data)
        assert record.responses[-1].body == body
        assert record.responses[-1].is_complete
        assert not parser.has_excess


def test_interim_responses_are_counted_for_each_request_anew() -> None:
    parser, record = parser_for()
    for _ in range(3):
        parser.feed(CONTINUE * MAX_INTERIM + NEXT)
        parser.expect(b"GET", b"")
    assert len(record.responses) == 3 * (MAX_INTERIM + 1)


def test_has_begun_from_the_first_byte() -> None:
    parser, _ = parser_for()
    assert not parser.has_begun
    parser.feed(b"H")
    assert parser.has_begun
    parser, _ = parser_for()
    parser.feed(CONTINUE)
    assert parser.has_begun


@pytest.mark.parametrize(
    "data",
    [
        ok(b"Content-Length: 5", body=b"hello"),
        chunked(b"5\r\nhello\r\n0\r\nX: 1\r\n\r\n"),
        ok(body=b"hello"),
        CONTINUE + NEXT,
    ],
)
def test_a_sink_that_kills_the_parser_hears_nothing_more(data: bytes) -> None:
    class Sink(ResponseRecord):
        def on_response(self, head: ResponseHead, data: bytes, is_end: bool) -> None:
            super().on_response(head, data, is_end)
            parser.kill()

        def on_interim(self, head: ResponseHead) -> None:
            super().on_interim(head)
            parser.kill()

    sink = Sink()
    parser = ResponseParser(ResponseGrammar(), sink)
    parser.expect(b"GET", b"")
    parser.feed(data)
    parser.feed(NEXT)
    assert sink.calls == 1
    assert not parser.eof()


def test_a_connection_may_be_used_again_within_the_callback() -> None:
    class Sink(ResponseRecord):
        def on_response(self, head: ResponseHead, data: bytes, is_end: bool) -> None:
            super().on_response(head, data, is_end)
            if is_end:
                parser.expect(b"GET", b"")

        def on_response_end(self, data: bytes, trailers: list[Field]) -> None:
            super().on_response_end(data, trailers)
            parser.expect(b"GET", b"")

    sink = Sink()
    parser = ResponseParser(ResponseGrammar(), sink)
    parser.expect(b"GET", b"")
    whole = [ok(b"Content-Length: 1", body=b"x"), chunked(HELLO), chunked(b"0\r\nX: 1\r\n\r\n"), status(204)]
    for data in whole:
        parser.feed(data[:-1])
        parser.feed(data[-1:])
    assert len(sink.responses) == 4
    assert not parser.has_excess

"""Requests: what is accepted, what is refused, and what is passed on."""

from __future__ import annotations

import pytest

from meshproxy.http1.request import RequestGrammar, RequestParser
from meshproxy.policy.message import CHUNKED, RequestHead
from tests.http1.good import GOOD, STRICTER, get, head, post
from tests.http1.oracle import forwarded, h11_requests, httptools_requests, origin_form
from tests.http1.record import Request, RequestRecord, read_requests
from tests.http1.refused import OVERSIZED, REFUSED, Refused

by_name = pytest.mark.parametrize("name", GOOD)
by_case = pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)


def read_one(data: bytes) -> Request:
    (request,) = read_requests([data]).messages
    assert request.is_complete
    return request


@by_name
def test_a_good_request_is_accepted_whole(name: str) -> None:
    reading = read_requests([GOOD[name]])
    assert reading.rule == ""
    assert reading.messages
    assert reading.messages[-1].is_complete


@by_name
def test_h11_reads_a_good_request_alike(name: str) -> None:
    verdict, seen = h11_requests(GOOD[name])
    assert verdict == ("refuses" if name in STRICTER["h11"] else "accepts")
    messages = read_requests([GOOD[name]]).messages
    # h11 keeps no HTTP/1.0 connection, so it may have seen less.
    assert len(seen) == len(messages) or verdict == "refuses" or seen[-1].minor == b"1.0"
    for ours, theirs in zip(messages, seen, strict=False):
        assert ours.method == theirs.method
        assert ours.target == origin_form(theirs.method, theirs.target)
        assert ours.fields == forwarded(theirs)
        assert ours.body == theirs.body


@by_name
def test_httptools_reads_a_good_request_alike(name: str) -> None:
    verdict, seen = httptools_requests(GOOD[name])
    assert verdict == ("refuses" if name in STRICTER["httptools"] else "accepts")
    for ours, theirs in zip(read_requests([GOOD[name]]).messages, seen, strict=False):
        assert ours.method == theirs.method
        # It takes every upgrade for a tunnel, and what follows for the tunnel's.
        assert ours.body == theirs.body or b"upgrade" in dict(theirs.fields)
        assert ours.target == origin_form(theirs.method, theirs.target)


@by_case
def test_a_bad_request_is_refused_by_its_rule(case: Refused) -> None:
    reading = read_requests([case.data])
    assert reading.rule == case.rule
    assert reading.is_oversized == (case.rule in OVERSIZED)
    assert not reading.messages or not reading.messages[-1].is_complete or case.name.startswith(("rubbish", "a second"))


@by_case
def test_a_bad_request_is_refused_however_it_is_cut(case: Refused) -> None:
    size = max(1, len(case.data) // 500)
    pieces = [case.data[i : i + size] for i in range(0, len(case.data), size)]
    assert read_requests(pieces).rule


@by_case
def test_the_table_says_what_the_oracles_make_of_a_bad_request(case: Refused) -> None:
    assert (h11_requests(case.data)[0], httptools_requests(case.data)[0]) == (case.h11, case.httptools)


def test_a_refusal_names_no_byte_of_the_peer() -> None:
    for case in REFUSED:
        assert case.rule.isascii()
        assert case.rule.isprintable()
    secret = get(b"Authorization : Bearer s3cret")
    assert "s3cret" not in read_requests([secret]).rule


# What is passed on.


def test_hop_by_hop_fields_are_dropped_and_order_and_case_kept() -> None:
    heads: list[RequestHead] = []

    class Sink(RequestRecord):
        def on_request(self, head: RequestHead, data: bytes, is_end: bool) -> None:
            heads.append(head)
            super().on_request(head, data, is_end)

    sink = Sink()
    sink.parser = RequestParser(RequestGrammar(), sink)
    sink.parser.feed(
        get(
            b"x-B:  2 ",
            b"Keep-Alive: 5",
            b"Proxy-Connection: keep-alive",
            b"Connection: X-Gone",
            b"X-gone: 1",
            b"X-a:1",
        )
    )
    assert heads[0].block == b"Host: a\r\nx-B:  2 \r\nX-a:1\r\n"


@pytest.mark.parametrize(
    "name", ["nominated fields that are protected", "h2c, as by curl --http2", "h2c, as by Java's HttpClient"]
)
def test_what_is_not_upgraded_goes_on_as_a_plain_request(name: str) -> None:
    request = read_requests([GOOD[name]]).messages[0]
    assert request.upgrade == b""
    assert {n for n, _ in request.fields}.isdisjoint({b"connection", b"upgrade", b"http2-settings"})


def test_connection_names_no_protected_field_away() -> None:
    request = read_requests([GOOD["nominated fields that are protected"]]).messages[0]
    assert len(request.fields) == 14
    assert not request.keep_alive


@pytest.mark.parametrize(
    ("name", "upgrade"),
    [
        ("websocket, as by Java's HttpClient", b"websocket"),
        ("websocket, as by Firefox", b"websocket"),
        ("websocket in two Connection fields", b"websocket"),
        ("websocket that Connection does not name", b""),
        ("websocket by POST", b""),
        ("websocket with a body", b""),
        ("websocket in HTTP/1.0", b""),
        ("h2c, as by curl --http2", b""),
    ],
)
def test_only_a_websocket_asked_for_properly_is_an_upgrade(name: str, upgrade: bytes) -> None:
    assert read_requests([GOOD[name]]).messages[0].upgrade == upgrade


@pytest.mark.parametrize("value", [b"websocket, h2c", b"h2c, websocket", b"websocket/13", b"websockets", b""])
def test_another_upgrade_is_none(value: bytes) -> None:
    assert read_one(get(b"Connection: Upgrade", b"Upgrade: " + value)).upgrade == b""


@pytest.mark.parametrize(
    ("version", "fields", "keep_alive"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"Connection: close"], False),
        (b"1.1", [b"Connection: CLOSE"], False),
        (b"1.1", [b"Connection: keep-alive, close"], False),
        (b"1.1", [b"Connection: keep-alive", b"Connection: close"], False),
        (b"1.1", [b"Connection: closed"], True),
        (b"1.1", [b"Proxy-Connection: close"], True),
        (b"1.0", [], False),
        (b"1.0", [b"Connection: Keep-Alive"], True),
        (b"1.0", [b"Connection: upgrade , keep-alive"], True),
        (b"1.0", [b"Connection: Keep-Alive", b"Connection: close"], False),
        (b"1.0", [b"Proxy-Connection: Keep-Alive"], False),
    ],
)
def test_keep_alive_is_the_versions_default_unless_connection_says_otherwise(
    version: bytes, fields: list[bytes], keep_alive: bool
) -> None:
    assert read_one(head(b"GET / HTTP/" + version, b"Host: a", *fields)).keep_alive is keep_alive


@pytest.mark.parametrize(
    ("data", "expects", "is_kept"),
    [
        (post(b"Expect: 100-continue", b"Content-Length: 0"), True, True),
        (post(b"expect: 100-Continue", b"Content-Length: 0"), True, True),
        (post(b"Expect: 100-continue", b"Expect: x", b"Content-Length: 0"), True, True),
        (post(b"Expect: y 100-continue", b"Content-Length: 0"), False, True),
        (head(b"POST / HTTP/1.0", b"Expect: 100-continue", b"Content-Length: 0"), False, False),
    ],
)
def test_expect_is_noticed_and_passed_on_but_means_nothing_in_http_1_0(
    data: bytes, expects: bool, is_kept: bool
) -> None:
    request = read_one(data)
    assert request.expect_continue is expects
    assert (b"expect" in dict(request.fields)) is is_kept


@pytest.mark.parametrize(
    ("line", "fields", "target", "authority"),
    [
        (b"GET http://b:81/x?y HTTP/1.1", [b"hOst: a"], b"/x?y", b"b:81"),
        (b"GET http://b HTTP/1.1", [b"Host: a"], b"/", b"b"),
        (b"GET http://b?y HTTP/1.1", [b"Host: a"], b"/?y", b"b"),
        (b"OPTIONS http://b HTTP/1.1", [b"Host: a"], b"*", b"b"),
        (b"OPTIONS http://b?y HTTP/1.1", [b"Host: a"], b"/?y", b"b"),
        (b"GET http://b/ HTTP/1.0", [], b"/", b"b"),
        (b"GET http://b/ HTTP/1.0", [b"Host: a"], b"/", b"b"),
        (b"GET / HTTP/1.1", [b"Host: a:80"], b"/", b"a:80"),
        (b"GET / HTTP/1.0", [], b"/", b""),
    ],
)
def test_an_absolute_target_wins_over_host_and_replaces_it(
    line: bytes, fields: list[bytes], target: bytes, authority: bytes
) -> None:
    request = read_one(head(line, *fields))
    assert (request.target, request.authority) == (target, authority)
    assert [v for n, v in request.fields if n == b"host"] == ([authority] if authority else [])


def test_trailers_that_frame_route_or_identify_are_not_taken() -> None:
    request = read_one(GOOD["trailers that are not taken"])
    assert request.length == CHUNKED
    assert request.trailers == [(b"x-sum", b"1")]


# The parser's states, as its owner sees them.


def feed(data: bytes, *, is_prompt: bool = False) -> tuple[RequestParser, RequestRecord]:
    record = RequestRecord(is_prompt=is_prompt)
    parser = record.parser = RequestParser(RequestGrammar(), record)
    parser.feed(data)
    return parser, record


def test_the_next_request_waits_for_resume() -> None:
    parser, record = feed(get() + get(b"X-A: 2"))
    assert len(record.requests) == 1
    assert parser.buffered_bytes == len(get(b"X-A: 2"))
    parser.feed(get())
    assert parser.buffered_bytes == len(get(b"X-A: 2") + get())
    parser.resume()
    parser.feed(b"")
    assert len(record.requests) == 2
    assert parser.buffered_bytes == len(get())


def test_resume_amid_a_body_does_not_make_a_request_of_it() -> None:
    parser, record = feed(post(b"Content-Length: 100", body=b"ab"))
    parser.resume()
    parser.feed(get())
    assert len(record.requests) == 1
    assert record.requests[0].body == b"ab" + get()
    assert parser.is_in_body


def test_resume_does_not_revive_the_dead() -> None:
    parser, record = feed(get())
    parser.kill()
    parser.resume()
    parser.feed(get())
    assert len(record.requests) == 1
    assert parser.buffered_bytes == 0
    assert not parser.is_idle


def test_a_tunnel_begins_with_what_has_come_after_the_request() -> None:
    parser, _ = feed(GOOD["websocket, as by Firefox"] + b"abc")
    assert parser.tunnel() == b"abc"
    heard: list[bytes] = []
    parser._sink.on_request_data = heard.append  # type: ignore[method-assign]
    parser.feed(b"\x81\x00\r\n\r\n")
    assert heard == [b"\x81\x00\r\n\r\n"]


def test_states_tell_idle_head_and_body_apart() -> None:
    parser, _ = feed(b"", is_prompt=True)
    assert parser.is_idle
    parser.feed(b"POST / HT")
    assert (parser.is_idle, parser.is_in_body) == (False, False)
    parser.feed(b"TP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
    assert (parser.is_idle, parser.is_in_body) == (False, True)
    parser.feed(b"b")
    assert (parser.is_idle, parser.is_in_body) == (True, False)

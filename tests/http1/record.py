"""What the parsers told their sinks, as values to compare. The recorders hold every call against the codec's laws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from meshproxy.http1.error import ProtocolError
from meshproxy.http1.request import RequestGrammar, RequestParser
from meshproxy.http1.response import ResponseGrammar, ResponseParser
from meshproxy.policy.message import CHUNKED, UNTIL_CLOSE, Field, RequestHead, ResponseHead, serialize

# Never passed on as a field: the proxy writes its own.
HOP_BY_HOP = {
    b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings",
}  # fmt: skip

Pairs = list[tuple[bytes, bytes]]


class Request(NamedTuple):
    method: bytes
    target: bytes
    authority: bytes
    fields: Pairs
    length: int
    keep_alive: bool
    expect_continue: bool
    upgrade: bytes
    body: bytes
    trailers: Pairs
    is_complete: bool


class Response(NamedTuple):
    status: int
    fields: Pairs
    length: int
    keep_alive: bool
    upgrade: bytes
    body: bytes
    trailers: Pairs
    is_complete: bool


class Reading(NamedTuple):
    """What came of some bytes: the messages in order, and the rule that ended it, if any was broken."""

    messages: list[Request]
    rule: str = ""
    is_oversized: bool = False


class Answer(NamedTuple):
    """What came of one expected response."""

    messages: list[Response]
    rule: str = ""
    has_excess: bool = False
    is_cut: bool = False


def pairs(fields: Sequence[Field]) -> Pairs:
    return [(f[0], f[2]) for f in fields]


def _check_fields(fields: list[Field], block: bytes, length: int, *, is_bodiless: bool) -> None:
    """What is passed on is what was judged: no hop-by-hop field, and framing as `length` has it."""
    assert block == serialize(fields)
    assert block.count(b"\n") == len(fields)
    assert not {f[0] for f in fields} & HOP_BY_HOP
    lengths = [int(f[2]) for f in fields if f[0] == b"content-length"]
    assert len(lengths) <= 1
    if length in (CHUNKED, UNTIL_CLOSE):
        assert not lengths
    elif length or lengths:
        assert lengths == [length] or is_bodiless


class RequestRecord:
    """Records one connection's requests, and goes on to the next one as the proxy does: never after `close`."""

    def __init__(self, *, is_prompt: bool = True) -> None:
        self.requests: list[Request] = []
        self.is_prompt = is_prompt
        self.is_waiting = False
        self.calls = 0
        self.parser: RequestParser

    def on_request(self, head: RequestHead, data: bytes, is_end: bool) -> None:
        assert not self.requests or self.requests[-1].is_complete
        _check_fields(head.fields, head.block, head.length, is_bodiless=False)
        names = [f[0] for f in head.fields]
        assert names.count(b"host") == (1 if head.authority else 0) or head.line.method == b"CONNECT"
        assert names.count(b"te") == sum(f[2] == b"trailers" for f in head.fields if f[0] == b"te")
        assert head.has_request_id == names.count(b"x-request-id")
        assert head.has_forwarded_proto == names.count(b"x-forwarded-proto")
        self.requests.append(
            Request(
                head.line.method, head.line.target, head.authority, pairs(head.fields), head.length, head.keep_alive,
                head.expect_continue, head.upgrade, b"", [], False,
            )
        )  # fmt: skip
        self._add(data, [], is_end)

    def on_request_data(self, data: bytes) -> None:
        assert data
        self._add(data, [], False)

    def on_request_end(self, data: bytes, trailers: list[Field]) -> None:
        self._add(data, pairs(trailers), True)

    def _add(self, data: bytes, trailers: Pairs, is_end: bool) -> None:
        self.calls += 1
        request = self.requests[-1]
        assert not request.is_complete
        request = request._replace(body=request.body + data, trailers=trailers, is_complete=is_end)
        assert request.length == CHUNKED or len(request.body) <= request.length
        assert not is_end or request.length in (CHUNKED, len(request.body))
        self.requests[-1] = request
        if not is_end:
            return
        if not request.keep_alive:
            self.parser.kill()
        elif self.is_prompt:
            self.parser.resume()
        else:
            self.is_waiting = True


def read_requests(pieces: Iterable[bytes], *, grammar: RequestGrammar | None = None, is_prompt: bool = True) -> Reading:
    """Feed a server's parser. `is_prompt`: each request is answered within its own callback, else after the read."""
    record = RequestRecord(is_prompt=is_prompt)
    parser = record.parser = RequestParser(grammar or RequestGrammar(), record)
    try:
        for piece in pieces:
            parser.feed(piece)
            while record.is_waiting:
                record.is_waiting = False
                parser.resume()
                parser.feed(b"")
    except ProtocolError as error:
        calls = record.calls
        parser.resume()
        parser.feed(b"GET /after-the-error HTTP/1.1\r\nHost: a\r\n\r\n")
        assert record.calls == calls, "something was delivered after an error"
        assert parser.buffered_bytes == 0
        return Reading(record.requests, error.rule, error.is_oversized)
    return Reading(record.requests)


class ResponseRecord:
    """Records the responses of one connection."""

    def __init__(self) -> None:
        self.responses: list[Response] = []
        self.calls = 0
        self.is_tunnel = False

    def on_response(self, head: ResponseHead, data: bytes, is_end: bool) -> None:
        is_bodiless = head.length == 0 and head.status != 204
        _check_fields(head.fields, head.block, head.length, is_bodiless=is_bodiless)
        self._start(head)
        self._add(data, [], is_end)

    def on_interim(self, head: ResponseHead) -> None:
        assert 100 <= head.status < 200
        assert head.status != 101
        _check_fields(head.fields, head.block, 0, is_bodiless=False)
        self._start(head)
        self._add(b"", [], True)

    def on_upgrade(self, head: ResponseHead) -> None:
        assert head.status == 101
        _check_fields(head.fields, head.block, 0, is_bodiless=False)
        self._start(head)
        self.is_tunnel = True

    def on_response_data(self, data: bytes) -> None:
        assert data
        self._add(data, [], False)

    def on_response_end(self, data: bytes, trailers: list[Field]) -> None:
        self._add(data, pairs(trailers), True)

    def _start(self, head: ResponseHead) -> None:
        assert not self.responses or self.responses[-1].is_complete
        assert head.has_length == sum(f[0] == b"content-length" for f in head.fields)
        self.responses.append(
            Response(head.status, pairs(head.fields), head.length, head.keep_alive, head.upgrade, b"", [], False)
        )

    def _add(self, data: bytes, trailers: Pairs, is_end: bool) -> None:
        self.calls += 1
        response = self.responses[-1]
        assert not response.is_complete
        self.responses[-1] = response._replace(body=response.body + data, trailers=trailers, is_complete=is_end)


def read_response(
    pieces: Iterable[bytes],
    *,
    method: bytes = b"GET",
    upgrade: bytes = b"",
    is_eof: bool = False,
    grammar: ResponseGrammar | None = None,
) -> Answer:
    """Feed a client's parser that expects one response."""
    record = ResponseRecord()
    parser = ResponseParser(grammar or ResponseGrammar(), record)
    parser.expect(method, upgrade)
    try:
        for piece in pieces:
            parser.feed(piece)
    except ProtocolError as error:
        calls = record.calls
        parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert record.calls == calls, "something was delivered after an error"
        assert not parser.eof(), "a refused response is not reported twice"
        return Answer(record.responses, error.rule, parser.has_excess)
    is_cut = parser.eof() if is_eof else False
    return Answer(record.responses, "", parser.has_excess, is_cut)

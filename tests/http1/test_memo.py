"""What was remembered of earlier messages changes the cost of the next one, never its meaning."""

from __future__ import annotations

import random

import pytest

from meshproxy.http1.request import RequestGrammar, RequestParser
from meshproxy.http1.response import ResponseGrammar, ResponseParser
from meshproxy.policy.message import RequestHead, ResponseHead, field
from tests.http1 import answers
from tests.http1.good import GOOD, get, head
from tests.http1.record import Pairs, pairs, read_requests, read_response
from tests.http1.refused import REFUSED


@pytest.mark.parametrize("seed", range(3))
def test_requests_mean_the_same_to_a_grammar_that_has_seen_everything(seed: int) -> None:
    stream = [*GOOD.values(), *(case.data for case in REFUSED)] * 2
    random.Random(seed).shuffle(stream)
    grammar = RequestGrammar()
    for data in stream:
        assert read_requests([data], grammar=grammar) == read_requests([data])


@pytest.mark.parametrize("seed", range(3))
def test_responses_mean_the_same_to_a_grammar_that_has_seen_everything(seed: int) -> None:
    asked = [(good.data, good.method, good.upgrade) for good in answers.GOOD.values()]
    asked += [(case.data, case.method, case.upgrade) for case in answers.REFUSED]
    # The same heads, asked for by other methods: what HEAD makes of them must not stay.
    asked += [(data, method, upgrade) for data, _, upgrade in asked for method in (b"HEAD", b"GET")]
    random.Random(seed).shuffle(asked)
    grammar = ResponseGrammar()
    for data, method, upgrade in asked * 2:
        assert read_response([data], method=method, upgrade=upgrade, grammar=grammar) == read_response(
            [data], method=method, upgrade=upgrade
        )


FIELDS = (b"Host: a", b"X-A: 1", b"Content-Length: 0")
LINES = [
    b"GET / HTTP/1.1", b"POST /x HTTP/1.1", b"GET / HTTP/1.0", b"GET http://b/ HTTP/1.1", b"GET http://b/ HTTP/1.0",
    b"OPTIONS * HTTP/1.1", b"CONNECT b:1 HTTP/1.1",
]  # fmt: skip


@pytest.mark.parametrize("first", LINES)
@pytest.mark.parametrize("second", LINES)
def test_equal_fields_under_another_request_line_are_judged_anew(first: bytes, second: bytes) -> None:
    grammar = RequestGrammar()
    read_requests([head(first, *FIELDS)], grammar=grammar)
    assert read_requests([head(second, *FIELDS)], grammar=grammar) == read_requests([head(second, *FIELDS)])


def test_fields_that_a_policy_edits_are_not_those_that_are_remembered() -> None:
    seen: list[Pairs] = []

    class Sink:
        def on_request(self, head: RequestHead, data: bytes, is_end: bool) -> None:
            seen.append(pairs(head.fields))
            head.replace_fields([*head.fields, field(b"X-Added", b"1")])
            requests.resume()

        def on_response(self, head: ResponseHead, data: bytes, is_end: bool) -> None:
            seen.append(pairs(head.fields))
            head.replace_fields([*head.fields, field(b"X-Added", b"1")])

    requests = RequestParser(RequestGrammar(), Sink())  # type: ignore[arg-type]
    responses = ResponseParser(ResponseGrammar(), Sink())  # type: ignore[arg-type]
    for _ in range(3):
        requests.feed(get(b"X-A: 1"))
        responses.expect(b"GET", b"")
        responses.feed(answers.ok(b"Content-Length: 0"))
    assert seen == [[(b"host", b"a"), (b"x-a", b"1")], [(b"content-length", b"0")]] * 3

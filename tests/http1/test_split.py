"""However the network cuts a message, the same is told of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshproxy.http1.chunked import ChunkedDecoder
from meshproxy.http1.field import REQUEST_KINDS, FieldMemo
from meshproxy.http1.request import RequestGrammar
from meshproxy.http1.response import ResponseGrammar
from tests.http1 import answers
from tests.http1.good import GOOD
from tests.http1.record import Answer, pairs, read_requests, read_response
from tests.http1.refused import REFUSED

prompt = pytest.mark.parametrize("is_prompt", [True, False], ids=["answered within the callback", "answered after"])


def halves(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    return ((data[:i], data[i:]) for i in range(1, len(data)))


def single_bytes(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@prompt
@pytest.mark.parametrize("name", GOOD)
def test_requests_cut_anywhere_are_the_same(name: str, is_prompt: bool) -> None:
    data = GOOD[name]
    whole = read_requests([data], is_prompt=is_prompt)
    assert read_requests(single_bytes(data), is_prompt=is_prompt) == whole
    grammar = RequestGrammar()  # what was remembered of the first cut must not change the others
    for two in halves(data):
        assert read_requests(two, is_prompt=is_prompt, grammar=grammar) == whole


@pytest.mark.parametrize("case", [c for c in REFUSED if len(c.data) < 1_000], ids=lambda case: case.name)
def test_refused_requests_cut_anywhere_are_refused(case: object) -> None:
    data: bytes = case.data  # type: ignore[attr-defined]
    complete = [m for m in read_requests([data]).messages if m.is_complete]
    for two in halves(data):
        reading = read_requests(two)
        assert reading.rule
        assert [m for m in reading.messages if m.is_complete] == complete


@pytest.mark.parametrize("name", answers.GOOD)
def test_responses_cut_anywhere_are_the_same(name: str) -> None:
    good = answers.GOOD[name]
    grammar = ResponseGrammar()

    def read(*pieces: bytes) -> Answer:
        return read_response(
            pieces, method=good.method, upgrade=good.upgrade, is_eof=good.is_eof, grammar=grammar
        )  # fmt: skip

    whole = read(good.data)
    assert read(*single_bytes(good.data)) == whole
    for two in halves(good.data):
        assert read(*two) == whole


@pytest.mark.parametrize("case", [c for c in answers.REFUSED if len(c.data) < 1_000], ids=lambda case: case.name)
def test_refused_responses_cut_anywhere_are_refused(case: answers.Refused) -> None:
    for two in halves(case.data):
        assert read_response(two, method=case.method, upgrade=case.upgrade).rule


def test_a_chunked_body_cut_twice_anywhere_is_the_same() -> None:
    data = b"3;a\r\nabc\r\n1\r\n\r\r\n0\r\nX: 1\r\n\r\nNEXT"
    memo = FieldMemo(REQUEST_KINDS)
    for i in range(len(data)):
        for j in range(i, len(data)):
            decoder = ChunkedDecoder(memo)
            body, rest = b"", b""
            for piece in (data[:i], data[i:j], data[j:]):
                if decoder.is_done:
                    rest += piece
                else:
                    body += decoder.feed(piece)
            assert body == b"abc\r"
            assert decoder.rest + rest == b"NEXT"
            assert pairs(decoder.trailers) == [(b"x", b"1")]

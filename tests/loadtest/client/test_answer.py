"""Heads of answers, read on their own."""

from __future__ import annotations

import pytest
from httptools import HttpParserError

from loadtest.client.answer import LONGEST_HEAD_BYTES, Head, ends_at_close


@pytest.mark.parametrize(
    ("received", "status"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", 200),
        (b"HTTP/1.1 503 No\r\nserver: x\r\n\r\nsorry", 503),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 201 Created\r\n\r\n", 201),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsorry", 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nso", 0),
        (b"HTTP/1.1 200 OK\r\nserver: x\r\n", 0),
        (b"HTTP/1.1 103 Early\r\n\r\n", 0),
        (b"", 0),
        (b"nonsense", 0),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(2 * LONGEST_HEAD_BYTES), 200),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * (2 * LONGEST_HEAD_BYTES), 0),
    ],
)
def test_an_answer_ends_with_its_connection_when_nothing_else_says_its_end(received: bytes, status: int):
    assert ends_at_close(received) == status


def test_a_head_without_an_end_is_refused():
    head = Head()
    head.feed(b"HTTP/1.1 200 OK\r\nx: ")
    for _ in range(65):
        head.feed(b"a" * 1000)
    with pytest.raises(HttpParserError, match="too long"):
        head.feed(b"a" * 1000)


@pytest.mark.parametrize(
    ("received", "keeps_alive"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: x , CLOSE\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n\r\n", True),
        (b"HTTP/1.1 103 Early\r\nconnection: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", True),
    ],
)
def test_a_connection_goes_on_as_the_answer_says(received: bytes, keeps_alive: bool):
    for step in (1, len(received)):
        head = Head()
        for begin in range(0, len(received), step):
            assert not head.status
            head.feed(received[begin : begin + step])
        assert head.status == 200
        assert head.keeps_alive is keeps_alive

"""Chunked bodies: what we write, we and others read back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.http1.chunked import LAST_CHUNK, ChunkedDecoder, encode_chunk, encode_end
from meshproxy.http1.error import CHUNK_EXTENSION_BYTES, CHUNK_LINE_BYTES, HEAD_BYTES, ProtocolError
from meshproxy.http1.field import REQUEST_KINDS, FieldMemo
from meshproxy.policy.message import field
from tests.http1.good import chunked
from tests.http1.oracle import h11_requests, httptools_requests
from tests.http1.record import pairs


def decode(data: bytes) -> ChunkedDecoder:
    decoder = ChunkedDecoder(FieldMemo(REQUEST_KINDS))
    decoder.feed(data)
    return decoder


trailer_names = st.from_regex(rb"X-[A-Za-z0-9]{1,9}", fullmatch=True)


def feed_all(decoder: ChunkedDecoder, pieces: list[bytes]) -> bytes:
    return b"".join([decoder.feed(piece) for piece in pieces])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    pieces=st.lists(st.binary(max_size=40) | st.binary(min_size=250, max_size=300)),
    trailers=st.lists(st.tuples(trailer_names, st.sampled_from([b"", b"v", b"a b"]))),
)
def test_what_we_frame_is_read_back_by_us_and_by_others(
    pieces: list[bytes], trailers: list[tuple[bytes, bytes]]
) -> None:
    body = b"".join(pieces)
    framed = [part for piece in pieces for part in encode_chunk(piece)]
    framed.append(encode_end([field(name, value) for name, value in trailers]))
    decoder = ChunkedDecoder(FieldMemo(REQUEST_KINDS))
    assert decoder.feed(b"".join(framed) + b"rest") == body
    assert decoder.is_done
    assert decoder.rest == b"rest"
    lowered = [(name.lower(), value) for name, value in trailers]
    assert pairs(decoder.trailers) == lowered
    verdict, (seen,) = h11_requests(chunked(b"".join(framed)))
    assert (verdict, seen.body, seen.trailers) == ("accepts", body, lowered)
    verdict, (seen,) = httptools_requests(chunked(b"".join(framed)))
    assert (verdict, seen.body) == ("accepts", body)


def test_an_empty_piece_does_not_end_the_body() -> None:
    assert encode_chunk(b"") == []


def test_a_body_without_trailers_ends_in_the_shortest_way() -> None:
    assert encode_end([]) == LAST_CHUNK == b"0\r\n\r\n"


def test_chunks_of_one_read_come_as_one_piece() -> None:
    decoder = ChunkedDecoder(FieldMemo(REQUEST_KINDS))
    assert decoder.feed(b"1\r\na\r\n2\r\nbc\r\n4\r\nde") == b"abcde"
    assert not decoder.is_done
    assert decoder.feed(b"fg\r\n") == b"fg"


@pytest.mark.parametrize("size", [0, 1, CHUNK_LINE_BYTES - 4])
def test_a_size_line_of_a_kibibyte_is_read(size: int) -> None:
    assert decode(b"0;" + b"a" * size + b"\r\n\r\n").is_done


@pytest.mark.parametrize("cut", [None, CHUNK_LINE_BYTES - 1, CHUNK_LINE_BYTES])
def test_a_size_line_over_a_kibibyte_is_refused_however_cut(cut: int | None) -> None:
    data = b"0;" + b"a" * (CHUNK_LINE_BYTES - 3) + b"\r\n\r\n"
    decoder = ChunkedDecoder(FieldMemo(REQUEST_KINDS))
    with pytest.raises(ProtocolError, match="too long"):
        feed_all(decoder, [data] if cut is None else [data[:cut], data[cut:]])


def test_extensions_are_bounded_in_sum() -> None:
    decoder = ChunkedDecoder(FieldMemo(REQUEST_KINDS))
    chunk = b"1;" + b"a" * 511 + b"\r\nx\r\n"
    for _ in range(CHUNK_EXTENSION_BYTES // 512):
        decoder.feed(chunk)
    with pytest.raises(ProtocolError, match="extensions too long"):
        decoder.feed(chunk)


@pytest.mark.parametrize("cut", [None, 1, 100, HEAD_BYTES, HEAD_BYTES + 1, HEAD_BYTES + 3])
@pytest.mark.parametrize(("excess", "is_taken"), [(0, True), (1, False)])
def test_trailers_of_64_kib_are_the_most_however_cut(cut: int | None, excess: int, is_taken: bool) -> None:
    trailers = b"X: " + b"a" * (HEAD_BYTES - 3 + excess)
    decoder = decode(b"0\r\n")
    data = trailers + b"\r\n\r\n"
    pieces = [data] if cut is None else [data[:cut], data[cut:]]
    if is_taken:
        assert feed_all(decoder, pieces) == b""
        assert decoder.is_done
    else:
        with pytest.raises(ProtocolError, match="trailers too large") as raised:
            feed_all(decoder, pieces)
        assert raised.value.is_oversized

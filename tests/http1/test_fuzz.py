"""Messages made at random, and good ones broken at random: the codec against a model and against h11."""

from __future__ import annotations

import re
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http1 import answers
from tests.http1.good import GOOD
from tests.http1.oracle import forwarded, forwarded_trailers, h11_requests, h11_response, origin_form
from tests.http1.record import Pairs, Reading, Request, read_requests, read_response

# What h11 refuses and we accept: white space before a chunk extension; and in trailers, where we take no coding at all,
# a coding that is none.
H11_IS_STRICTER = re.compile(rb"[0-9A-F][ \t]+;|\n0+[^\n]*\n(?:[^\n]+\n)*?transfer-encoding:", re.IGNORECASE)

TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VISIBLE = bytes(range(0x21, 0x7F))


def octets(alphabet: bytes, *, min_size: int = 0, max_size: int = 12) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(alphabet), min_size=min_size, max_size=max_size).map(bytes)


class Model(NamedTuple):
    """A request as bytes, and as it is to be read."""

    data: bytes
    method: bytes
    target: bytes
    fields: Pairs
    body: bytes
    trailers: Pairs


padding = st.sampled_from([b"", b" ", b"\t", b" \t "])
names = octets(TOKEN, min_size=1).map(lambda name: b"X-" + name)
values = octets(VISIBLE + b" \t" + bytes(range(0x80, 0x100)), max_size=30).map(lambda value: value.strip(b" \t"))
fields = st.lists(st.tuples(names, padding, values, padding), max_size=5)
extensions = st.sampled_from([b"", b";a", b";a=b;c", b';a="b;\xff"', b";\t"])


@st.composite
def chunks_of(draw: st.DrawFn, body: bytes) -> bytes:
    out = b""
    while body:
        size = draw(st.integers(1, len(body)))
        digits = draw(st.sampled_from([b"%x", b"%X", b"00%x"])) % size
        out += digits + draw(extensions) + b"\r\n" + body[:size] + b"\r\n"
        body = body[size:]
    return out + draw(st.sampled_from([b"0", b"000"])) + draw(extensions) + b"\r\n"


def lines(pieces: list[tuple[bytes, bytes, bytes, bytes]]) -> list[bytes]:
    return [name + b":" + before + value + after for name, before, value, after in pieces]


def lowered(pieces: list[tuple[bytes, bytes, bytes, bytes]]) -> Pairs:
    return [(name.lower(), value) for name, _, value, _ in pieces]


@st.composite
def requests(draw: st.DrawFn) -> Model:
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"DELETE"]) | octets(TOKEN, min_size=1))
    if method == b"CONNECT":
        method = b"PATCH"
    target = b"/" + draw(octets(VISIBLE.replace(b"#", b"")))
    before, after = draw(fields), draw(fields)
    body: bytes = draw(
        st.binary(max_size=40) | st.sampled_from([b"\r\n\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
    )
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    extra: list[bytes] = []
    trailers: Pairs = []
    sent = b""
    expected = [(b"host", b"a"), *lowered(before)]
    if framing == "length":
        extra, sent = [b"Content-Length: %d" % len(body)], body
        expected.append((b"content-length", b"%d" % len(body)))
    elif framing == "chunked":
        last = draw(fields)
        extra, trailers = [b"Transfer-Encoding: chunked"], lowered(last)
        sent = draw(chunks_of(body)) + b"".join(line + b"\r\n" for line in lines(last)) + b"\r\n"
    else:
        body = b""
    head = [method + b" " + target + b" HTTP/1.1", b"Host: a", *lines(before), *extra, *lines(after), b"", b""]
    return Model(b"\r\n".join(head) + sent, method, target, expected + lowered(after), body, trailers)


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[i:j] for i, j in zip([0, *places], [*places, len(data)], strict=True)]


def complete(reading: Reading) -> list[Request]:
    return [m for m in reading.messages if m.is_complete]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data(), st.lists(requests(), min_size=1, max_size=4), st.booleans())
def test_random_pipelined_requests_are_read_as_they_were_meant(
    data: st.DataObject, models: list[Model], is_prompt: bool
) -> None:
    stream = b"".join(model.data for model in models)
    reading = read_requests(data.draw(cut(stream)), is_prompt=is_prompt)
    assert reading.rule == ""
    read = [(m.method, m.target, m.fields, m.body, m.trailers) for m in complete(reading)]
    assert read == [model[1:] for model in models]
    verdict, seen = h11_requests(stream)
    assert verdict == "accepts"
    assert [(s.method, s.target, forwarded(s), s.body, s.trailers) for s in seen] == read


BITS = [
    b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b"\x0b", b" ", b"\t", b":", b",", b";", b"0", b"5", b"-", b"chunked",
    b"\r\nContent-Length: 3", b"\r\nTransfer-Encoding: chunked", b"\r\nHost: b", b"\r\nConnection: close",
]  # fmt: skip
# Broken at random: where (as a fraction), what is done, and with which bytes.
mutations = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["flip", "insert", "delete", "double"]),
        st.binary(min_size=1, max_size=2) | st.sampled_from(BITS),
    ),
    min_size=1,
    max_size=3,
)


def mutate(data: bytes, steps: list[tuple[float, str, bytes]]) -> bytes:
    for fraction, kind, extra in steps:
        place = int(fraction * len(data))
        if kind == "flip":
            data = data[:place] + extra + data[place + 1 :]
        elif kind == "insert":
            data = data[:place] + extra + data[place:]
        elif kind == "delete":
            data = data[:place] + data[place + len(extra) :]
        else:
            data = data[: place + 8] + data[place:]
    return data


def check_requests(data: bytes, pieces: list[bytes]) -> None:
    """Whatever we accept, h11 accepts with the same meaning; and how it is cut changes no verdict."""
    reading = read_requests([data])
    again = read_requests(pieces, is_prompt=False)
    assert complete(again) == complete(reading)
    assert bool(again.rule) == bool(reading.rule)
    _, seen = h11_requests(data, skips_empty_lines=True)
    accepted = complete(reading)
    if len(seen) < len(accepted):  # it keeps no HTTP/1.0 connection
        assert H11_IS_STRICTER.search(data) or b"1.0" in [s.minor for s in seen]
    for ours, theirs in zip(accepted, seen, strict=False):
        assert (ours.method, ours.target) == (theirs.method, origin_form(theirs.method, theirs.target))
        assert ours.fields == forwarded(theirs)
        assert (ours.body, ours.trailers) == (theirs.body, forwarded_trailers(theirs))


@settings(max_examples=1_500, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from([d for d in GOOD.values() if len(d) < 1_000]), mutations)
def test_whatever_is_accepted_of_broken_requests_h11_reads_alike(
    data: st.DataObject, good: bytes, steps: list[tuple[float, str, bytes]]
) -> None:
    broken = mutate(good, steps)
    check_requests(broken, data.draw(cut(broken)))


def check_response(data: bytes, good: answers.Good, pieces: list[bytes]) -> None:
    """Whatever we accept, h11 accepts with the same meaning; and how it is cut changes no verdict."""
    answer = read_response([data], method=good.method, upgrade=good.upgrade, is_eof=True)
    again = read_response(pieces, method=good.method, upgrade=good.upgrade, is_eof=True)
    assert bool(again.rule) == bool(answer.rule)
    accepted = [m for m in answer.messages if m.is_complete]
    assert [m for m in again.messages if m.is_complete] == accepted
    _, seen = h11_response(data, good.method, good.upgrade, is_eof=True)
    if len(seen) < len(accepted):
        assert H11_IS_STRICTER.search(data)
    for ours, theirs in zip(accepted, seen, strict=False):
        assert (ours.status, ours.fields, ours.body, ours.trailers) == (
            theirs.status, forwarded(theirs), theirs.body, forwarded_trailers(theirs)
        )  # fmt: skip


@settings(max_examples=1_500, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from(sorted(answers.GOOD)), mutations)
def test_whatever_is_accepted_of_broken_responses_h11_reads_alike(
    data: st.DataObject, name: str, steps: list[tuple[float, str, bytes]]
) -> None:
    good = answers.GOOD[name]
    broken = mutate(good.data, steps)
    check_response(broken, good, data.draw(cut(broken)))

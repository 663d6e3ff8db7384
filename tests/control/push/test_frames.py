"""A client's WebSocket frames, put together to messages; `websockets` is the oracle."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from control.push.frames import BINARY, CLOSE, PING, TEXT, UNFINISHED, FrameError, Messages

LIMIT = 70_000
PONG = 0xA


def frame(opcode: int, payload: bytes, *, is_final: bool = True) -> bytes:
    """As the oracle encodes it for a client: masked by chance."""
    return Frame(Opcode(opcode), payload, fin=is_final).serialize(mask=True)


def read(*pieces: bytes, limit: int = LIMIT) -> list[tuple[int, bytes]]:
    messages = Messages(limit)
    found = []
    for piece in pieces:
        messages.feed(piece)
        while (message := messages.next()) is not None:
            if message != (UNFINISHED, b""):
                found.append(message)
    return found


@pytest.mark.parametrize("size", [0, 1, 3, 4, 125, 126, 127, 65_535, 65_536, LIMIT])
def test_a_message_of_any_size_is_read(size: int) -> None:
    payload = bytes(n % 251 for n in range(size))
    assert read(frame(TEXT, payload)) == [(TEXT, payload)]
    assert read(frame(BINARY, payload)) == [(BINARY, payload)]


def test_wherever_the_bytes_are_cut_the_messages_are_the_same() -> None:
    first, second, third = frame(TEXT, b"a", is_final=False), frame(UNFINISHED, b"b", is_final=False), frame(0, b"c")
    data = b"".join((frame(TEXT, b"one"), frame(PING, b""), first, frame(PONG, b"x"), second, third))
    data += frame(TEXT, b"y" * 200) + frame(CLOSE, b"\3\xe8")
    whole = [(TEXT, b"one"), (PING, b""), (PONG, b"x"), (TEXT, b"abc"), (TEXT, b"y" * 200), (CLOSE, b"\3\xe8")]
    assert read(data) == whole
    for cut in range(len(data)):
        assert read(data[:cut], data[cut:]) == whole
    assert read(*(bytes([byte]) for byte in data)) == whole


def test_each_fragment_is_a_step_of_its_own() -> None:
    """So that whoever sends nothing but fragments leaves room for others."""
    messages = Messages(LIMIT)
    messages.feed(frame(TEXT, b"", is_final=False) + frame(UNFINISHED, b"", is_final=False) * 2)
    assert [messages.next() for _ in range(4)] == [(UNFINISHED, b"")] * 3 + [None]


MESSAGES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([TEXT, BINARY]), st.lists(st.binary(max_size=300), min_size=1, max_size=4)),
        st.tuples(st.sampled_from([PING, PONG]), st.lists(st.binary(max_size=125), min_size=1, max_size=1)),
    ),
    max_size=8,
)


@settings(max_examples=100)
@given(sent=MESSAGES, cuts=st.lists(st.integers(0, 5_000), max_size=6))
def test_what_was_sent_is_read(sent: list[tuple[int, list[bytes]]], cuts: list[int]) -> None:
    data = b"".join(
        frame(opcode if not n else UNFINISHED, part, is_final=n == len(parts) - 1)
        for opcode, parts in sent
        for n, part in enumerate(parts)
    )
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert read(*pieces) == [(opcode, b"".join(parts)) for opcode, parts in sent]


REFUSED = {
    "not masked": (b"\x81\x01a", 1002),
    "a reserved bit": (frame(TEXT, b"a").replace(b"\x81", b"\xc1", 1), 1002),
    "a reserved opcode": (frame(TEXT, b"a").replace(b"\x81", b"\x83", 1), 1002),
    "a reserved control opcode": (frame(PING, b"a").replace(b"\x89", b"\x8b", 1), 1002),
    "a fragment of a ping": (frame(PING, b"a").replace(b"\x89", b"\x09", 1), 1002),
    "a long ping": (b"\x89\xfe\x00\x7e" + bytes(4), 1002),
    "goes on from nothing": (frame(UNFINISHED, b"a"), 1002),
    "another message within one": (frame(TEXT, b"a", is_final=False) + frame(TEXT, b"b"), 1002),
    "too large": (b"\x81\xff" + (LIMIT + 1).to_bytes(8, "big") + bytes(4), 1009),
    "much too large": (b"\x81\xff" + b"\xff" * 8 + bytes(4), 1009),
    "too large together": (frame(TEXT, bytes(LIMIT), is_final=False) + frame(UNFINISHED, b"a"), 1009),
    "too large so far": (frame(TEXT, bytes(LIMIT), is_final=False) + frame(UNFINISHED, b"a", is_final=False), 1009),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_allowed_is_refused(what: str) -> None:
    data, code = REFUSED[what]
    with pytest.raises(FrameError) as refused:
        read(data)
    assert refused.value.code == code


def test_a_message_that_is_too_large_is_refused_before_it_has_come() -> None:
    messages = Messages(LIMIT)
    messages.feed(b"\x81\xff" + (LIMIT + 1).to_bytes(8, "big") + bytes(4))
    with pytest.raises(FrameError):
        messages.next()


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = read(data, limit=100)
    except FrameError:
        return
    assert sum(len(payload) for _, payload in found) <= len(data)

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.crew.link import MAX_FRAME_BYTES, Link
from tests.fakes.loop import on_uvloop, until


class End:
    """What one end hears."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.lost = 0
        self.link = Link(self.frames.append, self._on_lost)

    def _on_lost(self) -> None:
        self.lost += 1


def framed(*frames: bytes) -> bytes:
    return b"".join(struct.pack("<L", len(frame)) + frame for frame in frames)


@given(st.lists(st.binary(max_size=20), max_size=6), st.data())
def test_frames_arrive_whole_however_the_bytes_are_cut(frames, data):
    stream = framed(*frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    end = End()
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        end.link.data_received(stream[start:stop])
    assert end.frames == frames


def test_a_frame_past_the_bound_is_refused_before_it_is_gathered():
    end = End()
    with pytest.raises(ValueError, match="a frame of"):
        end.link.data_received(struct.pack("<L", MAX_FRAME_BYTES + 1))


@on_uvloop
async def test_what_one_end_sends_the_other_hears_in_order_and_then_the_end():
    loop = asyncio.get_running_loop()
    one, other = End(), End()
    for end, sock in zip((one, other), socket.socketpair(), strict=True):
        sock.setblocking(False)
        await loop.create_unix_connection(lambda end=end: end.link, sock=sock)
    frames = [bytes([n]) * (n * 5000) for n in range(60)]  # much more than a socket holds
    for frame in frames:
        one.link.send(frame)
    one.link.close()
    await until(lambda: other.lost)
    assert other.frames == frames
    assert (one.lost, other.lost) == (1, 1)
    assert not other.link.is_open
    other.link.send(b"to nobody")

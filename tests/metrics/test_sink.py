from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import subprocess
import sys

import pytest

from meshproxy.metrics.sink import BUFFER_BYTES, Sink
from tests.fakes.loop import on_uvloop, until


class Dropped:
    """Adds up what a sink reports."""

    def __init__(self) -> None:
        self.lines = 0

    def __call__(self, lines: int) -> None:
        self.lines += lines


async def read_all(fd: int, wanted: int) -> bytes:
    os.set_blocking(fd, False)
    data = bytearray()

    def take() -> bool:
        with contextlib.suppress(BlockingIOError):
            data.extend(os.read(fd, 1 << 20))
        return len(data) >= wanted

    await until(take)
    return bytes(data)


@on_uvloop
async def test_lines_reach_a_pipe_whole_and_in_order():
    reader, writer = os.pipe()
    dropped = Dropped()
    sink = Sink(asyncio.get_running_loop(), writer, dropped)
    lines = [b"%06d %s\n" % (n, b"x" * 80) for n in range(5000)]  # several times what a pipe holds
    for line in lines:
        sink.write(line)
    assert await read_all(reader, sum(map(len, lines))) == b"".join(lines)
    assert dropped.lines == 0
    assert sink.buffered_bytes == 0
    sink.close()
    os.close(reader)
    os.close(writer)


@on_uvloop
async def test_a_reader_that_stands_still_costs_lines_and_they_are_counted():
    reader, writer = os.pipe()
    dropped = Dropped()
    sink = Sink(asyncio.get_running_loop(), writer, dropped)
    line = b"y" * 1023 + b"\n"
    written = 0

    def fill() -> bool:
        nonlocal written
        for _ in range(200):
            sink.write(line)
        written += 200
        return dropped.lines > 1000

    await until(fill)
    assert sink.buffered_bytes <= BUFFER_BYTES
    kept = written - dropped.lines
    data = await read_all(reader, kept * len(line))
    assert data == line * kept
    sink.close()
    os.close(reader)
    os.close(writer)


@on_uvloop
async def test_a_reader_that_is_gone_makes_every_line_a_dropped_one():
    reader, writer = os.pipe()
    dropped = Dropped()
    sink = Sink(asyncio.get_running_loop(), writer, dropped)
    os.close(reader)
    sink.write(b"a\n")
    sink.write(b"b\n")
    await until(lambda: dropped.lines == 2)
    sink.write(b"c\n")
    assert dropped.lines == 3
    sink.close()
    os.close(writer)


@on_uvloop
async def test_the_descriptor_that_was_given_stays_blocking():
    reader, writer = os.pipe()
    sink = Sink(asyncio.get_running_loop(), writer, Dropped())
    assert os.get_blocking(writer)
    assert not fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK
    sink.write(b"last words\n")
    sink.close()
    assert os.read(reader, 100) == b"last words\n"
    os.write(writer, b"still open\n")
    os.close(reader)
    os.close(writer)


@on_uvloop
async def test_a_file_is_appended_to(tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(b"before\n")
    with path.open("ab") as file:
        sink = Sink(asyncio.get_running_loop(), file.fileno(), Dropped())
        sink.write(b"after\n")
        await until(lambda: path.read_bytes() == b"before\nafter\n")
        sink.close()


@on_uvloop
async def test_a_socket_is_written_to_without_waiting():
    ours, theirs = socket.socketpair()
    dropped = Dropped()
    sink = Sink(asyncio.get_running_loop(), ours.fileno(), dropped)
    lines = b"z" * 99 + b"\n"
    for _ in range(9000):  # more than both sockets' buffers hold
        sink.write(lines)
    await until(lambda: sink.buffered_bytes < 900_000)
    assert await read_all(theirs.fileno(), 900_000) == lines * 9000
    assert ours.getblocking()
    assert dropped.lines == 0
    sink.close()
    ours.close()
    theirs.close()


@on_uvloop
async def test_closing_does_not_wait_for_a_reader():
    reader, writer = os.pipe()
    dropped = Dropped()
    sink = Sink(asyncio.get_running_loop(), writer, dropped)
    for _ in range(500):
        sink.write(b"w" * 999 + b"\n")
    sink.close()
    held = len(await read_all(reader, 1))
    assert held < 500_000
    assert dropped.lines >= 500 - held // 1000 - 1
    sink.write(b"late\n")
    os.close(reader)
    os.close(writer)


@on_uvloop
async def test_what_goes_to_the_same_file_past_the_sink_overwrites_nothing(tmp_path):
    path = tmp_path / "both.log"
    with path.open("wb", buffering=0) as file:  # as `> both.log 2>&1` opens it: one position for both
        sink = Sink(asyncio.get_running_loop(), file.fileno(), Dropped())
        file.write(b"a warning\n")
        sink.write(b"a line\n")
        await until(lambda: not sink.buffered_bytes)
        file.write(b"another warning\n")
        sink.close()
    assert path.read_bytes() == b"a warning\na line\nanother warning\n"


_WRITER = """
import asyncio, sys, uvloop
from meshproxy.metrics.sink import Sink

async def main(name):
    dropped = []
    sink = Sink(asyncio.get_running_loop(), 1, dropped.append, shared=True)
    for n in range(3000):
        sink.write(b"%s %06d %s\\n" % (name, n, name * (n % 300)))
    print("ready", file=sys.stderr, flush=True)
    sys.stdin.read(1)
    while sink.buffered_bytes:
        await asyncio.sleep(0.001)
    sink.close()
    assert not dropped

uvloop.run(main(sys.argv[1].encode()))
"""


@pytest.mark.parametrize("kind", ["pipe", "file", "socket"])
def test_lines_of_several_processes_on_one_output_stay_whole_and_in_the_order_of_each(kind, tmp_path):
    path = tmp_path / "out"
    reader, writer = socket.socketpair() if kind == "socket" else (None, None)
    if kind == "file":
        out = os.open(path, os.O_CREAT | os.O_WRONLY)
    elif writer is not None:
        out = writer.detach()
    else:
        end, out = os.pipe()
    command = [sys.executable, "-c", _WRITER]
    writers = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE)
        for name in ("A", "B", "C")
    ]
    os.close(out)
    for one in writers:
        assert one.stderr is not None
        assert one.stderr.readline() == b"ready\n"
    for one in writers:  # all at once
        assert one.stdin is not None
        one.stdin.close()
    data = bytearray()
    if kind == "pipe":
        # In odd, small pieces: writes that are cut short are what mixes lines.
        while piece := os.read(end, 5001):
            data += piece
        os.close(end)
    elif reader is not None:
        with reader:
            while piece := reader.recv(5001):
                data += piece
    for one in writers:
        assert one.stderr is not None
        assert one.stderr.read() == b""
        one.stderr.close()
        assert one.wait(20) == 0
    if kind == "file":
        data += path.read_bytes()
    lines = data.decode().splitlines()
    for name in ("A", "B", "C"):
        mine = [line for line in lines if line.startswith(name)]
        assert mine == [f"{name} {n:06d} {name * (n % 300)}" for n in range(3000)]
    assert len(lines) == 9000

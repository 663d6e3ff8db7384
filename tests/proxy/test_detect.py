from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest
import uvloop

from meshproxy.proxy.detect import Detector, is_tls, peek
from tests.fakes.echo import until

CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01"


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        (b"\x16", True),
        (b"\x16\x03", True),
        (b"\x16\x02", False),
        (b"\x15\x03", False),
        (b"\x00", False),
        (b"\x03\x16", False),
    ],
)
def test_a_handshake_record_is_tls(first: bytes, answer: bool) -> None:
    assert is_tls(first) is answer


@pytest.mark.parametrize("octet", range(0x20, 0x7F))
def test_nothing_printable_is_tls(octet: int) -> None:
    assert not is_tls(bytes([octet]))
    assert not is_tls(bytes([octet, 0x03]))


class Bench:
    """A detector under test, the sockets given to it, and what became of them."""

    def __init__(self, timeout_s: float) -> None:
        self.handed: list[tuple[str, socket.socket]] = []
        self.changed = asyncio.Event()
        self.detector = Detector(
            asyncio.get_running_loop(),
            lambda sock: self.on("plain", sock),
            lambda sock: self.on("tls", sock),
            lambda sock: self.on("silent", sock),
            timeout_s,
        )
        self.peers: list[socket.socket] = []

    def on(self, word: str, sock: socket.socket) -> None:
        self.handed.append((word, sock))
        self.changed.set()

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """The client's end, and ours."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.peers += [ours, theirs]
        return theirs, ours

    async def words(self, count: int) -> list[str]:
        async with asyncio.timeout(5):
            while len(self.handed) < count:
                self.changed.clear()
                await self.changed.wait()
        return [word for word, _ in self.handed]


@contextlib.contextmanager
def bench(timeout_s: float = 10.0) -> Iterator[Bench]:
    made = Bench(timeout_s)
    try:
        yield made
    finally:
        made.detector.close()
        for sock in made.peers:
            sock.close()


@pytest.mark.parametrize(("sent", "word"), [(CLIENT_HELLO, "tls"), (b"GET / HTTP/1.1\r\n", "plain")])
def test_bytes_that_are_already_there_decide_at_once_and_stay(sent: bytes, word: str) -> None:
    async def run() -> None:
        with bench() as made:
            client, ours = made.connect()
            client.send(sent)
            made.detector.take(ours)
            assert made.handed == [(word, ours)]
            assert ours.recv(100) == sent

    uvloop.run(run())


@pytest.mark.parametrize(("sent", "word"), [(CLIENT_HELLO, "tls"), (b"GET / HTTP/1.1\r\n", "plain"), (b"\x16", "tls")])
def test_the_first_byte_that_comes_later_decides(sent: bytes, word: str) -> None:
    async def run() -> None:
        with bench() as made:
            client, ours = made.connect()
            made.detector.take(ours)
            assert len(made.detector) == 1
            client.send(sent[:1])
            assert await made.words(1) == [word]
            assert len(made.detector) == 0
            assert peek(ours) == sent[:1]

    uvloop.run(run())


def test_an_end_before_the_first_byte_is_closed_and_counted() -> None:
    async def run() -> None:
        with bench() as made:
            early, first = made.connect()
            early.close()
            made.detector.take(first)
            late, second = made.connect()
            made.detector.take(second)
            late.close()
            await until(lambda: made.detector.closed == 2)
            assert first.fileno() == second.fileno() == -1
            assert made.handed == []

    uvloop.run(run())


def test_silent_ones_are_handed_on_in_their_order_after_the_timeout() -> None:
    async def run() -> None:
        with bench(timeout_s=0.02) as made:
            ends = [made.connect() for _ in range(3)]
            for _client, ours in ends:
                made.detector.take(ours)
            ends[1][0].send(b"G")
            assert sorted(await made.words(3)) == ["plain", "silent", "silent"]
            assert [sock for word, sock in made.handed if word == "silent"] == [ends[0][1], ends[2][1]]
            _client, ours = made.connect()
            made.detector.take(ours)  # the timer is armed anew
            assert (await made.words(4))[3] == "silent"

    uvloop.run(run())


def test_the_longest_silent_one_can_be_released_early() -> None:
    async def run() -> None:
        with bench() as made:
            assert not made.detector.release_oldest()
            ends = [made.connect() for _ in range(2)]
            for _client, ours in ends:
                made.detector.take(ours)
            assert made.detector.release_oldest()
            assert made.handed == [("silent", ends[0][1])]
            assert len(made.detector) == 1

    uvloop.run(run())


def test_close_closes_all_that_wait() -> None:
    async def run() -> None:
        with bench() as made:
            client, ours = made.connect()
            made.detector.take(ours)
            made.detector.close()
            assert ours.fileno() == -1
            assert client.recv(1) == b""
            assert len(made.detector) == 0

    uvloop.run(run())

"""One worker as its parent sees it: a process, the link to it, and the memory in which it counts."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import meshproxy
from meshproxy.crew.link import Link
from meshproxy.crew.message import ToParent, ToWorker, decode_to_parent, encode
from meshproxy.crew.segment import Segment

LINGER_S = 5.0
"""From the end of the link to the end of the process."""

_ROOT = str(Path(meshproxy.__file__).parent.parent)


class Member:
    """`ended` is done, with the exit status, once the process has ended and all it said has been heard.

    A process whose link has ended is killed, should it not end as well.
    """

    __slots__ = (
        "_link", "_loop", "_lost", "_on_message", "_pidfd", "_process", "_socket", "applied", "ended", "has_spoken",
        "index", "is_following", "is_open", "segment", "silent_ticks",
    )  # fmt: skip

    def __init__(self, index: int, on_message: Callable[[Member, ToParent], None]) -> None:
        """Spawn it. Raises OSError."""
        self.index = index
        self.is_open = False
        self.is_following = False  # it has the configuration, and every change since
        self.applied = 0
        self.has_spoken = False
        self.silent_ticks = 0
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._link = Link(self._on_frame, self._on_lost)
        self.segment = Segment.create()
        try:
            self._socket, theirs = socket.socketpair()
        except OSError:
            self.segment.close()
            raise
        process = None
        try:
            with theirs:
                process = _spawn(theirs.fileno(), self.segment.fd)
            self._pidfd = os.pidfd_open(process.pid)
        except OSError:
            if process is not None:
                process.kill()
                process.wait()
            self._socket.close()
            self.segment.close()
            raise
        self._process = process
        self._loop.add_reader(self._pidfd, self._on_exit)

    def __repr__(self) -> str:
        return f"<Member {self.index} pid={self.pid} {'open' if self.is_open else 'closed'}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    async def connect(self) -> None:
        self._socket.setblocking(False)
        await self._loop.create_unix_connection(lambda: self._link, sock=self._socket)

    def send(self, message: ToWorker) -> None:
        self._link.send(encode(message))

    def send_frame(self, frame: bytes) -> None:
        self._link.send(frame)

    def kill(self) -> None:
        if not self.ended.done():
            self._process.kill()

    def _on_frame(self, frame: bytes) -> None:
        self.has_spoken = True
        self.silent_ticks = 0
        self._on_message(self, decode_to_parent(frame))

    def _on_lost(self) -> None:
        if not self._lost.done():
            self._lost.set_result(None)
        self._end_if_over()

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._process.wait()
        if not self._link.is_open:
            self._on_lost()
        self._end_if_over()

    def _end_if_over(self) -> None:
        status = self._process.returncode
        if status is None:
            self._loop.call_later(LINGER_S, self.kill)
        elif self._lost.done() and not self.ended.done():
            self.is_open = self.is_following = False
            self._socket.close()
            self.ended.set_result(status)


def _spawn(link_fd: int, segment_fd: int) -> subprocess.Popen[bytes]:
    # -P, and the path of this very package: what lies in the working directory is not imported.
    path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-P", "-m", "meshproxy.crew.child", str(link_fd), str(segment_fd)],
        stdin=subprocess.DEVNULL,
        pass_fds=(link_fd, segment_fd),
        env=os.environ | {"PYTHONPATH": path},
        # A terminal's Ctrl-C is for the parent, which then drains all in order.
        process_group=0,
    )

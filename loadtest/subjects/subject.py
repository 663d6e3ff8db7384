"""What every subject can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from loadtest.block import Block
from loadtest.process import Child
from loadtest.scenario.model import Policy

Address = tuple[str, int]


class SubjectError(Exception):
    """A subject cannot be had, or ended by itself. The message says what to do about it."""


@dataclass(frozen=True)
class Instance:
    """One instance of an origin: its number, from 1, and where it listens."""

    number: int
    address: Address


Origins = Mapping[str, Sequence[Instance]]
"""The instances of each origin that requests may go to now."""


@dataclass(frozen=True)
class Entry:
    """Where the generator sends what is for an origin: new connections go to the addresses in turn."""

    addresses: Sequence[Address]
    host: str


@dataclass(frozen=True)
class Place:
    """What a subject gets to live in: a folder of its own, addresses of its own, and the cores it may run on."""

    folder: Path
    block: Block
    cores: Sequence[int] = field(default=())


class Subject(Protocol):
    """Begun for one run, and ended after it. An instance of one is used once."""

    name: str

    async def start(self, origins: Origins, policy: Policy) -> Mapping[str, Entry]:
        """Runs and answers when this returns: where to send what is for each origin. SubjectError when it cannot."""
        ...

    async def update(self, origins: Origins) -> Mapping[str, Entry]:
        """The instances are others now. Returns once the subject was told, which need not mean that it has acted."""
        ...

    async def lose_control_plane(self) -> None:
        """Kills the control plane (SIGKILL), if there is one."""
        ...

    async def regain_control_plane(self) -> None:
        """Starts it again, on what it had stored."""
        ...

    def configuration(self) -> dict[str, str]:
        """What it was started with, for people: name of a file, or `command`, and its text."""
        ...

    def children(self) -> Sequence[Child]:
        """The processes whose time and memory are the subject's."""
        ...

    async def stop(self) -> None:
        """Ends it; safe at any time, also after a `start` that failed or was cancelled."""
        ...

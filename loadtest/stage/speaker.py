"""A child that takes messages and sends messages, line by line."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from loadtest.messages import Trouble
from loadtest.process import Child, ChildError

Heard = TypeVar("Heard")
_encode = msgspec.json.Encoder().encode
_END_S = 1.0
"""What closes its output may live on."""


class Speaker(Generic[Heard]):
    """One of the tool's own processes: `module` of this package, which hears and says lines of messages.py."""

    def __init__(self, child: Child, heard: object) -> None:
        self.child = child
        self._decode = msgspec.json.Decoder(heard).decode

    @classmethod
    async def begin(cls, name: str, module: str, heard: object, cores: Sequence[int]) -> Speaker[Heard]:
        command = [sys.executable, "-m", module]
        return cls(await Child.begin(name, command, speaks=True, cores=cores), heard)

    def tell(self, message: msgspec.Struct) -> None:
        self.child.tell(_encode(message))

    async def hear(self) -> Heard:
        """The next message. ChildError when it ended, or says that it cannot go on."""
        line = await self.child.hear()
        if not line:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.child.wait(), _END_S)
            raise ChildError(f"{self.child.name} ended with status {self.child.returncode}:\n{self.child.last_words()}")
        message: Heard = self._decode(line)
        if isinstance(message, Trouble):
            raise ChildError(f"{self.child.name}: {message.message}")
        return message

"""HAProxy between the generator and the origins."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Mapping, Sequence

from loadtest.outcome import IDEMPOTENT
from loadtest.process import Child, ChildError
from loadtest.scenario.model import Policy
from loadtest.subjects.programs import find
from loadtest.subjects.readiness import answering, until
from loadtest.subjects.subject import Address, Entry, Origins, Place, SubjectError
from loadtest.subjects.templates import render

_PORT = 15001
_SOCKET = "admin.sock"
_CODES = frozenset({401, 403, 404, 408, 425, 500, 501, 502, 503, 504})
"""What `retry-on` takes (HAProxy 2.6 configuration manual, 4.2)."""
_SLOTS = 42
"""`scale-server-slots` of HAProxy's ingress controller, by default."""
_SPARE = 16
_SILENCE_S = 50.0


class Slots:
    """Which server of a backend stands for which instance.

    The one that is free longest is taken first, so that one that was just given up can finish its requests.
    """

    def __init__(self, addresses: Sequence[Address]) -> None:
        self.count = _SLOTS * (1 + (len(addresses) + _SPARE) // _SLOTS)
        self._names = {address: f"slot{number}" for number, address in enumerate(addresses, 1)}
        self._free = deque(f"slot{number}" for number in range(len(addresses) + 1, self.count + 1))

    def changes(self, addresses: Sequence[Address]) -> list[tuple[str, Address | None]]:
        """The servers to change for `addresses` to be the instances: with the new address, or None to take it out.

        Those that come are first. SubjectError when there are more than servers. Nothing counts before `made`.
        """
        come = [address for address in addresses if address not in self._names]
        gone = [address for address in self._names if address not in set(addresses)]
        if len(come) > len(self._free):
            raise SubjectError(f"HAProxy was started with {self.count} slots for servers, and more are needed")
        return [*zip(self._free, come, strict=False), *((self._names[address], None) for address in gone)]

    def made(self, name: str, address: Address | None) -> None:
        """One of the changes was made."""
        if address is None:
            self._names = {each: held for each, held in self._names.items() if held != name}
            self._free.append(name)
        else:
            self._names[address] = name
            self._free.remove(name)


class HAProxy:
    """One HAProxy that all requests go through; instances are changed by its runtime API. It has no control plane."""

    def __init__(self, place: Place) -> None:
        self.name = "haproxy"
        self._program = str(find("haproxy"))
        self._place = place
        self._listen = (place.block.address(), _PORT)
        self._children: list[Child] = []
        self._slots: dict[str, Slots] = {}
        self._shown: dict[str, str] = {}
        self._changing = asyncio.Lock()

    async def start(self, origins: Origins, policy: Policy) -> Mapping[str, Entry]:
        used = {origin: [each.address for each in instances] for origin, instances in origins.items()}
        self._slots = {origin: Slots(addresses) for origin, addresses in used.items()}
        text = render(
            "haproxy.cfg.jinja",
            listen=self._listen,
            socket=_SOCKET,
            slots={origin: (addresses, self._slots[origin].count) for origin, addresses in used.items()},
            policy=policy,
            wait=policy.attempt_timeout or policy.timeout or _SILENCE_S,
            codes=[code for code in policy.retry_codes if code in _CODES],
            missing=[code for code in policy.retry_codes if code not in _CODES],
            idempotent=sorted(IDEMPOTENT),
        )
        (self._place.folder / "haproxy.cfg").write_text(text)
        command = [self._program, "-db", "-f", "haproxy.cfg"]
        self._shown = {"haproxy.cfg": text, "command": " ".join(command)}
        try:
            # In its folder: the socket's path is relative, since such paths have at most 107 octets (unix(7)).
            child = await Child.begin("haproxy", command, cwd=self._place.folder, cores=self._place.cores)
        except ChildError as error:
            raise SubjectError(str(error)) from None
        self._children.append(child)
        await until(child, self._is_ready)
        return self._entries(origins)

    async def update(self, origins: Origins) -> Mapping[str, Entry]:
        """What fails is tried again by the next update."""
        async with self._changing:
            for origin, instances in origins.items():
                slots = self._slots[origin]
                for name, address in slots.changes([each.address for each in instances]):
                    await self._change(f"set server {origin}/{name}", address)
                    slots.made(name, address)
        return self._entries(origins)

    async def _change(self, server: str, address: Address | None) -> None:
        if address is None:
            # What is in work goes on. The address stays until the slot is used again: changed while the server is
            # ready, it would get requests.
            await self._order(f"{server} state maint")
        else:
            # It may have the address already, from an order whose answer did not come.
            done = "changed from", "no need to change the addr"
            await self._order(f"{server} addr {address[0]} port {address[1]}", *done)
            await self._order(f"{server} state ready")

    async def lose_control_plane(self) -> None:
        """Nothing: there is none."""

    async def regain_control_plane(self) -> None:
        """Nothing: there is none."""

    def configuration(self) -> dict[str, str]:
        return dict(self._shown)

    def children(self) -> Sequence[Child]:
        return tuple(self._children)

    async def stop(self) -> None:
        for child in self._children:
            await child.end()

    def _entries(self, origins: Origins) -> dict[str, Entry]:
        return {origin: Entry([self._listen], f"{origin}.load") for origin in origins}

    async def _is_ready(self) -> bool:
        """Its own socket answers, which it binds together with the frontend's."""
        try:
            return bool(await self._ask("show version"))
        except OSError:
            return False

    async def _order(self, command: str, *expected: str) -> None:
        """A command that changes something; SubjectError when the answer is none of `expected`; default: none."""
        async with answering(self._children[0]):
            answer = await self._ask(command)
        if not any(words in answer for words in expected) if expected else answer:
            raise SubjectError(f"HAProxy refused {command!r}: {answer}")

    async def _ask(self, command: str) -> str:
        """The answer of the runtime API."""
        folder = os.open(self._place.folder, os.O_PATH)
        try:
            # Through /proc: the folder's own path may be longer than a socket's may be (unix(7)).
            reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{_SOCKET}")
        finally:
            os.close(folder)
        try:
            writer.write(command.encode() + b"\n")
            return (await reader.read()).decode().strip()
        finally:
            writer.close()

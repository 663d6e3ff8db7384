"""The origin's process, as the run sees it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from loadtest.block import APP_PORT, Block
from loadtest.messages import (
    Executions,
    FromOrigin,
    Listening,
    Open,
    Opened,
    Retire,
    Serve,
    Start,
    Stop,
    Take,
    Taken,
    Traffic,
    TrafficCell,
)
from loadtest.process import ChildError
from loadtest.scenario.model import Scenario
from loadtest.stage.speaker import Speaker
from loadtest.subjects.subject import Instance

_ANSWER_S = 5.0


class Instances:
    """All instances of a scenario's origins: begun, replaced, asked what they did.

    `now` are those that requests may go to, by origin; `addresses` of all that ever were. `on_traffic` gets what they
    saw. `trouble` says why their process ended; empty while it goes on.
    """

    def __init__(self, scenario: Scenario, block: Block, on_traffic: Callable[[list[TrafficCell]], None]) -> None:
        self.now: dict[str, list[Instance]] = {}
        self.addresses: dict[tuple[str, int], str] = {}
        self.unknown = 0
        self.trouble = ""
        self._block = block
        self._on_traffic = on_traffic
        self._begun = {name: origin.instances for name, origin in scenario.origins.items()}
        self._answers: asyncio.Queue[Opened | Taken | None] = asyncio.Queue()
        self._asking = asyncio.Lock()
        self._working = 0
        self._heard = asyncio.Event()
        self._speaker: Speaker[FromOrigin] | None = None
        self._listening: asyncio.Task[None] | None = None

    async def begin(self, text: str, run: str, bin_s: float, cores: Sequence[int]) -> None:
        """Every instance accepts connections when this returns."""
        for name, count in self._begun.items():
            self.now[name] = [self._new(name, number) for number in range(1, count + 1)]
        self._speaker = await Speaker.begin("origin", "loadtest.origin", FromOrigin, cores)
        addresses = {name: [each.address[0] for each in instances] for name, instances in self.now.items()}
        self._speaker.tell(Serve(scenario=text, run=run, addresses=addresses, port=APP_PORT, bin_s=bin_s))
        message = await self._speaker.hear()
        if not isinstance(message, Listening):
            raise ChildError(f"origin said {type(message).__name__} before it listened")
        self._listening = asyncio.create_task(self._listen(self._speaker))

    def _new(self, origin: str, number: int) -> Instance:
        address = self._block.address()
        self.addresses[origin, number] = f"{address}:{APP_PORT}"
        return Instance(number, (address, APP_PORT))

    async def _listen(self, speaker: Speaker[FromOrigin]) -> None:
        try:
            while True:
                message = await speaker.hear()
                if isinstance(message, Traffic):
                    self._working = message.working
                    self._heard.set()
                    self._on_traffic(message.cells)
                elif isinstance(message, Opened | Taken):
                    self._answers.put_nowait(message)
        except ChildError as error:
            self.trouble = str(error)
            self._heard.set()
            self._answers.put_nowait(None)

    def start(self, at: float) -> None:
        self._tell(Start(at=at))

    async def open(self, origin: str) -> Instance:
        """One more instance, which accepts connections; it is not in `now` yet."""
        self._begun[origin] += 1
        instance = self._new(origin, self._begun[origin])
        async with self._asking:
            self._tell(Open(origin=origin, instance=instance.number, address=instance.address[0]))
            await self._answer(Opened)
        return instance

    def retire(self, origin: str, instance: int, grace_s: float) -> None:
        self._tell(Retire(origin=origin, instance=instance, grace_s=grace_s))

    async def idle(self, patience_s: float) -> None:
        """Returns when a report says that nothing is in work any more, or after this time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while not self.trouble:
                    self._heard.clear()
                    await self._heard.wait()
                    if not self._working:
                        return

    async def take(self, chunks: list[tuple[int, int]], *, rest: bool = False) -> list[Executions]:
        """What became of these chunks of ids, or of all that are left."""
        async with self._asking:
            self._tell(Take(chunks=chunks, rest=rest))
            taken = await self._answer(Taken)
        assert isinstance(taken, Taken)
        self.unknown += taken.unknown
        return taken.chunks

    async def _answer(self, kind: type[Opened | Taken]) -> Opened | Taken:
        """The answer to what was just asked; one question at a time is under way."""
        if self.trouble:
            raise ChildError(self.trouble)
        try:
            answer = await asyncio.wait_for(self._answers.get(), _ANSWER_S)
        except TimeoutError:
            words = self._speaker.child.last_words() if self._speaker else ""
            raise ChildError(f"origin did not answer within {_ANSWER_S:g} s:\n{words}") from None
        if answer is None:
            raise ChildError(self.trouble)
        if not isinstance(answer, kind):
            raise ChildError(f"origin answered {type(answer).__name__}, not {kind.__name__}")
        return answer

    def _tell(self, message: Start | Open | Retire | Take | Stop) -> None:
        assert self._speaker is not None
        self._speaker.tell(message)

    async def end(self) -> None:
        """Safe at any time."""
        if self._listening is not None:
            self._listening.cancel()
        if self._speaker is not None:
            self._tell(Stop())
            await self._speaker.child.end()

"""The generator's processes, as the run sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from loadtest.messages import Done, FromWorker, Ready, Report, Retarget, Start, Stop, Work
from loadtest.process import ChildError
from loadtest.stage.speaker import Speaker
from loadtest.subjects.subject import Entry


class Workers:
    """All generator processes. `on_report` gets (worker, Report) of each."""

    def __init__(self, on_report: Callable[[int, Report], None]) -> None:
        self._on_report = on_report
        self._speakers: list[Speaker[FromWorker]] = []

    async def begin(self, count: int, cores: Sequence[int]) -> None:
        """The processes are begun when this returns, and come to themselves while others are."""
        for number in range(count):
            name = f"generator {number + 1}"
            self._speakers.append(await Speaker.begin(name, "loadtest.client", FromWorker, cores))

    async def prepare(self, text: str, run: str, entries: Mapping[str, Entry], bin_s: float) -> None:
        """All are ready to start when this returns."""
        targets = {origin: _addresses(entry) for origin, entry in entries.items()}
        hosts = {origin: entry.host for origin, entry in entries.items()}
        count = len(self._speakers)
        for number, speaker in enumerate(self._speakers):
            speaker.tell(
                Work(scenario=text, run=run, worker=number, workers=count, targets=targets, hosts=hosts, bin_s=bin_s)
            )
        for speaker in self._speakers:
            message = await speaker.hear()
            if not isinstance(message, Ready):
                raise ChildError(f"{speaker.child.name} said {type(message).__name__} before it was ready")

    def start(self, at: float) -> None:
        self._tell(Start(at=at))

    def retarget(self, entries: Mapping[str, Entry]) -> None:
        for origin, entry in entries.items():
            self._tell(Retarget(origin=origin, addresses=_addresses(entry)))

    def stop(self) -> None:
        """What is under way is abandoned; `work` returns soon."""
        self._tell(Stop())

    async def work(self) -> None:
        """Returns when all have sent, been answered, and reported. ChildError when one ends before."""
        async with asyncio.TaskGroup() as group:
            for number, speaker in enumerate(self._speakers):
                group.create_task(self._follow(number, speaker))

    async def _follow(self, number: int, speaker: Speaker[FromWorker]) -> None:
        while True:
            message = await speaker.hear()
            if isinstance(message, Report):
                self._on_report(number, message)
            elif isinstance(message, Done):
                return

    def _tell(self, message: Start | Retarget | Stop) -> None:
        for speaker in self._speakers:
            speaker.tell(message)

    async def end(self) -> None:
        """Safe at any time."""
        for speaker in self._speakers:
            await speaker.child.end()


def _addresses(entry: Entry) -> list[str]:
    return [f"{host}:{port}" for host, port in entry.addresses]

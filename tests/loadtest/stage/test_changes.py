"""In which order a change is told to a subject and carried out at the origin."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import cast

import yaml

from loadtest.scenario.load import parse
from loadtest.stage.changes import Changes
from loadtest.stage.instances import Instances
from loadtest.stage.workers import Workers
from loadtest.subjects.direct import Direct
from loadtest.subjects.subject import Entry, Instance, Origins, SubjectError


class Recorder(Direct):
    """Subject, origin and generator at once: what each was told, in order, and when."""

    def __init__(self, instances: int = 2) -> None:
        self.now = {"echo": [Instance(number, (f"127.0.0.{number}", 80)) for number in range(1, instances + 1)]}
        self.told: list[str] = []
        self.when: dict[str, float] = {}
        self.failed: list[Exception] = []
        self._last = instances

    def note(self, what: str) -> None:
        self.told.append(what)
        self.when[what] = monotonic()

    async def open(self, origin: str) -> Instance:
        self._last += 1
        self.note(f"open {origin} {self._last}")
        return Instance(self._last, (f"127.0.0.{self._last}", 80))

    def retire(self, origin: str, instance: int, grace_s: float) -> None:
        self.note(f"retire {origin} {instance} in {grace_s:g} s")

    async def update(self, origins: Origins) -> Mapping[str, Entry]:
        self.note("update " + " ".join(str(each.number) for each in origins["echo"]))
        await asyncio.sleep(0)  # whoever did not wait for its turn would come between
        entries = await super().update(origins)
        self.note("updated")
        return entries

    def retarget(self, entries: Mapping[str, Entry]) -> None:
        self.note("retarget " + " ".join(host.rpartition(".")[2] for host, _ in entries["echo"].addresses))

    async def lose_control_plane(self) -> None:
        self.note("lose")
        await asyncio.sleep(0)
        self.note("lost")

    async def regain_control_plane(self) -> None:
        self.note("regain")


async def carry_out(*changes: dict[str, object], recorder: Recorder | None = None) -> Recorder:
    found = recorder or Recorder()
    text = yaml.safe_dump(
        {
            "name": "changes",
            "origins": {"echo": {"instances": len(found.now["echo"])}},
            "changes": list(changes),
            "load": {"phases": [{"for": "10s", "rate": "1/s"}]},
        }
    )
    instances, workers = cast("Instances", found), cast("Workers", found)
    found.failed = await Changes(parse(text), found, instances, workers).carry_out(monotonic())
    return found


def replacing(instance: int, at: str = "0s", told: str = "before", lead: str = "20ms") -> dict[str, object]:
    return {"at": at, "replace": {"instance": instance, "told": told, "lead": lead, "grace": "3s"}}


BEGUN = ["open echo 3", "update 1 2 3", "updated", "retarget 1 2 3"]
FORGOTTEN = ["update 2 3", "updated", "retarget 2 3"]
RETIRED = "retire echo 1 in 3 s"


async def test_in_order_the_old_one_stops_after_the_subject_was_told() -> None:
    found = await carry_out(replacing(1, told="before"))
    assert found.told == [*BEGUN, *FORGOTTEN, RETIRED]
    assert found.when[RETIRED] - found.when["retarget 2 3"] >= 0.02


async def test_late_the_old_one_stops_before_the_subject_is_told() -> None:
    found = await carry_out(replacing(1, told="after"))
    assert found.told == [*BEGUN, RETIRED, *FORGOTTEN]
    assert found.when["update 2 3"] - found.when[RETIRED] >= 0.02


async def test_nothing_is_done_before_its_time() -> None:
    began = monotonic()
    found = await carry_out(
        {"at": "60ms", "control_plane": "back"}, {"at": "20ms", "control_plane": "away"}, replacing(2, at="40ms")
    )
    kept = [what for what in found.told if what in {"lose", "open echo 3", "regain"}]
    assert kept == ["lose", "open echo 3", "regain"]
    assert [found.when[what] - began >= at for what, at in zip(kept, (0.02, 0.04, 0.06), strict=True)] == [True] * 3


async def test_a_subject_is_told_one_thing_at_a_time() -> None:
    found = await carry_out(
        replacing(1), replacing(2), replacing(3, told="after"), {"at": "0s", "control_plane": "away"},
        recorder=Recorder(3),
    )  # fmt: skip
    pairs = {"lose": "lost"}
    subjects = [what for what in found.told if what.startswith(("update", "lo", "regain"))]
    for told, done in zip(subjects[::2], subjects[1::2], strict=True):
        assert done == pairs.get(told, "updated")
    assert [each.number for each in found.now["echo"]] == [4, 5, 6]


async def test_what_a_subject_cannot_do_is_told_and_the_rest_is_done() -> None:
    class Broken(Recorder):
        async def lose_control_plane(self) -> None:
            raise SubjectError("there is none")

    found = await carry_out(
        {"at": "0s", "control_plane": "away"}, {"at": "20ms", "control_plane": "back"}, recorder=Broken()
    )
    assert [str(error) for error in found.failed] == ["there is none"]
    assert found.told == ["regain"]

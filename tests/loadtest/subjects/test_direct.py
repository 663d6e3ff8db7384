from __future__ import annotations

from loadtest.scenario.model import Policy
from loadtest.subjects.direct import Direct
from loadtest.subjects.subject import Instance

ONE, TWO, THREE = (Instance(number, (f"127.0.0.{number}", 8080)) for number in (1, 2, 3))


async def test_the_instances_themselves_are_the_way_in() -> None:
    subject = Direct()
    entries = await subject.start({"echo": [ONE, TWO], "other": [THREE]}, Policy())
    assert list(entries["echo"].addresses) == [ONE.address, TWO.address]
    assert list(entries["other"].addresses) == [THREE.address]
    assert entries["other"].host == "other"
    assert subject.children() == ()


async def test_an_update_gives_the_new_ones() -> None:
    subject = Direct()
    await subject.start({"echo": [ONE, TWO]}, Policy())
    await subject.lose_control_plane()
    entries = await subject.update({"echo": [TWO, THREE]})
    assert list(entries["echo"].addresses) == [TWO.address, THREE.address]
    await subject.stop()

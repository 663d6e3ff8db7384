from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from loadtest.block import Block
from loadtest.scenario.model import Policy
from loadtest.subjects import readiness
from loadtest.subjects.manifests import describe
from loadtest.subjects.plane import Plane
from loadtest.subjects.subject import Place, SubjectError


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    block = Block()
    yield Place(tmp_path, block)
    block.release()


async def test_a_start_that_fails_ends_its_child_and_can_be_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = Plane(place)
    before = set(psutil.Process().children())
    monkeypatch.setattr(readiness, "PATIENCE_S", 0.01)
    with pytest.raises(SubjectError, match=r"meshcontrol was not ready after 0\.01 s"):
        await plane.start()
    assert plane.is_away
    assert plane.children() == ()
    assert set(psutil.Process().children()) == before
    monkeypatch.undo()
    await plane.start()
    assert not plane.is_away
    await plane.stop()


async def test_one_that_does_not_answer_is_told_with_its_last_words(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = Plane(place)
    await plane.start()
    (child,) = plane.children()
    os.kill(child.pid, signal.SIGSTOP)
    monkeypatch.setattr(readiness, "ANSWER_S", 0.1)
    with pytest.raises(SubjectError, match=r"meshcontrol does not answer \(no answer in 0\.1 s\); its last words:\n"):
        await plane.tell({"echo": describe("echo", [], Policy(), [])})
    await plane.stop()

from __future__ import annotations

import asyncio

import pytest

from loadtest.process import Child
from loadtest.subjects.readiness import until
from loadtest.subjects.subject import SubjectError


async def test_one_that_has_ended_is_told_though_somebody_else_holds_its_port_and_never_answers() -> None:
    child = await Child.begin("envoy", ["sh", "-c", "echo cannot bind; exit 7"])

    async def is_ready() -> bool:
        await asyncio.Event().wait()
        return True

    with pytest.raises(SubjectError, match=r"envoy ended with status 7.*\n.*cannot bind"):
        await asyncio.wait_for(until(child, is_ready), 20)
    await child.end()

from __future__ import annotations

import os
import resource
import signal
import sys

import pytest

from loadtest.process import Child

TIMES = 20
"""It is a race that is lost now and then."""


async def test_one_that_has_ended_before_it_is_killed_keeps_its_status() -> None:
    for _ in range(TIMES):
        child = await Child.begin("sleep", ["sleep", "60"])
        os.kill(child.pid, signal.SIGKILL)
        child.kill()
        await child.end()
        assert child.returncode == -signal.SIGKILL


async def test_what_it_said_last_is_in_the_log_line_by_line_when_the_wait_is_over() -> None:
    for _ in range(TIMES // 4):
        child = await Child.begin("speaker", [sys.executable, "-S", "-c", "print('last words\\n' * 20_000, end='')"])
        assert await child.wait() == 0
        assert list(child.log) == ["last words"] * (child.log.maxlen or 0)
        await child.end()


async def test_it_may_open_as_many_files_as_this_user_may() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
    try:
        child = await Child.begin("shell", ["sh", "-c", "ulimit -Sn; ulimit -Hn"])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert await child.wait() == 0
    await child.end()
    soft, hard = child.log
    assert soft == hard or int(soft) == 1 << 20


async def test_the_settings_of_a_users_own_mesh_do_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MESHPROXY_DRAIN_S", "MESHCONTROL_LOG_LEVEL", "OTHER"):
        monkeypatch.setenv(name, "7")
    child = await Child.begin("printer", ["env"])
    assert await child.wait() == 0
    await child.end()
    names = {line.partition("=")[0] for line in child.log}
    assert "OTHER" in names
    assert not [name for name in names if name.startswith("MESH")]

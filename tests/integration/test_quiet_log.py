"""What clients do wrong is counted, and fills no log."""

from __future__ import annotations

import logging

import pytest

from tests.fakes.client import call
from tests.fakes.loop import on_uvloop
from tests.fakes.places import refusing
from tests.fakes.sidecar import running
from tests.fakes.snapshots import service

REQUESTS = 300


@on_uvloop
@pytest.mark.parametrize("bad", [b"BAD\r\n\r\n", b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n", b"GET / HTTP/3.0\r\n\r\n"])
async def test_bad_requests_are_counted_and_log_nothing_at_info(bad: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "meshproxy"):
        async with running(service("echo", [refusing()])) as sidecar:
            for _ in range(REQUESTS):
                assert (await call(sidecar.address, bad)).status == 400
            assert sidecar.stack.unrouted.slot.outcomes == {(400, "bad_request", ""): REQUESTS}
    assert caplog.messages == []

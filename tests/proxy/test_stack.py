"""Where Hosts lead and what is remembered of them; the bounds of the inbound side."""

from __future__ import annotations

import logging

import pytest

from meshproxy.proxy import stack
from meshproxy.proxy.listener import MAX_CONNECTIONS
from meshproxy.proxy.stack import MAX_AUTHORITY_BYTES, MAX_DESTINATIONS, Inbound, Stack
from tests.fakes.loop import on_uvloop
from tests.fakes.places import refusing
from tests.fakes.sidecar import running
from tests.fakes.snapshots import service

DIRECTIONS = pytest.mark.parametrize("app", [None, ("127.0.0.1", 9)], ids=["outbound", "inbound"])


def _service(inbound: Inbound, authority: bytes) -> str:
    return inbound.find(authority).unmatched.service


@on_uvloop
@DIRECTIONS
async def test_hosts_that_no_name_is_as_long_as_are_not_remembered(app: tuple[str, int] | None) -> None:
    async with running([], app=app) as sidecar:
        subject: Stack = sidecar.stack
        for authority in (b"a" * (MAX_AUTHORITY_BYTES + 1), b"a." * 7_500):
            assert subject.resolve(authority) is not None
        assert subject.destinations == {}
        known = b"a" * MAX_AUTHORITY_BYTES
        assert subject.resolve(known) is subject.destinations[known]


@on_uvloop
@DIRECTIONS
async def test_so_many_hosts_are_remembered_and_no_more(app: tuple[str, int] | None) -> None:
    async with running([], app=app) as sidecar:
        most = 0
        for n in range(MAX_DESTINATIONS + 100):
            sidecar.stack.resolve(b"h%d" % n)
            most = max(most, len(sidecar.stack.destinations))
        assert most == MAX_DESTINATIONS


@on_uvloop
async def test_the_host_tells_apart_the_services_of_one_port() -> None:
    async with running(app=("127.0.0.1", 9)) as sidecar:
        subject: Inbound = sidecar.stack
        subject.use(["default/first:80", "default/shop:80", "default/shop:8080", "other/shop:80"])
        for authority, name in {
            b"shop:80": "default/shop:80",
            b"shop:8080": "default/shop:8080",
            b"shop.default:8080": "default/shop:8080",
            b"shop": "default/shop:80",
            b"shop.other": "other/shop:80",
            # What names none of them means the first.
            b"shop:81": "default/shop:80",
            b"nobody": "default/first:80",
            b"10.0.0.1:80": "default/first:80",
            b"sho": "default/first:80",
            b"": "default/first:80",
        }.items():
            assert _service(subject, authority) == name, authority


@on_uvloop
async def test_inbound_the_listener_is_the_only_bound() -> None:
    async with running(app=("127.0.0.1", 9)) as sidecar:
        application = sidecar.stack._application
        breaker = application.settings.breaker
        assert {application.max_requests, breaker.max_connections, breaker.max_pending} == {MAX_CONNECTIONS}
        assert sidecar.listener._max_connections == MAX_CONNECTIONS


@on_uvloop
async def test_defects_are_told_with_their_traceback_once_a_second(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(service("echo", [refusing()])) as sidecar:
        tell = type(sidecar.stack).on_defect  # the sidecar's own is recorded instead
        with caplog.at_level(logging.INFO, "meshproxy"):
            for n in range(1_000):
                monkeypatch.setattr(stack, "monotonic", lambda n=n: 50.0 + n // 999)
                tell(sidecar.stack, ValueError(f"defect {n}"))
        assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["defect 0", "defect 999"]
        assert "(and 998 more)" in caplog.text

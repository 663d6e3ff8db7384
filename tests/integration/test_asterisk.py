"""`OPTIONS *` asks the server as a whole: a rule's filters work on paths, and it has none."""

from __future__ import annotations

import pytest

from meshproxy.wire import resources as wire
from tests.fakes.client import call, request
from tests.fakes.loop import on_uvloop
from tests.fakes.origin import answering, ok, serving
from tests.fakes.sidecar import running
from tests.fakes.snapshots import service

ASK = request("OPTIONS", "*")


@on_uvloop
@pytest.mark.parametrize(
    "path",
    [wire.ReplaceFullPath(value="/new"), wire.ReplacePrefixMatch(value="/new"), None],
    ids=["full", "prefix", "none"],
)
async def test_a_rewrite_leaves_the_target_and_changes_the_host(path: wire.PathModifier | None) -> None:
    rewrite = wire.URLRewrite(hostname="other.example", path=path)
    async with (
        serving(answering(ok())) as origin,
        running(service("echo", [origin], filters=[rewrite])) as sidecar,
    ):
        assert (await call(sidecar.address, ASK, "OPTIONS")).status == 200
        (one,) = origin.requests
        assert (one.method, one.target, one["host"]) == ("OPTIONS", "*", "other.example")


@on_uvloop
@pytest.mark.parametrize(
    ("path", "location"),
    [
        (wire.ReplaceFullPath(value="/new"), "http://other.example/new"),
        (wire.ReplacePrefixMatch(value="/new"), "http://other.example/new/"),
        (None, "http://other.example/"),
    ],
    ids=["full", "prefix", "none"],
)
async def test_a_redirect_names_a_place_that_exists(path: wire.PathModifier | None, location: str) -> None:
    redirect = wire.RequestRedirect(hostname="other.example", path=path)
    async with (
        serving(answering(ok())) as origin,
        running(service("echo", [origin], filters=[redirect])) as sidecar,
    ):
        reply = await call(sidecar.address, ASK, "OPTIONS")
        assert (reply.status, reply["location"]) == (302, location)
        assert origin.requests == []

"""What happens to fields on their way through."""

from __future__ import annotations

import re

from meshproxy.wire import resources as wire
from tests.fakes.client import connected, request
from tests.fakes.loop import on_uvloop
from tests.fakes.origin import answering, ok, serving
from tests.fakes.sidecar import running
from tests.fakes.snapshots import service


@on_uvloop
async def test_order_and_case_of_fields_are_kept_both_ways() -> None:
    answer = b"HTTP/1.1 200 Fine\r\nX-B: 1\r\nx-a:2\r\nSet-Cookie: c=1\r\nSet-Cookie: d=2\r\nContent-Length: 0\r\n\r\n"
    async with serving(answering(answer)) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(request("GET", "/", "echo", "X-Z: 1", "x-Y:2", "ACCEPT: */*", "x-request-id: mine"))
            head = await client.exactly(len(answer))
            assert head == answer
        assert origin.requests[0].headers == [
            ("Host", "echo"),
            ("X-Z", "1"),
            ("x-Y", "2"),
            ("ACCEPT", "*/*"),
            ("x-request-id", "mine"),
            ("x-forwarded-proto", "http"),
        ]


@on_uvloop
async def test_fields_of_one_hop_go_no_further() -> None:
    reply = (
        b"HTTP/1.1 200 OK\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n"
        b"Proxy-Status: other; error=x\r\nContent-Length: 2\r\n\r\nok"
    )
    async with serving(answering(reply)) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            answer = await client.get(
                "echo", "/", "Connection: X-Drop, keep-alive", "X-Drop: 1", "Keep-Alive: timeout=5",
                "Proxy-Connection: keep-alive", "TE: gzip, trailers", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk",
            )  # fmt: skip
            assert answer.headers == [("Proxy-Status", "other; error=x"), ("Content-Length", "2")]
        names = [name.lower() for name, _ in origin.requests[0].headers]
        assert names == ["host", "te", "x-request-id", "x-forwarded-proto"]
        assert origin.requests[0]["te"] == "trailers"


@on_uvloop
async def test_connection_cannot_name_away_what_routes_frames_or_traces() -> None:
    fields = ["X-Forwarded-For: 10.0.0.1", "traceparent: 00-aa", "X-Request-Id: r", "Authorization: secret"]
    named = "Connection: x-forwarded-for, traceparent, x-request-id, authorization, host, content-length"
    async with serving(answering(ok())) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            assert (await client.post(b"body", "echo", "/", named, *fields)).status == 200
        one = origin.requests[0]
        assert (one["x-forwarded-for"], one["traceparent"], one["x-request-id"]) == ("10.0.0.1", "00-aa", "r")
        assert (one["authorization"], one["host"], one.body) == ("secret", "echo", b"body")


@on_uvloop
async def test_what_is_absent_is_added_and_what_is_there_is_left_alone() -> None:
    async with serving(answering(ok())) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.get()
            await client.get()
            await client.get(
                "echo", "/", "X-Request-ID: kept", "X-Forwarded-Proto: https", "X-Forwarded-For: 1.2.3.4", "Via: 1.1 x"
            )
        first, second, third = origin.requests
        assert re.fullmatch(r"[0-9a-f]{32}", first["x-request-id"])
        assert first["x-request-id"] != second["x-request-id"]
        assert (first["x-forwarded-proto"], first.all("x-forwarded-for"), first.all("via")) == ("http", [], [])
        assert (third["x-request-id"], third["x-forwarded-proto"]) == ("kept", "https")
        assert (third["x-forwarded-for"], third["via"]) == ("1.2.3.4", "1.1 x")
        assert sidecar.finished[0].request_id.decode() == first["x-request-id"]
        assert sidecar.finished[2].request_id == b"kept"


@on_uvloop
async def test_inbound_believes_nobody_about_a_client_certificate() -> None:
    async with serving(answering(ok())) as origin, running(app=(origin.host, origin.port)) as sidecar:
        async with connected(sidecar.address) as client:
            reply = await client.get("any.host", "/", "X-Forwarded-Client-Cert: By=spiffe://evil;URI=spiffe://evil")
            assert reply.status == 200
        assert origin.requests[0].all("x-forwarded-client-cert") == []
        assert origin.requests[0]["host"] == "any.host"


@on_uvloop
async def test_an_absolute_target_wins_over_host_and_replaces_it() -> None:
    async with serving(answering(ok())) as origin, running(service("echo", [origin])) as sidecar:
        async with connected(sidecar.address) as client:
            await client.send(request("GET", "http://ECHO.default.svc:80/a?b", "elsewhere"))
            assert (await client.response()).status == 200
        assert (origin.requests[0].target, origin.requests[0]["host"]) == ("/a?b", "ECHO.default.svc:80")


@on_uvloop
async def test_the_filters_of_a_route_edit_both_messages() -> None:
    filters: list[wire.Filter] = [
        wire.RequestHeaderModifier(set=[("X-Tier", "gold")], remove=["x-secret"]),
        wire.ResponseHeaderModifier(add=[("X-Mesh", "yes")]),
        wire.URLRewrite(hostname="inner.example", path=wire.ReplacePrefixMatch(value="/v2")),
    ]
    rules = [wire.Rule(name="r", filters=filters, backends=[wire.RouteBackend(backend="default/echo:80")])]
    matches = [wire.RouteMatch(rule=0, path=wire.PathMatch(value="/v1"))]
    async with (
        serving(answering(ok())) as origin,
        running(service("echo", [origin], rules=rules, matches=matches)) as sidecar,
    ):
        async with connected(sidecar.address) as client:
            reply = await client.get("echo", "/v1/items?x=1", "X-Secret: s", "X-Tier: lead")
            assert reply["x-mesh"] == "yes"
            assert (await client.get("echo", "/other")).fault == "no_route"
        one = origin.requests[0]
        assert (one.target, one["host"], one["x-tier"], one.all("x-secret")) == (
            "/v2/items?x=1", "inner.example", "gold", [],
        )  # fmt: skip


@on_uvloop
async def test_a_redirect_is_answered_without_asking_the_backend() -> None:
    rules = [wire.Rule(name="r", filters=[wire.RequestRedirect(scheme="https", hostname="new.example", port=8443)])]
    async with serving(answering(ok())) as origin, running(service("echo", [origin], rules=rules)) as sidecar:
        async with connected(sidecar.address) as client:
            for _ in range(2):
                reply = await client.get("echo", "/a?b=c")
                assert (reply.status, reply["location"]) == (302, "https://new.example:8443/a?b=c")
                assert "proxy-status" not in reply
        assert origin.connections == 0

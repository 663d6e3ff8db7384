"""A route that changes all the time: every request meets one version of it, as a whole."""

from __future__ import annotations

import http.client
from itertools import cycle
from pathlib import Path

from tests.control import build
from tests.fakes.load import Load, Server
from tests.fakes.mesh import running, slice_of
from tests.fakes.origin import ok

PUSHES = 12
ROUNDS = 25


class Telling(Server):
    """Answers with its name, and with what it was asked: path and version."""

    def answer(self, head: bytes) -> bytes:
        line, *fields = head.split(b"\r\n")
        version = b"".join(field.partition(b": ")[2] for field in fields if field.lower().startswith(b"x-version:"))
        return ok(b" ".join((self.reply, line.split()[1], version)))


class Reading(Load):
    """Counts what the answer's field says beside its body."""

    def told(self, response: http.client.HTTPResponse) -> tuple[int, bytes]:
        return response.status, response.getheader("x-version", "none").encode() + b" " + response.read()


def version(name: str) -> dict:
    """A route that says its name in all that it does."""
    field = {"set": [{"name": "x-version", "value": name}]}
    rewrite = {"path": {"type": "ReplaceFullPath", "replaceFullPath": f"/{name}"}}
    filters = [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": field},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": field},
        {"type": "URLRewrite", "urlRewrite": rewrite},
    ]
    return build.http_route("echo", build.rule(name, filters=filters))


def test_no_request_meets_a_mixture_of_two_versions(tmp_path: Path) -> None:
    with running(tmp_path) as mesh:
        plane = mesh.control()
        plane.apply(build.service("echo"))
        for name in ("a", "b"):
            plane.apply(build.service(name), slice_of(name, mesh.server(Telling(name.encode()))))
        plane.apply(version("a"))
        client = mesh.sidecar(plane.url)
        load = Reading(client.addresses["outbound"])
        try:
            before = client.metric("meshproxy_pushes_total.*taken")
            turns = cycle("ba")

            def has_changed() -> bool:
                plane.apply(version(next(turns)))
                return client.metric("meshproxy_pushes_total.*taken") - before >= PUSHES and len(load.outcomes) > 1

            # Changes close together are gathered, so that what counts is how often the sidecar had a new version.
            mesh.until(has_changed)
        finally:
            load.stop()
        assert set(load.outcomes) == {(200, b"a a /a a"), (200, b"b b /b b")}


def test_a_route_to_a_backend_that_is_new_never_finds_it_missing(tmp_path: Path) -> None:
    with running(tmp_path) as mesh:
        plane = mesh.control()
        place = mesh.server(Server(ok(b"here")))
        former = build.service("v0"), slice_of("v0", place)
        plane.apply(build.service("echo"), *former, build.http_route("echo", build.rule("v0")))
        client = mesh.sidecar(plane.url)
        load = Load(client.addresses["outbound"])
        try:
            mesh.until(lambda: load.total > 20)
            for n in range(1, ROUNDS + 1):
                fresh = build.service(f"v{n}"), slice_of(f"v{n}", place)
                # The old one goes at once: what is still sent there must not be lost.
                plane.apply(*fresh, build.http_route("echo", build.rule(f"v{n}")))
                plane.delete(*former)
                former = fresh
            mesh.until(lambda: f"v{ROUNDS}:80" in client.admin("/endpoints")[1])
            before = load.total
            mesh.until(lambda: load.total > before + 20)
        finally:
            load.stop()
        assert set(load.outcomes) == {(200, b"here")}

"""What `meshctl check` shows of a cluster: the API server, our rights, the Gateway API, what is watched and how well.

What only the API server can tell is asked of it, for LIMIT_S at most; everything else is known here, and told in any
case.
"""

from __future__ import annotations

import asyncio
from time import monotonic

import msgspec
from msgspec import Struct

from control.index.index import Index
from control.kube import permissions
from control.kube.client import Client
from control.kube.connection import Connection
from control.kube.events import understood
from control.kube.failure import KubeError
from control.kube.findings import kind, objects, withheld
from control.kube.questions import Questions
from control.kube.resources import WATCHED, Watched
from control.kube.served import served_version
from control.kube.source import Source
from control.model.check import Check
from meshproxy.kit.aio.slices import in_slices

LIMIT_S = 8.0
SECTION = "Kubernetes API server"
CRDS = "Gateway API"
INSTALL = (
    "kubectl apply --server-side -f "
    "https://github.com/kubernetes-sigs/gateway-api/releases/latest/download/standard-install.yaml"
)


class _Program(Struct, rename="camel"):
    git_version: str


_programs = msgspec.json.Decoder(_Program)


async def checks(client: Client, connection: Connection, source: Source, index: Index) -> list[Check]:
    """Return everything that was found; `connection` is the client's."""
    asked = await _ask(Questions(client, LIMIT_S), connection)
    return [
        *asked,
        *map(kind, source.kinds),
        *objects(source.refused, source.ignored, source.kinds),
        *await in_slices(withheld(index)),
    ]


async def _ask(questions: Questions, connection: Connection) -> list[Check]:
    began = monotonic()
    try:
        version = understood(await questions.get("/version"), _programs, "the answer").git_version
    except KubeError as error:
        if error.code in {0, 401}:
            return [_unreachable(connection, error), _unasked(permissions.SECTION), _unasked(CRDS)]
        version = f"its version is not told ({error})"
    took_ms = (monotonic() - began) * 1000
    rights, kinds = await asyncio.gather(permissions.ask(questions), _crds(questions))
    return [
        Check(SECTION, "answers", "ok", f"{connection.url} in {took_ms:.0f} ms, {version}"),
        Check(SECTION, "credentials", "ok", connection.described),
        *rights,
        *kinds,
    ]


async def _crds(questions: Questions) -> list[Check]:
    return await asyncio.gather(*(_crd(questions, watched) for watched in WATCHED if watched.is_optional))


async def _crd(questions: Questions, watched: Watched) -> Check:
    try:
        version = await served_version(watched, questions.get)
    except KubeError as error:
        return Check(CRDS, watched.name, "warn", f"not known whether it is served: {error}")
    if version:
        return Check(CRDS, watched.name, "ok", f"served in {version}")
    versions = " or ".join(watched.kind.versions)
    return Check(CRDS, watched.name, "warn", f"not served in {versions}: there are none, until it is", INSTALL)


def _unreachable(connection: Connection, error: KubeError) -> Check:
    if error.code == 401:
        return Check(SECTION, "credentials", "fail", str(error), f"renew them: {connection.described}")
    advice = "until it answers, sidecars go on by what is known; from the same machine: kubectl get --raw /version"
    return Check(SECTION, "answers", "fail", f"{connection.url} ({connection.described}): {error}", advice)


def _unasked(section: str) -> Check:
    return Check(section, "not asked", "warn", "the API server could not be asked")

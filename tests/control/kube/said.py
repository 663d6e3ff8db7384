"""What an API server says, as bytes; and a client that says what a test tells it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from control.kube.events import INITIAL_END, Decoder
from control.kube.failure import KubeError
from control.kube.mirror import Mirror
from control.kube.pool import Pool
from control.kube.reflection import Reflection
from control.kube.resources import WATCHED

BY_NAME = {watched.name: watched for watched in WATCHED}


def encoded(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def versioned(document: dict[str, Any], version: int | str) -> dict[str, Any]:
    return {**document, "metadata": {**document["metadata"], "resourceVersion": str(version)}}


def line(word: str, document: dict[str, Any], version: int | str) -> bytes:
    return encoded({"type": word, "object": versioned(document, version)})


def bookmark(name: str, version: int | str, *, ends_initial: bool = False) -> bytes:
    watched = BY_NAME[name]
    metadata: dict[str, Any] = {"resourceVersion": str(version)}
    if ends_initial:
        metadata["annotations"] = {INITIAL_END: "true"}
    shown = {"kind": name, "apiVersion": watched.kind.api_version, "metadata": metadata}
    return encoded({"type": "BOOKMARK", "object": {**shown, "spec": None, "endpoints": None}})


def error_line(code: int, reason: str, message: str = "no") -> bytes:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return encoded({"type": "ERROR", "object": {**status, "metadata": {}, "message": message}})


def page(name: str, documents: list[dict[str, Any]], version: int | str, more: str = "") -> bytes:
    watched = BY_NAME[name]
    head = {"kind": f"{name}List", "apiVersion": watched.kind.api_version}
    metadata = {"resourceVersion": str(version), **({"continue": more} if more else {})}
    return encoded({**head, "metadata": metadata, "items": documents})


def groups(*names: str, versions: tuple[str, ...] = ("v1", "v1beta1")) -> bytes:
    """`/apis`, with discovery.k8s.io."""
    found = [
        {"name": name, "versions": [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]}
        for name in ("discovery.k8s.io", *names)
    ]
    return encoded({"kind": "APIGroupList", "apiVersion": "v1", "groups": found})


def kinds(*plurals: str) -> bytes:
    """`/apis/GROUP/VERSION`."""
    return encoded({"kind": "APIResourceList", "apiVersion": "v1", "resources": [{"name": name} for name in plurals]})


def reflection_of(name: str, mirror: Mirror) -> Reflection:
    return Reflection(BY_NAME[name], mirror, Decoder(BY_NAME[name], Pool()))


class Script:
    """A client. `answers` are called in turn with (path, query); each gives a body, the chunks of a stream, or fails.

    Among a stream's chunks an exception is raised, a number is a pause of so many seconds, and None waits for ever.
    What is asked after the last answer waits for ever.
    """

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.at: list[float] = []
        self.accepted: list[str] = []
        self.open = 0

    async def _next(self, path: str, query: dict[str, str], accept: str) -> Any:
        self.asked.append((path, dict(query)))
        self.at.append(asyncio.get_running_loop().time())
        self.accepted.append(accept)
        if not self.answers:
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def get(self, path, query=None, *, accept="application/json", timeout_s=30.0):
        answer = await self._next(path, query or {}, accept)
        assert isinstance(answer, bytes), "a list was asked for, not a watch"
        return answer

    @asynccontextmanager
    async def stream(self, path, query, *, accept="application/json", idle_s):
        answer = await self._next(path, query, accept)
        assert isinstance(answer, list), "a watch was asked for, not a list"
        self.open += 1
        try:
            yield self._chunks(answer)
        finally:
            self.open -= 1

    async def _chunks(self, answer: list[Any]) -> AsyncIterator[bytes]:
        for item in answer:
            if isinstance(item, Exception):
                raise item
            if item is None:
                await asyncio.Event().wait()
            elif isinstance(item, (int, float)):
                await asyncio.sleep(item)
            else:
                yield item + b"\n"


GONE = KubeError("too old resource version: 1 (920)", 410, "Expired")
AWAY = KubeError("connection refused")

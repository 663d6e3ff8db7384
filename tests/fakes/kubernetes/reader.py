"""A plain client of the fake API server, for tests that look at what it says."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from typing import Any

from tests.fakes.kubernetes.api import FakeApi
from tests.fakes.kubernetes.manifests import service

SERVICES = "/api/v1/services"
WATCH_LIST = "watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"


def web(name: str, home: str = "shop", **labels: str) -> dict[str, Any]:
    """A Service."""
    document = service(home, name, name, {})
    document["metadata"]["labels"] = labels
    return document


class Watched:
    """An open watch, read line by line."""

    def __init__(self, api: FakeApi, path: str) -> None:
        self._connection = http.client.HTTPConnection(api.host, api.port, timeout=10)
        self._connection.request("GET", path)
        self.response = self._connection.getresponse()

    def line(self) -> bytes:
        """The next line; empty at the end."""
        return self.response.readline()

    def next(self) -> tuple[str, str, str]:
        """Type, name and version of the next event."""
        event = json.loads(self.line())
        metadata = event["object"].get("metadata", {})
        return event["type"], metadata.get("name", ""), metadata.get("resourceVersion", "")

    def close(self) -> None:
        self.response.close()
        self._connection.close()


def ask(
    api: FakeApi,
    path: str,
    *,
    method: str = "GET",
    body: str | None = None,
    timeout: float = 10,
    context: ssl.SSLContext | None = None,
    **headers: str,
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body. Header names have _ for -."""
    if context:
        connection = http.client.HTTPSConnection(api.host, api.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(api.host, api.port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        data = response.read()
        return response.status, dict(response.getheaders()), data


def listed(api: FakeApi, path: str, **headers: str) -> dict[str, Any]:
    """A list that succeeds."""
    status, _, data = ask(api, path, **headers)
    assert status == 200, data
    found: dict[str, Any] = json.loads(data)
    return found


def names(body: dict[str, Any]) -> list[str]:
    """Of the items of a list."""
    return [item["metadata"]["name"] for item in body["items"]]

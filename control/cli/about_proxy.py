"""Pages and tables about one connected sidecar."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from control.cli.failure import Failure
from control.cli.kinds import metadata_of
from control.cli.screen import Columns, Page, say
from meshproxy.wire.problem import Problem


class Status(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the control plane says of a sidecar's stream."""

    service_account: str = ""
    version: str = ""
    address: str = ""
    connected_at: str = ""
    subscribed: int = 0
    synced: bool = False
    unacknowledged: int = 0
    stale_for_s: float = msgspec.field(name="staleForS", default=0.0)
    last_ack_at: str = ""
    last_nack: list[Problem] = []
    waiting: list[str] = []
    oldest_unacknowledged_s: float = msgspec.field(name="oldestUnacknowledgedS", default=0.0)

    @property
    def state(self) -> str:
        return "refused" if self.last_nack else "synced" if self.synced else "behind"


class Entry(Struct, frozen=True, kw_only=True):
    """One resource of a sidecar's configuration."""

    name: str
    version: str
    resource: dict[str, Any] = {}


class Config(Struct, frozen=True, kw_only=True):
    resources: list[Entry]


class EndpointRow(Struct, frozen=True, kw_only=True):
    """One endpoint of one backend, as the sidecar sees it."""

    backend: str
    address: str
    state: str
    identity: str = ""
    inflight: int = 0
    ewma_ms: float = 0.0
    failures: int = 0
    ejected_for_s: float = 0.0


class EndpointReport(Struct, frozen=True, kw_only=True):
    endpoints: list[EndpointRow]


def status_of(document: Any) -> Status:
    """Raise Failure for what is no Proxy."""
    try:
        return msgspec.convert(document.get("status") if isinstance(document, dict) else None, Status)
    except msgspec.ValidationError as error:
        raise Failure(f"the control plane's proxy is not understood: {error}") from None


def describe_proxy(page: Page, document: Any) -> None:
    status, metadata = status_of(document), metadata_of(document)
    page.field("Name", str(metadata.get("name")))
    page.field("Namespace", str(metadata.get("namespace")))
    page.field("Service account", status.service_account)
    page.field("Program", f"meshproxy {status.version}")
    page.field("Connected from", status.address)
    page.field("Connected at", status.connected_at)
    page.field("State", status.state)
    page.field("Stale", f"for {status.stale_for_s:.1f} s" if status.stale_for_s else "no")
    page.field("Subscribed", f"{status.subscribed} resources")
    oldest = f", the oldest for {status.oldest_unacknowledged_s:.1f} s" if status.unacknowledged else ""
    page.field("Unacknowledged", f"{status.unacknowledged} pushes{oldest}")
    page.field("Last ack", status.last_ack_at)
    page.fields("Waits for", status.waiting)
    rows = [(problem.name, problem.path, problem.message) for problem in status.last_nack]
    page.section("Refused", ("RESOURCE", "FIELD", "PROBLEM"), rows, "nothing")


def print_config(text: str) -> None:
    """Print a sidecar's configuration (the form of a snapshot file) as a table."""
    config = _decode(text, Config)
    rows = [(entry.name, entry.version[:12], _gist(entry)) for entry in config.resources]
    Columns().print(rows, ("RESOURCE", "VERSION", "WHAT"))
    if not rows:
        say("no configuration")


def print_endpoints(text: str) -> None:
    """Print what a sidecar thinks of its endpoints."""
    rows = [
        (
            row.backend,
            row.address,
            row.state,
            str(row.inflight),
            f"{row.ewma_ms:.2f}",
            str(row.failures),
            f"{row.ejected_for_s:.1f} s" if row.ejected_for_s > 0 else "",
            row.identity,
        )
        for row in _decode(text, EndpointReport).endpoints
    ]
    header = ("BACKEND", "ADDRESS", "STATE", "INFLIGHT", "EWMA MS", "FAILURES", "EJECTED FOR", "IDENTITY")
    Columns().print(rows, header)
    if not rows:
        say("no endpoints")


def _decode(text: str, type_: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=type_)
    except msgspec.MsgspecError as error:
        raise Failure(f"the sidecar's answer is not understood: {error}") from None


def _gist(entry: Entry) -> str:
    """Return what a resource is about in a few words."""
    resource, kind = entry.resource, entry.name.partition("/")[0]
    if kind == "endpoints":
        endpoints = resource.get("endpoints") or []
        ready = sum(endpoint.get("ready", True) for endpoint in endpoints)
        return f"{ready} of {len(endpoints)} ready"
    if kind == "routes":
        return _count(resource.get("rules"), "rule") + ", " + _count(resource.get("matches"), "match")
    if kind == "service":
        return "ports " + ", ".join(str(port.get("port")) for port in resource.get("ports") or ())
    if kind == "workload":
        return f"service account {resource.get('service_account')}, " + _count(resource.get("ports"), "port")
    return str(resource.get("protocol", "http")) if kind == "backend" else ""


def _count(items: Any, word: str) -> str:
    number = len(items or ())
    plural = f"{word}es" if word.endswith("ch") else f"{word}s"
    return f"{number} {word if number == 1 else plural}"

"""What is measured: each function starts one subject in front of the upstream and returns it when it is ready."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.bench import mesh
from tests.bench.place import Place, free_port, nginx_command, wait_ready, write_config
from tests.bench.process import Process


@dataclass(frozen=True)
class Subject:
    name: str
    port: int
    processes: list[Process]
    """The proxies; empty when requests go to the upstream directly."""

    def cpu_s(self) -> float:
        return sum(process.cpu_s() for process in self.processes)

    def rss_bytes(self) -> int:
        return sum(process.rss_bytes() for process in self.processes)

    def forget_peak(self) -> None:
        for process in self.processes:
            process.forget_peak()

    def peak_rss_bytes(self) -> int:
        return sum(process.peak_rss_bytes() for process in self.processes)


def direct(place: Place) -> Subject:
    return Subject("direct", place.upstream, [])


def nginx(place: Place) -> Subject:
    port = free_port()
    config = write_config(
        "nginx-proxy.conf", place.directory / f"nginx-{port}.conf", LISTEN=port, UPSTREAM=place.upstream
    )
    return _ready("nginx", port, [place.start("nginx", nginx_command(place, config))])


def haproxy(place: Place) -> Subject:
    port = free_port()
    config = write_config("haproxy.cfg", place.directory / f"haproxy-{port}.cfg", LISTEN=port, UPSTREAM=place.upstream)
    return _ready("haproxy", port, [place.start("haproxy", [place.tools["haproxy"], "-f", str(config)])])


def envoy(place: Place, services: int = 1) -> Subject:
    port = free_port()
    return _ready("envoy", port, [_envoy(place, "envoy-http1.yaml", port, place.upstream, services=services)])


def envoy_pair(place: Place) -> Subject:
    inbound, outbound = free_port(), free_port()
    tls = mesh.identities(place)
    server = _envoy(place, "envoy-mtls-server.yaml", inbound, place.upstream, tls)
    client = _envoy(place, "envoy-mtls-client.yaml", outbound, inbound, tls)
    return _ready("envoy", outbound, [server, client])


def meshproxy(place: Place, services: int = 1, spares: int = 0) -> Subject:
    return _sidecar(place, "meshproxy", None, services, spares)


def before(place: Place) -> Subject:
    """The sidecar of another checkout: a change is measured against what was before it, in turns."""
    return _sidecar(place, "before", place.before)


def meshproxy_pair(place: Place) -> Subject:
    return _sidecar_pair(place, "meshproxy", None)


def before_pair(place: Place) -> Subject:
    return _sidecar_pair(place, "before", place.before)


def _sidecar(place: Place, name: str, tree: Path | None, services: int = 1, spares: int = 0) -> Subject:
    outbound = free_port()
    snapshot = mesh.snapshot(place, endpoint=place.upstream, services=services, spares=spares)
    return _ready(name, outbound, [mesh.client(place, name, snapshot, outbound, tree=tree)])


def _sidecar_pair(place: Place, name: str, tree: Path | None) -> Subject:
    inbound, outbound = free_port(), free_port()
    tls = mesh.identities(place)
    snapshot = mesh.snapshot(place, endpoint=inbound, meshed=True)
    server = mesh.server(place, f"{name}-server", snapshot, inbound, tls, tree)
    client = mesh.client(place, f"{name}-client", snapshot, outbound, tls, tree)
    return _ready(name, outbound, [server, client])


def _envoy(
    place: Place, source: str, listen: int, upstream: int, tls: Path | None = None, services: int = 1
) -> Process:
    config = write_config(source, place.directory / f"envoy-{listen}.yaml", LISTEN=listen, UPSTREAM=upstream, TLS=tls)
    if services > 1:
        config = _with_services(config, services)
    command = [place.tools["envoy"], "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    return place.start(f"envoy-{listen}", command)


def _with_services(config: Path, services: int) -> Path:
    """The same configuration for many services: a virtual host and a cluster for each, found by the host."""
    bootstrap = yaml.safe_load(config.read_text())
    resources = bootstrap["static_resources"]
    (cluster,) = resources["clusters"]
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    (host,) = manager["route_config"]["virtual_hosts"]
    (route,) = host["routes"]
    names = mesh.service_names(services)
    resources["clusters"] = [
        cluster | {"name": name, "load_assignment": cluster["load_assignment"] | {"cluster_name": name}}
        for name in names
    ]
    manager["route_config"]["virtual_hosts"] = [
        {"name": name, "domains": [name], "routes": [route | {"route": route["route"] | {"cluster": name}}]}
        for name in names
    ]
    target = config.with_suffix(".json")
    target.write_text(json.dumps(bootstrap))
    return target


def _ready(name: str, port: int, processes: list[Process]) -> Subject:
    wait_ready(port, processes)
    return Subject(name, port, processes)


Starter = Callable[[Place], Subject]

NEEDS = {
    "direct": "nginx",
    "nginx": "nginx",
    "haproxy": "haproxy",
    "envoy": "envoy",
    "meshproxy": "meshproxy",
    "before": "meshproxy",
    "meshcontrol": "meshcontrol",
}
"""The program that each subject needs."""

PLAIN: dict[str, Starter] = {
    "direct": direct,
    "nginx": nginx,
    "haproxy": haproxy,
    "envoy": envoy,
    "meshproxy": meshproxy,
    "before": before,
}
PAIRS: dict[str, Starter] = {"direct": direct, "envoy": envoy_pair, "meshproxy": meshproxy_pair, "before": before_pair}

"""The sidecar as a subject: its snapshot, its identities, its command line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.bench.place import PEERS, Place, free_port
from tests.bench.process import Process, StartError

Object = dict[str, Any]


def service_names(services: int) -> list[str]:
    """echo, and as many others as make `services` together."""
    return ["echo", *(f"echo-{n:04d}" for n in range(1, services))]


def snapshot(place: Place, *, endpoint: int, meshed: bool = False, services: int = 1) -> Path:
    """The snapshot of `services` services, each with one endpoint at that port of 127.0.0.1; the first is called echo.

    It is compiled from manifests, as a user's is.
    """
    objects = [_pod("echo", meshed=meshed)]
    for name in service_names(services):
        objects += [_service(name), _slice(name, endpoint), _route(name)]
    manifests = place.directory / f"manifests-{endpoint}-{services}.json"
    manifests.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    target = place.directory / f"snapshot-{endpoint}-{services}.json"
    command = [place.tools["meshctl"], "compile", "-f", str(manifests), "-o", str(target)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise StartError(f"meshctl compile ended with {outcome.returncode}: {outcome.stderr}")
    return target


def _pod(name: str, *, meshed: bool) -> Object:
    labels = {"meshproxy.io/sidecar": "injected"} if meshed else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"serviceAccountName": "echo", "containers": [{"name": "echo", "image": "echo"}]},
        "status": {"podIP": "127.0.0.1", "phase": "Running"},
    }


def _service(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    }


def _slice(name: str, port: int) -> Object:
    pod = {"kind": "Pod", "name": "echo", "namespace": "default"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}, "targetRef": pod}],
    }


def _route(name: str) -> Object:
    """Retries and the time limit are those of the peers' configurations."""
    rule = {
        "backendRefs": [{"name": name, "port": 80}],
        "timeouts": {"request": "15s"},
        "retry": {"codes": [500, 502, 503, 504], "attempts": 2},
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": name, "port": 80}], "rules": [rule]},
    }


def identities(place: Place) -> Path:
    """The directory of the certificates, made once."""
    directory = place.directory / "tls"
    if not directory.exists():
        subprocess.run(["sh", str(PEERS / "make-tls.sh"), str(directory)], check=True)
    return directory


def client(
    place: Place, name: str, snapshot: Path, outbound: int, tls: Path | None = None, tree: Path | None = None
) -> Process:
    """A sidecar's outbound side, for service account client."""
    listen = ["--outbound", f"127.0.0.1:{outbound}"]
    return _start(place, name, snapshot, "client", listen, tls, tree)


def server(
    place: Place, name: str, snapshot: Path, inbound: int, tls: Path | None = None, tree: Path | None = None
) -> Process:
    """A sidecar's inbound side before the upstream, for service account echo."""
    listen = ["--inbound", f"127.0.0.1:{inbound}", "--app", f"127.0.0.1:{place.upstream}"]
    return _start(place, name, snapshot, "echo", listen, tls, tree)


def _start(
    place: Place, name: str, snapshot: Path, account: str, listen: list[str], tls: Path | None, tree: Path | None
) -> Process:
    command = [place.tools["meshproxy"], "run", "--snapshot", str(snapshot), "--namespace", "default"]
    command += ["--service-account", account, "--workload", account, *listen]
    command += ["--admin", f"127.0.0.1:{free_port()}"]
    if tls:
        command += ["--identity-dir", str(tls / account)]
    return place.start(name, command, env={"PYTHONPATH": str(tree)} if tree else None)

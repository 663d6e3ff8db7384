"""The sidecar as a subject: its snapshot, its identities, its command line."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.place import PEERS, Place, free_port
from tests.bench.process import Process, StartError

Object = dict[str, Any]


def service_names(services: int) -> list[str]:
    """echo, and as many others as make `services` together."""
    return ["echo", *(f"echo-{n:04d}" for n in range(1, services))]


def objects(*, endpoint: int, meshed: bool = False, services: int = 1, spares: int = 0) -> list[Object]:
    """`services` services, each with one endpoint at that port of 127.0.0.1; the first is called echo.

    `spares`: so many more endpoints each, which are not ready.
    """
    made = [_pod("echo", meshed=meshed)]
    for name in service_names(services):
        made += [_service(name), slice_of(name, endpoint, spares), _route(name)]
    return made


def snapshot(place: Place, *, endpoint: int, meshed: bool = False, services: int = 1, spares: int = 0) -> Path:
    """The snapshot of `objects`, compiled from manifests, as a user's is."""
    items = objects(endpoint=endpoint, meshed=meshed, services=services, spares=spares)
    manifests = place.directory / f"manifests-{endpoint}-{services}.json"
    manifests.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
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


def slice_of(name: str, port: int, spares: int = 0, turn: int = 0) -> Object:
    """The endpoints of a service; the last one of the spares has another address in every turn."""
    pod = {"kind": "Pod", "name": "echo", "namespace": "default"}
    places = [f"10.0.0.{n + 1}" for n in range(spares - 1)]
    if spares:
        places.append(f"10.1.{turn // 250 % 250}.{turn % 250 + 1}")
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": [
            {"addresses": ["127.0.0.1"], "conditions": {"ready": True}, "targetRef": pod},
            *({"addresses": [place], "conditions": {"ready": False}} for place in places),
        ],
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
    flags = ["--snapshot", str(snapshot), "--outbound", f"127.0.0.1:{outbound}"]
    return _start(place, name, "client", flags, free_port(), tls, tree)


def follower(place: Place, name: str, push: int, outbound: int, admin: int) -> Process:
    """A sidecar's outbound side that is told by the control plane at port `push`, and keeps what it was told."""
    state = tempfile.mkdtemp(prefix="state-", dir=place.directory)
    flags = ["--control", f"ws://127.0.0.1:{push}", "--state-dir", state, "--outbound", f"127.0.0.1:{outbound}"]
    return _start(place, name, "client", flags, admin)


def server(
    place: Place, name: str, snapshot: Path, inbound: int, tls: Path | None = None, tree: Path | None = None
) -> Process:
    """A sidecar's inbound side before the upstream, for service account echo."""
    flags = ["--snapshot", str(snapshot), "--inbound", f"127.0.0.1:{inbound}", "--app", f"127.0.0.1:{place.upstream}"]
    return _start(place, name, "echo", flags, free_port(), tls, tree)


def _start(
    place: Place,
    name: str,
    account: str,
    flags: list[str],
    admin: int,
    tls: Path | None = None,
    tree: Path | None = None,
) -> Process:
    command = [place.tools["meshproxy"], "run", "--namespace", "default", "--service-account", account]
    command += ["--workload", account, *flags, "--admin", f"127.0.0.1:{admin}"]
    if tls:
        command += ["--identity-dir", str(tls / account)]
    return place.start(name, command, env={"PYTHONPATH": str(tree)} if tree else None)

"""What one test works with: a namespace of its own in the cluster, and a mesh of processes on this machine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.cluster.application import Application, machine_address
from tests.cluster.cluster import Cluster
from tests.control import build
from tests.fakes.cluster import Calls
from tests.fakes.mesh import ControlPlane, Mesh, running
from tests.fakes.process import Sidecar

SOME = 100
"""Requests, more than are under way at once."""


class Scene:
    """`namespace` is made with it. Everything that is started ends with it."""

    def __init__(self, cluster: Cluster, mesh: Mesh) -> None:
        self.cluster = cluster
        self.kubectl = cluster.kubectl
        self.mesh = mesh
        self.namespace = cluster.namespace()
        self.applications: list[Application] = []

    def control(self, kubeconfig: Path | None = None, *, waits: bool = True) -> ControlPlane:
        """A control plane that reads the cluster, by default with exactly the rights that it is meant to have."""
        file = kubeconfig or self.cluster.kubeconfig
        return self.mesh.control("--kubernetes", "--kubeconfig", str(file), waits=waits)

    def sidecar(self, plane: ControlPlane, namespace: str = "") -> Sidecar:
        where = namespace or self.namespace
        return self.mesh.sidecar(plane.url, name=f"client-{len(self.mesh.sidecars)}", namespace=where)

    def application(self, name: str) -> Application:
        """An application at this machine's own address."""
        application = Application(name, machine_address(), grace_s=0)
        self.applications.append(application)
        return application

    def service(self, name: str, namespace: str = "", **spec: Any) -> dict[str, Any]:
        return build.service(name, namespace=namespace or self.namespace, **spec)

    def slice(self, service: str, application: Application, namespace: str = "", **conditions: bool) -> dict[str, Any]:
        """The EndpointSlice with which an application is an endpoint of a Service."""
        told = {"ready": True, "serving": True, "terminating": False, **conditions}
        return build.endpoint_slice(
            service,
            {"addresses": [application.host], "conditions": told},
            ports=[{"port": application.port}],
            name=f"{service}-{application.port}",
            namespace=namespace or self.namespace,
        )

    def serve(self, name: str, namespace: str = "", answer: str = "") -> Application:
        """A Service with one endpoint, that answers with its name or as told."""
        application = self.application(answer or name)
        self.kubectl.apply(self.service(name, namespace), self.slice(name, application, namespace))
        return application

    def until(self, condition: Callable[[], object], limit_s: float = 20.0) -> None:
        """Wait until a condition holds: as the mesh's own, for what a cluster takes longer for."""
        end = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            assert all(sidecar.process.poll() is None for sidecar in self.mesh.sidecars), "a sidecar has ended"
            time.sleep(0.02)

    def answering(self, load: Calls) -> set[str]:
        """Who answers now; whatever was under way is waited for first."""
        at = load.total
        self.until(lambda: load.total > at + SOME)
        before, at = load.so_far(), load.total
        self.until(lambda: load.total > at + SOME)
        return load.bodies(before)


@contextlib.contextmanager
def scene(cluster: Cluster, directory: Path) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        found = Scene(cluster, stack.enter_context(running(directory)))
        stack.callback(lambda: [application.stop() for application in found.applications])
        yield found

"""A Deployment of the tests' application: by the cluster's own nodes, or at the Pods' addresses on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.application import GRACE_S, MODULE, ROOT, Application
from tests.cluster.kubectl import Kubectl
from tests.control import build

PORT = 8080
IMAGE = "MESHPROXY_TEST_IMAGE"
"""Any image with Python 3.11 or newer as `python3`, that the nodes have or can pull."""
GATE = "meshproxy.io/listening"
"""A Pod on a node that runs nothing is ready when its application listens here."""
ADDRESS_S = 900
"""After so long the kernel takes away an address that a killed test run has left behind."""

_COLUMNS = '{.type} {.object.metadata.name} ip={.object.status.podIP} gone={.object.metadata.deletionTimestamp}{"\\n"}'
_FILES = tuple(f"{name.replace('.', '/')}.py" for name in ("tests.fakes.application", MODULE))


def deployment(name: str, namespace: str, replicas: int, *, played: bool) -> list[dict[str, Any]]:
    """A Service with a named target port, its Deployment, and the program that the Pods run."""
    program = {"name": "program", "mountPath": "/program"}
    items = [{"key": Path(file).parent.name, "path": file} for file in _FILES]
    container = {
        "name": "app",
        "image": os.environ.get(IMAGE, "nothing.invalid/nothing"),
        "imagePullPolicy": "IfNotPresent",
        "workingDir": "/program",
        "command": ["python3", "-m", MODULE, "0.0.0.0", str(PORT), "$(NAME)", str(GRACE_S)],
        "env": [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        "volumeMounts": [program],
    }
    pod = {
        "containers": [container],
        "volumes": [{"name": "program", "configMap": {"name": name, "items": items}}],
        "terminationGracePeriodSeconds": 10,
        **({"readinessGates": [{"conditionType": GATE}]} if played else {}),
    }
    labels = {"app": name}
    # How long a Pod that is told to end is there, for whoever plays the node.
    template = {"metadata": {"labels": labels, "annotations": {"test/grace": str(2 * GRACE_S)}}, "spec": pod}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": template,
    }
    sources = {Path(file).parent.name: (ROOT / file).read_text() for file in _FILES}
    return [
        build.document("v1", "ConfigMap", name, namespace, data=sources),
        build.service(name, {"port": 80, "targetPort": "http"}, namespace=namespace, selector=labels),
        build.document("apps/v1", "Deployment", name, namespace, spec=spec),
    ]


class Player:
    """Does what nodes that run nothing leave out: runs the application of each Pod, at the Pod's own address."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        if os.geteuid() != 0 or not shutil.which("ip"):
            pytest.skip("the nodes run nothing, and only root (with `ip`) can give this machine the Pods' addresses")
        self._kubectl = kubectl
        self._namespace = namespace
        self._running: dict[str, Application] = {}
        self._watch = kubectl.watch("pods", namespace, _COLUMNS)
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def _play(self) -> None:
        assert self._watch.stdout is not None
        for line in self._watch.stdout:
            event, name, address, gone = line.split()
            application = self._running.get(name)
            if event == "DELETED":
                if application is not None:
                    self._stop(name)
            elif gone != "gone=":
                if application is not None:
                    application.end()
            elif application is None and address != "ip=":
                self._start(name, address.removeprefix("ip="))

    def _start(self, name: str, address: str) -> None:
        _change_address("add", address)
        self._running[name] = Application(name, address, PORT)
        status = {"status": {"conditions": [{"type": GATE, "status": "True"}]}}
        where = ("pod", name, "-n", self._namespace, "--subresource=status")
        self._kubectl.run("patch", *where, "-p", json.dumps(status))

    def _stop(self, name: str) -> None:
        application = self._running.pop(name)
        application.stop()
        _change_address("del", application.host)

    def close(self) -> None:
        self._watch.kill()
        self._watch.wait()
        self._thread.join()
        assert self._watch.stdout is not None
        self._watch.stdout.close()
        for name in tuple(self._running):
            self._stop(name)


def _change_address(verb: str, address: str) -> None:
    """Give this machine an address that it does not have, or take it away."""
    life = ["valid_lft", str(ADDRESS_S), "preferred_lft", str(ADDRESS_S)] if verb == "add" else []
    subprocess.run(["ip", "address", verb, f"{address}/32", "dev", "lo", *life], check=True)

"""A real cluster, and what the tests put into it: all of it has a label, and is gone at the end."""

from __future__ import annotations

import itertools
import os
import secrets
from pathlib import Path
from typing import Any

import pytest

from control.model.kinds import Kind
from tests.cluster import crds
from tests.cluster.kubectl import Kubectl
from tests.cluster.rights import Account

LABEL = "meshproxy.io/test"
"""By it is found what a run that was killed has left behind."""

EMPTIED_S = 180.0
"""So long a namespace may take to go: after an outage the controllers that empty it wait for a while to try again."""

IS_ALONE = "PYTEST_XDIST_WORKER" not in os.environ
"""Whether nobody else can be at work in the cluster on behalf of the same test run."""


class Cluster:
    """`name` is this run's own, and the beginning of the names of all that is not in a namespace."""

    def __init__(self, kubectl: Kubectl, directory: Path) -> None:
        self.kubectl = kubectl
        self.name = f"meshproxy-test-{secrets.token_hex(4)}"
        self.labels = {LABEL: self.name}
        self.kubeconfig = directory / "kubeconfig"
        """Of an account with the rights that deploy/rbac.yaml grants."""
        self._directory = directory
        self._numbers = itertools.count()
        self._installed: set[str] = set()

    def open(self) -> None:
        missing = [kind for kind in crds.KINDS if not self.has(kind)]
        if missing and not IS_ALONE:
            pytest.skip("the cluster lacks CRDs of the Gateway API, which one process alone can install: without -n")
        for kind in missing:
            self.install(kind)
        self.account("").kubeconfig(self.kubeconfig)

    def close(self) -> None:
        kinds = "namespace,clusterrole,clusterrolebinding,customresourcedefinition"
        words = ("delete", kinds, "-l", f"{LABEL}={self.name}", f"--timeout={EMPTIED_S:.0f}s")
        self.kubectl.run(*words, limit_s=EMPTIED_S + 10)

    def namespace(self) -> str:
        """Another namespace."""
        name = f"{self.name}-{next(self._numbers)}"
        self.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": self.labels}})
        return name

    def account(self, suffix: str) -> Account:
        """Another account with the rights that the control plane needs."""
        return Account(self.kubectl, f"{self.name}{suffix}", self.namespace(), self.labels)

    @property
    def plays_nodes(self) -> bool:
        """Whether its nodes start no processes, and say so: what Pods would run is then to be started here."""
        nodes = self.kubectl.items("nodes")
        runtimes = [node["status"]["nodeInfo"]["containerRuntimeVersion"] for node in nodes]
        return bool(runtimes) and all(runtime.startswith("fake:") for runtime in runtimes)

    # Its CRDs

    def has(self, kind: Kind) -> bool:
        return bool(self.kubectl.run("get", "crd", kind.qualified, "--ignore-not-found"))

    def is_own(self, kind: Kind) -> bool:
        """Whether this run has installed it, so that nobody misses it when it is removed."""
        return kind.qualified in self._installed

    def strangers(self, kind: Kind) -> list[str]:
        """Objects of a kind that no test has written."""
        found = [item["metadata"] for item in self.kubectl.items(kind.qualified, "--all-namespaces")]
        strange = [item for item in found if not item["namespace"].startswith(f"{self.name}-")]
        return [f"{kind.name} {item['namespace']}/{item['name']}" for item in strange]

    def install(self, kind: Kind, document: dict[str, Any] | None = None) -> None:
        """Install a kind that is missing; the document is what it was before, else ours is taken."""
        if document is None:
            self._installed.add(kind.qualified)
        self.kubectl.apply(document or crds.crd(kind, self.labels))
        self.kubectl.run("wait", "--for=condition=Established", f"crd/{kind.qualified}", "--timeout=30s")

    def remove(self, kind: Kind) -> dict[str, Any]:
        """Remove a kind; returns what it was."""
        document = crds.as_written(self.kubectl.get("crd", kind.qualified))
        self.kubectl.run("delete", "crd", kind.qualified, "--timeout=50s")
        return document

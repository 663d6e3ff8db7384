"""What deploy/rbac.yaml grants, under names of a test's own, and the kubeconfig of the account that has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.kubectl import Kubectl
from tests.fakes.cluster import RBAC


class Account:
    """A ServiceAccount that may do exactly what the control plane needs. `documents` are what makes it so."""

    def __init__(self, kubectl: Kubectl, name: str, namespace: str, labels: dict[str, str]) -> None:
        self.name = name
        self._kubectl = kubectl
        self.namespace = namespace
        self.documents = [_renamed(item, name, namespace, labels) for item in yaml.safe_load_all(RBAC.read_text())]
        kubectl.apply(*self.documents)

    @property
    def user(self) -> str:
        """What the cluster calls it."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    @property
    def role(self) -> dict[str, Any]:
        (found,) = (item for item in self.documents if item["kind"] == "ClusterRole")
        return found

    def allow(self, role: dict[str, Any]) -> None:
        """Let it do what a role says from now on, and nothing else."""
        self._kubectl.apply(role)

    def kubeconfig(self, file: Path) -> Path:
        """Write the file by which it is used."""
        told = self._kubectl.run("config", "view", "--raw", "--minify", "--flatten", "-o", "json")
        (cluster,) = json.loads(told)["clusters"]
        token = self._kubectl.run("create", "token", self.name, "-n", self.namespace, "--duration=1h").strip()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [cluster],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": cluster["name"], "user": "test"}}],
        }
        file.touch(0o600)
        file.write_text(json.dumps(config))
        return file


def without(role: dict[str, Any], resource: str) -> dict[str, Any]:
    """The role, but for one resource."""
    rules = []
    for rule in role["rules"]:
        left = [item for item in rule.get("resources", ()) if item != resource]
        if left or "resources" not in rule:
            rules.append({**rule, **({"resources": left} if left else {})})
    assert rules != role["rules"], f"the role does not speak of {resource}"
    return {**role, "rules": rules}


def _renamed(item: dict[str, Any], name: str, namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    metadata = {**item["metadata"], "name": name, "labels": labels}
    found = {**item, "metadata": metadata}
    if "namespace" in metadata:
        metadata["namespace"] = namespace
    if "roleRef" in item:
        found["roleRef"] = {**item["roleRef"], "name": name}
        found["subjects"] = [{**subject, "name": name, "namespace": namespace} for subject in item["subjects"]]
    return found

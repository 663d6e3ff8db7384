"""kubectl, as an operator uses it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import yaml

LIMIT_S = 60.0


class Kubectl:
    """Works on the cluster of KUBECONFIG's current context."""

    def __init__(self, program: str) -> None:
        self.program = program

    def run(self, *words: str, document: object = None, limit_s: float = LIMIT_S) -> str:
        """What it prints; anything but success fails the test."""
        ended = subprocess.run(
            [self.program, *words],
            input=yaml.safe_dump(document) if document is not None else "",
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
        assert ended.returncode == 0, f"kubectl {' '.join(words)}: {ended.stderr.strip()}"
        return ended.stdout

    def may(self, verb: str, resource: str, who: str) -> bool:
        """Whether somebody may do something in all namespaces."""
        words = [self.program, "auth", "can-i", verb, resource, "--all-namespaces", "--quiet", "--as", who]
        return subprocess.run(words, capture_output=True, timeout=LIMIT_S, check=False).returncode == 0

    def apply(self, *documents: dict[str, Any]) -> None:
        several = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        self.run("apply", "--server-side", "--force-conflicts", "-f", "-", document=several)

    def delete(self, *documents: dict[str, Any]) -> None:
        several = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        self.run("delete", "--wait=false", "-f", "-", document=several)

    def get(self, *words: str) -> Any:
        return json.loads(self.run("get", *words, "-o", "json"))

    def items(self, *words: str) -> list[Any]:
        return list(self.get(*words)["items"])

    def watch(self, kind: str, namespace: str, columns: str) -> subprocess.Popen[str]:
        """A process that prints a line an event; `columns` are jsonpath, of `.type` and `.object`."""
        return subprocess.Popen(
            [self.program, "get", kind, "-n", namespace, "--watch", "--output-watch-events", f"-o=jsonpath={columns}"],
            stdout=subprocess.PIPE,
            text=True,
        )

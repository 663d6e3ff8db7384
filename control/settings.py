"""What the control plane is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Address: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Cluster:
    """Which API server is read. Without `kubeconfig`: the usual places; without `context`: the current one."""

    kubeconfig: Path | None = None
    context: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """Validated by the command line. Addresses are (IP literal, port).

    The objects are those of `cluster`, else they live in `directory`.
    """

    directory: Path
    token_file: Path
    api: Address
    push: Address
    metrics: Address
    cluster: Cluster | None = None
    trust_domain: str = "cluster.local"
    cluster_domain: str = "cluster.local"
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"

"""What the control plane is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Address: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Settings:
    """Validated by the command line. Addresses are (IP literal, port)."""

    directory: Path
    api: Address
    push: Address
    metrics: Address
    trust_domain: str = "cluster.local"
    cluster_domain: str = "cluster.local"
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"

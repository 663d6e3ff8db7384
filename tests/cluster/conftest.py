"""A real cluster is written into only where that is asked for: KUBECONFIG=FILE pytest tests/cluster"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.cluster.scene import Scene, scene

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if missing := _missing(request.config):
        pytest.skip(missing)
    found = Cluster(Kubectl(shutil.which("kubectl") or ""), tmp_path_factory.mktemp("cluster"))
    try:
        found.open()
        yield found
    finally:
        found.close()


@pytest.fixture
def shop(cluster: Cluster, tmp_path: Path) -> Iterator[Scene]:
    with scene(cluster, tmp_path) as found:
        yield found


def _missing(config: pytest.Config) -> str:
    """Say what has to be given to run these tests; empty if nothing is missing."""
    if not any(_is_here(config.invocation_params.dir / word.partition("::")[0]) for word in config.args):
        return "writes into a real cluster, so it has to be asked for: KUBECONFIG=FILE pytest tests/cluster"
    if not os.environ.get("KUBECONFIG"):
        return "there is no cluster: KUBECONFIG=FILE pytest tests/cluster"
    return "" if shutil.which("kubectl") else "there is no kubectl"


def _is_here(path: Path) -> bool:
    return path.resolve().is_relative_to(HERE)

"""A small generated cluster, and what happens in it, as its API server tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import recorded
from tests.bench.catalog import place_of
from tests.bench.cluster import Asked, Generated, Relist, Replay, Setup, Storm, names_of
from tests.fakes.kubernetes.generate import Plan

SERVICES, ENDPOINTS = 4, 12


@pytest.fixture
def generated(tmp_path: Path) -> Iterator[Generated]:
    made = Generated(Setup(SERVICES, ENDPOINTS, str(tmp_path / "kubeconfig")))
    yield made
    made.close()


def test_every_second_pod_has_a_sidecar(generated: Generated) -> None:
    pods = generated.api.list("Pod")
    assert len(pods) == ENDPOINTS
    assert sum(pod["metadata"]["labels"].get("meshproxy.io/sidecar") == "injected" for pod in pods) == ENDPOINTS // 2


def test_a_storm_replaces_endpoints_of_the_services_it_is_to_change(generated: Generated) -> None:
    before = generated.api.version
    changes = generated.carry_out(Storm(1, 3, rate=2_000, seconds=0.005))
    assert [change.turn for change in changes] == list(range(1, 11))
    assert {change.service for change in changes} <= {1, 2}
    assert generated.api.version == before + 10
    assert [change.at for change in changes] == sorted(change.at for change in changes)
    shown = [slice_["endpoints"][-1]["addresses"] for slice_ in generated.api.list("EndpointSlice")]
    for service in {change.service for change in changes}:
        last = max(change.turn for change in changes if change.service == service)
        assert [place_of(last)] in shown


def test_after_a_relist_no_version_from_before_is_known(generated: Generated) -> None:
    before = generated.api.version
    generated.carry_out(Relist())
    assert generated.api.in_loop(lambda server: server.cluster.floor) > before


def test_the_first_request_after_a_time_is_told(generated: Generated) -> None:
    with pytest.raises(StopIteration):
        generated.carry_out(Asked(0.0))


@pytest.mark.skipif(not recorded.DIRECTORY.is_dir(), reason="the recordings are not beside the checkout")
def test_a_replay_happens_and_leaves_nothing(generated: Generated) -> None:
    before = len(generated.api.list("Pod"))
    count = generated.carry_out(Replay(1))
    assert count > 100
    assert generated.carry_out(Replay(2)) == 2 * count
    assert len(generated.api.list("Pod")) == before
    assert generated.api.list("HTTPRoute") == []


def test_the_names_of_a_service_are_those_of_its_resources() -> None:
    assert names_of(Plan(SERVICES, ENDPOINTS), 3) == [
        "service/team-003/service-00003",
        "routes/team-003/service-00003:80",
        "backend/team-003/service-00003:80",
        "endpoints/team-003/service-00003:80",
    ]

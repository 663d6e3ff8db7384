from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from loadtest.scenario.model import Policy
from loadtest.subjects.manifests import Endpoint, describe, path_of, to_duration, to_yaml

PLAIN = [Endpoint(("127.0.0.1", 8080)), Endpoint(("127.0.0.2", 8080))]
POLICY = Policy.model_validate({"timeout": "1s", "attempt_timeout": "250ms", "retries": 2, "retry_codes": [503, 500]})
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (1, "1s"), (1.5, "1s500ms"), (90, "1m30s"), (86400, "24h"), (0.0001, "1ms")],
)
def test_durations_are_written_as_gateway_api_reads_them(seconds: float, text: str) -> None:
    assert to_duration(seconds) == text


@given(st.integers(0, 24 * 3600 * 1_000_000))
def test_a_duration_is_never_shorter_than_asked_for(microseconds: int) -> None:
    text = to_duration(microseconds / 1e6)
    assert re.fullmatch(r"([0-9]{1,5}(h|m|s|ms)){1,4}", text)
    written = sum(int(number) * _UNITS_S[unit] for number, unit in re.findall(r"([0-9]+)(ms|h|m|s)", text))
    assert -1e-6 < written - microseconds / 1e6 < 0.001


def test_the_policy_is_the_routes() -> None:
    _, route, _ = describe("echo", PLAIN, POLICY)
    (rule,) = route["spec"]["rules"]
    assert rule["timeouts"] == {"request": "1s", "backendRequest": "250ms"}
    assert rule["retry"] == {"attempts": 2, "codes": [500, 503]}


def test_without_a_policy_nothing_is_said() -> None:
    _, route, _ = describe("echo", PLAIN, Policy())
    assert route["spec"]["rules"] == [{"backendRefs": [{"name": "echo", "port": 80}]}]


def test_instances_stand_in_the_slice_with_the_pods_of_those_that_have_a_sidecar() -> None:
    here, gone = Endpoint(("127.0.0.3", 15006), "echo-3"), Endpoint(("127.0.0.4", 15006), "echo-4")
    documents = describe("echo", [here], Policy(), [gone])
    assert [each["kind"] for each in documents] == ["Service", "HTTPRoute", "Pod", "Pod", "EndpointSlice"]
    *_, pod, _, slice_ = documents
    assert slice_["ports"] == [{"name": "http", "port": 15006}]
    (entry,) = slice_["endpoints"]
    assert entry["addresses"] == ["127.0.0.3"]
    assert entry["targetRef"]["name"] == pod["metadata"]["name"] == "echo-3"
    assert pod["spec"]["serviceAccountName"] == "echo"


def test_paths_are_those_of_kubernetes() -> None:
    service, route, slice_ = describe("echo", PLAIN, Policy())
    assert path_of(service) == "/api/v1/namespaces/load/services/echo"
    assert path_of(route) == "/apis/gateway.networking.k8s.io/v1/namespaces/load/httproutes/echo"
    assert path_of(slice_) == "/apis/discovery.k8s.io/v1/namespaces/load/endpointslices/echo-1"


def test_a_manifest_reads_back_as_it_was() -> None:
    documents = describe("echo", PLAIN, POLICY)
    assert list(yaml.safe_load_all(to_yaml(documents))) == documents

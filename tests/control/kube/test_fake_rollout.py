"""The fake Deployment: what pods and slices go through, in the order that real controllers were recorded with."""

import http.client

import pytest

from tests.fakes.kubernetes.api import FakeApi
from tests.fakes.kubernetes.pods import Processes
from tests.fakes.kubernetes.resources import BUILT_IN
from tests.fakes.kubernetes.rollout import Deployment

BY_KIND = {resource.kind: resource for resource in BUILT_IN}


class Places:
    """Pods without processes: each has an address, and is stopped when it is told to."""

    def __init__(self, *ports):
        self.ports = list(ports)
        self.stopped = []
        self._number = 0

    def start(self, pod):
        self._number += 1
        return f"10.0.0.{self._number}", self.ports.pop(0) if self.ports else 8080

    def stop(self, pod):
        self.stopped.append(pod.name)


@pytest.fixture
def api():
    with FakeApi() as api:
        yield api


def deploy(api, replicas, places=None, **settings):
    places = places or Places()
    return Deployment(api, "shop", "front", replicas, start=places.start, stop=places.stop, **settings)


def history(api, kind):
    """The events of a kind: type and document."""
    return api.in_loop(
        lambda server: [(event.type, event.item.document) for event in server.cluster.shelf(BY_KIND[kind]).log]
    )


def conditions(document):
    """The endpoints of a slice as (ready, serving, terminating), by address."""
    items = document["endpoints"] or []
    return {item["addresses"][0]: tuple(item["conditions"].values()) for item in items}


def test_a_pod_goes_through_the_steps_of_a_kubelet(api):
    deployment = deploy(api, 1, account="front")
    deployment.scale(0)
    steps = [
        (type_, document["status"]["phase"], document["metadata"].get("deletionGracePeriodSeconds"))
        for type_, document in history(api, "Pod")
    ]
    assert steps == [
        ("ADDED", "Pending", None),
        ("MODIFIED", "Pending", None),
        ("MODIFIED", "Running", None),
        ("MODIFIED", "Running", None),
        ("MODIFIED", "Running", 30),
        ("MODIFIED", "Succeeded", 30),
        ("MODIFIED", "Succeeded", 0),
        ("DELETED", "Succeeded", 0),
    ]
    pods = [document for _, document in history(api, "Pod")]
    assert ["nodeName" in pod["spec"] for pod in pods[:2]] == [False, True]
    assert pods[2]["status"]["podIPs"] == [{"ip": "10.0.0.1"}]
    assert {pod["spec"]["serviceAccountName"] for pod in pods} == {"front"}
    assert len({pod["metadata"]["uid"] for pod in pods}) == 1


def test_an_endpoint_follows_its_pod(api):
    deployment = deploy(api, 1)
    deployment.unready(deployment.pods[0])
    deployment.ready(deployment.pods[0])
    deployment.scale(0)
    slices = [conditions(document).get("10.0.0.1") for _, document in history(api, "EndpointSlice")]
    assert slices == [
        None,
        (False, False, False),
        (True, True, False),
        (False, False, False),
        (True, True, False),
        (False, True, True),
        None,
    ]


def test_an_endpoint_names_its_pod_with_its_uid_node_and_zone(api):
    deployment = deploy(api, 2)
    (slice_,) = api.list("EndpointSlice")
    assert slice_["metadata"]["labels"]["kubernetes.io/service-name"] == "front"
    for item, pod in zip(slice_["endpoints"], deployment.pods, strict=True):
        assert item["targetRef"] == {"kind": "Pod", "namespace": "shop", "name": pod.name, "uid": pod.uid}
        assert (item["nodeName"], item["zone"]) == (pod.node, pod.zone)
    assert {pod.zone for pod in deployment.pods} == {"zone-a", "zone-b"}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_a_rolling_restart_replaces_every_pod_and_keeps_enough_of_them(api, count):
    places = Places()
    deployment = deploy(api, count, places)
    before = list(deployment.pods)
    began = len(history(api, "EndpointSlice"))
    deployment.rolling_restart()
    assert sorted(places.stopped) == sorted(pod.name for pod in before)
    assert len(deployment.pods) == count
    assert not set(deployment.pods) & set(before)
    assert {pod["metadata"]["name"] for pod in api.list("Pod")} == {pod.name for pod in deployment.pods}
    for _, document in history(api, "EndpointSlice")[began:]:
        assert sum(ready for ready, _, _ in conditions(document).values()) >= count - count // 4
    (slice_,) = api.list("EndpointSlice")
    assert list(conditions(slice_).values()) == [(True, True, False)] * count


def test_a_pod_deleted_without_grace_is_gone_before_its_endpoint(api):
    places = Places()
    deployment = deploy(api, 2, places)
    pod = deployment.pods[0]
    deployment.delete_now(pod)
    last_pod, last_slice = history(api, "Pod")[-1], history(api, "EndpointSlice")[-1]
    assert last_pod[0] == "DELETED"
    assert "10.0.0.1" not in conditions(last_slice[1])
    versions = [int(document["metadata"]["resourceVersion"]) for _, document in (last_pod, last_slice)]
    assert versions == sorted(versions)
    assert places.stopped == [pod.name]


def test_pods_with_other_ports_have_a_slice_of_their_own(api):
    deployment = deploy(api, 3, Places(8080, 9090, 8080))
    found = {item["ports"][0]["port"]: len(item["endpoints"]) for item in api.list("EndpointSlice")}
    assert found == {8080: 2, 9090: 1}
    deployment.delete_now(deployment.pods[1])
    assert [item["ports"][0]["port"] for item in api.list("EndpointSlice")] == [8080]
    deployment.scale(0)
    (slice_,) = api.list("EndpointSlice")
    assert (slice_["endpoints"], slice_["ports"]) == (None, None)


def test_addresses_are_published_before_they_are_ready_where_the_service_says_so(api):
    deployment = deploy(api, 1, service={"publishNotReadyAddresses": True})
    deployment.unready(deployment.pods[0])
    (slice_,) = api.list("EndpointSlice")
    assert conditions(slice_)["10.0.0.1"] == (True, True, False)


def test_a_deployment_is_removed_with_all_it_has(api):
    deploy(api, 2).remove()
    assert [api.list(kind) for kind in ("Service", "Pod", "EndpointSlice")] == [[], [], []]


def get(connection):
    connection.request("GET", "/")
    response = connection.getresponse()
    return response.read().decode(), response.getheader("connection")


def test_processes_share_a_port_and_serve_on_through_their_grace(api):
    processes = Processes(grace_s=0.2)
    try:
        deployment = Deployment(api, "shop", "front", 2, start=processes.start, stop=processes.stop)
        first, second = deployment.pods
        assert first.host != second.host
        assert first.port == second.port
        connection = http.client.HTTPConnection(first.host, first.port, timeout=10)
        assert get(connection) == (first.name, None)
        deployment.delete(first)
        api.until(lambda: get(connection) == (first.name, "close"))
        deployment.settle()
        with pytest.raises(ConnectionRefusedError):
            connection.connect()
        connection.close()
        assert list(processes.running) == [second.name]
    finally:
        processes.close()

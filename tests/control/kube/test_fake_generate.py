"""The generated cluster: what it holds, and how it is driven."""

import contextlib
import http.client
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.kubernetes.generate import BY_KIND, Plan
from tests.fakes.kubernetes.state import Cluster

ROOT = Path(__file__).parents[3]


def documents(cluster, kind):
    return [item.document for item in cluster.page(BY_KIND[kind]).items]


def test_a_plan_makes_what_it_says_and_everything_meets():
    cluster = Cluster()
    Plan(20, 250, namespaces=3).fill(cluster)
    pods = {pod["metadata"]["name"]: pod for pod in documents(cluster, "Pod")}
    services = {service["metadata"]["name"]: service for service in documents(cluster, "Service")}
    nodes = {node["metadata"]["name"]: node for node in documents(cluster, "Node")}
    endpoints = [(slice_, item) for slice_ in documents(cluster, "EndpointSlice") for item in slice_["endpoints"]]
    assert (len(services), len(pods), len(endpoints)) == (20, 250, 250)
    assert len(documents(cluster, "Namespace")) == 3
    for slice_, item in endpoints:
        pod = pods[item["targetRef"]["name"]]
        service = services[slice_["metadata"]["labels"]["kubernetes.io/service-name"]]
        assert pod["metadata"]["uid"] == item["targetRef"]["uid"]
        assert pod["status"]["podIP"] == item["addresses"][0]
        assert pod["spec"]["nodeName"] == item["nodeName"]
        assert nodes[item["nodeName"]]["metadata"]["labels"]["topology.kubernetes.io/zone"] == item["zone"]
        assert pod["spec"]["serviceAccountName"] == service["metadata"]["name"]
        assert pod["metadata"]["namespace"] == slice_["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert len({item["addresses"][0] for _, item in endpoints}) == 250
    assert len({pod["metadata"]["uid"] for pod in pods.values()}) == 250


def test_objects_are_as_large_as_real_ones():
    cluster = Cluster()
    Plan(10, 40).fill(cluster)
    size = {kind: len(cluster.page(BY_KIND[kind]).items[0].body) for kind in ("Pod", "EndpointSlice", "Service")}
    assert 4_500 < size["Pod"] < 7_000
    assert 1_400 < size["EndpointSlice"] < 3_000
    assert 800 < size["Service"] < 2_000


def test_a_service_with_more_endpoints_than_a_slice_holds_has_several():
    cluster = Cluster()
    Plan(1, 250).fill(cluster)
    assert [len(slice_["endpoints"]) for slice_ in documents(cluster, "EndpointSlice")] == [100, 100, 50]


@pytest.fixture
def process():
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.kubernetes", "--services", "10", "--endpoints", "30", "--rate", "100"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process
    process.kill()
    process.wait(10)
    process.stdout.close()


def ask(url, method, path, body=None):
    host, _, port = url.removeprefix("http://").partition(":")
    with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=10)) as connection:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def test_a_storm_is_told_event_by_event_with_its_time(process):
    url = process.stdout.readline().strip()
    listed = ask(url, "GET", "/apis/discovery.k8s.io/v1/endpointslices")[1]
    version = listed["metadata"]["resourceVersion"]
    path = f"/apis/discovery.k8s.io/v1/endpointslices?watch=true&resourceVersion={version}"
    host, _, port = url.removeprefix("http://").partition(":")
    with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=10)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        began = time.monotonic()
        ask(url, "POST", "/fake/storm", json.dumps({"seconds": 0.3, "services": ["service-00003"]}))
        events = [json.loads(response.readline()) for _ in range(30)]
        response.close()
    told = ask(url, "GET", "/fake/storm")[1]
    assert told["is_over"]
    assert len(told["happened"]) == 30
    for event, happened in zip(events, told["happened"], strict=True):
        assert event["type"] == "MODIFIED"
        assert event["object"]["metadata"]["resourceVersion"] == str(happened["version"])
        assert event["object"]["metadata"]["name"] == happened["slice"]
        states = {item["addresses"][0]: item["conditions"]["ready"] for item in event["object"]["endpoints"]}
        assert states[happened["address"]] is happened["is_ready"]
        assert happened["service"] == "service-00003"
        assert began <= happened["at"] <= time.monotonic()
    status, told = ask(url, "POST", "/fake/storm", '{"rates": 5}')
    assert status == 400
    assert "rates" in told["message"]


def test_it_ends_on_sigterm(process):
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0

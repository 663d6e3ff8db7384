"""`meshctl proxies` and `explain`, with sidecars on real streams."""

import asyncio
import json
import threading
from contextlib import contextmanager

import msgspec
import pytest

from meshproxy.admin.view import EndpointRow
from meshproxy.wire.resources import SCHEMA
from meshproxy.wire.snapshot import Entry
from meshproxy.wire.stream import Answer
from tests.control.build import endpoint, endpoint_slice, http_route, path, rule, service
from tests.fakes.loop import until as until_true
from tests.fakes.subscriber import Subscriber


@pytest.fixture
def connected(control):
    """Connect a sidecar, in a thread with a loop of its own, for as long as a block lasts."""

    @contextmanager
    def connect(namespace, *names, refuses=(), answer=None):
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()

        def do(coroutine):
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)

        judge = lambda name, resource: "is poisoned" if name in refuses else ""
        subscriber = Subscriber(control.addresses["push"][1], namespace, "front-1", judge=judge)
        if answer is not None:
            subscriber.answer = answer
        try:
            do(subscriber.connect(*names))
            do(settled(subscriber))
            yield subscriber
        finally:
            do(subscriber.close())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    return connect


async def settled(subscriber):
    """What was asked for has come."""
    await until_true(lambda: subscriber.pushes)


def until(meshctl, words, *arguments):
    """Run a command until a row of its output begins with these words."""
    for _ in range(200):
        result = meshctl(*arguments)
        for row in result.rows:
            if row[: len(words)] == words:
                return result, row
    raise AssertionError(result)


def test_a_sidecar_that_has_what_it_should_have_is_synced(meshctl, manifest, ns, connected):
    meshctl("apply", "-f", manifest(service("a", namespace=ns)))
    with connected(ns, f"service/{ns}/a"):
        result, row = until(meshctl, [ns, "front-1", "test", "synced"], "proxies")
        assert result.status == 0
        assert result.rows[0][:4] == ["NAMESPACE", "NAME", "VERSION", "STATE"]
        assert meshctl("proxies", "-n", ns).rows[1] == row
        listed = json.loads(meshctl("proxies", "-n", ns, "-o", "json").out)["items"]
        assert [item["metadata"]["name"] for item in listed] == ["front-1"]
        page = meshctl("proxies", f"{ns}/front-1").out
        assert "Subscribed:       1 resources" in page
        assert meshctl("describe", "proxy", "front-1", "-n", ns).out.splitlines()[:7] == page.splitlines()[:7]
        assert [row[:2] for row in meshctl("get", "proxies", "-n", ns).rows] == [
            ["NAME", "VERSION"],
            ["front-1", "test"],
        ]
    for _ in range(200):
        if "no sidecar is connected" in meshctl("proxies", "-n", ns).out:
            break
    assert meshctl("proxies", "-n", ns).out == f"no sidecar is connected in namespace {ns}\n"
    assert "not found" in meshctl("proxies", "front-1", "-n", ns).err


def test_a_sidecar_that_refuses_a_push_is_told_with_its_reason(meshctl, manifest, ns, connected):
    meshctl("apply", "-f", manifest(service("a", namespace=ns)))
    with connected(ns, f"service/{ns}/a", refuses={f"service/{ns}/a"}):
        result, _ = until(meshctl, [ns, "front-1", "test", "refused"], "proxies", "-n", ns)
        assert f"{ns}/front-1 refused, and keeps what it had:\n  service/{ns}/a: is poisoned\n" in result.out
        page = meshctl("proxies", f"{ns}/front-1").out
        assert "Refused:" in page
        assert "is poisoned" in page


CONFIG = {
    "schema": SCHEMA,
    "resources": [
        {"name": "service/shop/a", "version": "0123456789abcdef", "resource": {"ports": [{"port": 80}]}},
        {"name": "endpoints/shop/a:80", "version": "1", "resource": {"endpoints": [{"ready": False}, {}]}},
        {"name": "routes/shop/a:80", "version": "1", "resource": {"rules": [{}], "matches": [{}, {}]}},
        {"name": "backend/shop/a:80", "version": "1", "resource": {}},
    ],
}
ROWS = [
    EndpointRow(backend="shop/a:80", address="10.0.0.1:80", state="ready", identity="", inflight=2, ewma_ms=1.5,
                failures=0, ejected_for_s=0.0),
    EndpointRow(backend="shop/a:80", address="10.0.0.2:80", state="ejected", identity="spiffe://x/ns/a/sa/b",
                inflight=0, ewma_ms=30, failures=5, ejected_for_s=2.25),
]  # fmt: skip


def answers(ask):
    bodies = {
        "config": json.dumps(CONFIG),
        "endpoints": msgspec.json.encode({"endpoints": ROWS}).decode(),
        "metrics": "# HELP a\na 1\n",
    }
    return Answer(id=ask.id, body=bodies[ask.what])


def test_a_sidecar_tells_its_configuration_endpoints_and_metrics(meshctl, ns, connected):
    with connected(ns, f"service/{ns}/a", answer=answers):
        name = f"{ns}/front-1"
        assert meshctl("proxies", name, "config").rows == [
            ["RESOURCE", "VERSION", "WHAT"],
            ["service/shop/a", "0123456789ab", "ports", "80"],
            ["endpoints/shop/a:80", "1", "1", "of", "2", "ready"],
            ["routes/shop/a:80", "1", "1", "rule,", "2", "matches"],
            ["backend/shop/a:80", "1", "http"],
        ]
        assert json.loads(meshctl("proxies", name, "config", "-o", "json").out) == CONFIG
        assert meshctl("proxies", "front-1", "endpoints", "-n", ns).rows[1:] == [
            ["shop/a:80", "10.0.0.1:80", "ready", "2", "1.50", "0", "-", "-"],
            ["shop/a:80", "10.0.0.2:80", "ejected", "0", "30.00", "5", "2.2", "s", "spiffe://x/ns/a/sa/b"],
        ]
        assert meshctl("proxies", name, "metrics").out == "# HELP a\na 1\n"
        assert "'secrets' is no report" in meshctl("proxies", name, "secrets").err
        assert "cannot be printed so" in meshctl("proxies", name, "metrics", "-o", "json").err


def test_a_sidecar_that_cannot_answer_or_talks_nonsense_is_told(meshctl, ns, connected):
    with connected(ns, f"service/{ns}/a", answer=lambda ask: Answer(id=ask.id, error="am draining")):
        result = meshctl("proxies", f"{ns}/front-1", "config")
        assert (result.status, result.out) == (1, "")
        assert "am draining" in result.err
    with connected(f"{ns}b", f"service/{ns}/a"):
        assert "the sidecar's answer is not understood" in meshctl("proxies", f"{ns}b/front-1", "endpoints").err


def test_the_forms_that_are_read_here_are_those_that_the_sidecar_writes():
    entry = Entry(name="service/shop/a", version="1", resource=msgspec.convert({"ports": []}, dict))
    assert {"name", "version", "resource"} <= set(msgspec.to_builtins(entry))


@pytest.fixture
def canary(meshctl, manifest, ns):
    backends = [{"name": "echo-v1", "port": 80, "weight": 90}, {"name": "echo-v2", "port": 80, "weight": 10}]
    condition = {**path("/"), "headers": [{"name": "x-canary", "value": "1"}]}
    documents = [
        service("echo", 80, 90, namespace=ns),
        service("echo-v1", namespace=ns),
        service("echo-v2", namespace=ns),
        endpoint_slice("echo-v1", "10.0.0.1", endpoint("10.0.0.2", conditions={"ready": False}), namespace=ns),
        http_route("echo", rule("echo-v1", name="canary", matches=[condition]), rule(*backends), namespace=ns),
    ]
    assert meshctl("apply", "-f", manifest(*documents)).status == 0
    return ns


def test_a_request_that_goes_through_is_explained(meshctl, canary):
    result = meshctl("explain", "http://echo/x", "--from", f"{canary}/front", "-H", "x-canary: 1")
    assert (result.status, result.err) == (0, "")
    for expected in (
        f"GET http://echo/x from {canary}/front",
        f"service: {canary}/echo port 80",
        "header x-canary = 1 <- this one",
        f"rule {canary}/echo/1: path under /: an earlier match fits",
        f"backend {canary}/echo-v1:80: 100 %",
        "10.0.0.1:8080 ready",
        "10.0.0.2:8080 unready, not chosen: it is not ready",
        "goes through",
    ):
        assert expected in result.out


def test_a_request_that_fails_is_explained_and_the_status_says_so(meshctl, canary):
    some = meshctl("explain", "echo/x", "--from", canary)
    assert some.status == 1
    assert "10 % of such requests fail" in some.out
    port = meshctl("explain", "http://echo:91/", "--from", canary, "--method", "POST")
    assert port.status == 1
    assert "its ports: 80 (p80), 90 (p90)" in port.out
    assert "answered 404" in port.out
    told = json.loads(meshctl("explain", "http://none/", "--from", canary, "-o", "json").out)
    assert told["failure"]["fault"] == "no_service"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("http://a/", "--from", "/x"), "--from /x: is malformed; allowed: NS/SA"),
        (("http://a/", "--from", "a/b/c"), "is malformed"),
        (("http://a/", "--from", "a", "-H", "x"), "-H x: is malformed; allowed: NAME:VALUE"),
        (("http://a/", "--from", "a", "-o", "xml"), "-o xml is not known"),
        (("http://a b/", "--from", "a"), "Error from server (BadRequest): url: "),
    ],
)
def test_what_cannot_be_explained_is_told(meshctl, arguments, message):
    result = meshctl("explain", *arguments)
    assert (result.status, result.out) == (1, "")
    assert message in result.err

from __future__ import annotations

import asyncio
import json
import logging

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from meshproxy.admin.desk import Desk
from meshproxy.admin.response import Response
from meshproxy.faults import FAULTS
from meshproxy.kit import log
from meshproxy.wire import snapshot
from tests.fakes.view import FakeView, row

PUBLIC = ["/healthz/live", "/healthz/ready", "/metrics"]
PRIVATE = ["/", "/config", "/endpoints", "/stream", "/faults", "/log-level"]


@pytest.fixture
def view():
    return FakeView()


@pytest.fixture(autouse=True)
def _level_as_before():
    loggers = [logging.getLogger(root) for root in log.ROOTS]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


def ask(view, target, method="GET", *, host="localhost:15000", origin="", is_public=False) -> Response:
    path, _, query = target.partition("?")
    desk = Desk(view, is_public=is_public)
    return desk.handle(method.encode(), path.encode(), query.encode(), host.encode(), origin.encode())


def slices_of(response) -> list[bytes]:
    if isinstance(response.body, bytes):
        return [response.body]
    return list(asyncio.run(response.body()) if callable(response.body) else response.body)


def body(response) -> bytes:
    return b"".join(slices_of(response))


def test_live_and_ready(view):
    assert ask(view, "/healthz/live").status == 200
    assert ask(view, "/healthz/ready").status == 200
    view.reason = "draining"
    answer = ask(view, "/healthz/ready")
    assert answer.status == 503
    assert body(answer) == b"not ready: draining\n"
    assert ask(view, "/healthz/live").status == 200


@pytest.mark.parametrize("path", PUBLIC)
def test_the_health_listener_answers_any_host(view, path):
    assert ask(view, path, host="10.1.2.3:15020", is_public=True).status == 200
    assert ask(view, path, host="", is_public=True).status == 200


@pytest.mark.parametrize("path", [*PRIVATE, "/drain"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_health_listener_serves_nothing_else(view, path, method):
    assert ask(view, path, method, is_public=True).status == 404
    assert view.drains == 0


@pytest.mark.parametrize("path", [*PUBLIC, *PRIVATE, "/drain", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_admin_refuses_a_foreign_host_whatever_is_asked(view, path, method):
    answer = ask(view, path, method, host="rebound.example")
    assert answer.status == 403
    assert b"localhost" in body(answer)
    assert view.drains == 0


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/drain", b"POST"),
        ("HEAD", "/drain", b"POST"),
        ("POST", "/metrics", b"GET, HEAD"),
        ("DELETE", "/config", b"GET, HEAD"),
        ("PUT", "/log-level", b"GET, HEAD, POST"),
        ("get", "/", b"GET, HEAD"),
    ],
)
def test_another_method_is_told_which_are_allowed(view, method, path, allow):
    answer = ask(view, path, method)
    assert answer.status == 405
    assert (b"allow", allow) in answer.headers
    assert view.drains == 0


def test_drain_is_a_post(view):
    assert ask(view, "/drain", "POST").status == 202
    assert view.drains == 1


@pytest.mark.parametrize("target", ["/drain", "/log-level?level=debug"])
def test_a_foreign_page_cannot_post(view, target):
    log.set_level("warning")
    assert ask(view, target, "POST", origin="https://evil.example").status == 403
    assert ask(view, target, "POST", origin="null").status == 403
    assert view.drains == 0
    assert log.level() == "warning"
    assert ask(view, target, "POST", origin="http://localhost:15000").status in (200, 202)


def test_the_log_level_is_read_and_changed(view):
    log.set_level("warning")
    assert body(ask(view, "/log-level")) == b"warning\n"
    assert body(ask(view, "/log-level?level=debug", "POST")) == b"debug\n"
    assert log.level() == "debug"


@pytest.mark.parametrize("query", ["", "?level=", "?level=loud", "?x=debug", "?" + "a=1&" * 20 + "level=info"])
def test_a_wrong_level_changes_nothing(view, query):
    log.set_level("error")
    assert ask(view, "/log-level" + query, "POST").status == 400
    assert log.level() == "error"


def test_the_index_lists_what_there_is(view):
    text = body(ask(view, "/")).decode()
    for path in (*PUBLIC, *PRIVATE, "/drain"):
        assert f" {path} " in text


def test_metrics_are_prometheus_text(view):
    view.registry.exchange("inbound", "a", "b", "c", "http").finish(200, "", "", 0.1, 0.1)
    answer = ask(view, "/metrics")
    assert answer.headers == ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),)
    names = [family.name for family in text_string_to_metric_families(body(answer).decode())]
    assert "meshproxy_requests" in names


def test_the_config_is_what_a_snapshot_file_says():
    view = FakeView(services=30, endpoints=700)
    text = body(ask(view, "/config"))
    loaded = snapshot.load(text)
    assert {e.name: e for e in loaded.entries} == {e.name: e for e in view.entries}


def test_a_config_without_resources_is_json(view):
    view.entries = []
    assert json.loads(body(ask(view, "/config"))) == {"schema": 1, "resources": []}


def test_a_variant_says_for_whom_it_is(view):
    view.entries = [msgspec.structs.replace(entry, consumer="other") for entry in view.entries]
    resources = json.loads(body(ask(view, "/config")))["resources"]
    assert len(resources) == 3
    assert all(resource["consumer"] == "other" for resource in resources)


def test_endpoints_as_json():
    view = FakeView(services=2, endpoints=3)
    assert json.loads(body(ask(view, "/endpoints"))) == {"endpoints": msgspec.to_builtins(view.rows)}
    view.rows = []
    assert json.loads(body(ask(view, "/endpoints?format=json"))) == {"endpoints": []}


def test_endpoints_as_a_table():
    view = FakeView(services=0)
    view.rows = [
        row("demo/a:80", "10.0.0.1:80", inflight=3, ewma_ms=12.345),
        row("demo/a:80", "[fd00::1]:80", state="ejected", failures=5, ejected_for_s=7.25),
        row("demo/b:80", "10.0.0.2:80", identity="spiffe://cluster.local/ns/demo/sa/b"),
    ]
    lines = body(ask(view, "/endpoints?format=text")).decode().splitlines()
    assert lines[0] == "demo/a:80"
    assert lines[1].split()[:3] == ["ADDRESS", "STATE", "INFLIGHT"]
    assert lines[2].split() == ["10.0.0.1:80", "ready", "3", "12.35", "0", "-", "-"]
    assert lines[3].split() == ["[fd00::1]:80", "ejected", "0", "1.50", "5", "7.2", "s", "-"]
    assert lines[4:6] == ["", "demo/b:80"]
    assert lines[7].endswith("spiffe://cluster.local/ns/demo/sa/b")
    view.rows = []
    assert body(ask(view, "/endpoints?format=text")) == b"no endpoints\n"
    assert ask(view, "/endpoints?format=yaml").status == 400


def test_faults_are_the_whole_vocabulary(view):
    faults = json.loads(body(ask(view, "/faults")))["faults"]
    assert [fault["word"] for fault in faults] == list(FAULTS)
    assert all(fault["meaning"] and fault["advice"] for fault in faults)


def test_the_stream_as_json(view):
    assert json.loads(body(ask(view, "/stream"))) == {"source": "ws://127.0.0.1:15012", "age_s": 1.5}


def test_long_reports_come_in_slices():
    view = FakeView(services=20, endpoints=500)
    for target in ("/config", "/endpoints", "/endpoints?format=text"):
        slices = slices_of(ask(view, target))
        assert len(slices) > 5
        assert max(map(len, slices)) < 64_000

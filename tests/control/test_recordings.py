"""Objects as a real API server shows them are taken, all of them, and compile."""

import json
from pathlib import Path

import pytest

from control.cli.load import load
from control.compile.compiler import Compiler
from control.index.index import Index
from control.model.decode import decode
from control.model.objects import Key
from tests.control.build import compiled

RECORDINGS = Path(__file__).parents[3] / "shared" / "kubernetes" / "recordings"
pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not beside the checkout")


def index_of_lists(tmp_path):
    for name in ("services", "endpointslices", "pods-shop", "httproutes"):
        body = json.loads((RECORDINGS / "lists" / f"{name}.json").read_text())["body"]
        (tmp_path / f"{name}.json").write_text(json.dumps(body))
    loaded = load([str(tmp_path)])
    assert loaded.errors == []
    assert loaded.skipped == {}
    index = Index()
    for item in loaded.objects:
        index.apply(item)
    return index


def test_lists_of_a_real_cluster_compile(tmp_path):
    index = index_of_lists(tmp_path)
    entries = compiled(index).entries
    routes = entries["routes/shop/payment:80"].resource
    assert [match.rule for match in routes.matches] == [0, 1]
    assert routes.rules[1].timeouts.request_s == 2.0
    slices = {slice_.service for slice_ in index.slices.values()}
    assert Key("shop", "front") in slices
    front = entries["endpoints/shop/front:80"].resource.endpoints
    assert front
    # Of a dual-stack Service each Pod counts once.
    pods = [slice_.pod_of(item) for slice_ in index.slices_of(Key("shop", "front")) for item in slice_.endpoints]
    assert len(front) == len(set(pods))


@pytest.mark.parametrize("name", ["services", "endpointslices", "pods-shop", "httproutes"])
def test_a_minute_of_watch_events_is_followed_step_by_step(name, tmp_path):
    index = index_of_lists(tmp_path)
    compiler = Compiler(index)
    compiler.refresh(index.names())
    events = 0
    for line in (RECORDINGS / "watches" / f"{name}.jsonl").read_text().splitlines():
        event = json.loads(line) if line.strip() else {}
        event = event.get("event", event)
        if event.get("type") not in {"ADDED", "MODIFIED", "DELETED"}:
            continue
        events += 1
        item = decode(event["object"])
        touched = index.delete(type(item), item.key) if event["type"] == "DELETED" else index.apply(item)
        compiler.refresh(touched)
    assert events
    assert compiler.entries == compiled(index).entries

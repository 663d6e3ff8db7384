from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.cli.load import load
from control.compile.compiler import Compiler
from control.index.index import Index
from control.model.decode import decode
from meshproxy.policy.route import RouteTable
from meshproxy.wire import resources as wire
from meshproxy.wire import snapshot
from tests.control.build import (
    compiled,
    endpoint,
    endpoint_slice,
    grant,
    http_route,
    index_of,
    parent,
    path,
    pod,
    rule,
    service,
)

SHOP = Path(__file__).parents[1] / "shop"

names = st.sampled_from(["a", "b", "c"])
namespaces = st.sampled_from(["shop", "bank"])


@st.composite
def services(draw):
    if draw(st.integers(0, 5)) == 0:
        return service(draw(names), type="ExternalName", externalName="example.com", namespace=draw(namespaces))
    ports = draw(st.lists(st.sampled_from([80, 81, 6379]), min_size=1, max_size=2, unique=True))
    given = [
        {"port": port, "name": f"p{port}", "protocol": draw(st.sampled_from(["TCP", "TCP", "UDP"]))} for port in ports
    ]
    return service(draw(names), *given, namespace=draw(namespaces))


@st.composite
def slices(draw):
    endpoints = [
        endpoint(
            f"10.0.0.{draw(st.integers(1, 3))}", draw(st.sampled_from(["", "x", "y"])), conditions={"ready": ready}
        )
        for ready in draw(st.lists(st.booleans(), max_size=3))
    ]
    ports = [{"name": name, "port": 8080} for name in draw(st.sets(st.sampled_from(["p80", "p81"])))]
    return endpoint_slice(
        draw(names), *endpoints, ports=ports, name=draw(st.sampled_from(["s1", "s2"])), namespace=draw(namespaces)
    )


@st.composite
def pods(draw):
    account = draw(st.sampled_from(["", "buyer"]))
    return pod(draw(st.sampled_from(["x", "y"])), account, meshed=draw(st.booleans()), namespace=draw(namespaces))


@st.composite
def routes(draw):
    def ref():
        return {
            "name": draw(names), "namespace": draw(namespaces), "port": draw(st.sampled_from([80, 81])),
            "weight": draw(st.integers(0, 2)),
        }  # fmt: skip

    def one():
        kind = draw(st.sampled_from(["Exact", "PathPrefix", "RegularExpression"]))
        value = (
            draw(st.sampled_from(["/", "/x", "/x/y"]))
            if kind != "RegularExpression"
            else draw(st.sampled_from(["(", "/z"]))
        )
        refused = [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "a", "port": 80}}}]
        filters = {"filters": refused} if draw(st.integers(0, 4)) == 0 else {}
        return rule(*[ref() for _ in range(draw(st.integers(0, 2)))], matches=[path(value, kind)], **filters)

    parents = [
        parent(name, **draw(st.sampled_from([{}, {"port": 80}, {"namespace": "bank"}])))
        for name in draw(st.lists(names, min_size=1, max_size=2, unique=True))
    ]
    rules = [one() for _ in range(draw(st.integers(1, 2)))]
    return http_route(draw(names), *rules, parents=parents, namespace=draw(namespaces))


grants = st.builds(grant, names, namespaces, st.sampled_from(["", "a"]), namespaces)
documents = st.one_of(services(), slices(), pods(), routes(), grants)
events = st.lists(st.tuples(documents, st.sampled_from(["apply", "apply", "delete"])), max_size=25)


@settings(max_examples=80, deadline=None)
@given(events)
def test_what_is_compiled_step_by_step_is_what_is_compiled_from_scratch(sequence):
    index = Index()
    compiler = Compiler(index)
    for document, action in sequence:
        item = decode(document)
        touched = index.apply(item) if action == "apply" else index.delete(type(item), item.key)
        before = dict(compiler.entries)
        changed = compiler.refresh(touched)
        assert changed <= touched
        names_ = before.keys() | compiler.entries.keys()
        assert changed == {name for name in names_ if before.get(name) != compiler.entries.get(name)}
    assert compiler.entries == compiled(index).entries
    assert compiler.entries.keys() == index.names()


@settings(max_examples=30, deadline=None)
@given(st.lists(documents, max_size=15), st.randoms(use_true_random=False))
def test_the_order_of_objects_does_not_matter(given_documents, random):
    last = {(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]): item for item in given_documents}
    shuffled = random.sample(list(last.values()), len(last))
    assert compiled(index_of(*last.values())).entries == compiled(index_of(*shuffled)).entries


@settings(max_examples=30, deadline=None)
@given(st.lists(documents, max_size=15))
def test_a_sidecar_takes_whatever_is_compiled(given_documents):
    entries = compiled(index_of(*given_documents)).snapshot()
    loaded = snapshot.load(snapshot.dump(entries))
    assert loaded.entries == entries
    for entry in loaded.entries:
        if isinstance(entry.resource, wire.Routes):
            RouteTable(entry.resource)


def test_a_change_that_touches_nothing_compiled_changes_nothing():
    index = index_of(service("a"), pod("x", version="v1"))
    compiler = compiled(index)
    assert compiler.refresh(index.apply(decode(service("a", selector={"app": "b"})))) == set()
    assert compiler.refresh(index.apply(decode(pod("x", version="v2")))) == set()
    assert compiler.refresh(["routes/shop/gone:80", "workload/shop/gone", "endpoints/shop/a:81"]) == set()


def test_an_inconsistent_result_is_a_defect_and_raises():
    compiler = compiled(index_of(service("a")))
    del compiler.entries["endpoints/shop/a:80"]
    with pytest.raises(RuntimeError, match="endpoints/shop/a:80 is missing"):
        compiler.snapshot()


def test_the_shop_compiles_to_its_golden_snapshot():
    loaded = load([str(SHOP)])
    assert loaded.errors == []
    index = Index()
    for item in loaded.objects:
        index.apply(item)
    golden = (SHOP / "golden" / "snapshot.json").read_text()
    assert snapshot.dump(compiled(index).snapshot()).decode() == golden

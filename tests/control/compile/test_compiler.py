from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.cli.load import load
from control.compile.compiler import Compiler
from control.compile.status import status_of
from control.index.index import Index
from control.model.decode import decode
from control.model.objects import Key
from control.model.routes import HTTPRoute
from meshproxy.policy.route import RouteTable
from meshproxy.wire import resources as wire
from meshproxy.wire import snapshot
from tests.control.build import compiled, http_route, index_of, parent, path, pod, rule, service
from tests.control.objects import BASE, NAMESPACES, documents

SHOP = Path(__file__).parents[1] / "shop"


class Live:
    """A control plane's index and compiler, fed one event after the other, and the statuses that it has written."""

    def __init__(self) -> None:
        self.objects: dict[tuple[type, Key], object] = {}
        self.statuses: dict[Key, object] = {}
        self.restart()

    def restart(self) -> None:
        """Begin anew with the objects that there are; what was written into statuses is still there."""
        self.index = Index()
        for item in self.objects.values():
            self.index.apply(item)
        self.compiler = Compiler(self.index)
        self.compiler.refresh(self.index.names())

    def take(self, item, action):
        """Apply or delete; return what was said to be touched and what to have changed."""
        kind, key = type(item), item.key
        if action == "apply":
            self.objects[kind, key] = item
            touched = self.index.apply(item)
        else:
            self.objects.pop((kind, key), None)
            touched = self.index.delete(kind, key)
            if kind is HTTPRoute:
                self.statuses.pop(key, None)
        for route in self.index.routes_touched(kind, key):
            self.statuses[route] = status_of(self.index, self.index.routes[route], self.statuses.get(route), "later")
        return touched, self.compiler.refresh(touched)

    def seen(self):
        """Everything that any sidecar is given, by name and namespace."""
        return {
            (name, namespace): self.compiler.find(name, namespace)
            for name in self.compiler.entries
            for namespace in NAMESPACES
        }


actions = st.sampled_from(["apply", "apply", "apply", "delete", "restart"])
events = st.lists(st.tuples(documents, actions), max_size=30)


@settings(max_examples=200, deadline=None)
@given(events)
def test_what_is_compiled_step_by_step_is_what_is_compiled_from_scratch(sequence):
    live = Live()
    for document in BASE:
        live.take(decode(document), "apply")
    for document, action in sequence:
        before = live.seen()
        if action == "restart":
            live.restart()
            assert live.seen() == before
            continue
        touched, changed = live.take(decode(document), action)
        after = live.seen()
        assert changed <= touched
        assert changed == {place[0] for place in before.keys() | after.keys() if before.get(place) != after.get(place)}
    scratch = compiled(live.index)
    assert live.compiler.snapshot() == scratch.snapshot()
    assert live.compiler.entries.keys() == set(live.index.names())
    for namespace in NAMESPACES:
        taken = snapshot.Snapshot(scratch.snapshot(), []).select(namespace)
        assert {name: live.compiler.find(name, namespace) for name in taken} == taken
    # A status that was not touched would come out the same again: not even a time in it changes.
    assert live.statuses.keys() == live.index.routes.keys()
    for key, status in live.statuses.items():
        assert status_of(live.index, live.index.routes[key], status, "too late") == status


@settings(max_examples=50, deadline=None)
@given(st.lists(documents, max_size=20))
def test_the_services_of_a_namespace_are_those_that_have_resources(given_documents):
    index = index_of(*given_documents)
    found = {name for namespace in NAMESPACES for name in index.services_of(namespace)}
    assert found == {name for name in compiled(index).entries if name.startswith("service/")}


@settings(max_examples=30, deadline=None)
@given(st.lists(documents, max_size=15), st.randoms(use_true_random=False))
def test_the_order_of_objects_does_not_matter(given_documents, random):
    last = {(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]): item for item in given_documents}
    shuffled = random.sample(list(last.values()), len(last))
    assert compiled(index_of(*last.values())).snapshot() == compiled(index_of(*shuffled)).snapshot()


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


def test_callers_of_a_namespace_with_routes_of_its_own_take_its_variant():
    index = index_of(service("a"), http_route("own", rule("a", name="x"), parents=["a"]))
    compiler = compiled(index)
    name = "routes/shop/a:80"
    away = {"parents": [parent("a", namespace="shop")], "namespace": "bank"}
    route = http_route("r", rule("a", matches=[path("/x")]), **away)
    assert compiler.find(name, "bank") == compiler.find(name, "shop") == compiler.entries[name]
    assert compiler.refresh(index.apply(decode(route))) == {name}
    variant = compiler.find(name, "bank")
    assert (variant.consumer, variant.resource.rules[0].name) == ("bank", "bank/r/0")
    assert compiler.find(name, "shop") == compiler.find(name, "park") == compiler.entries[name]
    assert [entry.consumer for entry in compiler.snapshot() if entry.name == name] == ["", "bank"]
    assert compiler.refresh([name]) == set()
    assert compiler.refresh(index.delete(HTTPRoute, Key("bank", "r"))) == {name}
    assert compiler.find(name, "bank") == compiler.entries[name]
    assert compiler.find("routes/shop/gone:80", "bank") is None


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

"""Kinds come by streams of their own: in whatever order they mix, what is known at the end decides what is compiled."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.compile.compiler import Compiler
from control.compile.explain import explain
from control.compile.status import status_of
from control.index.index import Index
from control.model.decode import ObjectError, decode
from control.model.objects import Key, Namespace, Node
from control.model.routes import HTTPRoute
from tests.control import objects
from tests.control.build import compiled, endpoint_slice, service
from tests.control.cluster import cluster_of, endpoint_of, namespace, node, pod_with, read, withheld

UIDS = ("u1", "u2")


@st.composite
def pods(draw):
    labels = draw(st.sampled_from([{}, {"version": "v1"}, {"version": "v2"}]))
    uid, name, account = draw(st.sampled_from(UIDS)), draw(st.sampled_from("xy")), draw(st.sampled_from(["", "buyer"]))
    return pod_with(uid, name, account, meshed=draw(st.booleans()), namespace=draw(objects.homes), **labels)


@st.composite
def slices(draw):
    document = draw(objects.slices())
    for item in document["endpoints"]:
        if "targetRef" in item and draw(st.booleans()):
            item["targetRef"]["uid"] = draw(st.sampled_from(UIDS))
        item.update(
            draw(st.sampled_from([{}, {"nodeName": "n1"}, {"nodeName": "n2"}, {"nodeName": "n1", "zone": "z"}]))
        )
    return document


nodes = st.builds(node, st.sampled_from(["n1", "n2"]), st.sampled_from(["", "z1", "z2"]))
namespaces = st.builds(namespace, objects.homes)
kinds = (objects.services(), slices(), pods(), objects.routes(), objects.grants, nodes, namespaces)
documents = st.one_of(*kinds)


def known(document):
    """What the document says, or None if no API server would have taken it."""
    if document["kind"] in {"Node", "Namespace"}:
        return read(document)
    try:
        return decode(document)
    except ObjectError:
        return None


class Followed:
    """An index and what is compiled from it, kept in step change by change."""

    def __init__(self):
        self.index = Index()
        self.compiler = Compiler(self.index)
        self.last = {}
        self.statuses = {}

    def take(self, item, is_deleted):
        """Check that the names which the index returns are all that the change has changed."""
        kind, key = type(item), item.key
        before = self.seen()
        if is_deleted:
            self.last.pop((kind, key), None)
            touched = self.index.delete(kind, key)
            if kind is HTTPRoute:
                self.statuses.pop(key, None)
        else:
            self.last[kind, key] = item
            touched = self.index.apply(item)
        for route in self.index.routes_touched(kind, key):
            self.statuses[route] = status_of(self.index, self.index.routes[route], self.statuses.get(route), "later")
        changed = self.compiler.refresh(touched)
        after = self.seen()
        assert changed == {place[0] for place in before.keys() | after.keys() if before.get(place) != after.get(place)}

    def seen(self):
        return {
            (name, where): self.compiler.find(name, where)
            for name in self.compiler.entries
            for where in objects.NAMESPACES
        }


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(documents, st.sampled_from([False, False, False, True])), max_size=25),
    st.randoms(use_true_random=False),
)
def test_what_is_followed_ends_as_a_fresh_index_in_whatever_order(changes, random):
    followed = Followed()
    for document, is_deleted in changes:
        if (item := known(document)) is not None:
            followed.take(item, is_deleted)
    remaining = list(followed.last.values())
    for items in (remaining, random.sample(remaining, len(remaining))):
        fresh = Index()
        for item in items:
            fresh.apply(item)
        assert compiled(fresh).snapshot() == followed.compiler.snapshot()
        assert withheld(fresh) == withheld(followed.index)
        assert sorted(fresh.names()) == sorted(followed.compiler.entries)
    for key, status in followed.statuses.items():
        assert status_of(followed.index, followed.index.routes[key], status, "too late") == status


def test_a_service_of_a_namespace_that_does_not_exist_is_explained_so():
    index = cluster_of(service("a"), namespace("shop"))

    def message(url):
        failure = explain(compiled(index).find, index, url, "shop").failure
        return failure.message if failure is not None else ""

    assert message("http://a.shpo/").endswith("namespace shpo does not exist")
    assert message("http://b.shop/").endswith("there is no Service b in namespace shop")
    index.delete(Namespace, Key("", "shop"))
    assert message("http://a.shpo/").endswith("there is no Service a in namespace shpo")


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)])
def test_a_node_may_come_before_or_after_its_endpoints(order):
    slice_ = endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x", nodeName="n1"))
    given_documents = [service("a"), slice_, pod_with("u1", "x"), node("n1", "z1")]
    index = Index()
    compiler = Compiler(index)
    for number in order:
        compiler.refresh(index.apply(read(given_documents[number])))
    (found,) = compiler.entries["endpoints/shop/a:80"].resource.endpoints
    assert found.zone == "z1"
    compiler.refresh(index.delete(Node, Key("", "n1")))
    (found,) = compiler.entries["endpoints/shop/a:80"].resource.endpoints
    assert found.zone == ""

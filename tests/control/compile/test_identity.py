"""A Pod is gone and another has its address, or its name: no endpoint ever has the identity of a Pod that it is not.

Slices and Pods come by watches of their own, so that either may be ahead of the other by any number of events.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.compile.compiler import Compiler
from control.index.index import Index
from control.model.objects import EndpointSlice, Key, Pod
from tests.control.build import compiled, endpoint_slice, service
from tests.control.cluster import cluster_of, endpoint_of, pod_with, read, withheld

SERVICES = [service("a"), service("b")]
UIDS = ("u1", "u2", "u3", "u4")
ADDRESSES = ("10.0.0.1", "10.0.0.2")


def account_of(uid):
    """Every life of a Pod has an identity of its own, so that one tells the other."""
    return f"account-{uid}"


def identity_of(uid):
    return f"spiffe://cluster.local/ns/shop/sa/{account_of(uid)}"


def pods_of(name):
    return [pod_with(uid, name, account_of(uid)) for uid in UIDS]


pods = st.sampled_from([*pods_of("x"), *pods_of("y")]).map(read)
targets = st.builds(endpoint_of, st.sampled_from(UIDS), st.sampled_from(ADDRESSES), st.sampled_from(["x", "y"]))
slices = st.builds(
    lambda owner, number, endpoints: read(endpoint_slice(owner, *endpoints, name=f"{owner}-{number}")),
    st.sampled_from(["a", "b"]),
    st.integers(1, 2),
    st.lists(targets, max_size=3),
)
pod_changes = st.one_of(pods, pods, st.sampled_from(["x", "y"]).map(lambda name: (Pod, Key("shop", name))))
slice_changes = st.one_of(
    slices, slices, st.sampled_from(["a-1", "a-2", "b-1"]).map(lambda name: (EndpointSlice, Key("shop", name)))
)


def take(index, change):
    return index.delete(*change) if isinstance(change, tuple) else index.apply(change)


def expected(index, owner):
    """By address, the uids of the Pods that an endpoint of the Service may be: those that are known as such."""
    found = {}
    for slice_ in index.slices.values():
        for item in slice_.endpoints if slice_.service == Key("shop", owner) else ():
            known = index.pods.get(Key("shop", item.target_ref.name))
            if known is not None and known.metadata.uid == item.target_ref.uid:
                found.setdefault(item.addresses[0], set()).add(known.metadata.uid)
    return found


def check(index, compiler):
    for owner in ("a", "b"):
        allowed = expected(index, owner)
        given_out = compiler.entries[f"endpoints/shop/{owner}:80"].resource.endpoints
        assert {item.address for item in given_out} == allowed.keys()
        for item in given_out:
            assert item.identity in {identity_of(uid) for uid in allowed[item.address]}
    assert withheld(index) == sorted(
        (slice_.service, item.addresses[0], pod, item.target_ref.uid)
        for slice_ in index.slices.values()
        for item in slice_.endpoints
        if (pod := Key("shop", item.target_ref.name)) not in index.pods
        or index.pods[pod].metadata.uid != item.target_ref.uid
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(pod_changes, slice_changes), max_size=25))
def test_an_endpoint_has_the_identity_of_the_pod_that_it_names_after_every_event(changes):
    index = cluster_of(*SERVICES)
    compiler = Compiler(index)
    compiler.refresh(index.names())
    for change in changes:
        compiler.refresh(take(index, change))
        check(index, compiler)
    assert compiler.snapshot() == compiled(index).snapshot()


@settings(max_examples=80, deadline=None)
@given(st.lists(pod_changes, max_size=10), st.lists(slice_changes, max_size=10), st.randoms(use_true_random=False))
def test_whichever_watch_is_ahead_the_end_is_the_same(of_pods, of_slices, random):
    ends = []
    for way in ("pods first", "slices first", "mixed"):
        waiting = [list(of_pods), list(of_slices)] if way != "slices first" else [list(of_slices), list(of_pods)]
        index = cluster_of(*SERVICES)
        compiler = Compiler(index)
        compiler.refresh(index.names())
        while any(waiting):
            ready = [queue for queue in waiting if queue]
            queue = random.choice(ready) if way == "mixed" else ready[0]
            compiler.refresh(take(index, queue.pop(0)))
            check(index, compiler)
        ends.append(compiler.snapshot())
    assert ends[0] == ends[1] == ends[2]


def identities(index, owner="a"):
    endpoints = compiled(index).entries[f"endpoints/shop/{owner}:80"].resource.endpoints
    return {item.address: item.identity for item in endpoints}


def test_an_endpoint_is_withheld_until_its_pod_is_known():
    index = cluster_of(*SERVICES, endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x")))
    assert identities(index) == {}
    index.apply(read(pod_with("u1", "x", account_of("u1"))))
    assert identities(index) == {"10.0.0.1": identity_of("u1")}


def test_a_pod_that_is_gone_takes_its_endpoint_along_though_the_slice_lags():
    index = cluster_of(*SERVICES, pods_of("x")[0], endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x")))
    index.delete(Pod, Key("shop", "x"))
    assert identities(index) == {}
    # Its name is given to another, as a StatefulSet does, and so is its address.
    index.apply(read(pod_with("u2", "x", account_of("u2"))))
    assert identities(index) == {}
    index.apply(read(endpoint_slice("a", endpoint_of("u2", "10.0.0.1", "x"))))
    assert identities(index) == {"10.0.0.1": identity_of("u2")}


@pytest.mark.parametrize("is_slice_first", [True, False])
def test_an_address_that_changes_services_has_in_each_the_identity_that_its_slice_names(is_slice_first):
    index = cluster_of(*SERVICES, pods_of("x")[0], endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x")))
    events = [pods_of("y")[1], endpoint_slice("b", endpoint_of("u2", "10.0.0.1", "y"))]
    for event in reversed(events) if is_slice_first else events:
        index.apply(read(event))
        assert identities(index) == {"10.0.0.1": identity_of("u1")}
    assert identities(index, "b") == {"10.0.0.1": identity_of("u2")}
    index.delete(Pod, Key("shop", "x"))
    assert (identities(index), identities(index, "b")) == ({}, {"10.0.0.1": identity_of("u2")})


def test_where_nobody_has_uids_the_name_decides():
    index = Index(has_uids=False)
    for item in (*SERVICES, pod_with("u2", "x", "buyer"), endpoint_slice("a", endpoint_of("u1", "10.0.0.1", "x"))):
        index.apply(read(item))
    assert identities(index) == {"10.0.0.1": "spiffe://cluster.local/ns/shop/sa/buyer"}

"""Which endpoints a sidecar chooses among: what the cluster says, compiled, and asked of the sidecar's own balancer."""

import pytest

from meshproxy.policy.balance import Balancer
from meshproxy.wire.resources import Backend
from tests.control.build import compiled, endpoint, endpoint_slice, service
from tests.control.cluster import cluster_of, read

READY = {"ready": True, "serving": True, "terminating": False}
UNREADY = {"ready": False, "serving": False, "terminating": False}
LEAVING = {"ready": False, "serving": True, "terminating": True}
GONE = {"ready": False, "serving": False, "terminating": True}
PUBLISHED = {"ready": True, "serving": False, "terminating": False}
"""An unready Pod of a Service with publishNotReadyAddresses."""
PUBLISHED_LEAVING = {"ready": True, "serving": False, "terminating": True}


def slice_of(*states):
    return endpoint_slice("a", *(endpoint(f"10.0.0.{i}", conditions=state) for i, state in enumerate(states, 1)))


def endpoints_of(index):
    return compiled(index).entries["endpoints/shop/a:80"].resource.endpoints


def chosen(balancer):
    return sorted(state.spec.address for state in balancer.candidates)


@pytest.mark.parametrize(
    ("states", "in_rotation"),
    [
        ([READY, READY], [1, 2]),
        ([READY, LEAVING], [1]),
        ([READY, GONE], [1]),
        ([READY, UNREADY], [1]),
        ([LEAVING, LEAVING], [1, 2]),
        ([LEAVING, GONE, UNREADY], [1]),
        ([GONE, UNREADY], []),
        ([PUBLISHED, READY], [1, 2]),
        ([PUBLISHED_LEAVING, READY], [1, 2]),
        ([PUBLISHED, LEAVING], [1]),
        ([PUBLISHED_LEAVING, LEAVING], [1]),
        ([{}, {"ready": None, "serving": None, "terminating": None}], [1, 2]),
        ([{}, {"terminating": True}], [1, 2]),
    ],
)
def test_ready_decides_and_what_is_leaving_but_serves_is_used_only_when_nothing_is_ready(states, in_rotation):
    found = endpoints_of(cluster_of(service("a"), slice_of(*states)))
    assert len(found) == len(states)
    balancer = Balancer(Backend())
    balancer.update(found, 0.0)
    assert chosen(balancer) == [f"10.0.0.{number}" for number in in_rotation]


def test_a_terminating_endpoint_leaves_rotation_at_once_and_stays_known():
    index = cluster_of(service("a"), slice_of(READY, READY))
    balancer = Balancer(Backend())
    balancer.update(endpoints_of(index), 0.0)
    kept = {state.spec.address: state for state in balancer.states}
    index.apply(read(slice_of(READY, LEAVING)))
    balancer.update(endpoints_of(index), 1.0)
    assert chosen(balancer) == ["10.0.0.1"]
    # The one state with its requests in flight and its connections, not a new one.
    assert {state.spec.address: state for state in balancer.states} == kept
    (leaving,) = [state for state in balancer.states if state.spec.address == "10.0.0.2"]
    assert (leaving.spec.ready, leaving.spec.serving, leaving.spec.terminating) == (False, True, True)
    index.apply(read(slice_of(READY)))
    balancer.update(endpoints_of(index), 2.0)
    assert [state.spec.address for state in balancer.states] == ["10.0.0.1"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize(
    ("better", "worse"),
    [(READY, LEAVING), (READY, UNREADY), (READY, PUBLISHED), (PUBLISHED, LEAVING), (LEAVING, GONE), (UNREADY, GONE)],
)
def test_an_address_in_several_slices_has_its_best_state(better, worse, order):
    states = [better, worse]
    slices = [
        endpoint_slice("a", endpoint("10.0.0.1", conditions=states[number]), name=f"a-{at}")
        for at, number in enumerate(order)
    ]
    (found,) = endpoints_of(cluster_of(service("a"), *slices))
    assert (found.ready, found.serving, found.terminating) == tuple(better[name] for name in READY)

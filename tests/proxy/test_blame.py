"""What an endpoint is blamed for, and what not: the client that everything waits for is no fault of its."""

from __future__ import annotations

import pytest

from meshproxy.faults import RESPONSE_INCOMPLETE
from meshproxy.policy.balance import Balancer
from meshproxy.policy.message import ResponseHead, StatusLine
from meshproxy.policy.retry import Ending
from meshproxy.proxy.exchange import STREAM_IDLE_S
from meshproxy.wire import resources as wire
from tests.fakes.attempts import Mesh


def _blamed(mesh: Mesh) -> bool:
    return any(" failed " in line for line in mesh.said)


LIMITS = pytest.mark.parametrize("limits", [{"request_s": 1.0}, {"backend_request_s": 1.0}, {}])


@LIMITS
def test_a_client_that_does_not_finish_its_body_is_not_the_endpoints_fault(limits: dict[str, float]) -> None:
    mesh = Mesh(**limits)
    mesh.begin("POST", b"half", is_end=False)
    mesh.connected("a")
    mesh.pass_time(1.0 if limits else STREAM_IDLE_S)
    assert not _blamed(mesh)
    assert mesh.is_over()


@LIMITS
def test_a_client_that_does_not_take_its_answer_is_not_the_endpoints_fault(limits: dict[str, float]) -> None:
    mesh = Mesh(**limits)
    mesh.begin()
    mesh.connected("a")
    mesh.response(is_end=False)
    mesh.client.is_writable = False
    mesh.pass_time(1.0 if limits else STREAM_IDLE_S)
    assert not _blamed(mesh)
    assert mesh.is_over()


@LIMITS
def test_an_endpoint_that_does_not_take_the_body_is_to_blame(limits: dict[str, float]) -> None:
    mesh = Mesh(**limits)
    mesh.begin("POST", b"half", is_end=False)
    mesh.connected("a")
    mesh.exchange.on_upstream_blocked()
    mesh.pass_time(1.0 if limits else STREAM_IDLE_S)
    assert _blamed(mesh)


@LIMITS
def test_an_endpoint_that_does_not_answer_is_to_blame(limits: dict[str, float]) -> None:
    mesh = Mesh(**limits)
    mesh.begin()
    mesh.connected("a")
    mesh.pass_time(1.0 if limits else STREAM_IDLE_S)
    assert _blamed(mesh)


def test_nobody_is_to_blame_for_a_tunnel_in_which_nothing_moves() -> None:
    mesh = Mesh()
    mesh.begin()
    mesh.connected("a")
    mesh.exchange.on_upgrade(ResponseHead(StatusLine(101, b"X", 1), [], b"", 0, 0, True, b"websocket"))
    mesh.pass_time(STREAM_IDLE_S)
    assert not _blamed(mesh)
    assert mesh.is_over()


def test_a_response_that_breaks_off_counts_a_failed_attempt_whatever_its_length() -> None:
    """An hour's stream that ends early says as much of its endpoint as a short one: one failure, not an hour."""
    mesh = Mesh()
    mesh.begin()
    mesh.connected("a")
    mesh.response(is_end=False)
    for _ in range(60):
        mesh.pass_time(60.0)
        mesh.exchange.on_response_data(b"x")
    mesh.lost(RESPONSE_INCOMPLETE, Ending.RESET)
    assert [line for line in mesh.said if " failed " in line] == ["a failed 0"]


def test_a_failure_without_a_time_counts_one_second() -> None:
    balancer = Balancer(wire.Backend())
    balancer.update([wire.Endpoint(address="10.0.0.1", port=1)], 1000.0)
    (state,) = balancer.states
    balancer.observe(state, 1000.0, 0.0, True)
    assert balancer.latency_s(state, 1000.0) == pytest.approx(1.0)

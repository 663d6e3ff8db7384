"""The life of a request as transcripts: what the exchange does when something happens, on a clock set by hand."""

from __future__ import annotations

import pytest

from meshproxy.faults import (
    BAD_RESPONSE,
    CONNECT_REFUSED,
    CONNECT_TIMEOUT,
    LOOP,
    OVERLOADED,
    RESPONSE_INCOMPLETE,
    UPSTREAM_RESET,
)
from meshproxy.policy.budget import RetryBudget
from meshproxy.policy.message import ResponseHead, StatusLine
from meshproxy.policy.retry import Ending
from meshproxy.proxy.exchange import REPLAY_BYTES, STREAM_IDLE_S
from meshproxy.wire import resources as wire
from tests.fakes.attempts import Mesh

RETRY = wire.Retry(codes=[503], attempts=2, backoff_s=0.025)


def test_a_request_that_succeeds_takes_an_idle_connection_and_gives_it_back() -> None:
    mesh = Mesh()
    mesh.idle("a")
    mesh.begin()
    assert mesh.said == ["send a"]
    mesh.pass_time(0.25)
    mesh.response()
    assert mesh.said == ["a took 0.25", "release a", "answer 200", "finished"]
    assert mesh.is_over()
    assert (mesh.slot.codes, mesh.slot.attempts, dict(mesh.slot.retries)) == ({200: 1}, 1, {})


def test_without_an_idle_connection_it_waits_for_one() -> None:
    mesh = Mesh()
    mesh.begin()
    assert mesh.said == ["dial a"]
    mesh.connected("a")
    mesh.response(is_end=False)
    assert mesh.said == ["send a", "a took 0", "answer 200 ..."]
    mesh.exchange.on_response_data(b"more")
    mesh.exchange.on_response_end(b"", [])
    assert mesh.said == ["pass more", "release a", "pass end", "finished"]
    assert mesh.is_over()


def test_without_endpoints_it_is_answered_at_once() -> None:
    mesh = Mesh("")
    mesh.begin()
    assert mesh.said == ["answer 503 no_endpoints", "finished"]
    assert mesh.is_over()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_endpoint_that_refuses_is_left_for_another_at_once_then_after_a_wait_then_given_up(method: str) -> None:
    mesh = Mesh("abc")
    mesh.begin(method)
    mesh.lost(CONNECT_REFUSED, Ending.CONNECT)
    assert mesh.said == ["dial a", "a failed 0", "dial b"]
    mesh.lost(CONNECT_TIMEOUT, Ending.CONNECT_TIMEOUT)
    assert mesh.said == ["b failed 0"]
    mesh.pass_time(0.012)
    assert mesh.said == []
    mesh.pass_time(0.001)  # half of 25 ms, by the rng
    assert mesh.said == ["dial c"]
    mesh.lost(CONNECT_REFUSED, Ending.CONNECT)
    assert mesh.said == ["c failed 0", "answer 502 connect_refused", "finished"]
    assert mesh.is_over()
    assert dict(mesh.slot.retries) == {"connect": 1, "connect_timeout": 1}
    assert (mesh.slot.attempts, mesh.slot.outcomes) == (3, {(502, "connect_refused", ""): 1})


@pytest.mark.parametrize("fault", [LOOP, OVERLOADED])
def test_what_was_not_tried_at_all_is_not_repeated_and_blames_no_endpoint(fault) -> None:
    mesh = Mesh()
    mesh.begin()
    mesh.lost(fault, None)
    assert mesh.said == ["dial a", f"answer {fault.status} {fault.word}", "finished"]
    assert mesh.is_over()


def test_a_reused_connection_that_ends_is_repeated_once_on_a_new_one() -> None:
    mesh = Mesh("a")
    mesh.idle("a", 2)
    mesh.begin("PUT", b"body")
    mesh.lost(UPSTREAM_RESET, Ending.REUSED)
    assert mesh.said == ["send a body", "dial a"]
    mesh.connected("a")
    mesh.lost(UPSTREAM_RESET, Ending.REUSED)
    assert mesh.said == ["send a body", "answer 502 upstream_reset", "finished"]
    assert dict(mesh.slot.retries) == {"reused": 1}


def test_a_post_is_repeated_only_with_the_proof_that_nobody_has_read_it() -> None:
    mesh = Mesh()
    mesh.idle("a")
    mesh.begin("POST", b"body")
    mesh.lost(UPSTREAM_RESET, Ending.UNREAD)
    assert mesh.said == ["send a body", "dial b"]
    mesh.connected("b")
    mesh.lost(UPSTREAM_RESET, Ending.REUSED)
    assert mesh.said == ["send b body", "answer 502 upstream_reset", "finished"]
    for ending in (Ending.RESET, Ending.REUSED):
        mesh = Mesh(retry=RETRY)
        mesh.idle("a")
        mesh.begin("POST")
        mesh.lost(UPSTREAM_RESET, ending)
        assert mesh.said[-2:] == ["answer 502 upstream_reset", "finished"]


def test_a_status_is_repeated_as_the_route_says_and_its_connection_kept() -> None:
    mesh = Mesh(retry=RETRY)
    mesh.idle("a")
    mesh.idle("b")
    mesh.begin()
    mesh.response(503)
    assert mesh.said == ["send a", "a failed 0", "release a", "send b"]
    mesh.response(503, is_end=False)
    assert mesh.said == ["b failed 0", "abandon b"]
    mesh.pass_time(0.1)
    assert mesh.said == ["dial a"]
    mesh.connected("a")
    mesh.response(503)
    assert mesh.said == ["send a", "a failed 0", "release a", "answer 503", "finished"]
    assert dict(mesh.slot.retries) == {"status": 2}


def test_a_5xx_counts_against_its_endpoint_though_it_is_passed_on() -> None:
    mesh = Mesh()
    mesh.begin()
    mesh.connected("a")
    mesh.response(500)
    assert mesh.said == ["dial a", "send a", "a failed 0", "release a", "answer 500", "finished"]


def test_nothing_is_repeated_once_something_was_passed_on() -> None:
    mesh = Mesh(retry=RETRY)
    mesh.begin()
    mesh.connected("a")
    mesh.response(is_end=False)
    mesh.lost(RESPONSE_INCOMPLETE, Ending.RESET)
    assert mesh.said[-3:] == ["a failed 0", "cut", "finished"]
    assert mesh.slot.outcomes == {(200, "response_incomplete", ""): 1}
    assert mesh.is_over()


def test_a_bad_answer_is_repeated_for_idempotent_methods_with_a_policy() -> None:
    mesh = Mesh(retry=RETRY)
    mesh.begin()
    mesh.connected("a")
    mesh.lost(BAD_RESPONSE, Ending.RESET)
    assert mesh.said == ["dial a", "send a", "a failed 0", "dial b"]


def test_the_budget_allows_a_part_of_the_requests_and_no_more() -> None:
    mesh = Mesh(retry=RETRY, budget=RetryBudget(50, 0, 10))
    for _ in range(2):  # two requests pay for one repetition
        mesh.begin()
        mesh.connected("a")
        mesh.response()
    assert mesh.said
    mesh.begin()
    mesh.lost(CONNECT_REFUSED, Ending.CONNECT)
    assert mesh.said == ["dial a", "a failed 0", "dial b"]
    mesh.lost(CONNECT_REFUSED, Ending.CONNECT)
    assert mesh.said == ["b failed 0", "answer 502 connect_refused", "finished"]
    assert mesh.slot.budget_refused == 1


def test_the_request_timeout_ends_whatever_is_under_way() -> None:
    mesh = Mesh(retry=RETRY, request_s=1.0)
    mesh.begin()
    mesh.pass_time(0.99)
    assert mesh.said == ["dial a"]
    mesh.pass_time(0.01)
    assert mesh.said == ["leave a", "a failed 1", "answer 504 request_timeout", "finished"]
    assert mesh.is_over()
    mesh.begin()
    mesh.connected("a")
    mesh.response(503)
    assert mesh.said == ["dial a", "send a", "a failed 0", "release a", "dial b"]
    mesh.lost(CONNECT_REFUSED, Ending.CONNECT)
    mesh.exchange.until = mesh.now + 0.001  # it ends in the wait before the next attempt
    mesh.exchange._arm()
    mesh.pass_time(0.002)
    assert mesh.said == ["b failed 0", "answer 504 request_timeout", "finished"]
    assert mesh.is_over()


def test_an_attempt_that_takes_too_long_is_repeated_with_a_deadline_of_its_own() -> None:
    mesh = Mesh(retry=RETRY, request_s=1.0, backend_request_s=0.4)
    mesh.begin()
    mesh.connected("a")
    mesh.pass_time(0.4)
    assert mesh.said == ["dial a", "send a", "abandon a", "a failed 0.4", "dial b"]
    mesh.connected("b")
    mesh.pass_time(0.4)
    assert mesh.said == ["send b", "abandon b", "b failed 0.4"]
    mesh.pass_time(0.1)
    assert mesh.said == ["dial a"]
    mesh.pass_time(0.1)  # the request's deadline comes before the attempt's
    assert mesh.said[-2:] == ["answer 504 request_timeout", "finished"]
    assert mesh.is_over()


def test_an_attempt_of_a_post_that_takes_too_long_is_not_repeated() -> None:
    mesh = Mesh(retry=RETRY, backend_request_s=0.4)
    mesh.begin("POST")
    mesh.connected("a")
    mesh.pass_time(0.4)
    assert mesh.said[-2:] == ["answer 504 attempt_timeout", "finished"]


def test_an_attempt_of_a_post_that_gets_no_connection_in_its_time_is_repeated() -> None:
    mesh = Mesh("ab", backend_request_s=0.5)
    mesh.begin("POST")
    mesh.pass_time(0.5)
    assert mesh.said == ["dial a", "leave a", "a failed 0.5", "dial b"]
    mesh.connected("b")
    mesh.response()
    assert mesh.said == ["send b", "b took 0", "release b", "answer 200", "finished"]
    assert dict(mesh.slot.retries) == {"connect_timeout": 1}


def test_a_response_that_takes_too_long_is_cut() -> None:
    mesh = Mesh(retry=RETRY, request_s=1.0)
    mesh.begin()
    mesh.connected("a")
    mesh.response(is_end=False)
    mesh.pass_time(1.0)
    assert mesh.said[-4:] == ["abandon a", "a failed 0", "cut", "finished"]
    assert mesh.is_over()


def test_what_stands_still_ends_and_what_moves_does_not() -> None:
    mesh = Mesh()
    mesh.begin()
    mesh.connected("a")
    mesh.response(is_end=False)
    for _ in range(5):
        mesh.pass_time(STREAM_IDLE_S - 1)
        mesh.exchange.on_response_data(b"x")
    assert "cut" not in mesh.said
    mesh.pass_time(STREAM_IDLE_S)
    assert mesh.said[-2:] == ["cut", "finished"]
    assert mesh.slot.outcomes == {(200, "stream_idle", ""): 1}


def test_a_body_is_sent_as_it_comes_and_again_from_its_beginning() -> None:
    mesh = Mesh()
    mesh.begin("PUT", is_end=False)
    mesh.exchange.on_request_data(b"one")
    mesh.connected("a")
    mesh.exchange.on_request_data(b"two")
    assert mesh.said == ["dial a", "send a one", "data a two"]
    mesh.lost(UPSTREAM_RESET, Ending.REUSED)
    mesh.connected("b")
    mesh.exchange.on_request_end(b"three", [])
    assert mesh.said == ["dial b", "send b onetwo", "data b three", "end b"]
    mesh.response()
    assert mesh.said[-3:] == ["release b", "answer 200", "finished"]


def test_a_body_past_the_bound_is_not_kept_and_so_not_repeated() -> None:
    mesh = Mesh()
    mesh.begin("PUT", is_end=False)
    mesh.connected("a")
    mesh.exchange.on_request_data(b"x" * REPLAY_BYTES)
    assert mesh.exchange.replay is not None
    mesh.exchange.on_request_data(b"x")
    assert mesh.exchange.replay is None
    mesh.lost(UPSTREAM_RESET, Ending.REUSED)
    assert mesh.said[-2:] == ["answer 502 upstream_reset", "finished"]


def test_a_client_is_held_at_the_bound_until_there_is_a_connection() -> None:
    mesh = Mesh()
    mesh.begin("PUT", is_end=False)
    mesh.exchange.on_request_data(b"x" * REPLAY_BYTES)
    assert mesh.said == ["dial a"]
    mesh.exchange.on_request_data(b"x")
    assert mesh.said == ["hold client"]
    mesh.connected("a")
    assert mesh.said[-1] == "free client"


def test_an_answer_before_the_end_of_the_request_ends_the_attempt() -> None:
    mesh = Mesh()
    mesh.begin("PUT", is_end=False)
    mesh.connected("a")
    mesh.response(413)
    assert mesh.said == ["dial a", "send a", "a took 0", "abandon a", "answer 413", "finished"]
    assert mesh.is_over()


def test_a_client_that_leaves_takes_everything_with_it() -> None:
    mesh = Mesh()
    mesh.begin()
    mesh.exchange.on_client_gone()
    assert mesh.said == ["dial a", "leave a", "finished"]
    mesh.begin()
    mesh.connected("a")
    mesh.exchange.on_client_gone()
    assert mesh.said == ["dial a", "send a", "abandon a", "finished"]
    mesh.begin()
    mesh.lost(CONNECT_REFUSED, Ending.CONNECT)
    mesh.lost(CONNECT_REFUSED, Ending.CONNECT)
    mesh.exchange.on_client_gone()  # in the wait before another attempt
    assert mesh.said[-1] == "finished"
    assert mesh.is_over()
    assert mesh.slot.outcomes == {(499, "client_gone", ""): 3}
    mesh.exchange.on_client_gone()
    assert mesh.said == []


def test_interim_answers_pass_and_backpressure_is_passed_on() -> None:
    mesh = Mesh()
    mesh.begin()
    mesh.connected("a")
    mesh.response(103)
    mesh.response(is_end=False)
    mesh.exchange.on_downstream_blocked()
    mesh.exchange.on_downstream_writable()
    mesh.exchange.on_upstream_blocked()
    mesh.exchange.on_upstream_writable()
    assert mesh.said == [
        "dial a", "send a", "interim 103", "a took 0", "answer 200 ...",
        "pause a", "resume a", "hold client", "free client",
    ]  # fmt: skip


def test_a_tunnel_ends_with_its_second_half() -> None:
    for first, second in (("on_client_eof", "on_upstream_eof"), ("on_upstream_eof", "on_client_eof")):
        mesh = Mesh()
        mesh.client.early = b"early"
        mesh.begin()
        mesh.connected("a")
        mesh.exchange.on_upgrade(ResponseHead(StatusLine(101, b"X", 1), [], b"", 0, 0, True, b"websocket"))
        assert mesh.said == ["dial a", "send a", "a took 0", "tunnel a", "upgrade", "data a early"]
        mesh.exchange.on_request_data(b"up")
        mesh.exchange.on_response_data(b"down")
        getattr(mesh.exchange, first)()
        assert not mesh.is_over()
        getattr(mesh.exchange, second)()
        assert mesh.said[-2:] == ["close a", "finished"]
        assert mesh.is_over()
        assert (mesh.slot.sent_bytes, mesh.slot.received_bytes, mesh.slot.codes) == (7, 4, {101: 1})


def test_requests_past_the_breaker_are_refused_before_anything_is_tried() -> None:
    mesh = Mesh()
    mesh.backend.active = mesh.backend.max_requests
    mesh.begin()
    assert mesh.said == ["answer 503 overloaded", "finished"]
    assert mesh.backend.active == mesh.backend.max_requests


def test_a_defect_costs_its_exchange_and_is_told() -> None:
    mesh = Mesh()
    mesh.begin()
    mesh.connected("a")
    defect = ZeroDivisionError()
    mesh.exchange.on_defect(defect)
    assert mesh.said[-3:] == ["abandon a", "answer 500 internal", "finished"]
    assert mesh.defects == [defect]
    assert mesh.is_over()

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.policy.retry import IDEMPOTENT, UNPROCESSED, Decision, Ending, RetryPolicy, decide, delay_s
from meshproxy.wire import resources as wire

POLICY = RetryPolicy(wire.Retry(codes=[500, 503], attempts=3))
PROVEN = (Ending.CONNECT, Ending.CONNECT_TIMEOUT, Ending.UNWRITTEN, Ending.UNREAD)
METHODS = (b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE", b"POST", b"PATCH", b"CONNECT", b"PROPFIND", b"get")


def ask(
    ending: Ending,
    method: bytes = b"GET",
    policy: RetryPolicy | None = None,
    repeats: int = 0,
    raced: bool = False,
    replayable: bool = True,
    status: int = 503,
) -> Decision | None:
    return decide(method, ending, policy, repeats, raced, replayable, status)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ending", PROVEN)
@pytest.mark.parametrize("policy", [None, POLICY])
def test_what_is_provably_unprocessed_is_repeated_whatever_its_method(
    method: bytes, ending: Ending, policy: RetryPolicy | None
) -> None:
    decision = ask(ending, method, policy)
    assert decision is not None
    assert not decision.wait
    assert decision.reason == ending.value


@pytest.mark.parametrize("ending", PROVEN)
def test_without_a_policy_the_unprocessed_is_repeated_twice_at_most(ending: Ending) -> None:
    assert [ask(ending, repeats=repeats) is not None for repeats in range(4)] == [True, True, False, False]


@pytest.mark.parametrize("method", sorted(IDEMPOTENT))
def test_a_reused_connection_that_ends_is_repeated_once_at_once_on_a_fresh_one(method: bytes) -> None:
    decision = ask(Ending.REUSED, method)
    assert decision is not None
    assert decision.fresh
    assert not decision.wait
    assert ask(Ending.REUSED, method, repeats=1, raced=True) is None
    again = ask(Ending.REUSED, method, POLICY, repeats=1, raced=True)
    assert again is not None
    assert again.wait


@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"PROPFIND", b"CONNECT", b"get"])
@pytest.mark.parametrize("ending", [ending for ending in Ending if ending not in PROVEN])
@pytest.mark.parametrize("policy", [None, POLICY])
def test_what_may_have_been_processed_is_never_repeated_if_it_is_not_idempotent(
    method: bytes, ending: Ending, policy: RetryPolicy | None
) -> None:
    assert ask(ending, method, policy) is None


@pytest.mark.parametrize("ending", [Ending.RESET, Ending.STATUS, Ending.ATTEMPT_TIMEOUT])
def test_only_a_routes_policy_repeats_statuses_timeouts_and_resets(ending: Ending) -> None:
    assert ask(ending) is None
    decisions = [ask(ending, policy=POLICY, repeats=repeats) for repeats in range(4)]
    assert [decision is not None and decision.wait for decision in decisions] == [False, True, True, False]
    assert decisions[0] is not None
    assert decisions[3] is None


@pytest.mark.parametrize(("status", "expected"), [(500, True), (503, True), (502, False), (404, False), (200, False)])
def test_only_the_policys_codes_are_repeated(status: int, expected: bool) -> None:
    assert (ask(Ending.STATUS, policy=POLICY, status=status) is not None) == expected


def test_a_policy_without_codes_still_covers_lost_connections_and_timeouts() -> None:
    policy = RetryPolicy(wire.Retry())
    assert ask(Ending.RESET, policy=policy) is not None
    assert ask(Ending.ATTEMPT_TIMEOUT, policy=policy) is not None
    assert ask(Ending.STATUS, policy=policy) is None


@given(
    st.sampled_from(list(Ending)),
    st.sampled_from(METHODS),
    st.integers(0, 5),
    st.integers(0, 6),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_every_decision_keeps_the_laws(
    ending: Ending, method: bytes, attempts: int, repeats: int, raced: bool, replayable: bool, has_policy: bool
) -> None:
    policy = RetryPolicy(wire.Retry(codes=[503], attempts=attempts)) if has_policy else None
    decision = ask(ending, method, policy, repeats, raced, replayable)
    if decision is None:
        return
    assert replayable, "what cannot be sent again is not"
    assert ending in UNPROCESSED or method in IDEMPOTENT
    assert policy is None or attempts > 0, "attempts 0 turns repetitions off"
    assert repeats < max(2, attempts if has_policy else 0)
    assert decision.reason == ending.value
    if repeats == 0:
        assert not decision.wait
    assert decision.fresh == (ending is Ending.REUSED and not raced and repeats < 2)


def test_waits_are_jittered_from_the_routes_base_and_capped_at_ten_of_it() -> None:
    assert [delay_s(None, repeats, lambda: 0.5) for repeats in (1, 2, 5, 9)] == [0.0125, 0.025, 0.125, 0.125]
    policy = RetryPolicy(wire.Retry(attempts=9, backoff_s=0.1))
    assert [delay_s(policy, repeats, lambda: 0.5) for repeats in (1, 2, 5, 9)] == [0.05, 0.1, 0.5, 0.5]
    assert delay_s(policy, 1, lambda: 0.0) == 0.0


def test_a_decision_shows_what_it_says() -> None:
    assert repr(ask(Ending.REUSED)) == "<Repeat reused fresh>"
    assert repr(ask(Ending.STATUS, policy=POLICY, repeats=1)) == "<Repeat status wait>"

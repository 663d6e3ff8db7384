"""Passive health: an endpoint that fails attempts in a row is ejected, and earns its return by one live request.

Without it, an endpoint that fails fast has the best latency of all, draws the traffic and empties the retry budget.
"""

from __future__ import annotations

from meshproxy.policy.endpoint import EndpointState
from meshproxy.wire import resources as wire

MAX_PENALTIES = 32
"""Doublings beyond this change nothing: the longest ejection is reached long before."""


class Outlier:
    """The rules of ejection. Which endpoints are candidates, and how many are out, is the balancer's to know."""

    __slots__ = ("_base_s", "_consecutive", "_max_s", "_percent")

    def __init__(self, settings: wire.Outlier) -> None:
        self._consecutive = settings.consecutive
        self._base_s = settings.base_s
        self._max_s = settings.max_s
        self._percent = settings.max_ejected_percent

    def allowance(self, candidates: int) -> int:
        """How many of so many candidates may be out at once; never all of them, and none when ejection is off (0)."""
        if self._consecutive <= 0:
            return 0
        return max(0, min(candidates * self._percent // 100, candidates - 1))

    def is_outlier(self, state: EndpointState) -> bool:
        return state.failures >= self._consecutive > 0

    def eject(self, state: EndpointState, now: float) -> None:
        """Take out, or keep out after a failed probe; each time in a row for twice as long.

        A healthy stretch as long as the last ejection forgives one doubling.
        """
        if not state.ejected and state.penalty_s > 0.0:
            forgiven = int(max(0.0, now - state.readmitted) / state.penalty_s)
            state.penalties = max(0, state.penalties - forgiven)
        state.penalty_s = min(self._max_s, self._base_s * 2.0**state.penalties)
        state.penalties = min(state.penalties + 1, MAX_PENALTIES)
        state.ejected = True
        state.retry_at = now + state.penalty_s
        state.probe_until = 0.0

    def probe_at(self, state: EndpointState) -> float:
        """When the next request may probe: the ejection is served, and no probe is on its way.

        A probe that never reports is given up after as long as the ejection was.
        """
        return max(state.retry_at, state.probe_until)

    def probe(self, state: EndpointState, now: float) -> None:
        """The request that is being sent to this ejected endpoint is its probe."""
        state.probe_until = now + max(state.penalty_s, self._base_s)

    def is_probing(self, state: EndpointState) -> bool:
        return state.probe_until > 0.0

    def readmit(self, state: EndpointState, now: float) -> None:
        state.ejected = False
        state.failures = 0
        state.probe_until = 0.0
        state.readmitted = now

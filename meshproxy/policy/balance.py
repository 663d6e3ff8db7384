"""Peak-EWMA power of two choices, over the endpoints of one backend.

Two different endpoints are drawn, and the one with less `latency x (requests in flight + 1) / weight` gets the request.
Latency is a peak-sensitive moving average: it rises to a slower answer at once and forgets it exponentially (Finagle's
Peak EWMA).

All averages decay by the same factor over the same time, so a comparison need not decay them. They are therefore kept
multiplied by `growth(now) = exp((now - epoch) / decay)`: an average that stands still in this scale decays in seconds.
`pick` computes no exponential, `observe` one. The scale is renewed before it can overflow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import exp, inf

from meshproxy.policy.endpoint import EndpointState, Key, is_last_resort, is_ready, key_of
from meshproxy.policy.outlier import Outlier
from meshproxy.wire import resources as wire

FAILED_S = 1.0
"""What a failed attempt counts in the average, at least."""
RENEW = 50.0
"""The scale is renewed when it has grown by exp(RENEW)."""
FLOOR = 0.01
"""No average is renewed to below this part of `initial_s`: an endpoint unused for hours is not taken for infinitely
fast, which would draw every request until it has answered the first."""


class Balancer:
    """The endpoints of one backend. Updates keep what is known of endpoints that stay."""

    __slots__ = (
        "_candidates", "_decay_s", "_ejected", "_epoch", "_initial_s", "_live", "_outlier", "_probe_at", "_renew_s",
        "_states",
    )  # fmt: skip

    def __init__(self, settings: wire.Backend) -> None:
        self._decay_s = max(settings.balance.decay_s, 0.001)
        self._initial_s = max(settings.balance.initial_s, 0.0001)
        self._renew_s = RENEW * self._decay_s
        self._outlier = Outlier(settings.outlier)
        self._epoch = 0.0
        self._states: dict[Key, EndpointState] = {}
        self._candidates: list[EndpointState] = []  # ready ones, else the last resort
        self._live: list[EndpointState] = []  # candidates that are not ejected
        self._ejected: list[EndpointState] = []  # candidates that are
        self._probe_at = inf  # when the next of them may be probed

    @property
    def states(self) -> Collection[EndpointState]:
        """Every endpoint known, usable or not."""
        return self._states.values()

    @property
    def candidates(self) -> Sequence[EndpointState]:
        """Those that requests may go to, ejected ones among them: the ready ones, else the last resort."""
        return self._candidates

    def latency_s(self, state: EndpointState, now: float) -> float:
        """The endpoint's average latency as the balancer sees it now."""
        return state.load * max(state.spec.weight, 1) * exp((self._epoch - now) / self._decay_s)

    def update(self, endpoints: Iterable[wire.Endpoint], now: float) -> list[EndpointState]:
        """Take over a new list of endpoints; return the states of those that are gone: their connections can close.

        The same address, port and identity is the same endpoint; of doubles the first counts.
        """
        growth = self._growth(now)
        states: dict[Key, EndpointState] = {}
        for spec in endpoints:
            key = key_of(spec)
            if key in states:
                continue
            state = self._states.get(key)
            if state is None:
                state = EndpointState(spec)
                state.load = self._initial_s * growth / max(spec.weight, 1)
                state.grown = growth
            elif state.spec.weight != spec.weight:
                state.load *= max(state.spec.weight, 1) / max(spec.weight, 1)
            state.spec = spec
            states[key] = state
        removed = [state for key, state in self._states.items() if key not in states]
        self._states = states
        ready = [state for state in states.values() if is_ready(state.spec)]
        self._candidates = ready or [state for state in states.values() if is_last_resort(state.spec)]
        self._share_out(now)
        return removed

    def pick(self, now: float, rng: Callable[[], float], tried: Collection[EndpointState] = ()) -> EndpointState | None:
        """The endpoint for the next attempt, None if there is none. `rng` yields [0, 1).

        An endpoint of `tried` is avoided while there is another; an ejected one is only picked to be probed, and not
        by a repetition.
        """
        live = self._live
        if tried:
            live = [state for state in live if state not in tried] or live
        elif now >= self._probe_at:
            return self._probe(now)
        count = len(live)
        if count > 1:
            i = int(rng() * count)
            j = int(rng() * (count - 1))
            a = live[i]
            b = live[j + 1 if j >= i else j]
            return a if a.load * (a.inflight + 1) <= b.load * (b.inflight + 1) else b
        return live[0] if count else None

    def observe(self, state: EndpointState, now: float, latency_s: float, failed: bool) -> None:
        """Report an attempt's end. `latency_s` is the time to the response's head, or to the failure.

        Failed is an attempt that ended in a 5xx, refused, reset or timed out.
        """
        if failed:
            latency_s = max(latency_s, FAILED_S)
            self._on_failure(state, now)
        elif state.failures:
            self._on_recovery(state, now)
        since = now - self._epoch
        growth = exp(since / self._decay_s) if since < self._renew_s else self._growth(now)
        weight = state.spec.weight
        if weight > 1:
            latency_s /= weight
        # The moving average, or the peak where that is higher.
        average = state.load + latency_s * (growth - state.grown)
        peak = latency_s * growth
        state.load = average if average > peak else peak  # noqa: FURB136 - half the time of max()
        state.grown = growth

    def _growth(self, now: float) -> float:
        """The scale at `now`, renewed if it has grown far."""
        since = now - self._epoch
        if since >= self._renew_s:
            shrink = exp(-min(since / self._decay_s, 10 * RENEW))
            least = self._initial_s * FLOOR
            for state in self._states.values():
                state.load = max(state.load * shrink, least)
                state.grown *= shrink
            self._epoch = now
            return 1.0
        return exp(since / self._decay_s)

    def _probe(self, now: float) -> EndpointState:
        """Send the request to the ejected endpoint that has waited longest."""
        state = min(self._ejected, key=self._outlier.probe_at)
        self._outlier.probe(state, now)
        self._plan()
        return state

    def _plan(self) -> None:
        self._probe_at = min(map(self._outlier.probe_at, self._ejected), default=inf)

    def _on_failure(self, state: EndpointState, now: float) -> None:
        state.failures += 1
        outlier = self._outlier
        if state.ejected:
            # What was on its way when the endpoint was ejected says nothing new.
            if outlier.is_probing(state):
                outlier.eject(state, now)
                self._plan()
        elif (
            outlier.is_outlier(state)
            and len(self._ejected) < outlier.allowance(len(self._candidates))
            and state in self._live
        ):
            outlier.eject(state, now)
            self._share_out(now)

    def _on_recovery(self, state: EndpointState, now: float) -> None:
        if not state.ejected:
            state.failures = 0
        elif self._outlier.is_probing(state):
            self._outlier.readmit(state, now)
            # Its failures are forgiven in the average as well, which would keep it idle for a minute yet.
            state.load = self._initial_s * state.grown / max(state.spec.weight, 1)
            self._share_out(now)

    def _share_out(self, now: float) -> None:
        """Sort the candidates into live and ejected, and readmit whom the bound does not allow to be out."""
        ejected = [state for state in self._candidates if state.ejected]
        excess = len(ejected) - self._outlier.allowance(len(self._candidates))
        if excess > 0:
            ejected.sort(key=lambda state: state.retry_at)
            for state in ejected[:excess]:
                self._outlier.readmit(state, now)
            ejected = ejected[excess:]
        self._ejected = ejected
        self._live = [state for state in self._candidates if not state.ejected]
        self._plan()

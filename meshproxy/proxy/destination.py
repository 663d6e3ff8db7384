"""Where a Host leads: everything about it that can be known before a request comes, found once per change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshproxy.faults import BACKEND_MISSING, FAULTS, Fault
from meshproxy.policy.message import RequestHead, RequestLine, ResponseHead
from meshproxy.proxy.respond import redirect_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshproxy.metrics.slots import ExchangeSlot
    from meshproxy.policy.message import Field
    from meshproxy.policy.retry import RetryPolicy
    from meshproxy.policy.route import Match, RouteTable
    from meshproxy.policy.rule import Filters, Rule, RuleBackend
    from meshproxy.proxy.backend import Backend
    from meshproxy.proxy.exchange import Exchange
    from meshproxy.proxy.parking import Service


class Edits:
    """The filters of a rule and of the backend chosen in it, the rule's first."""

    __slots__ = ("_parts",)

    def __init__(self, parts: list[Filters]) -> None:
        self._parts = parts

    def apply(self, exchange: Exchange) -> ResponseHead | None:
        """Edit the request on its way; or return the redirect that answers it."""
        head = exchange.head
        line = head.line
        match = exchange.match
        prefix = (match.prefix if match is not None else None) or b""
        fields = head.fields
        for part in self._parts:
            if part.redirect is not None:
                path = line.path if line.path != b"*" else b"/"
                location = part.redirect.location(head.authority, path, line.query, prefix)
                return redirect_response(part.redirect.status, location)
            if part.rewrite is not None:
                # `OPTIONS *` is about the server, not about a path of it.
                target = part.rewrite.target(line.path, line.query, prefix) if line.path != b"*" else None
                if target is not None:
                    exchange.request_line = RequestLine(line.method, target, b"", 1).line
                if part.rewrite.hostname:
                    fields = _with_host(fields, part.rewrite.hostname)
            if part.request_edit is not None:
                fields = part.request_edit.apply(fields)
        if fields is not head.fields:
            head.replace_fields(fields)
        return None

    def edit_response(self, head: ResponseHead) -> None:
        fields = head.fields
        for part in self._parts:
            if part.response_edit is not None:
                fields = part.response_edit.apply(fields)
        if fields is not head.fields:
            head.replace_fields(fields)


def _with_host(fields: list[Field], host: bytes) -> list[Field]:
    return [(f[0], f[1], host, f[1] + b": " + host, f[4], 0) if f[0] == b"host" else f for f in fields]


class Lane:
    """One rule together with one of its backends: what an exchange needs once it is routed.

    `backend` is None where a request cannot go: then `fault` says why, or a redirect among the edits answers it.
    """

    __slots__ = ("backend", "backend_request_s", "edits", "fault", "request_s", "retry", "route", "service", "slot")

    def __init__(
        self, service: str, rule: Rule | None, chosen: RuleBackend | None, backend: Backend | None, slot: ExchangeSlot
    ) -> None:
        self.service = service
        self.route = rule.name if rule is not None else ""
        self.backend = backend
        self.slot = slot
        self.retry: RetryPolicy | None = rule.retry if rule is not None else None
        self.request_s = rule.request_s if rule is not None else 0.0
        self.backend_request_s = rule.backend_request_s if rule is not None else 0.0
        parts = [part for part in (rule, chosen) if part is not None and not part.is_plain]
        self.edits = Edits(list(parts)) if parts else None
        self.fault: Fault | None = None
        if backend is None:
            self.fault = FAULTS[chosen.fault] if chosen is not None and chosen.fault else BACKEND_MISSING

    def __repr__(self) -> str:
        return f"<Lane {self.service} {self.route} {self.backend}>"


class Destination:
    """What one Host (and port) stands for: a port of a Service with its routes, or a fault.

    With `awaits`, a Service's namespace and name, the fault is what it comes to if that does not get known in time.
    What stands so `for_now` is not remembered, but asked for again.
    """

    __slots__ = ("_table", "awaits", "detail", "fault", "for_now", "only", "unmatched")

    def __init__(
        self,
        table: RouteTable | None,
        unmatched: Lane,
        fault: Fault | None = None,
        detail: str = "",
        awaits: Service | None = None,
        for_now: bool = False,
    ) -> None:
        self._table = table
        self.awaits = awaits
        self.for_now = for_now
        self.unmatched = unmatched
        self.fault = fault
        self.detail = detail
        self.only: Lane | None = None
        """The lane that every request takes, when there is one and it edits nothing."""
        if table is not None and table.always is not None:
            lane: Lane | None = table.always.rule.slot
            self.only = lane if lane is not None and lane.edits is None else None

    @property
    def lanes(self) -> list[Lane]:
        """All of them: one for a rule that has no choice, else one for each of its backends."""
        lanes: list[Lane] = []
        for rule in self._table.rules if self._table is not None else ():
            if rule.slot is not None:
                lanes.append(rule.slot)
            lanes.extend(entry.target for entry in rule.backends if entry.target is not None)
        return lanes

    def route(self, head: RequestHead, rng: Callable[[], float]) -> tuple[Match, Lane] | None:
        """Find the rule that the request meets, and choose one of its backends by weight."""
        assert self._table is not None
        line = head.line
        match = self._table.match(line.method, line.path, line.query, head.fields)
        if match is None:
            return None
        rule = match.rule
        lane: Lane | None = rule.slot
        if lane is None:
            chosen = rule.pick_backend(rng)
            assert chosen is not None  # a rule without a usable backend has a lane of its own
            lane = chosen.target
        return match, lane

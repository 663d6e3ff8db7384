"""The rules of a route, compiled: where a matched request goes, and what happens to it on the way."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from meshproxy.policy.edit import HeaderEdit, merge
from meshproxy.policy.retry import RetryPolicy
from meshproxy.policy.rewrite import Redirect, Rewrite
from meshproxy.wire import resources as wire


class Filters:
    """The filters of a rule or of one of its backends; each attribute is None where there is none of its kind."""

    __slots__ = ("redirect", "request_edit", "response_edit", "rewrite")

    request_edit: HeaderEdit | None
    response_edit: HeaderEdit | None
    redirect: Redirect | None
    rewrite: Rewrite | None

    def __init__(self, filters: Sequence[wire.Filter]) -> None:
        """Raise ValueError for a filter that cannot be carried out, or a kind that comes twice."""
        redirects = [Redirect(item) for item in filters if isinstance(item, wire.RequestRedirect)]
        rewrites = [Rewrite(item) for item in filters if isinstance(item, wire.URLRewrite)]
        if len(redirects) + len(rewrites) > 1:
            raise ValueError("only one redirect or rewrite can be carried out")
        self.redirect = redirects[0] if redirects else None
        self.rewrite = rewrites[0] if rewrites else None
        self.request_edit = merge([item for item in filters if isinstance(item, wire.RequestHeaderModifier)])
        self.response_edit = merge([item for item in filters if isinstance(item, wire.ResponseHeaderModifier)])

    @property
    def is_plain(self) -> bool:
        return (
            self.redirect is None and self.rewrite is None and self.request_edit is None and self.response_edit is None
        )

    @property
    def needs_prefix(self) -> bool:
        """A filter replaces the matched prefix, so every match of the rule must be by prefix."""
        paths = [part.path for part in (self.redirect, self.rewrite) if part is not None]
        return any(path is not None and path.by_prefix for path in paths)


class RuleBackend(Filters):
    """One weighted backend of a rule. `fault` as in wire.RouteBackend; `target` is the proxy's."""

    __slots__ = ("fault", "name", "target", "weight")

    def __init__(self, backend: wire.RouteBackend) -> None:
        super().__init__(backend.filters)
        self.name = backend.backend
        self.weight = backend.weight
        self.fault: str = backend.fault
        self.target: Any = None

    def __repr__(self) -> str:
        return f"<RuleBackend {self.name} {self.weight}{' ' if self.fault else ''}{self.fault}>"


class Rule(Filters):
    """One rule. `single` is the only backend of weight above 0, if there is exactly one; `slot` is the proxy's."""

    __slots__ = (
        "_ends", "_usable", "backend_request_s", "backends", "name", "request_s", "retry", "single", "slot",
    )  # fmt: skip

    def __init__(self, rule: wire.Rule) -> None:
        """Raise ValueError, which names the rule, for filters that cannot be carried out."""
        try:
            super().__init__(rule.filters)
            self.backends = [RuleBackend(backend) for backend in rule.backends]
        except ValueError as error:
            raise ValueError(f"rule {rule.name}: {error}") from None
        self.name = rule.name
        self._usable = [backend for backend in self.backends if backend.weight > 0]
        self._ends = list(accumulate(backend.weight for backend in self._usable))
        self.single = self._usable[0] if len(self._usable) == 1 else None
        self.request_s = rule.timeouts.request_s
        self.backend_request_s = rule.timeouts.backend_request_s
        self.retry = RetryPolicy(rule.retry) if rule.retry is not None else None
        self.slot: Any = None

    def __repr__(self) -> str:
        return f"<Rule {self.name}>"

    def pick_backend(self, rng: Callable[[], float]) -> RuleBackend | None:
        """One of the backends, by weight; None when no backend has any. `rng` yields [0, 1)."""
        ends = self._ends
        return self._usable[bisect_right(ends, int(rng() * ends[-1]))] if ends else None

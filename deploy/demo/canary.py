"""The canary: what version 2 of reviews is asked to get of everyone's calls, and what it gets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from deploy.demo.metrics import Lane, LaneKey

RULE = "shop/reviews/everyone"
BACKEND = "shop/reviews-v2:80"
_ROUTES = "routes/shop/reviews:80"


class Share(NamedTuple):
    """`asked` is a part of one, None if there is no such rule; `counted` of `total` calls since went to version 2."""

    asked: float | None = None
    counted: int = 0
    total: int = 0

    @property
    def measured(self) -> float | None:
        return self.counted / self.total if self.total else None

    def __str__(self) -> str:
        if self.asked is None:
            return "there is no canary"
        asked = f"v2 asked {self.asked * 100:.3g} %"
        if self.measured is None:
            return asked
        return f"{asked}, measured {self.measured * 100:.3g} % of {self.total} calls"


NONE_YET = Share()


@dataclass(slots=True)
class Canary:
    """Counts anew whenever other weights are in use, whoever has changed them."""

    asked: float | None = None
    share: Share = NONE_YET
    _base: dict[LaneKey, Lane] | None = None

    @property
    def has_base(self) -> bool:
        """The next look is one that counts."""
        return self._base is not None

    def take(self, asked: float | None, lanes: dict[LaneKey, Lane]) -> None:
        """Take what a look at the front end's sidecar shows."""
        if asked != self.asked:
            self.asked = asked
            self._base = None
            self.share = Share(asked)
        elif self._base is None:  # by now what was under way with the former weights has been counted
            self._base = lanes
        else:
            calls = {key.backend: lane.since(self._base.get(key)) for key, lane in lanes.items() if key.route == RULE}
            total = sum(lane.requests for lane in calls.values())
            counted = calls[BACKEND].requests if BACKEND in calls else 0
            self.share = Share(asked, round(counted), round(total))


def asked(config: str) -> float | None:
    """What a sidecar's configuration (the page /config) gives to version 2; None if the rule is not there."""
    resources: list[dict[str, Any]] = json.loads(config)["resources"] if config else []
    rules = [rule for item in resources if item["name"] == _ROUTES for rule in item["resource"]["rules"]]
    for rule in rules:
        if rule["name"] == RULE:
            weights = {backend["backend"]: backend.get("weight", 1) for backend in rule.get("backends", ())}
            total = sum(weights.values())
            return weights.get(BACKEND, 0) / total if total else None
    return None

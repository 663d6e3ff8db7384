"""What is done to the shop, act by act, and what was seen of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from deploy.demo.app import PARTS, SLOW_S
from deploy.demo.tally import Tally
from deploy.demo.watch import Change


class Trouble(Enum):
    """What can be done to an instance."""

    NONE = "none"
    KILLED = "killed"
    FAILING = "failing"
    SLOW = "slow"


class Act(NamedTuple):
    """`share` is its part of the whole time. What it does, it does to the instance of `service` that is most in use.

    In both texts {victim} stands for that instance, {former} for that of the act before.
    """

    word: str
    share: float
    title: str
    watch_for: str
    trouble: Trouble = Trouble.NONE
    service: str = ""


ACTS = (
    Act(
        "all well",
        0.15,
        "all is well",
        f"For every page the front end makes {len(PARTS)} calls of catalog, reviews and pricing. Its sidecar shares "
        "them among the instances: each goes to the better of two drawn at random.",
    ),
    Act(
        "killed",
        0.2,
        "{victim} is killed, together with its sidecar",
        "Calls that were under way, or find nobody there, are repeated at once at the other one. A failure counts "
        "as a second of latency, so {victim} is avoided from then on; five in a row eject it.",
        Trouble.KILLED,
        "pricing",
    ),
    Act(
        "failing",
        0.25,
        "{victim} answers every request with 503; {former} is started again",
        "Each 503 is repeated at once at another instance. After five in a row {victim} is ejected: it gets a "
        "single live request from time to time, which finds out whether it is well again.",
        Trouble.FAILING,
        "catalog",
    ),
    Act(
        "slow",
        0.2,
        f"{{victim}} takes {SLOW_S:g} s for every answer; {{former}} is well again",
        "What it gets is given up after 300 ms, the route's backendRequest, and repeated at the other one, "
        "which the balancer prefers from then on.",
        Trouble.SLOW,
        "reviews-v1",
    ),
    Act(
        "recovered",
        0.2,
        "all instances are well again",
        "A bad average fades with time: who was avoided gets requests again when it looks no slower than the "
        "others, after about a minute. Who was ejected comes back by one request that succeeds.",
    ),
)


def calls(count: int) -> str:
    """So many calls, in words."""
    return f"{count} call{'' if count == 1 else 's'}"


@dataclass(slots=True)
class Record:
    """All performances of one act: what users have seen, and what the sidecars say of it."""

    act: Act
    tally: Tally = field(default_factory=Tally)
    retries: int = 0
    victim_requests: int = 0
    victim_failures: int = 0
    service_requests: int = 0
    is_ejected: bool = False
    """A victim was seen ejected."""
    victim: str = ""
    left: Change | None = None
    """What was seen last."""

    def close(self, victim: str, change: Change, is_ejected: bool) -> None:
        """Take in a performance that has ended."""
        self.victim = victim
        self.left = change
        self.retries += change.retries
        self.is_ejected = self.is_ejected or is_ejected
        self.victim_requests += change.pod_requests.get(victim, 0)
        self.victim_failures += change.pod_failures.get(victim, 0)
        self.service_requests += sum(change.requests_of(self.act.service).values())

    def seen(self) -> str:
        """What was done and seen, in a few words."""
        if self.left is None:
            return "not reached"
        repeated = f"{calls(self.retries)} repeated"
        trouble = self.act.trouble
        if trouble is Trouble.KILLED:
            return f"{repeated}; {self._fate(self.left)}"
        if trouble is Trouble.FAILING:
            return f"{self.victim_failures} x 503, {repeated}; {self._fate(self.left)}"
        if trouble is Trouble.SLOW:
            return f"{repeated}; {self.victim} got {self.victim_requests} of {self.service_requests} calls"
        if not self.left.ejected:
            return f"{repeated}; every instance is ready"
        return f"{repeated}; not back yet: {', '.join(self.left.ejected)}"

    def _fate(self, left: Change) -> str:
        if self.is_ejected:
            return f"{self.victim} ejected"
        return f"{self.victim} {'avoided' if self.victim in left.avoided else 'in use'}"

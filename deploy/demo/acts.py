"""What is done to the shop, act by act, and what was seen of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from deploy.demo.app import SLOW_S
from deploy.demo.tally import Tally
from deploy.demo.watch import Change


class Trouble(Enum):
    """What can be done to an instance."""

    NONE = "none"
    KILLED = "killed"
    FAILING = "failing"
    SLOW = "slow"


class Act(NamedTuple):
    """`share` is its part of the whole time; `victim` the name of a Pod, `service` the one whose endpoint that is."""

    word: str
    share: float
    title: str
    watch_for: str
    trouble: Trouble = Trouble.NONE
    victim: str = ""
    service: str = ""


ACTS = (
    Act(
        "all well",
        0.15,
        "all is well",
        "Every page of the front end needs an answer of catalog, reviews and pricing.",
    ),
    Act(
        "killed",
        0.2,
        "pricing-2 is killed, and its sidecar with it",
        "What was on its way, or finds nobody there, is asked of pricing-1 instead. After five "
        "failures in a row pricing-2 is ejected; one live request now and then finds out whether it is back.",
        Trouble.KILLED,
        "pricing-2",
        "pricing",
    ),
    Act(
        "failing",
        0.25,
        "pricing-2 is started again, catalog-2 answers every request with 503",
        "Each 503 is repeated at once at another instance. After five in a row catalog-2 is ejected; "
        "one live request now and then finds out whether it has recovered.",
        Trouble.FAILING,
        "catalog-2",
        "catalog",
    ),
    Act(
        "slow",
        0.2,
        f"catalog-2 is well, reviews-v1-2 takes {SLOW_S:g} s for every answer",
        "The balancer prefers the faster of two, so reviews-v1-2 gets next to nothing. What it does get is given up "
        "after 300 ms, the route's backendRequest, and repeated at reviews-v1-1.",
        Trouble.SLOW,
        "reviews-v1-2",
        "reviews-v1",
    ),
    Act(
        "recovered",
        0.2,
        "all instances are well again",
        "Ejected instances come back by one request that succeeds. Their bad average fades: they get requests "
        "again when they look no slower than the others.",
    ),
)


@dataclass(slots=True)
class Record:
    """All performances of one act: what users have seen, and what the sidecars say of it."""

    act: Act
    tally: Tally = field(default_factory=Tally)
    rounds: int = 0
    retries: int = 0
    victim_requests: int = 0
    victim_failures: int = 0
    service_requests: int = 0
    ejections: int = 0
    """Performances in which the victim was seen ejected."""
    still_out: list[str] = field(default_factory=list)
    """Pods that were not ready at the end of the last performance."""

    def close(self, change: Change, was_ejected: bool) -> None:
        """Take in a performance that has ended."""
        self.rounds += 1
        self.retries += change.retries
        self.ejections += was_ejected
        self.still_out = change.still_out
        if self.act.victim:
            self.victim_requests += change.pod_requests.get(self.act.victim, 0)
            self.victim_failures += change.pod_failures.get(self.act.victim, 0)
            self.service_requests += change.service_requests(self.act.service)

    def seen(self) -> str:
        """In a sentence, from what was counted."""
        if not self.rounds:
            return "not reached"
        act = self.act
        repeated = f"{self.retries} call{'s' if self.retries != 1 else ''} repeated"
        ejected = f"{act.victim} {'ejected' if self.ejections else 'not ejected'}"
        if act.trouble is Trouble.KILLED:
            return f"{repeated}, {ejected}"
        if act.trouble is Trouble.FAILING:
            return f"{self.victim_failures} answers with 503, {repeated}, {ejected}"
        if act.trouble is Trouble.SLOW:
            return f"{act.victim} got {self.victim_requests} of {self.service_requests} calls, {repeated}"
        if self.still_out:
            return f"{repeated}; not back yet: {', '.join(self.still_out)}"
        return f"{repeated}; every instance is ready"

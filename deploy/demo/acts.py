"""What is done to the shop, act by act, and what was seen of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from deploy.demo.app import PARTS, SLOW_S
from deploy.demo.canary import NONE_YET, Share
from deploy.demo.screen import milliseconds
from deploy.demo.tally import Tally
from deploy.demo.watch import Change


class Deed(Enum):
    """What can be done."""

    SHIFT = "shift"
    AWAY = "away"
    RESTART = "restart"
    REPLACE = "replace"
    KILL = "kill"
    FAIL = "failing"
    SLOW = "slow"
    NONE = "none"


class Act(NamedTuple):
    """`share` is its part of the whole time. What it does, it does to the instance of `service` that is most in use.

    In both texts {victim} stands for that instance, {former} for that of the act before, {newcomer} for the one that
    comes in its place. `percent` is what version 2 of reviews is to get from then on.
    """

    word: str
    share: float
    title: str
    watch_for: str
    deed: Deed = Deed.NONE
    service: str = ""
    percent: int = 0


ACTS = (
    Act(
        "all well",
        0.05,
        "all is well; version 2 of reviews gets the testers only",
        f"For every page the front end makes {len(PARTS)} calls of catalog, reviews and pricing. Its sidecar shares "
        "them among the instances: each goes to the better of two drawn at random.",
        Deed.SHIFT,
        percent=0,
    ),
    Act(
        "canary 10 %",
        0.1,
        "a canary: meshctl route shift reviews v2=10",
        "The HTTPRoute is changed in the control plane, which pushes the new weights to every sidecar that follows "
        "it. What is measured counts from when the front end's sidecar has them.",
        Deed.SHIFT,
        percent=10,
    ),
    Act(
        "canary 50 %",
        0.1,
        "the canary looks well: meshctl route shift reviews v2=50",
        "Calls that are under way stay where they are. Nothing is started again, no connection is closed.",
        Deed.SHIFT,
        percent=50,
    ),
    Act(
        "away",
        0.08,
        "the control plane is killed",
        "No call asks it: the sidecars go on with what they know, which each keeps on disk as well. They try to "
        "reach it again, at random times and ever less often.",
        Deed.AWAY,
    ),
    Act(
        "restarted",
        0.2,
        "the control plane is started again; meshctl route shift reviews v2=100",
        "It reads its objects from its store. The sidecars tell it what they have, so that only what has changed "
        "meanwhile is sent. Then the canary becomes the version that everyone gets.",
        Deed.RESTART,
        percent=100,
    ),
    Act(
        "replaced",
        0.17,
        "{victim} is replaced by {newcomer}",
        "{newcomer} is started, and applied once it is ready. Then {victim} is taken out of the EndpointSlice, "
        "finishes what it has begun, and ends.",
        Deed.REPLACE,
        "catalog",
    ),
    Act(
        "killed",
        0.08,
        "{victim} is killed, together with its sidecar",
        "Calls that were under way, or find nobody there, are repeated at once at the other one. A failure counts "
        "as a second of latency, so {victim} is avoided from then on; five in a row eject it.",
        Deed.KILL,
        "pricing",
    ),
    Act(
        "failing",
        0.1,
        "{victim} answers every request with 503; {former} is started again",
        "Each 503 is repeated at once at another instance. After five in a row {victim} is ejected: it gets a "
        "single live request from time to time, which finds out whether it is well again.",
        Deed.FAIL,
        "catalog",
    ),
    Act(
        "slow",
        0.06,
        f"{{victim}} takes {SLOW_S:g} s for every answer; {{former}} is well again",
        "What it gets is given up after 500 ms, the route's backendRequest, and repeated at the other one, "
        "which the balancer prefers from then on.",
        Deed.SLOW,
        "reviews-v2",
    ),
    Act(
        "recovered",
        0.06,
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
    note: str = ""
    """What the last deed came to."""
    share: Share = NONE_YET
    left: Change | None = None
    """What was seen last."""

    def close(self, victim: str, change: Change, note: str, share: Share, *, is_ejected: bool) -> None:
        """Take in a performance that has ended."""
        self.victim = victim
        self.left = change
        self.note = note
        self.share = share
        self.retries += change.retries
        self.is_ejected = self.is_ejected or is_ejected
        self.victim_requests += change.pod_requests.get(victim, 0)
        self.victim_failures += change.pod_failures.get(victim, 0)
        self.service_requests += sum(change.requests_of(self.act.service).values())

    def seen(self) -> str:
        """What was done and seen, in a few words."""
        if self.left is None:
            return "not reached"
        return "; ".join(part for part in (self.note, *self._parts(self.left)) if part)

    def _parts(self, left: Change) -> list[str]:
        repeated = f"{calls(self.retries)} repeated"
        match self.act.deed:
            case Deed.SHIFT | Deed.RESTART:
                return [str(self.share), acknowledged(left)]
            case Deed.AWAY:
                return [str(self.share), repeated]
            case Deed.REPLACE:
                return [acknowledged(left), repeated]
            case Deed.KILL:
                return [repeated, self._fate(left)]
            case Deed.FAIL:
                return [f"{self.victim_failures} x 503", repeated, self._fate(left)]
            case Deed.SLOW:
                return [repeated, f"{self.victim} got {self.victim_requests} of {calls(self.service_requests)}"]
            case Deed.NONE:
                bad = ", ".join(left.ejected)
                return [repeated, f"not back yet: {bad}" if bad else "every instance is ready"]

    def _fate(self, left: Change) -> str:
        if self.is_ejected:
            return f"{self.victim} ejected"
        return f"{self.victim} {'avoided' if self.victim in left.avoided else 'in use'}"


def acknowledged(change: Change) -> str:
    """How long changes took to arrive, if there were any."""
    ack_s = change.plane.ack_s if change.plane else None
    return "" if ack_s is None else f"{milliseconds(ack_s)} from write to Ack"

"""One instance: what becomes of a request that reached it, whatever protocol carried it."""

from __future__ import annotations

from math import inf
from random import Random
from time import monotonic

from loadtest.messages import TrafficCell
from loadtest.origin.capacity import Capacity, Place, draw_s
from loadtest.origin.clock import Clock
from loadtest.origin.faults import Faults, Rule
from loadtest.origin.ledger import UNKNOWN, Ledger
from loadtest.origin.request import Request
from loadtest.origin.traffic import BEFORE, Book
from loadtest.scenario.model import Origin, Scenario

PIECES = 20
"""In how many parts a slow body is sent: often enough that no reader's patience between two of them ends early."""
_NOT_EXECUTED = b"not executed\n"
_NO_ROOM = b"no room\n"


class Run:
    """What all instances share. `at` is when the run began (monotonic), infinity until that is known."""

    __slots__ = ("at", "bin_s", "clock", "ledger")

    def __init__(self, run: str, bin_s: float, clock: Clock) -> None:
        self.at = inf
        self.bin_s = bin_s
        self.clock = clock
        self.ledger = Ledger(run)

    def now_s(self) -> float:
        """Seconds since the run's start; negative before it."""
        return monotonic() - self.at


class Instance:
    """Work, faults and counts of one instance; the same seed gives the same draws of either.

    A request in work is executed even if its caller went away, as in most applications; one that waits gives up its
    place.
    """

    def __init__(self, name: str, number: int, scenario: Scenario, run: Run, body: bytes) -> None:
        """`body` is what it answers with, shared by all instances of its origin."""
        self.name = name
        self.number = number
        self.faults = Faults(scenario.faults, name, number)
        self._origin: Origin = scenario.origins[name]
        self._time = self._origin.service_time
        self._body = body
        self._view = memoryview(body)
        self._run = run
        self._chance = Random(f"{scenario.seed}/{name}/{number}/faults")  # noqa: S311 - a draw that can be had again
        self._pace = Random(f"{scenario.seed}/{name}/{number}/work")  # noqa: S311 - a draw that can be had again
        self._book = Book()
        self._life = 0
        self._begin_life()

    def _begin_life(self) -> None:
        self._life += 1
        self._capacity: Capacity[Request] = Capacity(self._origin.concurrency, self._origin.queue)

    @property
    def working(self) -> int:
        """Requests in work or waiting for it."""
        return self._capacity.serving + self._capacity.waiting

    def receive(self, request: Request) -> None:
        """The head of a request is complete."""
        run = self._run
        now_s = monotonic() - run.at
        if now_s >= 0:
            request.bin = int(now_s / run.bin_s)
        self._book.cell(request.bin).received += 1
        request.key = key = run.ledger.key(request.id)
        if key != UNKNOWN:
            run.ledger.receive(key)
        elif request.bin != BEFORE:
            run.ledger.unknown += 1

    def handle(self, request: Request) -> None:
        """A request is there in full, and it is its turn on its connection."""
        rule = self.faults.pick(self._run.now_s(), request.number, self._chance)
        if rule is not None:
            if self._meet_before(request, rule):
                self._book.fault(request.bin, rule.kind)
                return
            request.fault = rule
        request.life = self._life
        place = self._capacity.admit(request)
        if place is Place.SLOT:
            self._serve(request)
        elif place is Place.NONE:
            self._answer(request, 503, _NO_ROOM)

    def leave(self, request: Request) -> None:
        """Its caller went away."""
        self._capacity.leave(request)

    def crash(self) -> None:
        """What is in work or waits is lost, as when a process is killed; what comes next finds an empty instance."""
        self._begin_life()

    def take(self) -> list[TrafficCell]:
        """What it saw since the last time."""
        return self._book.take(self.name, self.number)

    def _meet_before(self, request: Request, rule: Rule) -> bool:
        """Whether the fault leaves the request unexecuted."""
        if rule.kind == "status":
            self._answer(request, rule.value, _NOT_EXECUTED)
        elif rule.value == "before":
            self._break(request, rule.kind)
        else:
            return rule.kind == "hang"
        return True

    def _break(self, request: Request, kind: str) -> None:
        if request.caller.waits_for(request):
            if kind == "reset":
                request.caller.reset()
            else:
                request.caller.close()

    def _serve(self, request: Request) -> None:
        time_s = draw_s(self._time, self._pace)
        if time_s > 0:
            self._run.clock.at(monotonic() + time_s, self._done, request)
        else:
            self._done(request)

    def _done(self, request: Request) -> None:
        if request.life != self._life:
            return
        self._book.cell(request.bin).executed += 1
        self._run.ledger.execute(request.key)
        following = self._capacity.finish()
        self._reply(request)
        if following is not None:
            self._serve(following)

    def _answer(self, request: Request, status: int, body: bytes) -> None:
        if request.caller.waits_for(request):
            self._book.answer(request.bin, status)
            request.caller.answer(request, status, body)

    def _answer_late(self, request: Request) -> None:
        self._answer(request, 200, self._body)

    def _reply(self, request: Request) -> None:
        rule = request.fault
        if rule is None:
            self._answer(request, 200, self._body)
            return
        self._book.fault(request.bin, rule.kind)
        if rule.kind == "delay":
            self._run.clock.at(monotonic() + rule.value, self._answer_late, request)
        elif rule.kind == "slow_body":
            self._begin_slowly(request)
        elif rule.kind == "idle_close":
            self._answer(request, 200, self._body)
            request.caller.close_idle(rule.value)
        elif rule.kind == "truncate":
            if request.caller.waits_for(request):
                self._book.answer(request.bin, 200)
                request.caller.truncate(request, 200, self._body)
        else:
            self._break(request, rule.kind)

    def _begin_slowly(self, request: Request) -> None:
        if not (request.has_body and self._body):
            self._answer(request, 200, self._body)
        elif request.caller.waits_for(request):
            self._book.answer(request.bin, 200)
            request.caller.begin(request, 200, self._body)
            self._pause(request)

    def _pause(self, request: Request) -> None:
        assert request.fault is not None
        pieces = min(PIECES, len(self._body))
        self._run.clock.at(monotonic() + request.fault.value / pieces, self._send_piece, request)

    def _send_piece(self, request: Request) -> None:
        size = len(self._body)
        pieces = min(PIECES, size)
        begin = size * request.sent // pieces
        request.sent += 1
        end = size * request.sent // pieces
        request.caller.send(request, self._view[begin:end], end == size)
        if end < size and request.caller.waits_for(request):
            self._pause(request)

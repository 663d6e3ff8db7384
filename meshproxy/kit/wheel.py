"""The timer wheel: every deadline of the process stands on it, and one timer of the event loop drives it.

Timers are lazy. A scheduled timer that is armed anew for later, or cancelled, only has its `deadline` written; the
wheel visits it where it stands, sees what became of it, and puts it where it belongs. So a timeout that is armed and
disarmed for every request of a kept-alive connection costs an attribute write, and one entry stands per timer.

A timer never fires early and at most one grain (1/128 s) late, besides what the loop itself is late.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import islice
from math import inf
from typing import TypeAlias

PER_S = 128
"""Slots of a second. A power of two, so that a slot's time is exact and arithmetic cannot make a timer early."""
HORIZON = 10 * PER_S
"""No entry stands farther ahead than this many slots: later deadlines are visited on the way. So a timer that was
cancelled and forgotten is let go within ten seconds, and the wheel holds at most about a thousand slots."""
COARSE = 64
"""Visits on the way to a far deadline are gathered on every 64th slot, so that idle timers wake nobody one by one."""
TURN_LIMIT = 512
"""Timers visited by one `advance`; the rest are due at once, on the loop's next turn."""

Callback: TypeAlias = Callable[[float], None]


def _nothing(_now: float) -> None:
    """What a closed timer calls."""


class Timer:
    """One deadline that can be armed again and again. `deadline` is monotonic seconds, `inf` when it is not armed.

    Write `inf` to disarm it, or a later deadline to put it off: the wheel sees that when it comes by.
    """

    __slots__ = ("callback", "deadline", "floor", "slot")

    def __init__(self, callback: Callback) -> None:
        self.callback = callback
        self.deadline = inf
        # The earliest deadline that the wheel's next visit serves in time; inf when no visit is due.
        self.floor = inf
        self.slot = 0

    def __repr__(self) -> str:
        return f"<Timer {'idle' if self.deadline == inf else self.deadline}>"

    def close(self) -> None:
        """Disarm for good and let go of the callback, and so of its owner, at once."""
        self.deadline = inf
        self.callback = _nothing


class Wheel:
    """Timers by slots. `on_earlier(at)` is called when the next visit has become earlier: the driver's wake-up call."""

    __slots__ = ("_due", "_heap", "_on_earlier", "_slots")

    def __init__(self, on_earlier: Callback = _nothing) -> None:
        self._on_earlier = on_earlier
        self._slots: dict[int, dict[Timer, None]] = {}
        self._heap: list[int] = []  # the keys of _slots
        self._due = 0  # the last slot that `advance` has seen fall due

    def __len__(self) -> int:
        """Entries that stand in the wheel, cancelled ones that were not visited yet included."""
        return sum(map(len, self._slots.values()))

    def arm(self, timer: Timer, deadline: float) -> None:
        """Let the timer fire once, at `deadline` (monotonic seconds), whatever it was armed for before."""
        timer.deadline = deadline
        if deadline < timer.floor:
            self._place(timer, deadline)

    def next_at(self) -> float | None:
        """When `advance` has something to do; None when nothing stands in the wheel."""
        return self._heap[0] / PER_S if self._heap else None

    def advance(self, now: float) -> None:
        """Fire what is due. Timers that fail hold up no other; an ExceptionGroup tells of them in the end."""
        due = int(now * PER_S)
        self._due = max(self._due, due)
        room = TURN_LIMIT
        failures: list[Exception] = []
        while room and self._heap and self._heap[0] <= due:
            batch = self._take(room)
            room -= len(batch)
            for timer in batch:
                if timer.floor != inf:
                    continue  # a callback before it has armed it: it stands elsewhere
                if timer.deadline > now:
                    if timer.deadline != inf:
                        self._place(timer, timer.deadline)
                    continue
                timer.deadline = inf
                try:
                    timer.callback(now)
                except Exception as failure:  # noqa: BLE001 - nobody's deadline may be lost to a stranger's defect
                    failures.append(failure)
        if failures:
            raise ExceptionGroup("timers failed", failures)

    def _take(self, room: int) -> list[Timer]:
        """Remove up to `room` timers of the earliest slot, and the slot with its last one."""
        slot = self._heap[0]
        entries = self._slots[slot]
        if len(entries) <= room:
            heappop(self._heap)
            del self._slots[slot]
            batch = list(entries)
        else:
            batch = list(islice(entries, room))
            for timer in batch:
                del entries[timer]
        for timer in batch:
            timer.floor = inf
        return batch

    def _place(self, timer: Timer, deadline: float) -> None:
        """Let the wheel visit the timer in time for `deadline`, instead of wherever it stood."""
        if timer.floor != inf:
            del self._slots[timer.slot][timer]
        # The slot after the deadline's own: an instant that reaches it lies past the deadline. Never a slot that has
        # fallen due, or a callback that arms for the past would keep `advance` busy for ever.
        slot = max(int(deadline * PER_S), self._due) + 1
        limit = self._due + HORIZON
        if slot > limit:
            slot = limit - limit % COARSE
        entries = self._slots.get(slot)
        if entries is None:
            earliest = not self._heap or slot < self._heap[0]
            self._slots[slot] = {timer: None}
            heappush(self._heap, slot)
            timer.slot, timer.floor = slot, (slot - 1) / PER_S
            if earliest:
                self._on_earlier(slot / PER_S)
        else:
            entries[timer] = None
            timer.slot, timer.floor = slot, (slot - 1) / PER_S

"""The deadline of an attempt, in monotonic seconds; `inf` where there is none."""

from __future__ import annotations


def attempt_deadline(now: float, backend_request_s: float, deadline: float) -> float:
    """For an attempt that begins now: never beyond the exchange's own `deadline`, which wins when both are the same."""
    if backend_request_s > 0.0 and now + backend_request_s < deadline:
        return now + backend_request_s
    return deadline

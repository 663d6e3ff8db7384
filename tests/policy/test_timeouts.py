from __future__ import annotations

from math import inf

import pytest

from meshproxy.policy.timeouts import attempt_deadline, request_deadline


@pytest.mark.parametrize(
    ("request_s", "backend_request_s", "elapsed", "expected"),
    [
        (0.0, 0.0, 0.0, inf),
        (10.0, 0.0, 4.0, 110.0),
        (0.0, 2.0, 4.0, 106.0),
        (10.0, 2.0, 4.0, 106.0),
        (10.0, 2.0, 9.0, 110.0),
        (10.0, 10.0, 0.0, 110.0),
    ],
)
def test_an_attempt_ends_by_its_own_timeout_but_never_after_the_request(
    request_s: float, backend_request_s: float, elapsed: float, expected: float
) -> None:
    deadline = request_deadline(100.0, request_s)
    assert attempt_deadline(100.0 + elapsed, backend_request_s, deadline) == expected

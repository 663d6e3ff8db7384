from __future__ import annotations

from math import inf

import pytest

from meshproxy.policy.timeouts import attempt_deadline


@pytest.mark.parametrize(
    ("deadline", "backend_request_s", "elapsed", "expected"),
    [
        (inf, 0.0, 0.0, inf),
        (110.0, 0.0, 4.0, 110.0),
        (inf, 2.0, 4.0, 106.0),
        (110.0, 2.0, 4.0, 106.0),
        (110.0, 2.0, 9.0, 110.0),
        (110.0, 10.0, 0.0, 110.0),
    ],
)
def test_an_attempt_ends_by_its_own_timeout_but_never_after_the_request(
    deadline: float, backend_request_s: float, elapsed: float, expected: float
) -> None:
    assert attempt_deadline(100.0 + elapsed, backend_request_s, deadline) == expected

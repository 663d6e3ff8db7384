"""How many files a process may have open."""

from __future__ import annotations

import resource

MOST = 1_048_576
"""Enough for everybody, where there is no limit at all."""


def allow(most: int = MOST) -> None:
    """Raise this process's soft limit (RLIMIT_NOFILE) as far as the hard one, or `most`, allows; never lower it.

    Every connection is an open file, and the usual soft limit of 1024 is for programs that select(2).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = most if hard == resource.RLIM_INFINITY else min(hard, most)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))

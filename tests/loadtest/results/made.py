"""Results as a run would give them, made of the figures that a test is about."""

from __future__ import annotations

from typing import Any

from loadtest.results.histogram import Histogram
from loadtest.results.model import SCHEMA, Bin, Comparison, Generator, Ledger, PhaseSpan, Result, Summary, Usage

NO_LATENESS = Histogram({50: 1}).percentiles()


def result(
    subject: str = "direct",
    round_: int = 1,
    scenario: str = "one-hangs",
    latencies: dict[int, int] | None = None,
    failed: int = 0,
    ledger: Ledger | None = None,
    limited: list[str] | None = None,
    **more: Any,
) -> Result:
    """Of 10 s: successes with these latencies (microseconds: count), and so many answers of 503."""
    ok = Histogram({1000: 100} if latencies is None else latencies)
    counts = {outcome: n for outcome, n in (("200", ok.count), ("503", failed)) if n}
    requests = ok.count + failed
    fields: dict[str, Any] = {
        "started": "2025-01-01T00:00:00+00:00",
        "seed": 1,
        "duration_s": 10.0,
        "bin_s": 0.25,
        "text": "name: one-hangs",
        "versions": {"meshload": "0.1.0"},
        "cores": 2,
        "phases": [PhaseSpan("steady", 0.0, 10.0, True, 10.0, 10.0)],
        "windows": [],
        "bins": [Bin(0.0, 0, counts, ok.encode(), ok.encode())] if requests else [],
        "endpoints": [],
        "usage": [],
        "configuration": {},
        **more,
    }
    return Result(
        schema=SCHEMA,
        scenario=scenario,
        subject=subject,
        round=round_,
        summary=Summary(
            requests=requests,
            success_percent=100 * ok.count / requests if requests else 0.0,
            per_second=requests / 10,
            counts=counts,
            latency=ok.percentiles(),
            latency_all=ok.percentiles(),
        ),
        ledger=ledger or Ledger(is_known=True, sent=requests, succeeded=ok.count, failed=failed, amplification=1.0),
        generator=Generator(1, NO_LATENESS, 0.3, 10, limited or []),
        **fields,
    )


def rounds(*milliseconds: float, **more: Any) -> list[Result]:
    """As many rounds, in which every answer took so long."""
    return [result(round_=number, latencies={int(ms * 1000): 100}, **more) for number, ms in enumerate(milliseconds, 1)]


def usage(cpu_s: float, rss_bytes: int) -> list[Usage]:
    """Two processes that share it evenly."""
    return [Usage(name, cpu_s / 2, rss_bytes // 2) for name in ("client sidecar", "server sidecar")]


def comparison(*results: Result) -> Comparison:
    return Comparison(SCHEMA, "2025-01-01T00:00:00+00:00", list(results))

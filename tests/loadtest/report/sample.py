"""A comparison as runs would give it: 3 scenarios, 4 subjects, 2 rounds, with faults, errors and noise; by dice."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from loadtest.results.histogram import Histogram
from loadtest.results.model import (
    SCHEMA,
    Bin,
    Comparison,
    Endpoint,
    EndpointBin,
    Generator,
    Ledger,
    PhaseSpan,
    Result,
    Summary,
    Usage,
    Verdict,
    Window,
)

SUBJECTS = ("direct", "meshproxy", "envoy", "haproxy")
BASE_US = {"direct": 420, "meshproxy": 760, "envoy": 980, "haproxy": 690}
BIN_S = 0.5
TIMEOUT_US = 2_000_000
RESETS = "resets the connection before the work, without an answer in 30 % of requests on reused connections"


@dataclass
class Plan:
    """What a made-up scenario does; `hurt` is the share of requests that a fault hurts, by subject, while it holds."""

    name: str
    about: str
    phases: list[PhaseSpan]
    windows: list[Window]
    hurt: dict[str, float]
    outcomes: list[str]
    slower: float = 1.0
    success: float = 99.5
    instances: int = 4
    faulty: int = 1
    twice: dict[str, int] = field(default_factory=dict)


PLANS = (
    Plan(
        name="one-hangs",
        about="One instance of four reads requests and answers none of them. A caller should hardly notice: "
        "whoever stands between can see the silence and go elsewhere.",
        phases=[PhaseSpan("warm-up", 0, 2, False, 200, 200), PhaseSpan("steady", 2, 20, True, 400, 400)],
        windows=[Window("hangs", "hang", 6, 14, "echo", [1])],
        hurt={"direct": 0.25, "meshproxy": 0.004, "envoy": 0.05, "haproxy": 0.11},
        outcomes=["timeout"],
        slower=1.6,
    ),
    Plan(
        name="flapping",
        about="An instance answers 503 for a second, every three seconds, and another resets 30 % of the connections "
        "that it has kept; half of the requests are writes, which must happen once.",
        phases=[PhaseSpan("phase 1", 0, 18, True, 300, 300)],
        windows=[
            *(Window("answers 503", "status", at, at + 1.0, "echo", [2]) for at in (3.0, 6.0, 9.0, 12.0, 15.0)),
            Window(
                RESETS,
                "reset",
                8,
                13,
                "echo",
                [3],
            ),
            Window("the control plane is killed", "control_plane", 10, 16),
        ],
        hurt={"direct": 0.31, "meshproxy": 0.02, "envoy": 0.03, "haproxy": 0.14},
        outcomes=["503", "reset", "closed"],
        faulty=2,
        twice={"envoy": 3, "haproxy": 1},
    ),
    Plan(
        name="overload-5x",
        about="Five times what the instances can serve, for five seconds. What is answered should be answered fast, "
        "and afterwards everything should be as before.",
        phases=[
            PhaseSpan("calm", 0, 5, True, 200, 200),
            PhaseSpan("climb", 5, 7, True, 200, 1000),
            PhaseSpan("overload", 7, 12, True, 1000, 1000),
            PhaseSpan("after", 12, 20, True, 200, 200),
        ],
        windows=[],
        hurt={"direct": 0.0, "meshproxy": 0.0, "envoy": 0.0, "haproxy": 0.0},
        outcomes=["503", "unsent", "timeout"],
        slower=40.0,
        success=45.0,
    ),
)


def comparison(rounds: int = 2, plans: tuple[Plan, ...] = PLANS, subjects: tuple[str, ...] = SUBJECTS) -> Comparison:
    """Runs interleaved as `meshload compare` does them."""
    results = [result(plan, subject, turn) for turn in range(1, rounds + 1) for plan in plans for subject in subjects]
    return Comparison(schema=SCHEMA, started="2026-05-04T09:30:00Z", results=results)


def result(plan: Plan, subject: str, turn: int = 1) -> Result:
    """One run, the same for the same arguments."""
    dice = random.Random(f"{plan.name} {subject} {turn}")
    bins = [_bin(plan, subject, at, dice) for at in _starts(plan)]
    summary = _summary(plan, bins)
    sent = sum(sum(each.counts.values()) - each.counts.get("unsent", 0) for each in bins)
    succeeded = sum(each.counts.get("200", 0) for each in bins)
    twice = plan.twice.get(subject, 0) * turn
    return Result(
        schema=SCHEMA,
        scenario=plan.name,
        subject=subject,
        round=turn,
        started=f"2026-05-04T09:3{turn}:12Z",
        seed=1,
        duration_s=plan.phases[-1].to_s,
        bin_s=BIN_S,
        text=f"name: {plan.name}\nabout: >\n  {plan.about}\nload:\n  phases:\n    - {{for: 20s, rate: 400/s}}\n",
        versions={"meshload": "0.1.0", "python": "3.11.2", "kernel": "6.1.0", **_program(subject)},
        cores=2,
        phases=plan.phases,
        windows=plan.windows,
        bins=bins,
        endpoints=[_endpoint(plan, subject, number, dice) for number in range(1, plan.instances + 1)],
        summary=summary,
        ledger=Ledger(
            is_known=True,
            sent=sent,
            succeeded=succeeded,
            failed=sent - succeeded,
            failed_executed=(sent - succeeded) // 3,
            repeated=int(sent * 0.01) if subject != "direct" else 0,
            executed_twice=twice * 2,
            writes=sent // 2 if plan.twice else 0,
            writes_repeated=twice,
            writes_executed_twice=twice,
            amplification=1.0 if subject == "direct" else 1.013,
            examples={"writes_executed_twice": [f"c0ffee-0-{1700 + n}" for n in range(twice)]} if twice else {},
        ),
        generator=Generator(1, Histogram({30: 9000, 90: 700, 400 + 10 * turn: 12}).percentiles(), 0.21, 61),
        usage=[]
        if subject == "direct"
        else [Usage(subject, BASE_US[subject] * 1e-7 * sent, 60_000 * BASE_US[subject])],
        configuration={}
        if subject == "direct"
        else {"command": f"{subject} --config here", f"{subject}.conf": "a: <b>\n"},
        verdicts=_verdicts(plan, summary, twice),
        is_judged=subject != "direct",
    )


def _program(subject: str) -> dict[str, str]:
    return (
        {}
        if subject == "direct"
        else {subject: {"meshproxy": "0.1.0", "envoy": "1.37.1", "haproxy": "2.6.12"}[subject]}
    )


def _starts(plan: Plan) -> list[float]:
    return [number * BIN_S for number in range(int(plan.phases[-1].to_s / BIN_S))]


def _rate(plan: Plan, at: float) -> float:
    phase = next(each for each in plan.phases if each.from_s <= at < each.to_s)
    return phase.rate_from + (phase.rate_to - phase.rate_from) * (at - phase.from_s) / (phase.to_s - phase.from_s)


def _share(plan: Plan, subject: str, at: float) -> float:
    """Of the requests of a bin, how many fail."""
    if not plan.windows:
        return max(0.0, 1 - 280 / _rate(plan, at)) * (0.98 if subject == "direct" else 0.9)
    holding = [each for each in plan.windows if each.from_s <= at < each.to_s and each.instances]
    return plan.hurt[subject] if holding else 0.0


def _bin(plan: Plan, subject: str, at: float, dice: random.Random) -> Bin:
    rate = _rate(plan, at)
    total = round(rate * BIN_S)
    failed = round(total * _share(plan, subject, at) * dice.uniform(0.8, 1.2))
    slow = plan.slower if _share(plan, subject, at) > 0 else 1.0
    ok: dict[int, int] = {}
    draws = min(total - failed, 60)
    for number in range(draws):
        alike = (total - failed + number) // draws
        value = int(BASE_US[subject] * slow * dice.lognormvariate(0, 0.35) * (8 if dice.random() < 0.012 else 1))
        ok[value] = ok.get(value, 0) + alike
    counts: dict[str, int] = {"200": total - failed}
    every = dict(ok)
    for _ in range(failed):
        word = dice.choices(plan.outcomes, [6, 2, 1][: len(plan.outcomes)])[0]
        counts[word] = counts.get(word, 0) + 1
        value = TIMEOUT_US if word in {"timeout", "unsent"} else 900
        every[value] = every.get(value, 0) + 1
    phase = next(number for number, each in enumerate(plan.phases) if each.from_s <= at < each.to_s)
    return Bin(
        at, phase, {word: n for word, n in counts.items() if n}, Histogram(ok).encode(), Histogram(every).encode()
    )


def _endpoint(plan: Plan, subject: str, number: int, dice: random.Random) -> Endpoint:
    bins = []
    for at in _starts(plan):
        is_hurt = any(each.from_s <= at < each.to_s and number in each.instances for each in plan.windows)
        avoided = is_hurt and subject != "direct"
        received = round(_rate(plan, at) * BIN_S / plan.instances * (0.08 if avoided else 1) * dice.uniform(0.93, 1.07))
        bins.append(EndpointBin(at, received, received, {"200": received}, {}))
    return Endpoint("echo", number, f"127.1.2.{number}:8080", bins)


def _merged(texts: list[str]) -> Histogram:
    found = Histogram()
    for text in texts:
        found.add(Histogram.decode(text))
    return found


def _summary(plan: Plan, bins: list[Bin]) -> Summary:
    measured = [each for each in bins if plan.phases[each.phase].measured]
    counts: dict[str, int] = {}
    for each in measured:
        for word, number in each.counts.items():
            counts[word] = counts.get(word, 0) + number
    requests = sum(counts.values())
    return Summary(
        requests=requests,
        success_percent=100 * counts["200"] / requests,
        per_second=requests / (len(measured) * BIN_S),
        counts=counts,
        latency=_merged([each.ok for each in measured]).percentiles(),
        latency_all=_merged([each.all for each in measured]).percentiles(),
    )


def _verdicts(plan: Plan, summary: Summary, twice: int) -> list[Verdict]:
    success, p99_ms = summary.success_percent, summary.latency.p99 / 1000
    return [
        Verdict("success", f"at least {plan.success:g} %", f"{success:.2f} %", success >= plan.success),
        Verdict("p99", "at most 50 ms", f"{p99_ms:.3g} ms", p99_ms <= 50),
        Verdict("writes executed twice", "none", str(twice), twice == 0),
    ]

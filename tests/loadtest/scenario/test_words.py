"""Parts of scenarios as people say them."""

import pytest

from loadtest.scenario import words
from loadtest.scenario.load import parse
from loadtest.scenario.model import KINDS


def scenario(**parts):
    given = {"load": "{phases: [{for: 8s, rate: 1/s}]}", **parts}
    return parse(
        "name: x\norigins: {echo: {instances: 4}}\n" + "\n".join(f"{name}: {text}" for name, text in given.items())
    )


FAULTS = {
    "status: 503": "answers 503",
    "status: 503, percent: 30": "answers 503 in 30 % of requests",
    "status: 503, percent: 0.5, reused: true": "answers 503 in 0.5 % of requests on reused connections",
    "delay: 300ms": "answers 300 ms later",
    "hang: true": "hangs",
    "slow_body: 2s": "takes 2 s to send a body",
    "truncate: true, percent: 10": "closes the connection in the middle of the body in 10 % of requests",
    "reset: before": "resets the connection before the work",
    "reset: after": "resets the connection after the work",
    "close: after, reused: true": "closes the connection after the work on reused connections",
    "idle_close: 5ms": "closes kept connections 5 ms after the answer",
    "refuse: true": "refuses connections",
    "black_hole: true": "is a black hole",
}


@pytest.mark.parametrize(("text", "told"), FAULTS.items(), ids=FAULTS)
def test_a_fault_is_what_an_instance_does(text, told):
    assert words.fault(scenario(faults=f"[{{for: 1s, {text}}}]").faults[0]) == told


def test_every_kind_of_fault_has_words():
    assert {text.partition(":")[0] for text in FAULTS} == set(KINDS)


def test_whom_it_is_about_is_singular():
    assert words.who("echo", [1]) == "echo 1"
    assert words.who("echo", [1], 4) == "echo 1 of 4"
    assert words.who("echo", [1, 2, 4]) == "each of echo 1, 2 and 4"
    assert words.who("echo", [1, 2], 4) == "each of echo 1 and 2 of 4"
    assert words.who("echo", None) == words.who("echo", []) == "every instance of echo"
    assert words.who("", []) == words.who(None, None) == "every instance"
    assert words.who("", [1, 2]) == "every instance numbered 1 and 2"


def test_changes():
    changes = scenario(
        changes="[{at: 1s, replace: {instance: 1}}, "
        "{at: 2s, replace: {instance: 2, told: after, lead: 1s, grace: 0s}}, "
        "{at: 3s, control_plane: away}, {at: 4s, control_plane: back}]"
    ).changes
    assert [words.change(change) for change in changes] == [
        "is replaced in order (told 500 ms before it stops, 1 s of grace)",
        "is replaced late (told 1 s after it stopped, 0 s of grace)",
        "the control plane is killed",
        "the control plane is started again",
    ]


def test_phases():
    phases = scenario(
        load="{phases: [{name: warm-up, for: 1s, rate: 300/s, measured: false}, {for: 1s, from: 1/s, to: 2k/s}, "
        "{for: 1s, from: 1/s, to: 9/s, steps: 3}]}"
    ).load.phases
    assert [words.phase(phase) for phase in phases] == [
        "warm-up: 300/s (not measured)",
        "1/s to 2000/s",
        "1/s to 9/s in 3 steps",
    ]
    closed = scenario(load="{mode: closed, phases: [{for: 1s, callers: 1}, {for: 1s, callers: 32}]}").load.phases
    assert [words.phase(phase) for phase in closed] == ["1 caller", "32 callers"]


def test_requests():
    requests = scenario(
        load="{phases: [{for: 8s, rate: 1/s}], requests: [{}, {method: POST, path: /a, body: 2KiB, read: 64KiB}, "
        "{method: PUT, text: 'für'}, {body: 0B}]}"
    ).load.requests
    assert [words.request(request) for request in requests] == [
        "GET /",
        "POST /a with 2 KiB, the answer read at 64 KiB a second",
        "PUT / with 4 B",
        "GET /",
    ]


def test_policies():
    assert words.policy(scenario().policy) == ""
    full = "{timeout: 2s, attempt_timeout: 500ms, retries: 1, retry_codes: [502, 503]}"
    assert words.policy(scenario(policy=full).policy) == (
        "2 s for a request, 500 ms for each attempt, at most 1 repetition, also after 502 and 503"
    )


def test_expectations():
    full = (
        "[{success: 99.9, p50: 1ms, p90: 2ms, p99: 3ms, p99_9: 4ms, max: 1s, repeated_writes: 0, lost: 2}, "
        "{success: 100}]"
    )
    told = [words.expectation(each) for each in scenario(expect=full).expect]
    assert told == [
        [
            "at least 99.9 % of requests succeed", "p50 at most 1 ms", "p90 at most 2 ms", "p99 at most 3 ms",
            "p99.9 at most 4 ms", "the slowest at most 1 s", "no write executed twice",
            "at most 2 requests answered with success and not executed",
        ],
        ["every request succeeds"],
    ]  # fmt: skip

"""What a careful reader would ask, and that nothing is asked of a scenario that is sound."""

import pytest

from loadtest.scenario.doubts import doubts
from loadtest.scenario.load import parse

BASE = {
    "name": "x",
    "origins": "{echo: {instances: 4, service_time: 10ms, concurrency: 8, queue: 8}}",
    "load": "{timeout: 3s, phases: [{name: warm-up, for: 1s, rate: 10/s, measured: false}, {for: 9s, rate: 100/s}]}",
}


def told(**parts):
    return doubts(parse("\n".join(f"{name}: {text}" for name, text in {**BASE, **parts}.items())))


def load(rest="", phase="{for: 10s, rate: 100/s}"):
    return f"{{timeout: 3s, phases: [{phase}]{rest}}}"


def test_a_sound_scenario_leaves_no_doubt():
    assert told() == []


DOUBTFUL = {
    "more load than capacity": (
        {"load": load(phase="{name: flood, for: 1s, from: 10/s, to: 16k/s}, {for: 1s, rate: 3200/s}")},
        ["phase flood offers echo 16000/s, 5 times the 3200/s that its instances can do together"],
    ),
    "more load than the share of an origin": (
        {
            "origins": "{a: {service_time: {exponential: 100ms}, concurrency: 1}, b: {}}",
            "load": load(", requests: [{weight: 1, to: a}, {weight: 3, to: b}]", "{for: 1s, rate: 60/s}"),
        },
        ["phase 1 offers a 15/s, 1.5 times the 10/s that its instances can do together"],
    ),
    "fewer connections than Little's law asks for": (
        {"origins": "{echo: {service_time: {uniform: [100ms, 300ms]}}}", "load": load(", connections: 19")},
        [
            ("phase 1 has about 20 requests to echo under way at a time, more than load.connections (19): "
            "the rest waits for a connection")
        ],
    ),
    "fewer connections than a queue holds": (
        {"load": load(", connections: 63", "{for: 1s, rate: 4k/s}")},
        [
            "phase 1 offers echo 4000/s, 1.25 times the 3200/s that its instances can do together",
            ("phase 1 has about 64 requests to echo under way at a time, more than load.connections (63): "
            "the rest waits for a connection"),
        ],
    ),
    "fewer connections than slow readers hold": (
        {
            "origins": "{echo: {body: 1MiB}}",
            "load": "{timeout: 5s, connections: 30, requests: [{weight: 9}, {read: 256KiB}], "
            "phases: [{for: 1s, rate: 100/s}]}",
        },
        [
            ("phase 1 has about 40 requests to echo under way at a time, more than load.connections (30): "
            "the rest waits for a connection")
        ],
    ),
    "fewer connections than wait for one that hangs": (
        {"faults": "[{at: 1s, for: 8s, instances: [2], hang: true}]", "load": load(", connections: 75")},
        [
            ("while echo 2 of 4 hangs, up to 76 requests wait at a time when nothing cuts them short, "
            "more than load.connections (75): others will wait for a connection as well")
        ],
    ),
    "what is left cannot do the work": (
        {
            "origins": "{echo: {instances: 4, service_time: 10ms, concurrency: 1}}",
            "load": load(phase="{for: 8s, rate: 350/s}"),
            "faults": "[{at: 1s, for: 2s, instances: [2], refuse: true}]",
        },
        ["while echo 2 of 4 refuses connections, the others can do 300/s together of 350/s"],
    ),
    "a fault that outlasts the load": (
        {"faults": "[{at: 1s, for: 1m, status: 503}]"},
        ["faults[0] would last until 1 m 1 s, but the load ends after 10 s"],
    ),
    "repetitions that outlast the load": (
        {"faults": "[{at: 1s, for: 1s, every: 2s, until: 12s, status: 503}]"},
        ["faults[0] would last until 12 s, but the load ends after 10 s"],
    ),
    "a fault that nobody measures": (
        {"faults": "[{for: 1s, status: 503}]"},
        ["faults[0] holds only while nothing is measured"],
    ),
    "a fault of an instance that comes later, and of one that is gone": (
        {
            "changes": "[{at: 5s, replace: {instance: 1}}]",
            "faults": "[{at: 2s, for: 1s, instances: [5], hang: true}, "
            "{at: 6s, for: 1s, instances: [1, 2], hang: true}]",
        },
        [
            "faults[0] is about echo 5, which is there only from 5 s on",
            "faults[1] is about echo 1, which is there only until 5.5 s",
        ],
    ),
    "a fault of an instance that comes and goes": (
        {
            "changes": "[{at: 2s, replace: {instance: 1}}, {at: 4s, replace: {instance: 5}}]",
            "faults": "[{at: 6s, for: 1s, instances: [5], hang: true}]",
        },
        ["faults[0] is about echo 5, which is there only from 2 s to 4.5 s"],
    ),
    "faults of kept connections, and none are kept": (
        {
            "load": load(", keep_alive: false"),
            "faults": "[{for: 1s, idle_close: 5ms}, {for: 1s, reused: true, close: before}]",
        },
        [
            "faults[0] is about kept connections, and load.keep_alive is false",
            "faults[1] is about kept connections, and load.keep_alive is false",
        ],
    ),
    "an empty body cut short": (
        {"origins": "{echo: {body: 0B}}", "faults": "[{for: 2s, truncate: true}]"},
        ["faults[0] cuts answers, and those of echo have no body to cut"],
    ),
    "a queue that nothing leads to": (
        {"origins": "{echo: {queue: 5}}"},
        ["origins.echo.queue has no effect without concurrency"],
    ),
    "an origin that nobody asks": ({"origins": "{echo: {}, other: {}}"}, ["nothing is sent to other"]),
    "an expectation of the warm-up, and one of what comes after the end": (
        {"expect": "[{to: 1s, success: 100}, {from: 10s, success: 100}, {from: 9s, to: 11s, success: 100}]"},
        [
            "expect[0] is of a time in which nothing is measured",
            "expect[1] is of a time in which nothing is measured",
            "expect[2] is of a time until 11 s, but the load ends after 10 s",
        ],
    ),
    "an expectation whose window begins and ends within bins": (
        {"expect": "[{from: 2100ms, to: 3250ms, success: 100}, {from: 2s, to: 2999ms, success: 100}]"},
        [
            "expect[0].from takes effect at 2.25 s: results are counted in bins of 250 ms",
            "expect[1].to takes effect at 3 s: results are counted in bins of 250 ms",
        ],
    ),
    "an expectation that cannot fail": (
        {"expect": "[{p99: 3s, p50: 2s, repeated_writes: 0}]"},
        [
            "expect[0].repeated_writes: no request is a write",
            "expect[0].p99 always holds: no success is slower than load.timeout",
        ],
    ),
    "time that is shorter than the work": (
        {"origins": "{echo: {service_time: {uniform: [1s, 3s]}}}", "policy": "{attempt_timeout: 500ms, timeout: 2s}"},
        [
            ("phase 2 has about 200 requests to echo under way at a time, more than load.connections (128): "
            "the rest waits for a connection"),
            "load.timeout (3 s) is not longer than the work of echo (3 s)",
            "policy.timeout (2 s) is not longer than the work of echo (3 s)",
            "policy.attempt_timeout (500 ms) is not longer than the work of echo (3 s)",
        ],
    ),
    "time that is shorter than the reading": (
        {"origins": "{echo: {body: 1MiB}}", "load": load(", requests: [{read: 256KiB}], connections: 512")},
        ["GET /, the answer read at 256 KiB a second: that takes 4 s, and load.timeout is 3 s"],
    ),
    "a policy that has no effect": (
        {"policy": "{timeout: 3s, retry_codes: [503]}"},
        [
            "policy.retry_codes has no effect while policy.retries is 0",
            "policy.timeout is 3 s, load.timeout 3 s: callers give up before it can be seen",
        ],
    ),
    "attempts without time": (
        {"policy": "{timeout: 1s, attempt_timeout: 500ms, retries: 2}"},
        ["policy.timeout (1 s) ends a request before all of its attempts (3 x 500 ms)"],
    ),
    "a replacement that is not done in time": (
        {"changes": "[{at: 9s, replace: {instance: 1}}, {at: 9s, replace: {instance: 2, told: after, lead: 1s}}]"},
        ["changes[0] is done after 10.5 s, but the load ends after 10 s"],
    ),
    "a control plane that comes back before it went": (
        {"changes": "[{at: 5s, control_plane: away}, {at: 4s, control_plane: back}, {at: 6s, control_plane: away}]"},
        ["changes[1]: the control plane is there already", "changes[2]: the control plane is away already"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("parts", "expected"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_is_doubtful_is_said(parts, expected):
    assert told(**parts) == expected


def test_a_closed_loop_offers_no_more_than_there_is_time_for():
    assert told(load="{mode: closed, timeout: 3s, phases: [{for: 1s, callers: 500}]}") == []

"""A scenario told in words."""

from loadtest.scenario.explain import explain
from loadtest.scenario.load import parse

SHOP = """
name: shop
about: |
  Two services,
  and much goes wrong.
origins:
  echo: {instances: 4, service_time: 5ms, concurrency: 2, queue: 8, body: 2KiB}
  cart: {service_time: {exponential: 10ms}}
faults:
  - {at: 6s, for: 1s, hang: true}
  - {at: 1s, for: 1s, every: 2s, until: 9s, origin: echo, instances: [1], status: 503, percent: 30}
  - {at: 2s, for: 3s, origin: cart, refuse: true}
changes:
  - {at: 5s, replace: {instance: 3, told: after, lead: 1s}}
  - {at: 4s, replace: {instance: 2}}
  - {at: 2s, control_plane: away}
load:
  timeout: 3s
  connections: 512
  requests:
    - {weight: 3}
    - {method: POST, path: /cart, body: 256B, to: cart}
  phases:
    - {name: warm-up, for: 1s, rate: 100/s, measured: false}
    - {for: 9s, from: 100/s, to: 400/s}
policy: {timeout: 2s, retries: 1}
judged: [meshproxy]
expect:
  - {success: 99, repeated_writes: 0}
  - {from: 5s, success: 100, p99: 50ms}
  - {to: 2s, max: 1s}
"""

TOLD = """\
shop: Two services, and much goes wrong.

Built
  echo: 4 instances; 5 ms for a request, 2 at once and 8 more waiting: 400/s each, 1600/s in sum; answers of 2 KiB
  cart: 1 instance; 10 ms on average (exponential) for a request, any number at once; answers of 64 B

Load
  open loop: sent when due, evenly spread, over at most 512 connections to each origin
  3 s for each request; 2xx and 3xx count as success; seed 1
  from 0 s to 1 s: warm-up: 100/s (not measured)
  from 1 s to 10 s: 100/s to 400/s
  75 % GET / to echo
  25 % POST /cart with 256 B to cart

Timeline
  from 1 s every 2 s for 1 s, until 9 s: echo 1 of 4 answers 503 in 30 % of requests
  at 2 s for 3 s: every instance of cart refuses connections
  at 2 s: the control plane is killed
  at 4 s: echo 2 is replaced in order (told 500 ms before it stops, 1 s of grace); echo 5 comes
  at 5 s: echo 3 is replaced late (told 1 s after it stopped, 1 s of grace); echo 6 comes
  at 6 s for 1 s: every instance hangs

Asked of every subject that can
  2 s for a request, at most 1 repetition

Expected of meshproxy
  at least 99 % of requests succeed and no write executed twice
  every request succeeds and p99 at most 50 ms, of what is sent from 5 s on
  the slowest at most 1 s, of what is sent until 2 s"""


def test_a_scenario_is_told_from_what_is_built_to_what_is_expected():
    assert explain(parse(SHOP)) == TOLD


LEAST = """\
least

Built
  echo: 1 instance; 0 s for a request, any number at once; answers of 64 B

Load
  closed loop: each caller sends when it was answered, over a new connection each time
  5 s for each request; 200 count as success; seed 7
  from 0 s to 1 m 30 s: 1 caller
  100 % GET /

Timeline
  nothing but the load

Doubtful
  faults[0] is about kept connections, and load.keep_alive is false"""


def test_what_is_not_given_is_not_told_and_doubts_come_last():
    text = (
        "name: least\nseed: 7\n"
        "load: {mode: closed, keep_alive: false, success: [200], phases: [{for: 90s, callers: 1}]}\n"
    )
    expected = LEAST.partition("\n\nDoubtful")
    assert explain(parse(text)) == expected[0]
    fault = "at 0 s for 1 s: every instance of echo closes kept connections 5 ms after the answer"
    with_fault = explain(parse(f"{text}faults: [{{for: 1s, idle_close: 5ms}}]"))
    assert with_fault == LEAST.replace("nothing but the load", fault)


def test_a_generator_that_never_sleeps_is_told():
    text = "name: x\nload: {busy_poll: true, phases: [{for: 8s, rate: 1/s}]}\n"
    assert "  the generator waits without sleeping (busy_poll)\n" in explain(parse(text))


def test_an_instance_among_others_is_told_with_their_number():
    text = "name: x\norigins: {a: {instances: 3}}\nfaults: [{for: 1s, instances: [1, 3], hang: true}]\n"
    told = explain(parse(f"{text}load: {{phases: [{{for: 1s, rate: 1/s}}]}}"))
    assert "  at 0 s for 1 s: each of a 1 and 3 of 3 hangs\n" in f"{told}\n"

"""Wrong files: every mistake is told in its line and column, with what would be allowed."""

import re

import pytest

from loadtest.scenario.allowed import PATTERNS
from loadtest.scenario.load import ScenarioError, parse, read
from loadtest.scenario.model import Scenario

FIELDS = "name, about, seed, origins, faults, changes, load, policy, subjects, judged, expect"
DURATION = "a duration is numbers with units: us, ms, s, m, h; for example 250ms or 1m30s"
LOAD = "load: {phases: [{for: 8s, rate: 100/s}]}"


def problems(text):
    with pytest.raises(ScenarioError) as caught:
        parse(text, "x.yaml")
    return str(caught.value).splitlines()


WRONG = {
    "a field that does not exist": (
        f"name: x\n{LOAD}\nfautls: []\n",
        [f"x.yaml:3:1: fautls: there is no such field; did you mean faults? allowed: {FIELDS}"],
    ),
    "one that resembles none": (
        f"name: x\n{LOAD}\npolicy:\n  zzz: 1\n",
        ["x.yaml:4:3: policy.zzz: there is no such field; allowed: timeout, attempt_timeout, retries, retry_codes"],
    ),
    "a field that is missing, in the line of its object": (
        f"name: x\n{LOAD}\nfaults:\n\n  - hang: true\n",
        ["x.yaml:5:5: faults[0].for: it is missing: a duration above 0 s, 24 h at most, for example 250ms or 1m30s"],
    ),
    "a duration without a unit": (
        f"name: x\n{LOAD}\nfaults:\n  - at: 5\n    for: 1s\n    hang: true\n",
        [f"x.yaml:4:9: faults[0].at: {DURATION}; not 5"],
    ),
    "what an older YAML reads as minutes": (
        f"name: x\n{LOAD}\nfaults:\n  - {{for: 1:30, hang: true}}\n",
        [f'x.yaml:4:11: faults[0].for: {DURATION}; not the text "1:30"'],
    ),
    "what an older YAML reads as true": (
        f"name: x\n{LOAD}\nfaults:\n  - {{for: 1s, hang: on}}\n",
        ['x.yaml:4:21: faults[0].hang: true, or left out; not the text "on"'],
    ),
    "what an older YAML reads as false": (
        "name: x\nload:\n  keep_alive: no\n  phases: [{for: 8s, rate: 1/s}]\n",
        ['x.yaml:3:15: load.keep_alive: true or false; not the text "no"'],
    ),
    "a closed loop that is to wait without sleeping": (
        "name: x\nload: {mode: closed, busy_poll: true, phases: [{for: 8s, callers: 1}]}\n",
        [
            "x.yaml:2:33: load.busy_poll: it goes with mode open; callers of a closed loop wait for answers alone",
        ],
    ),
    "what an older YAML reads as octal": (
        f"name: x\n{LOAD}\norigins: {{echo: {{instances: 010}}}}\n",
        ['x.yaml:3:29: origins.echo.instances: a whole number from 1 to 200; not the text "010"'],
    ),
    "nothing": (
        f"name: x\n{LOAD}\norigins:\n  echo:\n    queue:\n",
        ["x.yaml:5:11: origins.echo.queue: a whole number from 0 to 100000; not nothing"],
    ),
    "a number that is too large": (
        "name: x\nload: {connections: 99999, phases: [{for: 8s, rate: 1/s}]}\n",
        ["x.yaml:2:21: load.connections: a whole number from 1 to 20000; not 99999"],
    ),
    "a number that is not whole": (
        f"name: x\n{LOAD}\npolicy: {{retries: 1.5}}\n",
        ["x.yaml:3:19: policy.retries: a whole number from 0 to 10; not 1.5"],
    ),
    "a percentage of nothing": (
        f"name: x\n{LOAD}\nfaults: [{{for: 1s, status: 503, percent: 0}}]\n",
        ["x.yaml:3:42: faults[0].percent: a number above 0, 100 at most; not 0"],
    ),
    "a duration that is too long": (
        f"name: x\n{LOAD}\nfaults: [{{for: 99h, hang: true}}]\n",
        [
            (
                "x.yaml:3:16: faults[0].for: a duration above 0 s, 24 h at most, for example 250ms or 1m30s; "
                'not the text "99h"'
            )
        ],
    ),
    "a rate of nothing": (
        "name: x\nload: {phases: [{for: 8s, rate: 0/s}]}\n",
        [
            (
                "x.yaml:2:33: load.phases[0].rate: a rate above 0/s, 1000000/s at most, for example 400/s or 2.5k/s; "
                'not the text "0/s"'
            )
        ],
    ),
    "a size that is too large, also for a float": (
        f"name: x\n{LOAD}\norigins: {{echo: {{body: 65MiB}}, other: {{body: {'9' * 400}B}}}}\n",
        [
            'x.yaml:3:24: origins.echo.body: a size from 0 B to 64 MiB, for example 64KiB; not the text "65MiB"',
            (
                "x.yaml:3:46: origins.other.body: a size is a number with a unit: B, KiB, MiB; for example 64KiB; "
                f'not the text "{"9" * 40}..."'
            ),
        ],
    ),
    "a word that is not one of those": (
        "name: x\nload:\n  mode: opne\n  phases: [{for: 8s, rate: 1/s}]\n",
        ['x.yaml:3:9: load.mode: open or closed; not the text "opne"'],
    ),
    "text instead of a list": (
        f"name: x\n{LOAD}\njudged: meshproxy\n",
        ['x.yaml:3:9: judged: a list of at most 50 entries; not the text "meshproxy"'],
    ),
    "a list instead of a mapping": (
        f"name: x\n{LOAD}\npolicy:\n  - retries\n",
        ["x.yaml:3:1: policy: a mapping of timeout, attempt_timeout, retries, retry_codes; not a list of 1"],
    ),
    "a number instead of text": (
        f"name: x\n{LOAD}\nabout: 5\n",
        ["x.yaml:3:8: about: text without control characters, at most 2000 characters; not 5"],
    ),
    "a file that is a list": ("- name: x\n", [f"x.yaml:1:1: a mapping of {FIELDS}; not a list of 1"]),
    "text that a terminal would obey": (
        f'name: x\nabout: "a\\e[31m"\n{LOAD}\n',
        ['x.yaml:2:8: about: text without control characters, at most 2000 characters; not the text "a\\u001b[31m"'],
    ),
    "a name in capitals": (
        f"name: X\n{LOAD}\norigins: {{Echo: {{}}}}\n",
        [
            (
                "x.yaml:1:7: name: a name of lower-case letters, digits and dashes after the first, 64 at most; "
                'not the text "X"'
            ),
            'x.yaml:3:11: origins.Echo: a name of lower-case letters, digits and dashes within, 63 at most; not "Echo"',
        ],
    ),
    "a service time that is none": (
        f"name: x\n{LOAD}\norigins:\n  a: {{service_time: 5}}\n  b: {{service_time: 5}}\n  c: {{service_time: 5sec}}\n",
        [
            (
                "x.yaml:4:21: origins.a.service_time: a service time is a duration, or exactly one of fixed, uniform, "
                "exponential"
            ),
            (
                "x.yaml:5:21: origins.b.service_time: a service time is a duration, or exactly one of fixed, uniform, "
                "exponential"
            ),
            f'x.yaml:6:21: origins.c.service_time: {DURATION}; not the text "5sec"',
        ],
    ),
    "a service time from much to little": (
        f"name: x\n{LOAD}\norigins: {{a: {{service_time: {{uniform: [2s, 1s]}}}}}}\n",
        ["x.yaml:3:30: origins.a.service_time.uniform: [least, most], the least first"],
    ),
    "two kinds of fault": (
        f"name: x\n{LOAD}\nfaults:\n  - for: 1s\n    hang: true\n    refuse: true\n",
        [
            (
                "x.yaml:4:5: faults[0]: a fault is exactly one of status, delay, hang, slow_body, truncate, reset, "
                "close, idle_close, refuse, black_hole; given: hang, refuse"
            )
        ],
    ),
    "a repetition without an end, and one without a pause": (
        (
            f"name: x\n{LOAD}\nfaults:\n  - {{for: 1s, every: 2s, hang: true}}\n"
            "  - {for: 2s, until: 5s, every: 1s, hang: true}\n  - {at: 6s, for: 1s, until: 5s, every: 2s, hang: true}\n"
        ),
        [
            "x.yaml:4:5: faults[0]: every and until go together",
            "x.yaml:5:33: faults[1].every: it has to be longer than for",
            "x.yaml:6:30: faults[2].until: it has to be later than at",
        ],
    ),
    "more repetitions than anybody counts": (
        f"name: x\n{LOAD}\nfaults:\n  - {{for: 1us, every: 2us, until: 24h, hang: true}}\n",
        ["x.yaml:4:23: faults[0].every: at most 10000 repetitions until then are allowed"],
    ),
    "origins and instances that do not exist, all of them": (
        (
            "name: x\nfaults:\n  - {for: 1s, hang: true, origin: no}\n  - {for: 1s, hang: true, instances: [1, 2]}\n"
            "changes:\n  - {at: 1s, replace: {origin: nix, instance: 1}}\n"
            "load:\n  requests: [{to: nobody}]\n  phases: [{for: 8s, rate: 1/s}]\n"
        ),
        [
            "x.yaml:3:35: faults[0].origin: there is no origin no; allowed: echo",
            "x.yaml:4:42: faults[1].instances[1]: there is no instance 2; allowed: 1 to 1",
            "x.yaml:6:32: changes[0].replace.origin: there is no origin nix; allowed: echo",
            "x.yaml:8:19: load.requests[0].to: there is no origin nobody; allowed: echo",
        ],
    ),
    "what would happen after the end": (
        (
            f"name: x\n{LOAD}\nfaults:\n  - {{at: 8s, for: 1s, hang: true}}\nchanges:\n  - at: 1m\n"
            "    control_plane: back\n"
        ),
        [
            "x.yaml:4:10: faults[0].at: the load ends after 8 s",
            "x.yaml:6:9: changes[0].at: the load ends after 8 s",
        ],
    ),
    "an instance that is replaced before it is there, and twice": (
        (
            f"name: x\n{LOAD}\nchanges:\n  - {{at: 2s, replace: {{instance: 2}}}}\n"
            "  - {at: 3s, replace: {instance: 1}}\n  - {at: 4s, replace: {instance: 1}}\n"
        ),
        [
            "x.yaml:4:34: changes[0].replace.instance: there is no instance 2 at 2 s; allowed: 1 to 1",
            "x.yaml:6:34: changes[2].replace.instance: instance 1 is replaced at 3 s already",
        ],
    ),
    "more instances than there are addresses": (
        f"name: x\n{LOAD}\norigins: {{a: {{instances: 150}}, b: {{instances: 51}}}}\n",
        ["x.yaml:3:1: origins: at most 200 instances are allowed, replacements included"],
    ),
    "an instance that would come and go at the very beginning": (
        (
            f"name: x\n{LOAD}\nchanges:\n  - {{at: 0s, replace: {{instance: 1}}}}\n"
            "  - {at: 0s, replace: {instance: 2}}\n"
        ),
        ["x.yaml:5:34: changes[1].replace.instance: there is no instance 2 at 0 s; allowed: 1 to 1"],
    ),
    "the same twice": (
        (
            "name: x\nsubjects:\n  - direct\n  - envoy\n  - direct\n"
            "faults: [{for: 1s, hang: true, instances: [1, 1]}]\n"
            "policy: {retries: 1, retry_codes: [503, 502, 503]}\n"
            "load: {success: [200, 2xx, '200'], phases: [{for: 8s, rate: 1/s}]}\n"
        ),
        [
            "x.yaml:5:5: subjects[2]: it is given twice, first in subjects[0]",
            "x.yaml:6:47: faults[0].instances[1]: it is given twice, first in faults[0].instances[0]",
            "x.yaml:7:46: policy.retry_codes[2]: it is given twice, first in policy.retry_codes[0]",
            "x.yaml:8:28: load.success[2]: it is given twice, first in load.success[0]",
        ],
    ),
    "subjects without a name": (
        f"name: x\n{LOAD}\nsubjects: ['']\njudged:\n  - ''\n",
        [
            'x.yaml:3:12: subjects[0]: text, not empty; not the text ""',
            'x.yaml:5:5: judged[0]: text, not empty; not the text ""',
        ],
    ),
    "more repetitions in sum than anybody counts": (
        (
            "name: x\nload: {phases: [{for: 2h, rate: 1/s}]}\nfaults:\n"
            "  - {for: 500ms, every: 1s, until: 6000s, hang: true}\n"
            "  - {for: 500ms, every: 1s, until: 4001s, hang: true}\n"
        ),
        ["x.yaml:3:1: faults: at most 10000 are allowed, repetitions included, and these are 10001"],
    ),
    "a method and a path that are never sent": (
        (
            "name: x\nload:\n  requests:\n    - {method: CONNECT}\n    - {path: '/a#b'}\n"
            "  phases: [{for: 8s, rate: 1/s}]\n"
        ),
        [
            "x.yaml:4:16: load.requests[0].method: CONNECT asks for a tunnel (RFC 9110 9.3.6), which is not measured",
            (
                "x.yaml:5:14: load.requests[1].path: a path that begins with / and has no spaces and no #, "
                'at most 8192 characters; not the text "/a#b"'
            ),
        ],
    ),
    "references beside other mistakes": (
        (
            "name: x\nfaults:\n  - {for: 1, hang: true, origin: nix}\n  - {for: 1s, hang: true, origin: nix}\n"
            "load: {phases: [{for: 8s, rate: 1/s}]}\nseed: x\n"
        ),
        [
            f"x.yaml:3:11: faults[0].for: {DURATION}; not 1",
            "x.yaml:4:35: faults[1].origin: there is no origin nix; allowed: echo",
            'x.yaml:6:7: seed: a whole number from 0 to 9223372036854775807; not the text "x"',
        ],
    ),
    "no second mistake is made up from a first one": (
        (
            "name: x\norigins:\n  echo: {instances: many}\n"
            "faults:\n  - {at: 9s, for: 1s, hang: true, instances: [3]}\n"
            "changes:\n  - {at: 1s, replace: {instance: 7, told: never}}\n  - {at: 2s, replace: {instance: 4}}\n"
            "load:\n  phases:\n    - {for: x, rate: 1/s}\n"
        ),
        [
            'x.yaml:3:21: origins.echo.instances: a whole number from 1 to 200; not the text "many"',
            'x.yaml:7:43: changes[0].replace.told: before or after; not the text "never"',
            f'x.yaml:11:13: load.phases[0].for: {DURATION}; not the text "x"',
        ],
    ),
    "headers that are the generator's, or none": (
        (
            'name: x\nload:\n  requests:\n    - headers:\n        Connection: a\n    - headers: {x-a.b: " b"}\n'
            "    - headers: {'a b': c}\n    - {body: 1B, text: a}\n    - headers: {x: 1}\n"
            "    - headers: {host: a, Host: b}\n"
            "  phases: [{for: 8s, rate: 1/s}]\n"
        ),
        [
            "x.yaml:5:21: load.requests[0].headers.Connection: it is set by the generator",
            (
                "x.yaml:6:7: load.requests[1].headers: headers.x-a.b: "
                "a value is printable ASCII without space around it (RFC 9110 5.5)"
            ),
            "x.yaml:7:7: load.requests[2].headers: a name is letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 5.6.2)",
            "x.yaml:8:7: load.requests[3]: body and text do not go together",
            "x.yaml:9:20: load.requests[4].headers.x: text; not 1",
            "x.yaml:10:7: load.requests[5].headers: there is one Host (RFC 9112 3.2)",
        ],
    ),
    "phases that do not fit the mode": (
        (
            "name: x\nload:\n  phases:\n    - {for: 1s, rate: 1/s}\n    - {for: 1s, callers: 1, measured: false}\n"
            "    - {for: 1s, from: 1/s}\n    - {for: 1s}\n"
        ),
        [
            "x.yaml:6:7: load.phases[2]: from and to go together",
            "x.yaml:7:7: load.phases[3]: a phase has exactly one of rate, from and to, callers",
        ],
    ),
    "a phase with callers in an open loop, and nothing measured": (
        "name: x\nload:\n  phases:\n    - {for: 1s, callers: 1, measured: false}\n",
        [
            "x.yaml:3:3: load.phases: at least one phase has to be measured",
            "x.yaml:4:7: load.phases[0]: with mode closed every phase has callers, with mode open none",
        ],
    ),
    "more processes than connections": (
        "name: x\nload:\n  connections: 3\n  processes: 4\n  phases: [{for: 1s, rate: 1/s}]\n",
        ["x.yaml:4:14: load.processes: at most load.connections, because each process has one; not 4"],
    ),
    "a status of six hundred": (
        "name: x\nload:\n  success: [200, 600]\n  phases: [{for: 1s, rate: 1/s}]\n",
        ["x.yaml:3:18: load.success[1]: a status like 200, or a class like 2xx; not 600"],
    ),
    "an expectation of nothing, and one of a window of whole runs": (
        f"name: x\n{LOAD}\nexpect:\n  - from: 1s\n  - {{from: 1s, lost: 0}}\n  - {{from: 2s, to: 1s, success: 1}}\n",
        [
            (
                "x.yaml:4:5: expect[0]: an expectation names at least one of success, p50, p90, p99, p99_9, max, "
                "repeated_writes, lost"
            ),
            "x.yaml:5:5: expect[1]: repeated_writes and lost are of whole runs: they do not go with from and to",
            "x.yaml:6:20: expect[2].to: it has to be later than from",
        ],
    ),
    "a field given twice, with both lines": (
        f"name: x\n{LOAD}\nfaults:\n  - at: 1s\n    for: 1s\n    at: 99\n    hang: true\n",
        ["x.yaml:6:5: faults[0].at: it is given twice, first in line 4"],
    ),
    "a path in another alphabet, and one of a terminal": (
        f'name: x\n{LOAD}\n"über uns": 1\n"\\e[31m": 1\n',
        [
            f'x.yaml:3:1: "über uns": there is no such field; allowed: {FIELDS}',
            f'x.yaml:4:1: "\\u001b[31m": there is no such field; allowed: {FIELDS}',
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_told_where_it_is_with_what_is_allowed(text, expected):
    assert problems(text) == expected


def test_an_alias_is_read_and_a_mistake_in_it_told_where_it_is_written():
    text = f"name: x\n{LOAD}\nfaults:\n  - &first {{for: 1s, hang: true}}\n  - *first\n"
    assert [fault.kind for fault in parse(text).faults] == ["hang", "hang"]
    told = problems(text.replace("1s", "1"))
    assert [line.partition(" a duration")[0] for line in told] == [
        "x.yaml:4:18: faults[0].for:",
        "x.yaml:4:18: faults[1].for:",
    ]


def test_a_status_may_be_a_number():
    assert parse("name: x\nload: {success: [200, 3xx, '404'], phases: [{for: 1s, rate: 1/s}]}").load.success == [
        "200",
        "3xx",
        "404",
    ]


def test_very_many_problems_are_counted():
    text = f"name: x\n{LOAD}\n" + "".join(f"field{number}: 1\n" for number in range(60))
    told = problems(text)
    assert len(told) == 51
    assert told[-1] == "x.yaml: and 10 problems more"


def test_every_pattern_of_the_model_is_known_in_words():
    def patterns(schema):
        if isinstance(schema, dict):
            yield from schema.get("patternProperties", {})
            yield from (value for key, value in schema.items() if key == "pattern")
            schema = list(schema.values())
        if isinstance(schema, list):
            for each in schema:
                yield from patterns(each)

    assert set(patterns(Scenario.model_json_schema())) == set(PATTERNS)


def test_a_file_is_read_with_its_text(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(f"name: x\nabout: für alle\n{LOAD}\n", encoding="utf-8")
    text, scenario = read(path)
    assert text == path.read_text(encoding="utf-8")
    assert (scenario.name, scenario.about, scenario.duration_s) == ("x", "für alle", 8.0)


UNREADABLE = {
    "bytes of another encoding": (b"name: x\nabout: f\xfcr alle\n", ":2:9: it is not UTF-8 text"),
    "bytes after letters of several bytes": (
        "name: x\nabout: für ".encode() + b"\xff\n",
        ":2:12: it is not UTF-8 text",
    ),
    "bytes after another line break": (b"name: x\r\xff\n", ":2:1: it is not UTF-8 text"),
    "a program": (b"\x7fELF\x02\x01\x01\x00", ":1:1: the character U+007F is not allowed in YAML"),
    "a compressed file": (b"\x1f\x8b\x08\x00abc", ":1:2: it is not UTF-8 text"),
    "too much": (b"#" * (1024 * 1024 + 1), ": it is too large: 1 MiB is the most"),
    "nothing": (b"", ":1:1: the file is empty"),
    "comments alone": (b"# nothing\n", ":1:1: the file is empty"),
}


@pytest.mark.parametrize(("data", "expected"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_is_no_text_is_refused(tmp_path, data, expected):
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    with pytest.raises(ScenarioError) as caught:
        read(path)
    assert str(caught.value) == f"{path}{expected}"


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path):
    for path, reason in ((tmp_path / "x", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ScenarioError) as caught:
            read(path)
        assert str(caught.value) == f"{path}: it cannot be read: {reason}"


@pytest.mark.parametrize("text", [text for text, _ in WRONG.values()], ids=WRONG)
def test_what_is_told_to_be_there_stands_at_that_line_and_column(text):
    with pytest.raises(ScenarioError) as caught:
        parse(text)
    for problem in caught.value.problems:
        there = text.splitlines()[problem.line - 1][problem.column - 1 :]
        if value := re.search(r'; not (?:the text )?("?)([\w:/]+)\1$', problem.message.replace("not nothing", "")):
            assert there.startswith(value[2])
        if "no such field" in problem.message and not problem.path.endswith('"'):
            assert there.startswith(problem.path.rpartition(".")[2] + ":")

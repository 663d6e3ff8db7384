"""Whatever is done to a file, it is a scenario or is refused with places in it; and what is written is what is read."""

import copy
import re
from pathlib import Path

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

import loadtest
from loadtest.scenario.doubts import doubts
from loadtest.scenario.explain import explain
from loadtest.scenario.lines import read, write
from loadtest.scenario.load import ScenarioError, parse
from loadtest.scenario.model import Scenario

SUITE = [path.read_text() for path in sorted((Path(loadtest.__file__).parent / "scenarios").glob("*.yaml"))]
LOADED = [yaml.safe_load(text) for text in SUITE]
RAW = re.compile(r"Input should|Value error|pydantic|https?://|valid dictionary|Traceback|None|True|False|\{'|\['")


def check(text):
    """A scenario that can be told in words, or problems that people can find."""
    error = None
    try:
        explain(parse(text))
    except ScenarioError as refused:
        error = refused
    if error is not None:
        lines = re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text)
        assert error.problems
        assert error.problems == sorted(error.problems)
        for problem in error.problems:
            assert 1 <= problem.line <= len(lines)
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
            assert problem.message
        assert all(line.isprintable() for line in str(error).split("\n"))
        # only what is not quoted from the file
        assert not RAW.search(re.sub(r'"[^"]*"', "", "\n".join(problem.message for problem in error.problems)))


def places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for step in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[step], (*path, step))


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12),
    st.sampled_from(["1s", "0s", "25h", "400/s", "1KiB", "5", "echo", "on", "1:30", "before", "GET", "/"]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
)


@st.composite
def mutated(draw):
    value = copy.deepcopy(draw(st.sampled_from(LOADED)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(value))[1:] or [()]))
        if not path:
            break
        holder = value
        for step in path[:-1]:
            holder = holder[step]
        match draw(st.sampled_from(["delete", "rename", "retype", "repeat"])):
            case "delete":
                del holder[path[-1]]
            case "rename" if isinstance(holder, dict):
                holder[draw(st.one_of(st.text(max_size=5), st.integers(), st.just(f"{path[-1]}x")))] = holder.pop(
                    path[-1]
                )
            case "repeat" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[path[-1]]))
            case _:
                holder[path[-1]] = draw(values)
    return value


@settings(deadline=None, max_examples=150)
@given(mutated(), st.booleans())
def test_a_node_that_is_deleted_renamed_or_of_another_type(value, flow):
    check(yaml.dump(value, Dumper=yaml.CSafeDumper, default_flow_style=flow, allow_unicode=True, sort_keys=False))


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(SUITE),
    st.lists(
        st.tuples(
            st.integers(0, 3000),
            st.integers(0, 4),
            st.one_of(st.text(max_size=3), st.sampled_from("\t:-[]{}&*!|>'\"%@`,#?\n\r\0")),
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_characters_that_are_taken_out_or_put_in(text, cuts):
    for at, length, put in cuts:
        text = text[:at] + put + text[at + length :]
    check(text)


durations = st.integers(1, 20_000).map(lambda ms: f"{ms}ms")
rates = st.one_of(
    st.integers(1, 99_999).map(lambda rate: f"{rate}/s"), st.integers(1, 90).map(lambda rate: f"{rate}.5k/s")
)
sizes = st.tuples(st.integers(0, 1000), st.sampled_from(["B", "KiB"])).map(lambda size: f"{size[0]}{size[1]}")
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


def some(**optional):
    return st.fixed_dictionaries({}, optional=optional)


plain = st.characters(exclude_categories=["C"])
service_times = st.one_of(
    durations,
    st.fixed_dictionaries({"exponential": durations}),
    st.just({"uniform": ["1ms", "20ms"]}),
)
origins = some(
    instances=st.integers(1, 6),
    service_time=service_times,
    concurrency=st.integers(1, 64),
    queue=st.integers(0, 64),
    body=sizes,
)
kinds = st.sampled_from([
    {"status": 503}, {"delay": "5ms"}, {"hang": True}, {"slow_body": "1s"}, {"truncate": True}, {"reset": "before"},
    {"close": "after"}, {"idle_close": "5ms"}, {"refuse": True}, {"black_hole": True},
])  # fmt: skip
windows = st.sampled_from([
    {"for": "1s"}, {"at": "300ms", "for": "3s"}, {"at": "100ms", "for": "1s", "every": "2s", "until": "8s"},
])  # fmt: skip
requests = some(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]), path=st.just("/a?b=c"), weight=st.floats(0.01, 100),
    headers=st.dictionaries(st.sampled_from(["accept", "x-a"]), st.sampled_from(["", "*/*", "a b"])),
    read=st.just("4KiB"), body=sizes,
)  # fmt: skip
expectations = st.fixed_dictionaries(
    {"success": st.floats(0, 100)},
    optional={"p50": durations, "p99_9": durations, "max": durations, "from": st.just("0s")},
)


@st.composite
def written(draw):
    names_ = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    closed = draw(st.booleans())
    pace = some(name=st.text(plain, max_size=10)).flatmap(
        lambda named: st.one_of(
            st.integers(1, 50).map(lambda callers: {"callers": callers})
            if closed
            else st.one_of(rates.map(lambda rate: {"rate": rate}), st.just({"from": "1/s", "to": "9/s", "steps": 3}))
        ).map(lambda pace: {**named, **pace})
    )
    phase = st.tuples(st.sampled_from(["500ms", "3s", "1m"]), pace).map(lambda each: {"for": each[0], **each[1]})
    to = some(to=st.sampled_from(names_))
    fault = st.tuples(windows, kinds, some(origin=st.sampled_from(names_), instances=st.just([1]))).map(
        lambda parts: {key: value for part in parts for key, value in part.items()}
    )
    return {
        "name": draw(names),
        "about": draw(st.text(plain, max_size=30)),
        "seed": draw(st.integers(0, 2**63 - 1)),
        "origins": {name: draw(origins) for name in names_},
        "faults": draw(st.lists(fault, max_size=4)),
        "changes": draw(st.lists(st.just({"at": "100ms", "control_plane": "away"}), max_size=1)),
        "load": {
            "mode": "closed" if closed else "open",
            "timeout": draw(durations),
            "requests": draw(
                st.lists(st.tuples(requests, to).map(lambda parts: {**parts[0], **parts[1]}), min_size=1, max_size=4)
            ),
            "phases": draw(st.lists(phase, min_size=1, max_size=3)),
        },
        "policy": draw(some(timeout=durations, attempt_timeout=durations, retries=st.integers(0, 10))),
        "expect": draw(st.lists(expectations, max_size=3)),
    }


@settings(deadline=None, max_examples=60)
@given(st.from_regex(r"[-+]?[0-9a-fox_.:eE+-]{1,6}|~|null|on|no|True|=|<<|", fullmatch=True), st.booleans())
@example("1e5", False)
@example("0o17", False)
def test_text_that_looks_like_something_else_is_written_as_text(text, flow):
    assert read(write({text: [text]}, flow=flow)).value == {text: [text]}


@settings(deadline=None, max_examples=60)
@given(written(), st.booleans())
def test_what_is_written_is_what_is_read(value, flow):
    scenario = parse(write(value, flow=flow))
    assert scenario == Scenario.model_validate(value)
    assert doubts(scenario) == doubts(Scenario.model_validate(value))
    assert all(line.isprintable() for line in explain(scenario).split("\n"))

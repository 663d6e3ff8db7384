from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.policy.message import Field, field
from meshproxy.policy.path import normalize
from meshproxy.policy.route import RouteTable
from meshproxy.wire import resources as wire


def fields(*pairs: tuple[str, str]) -> list[Field]:
    return [field(name.encode(), value.encode()) for name, value in pairs]


def table(*matches: dict[str, Any], rules: int = 0) -> RouteTable:
    """One rule for each match, named by its place."""
    return RouteTable(
        wire.Routes(
            matches=[wire.RouteMatch(rule=i, **match) for i, match in enumerate(matches)],
            rules=[wire.Rule(name=f"r{i}") for i in range(max(rules, len(matches)))],
        )
    )


def name(subject: RouteTable, path: str = "/", method: str = "GET", query: str = "", head: Any = ()) -> str | None:
    match = subject.match(method.encode(), path.encode(), query.encode(), fields(*head))
    return match.rule.name if match is not None else None


def exact(value: str) -> wire.PathMatch:
    return wire.PathMatch(type="Exact", value=value)


def prefix(value: str) -> wire.PathMatch:
    return wire.PathMatch(type="PathPrefix", value=value)


def regex(value: str) -> wire.PathMatch:
    return wire.PathMatch(type="RegularExpression", value=value)


@pytest.mark.parametrize("value", ["/foo", "/foo/"])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/foo", True), ("/foo/", True), ("/foo/bar", True), ("/foo//bar", True), ("/foobar", False), ("/fo", False),
        ("/", False), ("/FOO", False), ("/x/foo", False), ("/foo%2Fbar", False), ("/x/../foo/bar", True),
        ("/foo/../bar", False), ("/f%6Fo/bar", True), ("*", False),
    ],
)  # fmt: skip
def test_a_prefix_matches_whole_path_elements(value: str, path: str, expected: bool) -> None:
    assert (name(table({"path": prefix(value)}), path) is not None) == expected


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        ("/foo", "/foo", True), ("/foo", "/foo/", False), ("/foo/", "/foo/", True), ("/foo/", "/foo", False),
        ("/foo", "/foo/bar", False), ("/a%2Fb", "/a%2fb", True), ("/a%2Fb", "/a/b", False), ("/foo", "/a/../foo", True),
    ],
)  # fmt: skip
def test_an_exact_path_matches_itself(value: str, path: str, expected: bool) -> None:
    assert (name(table({"path": exact(value)}), path) is not None) == expected


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [("/v[0-9]+", "/v12", True), ("/v[0-9]+", "/v12/x", False), ("/v[0-9]+", "/x/v12", False), ("/a|/b", "/bc", False)],
)
def test_a_regular_expression_matches_in_full(value: str, path: str, expected: bool) -> None:
    assert (name(table({"path": regex(value)}), path) is not None) == expected


def test_the_prefix_of_all_paths_fits_everything() -> None:
    subject = table({})
    assert [name(subject, path) for path in ("/", "/a", "*", "")] == ["r0"] * 4
    match = subject.match(b"GET", b"/x", b"", [])
    assert match is not None
    assert match.prefix == b""


def test_no_match_is_none() -> None:
    assert name(table()) is None
    assert name(table({"path": exact("/a")}), "/b") is None


def test_the_first_match_wins_whatever_its_kind() -> None:
    matches: list[dict[str, Any]] = [{"path": prefix("/a")}, {"path": exact("/a")}, {"path": regex("/a")}, {}]
    for order in ((0, 1, 2, 3), (1, 0, 2, 3), (2, 1, 0, 3), (3, 0, 1, 2)):
        subject = table(*(matches[i] for i in order))
        assert name(subject, "/a") == "r0"


def test_the_matched_prefix_is_told() -> None:
    match = table({"path": prefix("/foo/bar/")}).match(b"GET", b"/foo/bar/x", b"", [])
    assert match is not None
    assert match.prefix == b"/foo/bar"
    match = table({"path": exact("/foo")}).match(b"GET", b"/foo", b"", [])
    assert match is not None
    assert match.prefix is None


def test_methods_are_compared_as_they_are() -> None:
    subject = table({"method": "POST"}, {"method": "GET"})
    assert [name(subject, method=method) for method in ("POST", "GET", "PUT", "get")] == ["r0", "r1", None, None]


def header(key: str, value: str, kind: Any = "Exact") -> wire.StringMatch:
    return wire.StringMatch(name=key, value=value, type=kind)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ([("version", "two")], True),
        ([("VERSION", "two")], True),
        ([("version", "Two")], False),
        ([("version", "two"), ("version", "two")], False),
        ([("other", "two")], False),
        ([], False),
    ],
)
def test_header_names_have_no_case_and_values_have(head: list[tuple[str, str]], expected: bool) -> None:
    assert (name(table({"headers": [header("Version", "two")]}), head=head) is not None) == expected


def test_a_header_that_comes_several_times_is_one_joined_value() -> None:
    head = [("X-A", "1"), ("Other", "0"), ("x-a", "2")]
    assert name(table({"headers": [header("x-a", "1, 2")]}), head=head) == "r0"
    assert name(table({"headers": [header("x-a", "1.*2", "RegularExpression")]}), head=head) == "r0"
    assert name(table({"headers": [header("x-a", "1", "RegularExpression")]}), head=head) is None


def test_all_headers_must_fit_and_of_equal_names_the_first_entry_counts() -> None:
    subject = table({"headers": [header("a", "1"), header("b", "2"), header("A", "9")]})
    assert name(subject, head=[("a", "1"), ("b", "2")]) == "r0"
    assert name(subject, head=[("a", "1")]) is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [("animal=dog", True), ("x=1&animal=dog", True), ("animal=dog&animal=cat", True), ("animal=cat&animal=dog", False),
     ("Animal=dog", False), ("animal=d%6fg", True), ("%61nimal=dog", True), ("animal", False), ("", False)],
)  # fmt: skip
def test_the_first_of_a_query_parameters_values_counts_decoded(query: str, expected: bool) -> None:
    assert (name(table({"query_params": [header("animal", "dog")]}), query=query) is not None) == expected


def test_query_parameters_may_be_matched_by_expression() -> None:
    subject = table({"query_params": [header("id", "[0-9]+", "RegularExpression")]})
    assert name(subject, query="id=12") == "r0"
    assert name(subject, query="id=12x") is None


@pytest.mark.parametrize(
    ("match", "words"),
    [
        ({"path": regex("/(")}, ["rule r0", "match 0", "/("]),
        ({"path": regex("/(?=x)")}, ["rule r0", "match 0", "(?=x)"]),
        ({"path": regex("/x{1000}{1000}")}, ["rule r0", "match 0"]),
        ({"path": regex(r"/\pL{1000}")}, ["rule r0", "match 0", "too large"]),
        ({"path": regex("/" + "x" * 5000)}, ["5001 characters", "4096"]),
        ({"headers": [header("x-a", "[", "RegularExpression")]}, ["rule r0", "match 0", "x-a", "'['"]),
        ({"query_params": [header("q", "*", "RegularExpression")]}, ["rule r0", "match 0", "q", "'*'"]),
    ],
)
def test_an_invalid_expression_is_refused_with_its_place(match: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValueError, match="rule r0") as raised:
        table(match)
    for word in words:
        assert word in str(raised.value)


def test_a_match_of_a_rule_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="match 0: rule 5 does not exist"):
        RouteTable(wire.Routes(matches=[wire.RouteMatch(rule=5)], rules=[wire.Rule(name="a")]))


def test_an_expression_that_stalls_others_answers_at_once() -> None:
    subject = table({"path": regex("/([a-z]+/?)*")})
    assert name(subject, "/" + "a" * 60_000 + "!") is None


PARTS = st.sampled_from(["a", "b", "ab", "", "..", "%61"])
PATHS = st.lists(PARTS, max_size=4).map(lambda parts: "/" + "/".join(parts))
VALUES = st.sampled_from(["1", "2"])
MATCHES = st.fixed_dictionaries(
    {
        "path": st.one_of(
            st.builds(exact, PATHS),
            st.builds(prefix, PATHS),
            st.sampled_from(["/a.*", "/[ab]+", "/.*/b", "/"]).map(regex),
        ),
        "method": st.sampled_from(["", "", "GET", "PUT"]),
        "headers": st.lists(st.builds(header, st.sampled_from(["x", "Y"]), VALUES), max_size=1),
        "query_params": st.lists(st.builds(header, st.just("q"), VALUES), max_size=1),
    }
)


def path_fits(match: wire.PathMatch, path: str) -> bool:
    value = normalize(match.value.encode()).decode()
    if match.type == "Exact":
        return path == value
    if match.type == "RegularExpression":
        return re.fullmatch(match.value, path) is not None
    wanted, given_ = value.rstrip("/").split("/"), path.split("/")
    return given_[: len(wanted)] == wanted


@given(
    st.lists(MATCHES, max_size=12),
    PATHS,
    st.sampled_from(["GET", "PUT"]),
    st.sampled_from(["", "q=1", "q=2&q=1"]),
    st.lists(st.tuples(st.sampled_from(["X", "y"]), VALUES), max_size=2, unique_by=lambda pair: pair[0]),
)
def test_a_table_answers_as_trying_one_match_after_the_other(
    matches: list[dict[str, Any]], path: str, method: str, query: str, head: list[tuple[str, str]]
) -> None:
    seen = normalize(path.encode()).decode()
    headers = {key.lower(): value for key, value in head}
    param = query[2:3] or None
    expected = None
    for i, match in enumerate(matches):
        if (
            path_fits(match["path"], seen)
            and match["method"] in ("", method)
            and all(headers.get(want.name.lower()) == want.value for want in match["headers"])
            and all(param == want.value for want in match["query_params"])
        ):
            expected = f"r{i}"
            break
    assert name(table(*matches), path, method, query, head) == expected

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.policy.path import decode, first_params, normalize


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/", b"/"),
        (b"*", b"*"),
        (b"/a/b", b"/a/b"),
        (b"/a/b/", b"/a/b/"),
        (b"/a/./b", b"/a/b"),
        (b"/a/../b", b"/b"),
        (b"/a/b/c/./../../g", b"/a/g"),
        (b"/../../x", b"/x"),
        (b"/a/..", b"/"),
        (b"/a/b/..", b"/a/"),
        (b"/a/.", b"/a/"),
        (b"/..", b"/"),
        (b"/a/%2e%2E/b", b"/b"),
        (b"/%61dmin", b"/admin"),
        (b"/a%2fb", b"/a%2Fb"),
        (b"/a%2f..%2fb", b"/a%2F..%2Fb"),
        (b"//a//b", b"//a//b"),
        (b"/a//../b", b"/a/b"),
        (b"/.hidden/..x/...", b"/.hidden/..x/..."),
        (b"/%zz%4", b"/%zz%4"),
        (b"/%252e%252e/x", b"/%252e%252e/x"),
        (b"/caf%c3%a9", b"/caf%C3%A9"),
    ],
)
def test_the_normal_form_is_rfc_3986s(path: bytes, expected: bytes) -> None:
    assert normalize(path) == expected


PATHS = st.lists(st.sampled_from(["a", "b", ".", "..", "%2e", "%2E.", "", "%2F", "%61", "x%"]), max_size=8).map(
    lambda parts: b"/" + "/".join(parts).encode()
)


@given(PATHS)
def test_normalizing_twice_is_normalizing_once_and_leaves_no_dot_segment(path: bytes) -> None:
    normal = normalize(path)
    assert normal.startswith(b"/")
    assert normalize(normal) == normal
    assert not {b".", b".."} & set(normal.split(b"/"))


@given(st.text(alphabet="aZ%20+4é&=", max_size=20))
def test_decoding_a_querys_text_is_what_the_standard_library_does(text: str) -> None:
    assert decode(text.encode()) == unquote_to_bytes(text.encode().replace(b"+", b" "))


def test_the_first_value_of_a_wanted_parameter_counts() -> None:
    wanted = frozenset((b"a", b"b c", b"d", b"e"))
    query = b"x=9&a=1&a=2&b+c=%41%2b&d&=7&%65=5"
    assert first_params(query, wanted) == {b"a": b"1", b"b c": b"A+", b"d": b"", b"e": b"5"}

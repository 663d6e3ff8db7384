from __future__ import annotations

import pytest

from meshproxy.policy.edit import FIXED, HeaderEdit, merge
from meshproxy.policy.message import field
from meshproxy.wire import resources as wire


def edited(modifier: wire.HeaderModifier, *pairs: tuple[str, str]) -> list[tuple[str, str]]:
    fields = [field(name.encode(), value.encode()) for name, value in pairs]
    before = list(fields)
    result = HeaderEdit(modifier).apply(fields)
    assert fields == before, "the request's own list stays as it is"
    for lower, name, value, line, _, _ in result:
        assert lower == name.lower()
        assert line == name + b": " + value
    return [(name.decode(), value.decode()) for _, name, value, *_ in result]


HEAD = (("Host", "echo"), ("X-A", "1"), ("x-b", "2"), ("x-a", "3"))


@pytest.mark.parametrize(
    ("modifier", "expected"),
    [
        ({"set": [("X-a", "9")]}, [("Host", "echo"), ("X-a", "9"), ("x-b", "2")]),
        ({"set": [("X-C", "9")]}, [*HEAD, ("X-C", "9")]),
        ({"set": [("X-C", "9"), ("x-c", "8")]}, [*HEAD, ("X-C", "9")]),
        ({"add": [("X-A", "9")]}, [*HEAD, ("X-A", "9")]),
        ({"add": [("X-N", "bar,baz")]}, [*HEAD, ("X-N", "bar,baz")]),
        ({"remove": ["X-A"]}, [("Host", "echo"), ("x-b", "2")]),
        ({"remove": ["absent"]}, [*HEAD]),
        ({"remove": ["x-a"], "add": [("x-a", "9")]}, [("Host", "echo"), ("x-b", "2"), ("x-a", "9")]),
        ({"set": [("x-e", " padded\t")]}, [*HEAD, ("x-e", "padded")]),
        ({"set": [("x-e", "")]}, [*HEAD, ("x-e", "")]),
        ({"set": [("x-e", "é")]}, [*HEAD, ("x-e", "é")]),
    ],
)
def test_headers_are_set_added_and_removed(
    modifier: dict[str, list[tuple[str, str]]], expected: list[tuple[str, str]]
) -> None:
    assert edited(wire.HeaderModifier(**modifier), *HEAD) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(FIXED))
def test_framing_connection_and_host_cannot_be_touched(name: str) -> None:
    spelled = name.title()
    for modifier in (
        wire.HeaderModifier(set=[(spelled, "1")]),
        wire.HeaderModifier(add=[(spelled, "1")]),
        wire.HeaderModifier(remove=[spelled]),
    ):
        with pytest.raises(ValueError, match=f"header {spelled} cannot be modified"):
            HeaderEdit(modifier)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é", ":path", "a\x00"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="header name"):
        HeaderEdit(wire.HeaderModifier(add=[(name, "1")]))


@pytest.mark.parametrize("value", ["a\r\nSmuggled: 1", "a\nb", "a\x00", "\x7f", "a\n"])
def test_a_value_with_control_characters_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="the value of header x-a"):
        HeaderEdit(wire.HeaderModifier(set=[("x-a", value)]))


def test_modifiers_that_do_nothing_are_none() -> None:
    assert merge([]) is None
    assert merge([wire.HeaderModifier()]) is None
    assert merge([wire.HeaderModifier(), wire.HeaderModifier(remove=["x"])]) is not None

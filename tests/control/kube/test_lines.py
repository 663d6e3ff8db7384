import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.kube import lines
from control.kube.lines import Lines, LineTooLongError

TEXT = b'{"a":1}\n\n{"b":"\\n"}\r\n \n{"c":[1,2]}\n{"rest'


def test_lines_are_the_same_at_every_split_point():
    whole = list(Lines().feed(TEXT))
    assert whole == [b'{"a":1}', b'{"b":"\\n"}\r', b'{"c":[1,2]}']
    for first in range(len(TEXT) + 1):
        for second in range(first, len(TEXT) + 1):
            cut = Lines()
            found = [line for part in (TEXT[:first], TEXT[first:second], TEXT[second:]) for line in cut.feed(part)]
            assert found == whole
            assert cut.has_rest


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\n", b" ")), max_size=12), st.data())
def test_lines_cut_anywhere_are_put_together(parts, data):
    text = b"".join(part + b"\n" for part in parts)
    cut, found = Lines(), []
    while text:
        size = data.draw(st.integers(1, len(text)))
        found += cut.feed(text[:size])
        text = text[size:]
    assert found == [part for part in parts if part.strip()]
    assert not cut.has_rest


def test_a_stream_that_ends_in_blanks_has_no_rest():
    cut = Lines()
    assert list(cut.feed(b"{}\n  ")) == [b"{}"]
    assert not cut.has_rest


@pytest.mark.parametrize("size", [1, 5, 64])
def test_a_line_that_is_too_long_is_told_after_the_lines_before_it(size, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 16)
    text = b"short\n" + b"x" * 16 + b"\n" + b"y" * 17 + b"\nmore\n"
    cut, found = Lines(), []

    def feed():
        for start in range(0, len(text), size):
            for line in cut.feed(text[start : start + size]):
                found.append(line)  # noqa: PERF402 - what comes before the failure counts

    with pytest.raises(LineTooLongError, match="longer than 16 bytes"):
        feed()
    assert found == [b"short", b"x" * 16]

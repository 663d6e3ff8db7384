"""YAML: what is read, where it stands, and what is refused in words that help."""

import pytest

from loadtest.scenario.lines import MOST_NODES, Mark, YamlError, read


def test_values_are_those_of_the_core_schema():
    text = (
        "{a: 1, b: -2, c: 1.5, d: 1e3, e: true, f: null, g: , h: ~, i: 'x', j: yes, k: 1:30, l: 010, m: 0x1F, n: 1_0,"
        " o: .5, p: .inf, q: 2024-01-01, r: '1', s: 1e999, t: !!str 5}"
    )
    assert read(text).value == {
        "a": 1, "b": -2, "c": 1.5, "d": 1000.0, "e": True, "f": None, "g": None, "h": None, "i": "x", "j": "yes",
        "k": "1:30", "l": "010", "m": "0x1F", "n": "1_0", "o": ".5", "p": ".inf", "q": "2024-01-01", "r": "1",
        "s": float("inf"), "t": "5",
    }  # fmt: skip


def test_places_are_those_of_values_and_of_the_fields_of_mappings():
    tree = read("a:\n  - b: 1\n  -   c: [2, 3]\n")
    assert tree.mark(("a",)) == Mark(1, 1)
    assert tree.mark(("a", 0)) == Mark(2, 5)
    assert tree.mark(("a", 0, "b")) == Mark(2, 8)
    assert tree.mark(("a", 1)) == Mark(3, 7)
    assert tree.mark(("a", 1, "c")) == Mark(3, 7)
    assert tree.mark(("a", 1, "c", 1)) == Mark(3, 14)
    assert tree.within(("a", 1, "d", 5)) == ("a", 1)


def test_columns_are_characters_after_a_byte_order_mark_and_other_line_ends():
    assert read("\ufeffa: 1\r\nü: 2\r\n").mark(("ü",)) == Mark(2, 4)


def deep(opening, levels=3000):
    return "a: " + opening * levels


ESCAPE = "in double quotes a backslash begins an escape; \\\\ is a backslash"
REFUSED = {
    "a tab as indentation": ("a:\n\tb: 1\n", (2, 1), "a tab cannot stand here: use spaces"),
    "a list that is not closed": ("a: [1, 2\nb: 3\n", (1, 4), "a comma or the closing ] of this list is missing"),
    "a mapping that is not closed": ("a: {b: 1\nc: 3\n", (1, 4), "a comma or the closing } of this mapping is missing"),
    "a quote that is not closed": ("a: 'b\nc: 1\n", (1, 4), "this quote is not closed"),
    "nothing after a bracket": ("a: [", (1, 5), "a value is missing here, or a closing bracket"),
    "a field without a colon": (
        "a:\n  b c\n  d: 1\n",
        (3, 4),
        "a field cannot begin here: the indentation differs, the line above lacks its colon, or text needs quotes",
    ),
    "a line without a colon at the end": ("a: 1\nb\n", (2, 1), "a field's name is followed by a colon and a space"),
    "an indentation of its own": (
        "a:\n    b: 1\n  c: 2\n",
        (3, 3),
        "the indentation fits nothing above: what belongs together begins in one column",
    ),
    "a list in a line with its name": (
        "a: - b\n",
        (1, 4),
        "a list cannot begin here: it stands below the name of its field, or in brackets",
    ),
    "an escape that is none": ('a: "\\d"\n', (1, 6), ESCAPE),
    "an escape cut short": ('a: "\\x0"\n', (1, 7), ESCAPE),
    "a character beyond all": ('a: "\\UFFFFFFFF"\n', (1, 7), "there is no such character, or number"),
    "half a character": ('a: "\\ud83d"\n', (1, 4), "half of a surrogate pair is no character"),
    "an at sign": ("a: @b\n", (1, 4), "text cannot begin with this character unless it is in quotes"),
    "a control character": ("a: 1\nb: x\x07\n", (2, 5), "the character U+0007 is not allowed in YAML"),
    "two documents": ("a: 1\n---\nb: 2\n", (2, 1), "one file holds one scenario: a second document begins here"),
    "a later YAML": ("%YAML 3.0\n---\na: 1\n", (1, 1), ("this is not YAML: found incompatible YAML document "
                     "(version 1.* is required)")),
    "a version beyond all": (f"%YAML 1.{'9' * 5000}\n---\na: 1\n", (1, 9), "there is no such character, or number"),
    "an alias of nothing": ("a: *b\n", (1, 4), "there is no anchor of this name above"),
    "an anchor given twice": ("a: &x 1\nb: &x 2\n", (2, 4), "this anchor has the name of an earlier one"),
    "an anchor that contains itself": ("a: &x [*x]\n", (1, 4), "an anchor that contains itself is not allowed"),
    "one that does in a mapping": ("a: &x {b: {c: *x}}\n", (1, 4), "an anchor that contains itself is not allowed"),
    "brackets in brackets": (deep("["), (1, 35), "nested too deeply: at most 32 levels are allowed"),
    "braces in braces": (deep("{a: "), (1, 125), "nested too deeply: at most 32 levels are allowed"),
    "lists in lists": ("- " * 3000, (1, 65), "nested too deeply: at most 32 levels are allowed"),
    "mappings as names": ("? " * 3000, (1, 65), "nested too deeply: at most 32 levels are allowed"),
    "nothing": ("", (1, 1), "the file is empty"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "mark", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_yaml_is_refused_with_the_place(text, mark, message):
    with pytest.raises(YamlError) as caught:
        read(text)
    assert (tuple(caught.value.mark), caught.value.message) == (mark, message)


def test_aliases_of_aliases_do_not_grow_without_bound():
    laughs = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    laughs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(YamlError, match=f"at most {MOST_NODES} values"):
        read("\n".join(laughs))


def test_a_chain_of_aliases_does_not_nest_without_bound():
    chain = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000)]
    with pytest.raises(YamlError, match="nested too deeply"):
        read("\n".join(chain))


def test_a_long_file_is_refused_before_all_of_it_is_read():
    with pytest.raises(YamlError, match="too much"):
        read("- a\n" * 100_000)


LEFT_OUT = {
    "a field twice": ("a: 1\nb: 2\na: 3\n", {"a": 1, "b": 2}, (3, 1), ("a",), "it is given twice, first in line 1"),
    "a name that is a number": ("1: a\n", {}, (1, 1), (), "a field's name is text: write '1' in quotes if it is meant"),
    "a name that is a list": ("[a]: 1\n", {}, (1, 1), (), "a field's name is text, not a list or a mapping"),
    "fields to be merged": ("a: {<<: {b: 1}}\n", {"a": {}}, (1, 5), ("a",),
        "fields cannot be merged in by <<: write them out"),
    "a tag": ("a: !foo 5\n", {"a": "5"}, (1, 4), ("a",), "tags such as !foo are not allowed"),
    "a tag of Python": ("a: !!python/tuple []\n", {"a": []}, (1, 4), ("a",),
        "tags such as !!python/tuple are not allowed"),
    "a tag of a list": ("a: !!set {b}\n", {"a": {"b": None}}, (1, 4), ("a",), "tags such as !!set are not allowed"),
    "a number that is none": ("a: !!int b\n", {"a": "b"}, (1, 4), ("a",), "tags such as !!int are not allowed"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "value", "mark", "path", "message"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_is_not_plain_is_told_and_left_out(text, value, mark, path, message):
    tree = read(text)
    assert tree.value == value
    assert [(tuple(flaw.mark), flaw.path, flaw.message) for flaw in tree.flaws] == [(mark, path, message)]

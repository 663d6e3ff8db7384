"""YAML as plain values that know their lines: mappings with text as keys, lists, text, numbers, booleans, nothing.

Read as YAML 1.2's core schema does, so that `no`, `on` and `1:30` are text as they look; numbers are decimal. What else
YAML can do is refused with a reason. Depth and number of nodes are bounded, aliases written out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

MOST_NODES = 20_000
DEEPEST = 32
_HALF = re.compile(r"[\ud800-\udfff]")
_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")

Path = tuple[str | int, ...]
"""Names of fields and places in lists (from 0), from the root."""


class Mark(NamedTuple):
    """From 1."""

    line: int
    column: int


class Flaw(NamedTuple):
    mark: Mark
    path: Path
    message: str


class YamlError(Exception):
    """The text cannot be read any further than `mark`."""

    def __init__(self, mark: Mark, message: str) -> None:
        super().__init__(message)
        self.mark = mark
        self.message = message


@dataclass
class Tree:
    """A file's value. `values` are the marks of values, `keys` of the keys before them; flaws are what was left out."""

    value: Any = None
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)

    def within(self, path: Path) -> Path:
        """As much of a path as there is in the file."""
        while path and path not in self.values:
            path = path[:-1]
        return path

    def mark(self, path: Path) -> Mark:
        """Where it stands: a scalar itself, a mapping or list by the field that it is of."""
        value = self.values.get(path, Mark(1, 1))
        key = self.keys.get(path)
        return key if key is not None and isinstance(self.at(path), dict | list) else value

    def at(self, path: Path) -> Any:
        """The value there."""
        found = self.value
        for step in path:
            found = found[step]
        return found


def read(text: str) -> Tree:
    """YamlError: it is no YAML, or none that is read here."""
    tree = Tree()
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        except (ValueError, OverflowError):  # as PyYAML lets them out, of "\\U99999999" for one
            raise YamlError(_mark(loader.get_mark()), "there is no such character, or number") from None
    except yaml.reader.ReaderError as error:
        mark = end(text[: error.position])
        raise YamlError(mark, f"the character U+{ord(text[error.position]):04X} is not allowed in YAML") from None
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, text) from None
    if root is None:
        raise YamlError(Mark(1, 1), "the file is empty")
    tree.value = _Conversion(tree).value(root, ())
    return tree


class _Loader(yaml.SafeLoader):
    """Composes bounded trees, with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own class attribute

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = _mark(self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        self._nodes += 1
        self._depth += 1
        _bound(self._depth, self._nodes, mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        if isinstance(node, yaml.ScalarNode) and _HALF.search(node.value):
            raise YamlError(mark, "half of a surrogate pair is no character")
        self._depth -= 1
        return node


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,29})", list("-+0123456789")),
    ("float", r"[-+]?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,3})?", list("-+0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 would not take for text: `1e5` is a number in one of them only."""


for _sign, _resolvers in _Loader.yaml_implicit_resolvers.items():
    for _kind, _meant in _resolvers:
        _Dumper.add_implicit_resolver(_kind, _meant, [_sign])


def write(value: Any, *, flow: bool = False) -> str:
    """A text that `read` takes for this value; `flow`: in braces and brackets."""
    text: str = yaml.dump(value, Dumper=_Dumper, default_flow_style=flow, allow_unicode=True, sort_keys=False)
    return text


def end(text: str) -> Mark:
    """The place behind a text."""
    before = _BREAK.split(text)
    return Mark(len(before), len(before[-1]) + 1)


def _bound(depth: int, nodes: int, mark: Mark) -> None:
    if depth > DEEPEST:
        raise YamlError(mark, f"nested too deeply: at most {DEEPEST} levels are allowed")
    if nodes > MOST_NODES:
        raise YamlError(mark, f"too much: at most {MOST_NODES} values are allowed, with aliases written out")


class _Conversion:
    """Nodes to values, with marks and flaws noted in a tree."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._nodes = 0
        self._open: set[int] = set()

    def value(self, node: yaml.Node, path: Path) -> Any:
        mark = _mark(node.start_mark)
        self._nodes += 1
        _bound(len(path) + 1, self._nodes, mark)
        self._tree.values[path] = mark
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            raise YamlError(mark, "an anchor that contains itself is not allowed")
        plain = "map" if isinstance(node, yaml.MappingNode) else "seq"
        if node.tag != f"tag:yaml.org,2002:{plain}":
            self._flaw(node, path, _no_tag(node))
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            value: Any = self._mapping(node, path)
        else:
            value = [self.value(each, (*path, at)) for at, each in enumerate(node.value)]
        self._open.remove(id(node))
        return value

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._flaw(key, path, "a field's name is text, not a list or a mapping")
            elif key.value == "<<" and key.style is None:
                self._flaw(key, path, "fields cannot be merged in by <<: write them out")
            elif key.tag != "tag:yaml.org,2002:str":
                self._flaw(key, path, f"a field's name is text: write '{key.value}' in quotes if it is meant")
            elif key.value in found:
                first = self._tree.keys[*path, key.value]
                self._flaw(key, (*path, key.value), f"it is given twice, first in line {first.line}")
            else:
                self._tree.keys[*path, key.value] = _mark(key.start_mark)
                found[key.value] = self.value(value, (*path, key.value))
        return found

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text = str(node.value)
        if node.tag == "tag:yaml.org,2002:str":
            return text
        fits = [tag for tag, pattern in _SCALARS if tag == node.tag and pattern.match(text)]
        if not fits:
            self._flaw(node, path, _no_tag(node))
            return text
        kind = node.tag.rpartition(":")[2]
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        return int(text) if kind == "int" else float(text)

    def _flaw(self, node: yaml.Node, path: Path, message: str) -> None:
        self._tree.flaws.append(Flaw(_mark(node.start_mark), path, message))


_SCALARS = [each for patterns in _Loader.yaml_implicit_resolvers.values() for each in patterns]


def _no_tag(node: yaml.Node) -> str:
    tag = node.tag.replace("tag:yaml.org,2002:", "!!")[:40]
    return f"tags such as {tag} are not allowed" if tag.isprintable() else "tags are not allowed"


def _mark(mark: yaml.Mark) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)


class _Said(NamedTuple):
    """What PyYAML says, and what that means to people; `begins`: they look for it where the construct begins."""

    fragment: str
    words: str
    begins: bool = False


_SYNTAX = (
    _Said("found character '\\t'", "a tab cannot stand here: use spaces"),
    _Said("found another document", "one file holds one scenario: a second document begins here"),
    _Said(
        "mapping values are not allowed",
        "a field cannot begin here: the indentation differs, the line above lacks its colon, or text needs quotes",
    ),
    _Said("expected <block end>", "the indentation fits nothing above: what belongs together begins in one column"),
    _Said("entries are not allowed", "a list cannot begin here: it stands below the name of its field, or in brackets"),
    _Said("could not find expected ':'", "a field's name is followed by a colon and a space", begins=True),
    _Said("undefined alias", "there is no anchor of this name above"),
    _Said("found duplicate anchor", "this anchor has the name of an earlier one"),
    _Said("expected ',' or ']'", "a comma or the closing ] of this list is missing", begins=True),
    _Said("expected ',' or '}'", "a comma or the closing } of this mapping is missing", begins=True),
    _Said("while scanning a quoted scalar", "this quote is not closed", begins=True),
    _Said("unknown escape character", "in double quotes a backslash begins an escape; \\\\ is a backslash"),
    _Said("escape sequence", "in double quotes a backslash begins an escape; \\\\ is a backslash"),
    _Said("expected the node content", "a value is missing here, or a closing bracket"),
    _Said("cannot start any token", "text cannot begin with this character unless it is in quotes"),
)


def _syntax(error: yaml.MarkedYAMLError, text: str) -> YamlError:
    problem = error.problem or ""
    whole = f"{error.context} {problem}"
    said = next((each for each in _SYNTAX if each.fragment in whole), None)
    mark = error.problem_mark or error.context_mark
    if said is not None and said.begins:
        mark = error.context_mark or mark
    words = said.words if said is not None else f"this is not YAML: {problem.partition(', but ')[0]}"
    lines = _BREAK.split(text)
    if len(lines) > 1 and not lines[-1]:
        lines.pop()  # after the last line break there is no line that anybody sees
    place = _mark(mark) if mark is not None else Mark(1, 1)
    if place.line > len(lines):
        place = Mark(len(lines), len(lines[-1]) + 1)
    return YamlError(place, words)

"""Tables and pages."""

import pytest

from control.cli.failure import Failure
from control.cli.kinds import kind_of, target_of
from control.cli.screen import Columns, Page
from control.cli.table import Printer, table_of
from meshproxy.kit.text import printable


def test_columns_are_aligned_and_never_get_narrower(capsys):
    columns = Columns()
    columns.print([("a", "yes"), ("long", "")], ("NAME", "X"))
    columns.print([("b", "no", "more")])
    assert capsys.readouterr().out.splitlines() == [
        "NAME   X",
        "a      yes",
        "long   -",
        "b      no    more",
    ]


def test_wide_characters_take_two_columns(capsys):
    Columns().print([("日本", "x"), ("abcd", "y")])
    assert capsys.readouterr().out.splitlines() == ["日本   x", "abcd   y"]


def test_what_a_terminal_would_act_on_is_not_printed(capsys):
    Columns().print([("\x1b[31mred", "a\nb")])
    page = Page()
    page.field("Name", "\x1b]0;title\x07")
    page.fields("List", ["a\rb", "[bold]c[/]"])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\r" not in out
    assert out.splitlines()[0] == "?[31mred   a?b"
    assert "[bold]c[/]" in out
    assert printable("a\u202eb") == "a?b"


def document(*rows, columns=True):
    names = [("Name", 0), ("Wide", 1), ("Age", 0)]
    definitions = [{"name": name, "type": "string", "priority": priority} for name, priority in names]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "columnDefinitions": definitions if columns else None,
        "rows": [{"cells": list(cells), "object": {"metadata": {"namespace": "shop"}}} for cells in rows],
    }


def test_wide_columns_are_shown_when_asked_for(capsys):
    for wide, expected in ((False, ["NAME   AGE", "a      5s"]), (True, ["NAME   WIDE   AGE", "a      w      5s"])):
        Printer(wide=wide, namespaced=False).print(table_of(document(("a", "w", "5s"))))
        assert capsys.readouterr().out.splitlines() == expected


def test_tables_of_a_watch_go_on_under_one_header(capsys):
    printer = Printer(wide=False, namespaced=True)
    printer.print(table_of(document()))
    printer.print(table_of(document(("a", None, 5), ("bcdef", True, "6s"))))
    printer.print(table_of(document(("c", "w", "7s"), columns=False)), "(deleted)")
    assert capsys.readouterr().out.splitlines() == [
        "NAMESPACE   NAME    AGE",
        "shop        a       5",
        "shop        bcdef   6s",
        "shop        c       7s    (deleted)",
    ]


@pytest.mark.parametrize("bad", [None, [], {"kind": "Status"}, {"kind": "Table", "rows": [{"cells": 5}]}])
def test_what_is_no_table_is_an_error(bad):
    with pytest.raises(Failure, match=r"not understood|not with a table"):
        table_of(bad)


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("svc", "", ("Service", "")),
        ("HTTPRoutes", "a", ("HTTPRoute", "a")),
        ("httproutes.gateway.networking.k8s.io", "a", ("HTTPRoute", "a")),
        ("endpointslice/a-1", "", ("EndpointSlice", "a-1")),
        ("proxies", "", ("Proxy", "")),
        ("refgrant", "", ("ReferenceGrant", "")),
    ],
)
def test_objects_are_named_as_kubectl_names_them(kind, name, expected):
    target = target_of(kind, name)
    assert (target.kind.name, target.name) == expected


def test_an_unknown_kind_tells_those_there_are():
    with pytest.raises(Failure, match=r"'deploy' is not known; allowed: services \(svc\), .*httproutes.*proxies"):
        kind_of("deploy")
    with pytest.raises(Failure, match="a name stands twice"):
        target_of("svc/a", "b")
    with pytest.raises(Failure, match="the name is missing"):
        target_of("svc/", "")

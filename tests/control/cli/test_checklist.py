"""Checks as people read them."""

import pytest

from control.cli import screen
from control.cli.checklist import MAX_UNWELL, print_checklist
from control.model.check import Check

GRANT = "kubectl apply -f deploy/rbac.yaml"
RIGHTS = [
    Check("Rights", "services", "ok", "list, watch"),
    Check("Rights", "pods", "fail", "may not watch", GRANT),
    Check("Rights", "nodes", "fail", "may not list, watch", GRANT),
    Check("Rights", "namespaces", "ok", "list, watch"),
]


@pytest.fixture
def shown(capsys, monkeypatch):
    def print_(*checks, width=0, is_whole=False):
        if width:
            monkeypatch.setattr(screen.console(), "width", width)
        print_checklist(checks, is_whole=is_whole)
        return capsys.readouterr().out.splitlines()

    return print_


def test_checks_stand_by_section_with_marks_that_need_no_colour(shown):
    assert shown(Check("API server", "answers", "ok", "v1.36.2"), *RIGHTS) == [
        "API server",
        "  ✓ answers  v1.36.2",
        "",
        "Rights",
        "  ✓ services    list, watch",
        "  ✗ pods        may not watch",
        "  ✗ nodes       may not list, watch",
        f"      → {GRANT}",
        "  ✓ namespaces  list, watch",
        "",
        "3 ok, 2 failed",
    ]


def test_a_section_is_told_once_wherever_its_checks_come_from(shown):
    lines = shown(Check("A", "1", "ok", "x"), Check("B", "2", "warn", "y"), Check("A", "3", "warn", "z"))
    assert [line for line in lines if line in {"A", "B"}] == ["A", "B"]
    assert lines[2] == "  ! 3  z"
    assert lines[-1] == "1 ok, 2 warnings"


@pytest.mark.parametrize("width", [40, 60, 80])
def test_no_line_is_longer_than_the_terminal_is_wide_and_nothing_is_lost(shown, width):
    words = "may not watch, because there is no role that would allow it to this very account"
    check = Check("Rights", "pods", "fail", words, f"{GRANT} on every cluster where this control plane runs")
    lines = shown(check, Check("Rights", "n" * 38, "ok", "list, watch"), width=width)
    assert max(map(len, lines)) <= width
    said = " ".join(" ".join(lines).split())
    assert words in said
    assert f"→ {check.hint}" in said
    assert "n" * 36 in said


def test_where_nothing_but_ascii_can_be_shown_the_marks_are_words(shown, monkeypatch):
    monkeypatch.setattr(type(screen.console()), "encoding", "ascii")
    assert [line.rstrip() for line in shown(*RIGHTS)][1:5] == [
        "  ok   services    list, watch",
        "  FAIL pods        may not watch",
        "  FAIL nodes       may not list, watch",
        f"      -> {GRANT}",
    ]


def test_of_many_only_some_are_told_unless_all_are_asked_for(shown):
    many = [Check("Sidecars", f"shop/front-{i}", "warn", "behind", "wait") for i in range(40)]
    lines = shown(Check("Sidecars", "connected", "ok", "41"), *many, Check("Sidecars", "shop/x", "fail", "refuses"))
    assert sum("front-" in line for line in lines) == MAX_UNWELL
    assert lines[-3] == "  ✗ and 31 more, which -o wide shows"
    assert lines[-1] == "1 ok, 40 warnings, 1 failed"
    whole = shown(*many, is_whole=True)
    assert sum("front-" in line for line in whole) == 40
    assert not any("more" in line for line in whole)


def test_what_a_terminal_would_act_on_is_not_printed(shown):
    text = "\n".join(shown(Check("\x1b[31mA", "b\rc", "warn", "d\ne [bold]f[/]", "g\x07")))
    assert "\x1b" not in text
    assert "\r" not in text
    assert "d?e [bold]f[/]" in text

import pytest

from control.api.query import Page, reading, writing
from control.api.status import ApiError


def test_nothing_asked_for():
    asked = reading({}, "shop")
    assert asked.selection.namespace == "shop"
    assert asked.selection.is_all
    assert (asked.limit, asked.page, asked.version, asked.is_watch, asked.sends_initial) == (0, None, None, False, None)


def test_everything_asked_for():
    page = Page(7, ("shop", "a"))
    asked = reading(
        {
            "watch": "1",
            "limit": "5",
            "continue": page.token(),
            "resourceVersion": "9",
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": "3",
            "labelSelector": "a=b",
        },
        "",
    )
    assert asked.is_watch
    assert asked.has_bookmarks
    assert asked.sends_initial
    assert (asked.limit, asked.page, asked.version, asked.timeout_s) == (5, page, 9, 3)
    assert not asked.selection.is_all


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "-1"),
        ("limit", "x"),
        ("limit", "9" * 30),
        ("watch", "yes"),
        ("resourceVersion", "x"),
        ("resourceVersion", "-1"),
        ("timeoutSeconds", "1.5"),
        ("continue", "%%%"),
        ("continue", "e30"),
        ("resourceVersionMatch", "Newest"),
        ("resourceVersionMatch", "Exact"),
        ("labelSelector", "a in"),
        ("fieldSelector", "spec.x=1"),
        ("limit", "\u0661"),
    ],
)
def test_bad_values_are_refused(name, value):
    with pytest.raises(ApiError) as caught:
        reading({name: value}, "")
    assert caught.value.code == 400


def test_initial_events_need_bookmarks():
    with pytest.raises(ApiError, match="allowWatchBookmarks"):
        reading({"watch": "1", "sendInitialEvents": "1"}, "")


def test_who_writes():
    assert writing({}, "kubectl/v1.20.2 (linux)").manager == "kubectl"
    assert writing({"fieldManager": "me"}, "kubectl/v1").manager == "me"
    assert writing({}, "").manager == "unknown"
    for query in (
        {"dryRun": "Some"},
        {"fieldValidation": "Maybe"},
        {"fieldManager": "a\nb"},
        {"fieldManager": "x" * 129},
    ):
        with pytest.raises(ApiError):
            writing(query, "")

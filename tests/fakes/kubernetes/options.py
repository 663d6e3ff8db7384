"""The options of lists and watches, read and checked as a real server does. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tests.fakes.kubernetes import failure, selectors
from tests.fakes.kubernetes.requests import is_true
from tests.fakes.kubernetes.state import Item

Matches = Callable[[Item], bool]


class Options(NamedTuple):
    """`version` 0 is none given; `initial` is None where sendInitialEvents is not given; `matches` None is all."""

    version: int
    match: str
    limit: int
    after: str
    timeout_s: float
    initial: bool | None
    has_bookmarks: bool
    matches: Matches | None


def read(query: Mapping[str, str], plural: str) -> Options:
    """RefusedError with what a real server says of options that it does not take."""
    return Options(
        version=_version(query.get("resourceVersion", "")),
        match=query.get("resourceVersionMatch", ""),
        limit=_number(query.get("limit", "")),
        after=query.get("continue", ""),
        timeout_s=float(_number(query.get("timeoutSeconds", ""))),
        initial=is_true(query["sendInitialEvents"]) if "sendInitialEvents" in query else None,
        has_bookmarks=is_true(query.get("allowWatchBookmarks", "")),
        matches=_selection(query, plural),
    )


def check_list(options: Options) -> None:
    if options.initial is not None:
        raise failure.invalid_options("sendInitialEvents", "sendInitialEvents is forbidden for list")
    if options.match and not options.version:
        text = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        raise failure.invalid_options("resourceVersionMatch", text)
    if options.after and options.version:
        raise failure.bad_request("specifying resource version is not allowed when using continue")


def check_watch(options: Options, *, has_watch_list: bool) -> None:
    """Without `has_watch_list` as a server says it whose feature gate is off."""
    if options.initial is not None and not has_watch_list:
        text = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
        raise failure.invalid_options("sendInitialEvents", text)
    if options.initial is None and options.match:
        text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        raise failure.invalid_options("resourceVersionMatch", text)
    if options.initial is not None and options.match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise failure.invalid_options("resourceVersionMatch", text)


def _number(text: str) -> int:
    try:
        return int(text or 0)
    except ValueError:
        raise failure.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _version(text: str) -> int:
    if not text.isdigit() and text:
        message = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise failure.RefusedError(500, failure.status(500, "", message))
    return int(text or 0)


def _selection(query: Mapping[str, str], plural: str) -> Matches | None:
    tests: list[selectors.Matches] = []
    if query.get("labelSelector"):
        tests.append(selectors.labels(query["labelSelector"]))
    if query.get("fieldSelector"):
        try:
            tests.append(selectors.fields(query["fieldSelector"], plural))
        except selectors.UnknownFieldError as error:
            raise failure.bad_request(f"field label not supported: {error}") from None
    if not tests:
        return None

    def matches(item: Item) -> bool:
        document = item.document
        return all(test(document) for test in tests)

    return matches

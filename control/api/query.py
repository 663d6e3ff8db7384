"""What the query of a request asks for. Unknown parameters are passed over, bad values refused."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from control.api.selector import FIELDS, Requirement, SelectorError, matches, parse_fields, parse_labels
from control.api.status import ApiError
from control.model.objects import Key

MAX_LIMIT = 2**31 - 1
_TRUE = frozenset({"1", "t", "true", "T", "True", "TRUE"})
_FALSE = frozenset({"", "0", "f", "false", "F", "False", "FALSE"})


class Selection(NamedTuple):
    """Which objects are meant. An empty namespace stands for all of them."""

    namespace: str
    labels: tuple[Requirement, ...]
    fields: tuple[Requirement, ...]

    @property
    def is_all(self) -> bool:
        return not self.labels and not self.fields

    def has_key(self, key: Key) -> bool:
        """Tell whether an object called that could be meant."""
        if self.namespace and key.namespace != self.namespace:
            return False
        return not self.fields or matches(self.fields, dict(zip(FIELDS, (key.name, key.namespace), strict=True)))


class Page(Struct, frozen=True, rename={"version": "v", "last": "after"}):
    """Where a list goes on: after this object, as a client may show it to us again (`continue`)."""

    version: int
    last: tuple[str, str]

    def token(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


class Reading(NamedTuple):
    """A list or a watch. `version` is the resourceVersion, None when none was given; `limit` 0 is none."""

    selection: Selection
    limit: int
    page: Page | None
    version: int | None
    match: str
    is_watch: bool
    has_bookmarks: bool
    sends_initial: bool | None
    """Whether a watch begins with what there is; None: as the version says."""
    timeout_s: int | None


class Writing(NamedTuple):
    """How something is written."""

    dry_run: bool
    manager: str
    force: bool
    validation: Literal["Strict", "Warn", "Ignore"]


def reading(query: Mapping[str, str], namespace: str) -> Reading:
    """Read the parameters of a list or a watch. Raise ApiError."""
    match = query.get("resourceVersionMatch", "")
    if match not in {"", "NotOlderThan", "Exact"}:
        raise _bad("resourceVersionMatch", match, "NotOlderThan, Exact")
    version = query.get("resourceVersion", "")
    is_watch = flag(query, "watch")
    sends_initial = flag(query, "sendInitialEvents") if "sendInitialEvents" in query else None
    has_bookmarks = flag(query, "allowWatchBookmarks")
    if match and not version and not sends_initial:
        raise ApiError("BadRequest", "resourceVersionMatch is forbidden unless resourceVersion is provided")
    if sends_initial and is_watch and (match != "NotOlderThan" or not has_bookmarks):
        message = "sendInitialEvents needs resourceVersionMatch=NotOlderThan and allowWatchBookmarks=true"
        raise ApiError("BadRequest", message)
    try:
        selection = Selection(
            namespace, parse_labels(query.get("labelSelector", "")), parse_fields(query.get("fieldSelector", ""))
        )
    except SelectorError as error:
        raise ApiError("BadRequest", str(error)) from None
    return Reading(
        selection,
        number(query, "limit", MAX_LIMIT) or 0,
        _page(query.get("continue", "")),
        _version(version),
        match,
        is_watch,
        has_bookmarks,
        sends_initial,
        number(query, "timeoutSeconds", 2**31 - 1),
    )


def writing(query: Mapping[str, str], agent: str) -> Writing:
    """Read the parameters of a write; `agent` is the User-Agent, whose first word manages what it writes."""
    dry_run = query.get("dryRun", "")
    if dry_run not in {"", "All"}:
        raise _bad("dryRun", dry_run, "All")
    validation = query.get("fieldValidation", "") or "Strict"
    if validation not in {"Strict", "Warn", "Ignore"}:
        raise _bad("fieldValidation", validation, "Ignore, Warn, Strict")
    manager = query.get("fieldManager", "") or agent.partition("/")[0].strip()[:128] or "unknown"
    if len(manager) > 128 or not manager.isprintable():
        raise _bad("fieldManager", manager, "at most 128 printable characters")
    return Writing(bool(dry_run), manager, flag(query, "force"), validation)  # type: ignore[arg-type]


def flag(query: Mapping[str, str], name: str) -> bool:
    """Read a parameter that says yes or no. Raise ApiError for anything else."""
    value = query.get(name, "")
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise _bad(name, value, "true, false")


def number(query: Mapping[str, str], name: str, most: int) -> int | None:
    """Read a parameter that is a number from 0 to `most`; None when it is not there. Raise ApiError."""
    value = query.get(name, "")
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 19 and int(value) <= most):
        raise _bad(name, value, f"0 to {most}")
    return int(value)


def _version(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise _bad("resourceVersion", text, "a version as lists and objects have it")
    return int(text)


def _page(token: str) -> Page | None:
    if not token:
        return None
    # The request line is bounded, and with it the token.
    try:
        padded = token + "=" * (-len(token) % 4)
        return msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=Page)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise ApiError("BadRequest", "continue key is not valid: it is none that this server has given") from None


def _bad(name: str, value: str, allowed: str) -> ApiError:
    return ApiError("BadRequest", f"query parameter {name}: {value[:80]!r} is not allowed; allowed: {allowed}")

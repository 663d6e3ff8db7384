"""What is known of one kind, and what to ask the API server next. Pure.

A list (streamed as the beginning of a watch, or in pages) says all there is; the watch goes on from its version. The
laws:

- What a list or an event says is taken at once. What a list does not have is given up when the list is complete, never
  before: one that breaks off takes nothing away.
- A watch is resumed from the last version that was taken. What it repeats is passed over.
- Whatever is not understood, and whatever makes it doubtful that a watch tells everything, leads to a new list.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Raw

from control.index.change import Change
from control.kube.events import Bookmark, Decoder, Deletion, Event, Garbage, Page, Upsert, Version
from control.kube.failure import KubeError
from control.kube.mirror import Mirror
from control.kube.resources import Watched
from control.model.objects import Key

PAGE_OBJECTS = 500
LIVED_S = 10.0
"""A watch that lasted so long was none of the failures in a row."""
BRIEF_S = 1.0
"""One that ends sooner, in order and with nothing new, is not resumed at once."""
MAX_RESUMED = 5
"""So many times in a row a server may fail to resume a watch; then it may be the version that it fails at."""
MISSING_S = 60.0
"""For so long discovery has to lack a kind before its objects are given up."""

Phase: TypeAlias = Literal["absent", "listing", "watching", "lost"]


class Silence(KubeError):  # noqa: N818 - it is what was heard
    """A watch that says nothing any more: also of a version that the server has not come to."""


class Ignored(KubeError):  # noqa: N818
    """A watch that does not mark the end of its initial events, as if it had not been asked for it."""


class Defect(KubeError):  # noqa: N818
    """We failed, not the API server."""


class CutOff(KubeError):  # noqa: N818
    """A watch that ended where it may not end."""


class Ask(Enum):
    """What the API server is asked next."""

    STREAM = "all objects, streamed, and what happens after"
    PAGE = "the next page of all objects"
    WATCH = "what happens after a version"
    LOOK = "whether the kind is served"


class Request(NamedTuple):
    """`path` and `query` of a GET; of LOOK they are discovery's own."""

    ask: Ask
    path: str = ""
    query: dict[str, str] = {}  # noqa: RUF012 - never written to


class Reflection:
    """One kind. Each `on_...` is told what came of the request before; `now` is monotonic seconds."""

    __slots__ = (
        "_ask", "_decoder", "_failures", "_is_by_pages", "_mirror", "_missing_at", "_next", "_opened_at",
        "_opened_from", "_reason", "_streams_lists", "_unseen", "_version", "_watched", "api", "events", "failure",
        "has_all", "heard_at", "ignored", "is_absent", "is_listed", "lists", "lost_at", "refused", "restarts",
    )  # fmt: skip

    def __init__(self, watched: Watched, mirror: Mirror, decoder: Decoder) -> None:
        self._watched = watched
        self._mirror = mirror
        self._decoder = decoder
        self._ask = Ask.STREAM
        self._streams_lists = True
        self._is_by_pages = False  # the next list, for once
        self._next = ""  # page
        self._unseen: set[Key] = set()  # by the list that is under way
        self._version: Version | None = None
        self._opened_at: float | None = None
        self._opened_from: Version | None = None
        self._missing_at: float | None = None
        self.has_all = False
        """Whether a list was heard to its end, and `finish` is next."""
        self._failures = 0  # in a row
        self.api = watched.kind.versions[0]
        """The version of the API that is asked."""
        self.is_listed = False
        self.is_absent = False
        self.lost_at: float | None = None
        """Since when what is known may be out of date."""
        self.failure = ""
        """The last one; empty when all is well."""
        self.heard_at: float | None = None
        self._reason = "start"  # of the next list
        self.lists: dict[str, int] = {}
        """Begun, by reason."""
        self.events: dict[str, int] = {}
        self.restarts = 0
        """Watches that went on from a version."""
        self.refused: dict[Key, str] = {}
        """Objects that cannot be taken and count as absent, with the reason."""
        self.ignored: dict[Key, str] = {}
        """Objects of which something was left out, and what."""

    @property
    def phase(self) -> Phase:
        if self.is_absent:
            return "absent"
        if self.is_listed and self.lost_at is not None:
            return "lost"
        return "watching" if self.is_listed and self._ask is Ask.WATCH else "listing"

    @property
    def version(self) -> Version | None:
        """From which the watch goes on; None as long as there is none."""
        return self._version

    @property
    def is_listing(self) -> bool:
        """Whether a list is asked for or under way."""
        return self._ask in {Ask.STREAM, Ask.PAGE}

    @property
    def is_missing(self) -> bool:
        """Whether discovery lacks the kind, whose objects were known; not for long enough to give them up."""
        return self._missing_at is not None

    @property
    def is_looking(self) -> bool:
        """Whether nothing can be asked but discovery, now and then."""
        return self._ask is Ask.LOOK and (self.is_absent or self._missing_at is not None)

    def request(self) -> Request:
        """Return what to ask now."""
        path = self._watched.path(self.api)
        if self._ask is Ask.LOOK:
            return Request(Ask.LOOK)
        if self._ask is Ask.PAGE:
            more = {"continue": self._next} if self._next else {}
            return Request(Ask.PAGE, path, {"limit": str(PAGE_OBJECTS), **more})
        watch = {"watch": "true", "allowWatchBookmarks": "true"}
        if self._ask is Ask.STREAM:
            return Request(
                Ask.STREAM, path, {**watch, "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
            )
        assert self._version is not None
        return Request(Ask.WATCH, path, {**watch, "resourceVersion": self._version.text})

    def on_opened(self, now: float) -> None:
        """A watch was accepted."""
        self._opened_at, self._opened_from = now, self._version
        if self._ask is Ask.STREAM:
            self._begin()
        else:
            self.restarts += 1

    def on_line(self, line: bytes, now: float) -> Change | None:
        """Take a line of a watch. Raise KubeError. Once `has_all` is true after it, `finish` is to be called."""
        event = self._decoder.event(line)
        if self._ask is Ask.WATCH and self._is_repeated(event):
            return None
        self.heard_at = now
        word = event.word
        self.events[word] = self.events.get(word, 0) + 1
        if isinstance(event, Bookmark):
            if self._ask is Ask.STREAM and not event.ends_initial:
                raise Ignored("the API server sends bookmarks, but does not mark the end of the list")
            self._version = event.version
            self._mirror.advance(event.version.number)
            self.has_all = self._ask is Ask.STREAM
            return None
        if self._ask is Ask.WATCH:
            self._version = event.version
            self._settle()
        return self._take(event)

    def on_settled(self) -> None:
        """A watch that goes on from a version has not failed for a while."""
        if self._ask is Ask.WATCH:
            self._settle()

    def on_page(self, body: bytes, now: float) -> Page:
        """Take a page, but not its items. Raise KubeError."""
        if not self._next:
            self._begin()
        page = self._decoder.page(body)
        if self._next and page.version != self._version:
            # A page of another time (an old `continue` is answered so, even by an empty one) is no part of this list.
            raise Garbage("the pages of the list have different resourceVersions")
        self.heard_at = now
        self._version = page.version
        self._next = page.next
        self.has_all = not page.next
        return page

    def on_item(self, raw: Raw) -> Change | None:
        """Take an item of a page. Raise KubeError. After those of the last page `finish` is to be called."""
        return self._take(self._decoder.item(raw))

    def finish(self) -> Iterator[Change]:
        """End a list: give up what it did not have, and watch from its version on."""
        assert self._version is not None
        for key in self._unseen:
            self.refused.pop(key, None)
            self.ignored.pop(key, None)
            change = self._mirror.remove(self._watched.kind, key)
            if change is not None:
                yield change
        self._unseen = set()
        self._next = ""
        self._mirror.advance(self._version.number)
        self._ask = Ask.WATCH
        self._is_by_pages = False
        self.is_listed = True
        self.has_all = False
        self._settle()

    def on_ended(self, now: float) -> bool:
        """A watch ended in order; tells whether it lasted. Raise KubeError if it may not end here."""
        if self._ask is not Ask.WATCH:
            raise CutOff("the API server ended the list before its end")
        if self._version == self._opened_from and self._opened_at is not None and now - self._opened_at < BRIEF_S:
            raise CutOff("the API server ends the watch as soon as it is opened")
        return self._close(now)

    def _close(self, now: float) -> bool:
        has_lived = self._opened_at is not None and now - self._opened_at >= LIVED_S
        if has_lived:
            self._failures = 0
        self._opened_at = None
        return has_lived

    def on_failure(self, error: KubeError, now: float) -> bool:
        """Take note of what went wrong; tells whether a next try is the first of its row, to be made at once."""
        was_open = self._opened_at is not None
        has_lived = self._close(now)
        self._failures += 1
        if self._ask is Ask.STREAM and (isinstance(error, Ignored) or (not was_open and error.code in {400, 422})):
            self._streams_lists = False
            self._list("refused")
            return True
        if self._ask is Ask.LOOK:
            self._missing_at = None
        is_expired = is_gone(error)
        if error.code == 404 and self._watched.is_optional:
            self._ask = Ask.LOOK
        elif self.is_listing:
            # Whichever way it was, the other way is next, unless nobody has answered at all.
            self._is_by_pages = self._ask is Ask.STREAM and (was_open or error.code not in {0, 401, 403})
            self._list("expired" if is_expired else self._reason)
        elif self._ask is Ask.WATCH and not self._can_resume(error, was_open=was_open):
            self._is_by_pages = isinstance(error, Garbage)
            self._list("expired" if is_expired else "doubt")
        if has_lived and _is_cut(error):
            # Not a loss yet: the next try, at once, tells.
            return True
        self.failure = str(error)
        if not is_expired and self.lost_at is None:
            self.lost_at = now
        return has_lived

    def on_looked(self, version: str, now: float) -> Iterator[Change]:
        """Discovery says in which version the kind is served; empty: in none."""
        self.heard_at = now
        if version:
            is_new = self.is_absent or version != self.api
            self.is_absent, self._missing_at, self.api = False, None, version
            self._list("appeared" if is_new else "broken")
        elif self.is_listed and len(self._mirror.keys(self._watched.kind)) and not self._is_missing_long(now):
            self.failure = "the API server does not serve this kind any more"
        else:
            yield from self._give_up()

    def _can_resume(self, error: KubeError, *, was_open: bool) -> bool:
        """Tell whether a watch may go on from where it was: nothing that was said speaks against it."""
        if _is_cut(error) or error.code in {401, 403, 429}:
            return True
        # What a watch itself says went wrong would go wrong again at the same event.
        return not was_open and error.code >= 500 and self._failures < MAX_RESUMED

    def _is_missing_long(self, now: float) -> bool:
        if self._missing_at is None:
            self._missing_at = now
        return now - self._missing_at >= MISSING_S

    def _give_up(self) -> Iterator[Change]:
        for key in tuple(self._mirror.keys(self._watched.kind)):
            change = self._mirror.remove(self._watched.kind, key)
            assert change is not None
            yield change
        self.refused.clear()
        self.ignored.clear()
        self._version = self._missing_at = None
        self.is_listed = self.is_absent = True
        self._settle()

    def _begin(self) -> None:
        self.lists[self._reason] = self.lists.get(self._reason, 0) + 1
        self._reason = "broken"
        self._unseen = {*self._mirror.keys(self._watched.kind), *self.refused}

    def _list(self, reason: str) -> None:
        self.has_all = False
        self._next = ""
        self._unseen = set()
        self._version = None
        self._reason = reason
        self._ask = Ask.STREAM if self._streams_lists and not self._is_by_pages else Ask.PAGE

    def _settle(self) -> None:
        self.lost_at = None
        self.failure = ""

    def _is_repeated(self, event: Event) -> bool:
        number = event.version.number
        assert self._version is not None
        if isinstance(event, Bookmark):
            return 0 < number < self._version.number
        if 0 < number <= self._version.number:
            return True
        known = self._mirror.get(self._watched.kind, event.key)
        return known is not None and 0 < number < known.version

    def _take(self, event: Upsert | Deletion) -> Change | None:
        key, kind, mirror = event.key, self._watched.kind, self._mirror
        if self._unseen:
            self._unseen.discard(key)
        if self.refused:
            self.refused.pop(key, None)
        if self.ignored:
            self.ignored.pop(key, None)
        if isinstance(event, Deletion):
            return mirror.remove(kind, key, event.version.number)
        if event.item is None:
            self.refused[key] = event.flaw
            return mirror.remove(kind, key, event.version.number)
        if event.ignored:
            self.ignored[key] = event.ignored
        return mirror.put(kind, key, event.version.number, event.item)


def is_gone(error: KubeError) -> bool:
    """Tell whether a version is too old to go on from, in HTTP or in a watch."""
    return error.code == 410 or error.reason in {"Expired", "Gone"}


def _is_cut(error: KubeError) -> bool:
    return error.code == 0 and not isinstance(error, (Garbage, Silence, Ignored, Defect))

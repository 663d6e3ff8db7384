"""From events to what is published: in bursts, in order, and past what is wrong."""

import asyncio

from control.compile.compiler import Compiler
from control.feed import Feed
from control.index.change import Change
from control.index.index import Index
from control.model.decode import decode
from tests.control.build import endpoint_slice, http_route, rule, service
from tests.fakes.loop import on_uvloop, until


class Followed:
    """A feed, with what it publishes; `failing` names cannot be compiled."""

    def __init__(self):
        self.published = []
        self.routes = set()
        self.failing = set()
        self.index = Index()
        self.compiler = Compiler(self.index)
        self.version = 0
        follow = self

        class Guarded:
            entries = self.compiler.entries

            def refresh(self, names):
                if follow.failing & set(names):
                    raise ZeroDivisionError
                return follow.compiler.refresh(names)

        self.feed = Feed(
            asyncio.get_running_loop(),
            self.index,
            Guarded(),
            publish=lambda names, since: self.published.append((set(names), since)),
            on_routes=self.routes.update,
            observe=lambda *_: None,
        )

    def tell(self, *documents, gone=False):
        items = [decode(document) for document in documents]
        self.version += len(items)
        self.feed.on_changes([Change(type(item), item.key, None if gone else item) for item in items], self.version)

    @property
    def names(self):
        return set().union(*(names for names, _ in self.published))


@on_uvloop
async def test_the_first_change_goes_out_at_once_and_those_behind_it_together():
    followed = Followed()
    followed.tell(service("a"))
    assert len(followed.published) == 1
    for name in "bcdef":
        followed.tell(service(name))
    assert len(followed.published) == 1
    await until(lambda: "service/shop/f" in followed.names)
    assert len(followed.published) == 2
    assert followed.feed.version == 6


@on_uvloop
async def test_changes_without_end_keep_none_waiting():
    followed = Followed()
    loop = asyncio.get_running_loop()
    followed.tell(service("echo"))
    start = loop.time()
    i = 0
    while len(followed.published) < 5:
        i += 1
        followed.tell(endpoint_slice("echo", f"10.0.{i // 250}.{i % 250 + 1}"))
        assert loop.time() - start < 10
        await asyncio.sleep(0.001)
    assert followed.feed.version == i + 1


@on_uvloop
async def test_what_cannot_be_compiled_is_counted_and_the_rest_of_the_burst_goes_out(caplog):
    followed = Followed()
    followed.failing = {"backend/shop/a:80"}
    followed.tell(service("a"), service("b"))
    assert followed.names == {
        f"{kind}{name}{port}"
        for name in "ab"
        for kind, port in (
            ("service/shop/", ""),
            ("routes/shop/", ":80"),
            ("backend/shop/", ":80"),
            ("endpoints/shop/", ":80"),
        )
    } - {"backend/shop/a:80"}
    assert followed.feed.failed == 1
    assert followed.feed.failing == {"backend/shop/a:80"}
    assert "backend/shop/a:80 cannot be compiled" in caplog.text
    # Once it can, it goes out with its next change.
    followed.failing = set()
    followed.tell(service("a", 80, 81))
    await until(lambda: "backend/shop/a:80" in followed.names)
    assert not followed.feed.failing


@on_uvloop
async def test_what_cannot_be_compiled_at_the_start_does_not_keep_the_control_plane_from_serving():
    followed = Followed()
    followed.failing = {"routes/shop/a:80"}
    documents = [service("a"), service("b"), http_route("a", rule("b"))]
    followed.feed.take([decode(document) for document in documents], 3)
    await followed.feed.compile()
    assert {"routes/shop/b:80", "endpoints/shop/a:80"} <= followed.compiler.entries.keys()
    assert (followed.feed.failed, followed.feed.version, followed.published) == (1, 3, [])


@on_uvloop
async def test_an_object_that_shows_a_defect_keeps_no_other_from_being_taken(caplog, monkeypatch):
    followed = Followed()
    apply = followed.index.apply

    def stumble(item):
        if item.key.name == "bad":
            raise ZeroDivisionError
        return apply(item)

    monkeypatch.setattr(Index, "apply", lambda _, item: stumble(item))
    followed.tell(service("a"), service("bad"), service("b"))
    assert {"service/shop/a", "service/shop/b"} <= followed.names
    assert followed.feed.failed == 1
    assert "Service shop/bad cannot be taken" in caplog.text


@on_uvloop
async def test_what_is_gone_is_gone_from_what_was_compiled():
    followed = Followed()
    followed.tell(service("a"))
    followed.tell(service("a"), gone=True)
    await until(lambda: not followed.compiler.entries)


@on_uvloop
async def test_what_changes_while_everything_is_compiled_is_in_what_comes_of_it():
    followed = Followed()
    followed.feed.take([decode(service("a")), decode(service("b"))], 2)
    followed.tell(service("b"), gone=True)
    followed.tell(service("a", 80, 81), service("c"))
    await followed.feed.compile()
    await until(lambda: "service/shop/c" in followed.compiler.entries)
    assert {"backend/shop/a:81", "backend/shop/c:80"} <= followed.compiler.entries.keys()
    assert not any("shop/b" in name for name in followed.compiler.entries)


@on_uvloop
async def test_nothing_is_published_after_the_end():
    followed = Followed()
    followed.tell(service("a"))
    followed.tell(service("b"))
    followed.feed.close()
    published = list(followed.published)  # on a busy machine the second one may have gone out at once, too
    await asyncio.sleep(0.05)
    assert followed.published == published

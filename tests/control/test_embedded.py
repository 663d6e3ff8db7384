"""The embedded store as a source of objects: what it holds is followed, and what cannot be read counts as absent."""

import msgspec

from control.model.kinds import SERVICE
from control.model.objects import Key
from tests.control.build import service
from tests.fakes.embedded import following, put
from tests.fakes.loop import on_uvloop, until

KEY = Key("shop", "a")


def bad():
    """What was good once, and is not any more."""
    document = msgspec.json.decode(msgspec.json.encode(service("a")))
    document["spec"]["ports"][0]["port"] = "eighty"
    return document


@on_uvloop
async def test_what_is_there_is_loaded_and_what_comes_is_followed(tmp_path):
    async with following(tmp_path, service("a")) as (source, compiler):
        assert "service/shop/a" in compiler.entries
        await put(source, service("b"))
        await until(lambda: "service/shop/b" in compiler.entries)
        await source.objects.mutate(SERVICE, KEY, lambda _: None)
        await until(lambda: "service/shop/a" not in compiler.entries)


@on_uvloop
async def test_an_object_that_cannot_be_read_any_more_counts_as_absent(tmp_path, caplog):
    async with following(tmp_path, service("a")) as (source, compiler):
        await put(source, bad())
        await until(lambda: not compiler.entries)
        assert source.refused == 1
        assert "Service shop/a cannot be read" in caplog.text
        await put(source, service("a"))
        await until(lambda: "service/shop/a" in compiler.entries)


@on_uvloop
async def test_one_that_cannot_be_read_at_the_start_keeps_no_other_from_being_served(tmp_path):
    async with following(tmp_path, bad(), service("b")) as (source, compiler):
        assert source.refused == 1
        assert "service/shop/b" in compiler.entries

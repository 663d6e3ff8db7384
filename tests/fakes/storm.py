"""A process that writes to a store without end, and says on standard output what was acknowledged: `NAME STEP VERSION`.

Every writer has one object, and goes through steps: four that write it, with the step's number and a size of its own,
then one that deletes it. Run as `python -m tests.fakes.storm DIRECTORY FIRST_STEP`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

import uvloop

from control.model.kinds import HTTP_ROUTE
from control.model.objects import Key
from control.store.store import Store
from control.store.verbs import Write, apply, delete
from tests.control.build import http_route, rule

WRITERS = 8


def is_deletion(step: int) -> bool:
    return step % 5 == 4


def padding(step: int) -> str:
    return "abcdefg"[step % 7] * (step * 7919 % 30_000)


def key_of(writer: int) -> Key:
    return Key("shop", f"r{writer}")


async def write(store: Store, writer: int, step: int) -> None:
    key = key_of(writer)
    how = Write(HTTP_ROUTE, key, "storm", "2026-01-31T12:00:00Z", "u")
    while True:
        if not is_deletion(step):
            document = http_route(key.name, rule("a"))
            document["metadata"]["annotations"] = {"step": str(step), "padding": padding(step)}
            stored = await store.mutate(HTTP_ROUTE, key, partial(apply, document=document, write=how))
        elif store.get(HTTP_ROUTE, key) is not None:
            stored = await store.mutate(HTTP_ROUTE, key, partial(delete, write=how))
        os.write(1, f"{key.name} {step} {stored.version}\n".encode())
        step += 1


async def main() -> None:
    os.write(1, b"opening\n")
    store = await Store.open(Path(sys.argv[1]))
    await asyncio.gather(*(write(store, i, int(sys.argv[2])) for i in range(WRITERS)))


if __name__ == "__main__":
    uvloop.run(main())

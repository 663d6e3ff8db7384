"""What the checks find, as the API tells it."""

import asyncio

from control.model.check import Check
from tests.fakes.api import serve
from tests.fakes.loop import on_uvloop, until

CHECK = "/apis/meshproxy.io/v1alpha1/check"


class Rounds:
    """Checks that wait until they may go on; `began` counts their rounds."""

    def __init__(self):
        self.began = 0
        self.go_on = asyncio.Event()

    async def __call__(self):
        self.began += 1
        await self.go_on.wait()
        return [Check("Rights", "pods", "fail", f"round {self.began}", "kubectl apply")]


@on_uvloop
async def test_checks_are_told_as_a_list(tmp_path):
    async with serve(tmp_path) as api:
        assert await api.get(CHECK) == (
            200,
            {
                "apiVersion": "meshproxy.io/v1alpha1",
                "kind": "CheckList",
                "items": [{"section": "Objects", "name": "store", "state": "ok", "message": "7 objects", "hint": ""}],
            },
        )
        assert (await api.ask("POST", CHECK))[0] == 405
        assert (await api.get(CHECK, Authorization="Bearer no"))[0] == 401


@on_uvloop
async def test_those_who_come_while_a_round_is_under_way_share_the_next(tmp_path):
    rounds = Rounds()
    async with serve(tmp_path, checks=rounds) as api:
        first = asyncio.ensure_future(api.get(CHECK))
        await until(lambda: rounds.began)
        later = [asyncio.ensure_future(api.get(CHECK)) for _ in range(5)]
        await until(lambda: api.api._gate.under_way == 6)
        rounds.go_on.set()
        said = [found["items"][0]["message"] for _, found in await asyncio.gather(first, *later)]
        assert said == ["round 1", *["round 2"] * 5]


@on_uvloop
async def test_who_goes_away_does_not_take_the_answer_from_the_others(tmp_path):
    rounds = Rounds()
    async with serve(tmp_path, checks=rounds) as api:
        first = asyncio.ensure_future(api.get(CHECK))
        await until(lambda: rounds.began)
        second = asyncio.ensure_future(api.get(CHECK))
        first.cancel()
        await until(lambda: rounds.began == 2)
        rounds.go_on.set()
        code, found = await second
        assert (code, found["items"][0]["message"]) == (200, "round 2")


@on_uvloop
async def test_who_comes_afterwards_is_told_what_is_found_then(tmp_path):
    rounds = Rounds()
    rounds.go_on.set()
    async with serve(tmp_path, checks=rounds) as api:
        await api.get(CHECK)
        _, found = await api.get(CHECK)
        assert found["items"][0]["message"] == "round 2"

"""The push client against the control plane's own hub: what one has, the other one comes to have."""

import asyncio
import random

from meshproxy.wire.change import Outlook
from tests.fakes.follower import started
from tests.fakes.loop import on_uvloop, until
from tests.fakes.plane import pushing
from tests.fakes.pushes import endpoints, lane, routes, service

KEYS = [f"bank/s{n}" for n in range(8)]


def churn(rng):
    """Change something: endpoints most of the time, routes and whole Services now and then."""
    key = rng.choice(KEYS)
    port = f"{key}:80"
    choice = rng.random()
    if choice < 0.6:
        return [endpoints(port, *sorted(rng.sample(range(1, 60), 40)))], []
    if choice < 0.8:
        return [routes(port, *rng.sample([f"{other}:80" for other in KEYS], 2))], []
    if choice < 0.9:
        return [], [f"service/{key}", *(entry.name for entry in lane(port))]
    return [service(key), *lane(port, 1)], []


@on_uvloop
async def test_whatever_changes_the_sidecar_has_it_in_the_end():
    rng = random.Random(1)
    everything = [entry for key in KEYS for entry in (service(key), *lane(f"{key}:80", *range(1, 40)))]
    async with pushing(everything) as plane, started(plane.url) as sidecar:
        for key in KEYS[:4]:
            assert sidecar.discovery.want(*key.split("/"), 80) is Outlook.COMING
        for _ in range(300):
            updated, removed = churn(rng)
            plane.use(updated)
            plane.drop(*(name for name in removed if name in plane.entries))
            await asyncio.sleep(0)
        await until(lambda: in_step(sidecar, plane))
        assert sidecar.metric('meshproxy_pushes_total{outcome="refused"}') is None
        row = plane.hub.proxies()[0]
        assert row.synced


def in_step(sidecar, plane):
    return sidecar.discovery.is_synced and all(
        plane.entries.get(name) == state for name, state in sidecar.states.items()
    )


@on_uvloop
async def test_a_sidecar_that_lost_a_version_gets_the_whole_and_goes_on():
    async with (
        pushing([service("bank/s0"), *lane("bank/s0:80", *range(1, 40))]) as plane,
        started(plane.url) as sidecar,
    ):
        sidecar.discovery.want("bank", "s0", 80)
        await until(lambda: len(sidecar.states) == 4 and in_step(sidecar, plane))
        sidecar.fails = True
        plane.use([endpoints("bank/s0:80", *range(2, 40))])
        await until(lambda: sidecar.metric('meshproxy_pushes_total{outcome="failed"}'))
        sidecar.fails = False
        plane.use([endpoints("bank/s0:80", *range(3, 40))])
        await until(lambda: in_step(sidecar, plane))

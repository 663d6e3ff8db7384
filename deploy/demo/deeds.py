"""How each act's deed is done, and undone."""

from __future__ import annotations

import asyncio
import time

from deploy.demo.acts import Act, Deed
from deploy.demo.child import DemoError, ToolError
from deploy.demo.cluster import Cluster
from deploy.demo.pods import Pod

BACK_S = 30.0
"""Sidecars try again after at most ten seconds."""
SEEN_S = 10.0
SIDE_BY_SIDE_S = 3.0
"""How long the old instance and the new one serve together, of a whole show's length."""


class Deeds:
    """Does them to one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def do(self, act: Act, victim: Pod | None, newcomer: Pod | None, span_s: float) -> str:
        """Do what belongs to an act of so many seconds; what there is to say of it. Raises DemoError."""
        try:
            return await self._do(act, victim, newcomer, span_s)
        except ToolError as error:
            # Somebody else has changed the objects; the show goes on with what there is.
            return f"not done: {str(error).splitlines()[-1]}"

    async def _do(self, act: Act, victim: Pod | None, newcomer: Pod | None, span_s: float) -> str:
        match act.deed:
            case Deed.SHIFT:
                await self._shift(act.percent)
            case Deed.AWAY:
                self._cluster.plane.kill()
            case Deed.RESTART:
                note = await self._restart()
                await self._shift(act.percent)
                return note
            case Deed.REPLACE if victim and newcomer:
                return await self._replace(victim, newcomer, min(SIDE_BY_SIDE_S, span_s / 4))
            case Deed.KILL if victim:
                self._cluster.kill_pod(victim)
            case Deed.FAIL | Deed.SLOW if victim:
                await self._cluster.set_mood(victim, act.deed.value)
        return ""

    async def undo(self, act: Act, victim: Pod | None) -> None:
        """Make well again who was made ill."""
        if victim is None:
            return
        if act.deed is Deed.KILL:
            self._cluster.start_pod(victim)
        elif act.deed in {Deed.FAIL, Deed.SLOW}:
            await self._cluster.set_mood(victim, "well")

    async def _shift(self, percent: int) -> None:
        await self._cluster.plane.meshctl("route", "shift", "reviews", f"v2={percent}", "--rule", "everyone")

    async def _restart(self) -> str:
        plane = self._cluster.plane
        began = time.monotonic()
        plane.start()
        await plane.until_ready()
        ready_s = time.monotonic() - began
        try:
            async with asyncio.timeout(BACK_S):
                await self._cluster.until_connected(self._cluster.front)
        except TimeoutError:
            raise DemoError(f"the front end's sidecar was not connected again after {BACK_S:g} s") from None
        return f"up after {ready_s:.1f} s, front-1 connected after {time.monotonic() - began:.1f} s"

    async def _replace(self, victim: Pod, newcomer: Pod, pause_s: float) -> str:
        cluster, plane = self._cluster, self._cluster.plane
        began = time.monotonic()
        cluster.start_pod(newcomer)
        await cluster.until_ready(newcomer)
        await plane.meshctl("apply", "-f", str(cluster.manifests.add(newcomer, victim)))
        await self._until_seen(newcomer, is_there=True)
        await asyncio.sleep(pause_s)
        await plane.meshctl("apply", "-f", str(cluster.manifests.remove(victim)))
        await self._until_seen(victim, is_there=False)
        await asyncio.gather(cluster.end_pod(victim), plane.meshctl("delete", "pod", victim.name))
        return f"{victim.name} gone, {newcomer.name} in its place after {time.monotonic() - began:.1f} s"

    async def _until_seen(self, pod: Pod, *, is_there: bool) -> None:
        try:
            async with asyncio.timeout(SEEN_S):
                await self._cluster.until_seen(pod, is_there=is_there)
        except TimeoutError:
            word = "there" if is_there else "gone"
            raise DemoError(
                f"the front end's sidecar did not hear within {SEEN_S:g} s that {pod.name} is {word}"
            ) from None

"""The shop as it runs: the control plane, and for every Pod its application and its sidecar."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from pathlib import Path

from deploy.demo import child, identity
from deploy.demo.app import MOODS
from deploy.demo.child import Child, DemoError, python
from deploy.demo.client import Address, ResponseError, call
from deploy.demo.plane import Plane
from deploy.demo.pods import NAMESPACE, Manifests, Pod, show

READY_S = 60.0
"""How long all of it may take to become ready; a few seconds on two cores."""
POLL_S = 0.05
CALL_S = 2.0
DRAIN_S = 0.5
REPLACED = "catalog-1"
"""The Service of this one gets another instance now and then, whose addresses have to be free as well."""


class Cluster:
    """`start` once, `stop` once, whatever has happened between."""

    def __init__(self, directory: Path, base: int) -> None:
        self._directory = directory
        self.manifests = Manifests(self._made("manifests"), base)
        self.pods = {pod.name: pod for pod in self.manifests.pods}
        self.front = next(pod for pod in self.pods.values() if pod.is_caller)
        self.plane = Plane(self._made("store"), self._made("logs"), base)
        self.has_tls = identity.is_possible()
        self._children: dict[str, list[Child]] = {}
        self._leaving: list[Child] = []

    async def start(self) -> None:
        """Start the control plane, give it the manifests, start the Pods, and wait for a page. Raises DemoError."""
        self._check_addresses()
        self.plane.write_env()
        self.plane.start()
        if self.has_tls:
            await identity.make(self._made("identities"), {pod.account for pod in self.pods.values()})
        await self.plane.until_ready()
        await self.plane.meshctl("apply", "-f", str(self.manifests.directory))
        for pod in self.pods.values():
            self.start_pod(pod)
        try:
            async with asyncio.timeout(READY_S):
                for pod in self.pods.values():
                    await self.until_ready(pod)
                await self._until(self.front.inbound, "/")
        except TimeoutError:
            raise DemoError(f"the shop was not ready after {READY_S:g} s: is this machine very busy?") from None

    def start_pod(self, pod: Pod) -> None:
        """Start a Pod's application and sidecar."""
        caller = [show(pod.outbound)] if pod.is_caller else []
        application = python("deploy.demo.app", pod.name, show(pod.app), *caller)
        sidecar = python("meshproxy.cli", "run", "--control", f"ws://{show(self.plane.push)}")
        sidecar += ["--state-dir", str(self._made("states") / pod.name)]
        sidecar += ["--namespace", NAMESPACE, "--service-account", pod.account, "--workload", pod.name]
        sidecar += ["--inbound", show(pod.inbound), "--app", show(pod.app), "--admin", show(pod.admin)]
        sidecar += ["--drain-s", str(DRAIN_S)]
        if pod.is_caller:
            sidecar += ["--outbound", show(pod.outbound)]
        if self.has_tls:
            sidecar += ["--identity-dir", str(self._directory / "identities" / pod.account)]
        self.pods[pod.name] = pod
        children = self._children.setdefault(pod.name, [])
        for name, command in ((f"the application of {pod.name}", application), (f"the sidecar of {pod.name}", sidecar)):
            children.append(Child(name, command, self._made("logs") / f"{name.replace(' ', '-')}.log"))

    async def until_ready(self, pod: Pod) -> None:
        """Wait until a Pod's application answers, and its sidecar has its configuration."""
        if not pod.is_caller:  # whose application answers when all the others do
            await self._until(pod.app, "/")
        await self._until(pod.admin, "/healthz/ready")

    def kill_pod(self, pod: Pod) -> None:
        """End a Pod at once, as a machine does that loses its power."""
        for victim in self._children.pop(pod.name, []):
            victim.kill()

    async def end_pod(self, pod: Pod) -> None:
        """End a Pod as Kubernetes does: its sidecar drains, then its application goes."""
        del self.pods[pod.name]
        leaving = self._children.pop(pod.name, [])
        self._leaving += leaving
        for process in reversed(leaving):
            process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(child.END_S):
                    await process.ended()
            process.kill()
            self._leaving.remove(process)

    async def set_mood(self, pod: Pod, mood: str) -> None:
        """Tell an application how to behave, past its sidecar."""
        assert mood in MOODS
        async with asyncio.timeout(CALL_S):
            await call(pod.app, f"/mood/{mood}", "PUT")

    async def until_seen(self, pod: Pod, *, is_there: bool) -> None:
        """Wait until the front end's sidecar has been told that a Pod is an endpoint, or is none any more."""
        address = f'"{show(pod.inbound)}"'
        while True:
            with suppress(OSError, ResponseError):
                _, body = await call(self.front.admin, "/endpoints")
                if (address in body.decode()) == is_there:
                    return
            await asyncio.sleep(POLL_S)

    async def until_connected(self, pod: Pod) -> None:
        """Wait until a Pod's sidecar has found the control plane."""
        while True:
            with suppress(OSError, ResponseError):
                _, body = await call(pod.admin, "/stream")
                if json.loads(body)["connected_to"]:
                    return
            await asyncio.sleep(POLL_S)

    def check(self) -> None:
        """Raise DemoError when a process has ended that nobody has killed."""
        for process in self._running():
            process.check()

    def stop(self) -> None:
        """End every process."""
        child.end([*self._running(), *self._leaving])
        self._children.clear()
        self.plane.remove_env()

    def _running(self) -> list[Child]:
        """Those that should run."""
        return [*(process for processes in self._children.values() for process in processes), *self.plane.processes]

    async def _until(self, address: Address, path: str) -> None:
        while True:
            self.check()
            with suppress(OSError, ResponseError):
                status, _ = await call(address, path)
                if status == 200:
                    return
            await asyncio.sleep(POLL_S)

    def _check_addresses(self) -> None:
        spare = self.pods[REPLACED].successor(self.pods)
        for address in [*self.plane.addresses, *(it for pod in (*self.pods.values(), spare) for it in pod.addresses)]:
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    sock.bind(address)
                    sock.listen()
                except OSError as error:
                    raise DemoError(
                        f"{show(address)} cannot be had: {error.strerror}. If another demo runs, or something "
                        f"else has the port, move all ports: DEMO_PORT_BASE={_other(self.front.base)} make demo"
                    ) from None

    def _made(self, name: str) -> Path:
        place = self._directory / name
        place.mkdir(mode=0o700, exist_ok=True)
        return place


def _other(base: int) -> int:
    return base + 1000 if base < 60_000 else 20_000

"""The shop as it runs: for every Pod its application and its sidecar, started from the manifests."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress
from pathlib import Path

from deploy.demo import child, identity, pods
from deploy.demo.app import MOODS
from deploy.demo.child import Child, DemoError, python
from deploy.demo.client import Address, ResponseError, call
from deploy.demo.pods import NAMESPACE, Pod, show

READY_S = 60.0
"""How long all of it may take to become ready; a few seconds on two cores."""
POLL_S = 0.05
CALL_S = 2.0
DRAIN_S = 0.5


class Cluster:
    """`start` once, `stop` once, whatever has happened between."""

    def __init__(self, directory: Path, base: int) -> None:
        self._directory = directory
        manifests = directory / "manifests"
        manifests.mkdir()
        self.pods = {pod.name: pod for pod in pods.write(manifests, base)}
        self.front = next(pod for pod in self.pods.values() if pod.is_caller)
        self.has_tls = identity.is_possible()
        self._children: dict[str, list[Child]] = {}

    async def start(self) -> None:
        """Compile, start, and wait until a page can be had. Raises DemoError."""
        self._check_addresses()
        await self._prepare()
        for pod in self.pods.values():
            self.start_pod(pod)
        try:
            async with asyncio.timeout(READY_S):
                for pod in self.pods.values():
                    await self._until(pod.admin, "/healthz/ready")
                await self._until(self.front.inbound, "/")
        except TimeoutError:
            raise DemoError(f"the shop was not ready after {READY_S:g} s: is this machine very busy?") from None

    async def _prepare(self) -> None:
        """Make what the sidecars read."""
        tools = [asyncio.create_task(self._compile())]
        if self.has_tls:
            accounts = {pod.account for pod in self.pods.values()}
            tools.append(asyncio.create_task(identity.make(self._made("identities"), accounts)))
        try:
            await asyncio.gather(*tools)
        finally:
            for tool in tools:
                tool.cancel()
            await asyncio.gather(*tools, return_exceptions=True)

    def start_pod(self, pod: Pod) -> None:
        """Start a Pod's application and sidecar."""
        caller = [show(pod.outbound)] if pod.is_caller else []
        application = python("deploy.demo.app", pod.name, show(pod.app), *caller)
        sidecar = python("meshproxy.cli", "run", "--snapshot", str(self._directory / "snapshot.json"))
        sidecar += ["--namespace", NAMESPACE, "--service-account", pod.account, "--workload", pod.name]
        sidecar += ["--inbound", show(pod.inbound), "--app", show(pod.app), "--admin", show(pod.admin)]
        sidecar += ["--drain-s", str(DRAIN_S)]
        if pod.is_caller:
            sidecar += ["--outbound", show(pod.outbound)]
        if self.has_tls:
            sidecar += ["--identity-dir", str(self._directory / "identities" / pod.account)]
        children = self._children.setdefault(pod.name, [])
        for name, command in ((f"the application of {pod.name}", application), (f"the sidecar of {pod.name}", sidecar)):
            children.append(Child(name, command, self._made("logs") / f"{name.replace(' ', '-')}.log"))

    def kill_pod(self, pod: Pod) -> None:
        """End a Pod at once, as a machine does that loses its power."""
        for victim in self._children.pop(pod.name, []):
            victim.kill()

    async def set_mood(self, pod: Pod, mood: str) -> None:
        """Tell an application how to behave, past its sidecar."""
        assert mood in MOODS
        async with asyncio.timeout(CALL_S):
            await call(pod.app, f"/mood/{mood}", "PUT")

    def check(self) -> None:
        """Raise DemoError when a process has ended that nobody has killed."""
        for children in self._children.values():
            for process in children:
                process.check()

    def stop(self) -> None:
        """End every process."""
        child.end(process for children in self._children.values() for process in children)
        self._children.clear()

    async def _compile(self) -> None:
        meshctl = str(Path(sys.executable).with_name("meshctl"))
        command = [meshctl, "compile", "-f", str(self._directory / "manifests")]
        command += ["-o", str(self._directory / "snapshot.json")]
        await Child("meshctl compile", command, self._made("logs") / "compile.log").finish()

    async def _until(self, address: Address, path: str) -> None:
        while True:
            self.check()
            with suppress(OSError, ResponseError):
                status, _ = await call(address, path)
                if status == 200:
                    return
            await asyncio.sleep(POLL_S)

    def _check_addresses(self) -> None:
        for pod in self.pods.values():
            for address in pod.addresses:
                with socket.socket() as sock:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    try:
                        sock.bind(address)
                        sock.listen()
                    except OSError as error:
                        raise DemoError(
                            f"{show(address)} cannot be had: {error.strerror}. If another demo runs, or something "
                            f"else has the port, move all ports: DEMO_PORT_BASE={_other(pod.base)} make demo"
                        ) from None

    def _made(self, name: str) -> Path:
        place = self._directory / name
        place.mkdir(mode=0o700, exist_ok=True)
        return place


def _other(base: int) -> int:
    return base + 1000 if base < 60_000 else 20_000

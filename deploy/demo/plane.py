"""The control plane: its process, and what `meshctl` does with it, here and in a second terminal."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from deploy.demo.child import ROOT, Child, DemoError, ToolError, python
from deploy.demo.client import Address, ResponseError, call
from deploy.demo.pods import NAMESPACE, show

HOST = "127.0.10.2"
READY_S = 30.0
POLL_S = 0.05
CALL_S = 2.0
TOOL_S = 30.0
_BIN = Path(sys.executable).parent
_SAMPLE = re.compile(r"^meshcontrol_(streams|push_latency_seconds_count|push_latency_seconds_sum) (\S+)$", re.MULTILINE)


class State(NamedTuple):
    """What it tells of itself: sidecars connected, changes acknowledged since its start, and how long those took."""

    sidecars: int
    acks: int
    latency_s: float

    @classmethod
    def parse(cls, text: str) -> State:
        """Read its page of metrics."""
        values = {name: float(value) for name, value in _SAMPLE.findall(text)}
        return cls(
            int(values.get("streams", 0)),
            int(values.get("push_latency_seconds_count", 0)),
            values.get("push_latency_seconds_sum", 0.0),
        )

    def since(self, base: State | None) -> State:
        """What was acknowledged after `base`. Fewer than before: it began anew, with its process."""
        if base is None or base.acks > self.acks:
            return self
        return State(self.sidecars, self.acks - base.acks, self.latency_s - base.latency_s)

    @property
    def ack_s(self) -> float | None:
        """From the write of a change to a sidecar's Ack, on average; None without any."""
        return self.latency_s / self.acks if self.acks else None


class Plane:
    """Started and killed as often as the show wants; its objects outlive it in `directory`."""

    def __init__(self, directory: Path, logs: Path, base: int) -> None:
        self._directory = directory
        self._logs = logs
        self.api: Address = (HOST, base + 10)
        self.push: Address = (HOST, base + 12)
        self.metrics: Address = (HOST, base + 14)
        self.env = ROOT / "build" / f"demo-{base}.env"
        self._has_env = False
        self._process: Child | None = None

    @property
    def addresses(self) -> list[Address]:
        return [self.api, self.push, self.metrics]

    @property
    def processes(self) -> list[Child]:
        """Those that should run."""
        return [self._process] if self._process else []

    def start(self) -> None:
        command = python("control.main", "run", "--data-dir", str(self._directory))
        command += ["--api", show(self.api), "--push", show(self.push), "--metrics", show(self.metrics)]
        self._process = Child("the control plane", command, self._logs / "the-control-plane.log")

    async def until_ready(self) -> None:
        """Wait until it answers. Raises DemoError."""
        try:
            async with asyncio.timeout(READY_S):
                while await self.state() is None:
                    for process in self.processes:
                        process.check()
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            said = "".join(process.said() for process in self.processes)
            raise DemoError(f"the control plane was not ready after {READY_S:g} s, and said:\n{said}") from None

    def kill(self) -> None:
        """End it at once, as a machine does that loses its power."""
        for process in self.processes:
            process.kill()
        self._process = None

    async def state(self) -> State | None:
        """What it tells of itself, None if it does not answer."""
        with suppress(OSError, TimeoutError, ResponseError):
            async with asyncio.timeout(CALL_S):
                status, body = await call(self.metrics, "/metrics")
            if status == 200:
                return State.parse(body.decode())
        return None

    async def meshctl(self, *arguments: str) -> None:
        """Run meshctl in the shop's namespace. Raises ToolError with what it said."""
        command = [str(_BIN / "meshctl"), "--api", f"http://{show(self.api)}", "--token-file", str(self._token)]
        command += [*arguments, "--namespace", NAMESPACE]
        name = f"meshctl {' '.join(arguments)}"
        try:
            async with asyncio.timeout(TOOL_S):
                await Child(name, command, self._logs / "meshctl.log").finish()
        except TimeoutError:
            raise ToolError(f"{name} has not ended after {TOOL_S:g} s") from None

    def write_env(self) -> None:
        """Write what makes `meshctl` in another terminal speak with this control plane."""
        self.env.parent.mkdir(exist_ok=True)
        self._has_env = True
        self.env.write_text(
            "unset MESHCTL_TOKEN\n"
            f'export PATH={shlex.quote(str(_BIN))}:"$PATH"\n'
            f"export MESHCTL_API=http://{show(self.api)}\n"
            f"export MESHCTL_TOKEN_FILE={shlex.quote(str(self._token))}\n"
            f"export MESHCTL_NAMESPACE={NAMESPACE}\n"
        )

    def remove_env(self) -> None:
        if self._has_env:  # else it is another demo's
            self.env.unlink(missing_ok=True)

    @property
    def _token(self) -> Path:
        return self._directory / "token"

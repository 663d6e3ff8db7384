"""Credentials from a program (client.authentication.k8s.io): one run at a time, bounded in time and in what it says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import ssl
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, cast

import msgspec

from control.kube.credentials import bearer
from control.kube.failure import KubeError, SettingsError
from control.kube.kubeconfig import Exec, Place
from control.kube.tls import Pair, show
from meshproxy.kit.text import printable

RUN_S = 30.0
GAP_S = 10.0
"""Between two runs: a credential that is refused as soon as it was given is not better a moment later, and a program
that fails is not asked at the pace of those who wait for it."""
LINGER_S = 1.0
"""For the rest of its output once it has ended."""
EARLY_S = 10.0
"""How long before its end a credential is renewed."""
MAX_OUTPUT = 1 << 20
MAX_COMPLAINT = 300
"""Characters of what it says on standard error, where it says why it fails."""
KIND = "ExecCredential"
VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


class CredentialStatus(msgspec.Struct, rename="camel"):
    expiration_timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None


class Credential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: CredentialStatus


class Plugin:
    """What the program gave is used until it ends or is refused. `cluster` is what it may be told of the cluster."""

    __slots__ = (
        "_at", "_exec", "_failure", "_info", "_label", "_process", "_ran_at", "_renew_at", "_running", "_value", "pair",
    )  # fmt: skip

    def __init__(self, exec_: Exec, at: Place, cluster: Mapping[str, Any]) -> None:
        """Raise SettingsError for what cannot be run."""
        _check(exec_, at)
        spec = {"interactive": False, **({"cluster": cluster} if exec_.provide_cluster_info else {})}
        info = {"apiVersion": exec_.api_version, "kind": KIND, "spec": spec}
        self._exec = exec_
        self._at = at
        self._info = msgspec.json.encode(info).decode()
        self._label = f"{at.label('exec')}: {printable(exec_.command)}"
        self._value = ""
        self.pair: Pair | None = None
        self._failure = ""
        self._ran_at: float | None = None
        self._renew_at = 0.0
        self._running: asyncio.Task[None] | None = None
        self._process: _Run | None = None

    async def authorization(self, now: float) -> str:
        """See Credentials. Those who come while the program runs wait for that run."""
        if self._running is None and now >= self._renew_at and (self._ran_at is None or now - self._ran_at >= GAP_S):
            self._ran_at = now
            self._running = asyncio.create_task(self._renew(now))
        if self._running is not None:
            await asyncio.shield(self._running)
        if self._failure:
            raise KubeError(self._failure)
        return self._value

    def reject(self, value: str) -> None:
        """See Credentials. Those of before the last run are not meant."""
        if value == self._value:
            self._renew_at = 0.0

    async def close(self) -> None:
        """Kill the program if it runs."""
        while self._running is not None:
            if self._process is not None:
                self._process.kill()
            await asyncio.wait([self._running], timeout=LINGER_S)

    async def _renew(self, now: float) -> None:
        try:
            status = _decode(await self._run(), self._exec.api_version)
            value = bearer(status.token.encode(), "status.token") if status.token else ""
            pair = _pair(status)
        except (KubeError, SettingsError) as error:
            self._failure = f"{self._label}: {error}"
        else:
            self._value, self.pair = value, pair
            self._failure = ""
            ends = status.expiration_timestamp
            # Its end is told by the wall clock.
            self._renew_at = now + ends.timestamp() - time.time() - EARLY_S if ends else float("inf")
        finally:
            self._running = None

    async def _run(self) -> bytes:
        loop = asyncio.get_running_loop()
        environment = {**os.environ, **{it.name: it.value for it in self._exec.env}, "KUBERNETES_EXEC_INFO": self._info}
        self._process = run = _Run(loop)
        try:
            transport, _ = await loop.subprocess_exec(
                lambda: run,
                self._find(environment),
                *self._exec.args,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                start_new_session=True,  # so that what it starts can be killed with it
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise KubeError(f"cannot be started: {why}") from None
        try:
            async with asyncio.timeout(RUN_S):
                await asyncio.shield(run.exited)
        except TimeoutError:
            raise KubeError(f"has not ended within {RUN_S:g} s") from None
        else:
            # What it left running may hold its output open for ever.
            await asyncio.wait([run.closed], timeout=LINGER_S)
        finally:
            run.kill()
            await asyncio.shield(run.exited)
            transport.close()
        if run.is_too_much:
            raise KubeError(f"printed more than {MAX_OUTPUT} bytes")
        code = transport.get_returncode()
        if code != 0:
            said = printable(" ".join(run.complaint.decode(errors="replace").split()))[-MAX_COMPLAINT:]
            raise KubeError(f"ended with code {code}" + (f": {said}" if said else ""))
        return bytes(run.output)

    def _find(self, environment: Mapping[str, str]) -> str:
        command = self._exec.command
        if "/" in command:
            return str(self._at.path(command).absolute())
        found = shutil.which(command, path=environment.get("PATH"))
        if found is None:
            hint = printable(" ".join(self._exec.install_hint.split()))[:MAX_COMPLAINT]
            raise KubeError("is not found in PATH" + (f"; {hint}" if hint else ""))
        return found


def _check(exec_: Exec, at: Place) -> None:
    if exec_.api_version not in VERSIONS:
        raise at.refuse("exec.apiVersion", f"{exec_.api_version!r}; allowed: {', '.join(VERSIONS)}")
    if not exec_.command:
        raise at.refuse("exec.command", "is missing")
    if exec_.interactive_mode == "Always":
        raise at.refuse("exec.interactiveMode", "Always, and nobody is there to answer; allowed: Never, IfAvailable")
    if exec_.interactive_mode not in {"Never", "IfAvailable"}:
        raise at.refuse("exec.interactiveMode", f"{exec_.interactive_mode!r}; allowed: Never, IfAvailable")


class _Run(asyncio.SubprocessProtocol):
    """What one run prints, up to a bound; one that goes beyond it is killed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.output = bytearray()
        self.complaint = bytearray()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.is_too_much = False
        self._is_unwanted = False
        self._pid = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._pid = cast("asyncio.SubprocessTransport", transport).get_pid()  # uvloop's is of no such class
        if self._is_unwanted:
            self.kill()

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        assert isinstance(data, bytes)
        taken = self.output if fd == 1 else self.complaint
        if len(taken) + len(data) > MAX_OUTPUT:
            self.is_too_much = True
            self.kill()
        else:
            taken += data

    def process_exited(self) -> None:
        self.exited.set_result(None)

    def connection_lost(self, _: Exception | None) -> None:
        self.closed.set_result(None)

    def kill(self) -> None:
        """End it and what it has started, as soon as it has begun; if it has ended, its number may be another's."""
        self._is_unwanted = True
        if self._pid and not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)


def _decode(output: bytes, version: str) -> CredentialStatus:
    try:
        credential = msgspec.json.decode(output, type=Credential)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise KubeError(f"what it printed is no {KIND}: {error}") from None
    if credential.kind != KIND or credential.api_version != version:
        raise KubeError(f"what it printed is no {KIND} of {version}")
    status = credential.status
    if bool(status.client_certificate_data) != bool(status.client_key_data):
        raise KubeError("status: clientCertificateData and clientKeyData come together or not at all")
    if not status.token and not status.client_certificate_data:
        raise KubeError("status: has neither a token nor a certificate")
    return status


def _pair(status: CredentialStatus) -> Pair | None:
    """Raise SettingsError for what TLS could not show: without it a request would be nobody's."""
    if not status.client_certificate_data or not status.client_key_data:
        return None
    pair = Pair(status.client_certificate_data.encode(), status.client_key_data.encode())
    show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), pair, "status.clientCertificateData")
    return pair

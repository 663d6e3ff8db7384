"""One sidecar: `meshproxy run` on an address of its own, with the ports that it has in a Pod."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from loadtest.process import Child, ChildError
from loadtest.subjects.identity import NAMESPACE
from loadtest.subjects.rest import ask
from loadtest.subjects.subject import Address, Place, SubjectError

_OUTBOUND_PORT, _INBOUND_PORT, _ADMIN_PORT, _HEALTH_PORT = 15001, 15006, 15000, 15020


class Sidecar:
    """Of a caller, or with `app` before an instance that listens there. `flags` say where its configuration is from."""

    def __init__(self, place: Place, workload: str, account: str, flags: Sequence[str], app: Address | None) -> None:
        self._place = place
        self._host = place.block.address()
        self.workload = workload
        self.child: Child | None = None
        self.was_ready = False
        traffic = (
            ["--outbound", _show(self.outbound)]
            if app is None
            else ["--inbound", _show(self.inbound), "--app", _show(app)]
        )
        self.words = [
            "run",
            *flags,
            *("--namespace", NAMESPACE, "--service-account", account, "--workload", workload),
            *traffic,
            *("--admin", _show((self._host, _ADMIN_PORT)), "--health", _show((self._host, _HEALTH_PORT))),
        ]

    @property
    def outbound(self) -> Address:
        return self._host, _OUTBOUND_PORT

    @property
    def inbound(self) -> Address:
        return self._host, _INBOUND_PORT

    async def begin(self, program: Path) -> None:
        """SubjectError when it cannot be started."""
        name = f"sidecar of {self.workload}"
        cwd, cores = self._place.folder, self._place.cores
        try:
            self.child = await Child.begin(name, [program, *self.words], cwd=cwd, cores=cores)
        except ChildError as error:
            raise SubjectError(str(error)) from None

    async def is_ready(self) -> bool:
        """Whether it has its configuration and accepts requests."""
        try:
            status, _ = await ask((self._host, _HEALTH_PORT), "/healthz/ready")
        except OSError:
            return False
        self.was_ready = self.was_ready or status == 200
        return status == 200

    async def endpoints(self) -> set[tuple[str, str]]:
        """What it can send requests to now: (NAMESPACE/SERVICE:PORT, ADDRESS:PORT)."""
        try:
            status, body = await ask((self._host, _ADMIN_PORT), "/endpoints")
        except OSError:
            return set()
        rows = json.loads(body)["endpoints"] if status == 200 else []
        return {(row["backend"], row["address"]) for row in rows}


def _show(address: Address) -> str:
    return f"{address[0]}:{address[1]}"

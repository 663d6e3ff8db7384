"""An HTTPS server on loopback that answers as the test says, and kubeconfigs that lead to it."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.fakes.pki import Authority, issue, make_ca

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Tls:
    """An authority, and the context of a server whose certificate it issued."""

    folder: Path
    names: list[str] = field(default_factory=lambda: ["localhost"])
    clients: Authority | None = None
    ca: Authority = field(default_factory=make_ca)

    def context(self) -> ssl.SSLContext:
        """Of the server; with `clients`, only clients with a certificate of that authority are served."""
        certificate, key = issue([], self.ca, dns=self.names)
        file = self.folder / "server.pem"
        file.write_bytes(certificate + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        if self.clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.clients.pem.decode())
        return context

    @property
    def authority(self) -> dict[str, str]:
        return {"certificate-authority-data": base64.b64encode(self.ca.pem).decode()}


@asynccontextmanager
async def serving(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve until the end of the block; gives the port."""
    application = web.Application(client_max_size=1 << 27)
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def write_kubeconfig(file: Path, cluster: dict[str, Any], user: dict[str, Any] | None = None) -> Path:
    """One cluster, one user, one context, all of them named `test`."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user or {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    file.write_text(json.dumps(config))
    return file

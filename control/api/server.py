"""The REST API on one page: each operation of the table is admitted, handled, measured, and answered in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import ip_address
from time import monotonic
from typing import TypeAlias

from aiohttp import web
from prometheus_client import CollectorRegistry

from control.api.body import MAX_BYTES
from control.api.check import Checker
from control.api.documents import Documents
from control.api.gate import Gate
from control.api.mesh import Mesh
from control.api.metrics import Metrics
from control.api.operations import OPERATIONS, TEXT, Operation
from control.api.protocols import Checks, Explain, Objects, Proxies
from control.api.query import flag
from control.api.reader import Reader
from control.api.readonly import ReadOnly
from control.api.send import answer
from control.api.status import ApiError
from control.api.watcher import Watchers
from control.api.writer import Writer
from control.listener import Listener

log = logging.getLogger(__name__)

REQUEST_S = 60.0
"""So long may a request take that is no watch, its answer's way to the client included."""
KEEPALIVE_S = 75.0
CLOSE_S = 2.0
MAX_CONNECTIONS = 1024
"""Watches, requests under way, and connections that wait for one."""

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """Serves objects, and what `proxies`, `explain` and `checks` know.

    `unready` says why the objects cannot be told yet; empty when they can.
    """

    def __init__(
        self,
        objects: Objects,
        writer: Writer | ReadOnly,
        token: str,
        proxies: Proxies,
        explain: Explain,
        checks: Checks,
        registry: CollectorRegistry,
        unready: Callable[[], str] = str,
    ) -> None:
        self._objects = objects
        self._unready = unready
        self._gate = Gate(token)
        self._watchers = Watchers()
        self._metrics = Metrics(registry, self._watchers)
        application = web.Application(middlewares=[_as_status], client_max_size=MAX_BYTES)
        handlers = (Reader(objects, self._watchers), writer, Mesh(proxies, explain), Checker(checks), Documents())
        for operation in OPERATIONS:
            handle = next(found for found in (getattr(owner, operation.action, None) for owner in handlers) if found)
            if operation.resource is not None:
                handle = partial(handle, operation.resource)
            application.router.add_route(operation.method, operation.path, partial(self._on_request, operation, handle))
        runner = web.AppRunner(
            application,
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            handler_cancellation=True,
            auto_decompress=False,
            shutdown_timeout=CLOSE_S,
        )
        self._listener = Listener(runner, MAX_CONNECTIONS)
        self._stop_listening: Callable[[], None] | None = None

    async def start(self, address: tuple[str, int]) -> tuple[str, int]:
        """Listen; returns the address, with the port that was taken for 0."""
        self._gate.is_loopback = ip_address(address[0]).is_loopback
        self._stop_listening = self._objects.listen(self._watchers.on_events)
        return await self._listener.start(address)

    async def stop(self) -> None:
        """End the watches, let requests finish for CLOSE_S, and close."""
        if self._stop_listening is not None:
            self._stop_listening()
        self._watchers.close()
        await self._listener.stop()

    async def _on_request(self, operation: Operation, handle: Handler, request: web.Request) -> web.StreamResponse:
        began = monotonic()
        is_watch = False
        code = 499  # the client went away
        try:
            self._gate.admit(request, is_open=operation.is_open)
            self._admit(operation)
            is_watch = operation.action == "list" and flag(request.query, "watch")
            response = await (handle(request) if is_watch else self._in_time(handle, request))
            code = response.status
        except ApiError as error:
            code = error.code
            raise
        except Exception:
            code = 500
            raise
        else:
            return response
        finally:
            duration_s = monotonic() - began
            self._metrics.on_request(operation.action, code, duration_s, is_watch=is_watch)
            log.debug(
                "method=%s path=%s action=%s code=%d duration_s=%.4f agent=%r",
                request.method,
                request.path,
                operation.action,
                code,
                duration_s,
                request.headers.get("User-Agent", "")[:128],
            )

    def _admit(self, operation: Operation) -> None:
        """Raise ApiError for what cannot be answered yet."""
        if operation.reads and (reason := self._unready()):
            raise ApiError("ServiceUnavailable", reason, {"retryAfterSeconds": 1}, {"Retry-After": "1"})

    async def _in_time(self, handle: Handler, request: web.Request) -> web.StreamResponse:
        """Handle a request and send its answer; a client that does not read it is dropped."""
        self._gate.under_way += 1
        try:
            async with asyncio.timeout(REQUEST_S):
                response = await handle(request)
                await response.prepare(request)
                await response.write_eof()
                return response
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ApiError("Timeout", f"the request took longer than {REQUEST_S:.0f} s") from None
        finally:
            self._gate.under_way -= 1


@web.middleware
async def _as_status(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give errors the form that Kubernetes' clients read."""
    try:
        return await handler(request)
    except ApiError as error:
        failure = error
    except web.HTTPNotFound:
        return web.Response(status=404, text="404 page not found\n", content_type=TEXT)
    except web.HTTPMethodNotAllowed as error:
        message = f"the server does not allow this method on the requested resource: {request.method[:16]}"
        failure = ApiError("MethodNotAllowed", message, headers={"Allow": ", ".join(sorted(error.allowed_methods))})
    except web.HTTPException as error:
        failure = ApiError("BadRequest", error.reason)
    except ConnectionResetError:
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        failure = ApiError("InternalError", "an internal error occurred; the log of the control plane has it")
    if request.writer.output_size:
        # A list or a watch had begun: what is cut off is seen to be, a second answer within it is not.
        raise ConnectionResetError
    return answer(failure.body(), failure.code, dict(failure.headers))

"""The desk: from a request to its answer, without a connection in sight."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs

from meshproxy.admin import report
from meshproxy.admin.response import JSON, TEXT, Response, sentence
from meshproxy.admin.view import View
from meshproxy.kit import log
from meshproxy.kit.loopback import is_local, is_own_origin
from meshproxy.metrics.exposition import CONTENT_TYPE, expose

_log = logging.getLogger(__name__)

Handler = Callable[[dict[str, str]], Response]


class QueryError(ValueError):
    """A query parameter that is missing or not among the allowed values; the text is the answer."""


class Desk:
    """Answers of one listener. A public one (`--health`) serves only the kubelet and Prometheus, under any Host."""

    __slots__ = ("_is_public", "_table", "_view")

    def __init__(self, view: View, *, is_public: bool) -> None:
        self._view = view
        self._is_public = is_public
        self._table: dict[str, tuple[str, dict[str, Handler]]] = {
            "/healthz/live": ("200 while the event loop turns", {"GET": self._live}),
            "/healthz/ready": ("200 when requests may come, else 503 and why", {"GET": self._ready}),
            "/metrics": ("Prometheus text format", {"GET": self._metrics}),
        }
        if not is_public:
            self._table |= {
                "/": ("this list, and what /stream tells", {"GET": self._index}),
                "/config": ("the configuration in use, as JSON", {"GET": self._config}),
                "/endpoints": ("load, latency and state of every endpoint; ?format=text", {"GET": self._endpoints}),
                "/stream": ("where the configuration comes from, and how old it is, as JSON", {"GET": self._stream}),
                "/faults": ("the words for failures, what they mean and what to do, as JSON", {"GET": self._faults}),
                "/drain": ("finish what is in progress, then end", {"POST": self._drain}),
                "/log-level": (
                    "the log's level; POST ?level=debug changes it",
                    {"GET": self._level, "POST": self._set_level},
                ),
            }

    def handle(self, method: bytes, path: bytes, query: bytes, authority: bytes, origin: bytes) -> Response:
        """Answer a request; `authority` is its Host, `origin` its Origin field or nothing. HEAD is answered as GET."""
        if not self._is_public and not is_local(authority):
            return sentence(403, "the admin server answers only to the Host localhost, 127.0.0.1 or [::1]")
        found = self._table.get(path.decode("latin-1"))
        if found is None:
            return sentence(
                404, "there is no such page" if self._is_public else "there is no such page; GET / lists them"
            )
        handlers = found[1]
        word = method.decode("latin-1")
        handler = handlers.get("GET" if word == "HEAD" else word)
        if handler is None:
            allowed = ", ".join(["GET", "HEAD"] * ("GET" in handlers) + ["POST"] * ("POST" in handlers))
            return sentence(405, f"allowed here: {allowed}", ((b"allow", allowed.encode()),))
        if word == "POST" and not is_own_origin(origin):
            return sentence(403, "a page from elsewhere may not change anything here")
        try:
            return handler(_parameters(query))
        except QueryError as error:
            return sentence(400, str(error))

    def _live(self, _: dict[str, str]) -> Response:
        return sentence(200, "live")

    def _ready(self, _: dict[str, str]) -> Response:
        reason = self._view.unready()
        return sentence(503, f"not ready: {reason}") if reason else sentence(200, "ready")

    def _metrics(self, _: dict[str, str]) -> Response:
        return Response(200, CONTENT_TYPE, expose(self._view.metrics()))

    def _index(self, _: dict[str, str]) -> Response:
        lines = [
            f"{'|'.join(handlers):9} {path:15} {meaning}\n" for path, (meaning, handlers) in sorted(self._table.items())
        ]
        lines.append("\n")
        lines += [f"{name}: {report.plain(value)}\n" for name, value in self._view.stream().items()]
        return Response(200, TEXT, "".join(lines).encode())

    def _config(self, _: dict[str, str]) -> Response:
        return Response(200, JSON, report.config_json(self._view.resources()))

    def _endpoints(self, parameters: dict[str, str]) -> Response:
        form = parameters.get("format", "json")
        if form not in ("json", "text"):
            raise QueryError("format is json or text")
        kind, make = (JSON, report.endpoints_json) if form == "json" else (TEXT, report.endpoints_text)

        async def body() -> Iterator[bytes]:
            return make(await self._view.endpoints())

        return Response(200, kind, body)

    def _stream(self, _: dict[str, str]) -> Response:
        return Response(200, JSON, report.stream_json(self._view.stream()))

    def _faults(self, _: dict[str, str]) -> Response:
        return Response(200, JSON, report.faults_json())

    def _drain(self, _: dict[str, str]) -> Response:
        _log.info("asked to drain by the admin server")
        self._view.drain()
        return sentence(202, "draining")

    def _level(self, _: dict[str, str]) -> Response:
        return sentence(200, log.level())

    def _set_level(self, parameters: dict[str, str]) -> Response:
        try:
            log.set_level(parameters.get("level", ""))
        except ValueError as error:
            raise QueryError(str(error)) from None
        return sentence(200, log.level())


def _parameters(query: bytes) -> dict[str, str]:
    """The last value of each parameter; at most eight, so that a long query is refused and not worked through."""
    try:
        return {name: values[-1] for name, values in parse_qs(query.decode("latin-1"), max_num_fields=8).items()}
    except ValueError:
        raise QueryError("too many query parameters") from None

"""HTTP/1.0 without a Host, inbound: what is added to the request, and what is told of it."""

from __future__ import annotations

from pathlib import Path

from meshproxy.metrics.sink import Sink
from meshproxy.proxy.access import AccessLog
from tests.fakes.client import call
from tests.fakes.loop import on_uvloop
from tests.fakes.origin import answering, ok, serving
from tests.fakes.sidecar import running


@on_uvloop
async def test_the_request_id_in_the_access_log_is_the_one_that_the_application_gets(tmp_path: Path) -> None:
    place = tmp_path / "access.log"
    with place.open("wb") as file:
        async with serving(answering(ok())) as app, running(app=(app.host, app.port)) as sidecar:
            sink = Sink(sidecar.loop, file.fileno(), lambda _lines: None)
            log = AccessLog(sink, "json")
            sidecar.stack.log_exchange = lambda exchange: (sidecar.finished.append(exchange), log.write(exchange))
            for head in (b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.0\r\nx-request-id: mine\r\n\r\n"):
                assert (await call(sidecar.address, head)).status == 200
            sink.close()
            made, kept = app.requests
            assert made["host"] == kept["host"] == f"{app.host}:{app.port}"
            assert kept["x-request-id"] == "mine"
            assert [one.request_id.decode() for one in sidecar.finished] == [made["x-request-id"], "mine"]
    text = place.read_text()
    assert text.count(f'"request_id":"{made["x-request-id"]}"') == 1
    assert text.count('"request_id":"mine"') == 1

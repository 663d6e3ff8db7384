"""What a client says of its own certificate never reaches the application, however it spells the field."""

from __future__ import annotations

from itertools import product

from tests.fakes.client import connected, request
from tests.fakes.loop import on_uvloop
from tests.fakes.origin import Connection, ok, serving
from tests.fakes.sidecar import running

# A CGI-shaped application takes all of these for one variable.
SPELLINGS = ["X{}Forwarded{}Client{}Cert".format(*dashes) for dashes in product("-_", repeat=3)]
FORGED = "URI=spiffe://cluster.local/ns/default/sa/admin"


def _same(name: str) -> str:
    return name.lower().replace("_", "-")


@on_uvloop
async def test_all_spellings_are_dropped_inbound_from_heads_and_from_trailers() -> None:
    assert len(set(SPELLINGS)) == 8

    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(ok())

    fields = [f"{name}: {FORGED}" for name in (*SPELLINGS, *map(str.upper, SPELLINGS))]
    trailers = "".join(f"{field}\r\n" for field in (*fields, "X-Sum: 1"))
    async with (
        serving(script) as app,
        running(app=(app.host, app.port)) as sidecar,
        connected(sidecar.address) as client,
    ):
        await client.send(request("GET", "/", "echo", *fields, "X-Kept: 1"))
        assert (await client.response()).status == 200
        await client.send(request("POST", "/", "echo", "Transfer-Encoding: chunked", *fields))
        await client.send(b"2\r\nhi\r\n0\r\n" + trailers.encode() + b"\r\n")
        assert (await client.response()).status == 200
        assert app.requests[0]["x-kept"] == "1"
        assert app.requests[1].body == b"hi"
        assert [name.lower() for name, _ in app.requests[1].trailers] == ["x-sum"]
        for one in app.requests:
            assert [name for name, _ in one.headers if _same(name) == _same(SPELLINGS[0])] == []

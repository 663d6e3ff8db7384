"""One instance of an application of the shop: `python -m deploy.demo.app NAME ADDR:PORT [PROXY_ADDR:PORT]`.

With a proxy (the outbound side of its sidecar) it is the front end, which makes its page of what the others say. PUT
`/mood/failing`, `/mood/slow` or `/mood/well` tells an instance how to behave.
"""

from __future__ import annotations

import asyncio
import json
import sys
from http import HTTPStatus

import uvloop

from deploy.demo.client import Address, Client, ResponseError

CALLS = {"catalog": 18, "reviews": 4, "pricing": 4}
"""What a page is made of: so many items of each Service, asked for one by one and all at once."""
PARTS = [(service, f"/{number}") for service, count in CALLS.items() for number in range(1, count + 1)]
MOODS = ("well", "failing", "slow")
SLOW_S = 1.0
PART_S = 8.0
"""The front end's own patience. The routes' timeouts are shorter, so that it never comes to this."""
TESTER = "x-tester: yes\r\n"


class App:
    """An instance; `mood` is one of MOODS."""

    def __init__(self, name: str, proxy: Address | None) -> None:
        self.name = name
        self.mood = "well"
        self._proxy = Client(proxy) if proxy else None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, none of which has a body."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, target, _ = head.split(" ", 2)
                status, body = await self._answer(method, target, head.lower())
                writer.write(
                    f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # the other side has gone, or speaks something else
        finally:
            writer.close()

    async def _answer(self, method: str, target: str, head: str) -> tuple[int, bytes]:
        if method == "PUT":
            mood = target.removeprefix("/mood/")
            if mood not in MOODS:
                return 404, json.dumps({"moods": MOODS}).encode()
            self.mood = mood
            return 200, json.dumps({"instance": self.name, "mood": mood}).encode()
        if self.mood == "failing":
            return 503, json.dumps({"instance": self.name, "error": "I fail, as I was told to"}).encode()
        if self.mood == "slow":
            await asyncio.sleep(SLOW_S)
        if self._proxy is not None:
            return await self._page(self._proxy, TESTER if TESTER in head else "")
        return 200, json.dumps({"instance": self.name, "target": target}).encode()

    async def _page(self, proxy: Client, fields: str) -> tuple[int, bytes]:
        """All parts, asked for at once; a page of which one is missing is an error."""
        try:
            async with asyncio.timeout(PART_S):
                answers = await asyncio.gather(
                    *(proxy.get(f"http://{name}{path}", name, fields) for name, path in PARTS)
                )
        except (OSError, TimeoutError, ResponseError) as error:
            return 502, json.dumps({"instance": self.name, "error": str(error) or "timeout"}).encode()
        for (name, _), (status, body) in zip(PARTS, answers, strict=True):
            if status != HTTPStatus.OK:
                text = body.decode(errors="replace")
                return 502, json.dumps({"instance": self.name, "part": name, "status": status, "error": text}).encode()
        parts = [json.loads(body) for _, body in answers]
        return 200, json.dumps({"instance": self.name, "parts": parts}).encode()


def parse_address(text: str) -> Address:
    """ADDR:PORT, IPv4."""
    host, _, port = text.rpartition(":")
    return host, int(port)


async def run(name: str, address: Address, proxy: Address | None) -> None:
    server = await asyncio.start_server(App(name, proxy).serve, *address, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], parse_address(sys.argv[2]), parse_address(sys.argv[3]) if sys.argv[3:] else None))

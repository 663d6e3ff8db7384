"""An application as a process of its own: it answers every request with its name, a little later, and ends in order.

SIGTERM: no more connections are accepted, what was asked is answered, connections are closed. Run as
`python tests/fakes/application.py HOST NAME`; says its port on standard output.
"""

from __future__ import annotations

import asyncio
import signal
import sys

DELAY_S = 0.002
"""So that there is always something under way."""


class Application:
    def __init__(self, name: str) -> None:
        body = name.encode()
        self._reply = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self._busy += 1
                self._idle.clear()
                await asyncio.sleep(DELAY_S)
                writer.write(self._reply)
                self._busy -= 1
                if not self._busy:
                    self._idle.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run(self, host: str) -> None:
        ending = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
        server = await asyncio.start_server(self.serve, host, 0, backlog=512)
        print(server.sockets[0].getsockname()[1], flush=True)
        await ending.wait()
        server.close()
        await self._idle.wait()


if __name__ == "__main__":
    asyncio.run(Application(sys.argv[2]).run(sys.argv[1]))

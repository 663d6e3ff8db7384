"""An application in a pod, as a process of its own: it answers every request with its name.

SIGTERM, as the kubelet sends it: it goes on serving for its grace, in which everybody hears that it is going, and asks
for connections to be closed; then it accepts no more, answers what was asked, and ends. Run as
`python -m tests.fakes.kubernetes.application HOST PORT NAME GRACE_S`; says its port on standard output.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from tests.fakes.application import Application


class PodApplication(Application):
    async def run_at(self, host: str, port: int, grace_s: float) -> None:
        ending = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
        server = await asyncio.start_server(self.serve, host, port, backlog=512)
        print(server.sockets[0].getsockname()[1], flush=True)
        await ending.wait()
        self._reply = self._reply.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)
        await asyncio.sleep(grace_s)
        server.close()
        await self._idle.wait()


if __name__ == "__main__":
    asyncio.run(PodApplication(sys.argv[3]).run_at(sys.argv[1], int(sys.argv[2]), float(sys.argv[4])))

"""A generated cluster behind a fake API server, as a process of its own.

    python -m tests.fakes.kubernetes --services 10000 --endpoints 100000

The first line on standard output is its URL; it ends on SIGTERM. POST /fake/storm begins a storm of EndpointSlice
events; its body may say {"rate", "seconds", "services": [names]}. GET /fake/storm tells of it: {"is_over", "happened":
[{"at", "namespace", "service", "slice", "address", "is_ready", "version"}]}, `at` as generate.Happened has it.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from tests.fakes.kubernetes.api import FakeApi
from tests.fakes.kubernetes.failure import bad_request
from tests.fakes.kubernetes.generate import Plan, Storm
from tests.fakes.kubernetes.state import Cluster


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """What a POST may say."""

    rate: float = 0.0
    seconds: float = 10.0
    services: list[str] = []


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.kubernetes")
    parser.add_argument("--services", type=int, default=1_000)
    parser.add_argument("--endpoints", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=200.0, help="events a second of a storm that does not say it")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default="", help="required of clients")
    parser.add_argument("--tls", type=Path, help="serve https, and write certificates into this directory")
    parser.add_argument("--kubeconfig", type=Path, help="write one")
    given = parser.parse_args()
    cluster = Cluster()
    Plan(given.services, given.endpoints).fill(cluster)
    storm = Storm(cluster)

    def answer(method: str, body: bytes) -> Any:
        if method == "POST":
            try:
                wanted = msgspec.json.decode(body or b"{}", type=Wanted)
            except msgspec.DecodeError as error:
                raise bad_request(str(error)) from None
            storm.begin(wanted.rate or given.rate, wanted.seconds, wanted.services)
        return {"is_over": storm.is_over, "happened": storm.happened}

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with FakeApi(cluster=cluster, host=given.host, port=given.port, token=given.token, tls=given.tls) as api:
        api.hook("/fake/storm", answer)
        if given.kubeconfig:
            api.kubeconfig(given.kubeconfig)
        print(api.url, flush=True)
        signal.pause()


if __name__ == "__main__":
    main()

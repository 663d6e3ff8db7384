"""`meshload load`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from loadtest.cli.failure import Failure
from loadtest.cli.options import DEFAULT_OUT, Out
from loadtest.cli.perform import one_by_one, perform
from loadtest.compare import Chosen
from loadtest.scenario.lines import write
from loadtest.scenario.load import ScenarioError, parse
from loadtest.subjects import choice


def load(
    url: Annotated[str, typer.Argument(metavar="URL", help="http://HOST:PORT/PATH of something that is there.")],
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate",
            "-R",
            envvar="MESHLOAD_RATE",
            metavar="N/s",
            help="Requests per second, sent when due, as in 500/s or 5k/s.",
        ),
    ] = None,
    callers: Annotated[
        int | None,
        typer.Option(
            "--callers",
            "-c",
            min=1,
            envvar="MESHLOAD_CALLERS",
            metavar="N",
            help="Instead: so many callers, each sends when it was answered.",
        ),
    ] = None,
    for_: Annotated[
        str, typer.Option("--for", "-d", envvar="MESHLOAD_FOR", metavar="TIME", help="How long: 10s, 5m.")
    ] = "10s",
    method: Annotated[
        str, typer.Option("--method", "-X", envvar="MESHLOAD_METHOD", metavar="METHOD", help="The request's method.")
    ] = "GET",
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            "-H",
            envvar="MESHLOAD_HEADER",
            metavar="NAME:VALUE",
            help="A header; several times if need be, with spaces between in the variable.",
        ),
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", envvar="MESHLOAD_TEXT", metavar="TEXT", help="The request's body.")
    ] = None,
    connections: Annotated[
        int,
        typer.Option(
            "--connections", min=1, envvar="MESHLOAD_CONNECTIONS", metavar="N", help="With --rate: at most so many."
        ),
    ] = 128,
    processes: Annotated[
        int, typer.Option("--processes", min=1, envvar="MESHLOAD_PROCESSES", metavar="N", help="Generator processes.")
    ] = 1,
    busy_poll: Annotated[
        bool,
        typer.Option(
            "--busy-poll",
            envvar="MESHLOAD_BUSY_POLL",
            help="With --rate: wait without sleeping, on time to microseconds, at a core for each process.",
        ),
    ] = False,
    arrivals: Annotated[
        str,
        typer.Option(
            "--arrivals",
            envvar="MESHLOAD_ARRIVALS",
            metavar="uniform|poisson",
            help="With --rate: how they are spread.",
        ),
    ] = "uniform",
    timeout: Annotated[
        str, typer.Option("--timeout", envvar="MESHLOAD_TIMEOUT", metavar="TIME", help="For each request.")
    ] = "5s",
    keep_alive: Annotated[
        bool, typer.Option("--keep-alive/--no-keep-alive", envvar="MESHLOAD_KEEP_ALIVE", help="Use connections again.")
    ] = True,
    out: Out = DEFAULT_OUT,
) -> None:
    """Put load on an address, without a scenario file.

    At a rate, whatever becomes of the requests, or as fast as so many callers
    are answered:

      meshload load http://127.0.0.1:8080/items --rate 500/s --for 30s

      meshload load http://127.0.0.1:8080/ --callers 32
    """
    if (rate is None) == (callers is None):
        raise Failure("exactly one of --rate and --callers is given: --rate 500/s, or --callers 32")
    address, path = split(url)
    choice.check([address])
    request: dict[str, Any] = {"method": method, "path": path, "headers": _headers(header or ())}
    if text is not None:
        request["text"] = text
    phase: dict[str, Any] = {"for": for_, **({"rate": rate} if rate is not None else {"callers": callers})}
    written = write(
        {
            "name": "load",
            "load": {
                "mode": "open" if rate is not None else "closed",
                "arrivals": arrivals,
                "connections": connections,
                "keep_alive": keep_alive,
                "timeout": timeout,
                "processes": processes,
                "busy_poll": busy_poll,
                "requests": [request],
                "phases": [phase],
            },
        }
    )
    try:
        scenario = parse(written, "options")
    except ScenarioError as error:
        raise Failure("\n".join(f"{problem.path}: {problem.message}" for problem in error.problems)) from None
    perform([Chosen(written, scenario, [address])], 1, out, "load", one_by_one, pin=False)


def split(url: str) -> tuple[str, str]:
    """`http://HOST:PORT` and the path with its query of a URL; Failure when it has no such beginning."""
    scheme, found, rest = url.partition("://")
    if not found or not rest:
        raise Failure(f"{url}: an address is http://HOST:PORT/PATH")
    if "#" in rest:
        raise Failure(f"{url}: what is behind # is not sent to a server (RFC 9110 4.2.5); leave it away")
    authority = rest.partition("/")[0].partition("?")[0]
    path = rest.removeprefix(authority)
    return f"{scheme}://{authority}", path if path.startswith("/") else f"/{path}"


def _headers(lines: Sequence[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, found, value = (part.strip() for part in line.partition(":"))
        if not found or not name:
            raise Failure(f"--header {line!r}: a header is NAME:VALUE")
        if name.lower() in map(str.lower, headers):
            raise Failure(
                f"--header {line!r}: {name} is given twice; a header that is a list has its values in one line"
            )
        headers[name] = value
    return headers

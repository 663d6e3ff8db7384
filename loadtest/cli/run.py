"""`meshload run`."""

from __future__ import annotations

from typing import Annotated

import typer

from loadtest.cli.failure import Failure
from loadtest.cli.files import find
from loadtest.cli.options import DEFAULT_OUT, Out, Pin
from loadtest.cli.perform import one_by_one, perform
from loadtest.compare import Chosen
from loadtest.subjects import choice


def run(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A file, or a name that `meshload list` shows.")],
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject",
            "-s",
            envvar="MESHLOAD_SUBJECT",
            metavar="NAME",
            help="What stands between generator and origin, or http://HOST:PORT of something that is already there. "
            "Default: the scenario's first subject, else direct.",
        ),
    ] = None,
    out: Out = DEFAULT_OUT,
    pin: Pin = True,
) -> None:
    """Run a scenario against one subject, and judge what it expects.

    Everything is started and ended by this command: origins, the subject, and
    the generator. Ctrl-C ends it early and keeps what there is.

      meshload run one-503 --subject meshproxy
    """
    found = find([scenario])
    if len(found) != 1:
        raise Failure(f"{scenario} is several scenarios: `meshload compare` runs them")
    text, what = found[0]
    name = subject or next(iter(what.subjects), "direct")
    choice.check([name])
    perform([Chosen(text, what, [name])], 1, out, what.name, one_by_one, pin=pin)

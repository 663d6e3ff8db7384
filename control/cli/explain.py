"""`meshctl explain`: which way a request would take, and why no other."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

import msgspec
import typer

from control.cli.failure import Failure
from control.cli.options import connect
from control.cli.text import to_json
from control.cli.tree import print_tree
from control.compile.explanation import Explanation

PLACE = "/apis/meshproxy.io/v1alpha1/explain"


def explain(
    ctx: typer.Context,
    url: Annotated[
        str, typer.Argument(metavar="URL", help="As the application calls it: echo/path, http://echo.shop:80/")
    ],
    source: Annotated[
        str,
        typer.Option(
            "--from", envvar="MESHCTL_FROM", metavar="NS/SA", help="Who calls: namespace and service account."
        ),
    ],
    method: Annotated[
        str, typer.Option("--method", "-X", envvar="MESHCTL_METHOD", help="The request's method.")
    ] = "GET",
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", envvar="MESHCTL_HEADER", metavar="NAME:VALUE", help="A header. Repeatable."),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", envvar="MESHCTL_FORMAT", metavar="json", help="As JSON.")
    ] = "",
) -> None:
    """Explain which way a request would take, without sending it.

    The control plane asks the sidecars' own decision code: Service, route,
    rule (and why not the others), backends with their shares, endpoints with
    their state, and what the request would be answered with if it fails.
    The exit status is 1 if such requests fail, all or some of them.

    Example:
    meshctl explain http://echo/pay --from shop/front -H x-canary:1

    """
    if output not in {"", "json"}:
        raise Failure(f"-o {output} is not known; allowed: json")
    namespace, _, account = source.partition("/")
    if not namespace or "/" in account:
        raise Failure(f"--from {source}: is malformed; allowed: NS/SA, or NS for its default service account")
    query = [("url", url), ("namespace", namespace), ("serviceAccount", account or "default"), ("method", method)]
    query += [("header", _header(text)) for text in header or ()]
    document = connect(ctx).get(f"{PLACE}?{urlencode(query)}")
    try:
        explanation = msgspec.convert(document, Explanation)
    except msgspec.ValidationError as error:
        raise Failure(f"the control plane's explanation is not understood: {error}") from None
    if output:
        typer.echo(to_json(document), nl=False)
    else:
        print_tree(explanation)
    if explanation.fails_percent > 0:
        raise typer.Exit(1)


def _header(text: str) -> str:
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise Failure(f"-H {text}: is malformed; allowed: NAME:VALUE")
    return f"{name}:{value.strip()}"

"""`meshctl delete`: objects by name, or those of manifests."""

from __future__ import annotations

from typing import Annotated

import typer

from control.cli.client import Client, place_of
from control.cli.failure import ApiError, Failure
from control.cli.kinds import PROXY, target_of
from control.cli.options import KindArgument, NameArgument, Namespace, connect
from control.cli.screen import say
from control.cli.submit import gather
from meshproxy.kit.text import printable


def delete(
    ctx: typer.Context,
    kind: KindArgument = "",
    name: NameArgument = "",
    file: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            "-f",
            envvar="MESHCTL_FILE",
            metavar="FILE|DIR|-",
            help="Delete the objects of these manifests. Repeatable.",
        ),
    ] = None,
    namespace: Namespace = "default",
    ignore_not_found: Annotated[
        bool,
        typer.Option("--ignore-not-found", envvar="MESHCTL_IGNORE_NOT_FOUND", help="What is not there is no error."),
    ] = False,
) -> None:
    """Delete one object, or all objects of manifests.

    Examples:
    meshctl delete httproute echo -n shop

    meshctl delete -f manifests/

    """
    if kind and file and ctx.get_parameter_source("file") is ctx.get_parameter_source("kind"):
        raise Failure("KIND and --file exclude each other")
    client = connect(ctx)
    if kind:
        target = target_of(kind, name)
        if not target.name:
            raise Failure(f"the name of the {target.kind.singular} is missing")
        if target.kind is PROXY:
            raise Failure("a proxy cannot be deleted: it goes when its stream ends")
        places = [(f"{target.kind.singular}/{target.name}", place_of(target.kind, namespace, target.name))]
    elif file:
        places = [(item.label, item.path) for item in reversed(gather(ctx, file, namespace))]
    else:
        raise Failure("nothing was named; allowed: KIND NAME, or -f FILE")
    errors = _delete(client, places, ignore_not_found=ignore_not_found)
    if errors:
        raise Failure("\n".join(errors))


def _delete(client: Client, places: list[tuple[str, str]], *, ignore_not_found: bool) -> list[str]:
    """Delete what can be deleted; return why the others could not."""
    errors = []
    for label, path in places:
        try:
            client.delete(path)
        except ApiError as error:
            if error.is_general:
                raise
            if error.code != 404 or not ignore_not_found:
                errors.append(str(error) if len(places) == 1 else f"{label}: {error.text}")
            continue
        say(f"{printable(label)} deleted")
    return errors

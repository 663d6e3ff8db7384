"""`meshctl check`: what is well with the mesh, what is not, and what can be done about it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct

from control.cli.checklist import print_checklist
from control.cli.client import DEFAULT_API, Client
from control.cli.failure import ApiError, Failure
from control.cli.options import connect
from control.cli.screen import console
from control.cli.text import to_json, to_yaml
from control.model.check import Check

API = "meshproxy.io/v1alpha1"
PLACE = f"/apis/{API}/check"
_SECTION = "Control plane"


class Form(StrEnum):
    """How checks are printed."""

    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


class _List(Struct, frozen=True):
    items: list[Check]


def check(
    ctx: typer.Context,
    output: Annotated[
        Form | None,
        typer.Option("--output", "-o", envvar="MESHCTL_CHECK_FORMAT", help="wide: nothing is summed up; or as data."),
    ] = None,
) -> None:
    """Check the mesh: what is well, what is not, and what can be done.

    The control plane looks at where its objects live (of a cluster: whether
    the API server answers, each right that is needed, the Gateway API's
    CRDs, the watch of each kind, objects that are not understood), at the
    configuration that it makes of them, and at every sidecar. That takes
    about ten seconds at most, also when the API server is away.

    Below what is not well stands what can be done. The exit status is 1 if
    a check has failed, and 0 with warnings alone.

    Examples:
    meshctl check

    meshctl check -o json | jq -r '.items[] | select(.state == "fail") | .message'

    """
    client = connect(ctx)
    with console().status("checking", spinner="line"):
        found = look(client, ctx.find_root().params.get("api") or DEFAULT_API)
    if output is Form.JSON:
        typer.echo(to_json(_document(found)), nl=False)
    elif output is Form.YAML:
        typer.echo(to_yaml(_document(found)), nl=False)
    else:
        print_checklist(found, is_whole=output is Form.WIDE)
    if any(item.state == "fail" for item in found):
        raise typer.Exit(1)


def look(client: Client, url: str) -> list[Check]:
    """Return what the control plane finds; one that cannot be asked is itself a check that fails."""
    began = time.monotonic()
    try:
        program = client.get("/version")
        took_ms = (time.monotonic() - began) * 1000
        document = client.get(PLACE)
        found = msgspec.convert(document, _List).items
    except ApiError as error:
        return [_refused(error)]
    except Failure as error:
        cause, _, advice = str(error).partition("\n")
        return [_failed(cause, advice or "its log says what it is doing")]
    except msgspec.ValidationError as error:
        return [_failed(f"its checks are not understood: {error}", "use a meshctl of the control plane's version")]
    version = str(program.get("gitVersion")) if isinstance(program, dict) else "of an unknown version"
    return [Check(_SECTION, "API", "ok", f"{url} in {took_ms:.0f} ms, {version.rpartition('+')[2]}"), *found]


def _refused(error: ApiError) -> Check:
    if error.code == 401:
        advice = "name the file by --token-file; the control plane keeps it as `token` in its data directory"
        return _failed(error.text, advice)
    if error.code == 404:
        return _failed("this control plane knows no checks", "it is older than this meshctl: bring it up to date")
    return _failed(error.text, "its log says more")


def _failed(message: str, hint: str) -> Check:
    return Check(_SECTION, "API", "fail", message, hint)


def _document(found: Sequence[Check]) -> Any:
    return {"apiVersion": API, "kind": "CheckList", "items": msgspec.to_builtins(found)}

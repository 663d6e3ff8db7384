"""`meshctl compile`: manifests to a snapshot file."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from control.cli.load import Loaded, load
from control.cli.options import Files
from control.cli.report import print_errors, print_routes, print_skipped, print_summary
from control.compile.compiler import DEFAULT_TRUST_DOMAIN, Compiler
from control.index.index import Index
from meshproxy.wire.names import is_subdomain
from meshproxy.wire.snapshot import dump


def compile_(
    file: Files,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            envvar="MESHCTL_OUTPUT",
            metavar="FILE",
            dir_okay=False,
            help="The snapshot file to write.",
        ),
    ],
    trust_domain: Annotated[
        str,
        typer.Option(
            "--trust-domain",
            envvar="MESHCTL_TRUST_DOMAIN",
            help="The trust domain of the SPIFFE identities that meshed endpoints are expected to show.",
        ),
    ] = DEFAULT_TRUST_DOMAIN,
) -> None:
    """Compile Kubernetes manifests into a snapshot file for sidecars.

    Reads Services, EndpointSlices, Pods, HTTPRoutes and ReferenceGrants;
    other kinds are skipped.

    All errors of all files are shown; then nothing is written and the exit
    status is 1. A route that is not accepted is no error: its status is
    printed. The file is replaced at once, so that a running sidecar never
    sees half of it.

    Example:
    meshctl compile -f manifests/ -o snapshot.json

    meshproxy run --snapshot snapshot.json --outbound 127.0.0.1:15001 ...

    """
    if not is_subdomain(trust_domain):
        raise typer.BadParameter("must be a DNS name in lower case", param_hint="--trust-domain")
    loaded = load(file)
    if not loaded.objects and not loaded.errors:
        loaded.fail("nothing to compile: no Service, EndpointSlice, Pod, HTTPRoute or ReferenceGrant was found")
    print_skipped(loaded.skipped)
    if loaded.errors:
        print_errors(loaded.errors, loaded.error_count, output)
        raise typer.Exit(1)
    index, compiler = _compile(loaded, trust_domain)
    entries = compiler.snapshot()
    data = dump(entries)
    try:
        write(output, data)
    except OSError as error:
        print_errors([f"{output}: {error.strerror or error}"], 1, output)
        raise typer.Exit(1) from None
    print_routes(index)
    print_summary(Counter(type(item).__name__ for item in loaded.objects), len(entries), len(data), output)


def _compile(loaded: Loaded, trust_domain: str) -> tuple[Index, Compiler]:
    index = Index(has_uids=False)
    for item in loaded.objects:
        index.apply(item)
    compiler = Compiler(index, trust_domain)
    compiler.refresh(index.names())
    return index, compiler


def write(path: Path, data: bytes) -> None:
    """Replace a file at once: whoever reads it gets the old or the new content, also after a crash."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

"""`meshcontrol`: the control plane's command line."""

from __future__ import annotations

import ipaddress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from control.settings import Address, Cluster, Settings
from control.store.token import NAME as TOKEN
from meshproxy.kit.log import LEVELS
from meshproxy.wire.address import parse_place
from meshproxy.wire.names import is_subdomain

app = typer.Typer(
    name="meshcontrol",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"meshcontrol {version('meshproxy')}")
        raise typer.Exit


@app.callback()
def _global(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """The control plane of a meshproxy service mesh.

    It keeps Kubernetes-shaped objects, or reads those of a cluster, compiles
    them, and pushes to every sidecar what it needs. Every option can be set
    by an environment variable as well, MESHCONTROL_ and its name.
    """


def _default_directory() -> Path:
    return Path.home() / ".local" / "share" / "meshproxy"


@app.command()
def run(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="MESHCONTROL_DATA_DIR",
            metavar="DIR",
            file_okay=False,
            help="Holds the objects (objects.db) and the API's token; made if it does not exist. "
            "Default: ~/.local/share/meshproxy",
        ),
    ] = None,
    kubernetes: Annotated[
        bool,
        typer.Option(
            "--kubernetes",
            envvar="MESHCONTROL_KUBERNETES",
            help="Read the objects of a Kubernetes cluster instead of keeping them in DIR.",
        ),
    ] = False,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            envvar="MESHCONTROL_KUBECONFIG",
            metavar="FILE",
            dir_okay=False,
            help="How to reach the cluster, with --kubernetes. Default: KUBECONFIG, else what a pod is given, "
            "else ~/.kube/config",
        ),
    ] = None,
    context: Annotated[
        str,
        typer.Option(
            envvar="MESHCONTROL_CONTEXT", metavar="NAME", help="Of the kubeconfig. Default: its current context."
        ),
    ] = "",
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="MESHCONTROL_TOKEN_FILE",
            metavar="FILE",
            dir_okay=False,
            help="Holds the API's token; made if it does not exist. Default: DIR/token",
        ),
    ] = None,
    api: Annotated[
        str,
        typer.Option(envvar="MESHCONTROL_API", metavar="ADDR:PORT", help="The REST API, for meshctl and kubectl."),
    ] = "127.0.0.1:15010",
    push: Annotated[
        str,
        typer.Option(envvar="MESHCONTROL_PUSH", metavar="ADDR:PORT", help="Where sidecars connect."),
    ] = "127.0.0.1:15012",
    metrics: Annotated[
        str,
        typer.Option(
            envvar="MESHCONTROL_METRICS",
            metavar="ADDR:PORT",
            help="/metrics and /healthz, without a token.",
        ),
    ] = "127.0.0.1:15014",
    trust_domain: Annotated[
        str,
        typer.Option(envvar="MESHCONTROL_TRUST_DOMAIN", help="Of the SPIFFE identities that endpoints have to show."),
    ] = "cluster.local",
    cluster_domain: Annotated[
        str,
        typer.Option(envvar="MESHCONTROL_CLUSTER_DOMAIN", help="The DNS domain of Services, for explain."),
    ] = "cluster.local",
    log_level: Annotated[
        str, typer.Option(envvar="MESHCONTROL_LOG_LEVEL", metavar="LEVEL", help=f"{', '.join(LEVELS)}.")
    ] = "info",
    log_format: Annotated[
        str, typer.Option(envvar="MESHCONTROL_LOG_FORMAT", metavar="FORMAT", help="text or json.")
    ] = "text",
    check_config: Annotated[
        bool,
        typer.Option(
            "--check-config",
            envvar="MESHCONTROL_CHECK_CONFIG",
            help="Check the options and the kubeconfig, or what is in the data directory; change nothing, and end.",
        ),
    ] = False,
) -> None:
    """Run the control plane until it is told to end (SIGTERM or Ctrl-C).

    Example, with the embedded store:

    meshcontrol run

    meshctl apply -f manifests/

    meshproxy run --control ws://127.0.0.1:15012 --namespace shop ...

    Example, with the cluster that kubectl uses (what it needs to be allowed
    is in deploy/rbac.yaml; then see `meshctl check`):

    meshcontrol run --kubernetes

    """
    _check_source(kubernetes=kubernetes, kubeconfig=kubeconfig, context=context, data_dir=data_dir)
    for flag, value, words in (("--log-level", log_level, LEVELS), ("--log-format", log_format, ("text", "json"))):
        if value not in words:
            raise typer.BadParameter(f"{value!r}: allowed are {', '.join(words)}", param_hint=flag)
    for flag, domain in (("--trust-domain", trust_domain), ("--cluster-domain", cluster_domain)):
        if not is_subdomain(domain):
            raise typer.BadParameter("must be a DNS name in lower case", param_hint=flag)
    directory = data_dir or _default_directory()
    settings = Settings(
        directory=directory,
        token_file=token_file or directory / TOKEN,
        api=_address("--api", api, 15010),
        push=_address("--push", push, 15012),
        metrics=_address("--metrics", metrics, 15014),
        cluster=Cluster(kubeconfig, context) if kubernetes else None,
        trust_domain=trust_domain,
        cluster_domain=cluster_domain,
        log_level=log_level,
        log_format="json" if log_format == "json" else "text",
    )
    _check_loopback(settings)
    from control.app import check, serve  # noqa: PLC0415 - --help and a wrong option need not wait for it

    raise typer.Exit(check(settings) if check_config else serve(settings))


def _check_source(*, kubernetes: bool, kubeconfig: Path | None, context: str, data_dir: Path | None) -> None:
    """Raise BadParameter for options about where the objects live that exclude each other."""
    if not kubernetes and (kubeconfig is not None or context):
        flag = "--kubeconfig" if kubeconfig is not None else "--context"
        raise typer.BadParameter("goes with --kubernetes only", param_hint=flag)
    if kubernetes and data_dir is not None:
        message = "excludes --kubernetes: the objects are either those of a cluster, or kept in a directory"
        raise typer.BadParameter(message, param_hint="--data-dir")


def _check_loopback(settings: Settings) -> None:
    """Raise BadParameter for an address that others could reach, and that must not be."""
    for flag, (host, _) in (("--api", settings.api), ("--push", settings.push)):
        if not ipaddress.ip_address(host).is_loopback:
            message = f"{host}: only a loopback address is allowed, since neither speaks TLS yet"
            raise typer.BadParameter(message, param_hint=flag)


def _address(flag: str, text: str, default_port: int) -> Address:
    try:
        return parse_place(text, default_port)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from None


def main() -> None:
    """Run meshcontrol."""
    app()


if __name__ == "__main__":
    main()

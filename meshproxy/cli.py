"""The sidecar's command line. argparse, because every megabyte of imports is paid once per pod."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from meshproxy import __version__, config
from meshproxy.config import Settings, SettingsError

EPILOG = """\
Every flag can be given as an environment variable: MESHPROXY_ and the flag's name, as in MESHPROXY_DRAIN_S=10.

Make a snapshot from Kubernetes manifests, then run a sidecar for an application that calls others, using the
outbound address as its HTTP proxy:

  meshctl compile -f manifests/ -o snapshot.json
  meshproxy run --snapshot snapshot.json --namespace shop --service-account front --outbound 127.0.0.1:15001
  curl --proxy http://127.0.0.1:15001 http://catalog/

and beside one that is called, on port 8080 of its own:

  meshproxy run --snapshot snapshot.json --namespace shop --service-account catalog \\
      --inbound 127.0.0.2:15006 --app 127.0.0.1:8080

What it does is told on its admin address: curl http://127.0.0.1:15000/
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 after an orderly end, 1 if it could not run, 2 for wrong usage."""
    options = vars(_parser().parse_args(arguments))
    if options.pop("command", None) is None:
        _parser().print_help()
        return 2
    is_check = options.pop("check_config")
    try:
        settings = _settings(options)
    except SettingsError as error:
        print(f"meshproxy: {error}", file=sys.stderr)  # noqa: T201
        return 2
    from meshproxy.app import check, run  # noqa: PLC0415 - --help and a wrong flag need not wait for it

    return check(settings) if is_check else run(settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="meshproxy",
        description="The sidecar of a service mesh: routes, balances, retries, encrypts and measures HTTP calls.",
    )
    parser.add_argument("--version", action="version", version=f"meshproxy {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run a sidecar until it is told to end",
        description="Run a sidecar. SIGTERM and Ctrl-C drain it, SIGHUP reads the snapshot anew.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add(run, "--snapshot", "FILE", "the compiled configuration, made by meshctl compile; read anew when it changes")
    _add(run, "--namespace", "NS", "the workload's namespace")
    _add(run, "--service-account", "SA", "the workload's service account")
    _add(run, "--workload", "NAME", "the workload's (Pod's) name; default: this host's name")
    _add(run, "--identity-dir", "DIR", "holds tls.crt, tls.key and ca.crt for mTLS; read anew when they change")
    _add(
        run,
        "--outbound",
        "ADDR:PORT",
        f"where the application sends calls; loopback only, port {config.OUTBOUND_PORT}",
    )
    _add(run, "--inbound", "ADDR:PORT", f"where others reach the application, port {config.INBOUND_PORT}")
    _add(run, "--app", "ADDR:PORT", "the application's own address")
    _add(run, "--admin", "ADDR:PORT", f"metrics, state, drain; loopback only; default: 127.0.0.1:{config.ADMIN_PORT}")
    _add(run, "--health", "ADDR:PORT", f"readiness, liveness and metrics for others, port {config.HEALTH_PORT}")
    _add(run, "--cluster-domain", "DOMAIN", "the cluster's DNS domain; default: cluster.local")
    _add(run, "--access-log", "off|json|text", "a line for each exchange on standard output; default: off")
    _add(run, "--log-level", "LEVEL", "debug, info, warning or error; default: info")
    _add(run, "--drain-s", "SECONDS", "how long an orderly end may take; default: 30")
    run.add_argument(
        "--check-config",
        action="store_true",
        default=os.environ.get("MESHPROXY_CHECK_CONFIG", "").lower() in {"1", "true", "yes"},
        help="check flags, snapshot and identity, and end",
    )
    return parser


def _add(parser: argparse.ArgumentParser, flag: str, metavar: str, text: str) -> None:
    variable = "MESHPROXY_" + flag.removeprefix("--").replace("-", "_").upper()
    parser.add_argument(flag, metavar=metavar, help=text, default=os.environ.get(variable) or None)


def _settings(options: dict[str, str | None]) -> Settings:
    for flag in ("snapshot", "namespace", "service_account"):
        if not options[flag]:
            raise SettingsError(f"--{flag.replace('_', '-')} is needed; see meshproxy run --help")
    drain = options["drain_s"] or "30"
    try:
        drain_s = float(drain)
    except ValueError:
        raise SettingsError(f"--drain-s {drain!r}: a number of seconds is needed") from None
    settings = Settings(
        snapshot=Path(options["snapshot"] or ""),
        namespace=options["namespace"] or "",
        service_account=options["service_account"] or "",
        workload=options["workload"] or socket.gethostname().lower(),
        admin=config.parse_address(options["admin"] or "127.0.0.1", config.ADMIN_PORT),
        outbound=_address(options["outbound"], config.OUTBOUND_PORT),
        inbound=_address(options["inbound"], config.INBOUND_PORT),
        app=_address(options["app"], 0),
        health=_address(options["health"], config.HEALTH_PORT),
        identity_dir=Path(options["identity_dir"]) if options["identity_dir"] else None,
        cluster_domain=options["cluster_domain"] or "cluster.local",
        access_log=options["access_log"] or "off",
        log_level=options["log_level"] or "info",
        drain_s=drain_s,
    )
    settings.check()
    return settings


def _address(text: str | None, default_port: int) -> config.Address | None:
    return config.parse_address(text, default_port) if text else None


if __name__ == "__main__":
    sys.exit(main())

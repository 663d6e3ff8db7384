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
Every flag can be given as an environment variable: MESHPROXY_ and the flag's name, as in MESHPROXY_DRAIN_S=10; several
values of --control stand there with commas between them.

With a control plane, which tells of the Services that the application calls, and of every change to them; the
application uses the outbound address as its HTTP proxy:

  meshproxy run --control ws://127.0.0.1:15012 --state-dir /var/lib/meshproxy \\
      --namespace shop --service-account front --outbound 127.0.0.1:15001
  curl --proxy http://127.0.0.1:15001 http://catalog/

It is ready once it has its first configuration. While no control plane can be reached it goes on with what it has; with
--state-dir also after a restart.

Without one, make a snapshot from Kubernetes manifests; here beside an application that is called, on port 8080:

  meshctl compile -f manifests/ -o snapshot.json
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
    control = options.pop("control") or os.environ.get("MESHPROXY_CONTROL", "").split(",")
    try:
        settings = _settings(options, [url for url in control if url.strip()])
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
        description="Run a sidecar. SIGTERM and Ctrl-C drain it, SIGHUP reads a snapshot file anew,"
        " or tries to reach a control plane at once.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument(
        "--control",
        metavar="URL",
        action="append",
        help="a control plane's push address, ws://ADDR:PORT (loopback only) or wss://HOST:PORT (needs --identity-dir);"
        f" several: any of them, another when it fails; port {config.PUSH_PORT}",
    )
    _add(run, "--state-dir", "DIR", "with --control: keeps the last known good, to serve with after a restart")
    _add(
        run,
        "--snapshot",
        "FILE",
        "instead of --control: the configuration, made by meshctl compile; read anew when it changes",
    )
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
    _add(run, "--workers", "N", "processes that share the traffic; default: 1")
    run.add_argument(
        "--check-config",
        action="store_true",
        default=os.environ.get("MESHPROXY_CHECK_CONFIG", "").lower() in {"1", "true", "yes"},
        help="check flags, identity, and a snapshot file, and end",
    )
    return parser


def _add(parser: argparse.ArgumentParser, flag: str, metavar: str, text: str) -> None:
    variable = "MESHPROXY_" + flag.removeprefix("--").replace("-", "_").upper()
    parser.add_argument(flag, metavar=metavar, help=text, default=os.environ.get(variable) or None)


def _settings(options: dict[str, str | None], control: list[str]) -> Settings:
    for flag in ("namespace", "service_account"):
        if not options[flag]:
            raise SettingsError(f"--{flag.replace('_', '-')} is needed; see meshproxy run --help")
    settings = Settings(
        snapshot=_path(options["snapshot"]),
        namespace=options["namespace"] or "",
        service_account=options["service_account"] or "",
        workload=options["workload"] or socket.gethostname().lower(),
        admin=config.parse_address(options["admin"] or "127.0.0.1", config.ADMIN_PORT),
        outbound=_address(options["outbound"], config.OUTBOUND_PORT),
        inbound=_address(options["inbound"], config.INBOUND_PORT),
        app=_address(options["app"], 0),
        health=_address(options["health"], config.HEALTH_PORT),
        identity_dir=_path(options["identity_dir"]),
        cluster_domain=options["cluster_domain"] or "cluster.local",
        access_log=options["access_log"] or "off",
        log_level=options["log_level"] or "info",
        drain_s=_number("--drain-s", options["drain_s"], 30.0),
        control=tuple(config.parse_control(url.strip()) for url in control),
        state_dir=_path(options["state_dir"]),
        workers=int(_number("--workers", options["workers"], 1)),
    )
    settings.check()
    return settings


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _number(flag: str, text: str | None, default: float) -> float:
    try:
        return type(default)(text) if text else default
    except ValueError:
        kind = "whole number" if isinstance(default, int) else "number"
        raise SettingsError(f"{flag} {text!r}: a {kind} is needed") from None


def _address(text: str | None, default_port: int) -> config.Address | None:
    return config.parse_address(text, default_port) if text else None


if __name__ == "__main__":
    sys.exit(main())

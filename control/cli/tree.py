"""An explanation as a tree of lines."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from rich.tree import Tree

from control.cli.screen import console
from control.compile.explanation import Choice, Explanation, Failure, Target, Tried
from meshproxy.kit.text import printable

_STATES = {"ready": "green", "terminating": "yellow", "unready": "red"}


def print_tree(told: Explanation) -> None:
    """Print the way of a request from the Host that it names to its endpoints."""
    account = f"{told.namespace}/{told.service_account}"
    tree = Tree(_line("", f"{told.method} {told.url}", f" from {account}"), guide_style="dim")
    if told.host:
        tree.add(_line(f"host: {told.host}"))
    if told.service:
        tree.add(_service(told))
    if told.routes:
        _add_routes(tree, told)
    for effect in told.effects:
        tree.add(_line(f"changes: {effect}"))
    if limits := _limits(told):
        tree.add(_line(f"limits: {limits}"))
    _add_backends(tree, told.backends)
    if told.failure is not None and all(choice.failure != told.failure for choice in told.backends):
        _add_failure(tree, told.failure)
    tree.add(_verdict(told))
    console().print(tree, soft_wrap=False)


def _service(told: Explanation) -> Text:
    ports = ", ".join(f"{port.port} ({port.name})" if port.name else str(port.port) for port in told.ports)
    if told.port:
        others = f"; it has {ports}" if len(told.ports) > 1 else ""
        return _line("service: ", f"{told.service} port {told.port}, {told.protocol or 'http'}", others)
    return _line("service: ", told.service, f"; its ports: {ports or 'none'}")


def _add_routes(tree: Tree, told: Explanation) -> None:
    origins = {
        "producer": "those of the Service's namespace",
        "consumer": f"those of {told.namespace}, the caller's namespace",
        "default": "none of its own: all requests go to the Service itself",
    }
    branch = tree.add(_line(f"routes: {origins.get(told.origin, told.routes)}"))
    for tried in told.tried:
        branch.add(_tried(tried, told.rule))
    if told.more_tried:
        branch.add(Text(f"and {told.more_tried} more that do not win", "dim"))
    if not told.tried and told.rule:
        branch.add(_line("rule ", told.rule))


def _tried(tried: Tried, winner: str) -> Text:
    line = _line("rule ", tried.rule)
    line.append(f": {printable(tried.match)}")
    if not tried.reason:
        line.append(" <- this one", "green")
        return line
    line.append(f": {printable(tried.reason)}")
    line.stylize("dim" if tried.rule != winner else "")
    return line


def _limits(told: Explanation) -> str:
    parts = []
    if told.request_timeout_s:
        parts.append(f"{told.request_timeout_s:g} s for the request")
    if told.attempt_timeout_s:
        parts.append(f"{told.attempt_timeout_s:g} s for each attempt")
    if told.retry is not None:
        codes = f" after {', '.join(map(str, told.retry.codes))}" if told.retry.codes else ""
        times = "once" if told.retry.attempts == 1 else f"{told.retry.attempts} times"
        parts.append(f"repeated at most {times}{codes}")
    return ", ".join(parts)


def _add_backends(tree: Tree, backends: Iterable[Choice]) -> None:
    for choice in backends:
        branch = tree.add(
            _line("backend ", choice.backend or "(none)", f": {choice.share_percent:g} % ({choice.protocol})")
        )
        for effect in choice.effects:
            branch.add(_line(f"changes: {effect}"))
        if choice.failure is not None:
            _add_failure(branch, choice.failure)
        for target in choice.endpoints:
            branch.add(_endpoint(target))
        if choice.more_endpoints:
            branch.add(Text(f"and {choice.more_endpoints} more endpoints", "dim"))


def _endpoint(target: Target) -> Text:
    host = f"[{target.address}]" if ":" in target.address else target.address
    line = _line("", f"{host}:{target.port}")
    line.append(f" {printable(target.state)}", _STATES.get(target.state, ""))
    if not target.considered:
        line.append(f", not chosen: {printable(target.reason)}", "yellow")
    places = [part for part in (target.zone and f"zone {target.zone}", target.node and f"node {target.node}") if part]
    places.append(target.identity or "plain text")
    line.append(f" ({printable(', '.join(places))})", "dim")
    return line


def _add_failure(tree: Tree, failure: Failure) -> None:
    branch = tree.add(Text(f"{failure.status} {printable(failure.fault)}: {printable(failure.message)}", "red"))
    if failure.advice:
        branch.add(_line(f"what to do: {failure.advice}"))


def _verdict(told: Explanation) -> Text:
    if told.failure is not None:
        return Text(f"answered {told.failure.status}", "bold red")
    if told.redirect is not None:
        return Text(f"answered {told.redirect.status} by the sidecar", "bold green")
    if told.fails_percent > 0:
        return Text(f"{told.fails_percent:g} % of such requests fail", "bold red")
    return Text("goes through", "bold green")


def _line(*parts: str) -> Text:
    """The second part is what matters."""
    line = Text()
    for i, part in enumerate(parts):
        line.append(printable(part), "bold" if i == 1 else "")
    return line

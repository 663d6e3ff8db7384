"""`meshctl route shift`: another split between the backends of a rule, with the way back."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import typer

from control.cli.client import MERGE_MEDIA, Client, place_of
from control.cli.complete import complete_route
from control.cli.failure import ApiError, Failure
from control.cli.kinds import metadata_of
from control.cli.options import Namespace, connect
from control.cli.screen import Columns, say, warn
from control.cli.shift import Choice, ShiftError, label_all, percents, pick, place, share
from control.model.kinds import HTTP_ROUTE
from meshproxy.kit.text import printable

MAX_WEIGHT = 1_000_000
"""HTTPRoute's."""
MAX_TRIES = 5
app = typer.Typer(name="route", no_args_is_help=True, add_completion=False)


@app.callback()
def _route() -> None:
    """Change routes by what they do."""


class Split(NamedTuple):
    """The rule `place` of a route (its index), called `label`, and its backends."""

    place: int
    label: str
    choices: tuple[Choice, ...]

    @property
    def weights(self) -> list[int]:
        return [choice.weight for choice in self.choices]


@app.command("shift")
def shift(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The HTTPRoute.", autocompletion=complete_route)],
    steps: Annotated[
        list[str],
        typer.Argument(metavar="BACKEND=PERCENT...", help="The backend may be named by its end: v2 for echo-v2."),
    ],
    namespace: Namespace = "default",
    rule: Annotated[
        str,
        typer.Option(
            "--rule", envvar="MESHCTL_RULE", help="The rule's name or index, where several have several backends."
        ),
    ] = "",
    weights: Annotated[
        bool,
        typer.Option(
            "--weights",
            envvar="MESHCTL_WEIGHTS",
            help="The numbers are weights as they stand in the route; backends that are not named keep theirs.",
        ),
    ] = False,
) -> None:
    """Shift requests between the backends of a rule: a step of a canary release.

    The named backends get their percent of the requests, the others share
    the rest in proportion to what they have. Nothing else of the route
    changes, and nothing if somebody else changes the weights meanwhile.

    Example:
    meshctl route shift echo v2=20 -n shop

    """
    given = _parse(steps)
    client = connect(ctx)
    path = place_of(HTTP_ROUTE, namespace, name)
    first: Split | None = None
    for _ in range(MAX_TRIES):
        route = client.get(path)
        split = find_split(route, rule)
        if first is not None and split != first:
            now = ", ".join(f"{label}={weight}" for label, weight in zip(_labels(split), split.weights, strict=True))
            raise Failure(f"httproute/{name}: its weights were changed meanwhile, to {now}; nothing was changed")
        first = split
        after = decide(split, given, as_weights=weights)
        if _write(client, path, route, split, after):
            _report(name, namespace, rule, split, after)
            return
    raise Failure(f"httproute/{name}: was changed by others {MAX_TRIES} times meanwhile; nothing was changed")


def decide(split: Split, given: dict[str, int], *, as_weights: bool) -> list[int]:
    """Return the new weights. Raise Failure."""
    try:
        places = [pick(split.choices, word) for word in given]
        by_index = dict(zip(places, given.values(), strict=True))
        if len(by_index) == len(given):
            return place(split.weights, by_index) if as_weights else share(split.weights, by_index)
    except ShiftError as error:
        raise Failure(f"{split.label}: {error}") from None
    raise Failure(f"{split.label}: one backend is named twice, by {' and '.join(given)}")


def find_split(route: Any, rule: str) -> Split:
    """Return the rule that is meant: the one named, else the only one with several backends. Raise Failure."""
    spec = route.get("spec") if isinstance(route, dict) else None
    rules = (spec.get("rules") if isinstance(spec, dict) else None) or []
    splits = [_split(i, item) for i, item in enumerate(rules)]
    if rule:
        named = [split for split, item in zip(splits, rules, strict=True) if item.get("name") == rule]
        found = named or [split for split in splits if str(split.place) == rule]
        if not found:
            raise Failure(
                f"no rule is called {rule!r}; allowed: {', '.join(split.label for split in splits) or 'none'}"
            )
    else:
        found = [split for split in splits if len(split.choices) > 1]
        if len(found) > 1:
            raise Failure(
                f"several rules have several backends: {', '.join(s.label for s in found)}; name one by --rule"
            )
    if not found or len(found[0].choices) < 2:
        raise Failure(f"{found[0].label if found else 'the route'} has no two backends to shift between")
    return found[0]


def _split(index: int, rule: dict[str, Any]) -> Split:
    label = f"rule {index} ({rule['name']})" if rule.get("name") else f"rule {index}"
    choices = tuple(
        Choice(str(ref.get("name")), str(ref.get("namespace") or ""), int(ref.get("port") or 0), _weight(ref))
        for ref in rule.get("backendRefs") or ()
    )
    return Split(index, label, choices)


def _weight(ref: dict[str, Any]) -> int:
    weight = ref.get("weight")
    return 1 if weight is None else int(weight)


def _parse(steps: list[str]) -> dict[str, int]:
    given: dict[str, int] = {}
    for step in steps:
        word, _, number = step.partition("=")
        number = number.removesuffix("%")
        if not word or not number.isdecimal() or not number.isascii() or len(number) > 7 or int(number) > MAX_WEIGHT:
            raise Failure(f"{step!r} is malformed; allowed: BACKEND=NUMBER, as in v2=20")
        if word in given:
            raise Failure(f"{word!r} is named twice")
        given[word] = int(number)
    return given


def _write(client: Client, path: str, route: Any, split: Split, after: list[int]) -> bool:
    """Write the weights; False when somebody has written the route meanwhile."""
    rules = copy.deepcopy(route["spec"]["rules"])
    for ref, weight in zip(rules[split.place]["backendRefs"], after, strict=True):
        ref["weight"] = weight
    version = metadata_of(route).get("resourceVersion")
    document = {"metadata": {"resourceVersion": version}, "spec": {"rules": rules}}
    try:
        client.patch(path, document, MERGE_MEDIA, fieldManager="meshctl")
    except ApiError as error:
        if error.code == 409:
            return False
        raise
    return True


def _report(name: str, namespace: str, rule: str, split: Split, after: list[int]) -> None:
    labels = _labels(split)
    say(f"httproute/{printable(name)} {printable(split.label)}")
    header = ["BACKEND", "BEFORE", "NOW"]
    Columns(2).print(list(zip(labels, percents(split.weights), percents(after), strict=True)), header)
    if split.weights == after:
        warn("the weights were so already")
        return
    say(f"way back: {printable(way_back(name, namespace, rule, labels, split.weights))}")


def way_back(name: str, namespace: str, rule: str, labels: Sequence[str], weights: Sequence[int]) -> str:
    """Return the command that makes the weights what they were, exactly."""
    words = ["meshctl", "route", "shift", name]
    words += [f"{label}={weight}" for label, weight in zip(labels, weights, strict=True)]
    words += ["-n", namespace]
    if rule:
        words += ["--rule", rule]
    if sum(weights) != 100:
        words.append("--weights")
    return shlex.join(words)


def _labels(split: Split) -> list[str]:
    return label_all(split.choices)

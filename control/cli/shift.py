"""The arithmetic of a canary step: some backends get their percent, the others share what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class ShiftError(ValueError):
    """A step that cannot be made; the message says why."""


class Choice(NamedTuple):
    """One backend of a rule, as an operator names it. `namespace` is empty for the route's own."""

    name: str
    namespace: str
    port: int
    weight: int

    def labels(self) -> tuple[str, ...]:
        """Return the names it answers to, the shortest first."""
        return tuple(
            dict.fromkeys((self.name, f"{self.name}:{self.port}", f"{self.namespace}/{self.name}:{self.port}"))
        )


def pick(choices: Sequence[Choice], word: str) -> int:
    """Return the index of the backend that a word means: `echo-v2`, `echo-v2:80`, `NS/echo-v2:80`, or its end `v2`."""
    exact = [i for i, choice in enumerate(choices) if word in choice.labels()]
    found = exact or [i for i, choice in enumerate(choices) if choice.name.endswith(f"-{word}")]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ShiftError(f"no backend is {word!r} or ends in '-{word}'; allowed: {', '.join(label_all(choices))}")
    labels = label_all(choices)
    raise ShiftError(f"{word!r} may be {' or '.join(labels[i] for i in found)}; allowed: one of these names")


def label_all(choices: Sequence[Choice]) -> list[str]:
    """Return the shortest name of each backend that means no other."""
    result = []
    for choice in choices:
        others = [other for other in choices if other is not choice]
        unique = (label for label in choice.labels() if not any(label in other.labels() for other in others))
        result.append(next(unique, choice.labels()[-1]))
    return result


def share(weights: Sequence[int], given: Mapping[int, int]) -> list[int]:
    """Return weights that add up to 100: `given` (percent by index) exactly, the others in proportion to `weights`.

    What does not divide evenly goes to the largest remainders. Raise ShiftError where that is not possible.
    """
    if bad := [percent for percent in given.values() if not 0 <= percent <= 100]:
        raise ShiftError(f"{bad[0]} is out of range; allowed: 0 to 100 percent")
    rest = 100 - sum(given.values())
    others = [i for i in range(len(weights)) if i not in given]
    if rest < 0 or (rest > 0 and not others):
        raise ShiftError(f"the percentages add up to {100 - rest}; allowed: {'100' if rest > 0 else 'at most 100'}")
    total = sum(weights[i] for i in others)
    result = [given.get(i, 0) for i in range(len(weights))]
    if rest == 0:
        return result
    if total == 0:
        if len(others) > 1:
            raise ShiftError(
                f"{rest} percent are left, and the other {len(others)} backends all have weight 0: name one"
            )
        result[others[0]] = rest
        return result
    for i in others:
        result[i] = rest * weights[i] // total
    left = 100 - sum(result)
    by_remainder = sorted(others, key=lambda i: (-(rest * weights[i] % total), i))
    for i in by_remainder[:left]:
        result[i] += 1
    return result


def place(weights: Sequence[int], given: Mapping[int, int]) -> list[int]:
    """Return the weights with `given` (by index) in their places."""
    return [given.get(i, weight) for i, weight in enumerate(weights)]


def percents(weights: Sequence[int]) -> list[str]:
    """Return what share of the requests each weight stands for; of weights that are all 0, none."""
    total = sum(weights)
    return [f"{100 * weight / total:.3g} %" if total else "none" for weight in weights]

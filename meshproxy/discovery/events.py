"""The metric families of the push stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from meshproxy.metrics.slots import Registry


class Readings(Protocol):
    """What is read at a scrape. Ages and times that are not known are None."""

    @property
    def is_connected(self) -> bool: ...

    @property
    def last_contact(self) -> float | None:
        """Unix time."""

    @property
    def age_s(self) -> float | None:
        """How long ago the configuration was known to be that of the control plane."""

    @property
    def held(self) -> int: ...

    @property
    def subscriptions(self) -> int: ...


class StreamEvents:
    """Counters are counted by `add(*label values)`."""

    __slots__ = ("connects", "pushes", "saves", "wants")

    def __init__(self, registry: Registry, readings: Readings) -> None:
        counter, gauge = registry.counter, registry.gauge
        self.connects = counter(
            "meshproxy_stream_connects_total", "Attempts to open the push stream, by outcome.", ("outcome",)
        )
        self.pushes = counter(
            "meshproxy_pushes_total",
            "Pushes by outcome: taken, refused for what they hold, or failed to take effect by a defect.",
            ("outcome",),
        )
        self.wants = counter(
            "meshproxy_wants_total", "Calls of Services that were not known, by what was answered.", ("outcome",)
        )
        self.saves = counter(
            "meshproxy_state_saved_total", "Writes of the last known good, by outcome: saved or failed.", ("outcome",)
        )
        gauge(
            "meshproxy_stream_connected",
            "1 while a push stream is open.",
            read=lambda: _sample(float(readings.is_connected)),
        )
        gauge(
            "meshproxy_stream_last_contact_timestamp_seconds",
            "Unix time at which the control plane was heard last.",
            read=lambda: _sample(readings.last_contact),
        )
        gauge(
            "meshproxy_configuration_age_seconds",
            "Since when the configuration may have changed without our knowing.",
            read=lambda: _sample(readings.age_s),
        )
        gauge(
            "meshproxy_push_held_resources",
            "New routes that wait for what they name.",
            read=lambda: _sample(float(readings.held)),
        )
        gauge(
            "meshproxy_subscriptions",
            "Names of resources that are followed.",
            read=lambda: _sample(float(readings.subscriptions)),
        )


def _sample(value: float | None) -> Iterable[tuple[tuple[str, ...], float]]:
    return [((), value)] if value is not None else []

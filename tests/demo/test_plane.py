"""The demo's reading of the control plane, against the control plane's own writing."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from control.push.metrics import PushMetrics
from deploy.demo.plane import Plane, State


def read(*latencies: float, sidecars: int = 10) -> State:
    registry = CollectorRegistry()
    metrics = PushMetrics(registry, lambda: sidecars, lambda: 230, lambda: 0.0)
    for latency in latencies:
        metrics.latency.observe(latency)
    return State.parse(generate_latest(registry).decode())


def test_its_numbers_are_those_of_the_control_plane() -> None:
    state = read(0.002, 0.004)
    assert (state.sidecars, state.acks, state.ack_s) == (10, 2, 0.003)
    assert read().ack_s is None


def test_what_happened_since_is_the_difference() -> None:
    change = read(0.002, 0.004, 0.010).since(read(0.002))
    assert (change.acks, change.ack_s) == (2, pytest.approx(0.007))


def test_one_that_began_anew_is_counted_from_its_start() -> None:
    assert read(0.004).since(read(0.002, 0.002)).ack_s == 0.004
    assert read(0.004).since(None).ack_s == 0.004


def test_one_demo_does_not_remove_the_env_file_of_another(tmp_path: Path) -> None:
    first, second = (Plane(tmp_path, tmp_path, 1) for _ in range(2))
    first.write_env()
    second.remove_env()
    assert "MESHCTL_API=http://127.0.10.2:11\n" in first.env.read_text()
    first.remove_env()
    assert not first.env.exists()

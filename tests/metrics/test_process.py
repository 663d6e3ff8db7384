from __future__ import annotations

import os

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from meshproxy.metrics import process
from meshproxy.metrics.slots import Registry


def test_the_values_are_those_of_the_usual_client_library():
    registry = Registry()
    process.register(registry)
    oracle = CollectorRegistry()
    ProcessCollector(registry=oracle)

    def ours(name: str) -> float:
        ((_, value),) = registry.families[name].samples()
        return value

    for name, tolerance in (
        ("process_virtual_memory_bytes", 0.01),
        ("process_resident_memory_bytes", 0.05),
        ("process_start_time_seconds", 1e-9),
        ("process_max_fds", 0.0),
    ):
        assert ours(name) == pytest.approx(oracle.get_sample_value(name), rel=tolerance)
    assert abs(ours("process_open_fds") - oracle.get_sample_value("process_open_fds")) <= 2
    assert ours("process_cpu_seconds_total") == pytest.approx(
        oracle.get_sample_value("process_cpu_seconds_total"), abs=0.1
    )


def test_open_descriptors_are_counted():
    registry = Registry()
    process.register(registry)

    def count() -> float:
        ((_, value),) = registry.families["process_open_fds"].samples()
        return value

    before = count()
    opened = [os.dup(0) for _ in range(10)]
    assert count() == before + 10
    for fd in opened:
        os.close(fd)

"""What is wrong with a Service or EndpointSlice whose types are right, though no schema has seen it."""

from __future__ import annotations

from typing import Any

import pytest

from control.model.core import check_endpoint_slice, check_service
from tests.control.build import endpoint_slice, service
from tests.control.cluster import read


@pytest.mark.parametrize(
    ("document", "flaw"),
    [
        (service("echo", 0), "spec.ports[0].port: 0 is no port; allowed: 1 to 65535"),
        (service("echo", 99_999), "spec.ports[0].port: 99999 is no port; allowed: 1 to 65535"),
        (service("echo", {"port": 80}, {"port": 80, "name": "again"}), "spec.ports[1].port: 80/TCP stands twice"),
        (endpoint_slice("echo", ports=[{"port": 65_536}]), "ports[0].port: 65536 is no port; allowed: 1 to 65535"),
        (endpoint_slice("echo", "10.0.0.256"), "endpoints[0].addresses[0]: "),
    ],
)
def test_a_flaw_is_named_with_its_field(document: dict[str, Any], flaw: str) -> None:
    item: Any = read(document)
    (found,) = check_service(item) if document["kind"] == "Service" else check_endpoint_slice(item)
    assert str(found).startswith(flaw)


def test_a_slice_without_ports_or_endpoints_is_a_good_one() -> None:
    assert check_endpoint_slice(read(endpoint_slice("echo", "10.0.0.1", ports=[{"name": "all"}]))) == []  # type: ignore[arg-type]
    assert check_endpoint_slice(read(endpoint_slice("echo", ports=[]))) == []  # type: ignore[arg-type]

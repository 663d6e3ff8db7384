from __future__ import annotations

from loadtest.messages import TrafficCell
from loadtest.results.model import Endpoint, EndpointBin
from loadtest.results.traffic import Traffic


def test_reports_add_up_by_instance_and_bin() -> None:
    traffic = Traffic(0.5)
    traffic.add(
        [TrafficCell("echo", 1, 3, 5, 4, {"200": 4}, {"hang": 1}), TrafficCell("echo", 1, 2, 1, 1, {"200": 1}, {})]
    )
    traffic.add([TrafficCell("echo", 1, 3, 2, 1, {"200": 1, "503": 1}, {"status": 1, "hang": 2})])
    assert traffic.endpoints({("echo", 2): "127.40.1.2:8080", ("echo", 1): "127.40.1.1:8080"}) == [
        Endpoint(
            "echo",
            1,
            "127.40.1.1:8080",
            [
                EndpointBin(1.0, 1, 1, {"200": 1}, {}),
                EndpointBin(1.5, 7, 5, {"200": 5, "503": 1}, {"hang": 3, "status": 1}),
            ],
        ),
        Endpoint("echo", 2, "127.40.1.2:8080", []),
    ]

from __future__ import annotations

from pathlib import Path

import yaml

from control.model.decode import decode
from deploy.demo.pods import Manifests, Pod


def addresses(path: Path) -> list[str]:
    return [
        address
        for item in yaml.safe_load_all(path.read_text())
        if item["kind"] == "EndpointSlice"
        for entry in item["endpoints"]
        for address in entry["addresses"]
    ]


def test_a_successor_has_the_first_free_number_and_its_address() -> None:
    pod = Pod("catalog-2", "catalog", "127.0.10.12", 15000)
    assert pod.successor(["catalog-1", "catalog-2", "catalog-3"])[:3] == ("catalog-4", "catalog", "127.0.10.14")
    assert pod.successor(["catalog-2"])[:3] == ("catalog-1", "catalog", "127.0.10.11")


def test_a_replacement_is_in_the_slice_beside_the_old_one_and_then_alone(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    manifests = Manifests(tmp_path / "manifests", 20_000)
    old = next(pod for pod in manifests.pods if pod.name == "catalog-2")
    new = old.successor([pod.name for pod in manifests.pods])
    arrival = manifests.add(new, old)
    assert addresses(arrival) == ["127.0.10.11", "127.0.10.12", "127.0.10.13", "127.0.10.14"]
    assert {item["metadata"]["name"] for item in yaml.safe_load_all(arrival.read_text())} == {"catalog-4", "catalog-1"}
    for item in yaml.safe_load_all(arrival.read_text()):
        decode(item)
    assert "port: 20006" in arrival.read_text()
    assert addresses(manifests.remove(old)) == ["127.0.10.11", "127.0.10.13", "127.0.10.14"]
    assert {pod.name for pod in manifests.pods if pod.account == "catalog"} == {"catalog-1", "catalog-3", "catalog-4"}


def test_however_often_instances_are_replaced_one_spare_is_enough(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    manifests = Manifests(tmp_path / "manifests", 15_000)
    for index in (0, 2, 1, 1, 0, 2, 2, 0):
        catalog = [pod for pod in manifests.pods if pod.account == "catalog"]
        old = catalog[index]
        manifests.add(old.successor([pod.name for pod in catalog]), old)
        manifests.remove(old)
        assert len({pod.ip for pod in manifests.pods}) == 10
        assert {pod.name for pod in manifests.pods if pod.account == "catalog"} < {f"catalog-{n}" for n in range(1, 5)}

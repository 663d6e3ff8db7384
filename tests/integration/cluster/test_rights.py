"""The ClusterRole in deploy/rbac.yaml is what the control plane needs: everything in it is used, and it suffices.

That nothing beyond it is asked for is looked at in every test of this folder: the API server grants nothing else there.
"""

from __future__ import annotations

from pathlib import Path

from tests.fakes.cluster import KINDS, cluster, granted, needed


def test_every_right_that_is_granted_is_used(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        # Lists are needed where the server does not stream them, and discovery where a CRD is not installed.
        shop.api.behave(watch_list="refused")
        for plural in ("httproutes", "referencegrants"):
            shop.api.uninstall(plural)
        plane = shop.control()
        plane.meshctl("check")
        for plural in ("httproutes", "referencegrants"):
            shop.api.install(plural, "v1beta1")
        shop.until(lambda: shop.api.watching() == len(KINDS))
        shop.api.install("httproutes")
        plane.meshctl("check")
        assert {needed(asked) for asked in shop.api.asked} == granted()
        assert not [asked for asked in shop.api.asked if asked.namespace or asked.name]
        # All of them are asked about, and granted.
        rights = {name: message for name, message in shop.checks("ok").items() if name.startswith("Rights: ")}
        assert set(rights) == {f"Rights: {name}" for name in (*KINDS, "selfsubjectaccessreviews", "discovery")}


def test_without_any_right_every_one_that_is_missing_is_named(tmp_path: Path) -> None:
    with cluster(tmp_path) as shop:
        plane = shop.control()
        shop.api.allow({"rules": []})
        failed = shop.checks("fail")
        for kind in KINDS:
            assert failed[f"Rights: {kind}"].startswith("may not list, watch")
        assert plane.ask("metrics", "/readyz")[0] == 200

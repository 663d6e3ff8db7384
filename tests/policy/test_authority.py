from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.policy.authority import Outside, ServiceName, pick_port, resolve


@pytest.mark.parametrize("name", ["echo", "ECHO", "echo."])
@pytest.mark.parametrize(("port", "number"), [("", None), (":80", 80), (":65535", 65535)])
def test_one_label_is_a_service_of_ones_own_namespace(name: str, port: str, number: int | None) -> None:
    assert resolve(f"{name}{port}".encode(), "demo") == ServiceName("demo", "echo", number)


def test_two_labels_are_a_service_or_perhaps_a_name_outside() -> None:
    assert resolve(b"Echo.Other:8080", "demo") == ServiceName("other", "echo", 8080)
    assert resolve(b"example.com.", "demo") == ServiceName("com", "example", None)


@pytest.mark.parametrize(
    "name", ["echo.other.svc", "echo.other.svc.cluster.local", "Echo.OTHER.Svc.Cluster.Local.", "echo.other.svc."]
)
def test_longer_forms_are_services(name: str) -> None:
    assert resolve(name.encode(), "demo") == ServiceName("other", "echo", None)


def test_the_clusters_domain_is_configurable() -> None:
    assert resolve(b"a.b.svc.mesh.example", "demo", "Mesh.example.") == ServiceName("b", "a", None)
    assert resolve(b"a.b.svc.cluster.local", "demo", "mesh.example") == Outside("a.b.svc.cluster.local", None)


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        (b"www.Example.com:443", Outside("www.example.com", 443)),
        (b"a.b.svc.cluster", Outside("a.b.svc.cluster", None)),
        (b"x.a.b.svc.cluster.local", Outside("x.a.b.svc.cluster.local", None)),
        (b"10.0.0.1:8080", Outside("10.0.0.1", 8080)),
        (b"10.0.0.1", Outside("10.0.0.1", None)),
        (b"[::1]:80", Outside("::1", 80)),
        (b"[2001:DB8::0:1]", Outside("2001:db8::1", None)),
        (b"[::ffff:127.0.0.1]", Outside("::ffff:127.0.0.1", None)),
        (b"my_db", Outside("my_db", None)),
        (b"_tcp.demo", Outside("_tcp.demo", None)),
    ],
)
def test_anything_else_is_outside(authority: bytes, expected: Outside) -> None:
    found = resolve(authority, "demo")
    if expected.host.startswith("::ffff"):
        assert isinstance(found, Outside)
        assert found.host in ("::ffff:127.0.0.1", "::ffff:7f00:1")
    else:
        assert found == expected


@pytest.mark.parametrize(
    "authority",
    [
        b"", b".", b"..", b"echo..", b".echo", b"a..b", b"echo:", b"echo:0", b"echo:080", b"echo:65536", b"echo:99999",
        b"echo:123456", b"echo:+80", b"echo: 80", b"echo:80:80", b":80", b"user@echo", b"echo/x", b"echo?", b"echo#",
        b"ec ho", b"echo\x00", b"echo\n", b"ec%68o", b"\xc3\xa9cho", b"-echo", b"echo-", b"echo.-demo", b"a" * 64,
        b".".join([b"a" * 60] * 5), b"256.0.0.1", b"01.2.3.4", b"1.2.3.1234", b"[::1", b"::1", b"[]", b"[::1]x",
        b"[::1]:",
        b"[fe80::1%eth0]", b"[1.2.3.4]", b"[::1]]:80", b"[::1:80", b"*", b"echo,other", b"http://echo",
        b"echo:\xd9\xa1",
    ],
)  # fmt: skip
def test_what_is_no_host_is_invalid(authority: bytes) -> None:
    assert resolve(authority, "demo") is None


@given(st.binary(max_size=40) | st.text(alphabet="aA0-._:[]@%8", max_size=20).map(str.encode))
def test_any_bytes_get_an_answer_of_plain_lower_case_characters(authority: bytes) -> None:
    found = resolve(authority, "demo")
    if isinstance(found, ServiceName):
        assert set(found.name + found.namespace) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    elif found is not None:
        assert set(found.host) <= set("abcdefghijklmnopqrstuvwxyz0123456789-._:")
    if found is not None and found.port is not None:
        assert 0 < found.port < 65536


@pytest.mark.parametrize(
    ("ports", "wanted", "port"),
    [
        ([80, 81], None, 80),
        ([8080], None, 8080),
        ([81, 82], None, None),
        ([], None, None),
        ([80, 81], 81, 81),
        ([80], 81, None),
        ([], 80, None),
    ],
)
def test_the_port_meant_is_the_one_named_else_80_else_the_only_one(
    ports: list[int], wanted: int | None, port: int | None
) -> None:
    assert pick_port(ports, wanted) == port

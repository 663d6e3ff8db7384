from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.policy.rewrite import Redirect, Rewrite, split_port
from meshproxy.wire import resources as wire


@pytest.mark.parametrize(
    ("path", "prefix", "value", "expected"),
    [
        # Gateway API's table (HTTPPathModifier.replacePrefixMatch); `prefix` has lost its trailing slash in the match.
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
        # Beyond the table.
        ("/foo/bar", "", "/xyz", "/xyz/foo/bar"),
        ("/", "", "/xyz", "/xyz/"),
        ("/foo//evil.example", "/foo", "", "/evil.example"),
        ("/foo//evil.example", "/foo", "/", "/evil.example"),
        ("/a/../foo/%62ar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "xyz", "/xyz/bar"),
    ],
)
def test_a_replaced_prefix_follows_gateway_apis_table(path: str, prefix: str, value: str, expected: str) -> None:
    rewrite = Rewrite(wire.URLRewrite(path=wire.ReplacePrefixMatch(value=value)))
    assert rewrite.target(path.encode(), b"", prefix.encode()) == expected.encode()
    assert rewrite.target(path.encode(), b"q=1&x", prefix.encode()) == expected.encode() + b"?q=1&x"


@pytest.mark.parametrize(("value", "expected"), [("/new/", b"/new/"), ("/", b"/"), ("", b"/"), ("new", b"/new")])
def test_a_replaced_path_keeps_the_query(value: str, expected: bytes) -> None:
    rewrite = Rewrite(wire.URLRewrite(path=wire.ReplaceFullPath(value=value)))
    assert rewrite.target(b"/old", b"", b"") == expected
    assert rewrite.target(b"/old", b"a=b", b"") == expected + b"?a=b"


def test_a_rewrite_of_the_host_alone_leaves_the_target() -> None:
    rewrite = Rewrite(wire.URLRewrite(hostname="other.example"))
    assert rewrite.hostname == b"other.example"
    assert rewrite.target(b"/a", b"b", b"") is None


@pytest.mark.parametrize(
    ("redirect", "authority", "scheme", "expected"),
    [
        ({"hostname": "new.example"}, "echo", "http", "http://new.example/p?q"),
        ({"hostname": "new.example"}, "echo:8080", "http", "http://new.example:8080/p?q"),
        ({"hostname": "new.example"}, "echo:80", "http", "http://new.example/p?q"),
        ({"hostname": "new.example"}, "echo:443", "https", "https://new.example/p?q"),
        ({"port": 8083}, "echo", "http", "http://echo:8083/p?q"),
        ({"port": 80}, "echo:8080", "http", "http://echo/p?q"),
        ({"port": 80}, "echo", "https", "https://echo:80/p?q"),
        ({"port": 443}, "echo", "http", "http://echo:443/p?q"),
        ({"port": 443}, "echo", "https", "https://echo/p?q"),
        ({"scheme": "https"}, "echo:8080", "http", "https://echo/p?q"),
        ({"scheme": "http"}, "echo:8443", "https", "http://echo/p?q"),
        ({"scheme": "https", "port": 443}, "echo:8080", "http", "https://echo/p?q"),
        ({"scheme": "https", "port": 80}, "echo", "http", "https://echo:80/p?q"),
        ({"scheme": "https", "port": 8443}, "echo", "http", "https://echo:8443/p?q"),
        ({}, "[::1]:8080", "http", "http://[::1]:8080/p?q"),
        ({}, "[::1]", "http", "http://[::1]/p?q"),
        ({}, "", "http", "/p?q"),
        ({"hostname": "new.example"}, "", "http", "http://new.example/p?q"),
        ({"path": wire.ReplaceFullPath(value="/x")}, "echo", "http", "http://echo/x?q"),
        ({"path": wire.ReplacePrefixMatch(value="/x")}, "echo", "http", "http://echo/x?q"),
    ],
)
def test_the_location_has_scheme_host_port_and_path_as_gateway_api_says(
    redirect: dict[str, Any], authority: str, scheme: str, expected: str
) -> None:
    subject = Redirect(wire.RequestRedirect(**redirect))
    assert subject.status == 302
    assert subject.location(authority.encode(), b"/p", b"q", b"/p", scheme.encode()).decode() == expected


def test_a_location_without_a_host_never_looks_like_one() -> None:
    assert Redirect(wire.RequestRedirect()).location(b"", b"//evil.example/x", b"", b"") == b"/evil.example/x"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_status_is_the_redirects(status: int) -> None:
    assert Redirect(wire.RequestRedirect(status_code=status)).status == status


@pytest.mark.parametrize(
    "redirect",
    [{"scheme": "ftp"}, {"status_code": 304}, {"port": 65536}, {"port": -1}, {"hostname": "a b"},
     {"hostname": "a/b"}, {"hostname": "a\r\n"}, {"hostname": "-a"}, {"hostname": "a\n"},
     {"path": wire.ReplaceFullPath(value="/a b")}, {"path": wire.ReplaceFullPath(value="/a\r\n")}],
)  # fmt: skip
def test_a_redirect_that_is_none_is_refused(redirect: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is (not|no|none|neither)"):
        Redirect(wire.RequestRedirect(**redirect))


@pytest.mark.parametrize("value", ["/a?b", "/a#b", "/a b", "/a\r\nX: 1", "/\x00", "/é", "/a\n"])
@pytest.mark.parametrize("kind", [wire.ReplaceFullPath, wire.ReplacePrefixMatch])
def test_a_path_that_is_none_is_refused(value: str, kind: Any) -> None:
    with pytest.raises(ValueError, match="is no path"):
        Rewrite(wire.URLRewrite(path=kind(value=value)))


@given(
    st.lists(st.sampled_from(["foo", "b", "", "..", ".", "%2e"]), max_size=5), st.sampled_from(["", "/", "/x", "/x/"])
)
def test_a_replaced_prefix_yields_an_origin_form_target_with_one_leading_slash(parts: list[str], value: str) -> None:
    from meshproxy.policy.route import RouteTable

    table = RouteTable(
        wire.Routes(
            matches=[wire.RouteMatch(rule=0, path=wire.PathMatch(value="/foo"))],
            rules=[wire.Rule(name="r", filters=[wire.URLRewrite(path=wire.ReplacePrefixMatch(value=value))])],
        )
    )
    path = ("/" + "/".join(parts)).encode()
    match = table.match(b"GET", path, b"", [])
    if match is None:
        return
    assert match.rule.rewrite is not None
    assert match.prefix is not None
    target = match.rule.rewrite.target(path, b"", match.prefix)
    assert target is not None
    assert target.startswith(b"/")
    assert not target.startswith(b"//")


@pytest.mark.parametrize(
    ("authority", "expected"),
    [(b"a:1", (b"a", b"1")), (b"a", (b"a", b"")), (b"[::1]", (b"[::1]", b"")), (b"[::1]:2", (b"[::1]", b"2"))],
)
def test_authorities_split_at_the_port(authority: bytes, expected: tuple[bytes, bytes]) -> None:
    assert split_port(authority) == expected

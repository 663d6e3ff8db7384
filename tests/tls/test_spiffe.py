from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.tls import spiffe
from meshproxy.tls.spiffe import SpiffeError, SpiffeId

OURS = SpiffeId("cluster.local", "shop", "web")
URI = "spiffe://cluster.local/ns/shop/sa/web"

SEGMENT = st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True).filter(lambda text: text not in {".", ".."})
TRUST_DOMAIN = st.from_regex(r"[a-z0-9._-]{1,60}", fullmatch=True)


def test_an_id_is_read_and_written() -> None:
    assert spiffe.parse(URI) == OURS
    assert str(OURS) == URI


@given(TRUST_DOMAIN, SEGMENT, SEGMENT)
def test_what_is_written_is_read_again(trust_domain: str, namespace: str, service_account: str) -> None:
    identity = SpiffeId(trust_domain, namespace, service_account)
    assert spiffe.parse(str(identity)) == identity


@given(st.text(max_size=80))
def test_any_text_is_an_id_or_an_error(text: str) -> None:
    for uri in (text, "spiffe://" + text, f"spiffe://td/ns/{text}/sa/x"):
        with contextlib.suppress(SpiffeError):
            assert str(spiffe.parse(uri)) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "cluster.local/ns/shop/sa/web",
        "http://cluster.local/ns/shop/sa/web",
        "SPIFFE://cluster.local/ns/shop/sa/web",
        "spiffe:/cluster.local/ns/shop/sa/web",
        "spiffe:///ns/shop/sa/web",
        "spiffe://Cluster.local/ns/shop/sa/web",
        "spiffe://cluster.local:8443/ns/shop/sa/web",
        "spiffe://user@cluster.local/ns/shop/sa/web",
        "spiffe://cluster%2elocal/ns/shop/sa/web",
        "spiffe://[::1]/ns/shop/sa/web",
        "spiffe://" + "a" * 256 + "/ns/shop/sa/web",
        "spiffe://cluster.local",
        "spiffe://cluster.local/",
        "spiffe://cluster.local/ns/shop",
        "spiffe://cluster.local/ns/shop/sa/",
        "spiffe://cluster.local/ns//sa/web",
        "spiffe://cluster.local/ns/./sa/web",
        "spiffe://cluster.local/ns/../sa/web",
        "spiffe://cluster.local/ns/shop/sa/web/",
        "spiffe://cluster.local/ns/shop/sa/web/more",
        "spiffe://cluster.local/sa/web/ns/shop",
        "spiffe://cluster.local/ns/shop/sa/web?query",
        "spiffe://cluster.local/ns/shop/sa/web#fragment",
        "spiffe://cluster.local/ns/shop/sa/w%65b",
        "spiffe://cluster.local/ns/shop/sa/w\u00e9b",
        "spiffe://cluster.local/ns/shop/sa/web\n",
        "spiffe://cluster.local/ns/shop/sa/web\x00",
        "spiffe://cluster.local/ns/shop/sa/" + "x" * 2048,
    ],
)
def test_what_the_standard_forbids_is_refused(uri: str) -> None:
    with pytest.raises(SpiffeError):
        spiffe.parse(uri)


def test_the_longest_id_is_read_and_a_longer_one_is_not() -> None:
    start = "spiffe://cluster.local/ns/shop/sa/"
    assert spiffe.parse(start + "x" * (2048 - len(start)))
    with pytest.raises(SpiffeError, match="2049 characters"):
        spiffe.parse(start + "x" * (2049 - len(start)))


def test_an_error_repeats_only_the_beginning_of_a_peers_words() -> None:
    with pytest.raises(SpiffeError) as caught:
        spiffe.parse("x" * 2000 + "\n")
    assert len(str(caught.value)) < 260
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        (OURS, "web.shop.sa.cluster.local"),
        (SpiffeId("td", "shop", "a.b"), "a.b.shop.sa.td"),
        (SpiffeId("td", "shop", "a" * 64), ""),
        (SpiffeId("td", "shop", "a."), ""),
        (SpiffeId("td", "shop", ".".join(["a" * 60] * 5)), ""),
    ],
)
def test_the_server_name_is_a_dns_name_or_empty(identity: SpiffeId, name: str) -> None:
    assert spiffe.server_name(identity) == name


def certificate(*names: tuple[str, str]) -> dict[str, object]:
    return {"subjectAltName": names}


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (None, "no certificate"),
        ({}, "no certificate"),
        ({"subject": ()}, "0 URI"),
        (certificate(("DNS", "web.shop")), "0 URI"),
        (certificate(("URI", URI), ("URI", URI)), "2 URI"),
        (certificate(("URI", "https://example.com")), "not of the form"),
    ],
)
def test_a_certificate_without_exactly_one_id_is_refused(shown: dict[str, object] | None, message: str) -> None:
    with pytest.raises(SpiffeError, match=message):
        spiffe.from_certificate(shown)


def test_other_kinds_of_names_may_stand_beside_the_id() -> None:
    assert spiffe.from_certificate(certificate(("DNS", "web"), ("URI", URI), ("IP Address", "10.0.0.1"))) == OURS


def test_a_server_admits_every_client_of_its_trust_domain_and_no_other() -> None:
    shown = certificate(("URI", URI))
    assert spiffe.admit_client(shown, "cluster.local") == OURS
    with pytest.raises(SpiffeError, match="not of the trust domain other"):
        spiffe.admit_client(shown, "other")


def test_a_client_admits_exactly_the_expected_identity() -> None:
    shown = certificate(("URI", URI))
    assert spiffe.admit_server(shown, URI) == OURS
    for expected in ("spiffe://cluster.local/ns/shop/sa/web2", "spiffe://cluster.local/ns/shop/sa/we", ""):
        with pytest.raises(SpiffeError, match="expected is"):
            spiffe.admit_server(shown, expected)

"""A pair of sidecar processes over mTLS, whose identities are replaced while they work."""

from __future__ import annotations

from pathlib import Path

from meshproxy.wire import resources as wire
from tests.fakes.load import calling, server
from tests.fakes.origin import ok
from tests.fakes.pki import HOUR_S, Authority, make_ca, make_identity
from tests.fakes.process import Sidecar, started
from tests.fakes.snapshots import service

EXPIRY = "meshproxy_certificate_expiry_timestamp_seconds"
ECHO = "spiffe://cluster.local/ns/default/sa/echo"
CLIENT = "spiffe://cluster.local/ns/default/sa/client"


def _rotate(directory: Path, spiffe_id: str, ca: Authority, sidecar: Sidecar) -> None:
    before = sidecar.metric(EXPIRY)
    make_identity(directory, spiffe_id, ca, after_s=48 * HOUR_S)
    sidecar.until(lambda: sidecar.metric(EXPIRY) > before + 20 * HOUR_S)


def test_identities_are_replaced_under_load_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    ca = make_ca()
    theirs = make_identity(tmp_path / "echo", ECHO, ca)
    ours = make_identity(tmp_path / "client", CLIENT, ca)
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    with server(ok(b"app")) as application:
        host, port = application.host, application.port
        flags = ["--inbound", "127.0.0.1:0", "--app", f"{host}:{port}", "--service-account", "echo"]
        with started(tmp_path / "in", [], *flags, "--identity-dir", str(theirs)) as inbound:
            address, number = inbound.addresses["inbound"]
            meshed = wire.Endpoint(address=address, port=number, meshed=True, identity=ECHO)
            # Connections are retired at once, so that every identity is shown.
            backend = wire.Backend(pool=wire.Pool(max_age_s=0.1))
            entries = service("echo", [meshed], backend=backend)
            with (
                started(tmp_path / "out", entries, "--identity-dir", str(ours)) as outbound,
                calling(outbound.addresses["outbound"], method="GET") as load,
            ):
                outbound.until(lambda: load.total > 50)
                outbound.until(lambda: outbound.metric(EXPIRY) and inbound.metric(EXPIRY))
                _rotate(theirs, ECHO, ca, inbound)
                _rotate(ours, CLIENT, ca, outbound)
                seen = load.total
                outbound.until(lambda: load.total > seen + 50)
                make_identity(ours, ECHO, ca)
                outbound.until(lambda: outbound.has_logged("identity refused, the one in use stays"))
                seen = load.total
                outbound.until(lambda: load.total > seen + 50)
            assert set(load.outcomes) == {(200, b"app")}
            tls = r'meshproxy_connections_opened_total\{direction="inbound",side="downstream",tls="true"\}'
            assert inbound.metric(tls) > 3
            assert not inbound.metric(r'meshproxy_connections_opened_total\{.*side="downstream",tls="false"\}')

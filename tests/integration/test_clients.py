"""Clients as people use them: ab, curl, Java's HttpClient."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.load import Server
from tests.fakes.process import Sidecar, started
from tests.fakes.snapshots import service

JAVA = """
import java.net.*;
import java.net.http.*;
import java.net.http.HttpResponse.BodyHandlers;

public class Caller {
    public static void main(String[] arguments) throws Exception {
        URI uri = URI.create(arguments[0]);
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).build();
        for (int n = 0; n < 3; n++) {
            HttpResponse<String> got = client.send(HttpRequest.newBuilder(uri).build(), BodyHandlers.ofString());
            System.out.println(got.statusCode() + " " + got.version() + " " + got.body().contains("h2c"));
        }
        HttpRequest post = HttpRequest.newBuilder(uri)
            .POST(HttpRequest.BodyPublishers.ofString("x".repeat(100_000))).build();
        HttpResponse<String> posted = client.send(post, BodyHandlers.ofString());
        System.out.println(posted.statusCode() + " " + posted.body());
    }
}
"""


class Mirror(Server):
    """Answers a GET with the request's head as it came, and anything else with the size of its body."""

    def _serve(self, sock):
        with sock:
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    piece = sock.recv(65_536)
                    if not piece:
                        return
                    data += piece
                head, _, data = data.partition(b"\r\n\r\n")
                body = head
                if not head.startswith((b"GET", b"HEAD")):
                    length = int(re.search(rb"content-length: (\d+)", head.lower())[1])
                    if b"100-continue" in head:
                        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    while len(data) < length:
                        data += sock.recv(262_144)
                    body, data = b"%d bytes" % length, data[length:]
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    mirror = Mirror(b"")
    # Clients name the sidecar's own address, so that the Host is set apart from where they connect to.
    with started(tmp_path_factory.mktemp("sidecar"), service("echo", [mirror])) as one:
        yield one
    mirror.stop()


def run(*command: str) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout.decode()


def proxy(sidecar: Sidecar) -> str:
    host, port = sidecar.addresses["outbound"]
    return f"{host}:{port}"


@pytest.mark.parametrize("keep", [True, False])
def test_ab_gets_all_its_answers_and_keeps_its_connections(sidecar: Sidecar, keep: bool) -> None:
    flags = ["-k"] if keep else []
    out = run("ab", "-q", *flags, "-n", "300", "-c", "4", "-H", "Host: echo", f"http://{proxy(sidecar)}/a?b=c")
    assert re.search(r"Complete requests:\s+300\n", out)
    assert re.search(r"Failed requests:\s+0\n", out)
    assert "Non-2xx" not in out
    kept = re.search(r"Keep-Alive requests:\s+(\d+)", out)
    assert (int(kept[1]) if kept else 0) == (300 if keep else 0)


def test_curl_uses_the_sidecar_as_its_proxy(sidecar: Sidecar) -> None:
    out = run("curl", "-sS", "--max-time", "10", "--proxy", f"http://{proxy(sidecar)}", "http://echo/a?b=c")
    assert out.startswith("GET /a?b=c HTTP/1.1\r\nHost: echo\r\n")
    assert "proxy-connection" not in out.lower()


@pytest.mark.parametrize("upload", ["--data-binary", "-T"])
def test_curl_sends_a_large_body_with_expect(sidecar: Sidecar, tmp_path: Path, upload: str) -> None:
    (tmp_path / "body").write_bytes(b"x" * 3_000_000)
    path = str(tmp_path / "body")
    out = run(
        "curl", "-sS", "--max-time", "20", "-v", upload, f"@{path}" if upload == "--data-binary" else path,
        "-H", "Host: echo", "-H", "Expect: 100-continue", f"http://{proxy(sidecar)}/",
    )  # fmt: skip
    assert out == "3000000 bytes"


def test_curl_head_and_http_1_0(sidecar: Sidecar) -> None:
    out = run("curl", "-sS", "-I", "--max-time", "10", "-H", "Host: echo", f"http://{proxy(sidecar)}/")
    assert out.startswith("HTTP/1.1 200 OK\r\nContent-Length: ")
    out = run("curl", "-sS", "-0", "-i", "--max-time", "10", "-H", "Host: echo", f"http://{proxy(sidecar)}/")
    assert "connection: close" in out
    assert "GET / HTTP/1.1\r\n" in out


def test_java_offers_h2c_and_gets_http_1_1(tmp_path: Path, sidecar: Sidecar) -> None:
    (tmp_path / "Caller.java").write_text(JAVA)
    # The Host cannot be set by hand there, so the sidecar is called by its address, as an inbound one is.
    mirror = Mirror(b"")
    try:
        flags = ["--inbound", "127.0.0.1:0", "--app", f"{mirror.host}:{mirror.port}"]
        with started(tmp_path, [], *flags) as inbound:
            host, port = inbound.addresses["inbound"]
            out = run(
                "java",
                "-Xshare:auto",
                "-XX:TieredStopAtLevel=1",
                str(tmp_path / "Caller.java"),
                f"http://{host}:{port}/x",
            )
    finally:
        mirror.stop()
    assert out.splitlines() == ["200 HTTP_1_1 false"] * 3 + ["200 100000 bytes"]

"""HTTP/1 at an instance, seen by clients that are not ours."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
from collections.abc import Iterator

import h11
import pytest

from loadtest.origin.http1 import FIELD_BYTES, HEAD_BYTES
from tests.loadtest.origin.running import RUN, Caller, Origins, eventually, serving, text

READ_BYTES = 256 * 1024


@pytest.fixture(scope="module")
def everyone() -> Iterator[Origins]:
    with serving(text(None, echo={"instances": 2}, large={"body": "2MiB"}, empty={"body": "0B"})) as origins:
        yield origins


@pytest.fixture
def origins(everyone: Origins) -> Origins:
    everyone.take(rest=True)
    everyone.cells()
    return everyone


def replies(caller: Caller, methods: list[bytes]) -> list[tuple[int, dict[bytes, bytes], bytes]]:
    """Answers by h11, of a connection that stays."""
    found = []
    connection = h11.Connection(h11.CLIENT)
    for method in methods:
        caller.send(connection.send(h11.Request(method=method, target="/", headers=[("host", "echo")])) or b"")
        caller.send(connection.send(h11.EndOfMessage()) or b"")
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(caller.sock.recv(65_536))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                raise AssertionError(event)
        found.append((head.status_code, dict(head.headers), body))
        connection.start_next_cycle()
    return found


def test_an_answer_says_who_gave_it_and_to_what(origins: Origins) -> None:
    client = http.client.HTTPConnection(*origins.address("echo", 2), timeout=5)
    client.request("GET", "/any?path=1", headers={"X-Request-Id": f"{RUN}-0-9", "x-empty": ""})
    response = client.getresponse()
    assert response.status == 200
    assert response.read() == b"." * 64
    assert response.headers["content-length"] == "64"
    assert response.headers["content-type"] == "text/plain"
    assert response.headers["x-origin"] == "echo-2"
    assert response.headers["x-request-id"] == f"{RUN}-0-9"
    assert not response.will_close
    client.close()
    assert origins.counts() == {f"{RUN}-0-9": (1, 1)}


def test_a_field_without_value_does_not_hide_the_id_behind_it(origins: Origins) -> None:
    with origins.connect() as caller:
        assert caller.get(3, "x-empty:", "x-other: 1") == 200
        caller.send(b"GET / HTTP/1.1\r\nhost: echo\r\nx-empty:\r\nx-request-id: %b-0-4\r\n\r\n" % RUN.encode())
        assert caller.answer()[0].headers["x-request-id"] == f"{RUN}-0-4"
    assert origins.counts() == {f"{RUN}-0-3": (1, 1), f"{RUN}-0-4": (1, 1)}


def test_no_id_is_echoed_when_there_is_none(origins: Origins) -> None:
    with origins.connect() as caller:
        caller.ask()
        assert caller.answer()[0].headers["x-request-id"] is None


def test_a_connection_is_kept_until_it_is_to_end(origins: Origins) -> None:
    with origins.connect() as caller:
        assert [caller.get(number) for number in range(5)] == [200] * 5
        caller.ask(5, "GET", "Connection: close")
        response, _ = caller.answer()
        assert response.headers["connection"] == "close"
        assert caller.read() == b""


@pytest.mark.parametrize(
    ("field", "answered"),
    [("", "close"), ("connection: keep-alive\r\n", "keep-alive"), ("connection: close\r\n", "close")],
)
def test_http_1_0_is_kept_only_if_asked_for(origins: Origins, field: str, answered: str) -> None:
    with origins.connect() as caller:
        caller.send(f"GET / HTTP/1.0\r\n{field}\r\n".encode())
        response, body = caller.answer()
        assert (response.status, response.headers["connection"], len(body)) == (200, answered, 64)
        if answered == "keep-alive":
            assert caller.get() == 200
        else:
            assert caller.read() == b""


def test_head_has_the_length_and_no_body(origins: Origins) -> None:
    with origins.connect() as caller:
        caller.ask(1, "HEAD")
        caller.ask(2, "GET", "connection: close")
        data = caller.read()
    head, _, rest = data.partition(b"\r\n\r\n")
    assert b"content-length: 64" in head
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(("origin", "size"), [("large", 2 * 1024 * 1024), ("empty", 0)])
def test_bodies_have_the_size_of_the_scenario(origins: Origins, origin: str, size: int) -> None:
    with origins.connect(origin) as caller:
        assert [(status, len(body)) for status, _, body in replies(caller, [b"GET", b"GET"])] == [(200, size)] * 2


def test_pipelined_requests_are_answered_in_order(origins: Origins) -> None:
    count = 500
    with origins.connect() as caller:
        for number in range(count):
            caller.ask(number)
        caller.ask(count, "GET", "connection: close")
        ids = [line for line in caller.read().split(b"\r\n") if line.startswith(b"x-request-id")]
    assert ids == [f"x-request-id: {RUN}-0-{number}".encode() for number in range(count + 1)]
    assert origins.counts() == {f"{RUN}-0-{number}": (1, 1) for number in range(count + 1)}


def test_a_client_that_pipelines_and_does_not_read_is_not_read_either(origins: Origins) -> None:
    with origins.connect("large") as caller:
        caller.send(b"GET / HTTP/1.1\r\nhost: large\r\n\r\n" * 300)
        seen = [0, 0]

        def all_received() -> bool:
            for cell in origins.cells():
                seen[0] += cell.received
                seen[1] += cell.executed
            return seen[0] == 300

        eventually(all_received)
        assert 0 < seen[1] < 50  # as much as the buffers of two sockets hold
        left = 300 * 2 * 1024 * 1024
        while left > 0:
            piece = caller.sock.recv(1 << 20)
            assert piece
            left -= len(piece)


@pytest.mark.parametrize("split", [1, 7, 1000])
def test_bodies_are_dropped_whatever_their_framing_and_pieces(origins: Origins, split: int) -> None:
    asked = (
        f"POST / HTTP/1.1\r\nhost: echo\r\nx-request-id: {RUN}-0-1\r\ncontent-length: 10\r\n\r\n0123456789"
        f"POST / HTTP/1.1\r\nhost: echo\r\nx-request-id: {RUN}-0-2\r\ntransfer-encoding: chunked\r\n\r\n"
        f"5;a=b\r\nGET /\r\nA\r\n0123456789\r\n0\r\nx-request-id: {RUN}-0-99\r\n\r\n"
        f"PUT / HTTP/1.1\r\nhost: echo\r\nx-request-id: {RUN}-0-3\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc"
    ).encode()
    with origins.connect() as caller:
        caller.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(asked), split):
            caller.send(asked[at : at + split])
        assert caller.read().count(b"HTTP/1.1 200 OK") == 3
    assert origins.counts() == {f"{RUN}-0-{number}": (1, 1) for number in (1, 2, 3)}


def test_a_large_body_by_curl_is_read_and_answered(origins: Origins) -> None:
    address, port = origins.address()
    shown = ["-sS", "-o", "/dev/null", "-w", "%{http_code}"]
    fields = ["-H", "Expect: 100-continue", "-H", f"x-request-id: {RUN}-0-1"]
    done = subprocess.run(
        ["curl", *shown, *fields, "--data-binary", "@-", f"http://{address}:{port}/"],
        input=b"x" * 3_000_000,
        capture_output=True,
        check=True,
        timeout=20,
    )
    assert done.stdout == b"200"
    assert origins.counts() == {f"{RUN}-0-1": (1, 1)}


def test_who_asks_whether_to_go_on_is_told_so(origins: Origins) -> None:
    with origins.connect() as caller:
        caller.send(b"POST / HTTP/1.1\r\nhost: echo\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        assert caller.sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.send(b"abc")
        assert caller.answer()[0].status == 200


def test_who_asks_so_in_http_1_0_is_not_told(origins: Origins) -> None:
    with origins.connect() as caller:
        caller.send(b"POST / HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        assert caller.is_silent()
        caller.send(b"abc")
        assert caller.read().startswith(b"HTTP/1.1 200 OK\r\n")


def test_who_asks_so_behind_another_request_is_told_when_that_is_answered() -> None:
    with serving(text(None, echo={"service_time": "50ms"})) as origins, origins.connect() as caller:
        caller.ask(1)
        caller.send(b"POST / HTTP/1.1\r\nhost: echo\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        found = b""
        while b"100 Continue\r\n\r\n" not in found:
            piece = caller.sock.recv(65_536)
            assert piece
            found += piece
        assert found.startswith(b"HTTP/1.1 200 OK\r\n")
        caller.send(b"abc")
        assert caller.answer()[0].status == 200
        assert caller.is_silent(0.02)


def test_who_asks_so_and_goes_on_before_is_not_told_any_more() -> None:
    with serving(text(None, echo={"service_time": "100ms"})) as origins, origins.connect() as caller:
        caller.ask(1)
        caller.send(b"POST / HTTP/1.1\r\nhost: echo\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nab")
        assert caller.answer()[0].status == 200
        assert caller.is_silent()
        caller.send(b"c")
        assert caller.answer()[0].status == 200


def test_a_trailer_is_bounded_for_itself(origins: Origins) -> None:
    field = b"x-a: " + b"a" * (HEAD_BYTES // 3 * 2) + b"\r\n"
    with origins.connect() as caller:
        caller.send(b"POST / HTTP/1.1\r\nhost: echo\r\n" + field + b"transfer-encoding: chunked\r\n\r\n")
        caller.send(b"3\r\nabc\r\n0\r\n" + field + b"\r\n")
        assert caller.answer()[0].status == 200


def test_a_request_counts_as_received_before_its_body_is_there_and_as_executed_after(origins: Origins) -> None:
    with origins.connect() as caller:
        caller.ask(1, "POST", "content-length: 3")
        eventually(lambda: origins.counts() == {f"{RUN}-0-1": (1, 0)})
        caller.send(b"abc")
        assert caller.answer()[0].status == 200
    assert origins.counts() == {f"{RUN}-0-1": (0, 1)}


def test_upgrade_is_not_heard(origins: Origins) -> None:
    upgrade = b"GET / HTTP/1.1\r\nhost: echo\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    with origins.connect() as caller:
        caller.send(upgrade * 200 + b"GET / HTTP/1.1\r\nhost: echo\r\nconnection: close\r\n\r\n")
        assert caller.read().count(b"HTTP/1.1 200 OK") == 201


HOSTILE = {
    "garbage": (b"\0\1\2 what is this\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "another version": (b"GET / HTTP/3.7\r\nhost: echo\r\n\r\n", 400),
    "CONNECT": (b"CONNECT echo:80 HTTP/1.1\r\nhost: echo\r\n\r\n", 400),
    "two framings": (b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd", 400),
    "a bad chunk": (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
    "a space before a colon": (b"GET / HTTP/1.1\r\nx-a : 1\r\n\r\n", 400),
    "a long field": (b"GET / HTTP/1.1\r\nx-a: " + b"a" * HEAD_BYTES + b"\r\n\r\n", 431),
    "many fields": (b"GET / HTTP/1.1\r\n" + b"a:\r\n" * (HEAD_BYTES // FIELD_BYTES) + b"\r\n", 431),
    "a target without end": (b"GET /" + b"a" * (HEAD_BYTES + 2 * READ_BYTES), 431),
    "a field without end": (b"GET / HTTP/1.1\r\nx-a: " + b"a" * (HEAD_BYTES + 2 * READ_BYTES), 431),
    "a trailer without end": (
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-a: " + b"a" * (HEAD_BYTES + 2 * READ_BYTES),
        431,
    ),
    "a trailer of many bytes": (
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
        + (b"x-a: " + b"a" * (HEAD_BYTES // 3 * 2) + b"\r\n") * 3
        + b"\r\n",
        431,
    ),
    "an extension without end": (
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;" + b"a" * (HEAD_BYTES + 2 * READ_BYTES),
        431,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_request_is_answered_so_and_closed(origins: Origins, name: str) -> None:
    data, status = HOSTILE[name]
    with origins.connect() as caller:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            caller.send(data)
        response, body = caller.answer()
        assert (response.status, response.headers["connection"], body) == (status, "close", b"")
    assert sum(cell.executed for cell in origins.cells()) == 0
    with origins.connect() as caller:
        assert caller.get() == 200


def test_what_was_asked_before_garbage_is_answered_first() -> None:
    with serving(text(None, echo={"service_time": "30ms"})) as origins, origins.connect() as caller:
        caller.ask(1)
        caller.send(b"garbage\r\n\r\n")
        data = caller.read()
        assert data.index(b"200 OK") < data.index(b"400 Bad Request")
        assert origins.counts() == {f"{RUN}-0-1": (1, 1)}


def test_what_comes_behind_a_last_request_is_ignored(origins: Origins) -> None:
    with origins.connect() as caller:
        caller.send(
            b"GET / HTTP/1.1\r\nhost: echo\r\nconnection: close\r\n\r\n"
            b"GET / HTTP/1.1\r\nhost: echo\r\nx-request-id: %b-0-1\r\n\r\n" % RUN.encode()
        )
        assert caller.read().count(b"HTTP/1.1") == 1
    assert origins.counts() == {}


def test_requests_without_an_id_of_the_run_are_unknown(origins: Origins) -> None:
    origins.unknown()
    with origins.connect() as caller:
        for value in ("other-0-1", f"{RUN}-0-x", "1"):
            assert caller.get(None, f"x-request-id: {value}") == 200
        assert caller.get() == 200
        assert caller.get(7) == 200
    assert origins.unknown() == 4
    assert origins.unknown() == 0


def test_nothing_but_ids_is_counted_before_the_run_begins() -> None:
    with serving(text([{"status": 503}]), None) as origins, origins.connect() as caller:
        assert caller.get() == 200
        assert caller.get(1) == 200
        assert origins.cells() == []
        assert origins.unknown() == 0
        assert origins.counts() == {f"{RUN}-0-1": (1, 1)}
        origins.start()
        assert caller.get() == 503
        (cell,) = origins.cells()
        assert (cell.bin, cell.received, cell.executed, cell.answers, cell.faults) == (
            0,
            1,
            0,
            {"503": 1},
            {"status": 1},
        )

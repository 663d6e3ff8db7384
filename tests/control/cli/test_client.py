"""The REST API as meshctl speaks it, against a scripted server."""

import json
import socket
import ssl
from itertools import chain, repeat

import pytest

from control.cli.client import APPLY_MEDIA, MERGE_MEDIA, Client, place_of
from control.cli.credential import Credential, find_credential
from control.cli.failure import ApiError, Failure, Unreachable
from control.model.kinds import HTTP_ROUTE, SERVICE
from tests.fakes.pki import make_ca, make_identity
from tests.fakes.scripted import Reply, scripted

TOKEN = Credential("sesame", "/a/token")


def status(code, message="no", reason="Bad", **details):
    document = {"kind": "Status", "message": message, "reason": reason, "code": code, "details": details}
    return Reply(code, json.dumps(document).encode())


@pytest.fixture
def client_of():
    clients = []

    def make(server, credential=TOKEN, timeout_s=10.0):
        clients.append(Client(server.url, credential, timeout_s))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_one_connection_serves_many_requests_and_shows_the_token(client_of):
    with scripted(lambda asked: Reply(201 if asked.method == "PATCH" else 200, b'{"a": 1}')) as server:
        client = client_of(server)
        assert client.get("/x", a="b c") == {"a": 1}
        assert client.patch("/x", {"b": 2}, MERGE_MEDIA, fieldManager="meshctl") == ({"a": 1}, True)
        client.delete("/x")
        assert client.text("/x") == '{"a": 1}'
        client.close()
        assert server.connections == 1
    assert [asked.target for asked in server.asked] == ["/x?a=b+c", "/x?fieldManager=meshctl", "/x", "/x"]
    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer sesame"}
    assert server.asked[1].headers["content-type"] == MERGE_MEDIA
    assert json.loads(server.asked[1].body) == {"b": 2}


def test_paths_are_those_of_kubernetes():
    assert place_of(SERVICE) == "/api/v1/services"
    assert place_of(HTTP_ROUTE, "shop", "a/../b") == (
        "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/a%2F..%2Fb"
    )
    assert place_of(HTTP_ROUTE, "shop", "a", "v1beta1").startswith("/apis/gateway.networking.k8s.io/v1beta1/")


def test_a_refusal_is_told_with_its_reason_and_the_causes_that_the_message_leaves_out(client_of):
    causes = [{"field": "spec.x", "message": "is odd"}, {"field": "spec.y", "message": "told"}]
    with scripted(lambda _: status(422, "invalid: told", "Invalid", causes=causes)) as server:
        with pytest.raises(ApiError) as caught:
            client_of(server).get("/x")
        assert str(caught.value) == "Error from server (Invalid): invalid: told\n  spec.x: is odd"
        assert (caught.value.code, caught.value.reason) == (422, "Invalid")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"\xff", b'{"message": null}'])
def test_a_refusal_without_a_status_is_told_as_well(body, client_of):
    with scripted(lambda _: Reply(502, body)) as server, pytest.raises(ApiError, match=r"Bad Gateway.*502"):
        client_of(server).get("/x")


def test_a_refused_token_is_told_with_where_it_came_from_and_never_itself(client_of):
    with scripted(lambda _: status(401, "Unauthorized", "Unauthorized")) as server:
        with pytest.raises(ApiError, match="the token from /a/token was refused") as caught:
            client_of(server).get("/x")
        assert "sesame" not in str(caught.value)
        with pytest.raises(ApiError, match=r"there is no token: looked for MESHCTL_TOKEN, --token-file and /b"):
            client_of(server, Credential("", "/b")).get("/x")


def test_nobody_listening_is_told_with_what_to_do():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Unreachable, match=f"(?s)cannot connect.*{url}: Connection refused.*meshcontrol run"):
            Client(url, TOKEN).get("/x")


def test_silence_ends_in_a_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", TOKEN, 0.05)
        with pytest.raises(Unreachable, match=r"did not answer within 0\.05 s"):
            client.get("/x")


def test_what_asks_for_patience_gets_it(client_of):
    replies = chain(repeat(status(429)._replace(headers={"Retry-After": "0"}), 3), repeat(Reply()))
    with scripted(lambda _: next(replies)) as server:
        assert client_of(server).get("/x") == {}
        assert len(server.asked) == 4


def test_patience_has_an_end(client_of):
    reply = status(429, "too many", "TooManyRequests")._replace(headers={"Retry-After": "3600"})
    with scripted(lambda _: reply) as server, pytest.raises(ApiError, match="too many"):
        client_of(server).get("/x")


@pytest.mark.parametrize(("method", "repeated"), [("get", True), ("apply", True), ("merge", False), ("delete", False)])
def test_on_a_kept_connection_that_broke_only_what_may_be_repeated_is(method, repeated, client_of):
    replies = iter([Reply(), Reply(cut=True), Reply()])
    with scripted(lambda _: next(replies)) as server:
        client = client_of(server)
        client.get("/first")
        calls = {
            "get": lambda: client.get("/x"),
            "apply": lambda: client.patch("/x", {}, APPLY_MEDIA),
            "merge": lambda: client.patch("/x", {}, MERGE_MEDIA),
            "delete": lambda: client.delete("/x"),
        }
        if repeated:
            calls[method]()
        else:
            with pytest.raises(Unreachable, match="broke the connection off"):
                calls[method]()
        assert len(server.asked) == (3 if repeated else 2)


def test_an_answer_that_is_no_json_is_an_error(client_of):
    with scripted(lambda _: Reply(body=b"<html>")) as server, pytest.raises(Failure, match="not understood"):
        client_of(server).get("/x")


def chunked(*lines):
    body = b"".join(b"%x\r\n%b\r\n" % (len(line), line) for line in lines) + b"0\r\n\r\n"
    return Reply(body=body, headers={"transfer-encoding": "chunked"})


def test_a_watch_yields_events_until_it_ends(client_of):
    with scripted(lambda _: chunked(b'{"a": 1}\n{"a"', b": 2}\n")) as server:
        assert list(client_of(server).watch("/x", resourceVersion="5")) == [{"a": 1}, {"a": 2}]
    for part in ("watch=1", "resourceVersion=5", "allowWatchBookmarks=true", "timeoutSeconds="):
        assert part in server.asked[0].target


def test_a_watch_that_is_refused_or_cut_off_is_an_error(client_of):
    with scripted(lambda _: status(410, "too old", "Expired")) as server, pytest.raises(ApiError, match="too old"):
        list(client_of(server).watch("/x"))
    with scripted(lambda _: Reply(body=b'{"a": 1}\n{"a"')) as server, pytest.raises(Failure, match="cut off"):
        list(client_of(server).watch("/x"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:15010", "is no address"),
        ("ftp://127.0.0.1", "is no address"),
        ("http://user:secret@127.0.0.1", "is no address"),
        ("http://127.0.0.1:port", "Port"),
        ("http://[::1", "IPv6"),
        ("http://mesh.example.org:15010", "plain text"),
        ("http://10.0.0.1", "plain text"),
    ],
)
def test_an_address_that_cannot_be_right_is_refused_before_the_token_travels(url, message):
    with pytest.raises(Failure, match=message):
        Client(url, TOKEN)


@pytest.mark.parametrize("url", ["http://localhost:1", "http://[::1]:1/prefix", "https://mesh.example.org"])
def test_loopback_may_be_plain_and_others_encrypted(url):
    Client(url, TOKEN).close()


def test_an_encrypted_control_plane_must_be_the_one_it_says(client_of, tmp_path, monkeypatch):
    ca = make_ca()
    identity = make_identity(tmp_path, [], ca, dns=["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity / "tls.crt", identity / "tls.key")
    with scripted(lambda _: Reply(body=b'{"a": 1}'), context) as server:
        with pytest.raises(Unreachable, match=r"(?s)certificate.*SSL_CERT_FILE"):
            client_of(server).get("/x")
        assert server.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(identity / "ca.crt"))
        assert client_of(server).get("/x") == {"a": 1}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MESHCTL_TOKEN", raising=False)
    monkeypatch.delenv("MESHCONTROL_DATA_DIR", raising=False)
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_token_is_looked_for_in_this_order(home, monkeypatch):
    default = home / ".local/share/meshproxy/token"
    assert find_credential(None) == ("", f"{default}, which is not there")
    write(default, "of-default\n")
    assert find_credential(None) == ("of-default", str(default))
    theirs = write(home / "data" / "token", "of-data")
    monkeypatch.setenv("MESHCONTROL_DATA_DIR", str(home / "data"))
    assert find_credential(None) == ("of-data", str(theirs))
    monkeypatch.setenv("MESHCTL_TOKEN", "of-environment")
    assert find_credential(None) == ("of-environment", "MESHCTL_TOKEN")
    file = write(home / "file", "of-file\n")
    assert find_credential(file) == ("of-file", str(file))


def test_a_data_directory_that_cannot_be_looked_into_is_told(monkeypatch):
    monkeypatch.delenv("MESHCTL_TOKEN", raising=False)
    # Somebody else's directory fails in the same way, but not for everybody who may run this.
    monkeypatch.setenv("MESHCONTROL_DATA_DIR", "/" + "x" * 300)
    with pytest.raises(Failure, match="File name too long; name another by --token-file"):
        find_credential(None)


@pytest.mark.parametrize("text", ["", "\n", "a b", "a\nb", "ä", "x" * 20_000])
def test_a_token_that_cannot_stand_in_a_header_is_refused_and_not_shown(home, text):
    file = write(home / "file", text)
    with pytest.raises(Failure, match=r"is empty|holds no token") as caught:
        find_credential(file)
    assert "a b" not in str(caught.value)


def test_a_token_file_that_cannot_be_read_is_an_error(home):
    with pytest.raises(Failure, match="No such file"):
        find_credential(home / "none")

"""The WebSocket itself: frames as they may come, TLS, and an other end that does not do its part."""

import ssl
import struct

import pytest

from meshproxy.discovery import stream as subject
from meshproxy.discovery.stream import StreamClosed, open_stream
from tests.fakes.loop import on_uvloop, passed, until
from tests.fakes.pki import issue, make_ca
from tests.fakes.pusher import Pusher, pushing

TEXT, CONT, BINARY, PING = 0x1, 0x0, 0x2, 0x9


def frame(opcode, payload, fin=True):
    size = struct.pack("!B", len(payload)) if len(payload) < 126 else struct.pack("!BH", 126, len(payload))
    return bytes([opcode | (0x80 if fin else 0)]) + size + payload


class End:
    """An open stream, and the transport of its other end."""

    def __init__(self, control):
        self.control = control
        self.stream = None
        self.events = 0

    async def open(self, tls=None):
        self.stream = await open_stream(self.control.url, tls, self.on_event)
        await until(lambda: self.control.lines)
        return self

    def on_event(self):
        self.events += 1

    @property
    def other(self):
        return self.control.line.socket._req.transport

    async def close(self):
        self.stream.close(1000, "done")
        await self.stream.closed.wait()


@on_uvloop
async def test_messages_go_both_ways():
    async with pushing() as control:
        end = await End(control).open()
        await control.line.socket.send_str("hällo")
        await until(lambda: end.stream.messages)
        assert end.stream.receive() == "hällo".encode()
        end.stream.send(b'{"type":"unsubscribe","names":["a"]}')
        await until(lambda: control.line.received)
        await end.close()
        end.stream.send(b"too late")
        assert control.line.socket.close_code == 1000


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_message_in_any_number_of_frames_and_reads_is_one(cut):
    @on_uvloop
    async def run():
        async with pushing() as control:
            end = await End(control).open()
            wire = b"".join(
                [
                    frame(TEXT, b"on", fin=False),
                    frame(PING, b"between"),
                    frame(CONT, b"", fin=False),
                    frame(CONT, b"e", fin=True),
                    frame(TEXT, b"two"),
                    frame(TEXT, b""),
                ]
            )
            for at in range(0, len(wire), cut):
                end.other.write(wire[at : at + cut])
            await until(lambda: len(end.stream.messages) == 3)
            assert [end.stream.receive() for _ in range(3)] == [b"one", b"two", b""]
            await end.close()

    run()


@pytest.mark.parametrize(
    "wire",
    [
        frame(BINARY, b"x"),
        frame(CONT, b"x"),
        frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"),
        frame(PING, b"x" * 126),
        b"\xf1\x01x",  # a reserved bit
        b"\x83\x01x",  # a reserved opcode
        b"\x81\x81maskx",  # masked
        b"\x81\x7f" + struct.pack("!Q", 1 << 40),
        frame(TEXT, b"x" * 900, fin=False) + frame(CONT, b"x" * 200),
    ],
)
def test_what_the_protocol_forbids_ends_the_stream(wire, monkeypatch):
    @on_uvloop
    async def run():
        monkeypatch.setattr(subject, "MAX_FRAME_BYTES", 1000)
        async with pushing() as control:
            end = await End(control).open()
            end.other.write(wire)
            await end.stream.closed.wait()
            assert end.stream.ended
            assert not end.stream.messages
            assert end.events

    run()


@on_uvloop
async def test_an_end_that_does_not_close_in_turn_is_cut(monkeypatch):
    monkeypatch.setattr(subject, "CLOSE_S", 0.05)
    async with pushing() as control:
        end = await End(control).open()
        end.other.pause_reading()
        await end.close()
        assert end.stream.ended == "done"
        end.other.resume_reading()


@on_uvloop
async def test_an_end_that_stops_reading_is_given_up(monkeypatch):
    monkeypatch.setattr(subject, "PING_S", 0.05)
    monkeypatch.setattr(subject, "SILENT_S", 0.2)
    async with pushing() as control:
        end = await End(control).open()
        end.other.pause_reading()
        for _ in range(20):
            end.stream.send(b"x" * 1_000_000)
        assert end.stream.is_stuck
        await end.stream.closed.wait()
        assert end.stream.ended == "nothing was heard for 0.2 s"
        end.other.resume_reading()


@on_uvloop
async def test_our_own_slowness_is_no_silence_of_the_other_end(monkeypatch):
    monkeypatch.setattr(subject, "PING_S", 0.02)
    monkeypatch.setattr(subject, "SILENT_S", 0.06)
    monkeypatch.setattr(subject, "INBOX_BYTES", 100)
    async with pushing() as control:
        end = await End(control).open()
        await control.line.socket.send_str("x" * 101)
        await until(lambda: end.stream.messages)
        await passed(0.2)
        assert end.stream.is_open
        end.stream.receive()
        await control.line.socket.send_str("more")
        await until(lambda: end.stream.messages)
        await end.close()


@on_uvloop
async def test_messages_of_no_length_are_bounded_as_well(monkeypatch):
    monkeypatch.setattr(subject, "INBOX_BYTES", 10_000)
    async with pushing() as control:
        end = await End(control).open()
        for _ in range(200):
            end.other.write(frame(TEXT, b"") * 1_000)
        await until(lambda: end.stream._is_full)
        await passed(0.05)
        # What one read has brought is kept.
        assert len(end.stream.messages) < 150_000
        while end.stream.messages or end.stream._is_full:
            end.stream.receive()
            if not end.stream.messages:
                await passed(0.01)
        assert end.stream._inbox_bytes == 0
        await end.close()


@on_uvloop
async def test_nobody_there_is_told():
    control = Pusher()
    await control.start()
    await control.stop()
    with pytest.raises(StreamClosed, match="refused"):
        await End(control).open()


@pytest.fixture(scope="module")
def ca():
    return make_ca()


def server_context(ca, place, name):
    certificate, key = issue([], ca, dns=[name])
    (place / "tls.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "tls.pem")
    return context


def client_context(ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ca.pem.decode())
    return context


def test_a_control_plane_is_known_by_its_name(ca, tmp_path):
    @on_uvloop
    async def run():
        control = Pusher()
        await control.start(server_context(ca, tmp_path, "localhost"))
        end = await End(control).open(client_context(ca))
        assert end.control.url.startswith("wss://localhost:")
        await end.close()
        await control.stop()

    run()


@pytest.mark.parametrize("flaw", ["name", "authority", "none", "unchecked"])
def test_whoever_is_not_the_control_plane_is_not_talked_to(flaw, ca, tmp_path):
    @on_uvloop
    async def run():
        control = Pusher()
        await control.start(server_context(ca, tmp_path, "elsewhere" if flaw == "name" else "localhost"))
        tls = client_context(make_ca() if flaw == "authority" else ca)
        if flaw == "unchecked":
            tls.check_hostname = False
        with pytest.raises(StreamClosed):
            await End(control).open(None if flaw == "none" else tls)
        assert control.lines == []
        await control.stop()

    run()

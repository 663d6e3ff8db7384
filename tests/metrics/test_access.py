from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.kit.stamp import stamp
from meshproxy.metrics.access import ENCODERS, MAX_PATH_CHARS, clean, encode_json, encode_text, line_of

RAW = {
    "wall_s": 1_700_000_000.125,
    "direction": "outbound",
    "service": "demo/echo:80",
    "route": "demo/echo/0",
    "backend": "demo/echo-v1:80",
    "endpoint": "10.0.0.1:80",
    "method": b"GET",
    "target": b"/a/b?token=s3cret",
    "status": 200,
    "fault": "",
    "detail": "",
    "duration_s": 0.0123456789,
    "first_byte_s": 0.01,
    "attempts": 2,
    "sent_bytes": 0,
    "received_bytes": 66,
    "request_id": b"0af7",
    "peer": "spiffe://cluster.local/ns/demo/sa/echo",
    "user_agent": b"curl/8.0",
}


def test_a_json_line_is_one_object_with_every_field():
    line = encode_json(line_of(**RAW))
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.125Z",
        "direction": "outbound",
        "service": "demo/echo:80",
        "route": "demo/echo/0",
        "backend": "demo/echo-v1:80",
        "endpoint": "10.0.0.1:80",
        "method": "GET",
        "path": "/a/b",
        "status": 200,
        "fault": "",
        "detail": "",
        "duration_s": 0.012346,
        "first_byte_s": 0.01,
        "attempts": 2,
        "sent_bytes": 0,
        "received_bytes": 66,
        "request_id": "0af7",
        "peer": "spiffe://cluster.local/ns/demo/sa/echo",
        "user_agent": "curl/8.0",
    }


def test_a_text_line_leaves_out_what_is_empty_and_quotes_what_has_spaces():
    line = encode_text(line_of(**(RAW | {"user_agent": b'a "b" c=d', "first_byte_s": -1.0, "endpoint": ""}))).decode()
    assert line.startswith("2023-11-14T22:13:20.125Z direction=outbound service=demo/echo:80 ")
    assert line.endswith(' user_agent="a \\"b\\" c=d"\n')
    assert "endpoint=" not in line
    assert "first_byte_s=" not in line
    assert "sent_bytes=0 " in line


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
def test_a_query_is_never_written(encode):
    assert b"s3cret" not in encode(line_of(**RAW))


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@given(
    target=st.binary(max_size=400), agent=st.binary(max_size=300), request_id=st.binary(max_size=300), detail=st.text()
)
def test_nothing_a_stranger_sends_breaks_the_line_or_acts_on_a_terminal(encode, target, agent, request_id, detail):
    line = encode(
        line_of(**(RAW | {"target": target, "user_agent": agent, "request_id": request_id, "detail": detail}))
    )
    text = line.decode()
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    assert len(line) < 12_000


@given(st.binary(max_size=2000), st.integers(1, 300))
def test_clean_is_bounded(raw, limit):
    assert len(clean(raw, limit)) <= limit + 1


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"/plain-1.0_~", "/plain-1.0_~"),
        ("/grün".encode(), "/grün"),
        (b"/\xff", "/\\xff"),
        (b"/\x1b[2J\r\n", "/\\x1b[2J\\r\\n"),
        ("/\u202eabc".encode(), "/\\u202eabc"),
        (b"a" * (MAX_PATH_CHARS + 1), "a" * MAX_PATH_CHARS + "…"),
    ],
)
def test_clean_escapes_what_is_not_printable(raw, text):
    assert clean(raw, MAX_PATH_CHARS) == text


@given(st.floats(0, 4e9))
def test_a_stamp_is_rfc_3339_to_the_millisecond(wall_s):
    read = datetime.fromisoformat(stamp(wall_s))
    assert read.tzinfo == UTC
    assert abs(read.timestamp() - wall_s) <= 0.0011

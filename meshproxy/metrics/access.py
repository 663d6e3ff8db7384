"""The access log: one line for each exchange, as JSON or as `key=value` text. Off by default.

What may hold a secret is not written: no query (tokens travel there), no header but the request id and the user agent.
Everything a stranger chose is bounded, and stripped of characters that act on a terminal.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from meshproxy.kit.stamp import stamp

MAX_PATH_CHARS = 256
MAX_TEXT_CHARS = 128

_encode_json = msgspec.json.Encoder().encode


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange. `fault` and `detail` are empty when it went well; `first_byte_s` is null when nothing came."""

    time: str  # RFC 3339 in UTC: when the exchange ended
    direction: str
    service: str
    route: str
    backend: str
    endpoint: str  # address and port of the last attempt; empty if there was none
    method: str
    path: str  # without the query
    status: int
    fault: str
    detail: str
    duration_s: float
    first_byte_s: float | None
    attempts: int
    sent_bytes: int
    received_bytes: int
    request_id: str
    peer: str
    user_agent: str


def line_of(
    *,
    wall_s: float,
    direction: str,
    service: str,
    route: str,
    backend: str,
    endpoint: str,
    method: bytes,
    target: bytes,
    status: int,
    fault: str,
    detail: str,
    duration_s: float,
    first_byte_s: float,
    attempts: int,
    sent_bytes: int,
    received_bytes: int,
    request_id: bytes,
    peer: str,
    user_agent: bytes,
) -> Line:
    """Make a line of raw values: `wall_s` is Unix time, `target` may have a query, `first_byte_s` may be negative."""
    return Line(
        time=stamp(wall_s),
        direction=direction,
        service=service,
        route=route,
        backend=backend,
        endpoint=endpoint,
        method=clean(method, MAX_TEXT_CHARS),
        path=clean(target.partition(b"?")[0], MAX_PATH_CHARS),
        status=status,
        fault=fault,
        detail=clean(detail.encode(), MAX_PATH_CHARS),
        duration_s=round(duration_s, 6),
        first_byte_s=round(first_byte_s, 6) if first_byte_s >= 0.0 else None,
        attempts=attempts,
        sent_bytes=sent_bytes,
        received_bytes=received_bytes,
        request_id=clean(request_id, MAX_TEXT_CHARS),
        peer=peer,
        user_agent=clean(user_agent, MAX_TEXT_CHARS),
    )


def clean(raw: bytes, limit: int) -> str:
    """Text of at most `limit` characters (and an ellipsis); what is not printable is written as an escape.

    A backslash that was sent stays one, so an escape may be ambiguous, but never acts.
    """
    text = raw[: 4 * limit].decode(errors="backslashreplace")
    if not text.isprintable():
        text = "".join([char if char.isprintable() else char.encode("unicode_escape").decode() for char in text])
    return text if len(text) <= limit else text[:limit] + "…"


def encode_json(line: Line) -> bytes:
    """One JSON object and a line feed."""
    return _encode_json(line) + b"\n"


def encode_text(line: Line) -> bytes:
    """`time key=value ...`: empty values left out, values with space, quote or equals sign written as JSON strings."""
    pairs = [(name, getattr(line, name)) for name in line.__struct_fields__[1:]]
    text = " ".join([f"{name}={_plain(value)}" for name, value in pairs if value != "" and value is not None])
    return f"{line.time} {text}\n".encode()


def _plain(value: object) -> str:
    text = str(value)
    if isinstance(value, str) and any(char in text for char in ' "='):
        return _encode_json(text).decode()
    return text


ENCODERS: dict[str, Callable[[Line], bytes]] = {"json": encode_json, "text": encode_text}
"""By the words of `--access-log`; `off` has none."""

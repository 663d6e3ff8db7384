"""Reports in slices: the configuration in use, the endpoints, the vocabulary of faults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from meshproxy.admin.view import EndpointRow
from meshproxy.faults import FAULTS
from meshproxy.metrics.exposition import cut
from meshproxy.wire.resources import SCHEMA, Endpoints
from meshproxy.wire.snapshot import Entry

_encode = msgspec.json.Encoder().encode

_COLUMNS = (
    ("ADDRESS", 22),
    ("STATE", 12),
    ("INFLIGHT", 8),
    ("EWMA MS", 9),
    ("FAILURES", 8),
    ("EJECTED FOR", 11),
    ("IDENTITY", 0),
)


def config_json(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The form of a snapshot file: `{"schema", "resources": [{"name", "version", "resource"}]}`, a resource a line."""
    return cut(_array(f'{{"schema":{SCHEMA},"resources":[', map(_entry, entries), "]}\n"))


def endpoints_json(rows: Iterable[EndpointRow]) -> Iterator[bytes]:
    """`{"endpoints": [EndpointRow]}`, an endpoint a line."""
    return cut(_array('{"endpoints":[', ((_json(row),) for row in rows), "]}\n"))


def endpoints_text(rows: Iterable[EndpointRow]) -> Iterator[bytes]:
    """A table for each backend."""
    return cut(_table(rows))


def stream_json(state: dict[str, object]) -> bytes:
    """`{"source", ...}`: what the source tells of itself."""
    return _encode(state) + b"\n"


def plain(value: object) -> str:
    """One of these values for a reader at a terminal."""
    return ", ".join(map(str, value)) or "-" if isinstance(value, list) else "-" if value in ("", None) else str(value)


def faults_json() -> bytes:
    """`{"faults": [{"word", "status", "error", "side", "meaning", "advice"}]}`."""
    faults = [
        {
            "word": fault.word,
            "status": fault.status,
            "error": fault.error,
            "side": fault.side.value,
            "meaning": fault.meaning,
            "advice": fault.advice,
        }
        for fault in FAULTS.values()
    ]
    return _encode({"faults": faults}) + b"\n"


def _json(value: object) -> str:
    return _encode(value).decode()


def _array(start: str, elements: Iterable[Iterable[str]], end: str) -> Iterator[str]:
    """A JSON array whose elements come in pieces, on a line each."""
    yield start
    separator = "\n"
    for element in elements:
        yield separator
        yield from element
        separator = ",\n"
    yield "\n" + end


def _entry(entry: Entry) -> Iterator[str]:
    resource = entry.resource
    if not isinstance(resource, Endpoints):
        yield _json(entry)
        return
    # The one resource without a practical bound: thousands of endpoints, encoded at once, would hold up the loop.
    consumer = f'"consumer":{_json(entry.consumer)},' if entry.consumer else ""
    yield f'{{"name":{_json(entry.name)},"version":{_json(entry.version)},{consumer}"resource":{{"endpoints":['
    separator = ""
    for endpoint in resource.endpoints:
        yield separator + _json(endpoint)
        separator = ","
    yield "]}}"


def _table(rows: Iterable[EndpointRow]) -> Iterator[str]:
    backend = ""
    for row in rows:
        if row.backend != backend:
            yield f"{backend and chr(10)}{row.backend}\n{_line([name for name, _ in _COLUMNS])}"
            backend = row.backend
        ejected = f"{row.ejected_for_s:.1f} s" if row.ejected_for_s > 0 else "-"
        yield _line(
            [
                row.address,
                row.state,
                str(row.inflight),
                f"{row.ewma_ms:.2f}",
                str(row.failures),
                ejected,
                row.identity or "-",
            ]
        )
    if not backend:
        yield "no endpoints\n"


def _line(cells: list[str]) -> str:
    padded = [cell.ljust(width) for cell, (_, width) in zip(cells, _COLUMNS, strict=True)]
    return "  " + "  ".join(padded).rstrip() + "\n"

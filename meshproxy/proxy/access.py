"""From a finished exchange to its line in the access log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from meshproxy.metrics.access import ENCODERS, line_of
from meshproxy.metrics.sink import Sink
from meshproxy.policy.message import value_of
from meshproxy.wire.address import format_place

if TYPE_CHECKING:
    from meshproxy.proxy.exchange import Exchange


class AccessLog:
    """Writes one line for each exchange to a sink. `form` is json or text."""

    __slots__ = ("_encode", "_sink")

    def __init__(self, sink: Sink, form: str) -> None:
        self._sink = sink
        self._encode = ENCODERS[form]

    def write(self, exchange: Exchange) -> None:
        head = exchange.head
        lane = exchange.lane
        spec = exchange.last_endpoint
        line = line_of(
            wall_s=time.time(),
            direction=exchange.stack.direction,
            service=lane.service,
            route=lane.route,
            backend=lane.backend.name if lane.backend is not None else "",
            endpoint=format_place((spec.address, spec.port)) if spec is not None else "",
            method=head.line.method,
            target=head.line.target,
            status=exchange.status,
            fault=exchange.fault.word if exchange.fault is not None else "",
            detail=exchange.detail,
            duration_s=exchange.now - exchange.started_at,
            first_byte_s=exchange.first_byte_s,
            attempts=exchange.attempts,
            sent_bytes=exchange.sent_bytes,
            received_bytes=exchange.received_bytes,
            request_id=exchange.request_id,
            peer=exchange.port.peer,
            user_agent=value_of(head.fields, b"user-agent"),
        )
        self._sink.write(self._encode(line))

"""What an exchange asks of its client's side, whatever protocol is spoken there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from meshproxy.kit.wheel import Timer
    from meshproxy.policy.message import Field, ResponseHead


class Port(Protocol):
    """The downstream side of an exchange: an HTTP/1 connection, or one HTTP/2 stream."""

    timer: Timer
    peer: str
    forwarded: bytes
    is_writable: bool

    def respond(self, head: ResponseHead, data: bytes, is_end: bool) -> None: ...
    def interim(self, head: ResponseHead) -> None: ...
    def upgrade(self, head: ResponseHead) -> bytes:
        """Send the 101 and turn into a tunnel; returns what the client has sent beyond its request."""

    def send_data(self, data: bytes) -> None: ...
    def send_end(self, data: bytes, trailers: list[Field]) -> None: ...
    def send_eof(self) -> bool:
        """End our half of a tunnel; whether the connection can do that and stay open."""

    def abort(self) -> None:
        """Cut the response short so that the client can tell."""

    def pause_request(self) -> None: ...
    def resume_request(self) -> None: ...
    def on_finished(self, now: float) -> None:
        """The exchange is over; the port may begin the next."""

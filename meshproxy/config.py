"""Bootstrap settings: what a sidecar is told when it starts, validated once. The rest comes by snapshot or stream."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from meshproxy.wire.address import format_place, parse_place

Address: TypeAlias = tuple[str, int]

OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
ADMIN_PORT = 15000
HEALTH_PORT = 15020
PUSH_PORT = 15012

ACCESS_LOGS = ("off", "json", "text")
LOG_LEVELS = ("debug", "info", "warning", "error")
MAX_DRAIN_S = 3600.0
MAX_CONTROL = 16
MAX_WORKERS = 64

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class SettingsError(ValueError):
    """A setting that cannot be used: the text names the flag and what is allowed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One sidecar's settings. Addresses are (IP literal, port).

    Configuration comes from `snapshot` or from one of `control`: ws[s]://HOST:PORT without anything behind.
    """

    snapshot: Path | None
    namespace: str
    service_account: str
    workload: str
    admin: Address
    outbound: Address | None = None
    inbound: Address | None = None
    app: Address | None = None
    health: Address | None = None
    identity_dir: Path | None = None
    cluster_domain: str = "cluster.local"
    access_log: str = "off"
    log_level: str = "info"
    drain_s: float = 30.0
    control: tuple[str, ...] = ()
    state_dir: Path | None = None
    workers: int = 1

    def check(self) -> None:
        """Raise SettingsError for what does not fit together."""
        if self.outbound is None and self.inbound is None:
            raise SettingsError("give at least one of --outbound and --inbound")
        if self.inbound is not None and self.app is None:
            raise SettingsError("--inbound needs --app, the application's own address")
        if self.app is not None and self.inbound is None:
            raise SettingsError("--app is of use only with --inbound")
        for flag, address in (("--outbound", self.outbound), ("--admin", self.admin)):
            if address is not None and not ipaddress.ip_address(address[0]).is_loopback:
                raise SettingsError(f"{flag} {format_place(address)}: only a loopback address is allowed")
        self._check_source()
        self._check_words()
        self._check_collisions()

    def _check_words(self) -> None:
        for flag, value in (("--namespace", self.namespace), ("--service-account", self.service_account)):
            pattern = _LABEL if flag == "--namespace" else _NAME
            if not pattern.fullmatch(value):
                raise SettingsError(f"{flag} {value!r}: lower-case letters, digits and dashes are allowed")
        for flag, value in (("--workload", self.workload), ("--cluster-domain", self.cluster_domain)):
            if not _NAME.fullmatch(value):
                raise SettingsError(f"{flag} {value!r}: lower-case letters, digits, dashes and dots are allowed")
        for flag, value, words in (
            ("--access-log", self.access_log, ACCESS_LOGS),
            ("--log-level", self.log_level, LOG_LEVELS),
        ):
            if value not in words:
                raise SettingsError(f"{flag} {value!r}: allowed are {', '.join(words)}")
        if not 0.0 <= self.drain_s <= MAX_DRAIN_S:
            raise SettingsError(f"--drain-s {self.drain_s:g}: 0 to {MAX_DRAIN_S:g} seconds are allowed")
        if not 1 <= self.workers <= MAX_WORKERS:
            raise SettingsError(f"--workers {self.workers}: 1 to {MAX_WORKERS} are allowed")

    def _check_source(self) -> None:
        if (self.snapshot is None) == (not self.control):
            raise SettingsError("give one of --snapshot and --control: the configuration comes from there")
        if self.state_dir is not None and not self.control:
            raise SettingsError("--state-dir is of use only with --control")
        if len(self.control) > MAX_CONTROL:
            raise SettingsError(f"--control is given {len(self.control)} times: at most {MAX_CONTROL} are allowed")
        for url in self.control:
            if url.startswith("wss:") and self.identity_dir is None:
                raise SettingsError(f"--control {url}: wss:// needs --identity-dir")

    def _check_collisions(self) -> None:
        taken: dict[Address, str] = {}
        for flag, address in self.listeners:
            if address[1] and address in taken:
                raise SettingsError(f"{flag} and {taken[address]} are both {format_place(address)}")
            taken[address] = flag
        if self.app is not None:
            for flag, (host, port) in self.listeners:
                if port == self.app[1] and (host == self.app[0] or ipaddress.ip_address(host).is_unspecified):
                    raise SettingsError(f"--app {format_place(self.app)} is this sidecar's own {flag}")

    @property
    def listeners(self) -> list[tuple[str, Address]]:
        """The addresses that this sidecar listens on, by their flags."""
        flags = (
            ("--outbound", self.outbound),
            ("--inbound", self.inbound),
            ("--admin", self.admin),
            ("--health", self.health),
        )
        return [(flag, address) for flag, address in flags if address is not None]


def parse_control(text: str) -> str:
    """`ws[s]://HOST[:PORT]`, plain text only to loopback; gives it with its port. Raises SettingsError."""
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port or PUSH_PORT
    except ValueError:
        host, port = "", 0
    is_whole = host and url.scheme in ("ws", "wss") and url.path in ("", "/")
    if not is_whole or url.query or url.fragment or "@" in url.netloc or not text.isprintable():
        raise SettingsError(f"--control {text!r}: ws://ADDR:PORT or wss://HOST:PORT is needed")
    if url.scheme == "ws" and not _is_loopback(host):
        raise SettingsError(f"--control {text}: ws:// is allowed only to a loopback address; use wss://")
    return f"{url.scheme}://{format_place((host, port))}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_address(text: str, default_port: int) -> Address:
    """`ADDR:PORT`, `ADDR`, `[V6]:PORT`. Raises SettingsError."""
    try:
        return parse_place(text, default_port)
    except ValueError as error:
        raise SettingsError(str(error)) from None

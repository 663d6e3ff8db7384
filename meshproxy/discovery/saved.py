"""The last known good on disk, so that a sidecar that is restarted during an outage serves.

One file, `DIR/last-known-good.json`: `{"schema", "node": {"namespace", "service_account"}, "synced_at", "used":
["NS/NAME"], "resources": [{"name", "version", "resource"}]}`. It is replaced as a whole, and readable by us alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

from meshproxy.discovery.intake import accept
from meshproxy.discovery.wants import Key
from meshproxy.kit.aio.slices import in_slices
from meshproxy.kit.aio.tasks import Tasks
from meshproxy.wire import names
from meshproxy.wire.problem import Problem
from meshproxy.wire.resources import SCHEMA
from meshproxy.wire.snapshot import MAX_BYTES, MAX_RESOURCES, UNDECODABLE, Entry, decode_entry

log = logging.getLogger(__name__)

FILE = "last-known-good.json"
INTERVAL_S = 2.0
"""The shortest time between two writes."""
_LATEST = 253_402_300_799
"""The last second that RFC 3339 can write."""


class SavedError(Exception):
    """What is on disk cannot be used, or nothing can be written; the text is a sentence for the operator."""


class Identity(Struct, frozen=True, kw_only=True):
    """Whose configuration it is."""

    namespace: str
    service_account: str


class Saved(NamedTuple):
    """What an earlier life has left behind.

    `synced_at` is Unix time: when this was last known to be what the control plane has, however late it was written.
    """

    entries: list[Entry]
    used: list[Key]
    synced_at: float


class _Resource(Struct, frozen=True, kw_only=True):
    name: str
    version: str
    resource: msgspec.Raw


class _Head(Struct, frozen=True, kw_only=True):
    schema: int


class _File(Struct, frozen=True, kw_only=True):
    schema: int
    node: Identity
    synced_at: Annotated[float, Meta(ge=0, le=_LATEST)]
    used: list[str]
    resources: list[_Resource]


_encoder = msgspec.json.Encoder()
_head_decoder = msgspec.json.Decoder(_Head)
_file_decoder = msgspec.json.Decoder(_File)


def encode_steps(identity: Identity, saved: Saved) -> Generator[None, None, bytes]:
    """Encode the file in short steps; the generator returns its bytes."""
    head = {
        "schema": SCHEMA,
        "node": identity,
        "synced_at": saved.synced_at,
        "used": [f"{namespace}/{name}" for namespace, name in saved.used],
    }
    lines = []
    for entry in saved.entries:
        lines.append(
            _encoder.encode({"name": entry.name, "version": entry.version, "resource": entry.resource}),
        )
        yield
    return b'%s,"resources":[\n%s\n]}\n' % (_encoder.encode(head)[:-1], b",\n".join(lines))


def decode_steps(data: bytes, identity: Identity) -> Generator[None, None, Saved]:
    """Decode and check the file in short steps; the generator returns what it holds, or raises SavedError."""
    if len(data) > MAX_BYTES:
        raise SavedError(f"it has more than {MAX_BYTES} bytes")
    try:
        schema = _head_decoder.decode(data).schema
        if schema != SCHEMA:
            raise SavedError(f"it is of schema {schema}; allowed: {SCHEMA}")
        file = _file_decoder.decode(data)
    except UNDECODABLE as error:
        raise SavedError(f"it is damaged: {error}") from None
    if file.node != identity:
        raise SavedError(f"it was written for {file.node.namespace[:64]}/{file.node.service_account[:253]}")
    if len(file.resources) > MAX_RESOURCES:
        raise SavedError(f"it has {len(file.resources)} resources; allowed: at most {MAX_RESOURCES}")
    problems: list[Problem] = []
    entries: list[Entry] = []
    for raw in file.resources:
        if names.kind_of(raw.name) in names.TYPES:
            entry = decode_entry(raw.name, raw.version, raw.resource, problems)
            if entry is not None and accept(entry, problems):
                entries.append(entry)
        if problems:
            raise SavedError(f"it is damaged: {problems[0]}")
        yield
    return Saved(entries, list(_keys(file.used)), file.synced_at)


def _keys(used: Iterable[str]) -> Iterator[Key]:
    for text in used:
        namespace, _, name = text.partition("/")
        if names.is_label(namespace) and names.is_label(name):
            yield namespace, name


def read(path: Path) -> bytes:
    """Read the file; nothing if there is none. Raises SavedError if it cannot be read, or may be another's work."""
    try:
        # Not blocking: a FIFO would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise SavedError(f"it cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise SavedError("it is no regular file")
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SavedError("others than this sidecar's user may read or write it, or own it")
        try:
            return file.read(MAX_BYTES + 1)
        except OSError as error:
            raise SavedError(f"it cannot be read: {error.strerror}") from None


def write(path: Path, data: bytes) -> None:
    """Replace the file, durably: it is the old one or the new one, whatever happens. Raises SavedError."""
    draft = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        _fill(descriptor, data)
        draft.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise SavedError(f"it cannot be written: {error.strerror}") from None


def _fill(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


class Keeper:
    """Writes what `collect` gives, off the loop, at most every INTERVAL_S and once more at the end.

    `on_saved` is told of each attempt: what failed, or nothing. A failure is logged when it begins.
    """

    __slots__ = (
        "_collect", "_identity", "_is_failing", "_is_wanted", "_job", "_loop", "_on_saved", "_path", "_tasks",
        "_writing",
    )  # fmt: skip

    def __init__(
        self,
        directory: Path,
        identity: Identity,
        collect: Callable[[], Saved],
        on_saved: Callable[[str], None],
    ) -> None:
        self._path = directory / FILE
        self._identity = identity
        self._collect = collect
        self._on_saved = on_saved
        self._loop = asyncio.get_running_loop()
        self._tasks = Tasks(self._loop)
        self._writing: asyncio.Task[None] | None = None
        self._job: asyncio.Future[None] | None = None
        self._is_wanted = False
        self._is_failing = False

    async def load(self) -> Saved | None:
        """Read what an earlier life has left; None if there is nothing that can be used, and the log says why."""
        try:
            data = await self._loop.run_in_executor(None, read, self._path)
            return await in_slices(decode_steps(data, self._identity)) if data else None
        except SavedError as error:
            log.warning("the last known good in %s is not used: %s", self._path, error)
            return None

    def save(self) -> None:
        """There is something new to write."""
        self._is_wanted = True
        if self._writing is None or self._writing.done():
            self._writing = self._tasks.start(self._write_on())

    async def close(self) -> None:
        """Write what is not written yet."""
        await self._tasks.close()
        if self._job is not None:
            await asyncio.wait([self._job])
        if self._is_wanted:
            await self._write()

    async def _write_on(self) -> None:
        while self._is_wanted:
            await self._write()
            await asyncio.sleep(INTERVAL_S)

    async def _write(self) -> None:
        self._is_wanted = False
        try:
            data = await in_slices(encode_steps(self._identity, self._collect()))
            self._job = self._loop.run_in_executor(None, write, self._path, data)
            # A thread cannot be stopped: whoever goes on without it has to wait for it.
            await asyncio.shield(self._job)
        except SavedError as error:
            self._is_wanted = True
            if not self._is_failing:
                log.warning("the last known good in %s is not kept: %s", self._path, error)
            self._is_failing = True
            self._on_saved(str(error))
        except BaseException:
            self._is_wanted = True
            raise
        else:
            self._is_failing = False
            self._on_saved("")

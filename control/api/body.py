"""The body of a request: read within bounds, and taken for what it says it is."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from control.api.status import ApiError
from control.model.json_text import JSONError, read_json
from control.model.yaml_events import YAMLError, read_yaml

MAX_BYTES = 3 * 1024 * 1024
MAX_YAML_BYTES = 1024 * 1024
"""YAML takes a hundred times as long to read as JSON."""
MAX_YAML_NODES = 100_000
MAX_DEPTH = 100
READ_S = 10.0
"""So long may a body take to arrive."""
BIG_BYTES = 64 * 1024
"""What is greater is read in a thread, one at a time."""

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


class Bodies:
    """Reads bodies."""

    def __init__(self) -> None:
        self._one = asyncio.Semaphore(1)

    async def take(self, request: web.Request, allowed: tuple[str, ...], *, optional: bool = False) -> dict[str, Any]:
        """Return the object in the body; {} for none where it is optional. Raise ApiError."""
        data = await _read(request)
        if not data and optional:
            return {}
        if request.content_type not in allowed:
            message = "the body of the request was in an unknown format - accepted media types include: "
            raise ApiError("UnsupportedMediaType", message + ", ".join(allowed))
        is_yaml = request.content_type == APPLY_PATCH
        if len(data) > BIG_BYTES or (is_yaml and not data.lstrip().startswith(b"{")):
            async with self._one:
                return await asyncio.to_thread(parse, data, is_yaml=is_yaml)
        return parse(data, is_yaml=is_yaml)


def parse(data: bytes, *, is_yaml: bool) -> dict[str, Any]:
    """Return the JSON object that the text is; YAML that is JSON is read as JSON. Raise ApiError."""
    try:
        text = data.decode()
        value = _yaml(text) if is_yaml and not text.lstrip().startswith("{") else read_json(text)
        # What could not be written again (half a surrogate pair, a number without end) cannot be kept either.
        msgspec.json.encode(value)
    except UnicodeDecodeError as error:
        raise ApiError("BadRequest", f"the body is not UTF-8, at byte {error.start}") from None
    except (JSONError, YAMLError) as error:
        raise ApiError("BadRequest", f"the body is {error}" if isinstance(error, JSONError) else str(error)) from None
    except (ValueError, OverflowError, RecursionError) as error:
        raise ApiError("BadRequest", f"the body cannot be kept: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise ApiError("BadRequest", "the body is no object")
    if not _is_shallow(value, MAX_DEPTH):
        raise ApiError("BadRequest", f"the body is nested too deeply; allowed: {MAX_DEPTH} levels")
    return value


def _yaml(text: str) -> Any:
    if len(text) > MAX_YAML_BYTES:
        raise ApiError("RequestEntityTooLarge", f"YAML is limited to {MAX_YAML_BYTES} bytes; send JSON")
    documents = [value for _, value in read_yaml(text, MAX_YAML_NODES)]
    if len(documents) != 1:
        raise ApiError("BadRequest", f"the body holds {len(documents)} documents; allowed: 1")
    # Aliases share what they stand for: written and read again, nothing is shared.
    return msgspec.json.decode(msgspec.json.encode(documents[0]))


def _is_shallow(value: Any, levels: int) -> bool:
    """Walk level by level: no recursion, whatever the body is."""
    level = [value]
    while level and levels:
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, (dict, list))
        ]
        levels -= 1
    return not level


async def _read(request: web.Request) -> bytes:
    if "Content-Encoding" in request.headers:
        raise ApiError("UnsupportedMediaType", "a body with Content-Encoding is not taken")
    if (request.content_length or 0) > MAX_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(READ_S):
            return await request.read()
    except TimeoutError:
        raise ApiError("RequestTimeout", f"the body did not arrive within {READ_S:.0f} s") from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except web.HTTPException as error:
        raise ApiError("BadRequest", f"the body cannot be read: {error.reason}") from None


def _too_large() -> ApiError:
    return ApiError("RequestEntityTooLarge", f"limit is {MAX_BYTES} bytes")

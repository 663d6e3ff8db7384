"""What the environment asks of the demo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.child import DemoError
from deploy.demo.pods import BASE

LEAST_S = 10.0
LONGEST_S = 86_400.0
PORTS = range(1024, 65_536 - 80)


@dataclass(frozen=True, slots=True)
class Options:
    """`seconds` None: until Ctrl-C. `picture`: where an SVG of the table is written."""

    seconds: float | None
    base: int
    picture: Path | None

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Options:
        """Raise DemoError for a value that cannot be used."""
        picture = Path(env["DEMO_PICTURE"]) if env.get("DEMO_PICTURE") else None
        if picture is not None and (picture.is_dir() or not picture.parent.is_dir()):
            raise DemoError(f"DEMO_PICTURE {str(picture)!r}: the name of a file in a folder that exists is needed")
        return cls(_seconds(env.get("DEMO_SECONDS", "")), _base(env.get("DEMO_PORT_BASE", "")), picture)


def _seconds(text: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not LEAST_S <= seconds <= LONGEST_S:
        raise DemoError(f"DEMO_SECONDS {text!r}: a number from {LEAST_S:g} to {LONGEST_S:g} is needed")
    return seconds


def _base(text: str) -> int:
    if not text:
        return BASE
    if not (text.isascii() and text.isdigit() and int(text) in PORTS):
        raise DemoError(f"DEMO_PORT_BASE {text!r}: a number from {PORTS.start} to {PORTS.stop - 1} is needed")
    return int(text)

"""The TLS context for control planes: our certificate under our bundle, and the name that was dialed."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from meshproxy.tls import identity
from meshproxy.tls.identity import IdentityError

log = logging.getLogger(__name__)


class ControlContext:
    """Called for each connection, as the identity may have changed since the last one.

    Unlike between workloads the host's name is checked: any workload of the mesh could be the control plane otherwise.
    """

    __slots__ = ("_current", "_directory", "_refusal")

    def __init__(self, directory: Path) -> None:
        """Raises IdentityError."""
        self._directory = directory
        self._current = identity.control(identity.read(directory))
        self._refusal = ""

    def __call__(self) -> ssl.SSLContext:
        try:
            self._current = identity.control(identity.read(self._directory))
            self._refusal = ""
        except IdentityError as error:
            if str(error) != self._refusal:
                log.warning("the identity cannot be used for the control plane, the one before is: %s", error)
            self._refusal = str(error)
        return self._current

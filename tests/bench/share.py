"""Who used the cores."""

from __future__ import annotations

import time

from tests.bench.place import Cores, core_busy_s
from tests.bench.report import Sample


class Share:
    """Of the load's core, where something is measured, and of the other one, where its target is; from when made."""

    def __init__(self, cores: Cores) -> None:
        self._cores = cores
        self._load_s = core_busy_s(cores.load)
        self._target_s = core_busy_s(cores.proxy)
        self._made_at = time.monotonic()

    def read(self, own_s: float) -> Sample:
        """What is measured used `own_s`. busy: its share; others: everybody else's; target: the other core, in use."""
        elapsed_s = time.monotonic() - self._made_at
        target_s = core_busy_s(self._cores.proxy) - self._target_s
        # The core's clock has ticks of 10 ms, the processes' has not: the difference may fall below nothing.
        others_s = max(core_busy_s(self._cores.load) - self._load_s - own_s, 0.0)
        return {"busy": own_s / elapsed_s, "others": others_s / elapsed_s, "target": target_s / elapsed_s}

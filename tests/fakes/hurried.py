"""The control plane with less patience: constants of its modules are changed before it runs.

`python -m tests.fakes.hurried control.kube.reflector.SILENT_S=1 run ...`; a constant that is not there is an error.
"""

from __future__ import annotations

import importlib
import sys

from control.main import main


def hurry(setting: str) -> None:
    path, _, value = setting.partition("=")
    place, _, name = path.rpartition(".")
    module = importlib.import_module(place)
    assert isinstance(getattr(module, name), float | int), path
    setattr(module, name, float(value))


if __name__ == "__main__":
    while "=" in sys.argv[1]:
        hurry(sys.argv.pop(1))
    main()

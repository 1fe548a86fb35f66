"""Runs a command of raft-chaos until its work begins, and ends there: `python -m bench.start_probe WHERE WORD...`.

WHERE is "module:function", for a work that begins with the first call of it, or a folder, for one that begins when the
first of its files is opened.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

BEGUN = 99
"""The exit code that says that the work has begun."""


def main() -> None:
    where, *words = sys.argv[1:]
    if ":" in where:
        sys.meta_path.insert(0, _EndsAt(*where.split(":")))
    else:
        sys.addaudithook(lambda event, given: _end_within(where, given[0]) if event == "open" else None)
    sys.argv = ["raft-chaos", *words]
    from raft_chaos.chaos.cli import entry

    entry.main()


def _end(*_: Any, **__: Any) -> NoReturn:
    os._exit(BEGUN)


def _end_within(folder: str, file: Any) -> None:
    if str(file).startswith(f"{folder}{os.sep}"):
        _end()


class _EndsAt:
    """Finds the module as it is found without this, with a function that ends the process."""

    def __init__(self, module: str, function: str) -> None:
        self._module, self._function = module, function

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None
        execute = spec.loader.exec_module

        def then_replace(module: ModuleType) -> None:
            execute(module)
            setattr(module, self._function, _end)

        spec.loader.exec_module = then_replace  # type: ignore[method-assign]
        return spec


if __name__ == "__main__":
    main()

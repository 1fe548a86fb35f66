"""The one name that is installed, and the Python API: `from raft_chaos import run, check` (docs/python.md).

In the repository its packages are links to the folders beside this one.

raft            the Raft that we ship and break
invariants      events, histories and the checkers that judge them
chaos           faults, schedules, worlds, campaigns, shrinking, the command line
reports         what a run directory has to say
api             the functions and results of the Python API
pytest_plugin   the plugin, which pytest loads by itself

Importing this module imports none of them: a function of the API is imported when it is first used.
"""

from importlib import import_module
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raft_chaos.api import (
        ByHandError,
        Campaign,
        Cluster,
        HarnessError,
        OptionError,
        Options,
        Reproduced,
        ReproductionError,
        Run,
        RunDirError,
        SeedResult,
        SetupError,
        Table,
        UndecidedError,
        ViolatedError,
        Violation,
        check,
        cluster,
        reproduce,
        run,
        run_seeds,
        shrink,
    )

__all__ = [
    "run",
    "run_seeds",
    "cluster",
    "check",
    "shrink",
    "reproduce",
    "Options",
    "Reproduced",
    "ReproductionError",
    "Run",
    "Campaign",
    "Cluster",
    "SeedResult",
    "Violation",
    "Table",
    "OptionError",
    "ByHandError",
    "ViolatedError",
    "UndecidedError",
    "SetupError",
    "HarnessError",
    "RunDirError",
]

_HERE = Path(__file__).resolve().parent
if (_HERE / "raft").is_symlink():
    # A checkout: tracebacks and breakpoints are to name the real files, not the links to them.
    __path__ = [str(_HERE.parent)]


def _use_compiled() -> str:
    """Makes imports take the compiled modules of raft-chaos-native, if it is installed. Returns why not, "" if so."""
    if environ.get("RAFT_CHAOS_PURE"):
        return "RAFT_CHAOS_PURE is set"
    try:
        import raft_chaos_native
    except ModuleNotFoundError:
        return "raft-chaos-native is not installed"
    return str(raft_chaos_native.use(Path(__path__[0])))


WHY_PURE = _use_compiled()
"""Why no compiled modules are in use; "" if they are. They give the same traces as the sources, in six tenths of the
time (docs/native.md)."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The compiled modules of raft-chaos, and what puts them in the place of its sources.

`use` is called when `raft_chaos` is imported. From then on the import of a module that is compiled takes the compiled
one. It does so only if all modules of raft-chaos that matter are, byte for byte, those that it was compiled from: a
compiled module knows how objects of others lie in memory, and a verdict must never rest on old code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from hashlib import sha256
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

COMPILED = "compiled"
"""The folder of the compiled modules, which lie in it as their sources do in theirs."""
HOT = (
    "raft/core/*.py",
    "raft/state/*.py",
    "raft/replica/*.py",
    "raft/storage/*.py",
    "chaos/run/*.py",
    "chaos/run/nodes/*.py",
    "chaos/run/sim/*.py",
    "invariants/*.py",
    "invariants/checkers/*.py",
    "invariants/linearizability/guess.py",
    "invariants/linearizability/models.py",
    "invariants/linearizability/order.py",
    "raft/server/node_clock.py",
    "chaos/judgement/tally.py",
)
"""Each step of a simulated run goes through these modules of raft-chaos, or most small histories of clients: those that
take only what `malformed` has let pass, since compiled code refuses a value of another type in words of its own."""
MADE_OF = ("raft", "invariants", "chaos/run", "chaos/faults", "chaos/schedule", "chaos/judgement")
"""Everything that the compiled modules use lies in these."""
NOT_COMPILED = ("msgspec.Struct", "Event,", "OSError")
"""A module with a class that extends one of these is left out."""


def hot_modules(package: Path) -> list[Path]:
    """The modules to compile, from the folder of the package `raft_chaos`."""
    found = (file for hot in HOT for file in sorted(package.glob(hot)))
    return [file for file in found if file.name != "__init__.py" and _may_be_compiled(file.read_text())]


def _may_be_compiled(source: str) -> bool:
    classes = [line for line in source.splitlines() if line.startswith("class ")]
    return not any(word in line for line in classes for word in NOT_COMPILED)


def digest_of(package: Path) -> str:
    """SHA-256 over the sources that the compiled modules are made of, hexadecimal."""
    total = sha256()
    for folder in MADE_OF:
        for file in sorted((package / folder).rglob("*.py")):
            content = file.read_bytes()
            total.update(f"{file.relative_to(package).as_posix()} {len(content)}\n".encode())
            total.update(content)
    return total.hexdigest()


class _Finder(MetaPathFinder):
    """Finds the compiled modules, and the library that all of them share."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self._files.get(fullname)
        if file is None:
            return None
        return spec_from_file_location(fullname, file, loader=ExtensionFileLoader(fullname, file))


def use(package: Path) -> str:
    """Makes imports take the compiled modules. Returns why it does not, for a person; "" if it does."""
    here = Path(__file__).resolve().parent
    try:
        built_from = json.loads((here / "sources.json").read_bytes())["sha256"]
    except FileNotFoundError:
        return "nothing was compiled"
    suffix = EXTENSION_SUFFIXES[0]
    files = {
        ".".join(file.relative_to(here / COMPILED).parts).removesuffix(suffix): str(file)
        for file in (here / COMPILED).rglob(f"*{suffix}")
    }
    if not files:
        return f"it was compiled for another Python than {sys.implementation.cache_tag}"
    if built_from != digest_of(package):
        return "it was compiled from other sources than these; install it again"
    sys.meta_path.insert(0, _Finder(files))
    return ""

"""The sources as they are compiled: which modules, and the one change that is made in them.

Where interpreted classes extend those of a module (`OPEN`: mutants and recorders do), the compiler is told so. It would
refuse such classes otherwise, and calls within the others are faster. A module that defines a `msgspec.Struct` is left
out (`raft_chaos_native.hot_modules`): mypyc would make a class of it that msgspec takes for another, and equal values
would not be equal.
"""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

from raft_chaos_native import digest_of, hot_modules

OPEN = (
    "raft/core/",
    "raft/replica/",
    "raft/storage/",
    "chaos/run/client_records.py",
    "chaos/run/nodes/memory_driver.py",
)
"""Interpreted classes extend those of these modules."""
PURE_CALLS = {"bisect_left", "bisect_right", "len", "max", "min"}
"""To call one of these twice changes nothing."""
NOT_NATIVE = ("Protocol", "NamedTuple", "Error", "Exception")
"""A class with such a base stays one of Python."""


class NotCompiledRightError(Exception):
    """mypyc would compile this to something else. The message says where it stands, and what to write."""


def stage(package: Path, staged: Path) -> tuple[list[str], str]:
    """Copies the package. Returns the paths of the modules to compile, from the staging folder on, and the digest of
    the sources."""
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(package, staged / "raft_chaos", ignore=shutil.ignore_patterns("__pycache__"))
    digest = digest_of(staged / "raft_chaos")
    paths = [str(path.relative_to(staged)) for path in hot_modules(staged / "raft_chaos")]
    for path in paths:
        file = staged / path
        check(path, file.read_text())
        if path.startswith(tuple(f"raft_chaos/{place}" for place in OPEN)):
            file.write_text(open_to_subclasses(file.read_text()))
    return paths, digest


def check(path: str, source: str) -> None:
    """Refuses what mypyc is known to compile to something else: it calls what is in the bounds of a slice twice."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Slice):
            calls = [call for bound in (node.lower, node.upper) if bound for call in ast.walk(bound)]
            names = {ast.unparse(call.func) for call in calls if isinstance(call, ast.Call)}
            if names - PURE_CALLS:
                once = ", ".join(sorted(names))
                raise NotCompiledRightError(f"{path}:{node.lineno}: mypyc would call {once} twice; call it before")


def open_to_subclasses(source: str) -> str:
    """The same module, whose classes interpreted ones may extend. Its lines keep their numbers, for tracebacks."""
    lines = source.splitlines(keepends=True)
    places = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and not any(
            word in ast.unparse(base) for base in node.bases for word in NOT_NATIVE
        ):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            places.append(first - 1)
    for place in reversed(places):
        # A decorator of its own line would shift all lines behind it, so it takes the place of an empty one before.
        assert not lines[place - 1].strip(), f"an empty line goes before each class: {lines[place]}"
        lines[place - 1] = "@mypyc_attr(allow_interpreted_subclasses=True)\n"
    if places:
        start = next(number for number, line in enumerate(lines) if line.startswith("from __future__"))
        lines[start + 1] = "from mypy_extensions import mypyc_attr\n"
    return "".join(lines)

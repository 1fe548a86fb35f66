"""Keeps a user's files from taking the place of installed modules in the processes that the harness starts.

A new interpreter looks for modules in the current folder first, and multiprocessing gives each child the sys.path of
its parent, which begins with the folder of the user's tests. Every node would import a `logging.py` from there instead
of the standard library's. Two things prevent that while processes are being started:

- PYTHONSAFEPATH in the environment keeps the current folder out of a new interpreter's sys.path;
- sys.path, of which each child gets a copy, has the standard library and installed packages first. The user's folders
  come last, so that a class of the user can still be imported.

A process hands its environment on to whatever it starts, and a target's command must get the user's own. So the
variable gets a value that only we use, and importing this module removes it. Each process imports it: the fork server
preloads it, and the first function that a child or worker calls is in a module that imports it.

PYTHONSAFEPATH has no effect on an interpreter that ignores the environment, which children of `python -E` do.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

VARIABLE = "PYTHONSAFEPATH"
OURS = "set-by-raft-chaos"
"""Python asks only whether the variable is empty."""

_one_at_a_time = threading.RLock()  # sys.path and the environment belong to all threads

if os.environ.get(VARIABLE) == OURS:
    del os.environ[VARIABLE]


@contextmanager
def safe_interpreters() -> Iterator[None]:
    """Interpreters that are started meanwhile do not look in the current folder; `safe_imports` holds for them too."""
    with _one_at_a_time, safe_imports():
        before = os.environ.get(VARIABLE)
        if before:  # the user has asked for the same
            yield
            return
        os.environ[VARIABLE] = OURS
        try:
            yield
        finally:
            if before is None:
                os.environ.pop(VARIABLE, None)
            else:
                os.environ[VARIABLE] = before


@contextmanager
def safe_imports() -> Iterator[None]:
    """Children that are started meanwhile get a sys.path in which the user's folders come last."""
    with _one_at_a_time:
        before = sys.path
        # A new list, since another thread's import may be going through the old one.
        sys.path = installed_first(before)
        try:
            yield
        finally:
            sys.path = before


def installed_first(path: Iterable[str]) -> list[str]:
    """The same folders, the standard library and installed packages first, each group in its order.

    '' is left out: it is the current folder, whichever that is when a module is imported.
    """
    return sorted(filter(None, path), key=lambda folder: not _is_installed(folder))


@cache
def _is_installed(folder: str) -> bool:
    real = Path(folder).resolve()
    library, packages = _installed()
    # The library's folder holds that of its compiled modules, lib-dynload.
    return real in packages or library == real or library in real.parents


@cache
def _installed() -> tuple[Path, frozenset[Path]]:
    """The folder of the standard library, and those of installed packages, with the library's archive."""
    library = Path(os.__file__).parent
    packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
    if site.ENABLE_USER_SITE:
        packages.add(site.getusersitepackages())
    packages.add(f"{library}/../python{sys.version_info.major}{sys.version_info.minor}.zip")
    return library.resolve(), frozenset(Path(folder).resolve() for folder in packages)

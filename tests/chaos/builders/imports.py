"""What an import brings with it, seen in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable


def imported_by(modules: Iterable[str]) -> set[str]:
    """All modules that are there once these are."""
    code = "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())

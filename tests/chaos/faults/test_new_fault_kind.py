"""A new kind of fault is one class in one file: everything else finds it there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
def test_a_new_kind_works_everywhere_once_its_family_is_listed() -> None:
    """In a process of its own, since the catalogue is read when it is imported."""
    shared = [HERE, HERE.parent, HERE.parent / "schedule"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, shared))}
    options = ["-q", "--noconftest", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, str(HERE / "new_fault_kind.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 passed" in done.stdout

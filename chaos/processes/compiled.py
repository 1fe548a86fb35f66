"""Whether this process uses the compiled modules of raft-chaos-native (docs/native.md), or the sources."""

from __future__ import annotations

from importlib import import_module

PURE = "RAFT_CHAOS_PURE"
"""The environment variable with which a process uses the sources, whatever is compiled."""


def why_pure() -> str:
    """Why it uses the sources, for a person; "" if it uses the compiled modules."""
    # The package decides when it is imported, before any of its modules. It is imported by name, since it lies above
    # all layers.
    return str(import_module("raft_chaos").WHY_PURE)

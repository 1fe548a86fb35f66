"""The modules that the fork server preloads. It silently skips a name that cannot be imported."""

from __future__ import annotations

from importlib import import_module

import pytest

from raft_chaos.chaos.processes.supervisor import PRELOAD

OPTIONAL = {"uvloop"}
"""Of other projects; a node goes without them."""


@pytest.mark.parametrize("name", PRELOAD)
def test_it_can_be_imported(name: str) -> None:
    if name in OPTIONAL:
        pytest.importorskip(name)
    else:
        import_module(name)

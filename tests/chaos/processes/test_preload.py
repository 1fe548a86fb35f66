"""The modules that the fork server preloads. It silently skips a name that cannot be imported."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import raft_chaos.chaos
from builders.imports import imported_by
from raft_chaos.chaos.processes.first_steps import MainOf
from raft_chaos.chaos.processes.supervisor import PRELOAD
from raft_chaos.chaos.run.lockstep.driver import PRELOADED

OPTIONAL = {"uvloop"}
"""Of other projects; a node goes without them."""

NOT_FOR_NODES = {"cryptography", "jinja2", "psutil", "pydantic", "rich", "tabulate", "typer", "vl_convert"}


@pytest.mark.parametrize("name", PRELOADED)
def test_it_can_be_imported(name: str) -> None:
    if name in OPTIONAL:
        pytest.importorskip(name)
    else:
        import_module(name)


@pytest.mark.parametrize("preload", [PRELOAD, PRELOADED], ids=["live", "lockstep"])
def test_a_node_has_nothing_in_memory_that_it_does_not_need(preload: tuple[str, ...]) -> None:
    """Each node is a copy of the fork server."""
    modules = imported_by(name for name in preload if name not in OPTIONAL)
    assert modules.isdisjoint(NOT_FOR_NODES)
    ours = ("raft_chaos.reports", "raft_chaos.invariants.checkers", "raft_chaos.chaos.run.live")
    assert not [name for name in modules if name.startswith(ours)]
    assert not [name for name in modules if name.startswith("raft_chaos.chaos.mutants.")]
    faults = [name for name in modules if name.startswith("raft_chaos.chaos.faults")]
    assert preload is PRELOADED or not faults, "what a run does to nodes is for its controller"


def test_each_main_function_is_where_its_starter_says() -> None:
    files = Path(raft_chaos.chaos.__path__[0]).rglob("*.py")
    places = {place for file in files for place in re.findall(r'MainOf\("([^"]+)"\)', file.read_text())}
    assert places
    for place in places:
        module, _, name = place.partition(":")
        assert callable(getattr(import_module(f"raft_chaos.chaos.{module}"), name))


def test_a_main_function_is_called_with_its_arguments(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="cannot run 'no-such-program'"):
        MainOf("processes.execute:execute")(["no-such-program"], {}, 256)

"""What each world imports. Counted by names, since a test cannot measure time: each of these takes long or is large."""

from __future__ import annotations

from builders.imports import imported_by

HTTP = {"aiohttp", "yarl", "multidict"}
PROCESSES = {"asyncio", "multiprocessing", "psutil", "ssl", "subprocess"}
SHOWN = {"jinja2", "rich", "tabulate", "typer", "vl_convert"}
LISTS = {"raft_chaos.chaos.mutants.catalogue", "raft_chaos.chaos.mutants.sabotage"}


def test_a_run_in_sim_needs_no_sockets_and_no_processes() -> None:
    modules = imported_by(["raft_chaos.chaos.run.sim.world"])
    assert modules.isdisjoint(HTTP | PROCESSES | SHOWN | LISTS)
    assert not [name for name in modules if name.startswith(("raft_chaos.reports", "raft_chaos.chaos.run.live"))]


def test_the_settings_of_a_run_need_no_world_and_no_http_client() -> None:
    modules = imported_by(["raft_chaos.chaos.run.options", "raft_chaos.chaos.run.worlds"])
    assert modules.isdisjoint(HTTP | {"asyncio", "multiprocessing", "psutil", "ssl"} | SHOWN | LISTS)
    worlds = ("raft_chaos.chaos.run.sim", "raft_chaos.chaos.run.lockstep", "raft_chaos.chaos.run.live")
    assert not [name for name in modules if name.startswith(worlds)]


def test_a_run_in_lockstep_has_no_http() -> None:
    assert imported_by(["raft_chaos.chaos.run.lockstep.run"]).isdisjoint(HTTP | SHOWN | LISTS)


def test_a_run_in_real_time_starts_its_first_process_before_it_imports_an_http_client() -> None:
    modules = imported_by(["raft_chaos.chaos.run.live.run"])
    assert modules.isdisjoint(HTTP | SHOWN | LISTS)
    assert "raft_chaos.raft.server.node" not in modules, "that is for the nodes' own processes"

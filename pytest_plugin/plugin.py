"""What pytest calls. This module is imported by every pytest run, so it imports nothing of ours until it is used."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from raft_chaos.api import Cluster, Run

MARKER = "raft_chaos"
FIXTURES = ("raft_run", "raft_cluster", "raft_sim")
SEED = "raft_chaos_seed"
"""The parameter of tests that run with several seeds."""
HARNESS_FAILED = "raft_chaos_harness_failed"
"""The attribute of a report whose test ended because the harness failed."""
FOLDERS = "raft_chaos_reproductions"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("raft-chaos", "raft-chaos: chaos runs of a cluster")
    group.addoption("--raft-seed", metavar="N", help="run each chaos test with this seed alone")
    group.addoption("--raft-seeds", metavar="N|A..B", help="run each chaos test with these seeds; 20 is 1 to 20")
    group.addoption("--raft-world", choices=("sim", "lockstep", "live"), help="where chaos tests run")
    group.addoption("--raft-out", metavar="DIR", help="keep all run directories here, of passed tests too")
    parser.addini(FOLDERS, "folders whose reproduction files are tests", type="paths", default=[])
    parser.addini("raft_chaos_out", "where failed tests leave their run directories", default="runs")
    parser.addini("raft_chaos_unknown", "what an unknown verdict is: fail or skip", default="fail")
    parser.addini("raft_chaos_shrink", "seconds to make a failure smaller; 0: not at all", default="10")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARKER}(seeds=20, **options): run the test with each seed; options are those of `raft-chaos run`, such as "
        'world="sim", faults=["kill"], target="chaos.toml"',
    )
    if folders := config.getini(FOLDERS):
        from raft_chaos.pytest_plugin import reproductions

        reproductions.add_to_arguments(config, folders)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix != ".json" or not (folders := parent.config.getini(FOLDERS)):
        return None
    if not any(file_path.is_relative_to(folder) for folder in folders):
        return None
    from raft_chaos.pytest_plugin.reproductions import ReproductionFile

    return ReproductionFile.from_parent(parent, path=file_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marked = metafunc.definition.get_closest_marker(MARKER) is not None
    if not marked and not any(name in metafunc.fixturenames for name in FIXTURES):
        return
    from raft_chaos.pytest_plugin.seeds import seeds_of

    if SEED not in metafunc.fixturenames:
        metafunc.fixturenames.append(SEED)
    seeds = seeds_of(metafunc.definition)
    metafunc.parametrize(SEED, seeds, ids=[f"seed{seed}" for seed in seeds], scope="function")


def pytest_itemcollected(item: pytest.Item) -> None:
    """A marked test that asks for no fixture has the run of its seed all the same."""
    if item.get_closest_marker(MARKER) is not None and not _is_chaos(item) and isinstance(item, pytest.Function):
        item.fixturenames.append("raft_run")


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    callspecs = [getattr(item, "callspec", None) for item in items]
    seeds = [spec.params[SEED] for spec in callspecs if spec is not None and SEED in spec.params]
    if not seeds:
        return []
    from raft_chaos.pytest_plugin.seeds import summary

    return [summary(seeds)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    if not _is_chaos(item):
        return (yield)
    from raft_chaos.pytest_plugin import outcomes

    outcomes.before_the_test(item)
    result = yield
    outcomes.after_the_test(item)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if _is_chaos(item):
        from raft_chaos.pytest_plugin import outcomes

        outcomes.tell(item, report, call.excinfo.value if call.excinfo is not None else None)
    return report


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
    """A harness that fails within a test is an error: pytest itself knows errors only before and after tests."""
    return ("error", "E", "ERROR") if getattr(report, HARNESS_FAILED, False) else None


def _is_chaos(item: pytest.Item) -> bool:
    return any(name in getattr(item, "fixturenames", ()) for name in FIXTURES)


@pytest.fixture
def raft_run(request: pytest.FixtureRequest, raft_chaos_seed: int) -> Iterator[Run]:
    """The run of this test's seed: a cluster was broken and judged. Fails the test unless the run is valid."""
    from raft_chaos.pytest_plugin import fixtures

    yield from fixtures.run(request, raft_chaos_seed)


@pytest.fixture
def raft_cluster(request: pytest.FixtureRequest, raft_chaos_seed: int) -> Iterator[Cluster]:
    """A cluster whose nodes are up, to be broken by hand; live unless the marker or --raft-world says otherwise."""
    from raft_chaos.pytest_plugin import fixtures

    yield from fixtures.cluster(request, raft_chaos_seed)


@pytest.fixture
def raft_sim(request: pytest.FixtureRequest, raft_chaos_seed: int) -> Iterator[Cluster]:
    """The same in virtual time, in this process: our own Raft, or one of its mutants."""
    from raft_chaos.pytest_plugin import fixtures

    yield from fixtures.cluster(request, raft_chaos_seed, world="sim")

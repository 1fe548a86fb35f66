"""What becomes of a verdict.

A violated run fails its test, and leaves its directory and a reproduction file, which the failure names. An unknown one
fails it in words of its own, or skips it if `raft_chaos_unknown = skip`. A cluster by hand has no schedule that asks
for enough to be done, so there only a violation counts. What a passed test leaves behind is removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from raft_chaos.api.by_hand import closed_cluster
from raft_chaos.api.results import Run
from raft_chaos.api.saved import CannotShrinkError, shrink
from raft_chaos.chaos.processes.shortage import HarnessError
from raft_chaos.chaos.testing.by_hand.cluster import Cluster
from raft_chaos.pytest_plugin import options
from raft_chaos.pytest_plugin.plugin import FOLDERS, HARNESS_FAILED

HARNESS = "raft-chaos itself failed; this says nothing about the system"


@dataclass
class Outcomes:
    """The runs and clusters of one test."""

    runs: list[Run] = field(default_factory=list)
    clusters: list[Cluster] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    failed: bool = False
    keep: bool = False

    def judge(self, run: Run) -> None:
        """The test may go on only if this run is valid."""
        self.runs.append(run)
        self.folders.append(run.path)

    def watch(self, cluster: Cluster) -> None:
        """The cluster is judged after the test."""
        self.clusters.append(cluster)
        self.folders.append(cluster.path)

    def tidy(self, path: Path) -> None:
        if not self.failed and not self.keep:
            shutil.rmtree(path, ignore_errors=True)


_KEY = pytest.StashKey[Outcomes]()


def of(item: pytest.Item) -> Outcomes:
    return item.stash.setdefault(_KEY, Outcomes(keep=options.keeps_all(item.config)))


def before_the_test(item: pytest.Item) -> None:
    for run in of(item).runs:
        if run.verdict == "violated":
            _violated(item, run)
        elif run.verdict == "unknown":
            _unknown(item, run)


def after_the_test(item: pytest.Item) -> None:
    """The test itself has passed. A harness that fails now is the fixture's to tell, as an error."""
    for cluster in of(item).clusters:
        try:
            run = closed_cluster(cluster)
        except HarnessError:
            return
        if run.verdict == "violated":
            _violated(item, run)


def _violated(item: pytest.Item, run: Run) -> None:
    pytest.fail("\n".join([*run.summary(), "", *_reproduction(item, run)]), pytrace=False)


def _unknown(item: pytest.Item, run: Run) -> None:
    words = "no invariant is violated, but the run does not show enough to be valid"
    if options.unknown(item.config) == "skip":
        pytest.skip(f"seed {run.seed}: {words}: {'; '.join(run.vacuous)}")
    undecided = [f"{name} is unknown" for name, outcome in run.invariants.items() if outcome == "unknown"]
    pytest.fail("\n".join([f"{words}.", *run.summary(), *([] if run.vacuous else undecided)]), pytrace=False)


def _reproduction(item: pytest.Item, run: Run) -> Iterator[str]:
    """Writes the reproduction file, and says where it is. The violation stands, whatever becomes of the file."""
    yield f"what led to it: raft-chaos explain {run.path}"
    if not (budget_s := options.shrink_s(item.config)) or not run.repro:
        return  # what a test did by hand is in no schedule
    foreign = run.target != "raft"
    try:
        file = shrink(run, budget=0 if foreign else budget_s, anchors=False)
    except (*CannotShrinkError, OSError) as error:
        yield f"no reproduction file: {error}"
        return
    yield f"reproduction file: {file}"
    folders = item.config.getini(FOLDERS)
    yield f"run it again: raft-chaos repro {file}" + (f"; copied to {folders[0]}, it is a test" if folders else "")


def tell(item: pytest.Item, report: pytest.TestReport, error: BaseException | None) -> None:
    """Adds to a failure what one needs to see it again: seed, run directory, command."""
    outcomes = of(item)
    seed = item.callspec.params["raft_chaos_seed"] if hasattr(item, "callspec") else None
    if report.when == "setup" and seed is not None:
        item.user_properties.append(("raft_chaos_seed", seed))
    if not report.failed:
        return
    outcomes.failed = True
    if isinstance(error, HarnessError):
        report.longrepr = f"{HARNESS}: {error}"
        setattr(report, HARNESS_FAILED, True)
    test = item.nodeid.removesuffix(f"[seed{seed}]") if item.nodeid.endswith(f"[seed{seed}]") else item.nodeid
    lines = [f"seed {seed}; again: pytest {_quoted(test)} --raft-seed {seed}"]
    lines += [f"run directory: {folder}" for folder in outcomes.folders]
    report.sections.append(("raft-chaos", "\n".join(lines)))


def _quoted(test: str) -> str:
    return f"'{test}'" if any(character in test for character in " []()&;") else test

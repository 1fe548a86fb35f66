"""Measures the reproduction of violations that were found in `live`: replay, re-execution, shrinking, and repetition.

    python -m bench.reproduction [--budget 60] [--repeat 20] [--jobs 2] RUN ...

For each run directory the table says whether every node's journal replays exactly, whether the same invariants break
when the run is re-executed in `sim`, how large the failure is before and after shrinking, and how many live runs of the
small schedule fail, with its faults at fixed times and anchored. `inputs` are the steps of the execution that the
literature counts: all but starts and completed writes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from msgspec.structs import replace
from tabulate import tabulate

from raft_chaos.chaos.execution.merge import MergeError
from raft_chaos.chaos.execution.steps import Persist, Start
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.replay.as_sim import as_sim
from raft_chaos.chaos.replay.node import replay_run
from raft_chaos.chaos.replay.result import ReplayError
from raft_chaos.chaos.reproduction.file import Reproduction, Scenario, save
from raft_chaos.chaos.reproduction.live_rate import not_applicable, run_often
from raft_chaos.chaos.reproduction.make import NotReproducedError
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.shrink.failure import Counts, Shrinker, Shrunk
from raft_chaos.chaos.shrink.from_run import failure_in
from raft_chaos.invariants.rundir import RunDir, RunInfo


@dataclass
class Outcome:
    """One run's row."""

    run: RunDir
    info: RunInfo
    exact: str
    as_sim: str
    invariant: str = ""
    before: Counts | None = None
    after: Counts | None = None
    inputs: int | None = None
    minimal: bool = False
    timed: str = ""
    anchored: str = ""


def examine(run: RunDir, budget_s: float, repeat: int, jobs: int, folder: Path) -> Outcome:
    """Makes the row of one run."""
    info = run.load_info()
    outcome = Outcome(run, info, _exact(run, info), _as_sim(run, info))
    failure = failure_in(run, None)
    outcome.invariant = failure.invariant
    try:
        shrunk = Shrinker(failure, budget_s, jobs).run()
    except NotReproducedError as error:
        outcome.timed = str(error)
        return outcome
    outcome.before, outcome.after, outcome.minimal = shrunk.before, shrunk.after, shrunk.minimal
    save(shrunk.reproduction, folder / f"{info.mutant}-{info.seed}.json")
    execution = shrunk.reproduction.execution
    if execution is not None:
        outcome.inputs = sum(not isinstance(step, Start | Persist) for step in execution.steps)
    if repeat:
        outcome.timed, outcome.anchored = _rates(shrunk, repeat, folder)
    return outcome


def _exact(run: RunDir, info: RunInfo) -> str:
    try:
        done = replay_run(run, parts_of(info.mutant))
    except ReplayError as error:
        return str(error)
    return "different" if done.differences else "exact"


def _as_sim(run: RunDir, info: RunInfo) -> str:
    try:
        done = as_sim(run)
    except MergeError as error:
        return str(error)
    then = {one.invariant for one in info.invariants if one.outcome == "violated"}
    judged = {one.invariant for one in info.invariants}  # a later version may judge more
    now = {one.invariant for one in done.verdicts if one.outcome == "violated" and one.invariant in judged}
    return "same" if now == then else f"now {sorted(now)}, then {sorted(then)}"


def _rates(shrunk: Shrunk, repeat: int, folder: Path) -> tuple[str, str]:
    """How many live runs fail: with faults at fixed times, and anchored."""
    anchored = shrunk.anchored
    if anchored is None:
        return "no schedule", "no schedule"
    timed = _rate(shrunk.reproduction, anchored.timed, repeat, folder)
    if anchored.schedule == anchored.timed:
        return timed, "the same"
    return timed, _rate(shrunk.reproduction, anchored.schedule, repeat, folder)


def _rate(reproduction: Reproduction, schedule: Schedule, repeat: int, folder: Path) -> str:
    assert reproduction.scenario is not None
    scenario = Scenario(timing=reproduction.scenario.timing, schedule=schedule)
    one = replace(reproduction, scenario=scenario)
    if why := not_applicable(one):
        return why
    outcomes = Counter(run.outcome for run in run_often(one, one.mutant, repeat, folder / "runs"))
    return f"{outcomes['reproduced']}/{repeat}"


def show(outcomes: list[Outcome]) -> str:
    rows = [
        [
            one.info.mutant,
            one.info.seed,
            one.invariant,
            one.exact,
            one.as_sim,
            *_pair(one, "faults"),
            *_pair(one, "operations"),
            *_pair(one, "steps"),
            one.inputs,
            one.after.nodes if one.after is not None else "",
            "yes" if one.minimal else "no",
            one.timed,
            one.anchored,
        ]
        for one in outcomes
    ]
    headers = [
        *("mutant", "seed", "invariant", "replay", "as sim", "faults", "after", "ops", "after", "steps", "after"),
        *("inputs", "nodes", "minimal", "live, timed", "live, anchored"),
    ]
    small = [one for one in outcomes if one.before is not None and one.after is not None]
    lines = [tabulate(rows, headers, tablefmt="github")]
    if small:
        parts = [_medians(field, small) for field in ("faults", "operations", "steps", "nodes")]
        inputs = [one.inputs for one in small if one.inputs is not None]
        lines.append(f"\nmedians of {len(small)}: {', '.join(parts)}; inputs {median(inputs) if inputs else ''}")
    return "\n".join(lines)


def _medians(field: str, outcomes: list[Outcome]) -> str:
    """The medians of this field before and after, over the runs that have it."""
    pairs = [(getattr(one.before, field), getattr(one.after, field)) for one in outcomes]
    known = [pair for pair in pairs if None not in pair]
    if not known:
        return f"{field} none"
    return f"{field} {median(one for one, _ in known):g} to {median(two for _, two in known):g}"


def _pair(one: Outcome, field: str) -> tuple[object, object]:
    if one.before is None or one.after is None:
        return "", ""
    return getattr(one.before, field), getattr(one.after, field)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.reproduction", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run directories of live")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for shrinking each")
    parser.add_argument("--repeat", type=int, default=20, help="live runs of each small schedule; 0: none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="keep reproduction files and live runs here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="raft-chaos-bench-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        outcomes = []
        for path in options.runs:
            outcomes.append(examine(RunDir(path), options.budget, options.repeat, options.jobs, folder))
            print(show(outcomes[-1:]), file=sys.stderr, flush=True)
        print(show(outcomes))


if __name__ == "__main__":
    main()

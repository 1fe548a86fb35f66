"""Mutants under handwritten schedules with the faults that expose each mistake."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from builders.commands import only_run, raft_chaos
from builders.schedules import saved, schedule
from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.grudge import Grudge
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.data import Fault, When
from raft_chaos.invariants.events import PhaseStarted, RunEnded

pytestmark = pytest.mark.live

NODES = ["n1", "n2", "n3"]
LONG_US = 600_000_000
ATTEMPTS = 5
"""Whether a fault meets the mistake also depends on who leads at the time, which no schedule decides in `live`."""


def fault(name: str, when: When | int, action: Action, duration_us: int = 0) -> Fault:
    return Fault(
        id=name, when=When(at_us=when) if isinstance(when, int) else when, action=action, duration_us=duration_us
    )


def convicted(folder: Path, mutant: str, faults: Sequence[Fault], until_us: int) -> dict[str, Any]:
    """The document of the first attempt that ends with a conviction."""
    for attempt in range(ATTEMPTS):
        folder_of_one = folder / str(attempt)
        folder_of_one.mkdir()
        file = saved(folder_of_one, schedule(faults, safety_us=(700_000, until_us), seed=attempt))
        out = str(folder_of_one / "out")
        done = raft_chaos("run", "--mutant", mutant, "--schedule", file, "--out", out, "--fail-fast", "--json")
        assert done.returncode in (0, 1), done.stderr
        if done.returncode == 1:
            document: dict[str, Any] = json.loads(done.stdout)
            return document
    raise AssertionError(f"{mutant} survived {ATTEMPTS} runs")


# ---- vote_not_persisted: a voter that restarts has forgotten its vote ---------------------------------------------

VOTERS = [
    fault("f1", 700_000, Kill(["leader"], [400_000])),
    *(fault(f"f{nth}", When(on="vote_granted", nth=nth), Kill(["voter"], [0])) for nth in (4, 5, 6, 7)),
]


@pytest.mark.slow
def test_a_forgotten_vote_is_convicted_and_the_last_line_of_the_report_convicts_it_again(tmp_path: Path) -> None:
    """The safety phase is longer than a test may wait: the first violation must end the run."""
    file = saved(tmp_path, schedule(VOTERS, safety_us=(700_000, LONG_US), every_us=1_000_000))
    options = ["--fail-fast", "--out", str(tmp_path / "out")]
    done = raft_chaos("run", "--mutant", "vote_not_persisted", "--schedule", file, "--nodes", "3", *options)
    assert done.returncode == 1, done.stdout
    assert "VIOLATED one_vote_per_term: " in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("VIOLATED")
    run = only_run(tmp_path / "out")
    program, *words = shlex.split(lines[-1])
    assert Path(program).name == "raft-chaos"
    assert words == [
        *("run", "--seed", "1", "--nodes", "3", "--mutant", "vote_not_persisted"),
        *("--schedule", str(run.schedule)),
    ]

    again = raft_chaos(*words, "--out", str(tmp_path / "again"), "--fail-fast", "--json")
    assert again.returncode == 1
    document = json.loads(again.stdout)
    assert {"verdict", "seed", "world", "run_dir", "invariants", "stats", "repro"} <= set(document)
    second = only_run(tmp_path / "again")
    assert (document["verdict"], document["world"], document["run_dir"]) == ("violated", "live", str(second.path))
    assert (document["seed"], document["mutant"]) == (1, "vote_not_persisted")
    assert document["invariants"]["one_vote_per_term"] == "violated"
    assert next(v for v in document["violations"] if v["invariant"] == "one_vote_per_term")["witness"]
    assert again.stderr.splitlines()[-1] == document["repro"]
    assert second.schedule.read_bytes() == run.schedule.read_bytes()
    harness = second.harness_events()
    assert isinstance(harness[-1], RunEnded)
    assert harness[-1].reason == "ended at the first violation, of one_vote_per_term"
    assert [event.phase for event in harness if isinstance(event, PhaseStarted)] == ["warmup", "safety"]


# ---- no_up_to_date_check: a node that missed entries is elected over those that have them -------------------------


def apart(node: str) -> Grudge:
    others = [other for other in NODES if other != node]
    return {node: others} | {other: [node] for other in others}


@pytest.mark.slow
def test_a_leader_that_lacks_committed_entries_is_convicted(tmp_path: Path) -> None:
    """A follower that was cut off asks for votes in a late term; as it comes back, the leader is killed.

    Each node in turn, since one of them leads: at least two are followers when their turn comes.
    """
    faults = []
    for turn, node in enumerate(NODES):
        at_us = 700_000 + turn * 1_000_000
        faults.append(fault(f"cut{turn}", at_us, Partition("one", apart(node)), 700_000))
        faults.append(fault(f"kill{turn}", at_us + 690_000, Kill(["leader"], [250_000])))
    document = convicted(tmp_path, "no_up_to_date_check", faults, until_us=4_000_000)
    assert document["invariants"]["leader_completeness"] == "violated"
    assert document["invariants"]["one_vote_per_term"] == "valid"


# ---- election_storm: a candidate does not wait for its election timeout ----------------------------------------------


@pytest.mark.slow
def test_elections_that_begin_too_soon_are_convicted_in_real_time(tmp_path: Path) -> None:
    """A follower that is cut off stands again and again; two nodes in turn, since one of them may lead."""
    faults = [fault(f"cut{turn}", 700_000 + turn * 1_000_000, Partition("one", apart(node)), 900_000)
              for turn, node in enumerate(NODES[:2])]  # fmt: skip
    document = convicted(tmp_path, "election_storm", faults, until_us=3_000_000)
    assert document["invariants"]["election_timer"] == "violated"
    assert any("its shortest election timeout is" in one["message"] for one in document["violations"])


# ---- ack_before_sync: what a majority acknowledged is on one disk only --------------------------------------------


@pytest.mark.slow
def test_acknowledged_entries_that_were_never_on_disk_are_missed(tmp_path: Path) -> None:
    """The followers' disks are slow, all nodes are killed at once, and the leader, which has the entries, is late."""
    faults = []
    for turn in range(2):
        at_us = 700_000 + turn * 900_000
        faults.append(fault(f"slow{turn}", at_us, SlowSync(["n2", "n3"], 40_000, 50_000), 300_000))
        faults.append(fault(f"kill{turn}", at_us + 250_000, Kill(["leader", *NODES], [500_000, 0, 0, 0])))
    document = convicted(tmp_path, "ack_before_sync", faults, until_us=2_500_000)
    assert document["invariants"]["quorum_log"] == "violated"
    assert document["invariants"]["one_vote_per_term"] == "valid"

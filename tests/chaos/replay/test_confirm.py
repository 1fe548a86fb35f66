"""Damaged evidence never convicts: of a sealed run nothing is believed, and an unsealed one is executed again."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest

from builders.damages import damage, evidence
from builders.runs import unsealed
from builders.schedules import TIMING
from raft_chaos.chaos.replay.confirm import judge_again
from raft_chaos.chaos.run.live.run import run_live
from raft_chaos.chaos.run.settings import Settings, describe
from raft_chaos.chaos.run.sim.world import run_sim
from raft_chaos.chaos.run.world import World
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.invariants.rundir import RunDir

CONFIG = ScheduleConfig(nodes=3, clients=3, warmup_s=1, duration_s=4, liveness_s=1, ops_per_second=60)
SEED = 3
DAMAGES = 100


def made(world: World, folder: Path, mutant: str | None = None) -> RunDir:
    run = RunDir(folder / world)
    settings = Settings(world=world, schedule=CONFIG, timing=TIMING, mutant=mutant)
    plan = settings.make_schedule(SEED)
    info = describe(settings, SEED, plan, run)
    if world == "live":
        run_live(plan, settings.target(), run, info)
    else:
        run_sim(plan, TIMING, mutant, run, info)
    return run


@pytest.fixture(scope="module", params=[pytest.param("live", marks=[pytest.mark.live, pytest.mark.slow]), "sim"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run of a correct cluster."""
    return made(request.param, tmp_path_factory.mktemp("whole"))


@pytest.fixture
def run(whole: RunDir, tmp_path: Path) -> RunDir:
    """A copy of it."""
    return RunDir(Path(shutil.copytree(whole.path, tmp_path / "copy")))


def killed(run: RunDir) -> RunDir:
    """The same run as a controller leaves it that was killed in its last moment."""
    info = unsealed(run).load_info()
    info.state, info.verdict, info.invariants, info.stats, info.trace_sha256 = "running", None, [], {}, ""
    run.save_info(info)
    return run


def test_a_sealed_run_with_any_damage_is_unknown_and_the_file_is_named(run: RunDir) -> None:
    whole = judge_again(run)
    assert whole.verdict != "violated" and not whole.damage
    rng = Random(SEED)
    for _ in range(DAMAGES):
        one = damage(run, rng)
        analysis = judge_again(run)
        assert (analysis.verdict, len(analysis.vacuous)) == ("unknown", 1), one
        assert analysis.vacuous[0].startswith(f"{one.name}: "), one
        one.undo()
    assert judge_again(run) == whole, "no damage is left"


@pytest.mark.parametrize("leaves", [unsealed, killed], ids=["an earlier version", "killed"])
@pytest.mark.parametrize("damages", [8, pytest.param(DAMAGES, marks=pytest.mark.slow)])
def test_no_damage_convicts_an_unsealed_run(leaves: type[RunDir], damages: int, run: RunDir) -> None:
    whole = judge_again(leaves(run))
    assert whole.verdict != "violated" and not whole.damage
    rng = Random(SEED)
    for _ in range(damages):
        one = damage(run, rng)
        try:
            assert judge_again(run).verdict != "violated", one
        except ScheduleError:
            assert one.name == "schedule.jsonl"
        one.undo()
    assert judge_again(run) == whole, "no damage is left"


def test_one_digit_of_a_digest_is_not_confirmed(run: RunDir) -> None:
    """No line contradicts another: only what the nodes do with their inputs tells that the digit is another."""
    killed(run)
    file = next(file for file in reversed(evidence(run)) if file.name == "events-0001.jsonl")
    head, quoted, tail = file.read_bytes().rpartition(b'"kind":"entry_applied"')
    before, digest, rest = tail.partition(b'"digest":"')
    other = b"1" if rest[:1] == b"0" else b"0"
    file.write_bytes(head + quoted + before + digest + other + rest[1:])
    analysis = judge_again(run)
    assert analysis.verdict == "unknown"
    (why,) = analysis.damage
    assert why.startswith("the violation is not certain, since the run has no seal: ")
    assert analysis.vacuous[0] == why
    assert all(verdict.outcome != "violated" for verdict in analysis.invariants)


@pytest.mark.parametrize("world", [pytest.param("live", marks=[pytest.mark.live, pytest.mark.slow]), "sim"])
def test_a_violation_of_an_unsealed_run_counts_if_it_happens_again(world: World, tmp_path: Path) -> None:
    run = made(world, tmp_path, "term_not_persisted")
    sealed = judge_again(run)
    assert sealed.verdict == "violated"
    again = judge_again(killed(run))
    assert (again.verdict, again.damage, again.invariants) == ("violated", (), sealed.invariants)

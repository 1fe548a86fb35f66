"""One seed of a campaign: its files, and a run that does not repeat."""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec
import pytest

from builders.campaigns import ALWAYS_CONVICTED, settings
from builders.commands import only_run
from raft_chaos.chaos.campaign.seed import COMPARED, NotDeterministicError, run_seed, run_seed_compared
from raft_chaos.chaos.mutants import SABOTAGES
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.schedule.file import load
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.trace import trace_sha256


def idle(mutant: str | None = None) -> Settings:
    """Schedules without faults: there is no change of leader, so their runs are vacuous."""
    plain = settings(mutant)
    return msgspec.structs.replace(plain, schedule=msgspec.structs.replace(plain.schedule, faults=()))


def test_a_valid_seed_gives_a_result_and_leaves_no_file(tmp_path: Path) -> None:
    result = run_seed(settings(), 1, tmp_path)
    assert (result.seed, result.verdict, result.violated, result.unknown, result.vacuous) == (1, "valid", [], [], [])
    assert (result.run, result.repro) == (None, "")
    assert len(result.trace_sha256) == 64
    assert result.stats["ops_ok"] > 0  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []


def test_a_seed_gives_the_same_result_again() -> None:
    first, again = (run_seed(settings(), 2, None) for _ in range(2))
    for result in (first, again):
        result.stats["wall_s"] = 0
    assert first == again
    assert run_seed(settings(), 3, None).trace_sha256 != first.trace_sha256


def test_a_violated_seed_leaves_a_run_directory_with_the_same_trace(tmp_path: Path) -> None:
    given = settings(ALWAYS_CONVICTED)
    result = run_seed(given, 1, tmp_path)
    assert result.verdict == "violated" and "one_vote_per_term" in result.violated
    run = only_run(tmp_path)
    assert result.run == str(run.path)
    info = run.load_info()
    assert (info.seed, info.world, info.mutant, info.state) == (1, "sim", ALWAYS_CONVICTED, "finished")
    assert info.trace_sha256 == result.trace_sha256 == trace_sha256(run)
    assert info.verdict == "violated"
    assert {verdict.invariant for verdict in info.invariants if verdict.outcome == "violated"} == set(result.violated)
    assert load(run.schedule).faults == sorted(given.make_schedule(1).faults, key=lambda one: one.id)
    assert result.repro == info.repro
    program, *words = shlex.split(result.repro)
    assert Path(program).name == "raft-chaos" and words[:3] == ["run", "--seed", "1"]


def test_a_compared_seed_has_the_numbers_of_the_right_core_as_well() -> None:
    mutant = settings("election_storm")
    alone, right = run_seed(mutant, 2, None), run_seed(settings(), 2, None)
    compared = run_seed_compared(mutant, 2, None)
    assert compared.baseline == {name: right.stats[name] for name in COMPARED}
    assert alone.baseline == {} and compared.stats["max_term"] == alone.stats["max_term"]
    assert (compared.verdict, compared.trace_sha256) == (alone.verdict, alone.trace_sha256)


def test_a_vacuous_seed_is_unknown_and_leaves_a_run_directory(tmp_path: Path) -> None:
    result = run_seed(idle(), 1, tmp_path)
    assert (result.verdict, result.violated) == ("unknown", [])
    assert any("no change of leader" in missing for missing in result.vacuous)
    assert result.run is not None and RunDir(Path(result.run)).load_info().vacuous == result.vacuous


def test_no_run_directory_is_made_without_an_output_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_seed(settings(ALWAYS_CONVICTED), 1, None)
    assert (result.verdict, result.run, result.repro) == ("violated", None, "")
    assert list(tmp_path.iterdir()) == []


def test_two_runs_of_a_seed_have_two_directories(tmp_path: Path) -> None:
    runs = {run_seed(settings(ALWAYS_CONVICTED), 1, tmp_path).run for _ in range(2)}
    assert len(runs) == 2 and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("sabotage", ["global_random", "wall_clock"])
def test_a_seed_whose_recorded_run_differs_is_an_error(sabotage: str, tmp_path: Path) -> None:
    assert sabotage in SABOTAGES
    with pytest.raises(
        NotDeterministicError, match=r"seed 1 had the trace [0-9a-f]{64} and then [0-9a-f]{64}"
    ) as raised:
        run_seed(idle(sabotage), 1, tmp_path)
    run = only_run(tmp_path)
    assert str(run.path) in str(raised.value), "what was recorded stays, and is named"
    assert run.load_info().state == "finished"

"""`shrink` and `repro` of somebody else's system: by runs in real time, of two wrong examples."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from builders.commands import RAFT_CHAOS, Command, background, only_run, raft_chaos
from builders.reproductions import reproduction
from builders.schedules import TIMING, fault, schedule
from builders.waiting import eventually
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.reproduction.file import Expected, Reproduction, ReproductionError, Scenario, load, save
from raft_chaos.chaos.reproduction.system import Rate, System, SystemFile, on_this_machine
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.file import load as load_schedule
from raft_chaos.chaos.schedule.file import save as save_schedule
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.invariants.verdict import Violation

ROOT = Path(__file__).parents[4]
EXAMPLES = ROOT / "examples"
STALE = f"stdio:{sys.executable} {EXAMPLES / 'stdio_primary.py'} --stale"
SHORT = ("--seed", "5", "--duration", "6", "--liveness", "1", "--rate", "60")


def red_run(target: str, folder: Path, *more: str) -> Path:
    """A run that is violated."""
    drawn = () if "--schedule" in more else SHORT
    done = raft_chaos("run", "--target", target, *drawn, *more, "-q", "--out", str(folder / "out"))
    assert done.returncode == 1, done.stdout + done.stderr
    return only_run(folder / "out").path


def kills_of_the_first_node(folder: Path) -> str:
    """A schedule in which the others cannot reach it, again and again, while clients read and write."""
    config = ScheduleConfig(
        nodes=3, warmup_s=1.5, duration_s=7.5, liveness_s=1, ops_per_second=60, can=("get", "put", "kill"), readers=True
    )
    drawn = generate(5, config)
    kills = [fault(f"f{at_s}", at_s * 1_000_000, Kill(["n1"], [1_000_000]), 1_000_000) for at_s in (2, 4, 6)]
    save_schedule(replace(drawn, header=replace(drawn.header, required=[]), faults=kills), folder / "plan.jsonl")
    return str(folder / "plan.jsonl")


def a_shelf_that_forgets(folder: Path) -> Path:
    """The target's file, with absolute paths."""
    text = (EXAMPLES / "shelf.toml").read_text()
    text = text.replace("python3 examples/shelf.py", f"{sys.executable} {folder / 'shelf.py'}")
    shutil.copy(EXAMPLES / "shelf.py", folder)
    (folder / "shelf.toml").write_text(text.replace('{data}"', '{data} --forget"'))
    return folder / "shelf.toml"


def of_a_system(system: System) -> Reproduction:
    """A reproduction of a run of it, without any run."""
    return replace(
        reproduction(),
        expected=Expected(violation=Violation("monotonic_reads", "wrong", "a rule"), trace_sha256=""),
        mutant=None,
        execution=None,
        scenario=Scenario(timing=TIMING, schedule=schedule()),
        system=system,
    )


# ---- the whole way -----------------------------------------------------------------------------------------------


@pytest.mark.live
@pytest.mark.slow
def test_stale_reads_become_fewer_operations(tmp_path: Path, command: Command) -> None:
    run = red_run(STALE, tmp_path, "--fail-fast", "--nodes", "3")
    code, stdout, stderr = command("shrink", run, "--budget", "60s", "--json", "--jobs", "2")
    assert (code, stderr) == (0, ""), stderr
    document = json.loads(stdout)
    assert (document["system"], document["file"]) == ("stdio", str(run / "reproduction.json"))
    # How much smaller depends on the speed of the machine.
    assert document["after"]["operations"] < document["before"]["operations"]
    assert document["after"]["faults"] <= document["before"]["faults"] and document["rate_before"][0] > 0
    made = load(run / "reproduction.json")
    assert made.foreign is not None and made.foreign.target == STALE
    assert [Path(file.path).resolve() for file in made.foreign.files] == [EXAMPLES / "stdio_primary.py"]

    code, stdout, stderr = command("repro", run, "--repeat", "3", "--out", tmp_path / "again")
    assert code == 1 and "reproduced in" in stdout
    assert ("when the file was made" in stdout) == (made.foreign.rate is not None), "a busy machine has no time for it"
    assert stderr.count("\n") == 3 and "run 3 of 3" in stderr
    runs = list((tmp_path / "again").iterdir())
    assert len(runs) == 3 and all((one / "nodes" / "n1" / "stderr.log").exists() for one in runs)
    assert not any((one / "nodes" / "n1" / "data").exists() for one in runs)
    assert command("check", runs[0])[0] in (0, 1, 2), "the data is no evidence"
    code, _, stderr = command("explain", run / "reproduction.json")
    assert code == 254 and "it is a failure of stdio, which runs only in live; run it with " in stderr


@pytest.mark.live
@pytest.mark.slow
def test_an_interrupted_search_leaves_the_best_so_far_and_no_process(tmp_path: Path) -> None:
    run = red_run(STALE, tmp_path, "--fail-fast", "--nodes", "3")
    with background(RAFT_CHAOS, "shrink", str(run)) as shrinking:
        eventually("the first result", lambda: (run / "reproduction.json").exists() and shrinking.family(), 120)
        assert shrinking.interrupt() == 130
        assert "interrupted, so it may not be minimal" in shrinking.stdout
        eventually("all processes are gone", shrinking.all_gone)
        assert list(shrinking.temp.iterdir()) == []
    made = load(run / "reproduction.json")
    assert made.foreign is not None and made.foreign.before is not None


@pytest.mark.live
@pytest.mark.slow
def test_a_store_that_forgets_is_run_again_on_another_machine(tmp_path: Path, command: Command) -> None:
    target = a_shelf_that_forgets(tmp_path)
    run = red_run(str(target), tmp_path, "--fail-fast", "--schedule", kills_of_the_first_node(tmp_path))
    code, stdout, stderr = command("shrink", run, "--budget", "60s")
    assert code == 0, stderr
    made = load(run / "reproduction.json")
    assert made.foreign is not None and made.scenario is not None
    assert (made.foreign.text, made.foreign.can[:2]) == (target.read_text(), ["get", "put"])
    assert len(made.scenario.schedule.operations) < len(load_schedule(run / "schedule.jsonl").operations)
    assert "violated in runs" in stdout

    target.unlink()  # as on another machine
    with (tmp_path / "shelf.py").open("a") as program:
        program.write("# changed\n")
    code, stdout, stderr = command("repro", run / "reproduction.json", "--repeat", "3", "--out", tmp_path / "again")
    assert code in (0, 1) and "shelf.toml is not there; its text in the reproduction is used" in stderr
    assert f"{tmp_path / 'shelf.py'} has changed" in stderr


# ---- the file ----------------------------------------------------------------------------------------------------


def test_a_file_without_a_system_has_no_such_field(tmp_path: Path) -> None:
    """So that the digests of files that earlier versions made stay right."""
    save(reproduction(), tmp_path / "one.json")
    assert "system" not in json.loads((tmp_path / "one.json").read_text())
    assert load(tmp_path / "one.json").foreign is None


def test_a_system_is_read_as_it_was_written(tmp_path: Path) -> None:
    system = System(name="x", target="x.toml", text="a\nb", before=Rate(3, 5), files=[SystemFile("x.toml", "00")])
    save(of_a_system(system), tmp_path / "one.json")
    assert load(tmp_path / "one.json").foreign == system


def test_a_system_needs_a_schedule(tmp_path: Path) -> None:
    save(replace(of_a_system(System(name="x")), scenario=None), tmp_path / "one.json")
    with pytest.raises(ReproductionError, match="neither execution nor scenario"):
        load(tmp_path / "one.json")
    save(replace(of_a_system(System(name="x")), execution=reproduction().execution), tmp_path / "two.json")
    with pytest.raises(ReproductionError, match="system: expected a scenario and no execution"):
        load(tmp_path / "two.json")


def test_a_change_is_told_and_not_refused(tmp_path: Path) -> None:
    target = a_shelf_that_forgets(tmp_path)
    files = [SystemFile(str(target), "1" * 64), SystemFile(str(tmp_path / "none"), "2" * 64)]
    system = System(name="shelf", target=str(target), files=files)
    here, told = on_this_machine(system, tmp_path)
    assert here == system and len(told) == 2
    assert told[0].startswith(f"{target} has changed (SHA-256 ") and told[0].endswith("with SHA-256 " + "1" * 12)
    assert told[1].startswith(f"{tmp_path / 'none'} is not there; ")


@pytest.mark.parametrize("world", ["sim", "lockstep"])
def test_virtual_time_has_no_other_system(world: str, tmp_path: Path, command: Command) -> None:
    save(of_a_system(System(name="x", target="x.toml")), tmp_path / "one.json")
    code, stdout, stderr = command("repro", tmp_path / "one.json", "--world", world)
    assert (code, stdout) == (2, "")
    assert stderr == f"raft-chaos: not applicable in {world}: it is a failure of x, which runs only in live\n"


def test_a_system_that_is_not_there_and_a_mutant_of_it_are_refused(tmp_path: Path, command: Command) -> None:
    save(of_a_system(System(name="x", target="x.toml")), tmp_path / "one.json")
    code, stdout, stderr = command("repro", tmp_path / "one.json")
    assert (code, stdout) == (254, "") and stderr.startswith("raft-chaos: x.toml: there is no such file; ")
    code, stdout, stderr = command("repro", tmp_path / "one.json", "--mutant", "none")
    assert (code, stdout) == (254, "") and "is a failure of x; a mutant is our own Raft" in stderr

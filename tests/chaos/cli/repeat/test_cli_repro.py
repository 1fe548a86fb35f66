"""`raft-chaos repro`: exit codes in each world and over each core, the document, and files that cannot be used."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from msgspec.structs import replace

from builders.commands import RAFT_CHAOS, Command, background, only_run, raft_chaos
from builders.executions import recorded
from builders.reproductions import STUCK, VOTE, reproduction
from builders.waiting import PATIENCE_S, eventually
from raft_chaos.chaos.reproduction.file import save

DIGEST = reproduction().expected.trace_sha256


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save(reproduction(), tmp_path / "one.json")
    return tmp_path / "one.json"


# ---- virtual time ------------------------------------------------------------------------------------------------


def test_the_failure_is_reproduced_over_the_core_that_the_file_names(
    file: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, stdout, stderr = command("repro", file)
    assert (code, stderr) == (1, "")
    lines = stdout.splitlines()
    assert lines[0].startswith("VIOLATED one_vote_per_term: n")
    assert lines[-1] == (
        f"reproduced over the mutant {VOTE[0]}: the same trace as when the file was made (SHA-256 {DIGEST})"
    )


def test_the_invariant_holds_over_the_unmodified_core(file: Path, command: Command) -> None:
    code, stdout, stderr = command("repro", file, "--mutant", "none")
    assert (code, stdout, stderr) == (0, "one_vote_per_term: holds over the unmodified core\n", "")


def test_over_another_mutant_the_other_violation_is_printed(file: Path, command: Command) -> None:
    code, stdout, _ = command("repro", file, "--mutant", "term_not_persisted", "--json")
    document = json.loads(stdout)
    assert (code, document["mutant"], document["same_trace"]) == (1, "term_not_persisted", False)
    assert (document["outcome"], document["verdict"]) == ("violated", "valid")
    assert [violation["invariant"] for violation in document["violations"]] == ["monotonicity"]
    assert "one_vote_per_term holds now" in command("repro", file, "--mutant", "term_not_persisted")[1]


def test_the_document_says_the_same(file: Path, command: Command) -> None:
    code, stdout, stderr = command("repro", file, "--json")
    document = json.loads(stdout)
    assert (code, stderr) == (1, "")
    assert [v.pop("invariant") for v in document.pop("violations")] == ["one_vote_per_term"]
    assert document == {
        "outcome": "reproduced",
        "world": "sim",
        "invariant": "one_vote_per_term",
        "verdict": "violated",
        "mutant": VOTE[0],
        "trace_sha256": DIGEST,
        "same_trace": True,
        "skipped_steps": [],
    }


@pytest.mark.slow
def test_a_violation_of_recovery_is_reproduced_and_can_hold(tmp_path: Path, command: Command) -> None:
    save(reproduction(*STUCK), tmp_path / "stuck.json")
    assert command("repro", tmp_path / "stuck.json")[0] == 1
    assert command("repro", tmp_path / "stuck.json", "--mutant", "none")[0] == 0


def test_an_invariant_that_could_not_be_judged_is_unknown(tmp_path: Path, command: Command) -> None:
    """Recovery, by an execution that just ends."""
    violation = replace(reproduction().expected.violation, invariant="recovery")
    save(replace(reproduction(), expected=replace(reproduction().expected, violation=violation)), tmp_path / "x.json")
    code, stdout, _ = command("repro", tmp_path / "x.json", "--mutant", "none")
    assert code == 2
    assert stdout.startswith("recovery: could not be judged over the unmodified core (")


def test_a_kept_run_has_the_nodes_of_the_execution(tmp_path: Path, command: Command) -> None:
    """The scenario may be of others: they are shrunk one by one."""
    one = reproduction()
    assert one.scenario is not None
    header = replace(one.scenario.schedule.header, nodes=["a", "b", "c"])
    other = replace(one.scenario, schedule=replace(one.scenario.schedule, header=header, faults=[]))
    save(replace(one, scenario=other), tmp_path / "one.json")
    code, _, stderr = command("repro", tmp_path / "one.json", "--out", tmp_path / "out")
    run = only_run(tmp_path / "out")
    assert (code, stderr) == (1, f"recorded in {run.path}\n")
    info = run.load_info()
    assert (info.verdict, info.trace_sha256, info.mutant, info.state) == ("violated", DIGEST, VOTE[0], "finished")
    assert one.execution is not None and info.nodes == one.execution.nodes
    assert command("check", run.path)[0] == 1


# ---- real processes ----------------------------------------------------------------------------------------------


@pytest.mark.live
def test_real_processes_reproduce_the_failure_with_the_same_trace(file: Path, tmp_path: Path) -> None:
    done = raft_chaos("repro", str(file), "--world", "lockstep", "--json", cwd=tmp_path)
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert (document["outcome"], document["world"], document["trace_sha256"]) == ("reproduced", "lockstep", DIGEST)
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"], "nothing is left"


@pytest.mark.live
def test_in_real_time_the_failure_is_reproduced_or_not(file: Path, tmp_path: Path, command: Command) -> None:
    code, stdout, stderr = command("repro", file, "--world", "live", "--json", "--out", tmp_path / "out")
    document = json.loads(stdout)
    assert (document["runs"], document["run_dirs"]) == (1, [str(only_run(tmp_path / "out").path)])
    assert document["reproduced"] + document["other_violations"] <= 1
    assert code == (document["outcome"] != "holds") and stderr.startswith(f"run 1 of 1: {document['outcome']}, ")
    least, most = document["rate_95"]
    assert 0 <= least < most <= 1


@pytest.mark.live
def test_a_lockstep_run_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    """Of an execution that takes long enough to be ended in."""
    save(replace(reproduction(), execution=recorded(2, VOTE[0])), tmp_path / "long.json")
    with background(RAFT_CHAOS, "repro", str(tmp_path / "long.json"), "--world", "lockstep") as one:
        eventually("all nodes are at work", lambda: at_work(one.temp))
        one.family()
        one.process.send_signal(signal.SIGINT)
        assert one.process.wait(PATIENCE_S) == 130, "it was not over before it was ended"
        assert (one.stdout, one.stderr) == ("", "interrupted by SIGINT\n")
        eventually("every process is gone", one.all_gone)
        eventually("every temporary folder is gone", lambda: not list(one.temp.iterdir()))


def at_work(temp: Path) -> bool:
    files = list(temp.glob("raft-chaos-*/run/nodes/*/events-0001.jsonl"))
    return len(files) == 3 and all(file.stat().st_size > 2_000 for file in files)


def test_a_run_directory_stands_for_the_file_in_it(file: Path, tmp_path: Path, command: Command) -> None:
    run = tmp_path / "a run"
    run.mkdir()
    made = f"raft-chaos: {run} has no reproduction.json; make it with: raft-chaos shrink '{run}'\n"
    assert command("repro", run) == (254, "", made)
    (run / "reproduction.json").write_bytes(file.read_bytes())
    assert command("repro", run, "--json") == command("repro", run / "reproduction.json", "--json")


def test_a_file_that_a_world_cannot_run_is_not_applicable(tmp_path: Path, command: Command) -> None:
    save(replace(reproduction(), scenario=None), tmp_path / "one.json")
    code, stdout, stderr = command("repro", tmp_path / "one.json", "--world", "live")
    assert (code, stdout) == (2, "")
    assert stderr.startswith("raft-chaos: not applicable in live: the file has only an execution, which real time")
    code, stdout, _ = command("repro", tmp_path / "one.json", "--world", "live", "--json")
    assert (code, json.loads(stdout)["outcome"]) == (2, "not applicable")


@pytest.mark.live
def test_only_sim_plays_several_inputs_at_once(tmp_path: Path, command: Command) -> None:
    one = reproduction()
    assert one.execution is not None
    steps = [replace(s, more=True) if type(s).__name__ == "Timeout" else s for s in one.execution.steps]
    save(replace(one, execution=replace(one.execution, steps=steps)), tmp_path / "one.json")
    code, stdout, stderr = command("repro", tmp_path / "one.json", "--world", "lockstep")
    assert (code, stdout) == (2, "")
    assert "not applicable in lockstep: step " in stderr


# ---- wrong arguments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mutant", "xyz"], "--mutant: there is no 'xyz'; there are none, vote_not_persisted, "),
        (["--world", "mars"], "--world: "),
        (["--repeat", "3"], "--repeat: sim always gives the same result; only --world live has a rate"),
        (["--repeat", "0", "--world", "live"], "--repeat: expected at least 1, got '0'"),
        (["--out", __file__], f"--out: cannot make run directories in {__file__} ("),
    ],
)
def test_bad_arguments_are_named(words: list[str], said: str, file: Path, command: Command) -> None:
    code, stdout, stderr = command("repro", file, *words)
    assert (code, stdout) == (254, "")
    assert stderr.startswith(f"raft-chaos: {said}") and stderr.count("\n") == 1


def test_an_edited_file_needs_the_option_edited(file: Path, command: Command) -> None:
    file.write_text(file.read_text().replace('"invariant": "one_vote_per_term"', '"invariant": "election_safety"'))
    for words in ([], ["--json"], ["--mutant", "none"], ["--world", "lockstep"], ["--world", "live"]):
        code, stdout, stderr = command("repro", file, *words)
        assert (code, stdout) == (254, "")
        assert stderr.startswith(f"raft-chaos: {file}: was changed after it was made: its checksum does not match. ")
    code, stdout, _ = command("repro", file, "--edited")
    assert code == 1 and "election_safety holds now over the mutant" in stdout


def test_a_file_that_is_no_reproduction_is_refused_in_one_line(file: Path, tmp_path: Path, command: Command) -> None:
    whole = file.read_bytes()
    (tmp_path / "cut.json").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.json").touch()
    (tmp_path / "deep.json").write_bytes(b'{"kind": "reproduction", "x": ' + b"[" * 100_000)
    for name in ("cut.json", "empty.json", "deep.json", "none.json"):
        for words in ([], ["--edited"]):
            code, stdout, stderr = command("repro", tmp_path / name, *words)
            assert (code, stdout, stderr.count("\n")) == (254, "", 1)
            assert stderr.startswith(f"raft-chaos: {tmp_path / name}: ")

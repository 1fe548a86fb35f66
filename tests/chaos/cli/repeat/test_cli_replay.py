"""`raft-chaos replay`: exit codes, the pages of an exact run and of a difference, the replay to a violation."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from builders.commands import RAFT_CHAOS, Command
from builders.runs import unsealed
from builders.schedules import NODES, TIMING
from builders.storms import stormy
from builders.waiting import PATIENCE_S
from raft_chaos.chaos.run.lockstep.run import run_lockstep
from raft_chaos.chaos.run.sim.world import run_sim
from raft_chaos.invariants.events import decode
from raft_chaos.invariants.rundir import RunDir, RunInfo

pytestmark = pytest.mark.live

MUTANT = "no_up_to_date_check"
STORM = 19
"""In the storm of this seed its voters elect a leader that lacks a committed entry."""


def info(world: str, mutant: str | None = None) -> RunInfo:
    return RunInfo(seed=1, world=world, mutant=mutant, nodes=NODES, config={"timing": msgspec.to_builtins(TIMING)})


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = RunDir(tmp_path_factory.mktemp("right") / "run")
    run_lockstep(stormy(STORM), TIMING, None, run, info("lockstep"))
    return run


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = RunDir(tmp_path_factory.mktemp("wrong") / "run")
    assert run_lockstep(stormy(STORM), TIMING, MUTANT, run, info("lockstep", MUTANT)).verdict == "violated"
    return run


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = RunDir(tmp_path_factory.mktemp("sim") / "run")
    run_sim(stormy(STORM), TIMING, None, run, info("sim"))
    return run


# ---- exact and different ---------------------------------------------------------------------------------------------


def test_an_exact_replay_says_how_much_was_compared(right: RunDir, command: Command) -> None:
    code, told, said = command("replay", right.path)
    assert (code, said) == (0, "")
    *_, last = told.splitlines()
    events = sum(len(stream) for stream in right.node_streams())
    assert last.startswith("exact: ") and last.endswith(f"{events} events are equal to the recording, bit for bit")


def test_one_node_is_replayed_alone_and_as_a_document(right: RunDir, command: Command) -> None:
    code, told, _ = command("replay", right.path, "--node", "n3", "--json")
    document = json.loads(told)
    assert (code, document["verdict"], document["differences"]) == (0, "exact", [])
    (node,) = document["nodes"]
    assert (node["node"], node["incarnations_different"], node["deaths"]) == ("n3", 0, [])
    assert (node["incarnations"], node["turns"] > 10) == (len(right.journals()["n3"]), True)


def test_a_run_is_replayed_with_its_own_mutant(wrong: RunDir, command: Command) -> None:
    assert command("replay", wrong.path)[0] == 0
    code, told, _ = command("replay", wrong.path, "--mutant", "none")
    assert code == 1
    *_, last = told.splitlines()
    assert last.startswith("different: ")


def test_the_first_difference_of_a_node_prints_its_inputs_and_output(wrong: RunDir, command: Command) -> None:
    code, told, _ = command("replay", wrong.path, "--mutant", "none", "--json")
    first = json.loads(told)["differences"][0]
    assert code == 1
    # The right voter refuses what the mutant granted.
    assert first["inputs"][0].startswith("receives #") and "RequestVote term" in first["inputs"][0]
    assert not any("vote n" in line for line in first["does_now"])
    lines = command("replay", wrong.path, "--mutant", "none")[1].splitlines()
    where = f"{first['node']}#{first['incarnation']}, turn {first['turn']}, at {first['at_us'] / 1e6:.6f} s"
    begin = next(number for number, line in enumerate(lines) if line.startswith(where))
    assert lines[begin] == f"{where}: {first['what']}"
    assert lines[begin + 1 : begin + 3] == ["  inputs:", f"    {first['inputs'][0]}"]


def test_a_differing_event_is_printed_as_recorded_and_as_it_is_now(
    right: RunDir, tmp_path: Path, command: Command
) -> None:
    copy = unsealed(RunDir(Path(shutil.copytree(right.path, tmp_path / "copy"))))
    file = copy.node_events("n1", 1)
    lines = file.read_bytes().splitlines(keepends=True)
    event = decode(lines[0])
    lines[0] = lines[0].replace(b'"term":0', b'"term":7')
    file.write_bytes(b"".join(lines))
    code, told, _ = command("replay", copy.path)
    assert (code, event.node) == (1, "n1")
    assert "  recorded: 0.000000  n1#1         started in term 7, no vote, log empty\n" in told
    assert "  now:      0.000000  n1#1         started in term 0, no vote, log empty\n    term: 7, 0\n" in told


def test_a_run_of_sim_is_run_again(simulated: RunDir, command: Command) -> None:
    sha256 = simulated.load_info().trace_sha256
    code, told, _ = command("replay", simulated.path)
    assert code == 0 and told.startswith("exact: ") and " ".join(told.split()).endswith(f"SHA-256 {sha256}")
    document = json.loads(command("replay", simulated.path, "--json")[1])
    assert (document["verdict"], document["trace_sha256"], document["difference"]) == ("exact", sha256, None)
    code, told, _ = command("replay", simulated.path, "--mutant", MUTANT)
    assert code == 1 and "events equal, then the runs differ." in told


# ---- up to a violation -----------------------------------------------------------------------------------------------


def elected(told: str) -> tuple[str, int, str]:
    """The leader that should not have been elected: its name, incarnation and term."""
    found = re.match(r"VIOLATED leader_completeness: (n\d) \(incarnation (\d)\), elected leader of term (\d+)", told)
    assert found is not None, told
    return found[1], int(found[2]), found[3]


def test_a_node_is_replayed_up_to_the_turn_of_the_violation(
    wrong: RunDir, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, told, said = command("replay", wrong.path, "--until", "violation")
    assert (code, said) == (0, "")
    lines = told.splitlines()
    node, incarnation, term = elected(lines[0])
    document = json.loads(command("replay", wrong.path, "--until", "violation", "--json")[1])
    assert (document["verdict"], document["node"], document["incarnation"]) == ("exact", node, incarnation)
    assert lines[2].startswith(f"{node}#{incarnation}, turn {document['turn']}, at ")
    assert f"became leader in term {term}" in document["does"]
    assert document["inputs"][0].endswith(f"RequestVoteReply term {term}, granted")
    assert document["state"][0] == f"leader in term {term}, voted for {node}, leader {node}"
    assert lines[-len(document["state"]) :] == [f"    {line}" for line in document["state"]]
    assert re.match(r"of n\d: matches up to ", document["state"][-2])
    assert document["violation"]["invariant"] == "leader_completeness"


def test_with_other_code_the_replay_to_a_violation_ends_at_the_first_difference(
    wrong: RunDir, command: Command
) -> None:
    code, told, _ = command("replay", wrong.path, "--until", "violation", "--mutant", "vote_not_persisted")
    node, incarnation, _ = elected(told)
    assert code == 1 and f"{node}#{incarnation}, turn " in told and "output now:" in told


def test_a_run_without_a_violation_has_no_such_turn(right: RunDir, command: Command) -> None:
    code, told, said = command("replay", right.path, "--until", "violation")
    assert (code, told) == (2, "")
    assert said == (f"raft-chaos: --until violation: {right.path} has no such turn: no invariant is violated\n")


@pytest.mark.parametrize("typed", ["print(node.name, core.role, log.last_index, inputs == report)\n", "", "quit\n"])
def test_the_debugger_has_the_node_and_ends_with_its_input(wrong: RunDir, typed: str) -> None:
    command = [RAFT_CHAOS, "replay", str(wrong.path), "--until", "violation", "--debug"]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stderr) == (0, "")
    node, incarnation, _ = elected(done.stdout)
    scope = "In scope: node, core, log, machine, inputs, output, report"
    assert f"{scope}: {node}#{incarnation} after its turn " in done.stdout
    assert bool(re.search(rf"\(Pdb\) {node} leader \d+ False\n", done.stdout)) is typed.startswith("print")


# ---- arguments and files that cannot be used -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--until", "election"], "--until: expected violation, got 'election'"),
        (
            ["--debug"],
            "--debug: opens a debugger at a violation; give --until violation with it, and no --json",
        ),
        (
            ["--until", "violation", "--node", "n1"],
            "--until violation goes to the node that reported it; leave out --node",
        ),
        (["--mutant", "xyz"], "--mutant: there is no 'xyz'; there are none, "),
        (["--node", "n9"], "--node: 'n9' is no node of "),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], said: str, right: RunDir, command: Command) -> None:
    code, told, error = command("replay", right.path, *arguments)
    assert (code, told) == (254, "")
    assert error.startswith(f"raft-chaos: {said}") and error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--node", "n1"], ["--until", "violation"]])
def test_a_node_of_a_simulated_run_cannot_be_chosen(arguments: list[str], simulated: RunDir, command: Command) -> None:
    said = f"raft-chaos: {arguments[0]}: a run of sim has no journals; it is run again as a whole\n"
    assert command("replay", simulated.path, *arguments) == (254, "", said)


def test_a_run_without_journals_or_with_a_damaged_file_is_refused(
    right: RunDir, tmp_path: Path, command: Command
) -> None:
    copy = unsealed(RunDir(Path(shutil.copytree(right.path, tmp_path / "copy"))))
    file = copy.node_journal("n1", 1)
    whole = bytearray(file.read_bytes())
    whole[20] ^= 1
    file.write_bytes(whole)
    code, told, said = command("replay", copy.path)
    assert (code, told) == (254, "")
    assert said.startswith(f"raft-chaos: {file}, offset 8: the record is damaged, and an intact one follows at offset ")
    for _, one in copy.journals()["n1"]:
        one.unlink()
    said = (
        f"raft-chaos: {copy.node('n1')}: no journals; the run was made without them, or its target does not keep any\n"
    )
    assert command("replay", copy.path) == (254, "", said)
    shutil.rmtree(copy.path)
    assert command("replay", copy.path)[0] == 254

"""The command line: exit codes, stdout and stderr, and the errors of bad arguments."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from builders.commands import RAFT_CHAOS, Command, only_run, raft_chaos
from builders.schedules import saved, schedule
from builders.waiting import PATIENCE_S
from raft_chaos.chaos.faults.abilities import OF_NETWORK
from raft_chaos.chaos.faults.catalogue import LIVE_KINDS
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.mutants import MUTANTS
from raft_chaos.chaos.run.options import kinds_of
from raft_chaos.chaos.schedule.data import Fault, SimModel, When
from raft_chaos.chaos.schedule.file import save
from raft_chaos.chaos.targets.command import CommandTarget

pytestmark = pytest.mark.usefixtures("empty_folder")

OF_COMMANDS = kinds_of(None, "live", CommandTarget("true").can | OF_NETWORK["frames"])
"""The kinds of faults that a target of `--target-command` suffers."""

KILL_THE_LEADER = Fault(id="f1", when=When(at_us=700_000), action=Kill(["leader"], [500_000]), duration_us=0)


def short_run(folder: Path, *options: str) -> list[str]:
    """The arguments of a run that is valid in about two seconds."""
    plan = saved(folder, schedule([KILL_THE_LEADER], safety_us=(700_000, 1_300_000)))
    return ["run", "--schedule", plan, "--out", str(folder / "out"), *options]


# ---- wrong arguments: 254, one line that names the option, nothing done -------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "abc"], "--seeds: expected a seed or a range such as 1..20, got 'abc'"),
        (["--seeds", "5..1"], "--seeds: the range 5..1 is empty; its first seed must not be larger than its last"),
        (["--seeds", "1..2", "--seed", "1"], "--seeds cannot be combined with --seed or --schedule"),
        (["--seed", "-1"], "--seed: expected at least 0, got '-1'"),
        (["--mutant", "nope"], f"--mutant: there is no 'nope'; there are {', '.join(MUTANTS)}"),
        (
            ["--mutant", "ack_before_sync", "--target-command", "true"],
            "--mutant: it excludes --target-command: a mutant is our own Raft",
        ),
        (
            ["--faults", "kill,flood"],
            f"--faults: 'flood' is unknown in the world live; there are {', '.join(LIVE_KINDS)}",
        ),
        (
            ["--target-command", "true", "--faults", "kill,clock"],
            f"--faults: the target cannot do 'clock'; expected some of {', '.join(OF_COMMANDS)}",
        ),
        (["--world", "flat"], "--world: there is no 'flat'; there are sim, lockstep, live"),
        (
            ["--swarm"],
            "--swarm: it draws faults that only virtual time has; give --world sim or --world lockstep with it",
        ),
        (
            ["--world", "sim", "--target-command", "true"],
            "--world: only our own Raft runs in virtual time; leave out --world sim for command",
        ),
        (
            ["--world", "sim", "--peer-auth"],
            "--peer-auth: nodes in sim have no connections, so no handshake; give --world live or --world lockstep "
            "with it",
        ),
        (
            ["--target-command", "true", "--peer-auth"],
            "--peer-auth: only our own Raft has this handshake; leave it out for command",
        ),
        (
            ["--schedule", "none.jsonl"],
            "--schedule: none.jsonl: cannot be read (No such file or directory); expected a schedule as JSON lines",
        ),
        (
            ["--duration", "1"],
            "--duration: expected at least 3.9 (warmup_s, then 8 of the longest election timeout for a leader kill "
            "and a leader isolation), got 1",
        ),
        (["--nodes", "2"], "--nodes: expected at least 3 (fewer tolerate no failure), 0 only with swarm; got 2"),
        (["--clients", "0"], "--clients: expected at least 1 (somebody must write), got 0"),
        (["--rate", "-1"], "--rate: expected at least 0 (operations of all clients together), got -1.0"),
        (["--fault-interval", "0"], "--fault-interval: expected at least 0.01 (seconds), got 0.0"),
        (
            ["--election-timeout", "300-150"],
            "--election-timeout: expected two numbers of milliseconds in order, such as 150-300, got '300-150'",
        ),
        (
            ["--heartbeat", "150"],
            "--heartbeat: the heartbeat interval (150000 µs) must be positive and shorter than the least election "
            "timeout (150000 µs)",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else value[0].removeprefix("--"),
)
def test_a_wrong_argument_of_a_run_is_named_and_nothing_is_run(
    arguments: list[str], said: str, command: Command, tmp_path: Path
) -> None:
    assert command("run", *arguments) == (254, "", f"raft-chaos: {said}\n")
    assert not list(tmp_path.iterdir())


def test_a_simulated_network_too_slow_for_an_election_is_refused(command: Command, tmp_path: Path) -> None:
    """A correct cluster might not recover on it, and would be judged violated."""
    file = tmp_path / "slow.jsonl"
    model = SimModel(latency_min_us=100, latency_max_us=60_000, sync_min_us=100, sync_max_us=15_000)
    plan = schedule(safety_us=(700_000, 3_200_000))
    save(replace(plan, header=replace(plan.header, model=model)), file)
    status, _, said = command("run", "--world", "sim", "--schedule", str(file))
    assert (status, said.partition(", and ")[0]) == (
        254,
        f"raft-chaos: --schedule: {file}: model: a vote takes up to 150000 µs there and back with both writes",
    )


def test_a_saved_schedule_has_a_duration_of_its_own(command: Command, tmp_path: Path) -> None:
    """With long election timeouts a drawn schedule must be longer than the default; a saved one has any length."""
    plan = saved(tmp_path, schedule([KILL_THE_LEADER], safety_us=(700_000, 1_300_000)))
    slow = ["run", "--election-timeout", "1000-2000", "--dry-run"]
    assert command(*slow, "--schedule", plan)[0] == 0
    assert command(*slow)[2].startswith("raft-chaos: --duration: expected at least 17.5")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--http-port", "65534"], "--http-port: 3 ports from 65534 on do not exist"),
        (["--raft-port", "0"], "--raft-port: 3 ports from 0 on do not exist"),
        (["--nodes", "0"], "--nodes: expected at least 1, got '0'"),
        (
            ["--election-timeout", "3000-1500"],
            "--election-timeout: expected two numbers of milliseconds in order, such as 150-300, got '3000-1500'",
        ),
    ],
)
def test_a_wrong_argument_of_a_cluster_is_named(arguments: list[str], said: str, command: Command) -> None:
    assert command("cluster", *arguments) == (254, "", f"raft-chaos: {said}\n")


def test_a_folder_that_cannot_be_made_is_a_wrong_argument(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = "raft-chaos: --out: cannot make run directories in file/runs (Not a directory)\n"
    assert command("run", "--out", "file/runs") == (254, "", said)


@pytest.mark.parametrize("reads", ["check", "report"])
def test_a_folder_that_is_no_run_is_refused(reads: str, command: Command, tmp_path: Path) -> None:
    said = f"raft-chaos: {tmp_path} is not a run directory: cannot read run.json (No such file or directory)\n"
    assert command(reads, str(tmp_path)) == (254, "", said)


@pytest.mark.parametrize("reads", ["check", "report"])
@pytest.mark.parametrize("damage", ['{"seed": 1, ', '{"seed": "one"}', '{"seed": 1, "schema": 99}'])
def test_a_damaged_run_json_is_refused(reads: str, damage: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(damage)
    code, stdout, stderr = command(reads, str(tmp_path))
    assert (code, stdout) == (254, "")
    assert stderr.startswith(f"raft-chaos: {tmp_path / 'run.json'}: ") and stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["nope"], ["check"], ["run", "--nope"], ["report", ".", "--format", "pdf"]])
def test_unknown_commands_and_options_are_refused_in_one_line(arguments: list[str], command: Command) -> None:
    code, stdout, stderr = command(*arguments)
    assert (code, stdout) == (254, "")
    assert stderr.startswith("raft-chaos: ") and stderr.count("\n") == 1


def test_the_installed_command_ends_with_the_same_code() -> None:
    done = raft_chaos("run", "--nodes", "2")
    assert (done.returncode, done.stdout) == (254, "")
    assert (
        done.stderr
        == "raft-chaos: --nodes: expected at least 3 (fewer tolerate no failure), 0 only with swarm; got 2\n"
    )


def test_help_is_no_error(command: Command) -> None:
    code, stdout, stderr = command("run", "--help")
    assert (code, stderr) == (0, "")
    assert "--target-command" in stdout and "Exit codes: 0 valid, 1 violated, 2 unknown" in stdout


# ---- what goes where ----------------------------------------------------------------------------------------------


def test_mutants_as_json_are_one_list_on_stdout(command: Command) -> None:
    code, stdout, stderr = command("mutants", "--json")
    assert (code, stderr) == (0, "")
    listed = json.loads(stdout)
    assert [mutant["id"] for mutant in listed] == list(MUTANTS)
    assert all({"id", "mistake", "source", "invariants", "survives"} == set(mutant) for mutant in listed)
    table = command("mutants")[1]
    assert all(mutant["id"] in table for mutant in listed)


@pytest.mark.slow
@pytest.mark.live
def test_without_a_terminal_progress_is_plain_lines_on_stderr_and_the_report_alone_on_stdout(tmp_path: Path) -> None:
    done = raft_chaos(*short_run(tmp_path, "--seed", "7"))
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("VALID (seed 7, ")
    assert "\x1b" not in done.stdout + done.stderr and "\r" not in done.stderr
    options, announced, *rest = done.stderr.splitlines()
    assert options.startswith("options: --schedule ")
    assert announced == f"seed 7  world live  3 nodes  target raft  {only_run(tmp_path / 'out').path}"
    progress = [line for line in rest if re.match(r" +\d+\.\d s  ", line)]
    assert len(progress) >= 3
    for phase in ("warmup", "safety", "liveness"):
        assert any(f" s  {phase} " in line for line in progress)


@pytest.mark.live
def test_quiet_prints_only_the_result(tmp_path: Path) -> None:
    idle = saved(tmp_path, schedule(safety_us=(0, 0), liveness_us=0, every_us=0))
    done = raft_chaos("run", "--schedule", idle, "--out", str(tmp_path / "out"), "--quiet")
    assert (done.returncode, done.stderr) == (2, ""), done.stdout
    first, repeat = done.stdout.splitlines()
    assert re.match(r"UNKNOWN   seed 1  .+; \d+ ops? ok, 1 election, 0 restarts, \d+\.\d s  /", first)
    assert " run --seed 1 --schedule " in repeat


@pytest.mark.slow
@pytest.mark.live
def test_on_a_terminal_the_run_is_watched_live_and_the_report_stays(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    with subprocess.Popen(
        [RAFT_CHAOS, *short_run(tmp_path)], stdout=subprocess.PIPE, stderr=theirs, stdin=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 1 << 16):
                shown += data
        except OSError:
            pass  # EIO: nobody has the terminal open any more
        os.close(ours)
        report = process.communicate(timeout=PATIENCE_S)[0]
    assert process.returncode == 0, report.decode()
    assert report.startswith(b"VALID")
    for part in (b"applied", b"leader", b"events judged", b"faults: "):
        assert part in shown
    assert b"kill n" in shown, "the fault is shown while it lasts"
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") == 1, "the cursor is hidden, and shown again"


@pytest.mark.slow
@pytest.mark.live
def test_a_campaign_is_one_document_with_its_runs(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = raft_chaos(
        *("run", "--seeds", "1..2", "--nodes", "3", "--clients", "2", "--warmup", "0.7", "--duration", "1.9"),
        *("--liveness", "0.3", "--election-timeout", "100-150", "--out", str(out), "--json"),
    )
    document = json.loads(done.stdout)
    assert [run["seed"] for run in document["runs"]] == [1, 2]
    assert document["stats"]["runs"] == 2
    verdicts = [run["verdict"] for run in document["runs"]]
    assert document["verdict"] == ("valid" if verdicts == ["valid"] * 2 else "unknown")
    assert done.returncode == {"valid": 0, "unknown": 2}[document["verdict"]], "no correct cluster is convicted"
    assert re.findall(r"^\w+ +(seed \d+) ", done.stderr, re.MULTILINE) == ["seed 1", "seed 2"]
    assert {Path(run["run_dir"]) for run in document["runs"]} == set(out.iterdir())

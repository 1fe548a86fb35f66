"""`runs`: the list of saved runs, the names by which commands take one, and `runs prune`, which removes only runs."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from builders.commands import Command, InLines
from builders.schedules import schedule
from raft_chaos.chaos.cli.read.run_names import SETTLED_S
from raft_chaos.chaos.schedule.file import save
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.verdict import Outcome, Verdict

pytestmark = pytest.mark.usefixtures("empty_folder")

NOW = datetime.now(UTC)
LONG_AGO_S = NOW.timestamp() - 10 * SETTLED_S


def make(name: str, hours_ago: float = 0, verdict: Outcome | None = "valid", folder: str = "runs", **info: str) -> Path:
    """A saved run, which last changed long ago."""
    run = RunDir(Path(folder, name))
    (run.path / "nodes" / "n1").mkdir(parents=True)
    (run.path / "nodes" / "n1" / "stderr.log").write_bytes(bytes(2_000))
    started = (NOW - timedelta(hours=hours_ago)).isoformat(timespec="seconds")
    fields = {"state": "finished", "world": "sim", "repro": "raft-chaos run --seed 7"} | info
    invariants = [Verdict("election_safety", verdict, 3)] if verdict is not None else []
    run.save_info(RunInfo(seed=7, started_at=started, verdict=verdict, invariants=invariants, nodes=["n1"], **fields))
    age(run.path)
    return run.path


def age(path: Path) -> None:
    for one in (path, *path.rglob("*")):
        os.utime(one, (LONG_AGO_S, LONG_AGO_S))


def left(folder: str = "runs") -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


# ---- the list ----------------------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first(in_lines: InLines) -> None:
    make("b", hours_ago=2, verdict="violated")
    make("a", hours_ago=3, mutant="ack_before_sync", verdict="unknown")
    make("c", hours_ago=1)
    code, lines, stderr = in_lines("runs")
    assert (code, stderr) == (0, "")
    rows = [" ".join(line.split()) for line in lines]
    assert rows[0] == "run seed world target verdict seconds size violated".replace(" seconds", "")
    assert rows[2].startswith("c 7 sim raft valid ")
    assert rows[3].startswith("b 7 sim raft violated ") and rows[3].endswith(" kB election_safety")
    assert rows[4].startswith("a 7 sim ack_before_sync unknown ")
    assert rows[-1].startswith("3 runs in runs, ")


def test_the_list_as_json(command: Command) -> None:
    make("a")
    make("b", verdict=None, state="failed")
    make("c", verdict=None, state="running")
    rows = json.loads(command("runs", "--json")[1])
    assert {row["run"]: row["state"] for row in rows} == {"a": "valid", "b": "failed", "c": "interrupted"}
    assert rows[0]["size_bytes"] > 2_000 and rows[0]["seed"] == 7


def test_of_many_runs_the_newest_are_listed(in_lines: InLines) -> None:
    for number in range(4):
        make(f"r{number}", hours_ago=number)
    lines = in_lines("runs", "--limit", "2")[1]
    assert [line[:2] for line in lines[2:4]] == ["r0", "r1"] and lines[4] == "... and 2 older runs; --limit 0 shows all"
    assert len([line for line in in_lines("runs", "--limit", "0")[1] if line.startswith("r")]) == 5


def test_a_folder_without_runs_is_said_to_have_none(command: Command) -> None:
    assert command("runs") == (0, "no run in runs\n", "")
    assert command("runs", "--in", "nowhere") == (0, "no run in nowhere\n", "")
    Path("file").touch()
    assert command("runs", "--in", "file") == (254, "", "raft-chaos: --in: file cannot be read (Not a directory)\n")


def test_what_is_no_run_is_not_listed(command: Command) -> None:
    make("mine")
    Path("runs/folder").mkdir()
    Path("runs/other").mkdir()
    Path("runs/other/run.json").write_text('{"seed": 1, "name": "somebody else\'s"}')
    Path("runs/campaign-1.jsonl").touch()
    Path("runs/link").symlink_to("mine")
    assert [row["run"] for row in json.loads(command("runs", "--json")[1])] == ["mine"]


def test_a_run_whose_run_json_is_damaged_is_one_by_its_schedule(command: Command) -> None:
    path = make("torn")
    save(schedule(), path / "schedule.jsonl")
    (path / "run.json").write_text('{"seed": 7, ')
    assert json.loads(command("runs", "--json")[1])[0]["state"] == "damaged"


def test_the_folder_is_that_of_the_configuration(command: Command) -> None:
    make("here", folder="results")
    Path("pyproject.toml").write_text('[tool.raft-chaos]\nout = "results"\n')
    assert "1 run in results" in command("runs")[1]
    Path("raft-chaos.toml").write_text("seed = 1\n")
    assert command("runs")[1] == "no run in runs\n"


# ---- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["report"], ["check"], ["explain"], ["trace"], ["replay"], ["shrink"], ["repro"]])
@pytest.mark.parametrize("name", ["latest", "2026-b"])
def test_every_command_takes_latest_and_the_beginning_of_a_name(words: list[str], name: str, command: Command) -> None:
    make("2026-a", hours_ago=2)
    path = make("2026-bcd", hours_ago=1)
    by_path = command(*words, path)
    assert command(*words, name) == by_path
    assert "2026-bcd" in "".join(by_path[1:]) or words == ["trace"]


def test_both_runs_of_a_diff_may_be_named(command: Command) -> None:
    make("2026-a")
    make("2025-a", hours_ago=1)
    assert command("diff", "latest", "2025")[0] == 0


def test_the_beginning_of_several_names_is_refused(command: Command) -> None:
    for number in range(5):
        make(f"r{number}", hours_ago=number)
    said = "r: 5 runs in runs begin with it: r0, r1, r2, and 2 more; give more of the name"
    assert command("report", "r") == (254, "", f"raft-chaos: {said}\n")
    make("r", hours_ago=9)
    assert command("report", "r")[0] == 0, "a whole name is no beginning"


def test_a_path_comes_before_a_name(command: Command) -> None:
    make("x")
    make("x", folder=".")
    assert command("trace", "x")[0] == 0
    Path("x/run.json").unlink()
    assert "x is not a run directory" in command("check", "x")[2], "and not the run of that name"


def test_latest_of_nothing_is_refused(command: Command) -> None:
    Path("runs").mkdir()
    assert command("report", "latest") == (254, "", "raft-chaos: latest: there is no run in runs\n")


# ---- prune -------------------------------------------------------------------------------------------------------


def test_without_yes_prune_only_lists(in_lines: InLines) -> None:
    for number in range(3):
        make(f"r{number}", hours_ago=number)
    code, lines, _ = in_lines("runs", "prune", "--keep", "1")
    assert code == 0 and left() == {"r0", "r1", "r2"}
    assert [line[:2] for line in lines[2:4]] == ["r1", "r2"]
    assert lines[-1] == "raft-chaos runs prune --keep 1 --yes" and lines[-2].startswith("would remove 2 runs, ")


@pytest.mark.parametrize(
    ("words", "stay"),
    [
        (["--keep", "1"], {"new"}),
        (["--keep-failed"], {"violated", "unknown"}),
        (["--older-than", "36h"], {"new", "violated", "unknown"}),
        (["--older-than", "7d"], {"new", "violated", "unknown", "old"}),
        (["--keep", "1", "--keep-failed"], {"new", "violated", "unknown"}),
        (["--keep-failed", "--older-than", "30m"], {"new", "violated", "unknown"}),
    ],
)
def test_prune_keeps_what_an_option_keeps(words: list[str], stay: set[str], command: Command) -> None:
    make("new")
    make("violated", hours_ago=5, verdict="violated")
    make("unknown", hours_ago=6, verdict="unknown")
    make("old", hours_ago=48)
    code, stdout, stderr = command("runs", "prune", *words, "--yes")
    assert (code, stderr, left()) == (0, "", stay)
    gone = 4 - len(stay)
    assert stdout.startswith(f"removed {gone} run" if gone else "nothing to remove; 4 runs stay")


def test_prune_must_know_what_to_keep(command: Command) -> None:
    make("a")
    code, _, stderr = command("runs", "prune", "--yes")
    assert (code, left()) == (254, {"a"}) and "give --keep N, --keep-failed or --older-than AGE" in stderr
    said = "raft-chaos: --older-than: expected an age such as 12h, 7d or 2w, got 'soon'\n"
    assert command("runs", "prune", "--older-than", "soon") == (254, "", said)


def test_prune_removes_runs_alone_and_follows_no_link(command: Command, tmp_path: Path) -> None:
    run = make("run", hours_ago=1)
    elsewhere = make("elsewhere", folder="others")
    Path("runs/link").symlink_to(elsewhere.absolute())
    (run / "nodes" / "link").symlink_to(elsewhere.absolute())
    (run / "file").symlink_to((elsewhere / "run.json").absolute())
    Path("runs/notes").mkdir()
    Path("runs/notes/todo.txt").touch()
    Path("runs/campaign-1.jsonl").touch()
    assert command("runs", "prune", "--keep", "0", "--yes")[0] == 0
    assert left() == {"link", "notes", "campaign-1.jsonl"}
    assert (elsewhere / "run.json").exists() and (elsewhere / "nodes" / "n1" / "stderr.log").exists()


def test_prune_leaves_runs_that_go_on(command: Command) -> None:
    killed = make("killed", verdict=None, state="running")
    writes = make("writes", verdict=None, state="running")
    (writes / "harness.jsonl").touch()
    has_open = make("open", verdict=None, state="running")
    (has_open / "order").touch()
    age(has_open)
    with (has_open / "order").open("ab"), (killed / "run.json").open():
        states = {row["run"]: row["state"] for row in json.loads(command("runs", "--json")[1])}
        assert states == {"killed": "interrupted", "writes": "running", "open": "running"}, "a reader is no controller"
        assert command("runs", "prune", "--keep", "0", "--yes")[0] == 0
    assert left() == {"writes", "open"}


def test_what_cannot_be_removed_is_said_and_stays_a_run(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As the root user nothing is forbidden; so the call itself fails."""
    make("stuck")

    def refuse(path: object, onerror: object) -> None:
        onerror(os.rmdir, str(path), (PermissionError, PermissionError(13, "Permission denied"), None))  # type: ignore[operator]

    monkeypatch.setattr("raft_chaos.chaos.cli.read.runs.shutil.rmtree", refuse)
    code, stdout, _ = command("runs", "prune", "--keep", "0", "--yes")
    assert code == 2 and stdout.startswith("not removed: runs/stuck/nodes: Permission denied")
    assert json.loads(command("runs", "--json")[1])[0]["run"] == "stuck"

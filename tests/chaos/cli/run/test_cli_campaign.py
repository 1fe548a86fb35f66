"""Campaigns on the command line: progress, result, exit codes, Ctrl-C, and a killed controller."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import typer
from rich.console import Console

from builders.campaigns import ALWAYS_CONVICTED, settings
from builders.commands import SCRIPTS, Background, Command, background
from builders.waiting import eventually
from raft_chaos.chaos.campaign import file as campaign_file
from raft_chaos.chaos.campaign.campaign import Campaign
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.campaign.workers import Workers
from raft_chaos.chaos.cli.read.saved import render_saved
from raft_chaos.chaos.cli.result import show
from raft_chaos.chaos.cli.run.campaign import run_campaign
from raft_chaos.chaos.cli.run.campaign_bar import Bar
from raft_chaos.chaos.cli.run.campaign_view import MOST_SHOWN, CampaignView, Progress
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.campaign.seeds import SeedTotals
from raft_chaos.reports.write import Format

MANY = 1_000_000
"""No test waits for so many seeds."""

FORMATS: tuple[Format, ...] = ("text", "markdown", "html")


def called(
    capsys: pytest.CaptureFixture[str],
    out: Path,
    seeds: range,
    *,
    of: Settings | None = None,
    max_failures: int | None = None,
    time_limit_s: float | None = None,
    quiet: bool = False,
    as_json: bool = False,
    compared: bool = False,
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a campaign whose seeds are run in threads, which start at once."""
    threads = Workers(partial(ThreadPoolExecutor, 2), 2)
    given = (of or settings(), seeds, threads, out, max_failures, time_limit_s, quiet, as_json)
    result = run_campaign(*given, compared=compared)
    with pytest.raises(typer.Exit) as ended:
        show(result)
    return ended.value.exit_code, *capsys.readouterr()


# ---- what is said ------------------------------------------------------------------------------------------------


def test_a_valid_campaign_names_its_seeds_first_and_last(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, stdout, stderr = called(capsys, tmp_path, range(1, 5))
    (file,) = tmp_path.glob("campaign-*.jsonl")
    assert code == 0, stdout
    assert stderr == f"seeds 1..4  4 in all  sim  target raft  2 at once  {file}\n"
    lines = stdout.splitlines()
    assert lines[0].startswith("VALID seeds 1..4 (sim, raft, 4 seeds: 4 valid; 0.00")
    assert lines[-1] == "seeds 1..4: valid"
    assert "leaders elected" in stdout
    assert list(tmp_path.iterdir()) == [file], "a seed that is valid leaves no directory"


def test_a_campaign_of_other_code_is_named_and_not_continued(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if that version did not have all settings of this one."""
    monkeypatch.setattr(campaign_file, "source_digest", lambda: "0123456789ab")
    called(capsys, tmp_path, range(1, 3))
    called(capsys, tmp_path, range(1, 4))
    (old,) = [file for file in tmp_path.iterdir() if b'"seeds":"1..2"' in file.read_bytes()]
    head, _, rest = old.read_bytes().partition(b"\n")
    header = json.loads(head)
    del header["settings"]["peer_auth"], header["settings"]["schedule"]["clients"]
    old.write_bytes(json.dumps(header).encode() + b"\n" + rest)
    (tmp_path / "campaign-odd.jsonl").write_bytes(b"no header\n")
    os.mkfifo(tmp_path / "campaign-pipe.jsonl")
    monkeypatch.undo()
    code, _, stderr = called(capsys, tmp_path, range(1, 3))
    first, second = stderr.splitlines()
    assert code == 0 and first.startswith("seeds 1..2  2 in all")
    assert second.startswith(f"{old} has this campaign by another version of the code or of Python (")
    assert second.endswith("this one starts over; to continue that one, give the same command with that version")
    assert len(called(capsys, tmp_path, range(5, 6))[2].splitlines()) == 1


# ---- compared with our Raft without the mistake --------------------------------------------------------------------


def test_a_compared_campaign_says_how_leader_changes_differ_also_when_it_goes_on_and_when_it_is_reported(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mutant, seeds = settings(mutant="term_then_vote"), range(1, 4)
    code, stdout, _ = called(capsys, tmp_path, seeds, of=mutant, compared=True)
    (file,) = tmp_path.glob("campaign-*.jsonl")
    told = stdout[stdout.index("Leader changes, against our Raft without the mistake") : stdout.index("What happened")]
    assert "on the same 3 seeds" in told and re.search(r"highest term .* [+-]\d+\.\d\d to [+-]\d+\.\d\d", told)

    header, first, second, *_ = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(header + first + second)
    again, resumed, stderr = called(capsys, tmp_path, seeds, of=mutant, compared=True)
    assert "2 seeds already have a result" in stderr and told in resumed
    plain, _, _ = called(capsys, tmp_path / "plain", seeds, of=mutant)
    assert code == again == plain, "it changes no verdict"

    assert told in render_saved([file], "text", columns())
    assert all("Leader changes" in render_saved([file], shape, columns()) for shape in FORMATS)
    document = json.loads(render_saved([file], "json", columns()))["compared"]
    assert document["elections"]["seeds"] == document["max_term"]["seeds"] == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--seeds", "1..3", "--world", "sim"],
            "it compares a mutant with our Raft without the mistake; name one",
        ),
        (["--seeds", "4..4", "--world", "sim", "--mutant", "half_is_majority"], "an interval needs at least 2 seeds"),
        (["--seed", "4", "--world", "sim", "--mutant", "half_is_majority"], "is for campaigns in sim: --world sim"),
        (["--seeds", "1..3", "--world", "lockstep", "--mutant", "half_is_majority"], "is for campaigns in sim"),
        (["--seeds", "1..3", "--mutant", "half_is_majority"], "is for campaigns in sim"),
    ],
)
def test_a_comparison_that_is_none_is_refused(command: Command, words: list[str], said: str, tmp_path: Path) -> None:
    code, _, stderr = command("run", *words, "--compare-leaderships", "--out", str(tmp_path))
    assert code == 254 and said in " ".join(stderr.split())
    assert not list(tmp_path.iterdir())


# ---- violations and progress ---------------------------------------------------------------------------------------


def test_violations_are_shown_as_they_are_found_and_end_the_campaign(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mutant = settings(mutant=ALWAYS_CONVICTED)
    code, stdout, stderr = called(capsys, tmp_path, range(1, MANY), of=mutant, max_failures=2)
    assert code == 1
    assert stdout.startswith(f"VIOLATED seeds 1..{MANY - 1} (sim, raft with mutant {ALWAYS_CONVICTED}, 2 of ")
    shown = re.findall(r"VIOLATED seed (\d+): (.+)\n  (.+)\n  (.+ run --seed \1 --world sim)\n", stderr)
    assert len(shown) == 2
    for seed, violated, run, _ in shown:
        info = RunDir(Path(run)).load_info()
        assert (info.seed, info.verdict) == (int(seed), "violated")
        assert "one_vote_per_term" in violated
    assert stdout.splitlines()[-1] in [repro for *_, repro in shown]


def test_only_the_first_violations_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    totals = SeedTotals(world="sim", target="raft", seeds=f"1..{MANY}", total=MANY)
    with CampaignView(totals, quiet=False) as view:
        for seed in range(1, 1000):
            result = SeedResult(
                seed=seed,
                verdict="violated",
                violated=["log_matching"],
                unknown=[],
                vacuous=[],
                trace_sha256="",
                stats={},
                run=f"runs/{seed}",
                repro=f"raft-chaos run --seed {seed}",
            )
            totals.observe(result)
            view.show(result)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == ["VIOLATED seed 1: log_matching", "  runs/1", "  raft-chaos run --seed 1"]
    assert len(lines) == 3 * MOST_SHOWN + 1
    assert lines[-1] == "further violations are not shown here; the campaign's file has all of them"


def test_stdout_has_only_the_document(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    mutant = settings(mutant=ALWAYS_CONVICTED)
    code, stdout, stderr = called(capsys, tmp_path, range(1, 4), of=mutant, max_failures=1, quiet=True, as_json=True)
    document = json.loads(stdout)
    assert (code, document["verdict"], document["violated"], document["complete"]) == (1, "violated", 1, False)
    assert document["violations"][0]["seeds"] == 1 and document["stats"]["elections"]["total"] > 0
    assert Path(document["file"]).exists()
    assert stderr == document["repro"] + "\n", "quiet: nothing but the command"


def test_a_continued_campaign_says_so_and_counts_all_seeds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with Campaign(settings(), range(1, 5), tmp_path) as campaign:
        ends = campaign.run(partial(ThreadPoolExecutor, 1), 1)
        next(ends), next(ends)
        ends.close()
    code, stdout, stderr = called(capsys, tmp_path, range(1, 5))
    assert code == 0
    assert "continuing a campaign that was stopped: 2 seeds already have a result; to start over, " in stderr
    assert f"remove {campaign.path}\n" in stderr
    assert stdout.startswith("VALID seeds 1..4 (sim, raft, 4 seeds: 4 valid;")
    _, _, stderr = called(capsys, tmp_path, range(1, 5))
    kept = campaign.path.with_stem(campaign.path.stem + "-1")
    assert f"complete and starts again; its earlier results are kept in {kept}\n" in stderr and kept.exists()


def test_a_failure_of_the_harness_names_its_seed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, stdout, stderr = called(capsys, tmp_path, range(1, 3), of=settings(mutant="nope"))
    assert code == 255
    assert "HARNESS FAILED on seed 2: KeyError: 'nope'\n" in stderr
    assert "this says nothing about the system under test" in stdout
    assert stdout.splitlines()[-1].endswith("run --seed 1 --world sim")


def test_the_page_for_github_goes_to_the_summary(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    mutant = settings(mutant=ALWAYS_CONVICTED)
    code, stdout, _ = called(capsys, tmp_path / "out", range(1, 3), of=mutant, max_failures=1)
    assert code == 1 and summary.read_text().startswith("# VIOLATED seeds 1..2")
    assert stdout.startswith("::error title=one_vote_per_term violated (seed ")


# ---- wrong arguments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"max_failures": 0}, "--max-failures: expected at least 1, got 0"),
        ({"time_limit_s": 0.0}, "--time-limit: expected more than 0 seconds, got 0"),
        ({"time_limit_s": float("nan")}, "--time-limit: expected more than 0 seconds, got nan"),
    ],
)
def test_bad_arguments_are_named_and_nothing_is_run(
    wrong: dict[str, float], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(typer.Exit) as ended:
        called(capsys, tmp_path / "out", range(1, 3), **wrong)  # type: ignore[arg-type]
    assert ended.value.exit_code == 254
    assert capsys.readouterr().err == f"raft-chaos: {said}\n" and not (tmp_path / "out").exists()


def test_a_file_that_cannot_be_used_is_an_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(typer.Exit):
        called(capsys, tmp_path / "out", range(1, 3))
    assert "--out: cannot write a campaign's file in" in capsys.readouterr().err
    with Campaign(settings(), range(1, 3), tmp_path) as campaign, pytest.raises(typer.Exit):
        called(capsys, tmp_path, range(1, 3))
    assert f"--out: {campaign.path}: this campaign is under way in another process" in capsys.readouterr().err


# ---- the bar -----------------------------------------------------------------------------------------------------

HALF = Progress(done=150, total=250, earlier=50, violated=2, failed=0, simulated_s=1500.0, elapsed_s=10.0)


def test_the_rates_of_a_progress_count_only_the_seeds_of_this_call() -> None:
    assert HALF.words() == ["150/250", "2 violated", "10/s", "0:10 left", "150 simulated s/s"]


def test_the_bar_is_one_line_in_any_terminal() -> None:
    none = Progress(done=0, total=7, earlier=0, violated=0, failed=0, simulated_s=0.0, elapsed_s=0.0)
    huge = Progress(
        done=999_999, total=MANY, earlier=0, violated=999_999, failed=19, simulated_s=9e9, elapsed_s=400_000.0
    )
    for width, progress in ((width, progress) for width in range(10, 140) for progress in (HALF, none, huge)):
        written = io.StringIO()
        Console(file=written, width=width).print(Bar(progress))
        (line,) = written.getvalue().splitlines()
        assert len(line) <= width
        if progress.done:
            assert ("━" in line) == (width >= len("  ".join(progress.words()[:2])) + 12)
        if width >= 40:
            assert f"{progress.done}/{progress.total}  {progress.violated} violated" in line
        if width == 139:
            assert "  ".join(progress.words()) in line


def test_a_narrow_terminal_gets_a_bar_and_whole_commands(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    mutant = settings(mutant=ALWAYS_CONVICTED)
    _, stdout, stderr = called(capsys, tmp_path, range(1, 9), of=mutant, max_failures=1)
    assert stderr.count("\x1b[?25l") == stderr.count("\x1b[?25h") == 1, "the cursor is hidden, and shown again"
    plain = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", stderr)
    assert "━━" in plain and "1/8" in plain
    assert stdout.splitlines()[-1] in [line.strip() for line in plain.splitlines()]


# ---- cut short ---------------------------------------------------------------------------------------------------


def long_campaign(out: Path) -> list[str]:
    return [sys.executable, "-m", "cli.run.campaign_command", str(out), f"1..{MANY}"]


def results(out: Path) -> int:
    return sum(file.read_bytes().count(b'{"kind":"seed"') for file in out.glob("campaign-*.jsonl"))


def at_work(command: Background, out: Path) -> None:
    """Waits until results come, with both workers busy."""
    eventually("results are written", lambda: results(out) >= 4)
    assert len(command.family()) >= 3, "the controller and two workers"


@pytest.mark.slow
def test_ctrl_c_ends_a_campaign_with_its_table_and_leaves_nothing(tmp_path: Path) -> None:
    with background(*long_campaign(tmp_path), cwd=SCRIPTS) as command:
        at_work(command, tmp_path)
        assert command.interrupt() == 130, command.stderr
        eventually("every process is gone", command.all_gone)
        assert not list(command.temp.iterdir())
        stdout, stderr = command.stdout, command.stderr
    done = results(tmp_path)
    assert "STOPPED: interrupted; given up before they ended: " in " ".join(stdout.split())
    told = re.fullmatch(rf"seeds 1\.\.{MANY}: unknown, (\d+) of {MANY}", stdout.splitlines()[-1])
    assert told is not None
    assert done - 1 <= int(told[1]) <= done, "but for the one that came just then, the table has what the file has"
    assert "Traceback" not in stderr and stderr.count("\n") == 2, "nobody complains, no worker either"
    assert stderr.endswith("\ninterrupted by SIGINT\n")
    with Campaign(settings(), range(1, MANY + 1), tmp_path) as again:
        assert again.resumed == done


@pytest.mark.slow
def test_a_killed_controller_leaves_no_worker_and_the_campaign_goes_on(tmp_path: Path) -> None:
    with background(*long_campaign(tmp_path), cwd=SCRIPTS) as command:
        at_work(command, tmp_path)
        command.sigkill()
        eventually("every process is gone", command.all_gone)
        assert not list(command.temp.iterdir())
    done = results(tmp_path)
    with Campaign(settings(), range(1, MANY + 1), tmp_path) as again:
        assert again.resumed == done >= 4

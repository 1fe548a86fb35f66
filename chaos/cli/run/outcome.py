"""What comes of runs: the reports of each, and the result of the command."""

from __future__ import annotations

from raft_chaos.chaos.campaign.file import seed_ranges
from raft_chaos.chaos.cli.common import say_prose
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.judgement.vacuity import INTERRUPTED
from raft_chaos.chaos.run.settings import program, was_scheduled
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.verdict import EXIT_CODE, Outcome, overall
from raft_chaos.reports.campaign.runs import brief, one_line
from raft_chaos.reports.commands.verdicts import next_commands
from raft_chaos.reports.formats.github import on_github, publish
from raft_chaos.reports.formats.json import campaign_document, run_document
from raft_chaos.reports.run.model import RunReport, build
from raft_chaos.reports.write import FILE_OF, Format, render_campaign, render_report, write_reports


def report(info: RunInfo, directory: RunDir, *, in_a_line: bool) -> None:
    """Writes the reports of a finished run, and says in a line what came of it, if that is asked for."""
    write_reports(directory)
    if in_a_line:
        say_prose(one_line(info, directory.path))


def result(done: list[tuple[RunDir, RunInfo]], seeds: list[int], *, quiet: bool, as_json: bool) -> Result:
    """The report (`quiet`: a line for each run), with the seed or the command that repeats a failure in its last line.
    `seeds`: of all planned runs."""
    outcomes: list[Outcome] = [info.verdict or "unknown" for _, info in done]
    cut_short = any(INTERRUPTED in reason for _, info in done for reason in info.vacuous)
    interrupted = cut_short or len(done) < len(seeds)
    exit_code = EXIT_CODE[overall([*outcomes, "unknown"] if interrupted else outcomes)]
    stopped = _left(seeds, len(done) - cut_short) if interrupted and len(seeds) > 1 else []
    reports = [build(directory) for directory, _ in done]
    page = _rendered(reports, "text").removesuffix("\n")
    document = campaign_document(reports) if len(reports) > 1 else run_document(reports[0])
    published = publish(reports, _rendered(reports, "markdown")) if on_github() else []
    notes = [*(published if as_json else []), *_how_to_go_on(done, as_json=as_json), *stopped]
    shown = [*published, *(_briefly(done) if quiet else [page, *_where_saved(done)])]
    return Result(exit_code, shown, document, as_json, notes, judged=True, interrupted=interrupted)


def _briefly(done: list[tuple[RunDir, RunInfo]]) -> list[str]:
    """The result with --quiet: what stands in each report's first lines, and the command that repeats the worst run."""
    lines = [line for directory, info in done for line in brief(info, directory.path)]
    failed = [info for _, info in done if info.verdict != "valid"]
    worst = next((info for info in failed if info.verdict == "violated"), next(iter(failed), None))
    return [*lines, worst.repro] if worst is not None else lines


def _left(seeds: list[int], complete: int) -> list[str]:
    """What an interrupted series of runs has left to do."""
    left = seed_ranges(list(dict.fromkeys(seeds[complete:])))
    return [f"{complete} of {len(seeds)} runs are done; to go on, give the same command with --seeds {left}"]


def _rendered(reports: list[RunReport], shape: Format) -> str:
    if len(reports) > 1:
        return render_campaign(reports, shape, columns())
    return render_report(reports[0], shape, columns())


def _where_saved(done: list[tuple[RunDir, RunInfo]]) -> list[str]:
    """The last lines of a page without failures."""
    if any(info.verdict != "valid" for _, info in done):
        return []
    (first, first_info), (_, last_info) = done[0], done[-1]
    if len(done) == 1:
        return ["", f"seed {first_info.seed}: valid; everything is saved in {first.path}"]
    return ["", f"seeds {first_info.seed} to {last_info.seed}: valid; everything is saved in {first.path.parent}"]


def _how_to_go_on(done: list[tuple[RunDir, RunInfo]], *, as_json: bool) -> list[str]:
    """The commands that show more about the first failure."""
    failed = next(((run, info) for run, info in done if info.verdict == "violated"), None)
    if failed is None:
        return []
    run, info = failed
    lines = next_commands(program(), run.path, columns(), can_shrink=was_scheduled(info))
    lines += [f"As a picture: {run.path / FILE_OF['html']}"]
    return [*lines, info.repro] if as_json else lines

"""Many runs: one row for each, their sums, and the command that repeats the first failure as the last line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raft_chaos.invariants.rundir import RunInfo
from raft_chaos.invariants.verdict import Outcome, overall
from raft_chaos.reports.run.model import RunReport, Stats, worst_first
from raft_chaos.reports.run.pages import WIDTH, repro, reproduces
from raft_chaos.reports.tables import Column, Table, markdown_table, text_table
from raft_chaos.reports.text import count, fenced, markdown, visible

_SUMMED = ("leaders_elected", "ops_ok", "ops_fail", "ops_info", "faults_fired", "faults_effective", "duration_s")


def campaign_verdict(reports: Sequence[RunReport]) -> Outcome:
    """The worst verdict of the runs; unknown if there are none."""
    return overall(report.verdict for report in reports)


def campaign_stats(reports: Sequence[RunReport]) -> Stats:
    """The number of runs by verdict, and the sums of their counts."""
    stats: Stats = {"runs": len(reports)}
    for outcome in ("violated", "unknown", "valid"):
        stats[outcome] = sum(report.verdict == outcome for report in reports)
    for name in _SUMMED:
        stats[name] = sum(_number(report.stats[name]) for report in reports)
    return stats


def campaign_text(reports: Sequence[RunReport], width: int = WIDTH) -> str:
    """The campaign for a terminal of `width` columns."""
    lines = [runs_headline(reports)]
    if reports:
        lines += ["", *text_table(runs_table(reports), width)]
    if (failure := first_failure(reports)) and (command := repro(failure)):
        lines += ["", _where(failure), reproduces(failure), command]
    return "\n".join(lines) + "\n"


def one_line(info: RunInfo, path: Path) -> str:
    """One line for a run of a campaign that has just ended; its statistics are in `info`."""
    stats = info.stats
    broken = ", ".join(verdict.invariant for verdict in info.invariants if verdict.outcome == "violated")
    why = broken or "; ".join(info.vacuous) or ", ".join(v.invariant for v in info.invariants if v.outcome == "unknown")
    return (
        f"seed {info.seed}: {info.verdict}{f' ({why})' if info.verdict != 'valid' else ''}  "
        f"{stats['ops_ok']} ops ok, {stats['elections']} elections, {stats['restarts']} restarts, "
        f"{stats['wall_s']:.1f} s  {path}"
    )


def campaign_markdown(reports: Sequence[RunReport]) -> str:
    """The campaign for GitHub."""
    lines = [f"# {markdown(runs_headline(reports))}", ""]
    if reports:
        lines += [*markdown_table(runs_table(reports)), ""]
    if (failure := first_failure(reports)) and (command := repro(failure)):
        lines += [markdown(_where(failure)), "", "Reproduce:", "", *fenced([command], "sh")]
    return "\n".join(lines).rstrip() + "\n"


def runs_headline(reports: Sequence[RunReport]) -> str:
    stats = campaign_stats(reports)
    ends = ", ".join(f"{stats[outcome]} {outcome}" for outcome in ("violated", "unknown", "valid") if stats[outcome])
    return f"{campaign_verdict(reports).upper()} ({count(len(reports), 'run')}{': ' if ends else ''}{ends})"


def _in_order(reports: Sequence[RunReport]) -> list[RunReport]:
    return sorted(reports, key=lambda report: (worst_first(report.verdict), report.info.seed))


def first_failure(reports: Sequence[RunReport]) -> RunReport | None:
    return next((report for report in _in_order(reports) if report.verdict != "valid"), None)


def _where(failure: RunReport) -> str:
    return visible(f"First failure: seed {failure.info.seed}, saved in {failure.path}")


def runs_table(reports: Sequence[RunReport]) -> Table:
    rows = []
    for report in _in_order(reports):
        stats = report.stats
        rows.append(
            [
                str(report.info.seed),
                report.verdict if report.verdict == "valid" else report.verdict.upper(),
                str(stats["leaders_elected"]),
                f"{stats['ops_ok']}/{stats['ops_fail']}/{stats['ops_info']}",
                f"{stats['faults_fired']}/{stats['faults_effective']}",
                f"{_number(stats.get('wall_s', stats['duration_s'])):.1f}",
                _finding(report),
            ]
        )
    columns = [
        Column("seed", "right"),
        Column("verdict"),
        Column("leaders", "right"),
        Column("ok/fail/info", "right"),
        Column("faults", "right"),
        Column("s", "right"),
        Column("finding", wraps=True),
    ]
    return Table("Runs", columns, rows, "faults: fired/effective", longest=len(rows))


def _finding(report: RunReport) -> str:
    """The sentence that says why a run is not valid; "" if it is."""
    if report.violations:
        first = report.violations[0]
        return f"{first.invariant}: {first.message}"
    if report.interrupted:
        return "interrupted: the controller did not finish"
    if report.info.vacuous:
        return f"vacuous: {report.info.vacuous[0]}"
    unsure = [f"{verdict.invariant}: {verdict.reason}" for verdict in report.invariants if verdict.outcome == "unknown"]
    return unsure[0] if unsure else ""


def _number(value: float | int | str) -> float | int:
    return 0 if isinstance(value, str) else value

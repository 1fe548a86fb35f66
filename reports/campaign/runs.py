"""Many runs: one row for each, their sums, and the command that repeats the first failure as the last line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from raft_chaos.invariants.exposure import Exposure, added
from raft_chaos.invariants.rundir import RunInfo
from raft_chaos.invariants.verdict import Outcome, broken, overall
from raft_chaos.reports.campaign.exposure import exposure_table, inert
from raft_chaos.reports.campaign.groups import Group, Groups, groups_table
from raft_chaos.reports.run.layout import ENDS, operation_ends, vacuous
from raft_chaos.reports.run.model import RunReport, Stats, worst_first
from raft_chaos.reports.run.pages import repro, reproduces
from raft_chaos.reports.tables import Column, Table, flowing, markdown_table, text_table, titled
from raft_chaos.reports.text import USUAL, count, fenced, markdown, prose, visible

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


def campaign_text(reports: Sequence[RunReport], width: int = USUAL) -> str:
    """The campaign for a terminal of `width` columns."""
    lines = prose(runs_headline(reports), width, "", "  ")
    lines += flowing([one for one in [inert(campaign_exposure(reports))] if one], width)
    if reports:
        lines += ["", *text_table(runs_table(reports), width)]
        for table in campaign_tables(reports):
            lines += ["", *titled(table, width)]
    if (failure := first_failure(reports)) and (command := repro(failure)):
        lines += ["", *flowing([_where(failure), reproduces(failure)], width), command]
    return "\n".join(lines) + "\n"


def one_line(info: RunInfo, path: Path) -> str:
    """One line for a run of a campaign that has just ended; its statistics are in `info`. The verdict comes first."""
    stats, outcome = info.stats, info.verdict or "unknown"
    facts = [
        f"{count(int(stats.get('ops_ok', 0)), 'op')} ok",
        count(int(stats.get("elections", 0)), "election") if info.reports_events else "",
        count(int(stats.get("restarts", 0)), "restart"),
        f"{_number(stats.get('wall_s', stats.get('duration_s', 0))):.1f} s",
    ]
    verdict = outcome if outcome == "valid" else outcome.upper()
    why = "" if outcome == "valid" else f"{_why(info)}; "
    return visible(f"{verdict:<8}  seed {info.seed}  {why}{', '.join(filter(None, facts))}  {path}")


def _why(info: RunInfo) -> str:
    """What is broken, or the first thing that is missing."""
    if found := broken(info.invariants):
        return ", ".join(verdict.invariant for verdict in found)
    if reasons := vacuous(info.vacuous):
        return f"{reasons[0]}; and {len(reasons) - 1} more" if len(reasons) > 1 else reasons[0]
    return ", ".join(verdict.invariant for verdict in info.invariants if verdict.outcome == "unknown")


def brief(info: RunInfo, path: Path) -> list[str]:
    """The line of a run, and one below it for each broken invariant: the first sentence of what was found."""
    found = broken(info.invariants)
    firsts = (verdict.violations[0].message if verdict.violations else verdict.reason for verdict in found)
    sentences = (re.split(r"(?<=[.;]) (?=\S)", visible(first))[0] for first in firsts)
    return [
        one_line(info, path),
        *(f"  {verdict.invariant}: {said}" for verdict, said in zip(found, sentences, strict=True)),
    ]


def campaign_markdown(reports: Sequence[RunReport]) -> str:
    """The campaign for GitHub."""
    lines = [f"# {markdown(runs_headline(reports))}", ""]
    if lacking := inert(campaign_exposure(reports)):
        lines += [markdown(lacking), ""]
    if reports:
        lines += [*markdown_table(runs_table(reports)), ""]
        for table in campaign_tables(reports):
            lines += [f"## {table.title}", "", *markdown_table(table), ""]
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


def campaign_tables(reports: Sequence[RunReport]) -> list[Table]:
    """Over all runs: the failures by cause, and what the faults met. Only those that have something to show."""
    tables = [groups_table(campaign_groups(reports)), exposure_table(campaign_exposure(reports))]
    return [table for table in tables if table.rows]


def campaign_exposure(reports: Sequence[RunReport]) -> list[Exposure]:
    return added(*(report.exposure for report in reports))


def campaign_groups(reports: Sequence[RunReport]) -> list[Group]:
    """The violated runs by cause, the most frequent cause first."""
    groups = Groups()
    for report in reports:
        if report.violations:
            first = report.violations[0]
            groups.add(first.invariant, first.message, report.info.seed, str(report.path), repro(report))
    return groups.all


def runs_table(reports: Sequence[RunReport]) -> Table:
    rows = []
    ends = {id(report): operation_ends(report) for report in reports}
    shown = [end for end in ENDS if end != "elsewhere" or any(end in of_run for of_run in ends.values())]
    for report in _in_order(reports):
        stats = report.stats
        rows.append(
            [
                str(report.info.seed),
                report.verdict if report.verdict == "valid" else report.verdict.upper(),
                str(stats["leaders_elected"]),
                "/".join(str(ends[id(report)].get(end, 0)) for end in shown),
                f"{stats['faults_fired']}/{stats['faults_effective']}",
                f"{_number(stats.get('wall_s', stats['duration_s'])):.1f}",
                _finding(report),
            ]
        )
    columns = [
        Column("seed", "right"),
        Column("verdict"),
        Column("leaders", "right"),
        Column("/".join(shown), "right"),
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
        return f"vacuous: {vacuous(report.info.vacuous)[0]}"
    unsure = [f"{verdict.invariant}: {verdict.reason}" for verdict in report.invariants if verdict.outcome == "unknown"]
    return unsure[0] if unsure else ""


def _number(value: float | int | str) -> float | int:
    return 0 if isinstance(value, str) else value

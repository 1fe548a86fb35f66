"""A run's whole report: violations come first, and the last line of a failure is the command that repeats it."""

from __future__ import annotations

from raft_chaos.reports.facts.around import around_lines
from raft_chaos.reports.facts.violations import ViolationRow
from raft_chaos.reports.run.layout import caveats, headline, tables
from raft_chaos.reports.run.model import RunReport
from raft_chaos.reports.tables import flowing, markdown_table, titled, unbroken
from raft_chaos.reports.text import USUAL, fenced, markdown, prose, visible
from raft_chaos.reports.window.of_run import INVARIANT
from raft_chaos.reports.window.timeline import timeline

AROUND = "Around the first violation"


def text_page(report: RunReport, width: int = USUAL) -> str:
    """The report for a terminal of `width` columns. Commands never wrap, so that they can be copied."""
    remarks = flowing(caveats(report), width)
    lines = prose(headline(report), width, "", "  ")
    lines += remarks if not report.violations else []
    if report.violations:
        lines += ["", *_title("Violations")]
        for number, violation in enumerate(report.violations, 1):
            lines += _violation(number, violation, width)
            if drawn := _timeline(report, violation, width - 3):
                lines += ["", *(f"   {line}" for line in drawn)]
        lines += ["", *remarks] if remarks else []
    if report.around is not None:
        lines += ["", *_title(AROUND), *around_lines(report.around, width)]
    for table in tables(report):
        lines += ["", *titled(table, width)]
    if command := repro(report):
        lines += ["", *prose(reproduces(report), width), command]
    return "\n".join(lines) + "\n"


def markdown_page(report: RunReport) -> str:
    """The report for GitHub."""
    remarks = [line for caveat in caveats(report) for line in (f"> {markdown(caveat)}", "")]
    lines = [f"# {markdown(headline(report))}", "", *(remarks if not report.violations else [])]
    for violation in report.violations:
        lines += [f"## Violated: {markdown(violation.invariant)}", "", markdown(violation.message), ""]
        lines += [f"Rule: {markdown(violation.rule)}", ""] if violation.rule else []
        lines += [*fenced(violation.witness), ""] if violation.witness else []
        lines += [f"{_unshown(violation)}.", ""] if violation.unshown else []
        drawn = _timeline(report, violation, USUAL)
        lines += [*fenced(drawn), ""] if drawn else []
    lines += remarks if report.violations else []
    if report.around is not None:
        lines += [f"## {AROUND}", "", *fenced(around_lines(report.around, USUAL)), ""]
    for table in tables(report):
        lines += [f"## {table.title}", "", *markdown_table(table), ""]
    if command := repro(report):
        lines += ["Reproduce:", "", *fenced([command], "sh")]
    return "\n".join(lines).rstrip() + "\n"


def _timeline(report: RunReport, violation: ViolationRow, width: int) -> list[str]:
    """The operations that show a violation of linearizability, as bars over time."""
    if report.window is None or violation.invariant != INVARIANT:
        return []
    return timeline(report.window, width)


def repro(report: RunReport) -> str:
    """The command that repeats a run that is not valid, on one line; "" if the run is valid or has no command."""
    return "" if report.verdict == "valid" else visible(report.info.repro).strip()


def reproduces(report: RunReport) -> str:
    """The line above that command. It says that the command repeats everything, or in `live` only the schedule."""
    live = report.info.world == "live"
    return "Reproduce (this repeats the schedule, not the interleaving):" if live else "Reproduce, event for event:"


def _title(title: str) -> list[str]:
    return [title, "=" * len(title)]


def _violation(number: int, violation: ViolationRow, width: int) -> list[str]:
    lines = prose(f"{number}. {violation.invariant}: {violation.message}", width, "", "   ")
    if violation.rule:
        lines += prose(f"rule: {violation.rule}", width, "   ", "         ")
    lines += [row for line in violation.witness for row in unbroken(line, width, "   ", WITNESS_INDENT)]
    return [*lines, *prose(_unshown(violation), width, "   ", "   ")] if violation.unshown else lines


WITNESS_INDENT = " " * 16
"""The second line of an event in a witness stands below where its node is named."""


def _unshown(violation: ViolationRow) -> str:
    return f"... and {violation.unshown} more of {violation.invariant}"

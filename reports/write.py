"""The entry point: writes or renders the reports of saved runs. A format is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.campaign.runs import campaign_markdown, campaign_text
from raft_chaos.reports.campaign.seeds import SeedLike, SeedTotals, seeds_document, seeds_markdown, seeds_text
from raft_chaos.reports.formats.json import campaign_document, dumps, run_document
from raft_chaos.reports.run.model import RunReport, build
from raft_chaos.reports.run.pages import markdown_page, text_page
from raft_chaos.reports.text import USUAL

Format: TypeAlias = Literal["text", "markdown", "json", "junit", "html", "perfetto"]

FILE_OF: dict[Format, str] = {  # a trace is made when it is asked for: it is as large as the run
    "text": "report.txt",
    "markdown": "report.md",
    "json": "report.json",
    "junit": "junit.xml",
    "html": "report.html",
}

EARLIER_PICTURE = "linearizability.html"
"""Earlier versions wrote it, and would now show what may no longer be so."""


def write_reports(run: RunDir) -> None:
    """Writes report.txt, report.md, report.json, junit.xml and report.html into the run directory, over older ones.

    Raises RunDirError for a directory that cannot be read as a run, OSError if it cannot be written.
    """
    report = build(run)
    for fmt, name in FILE_OF.items():
        (run.path / name).write_text(render_report(report, fmt), encoding="utf-8")
    (run.path / EARLIER_PICTURE).unlink(missing_ok=True)


def render(run: RunDir, fmt: Format, width: int = USUAL) -> str:
    """The report of one run; text for a terminal of `width` columns.

    Raises RunDirError for a directory that cannot be read as a run.
    """
    return render_report(build(run), fmt, width)


def render_campaign(reports: Sequence[RunReport], fmt: Format, width: int = USUAL) -> str:
    """The report of several runs that were read already; text for a terminal of `width` columns."""
    match fmt:
        case "text":
            return campaign_text(reports, width)
        case "markdown":
            return campaign_markdown(reports)
        case "json":
            return dumps(campaign_document(reports))
        case "junit":
            from raft_chaos.reports.formats.junit import junit_xml

            return junit_xml(reports)
        case "html":
            from raft_chaos.reports.html.campaign import campaign_page

            return campaign_page(reports)
        case "perfetto":
            raise ValueError("perfetto: a trace is of one run")


def render_seeds(totals: SeedTotals, results: Sequence[SeedLike], folder: Path, fmt: Format, width: int = USUAL) -> str:
    """The report of a campaign from its file; `folder` is where that is. Raises ValueError for JUnit XML, in which each
    test case is a run."""
    match fmt:
        case "text":
            return seeds_text(totals, width)
        case "markdown":
            return seeds_markdown(totals)
        case "json":
            return dumps(seeds_document(totals))
        case "html":
            from raft_chaos.reports.html.campaign import seeds_page

            return seeds_page(totals, results, folder)
        case "junit":
            raise ValueError("junit: expected run directories, got a campaign's file, which has only their results")
        case "perfetto":
            raise ValueError("perfetto: expected one run directory, got a campaign's file")


def render_report(report: RunReport, fmt: Format, width: int = USUAL) -> str:
    """The report of a run that was read already (`reports.run.model.build`); text for a terminal of `width` columns."""
    match fmt:
        case "text":
            return text_page(report, width)
        case "markdown":
            return markdown_page(report)
        case "json":
            return dumps(run_document(report))
        case "junit":
            from raft_chaos.reports.formats.junit import junit_xml

            return junit_xml([report])
        case "html":
            from raft_chaos.reports.html.run import run_page

            return run_page(report)
        case "perfetto":
            from raft_chaos.reports.formats.perfetto import perfetto

            return perfetto(RunDir(report.path))

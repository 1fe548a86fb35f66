"""GitHub Actions: the report in the job's summary, and an annotation for each violation.

Source: GitHub's documentation, "Workflow commands for GitHub Actions" (error and warning messages, job summaries).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from raft_chaos.reports.run.layout import vacuous
from raft_chaos.reports.run.model import RunReport
from raft_chaos.reports.run.pages import repro
from raft_chaos.reports.text import visible

MOST_ANNOTATIONS = 10
"""GitHub shows at most this many annotations of a kind for one step."""


def on_github() -> bool:
    """Whether this process runs in a workflow of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def publish(reports: Sequence[RunReport], markdown: str) -> list[str]:
    """Appends the Markdown to the job's summary, and returns the annotation lines that the caller prints.

    Outside GitHub Actions it does nothing and returns none. Raises OSError if the summary cannot be written.
    """
    if not on_github():
        return []
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(markdown + "\n")
    return annotation_lines(reports)


def annotation_lines(reports: Sequence[RunReport]) -> list[str]:
    """An error for each violation and a warning for each unknown run, the first few of each."""
    errors, warnings = [], []
    for report in reports:
        seed, command = report.info.seed, repro(report)
        for violation in report.violations:
            title = f"{violation.invariant} violated (seed {seed})"
            errors.append(_command("error", title, f"{violation.message}\n{command}"))
        if report.verdict == "unknown":
            reasons = [visible(reason) for reason in vacuous(report.info.vacuous)] or ["see the report"]
            warnings.append(_command("warning", f"unknown (seed {seed})", "\n".join([*reasons, command])))
    return [*errors[:MOST_ANNOTATIONS], *warnings[:MOST_ANNOTATIONS]]


def _command(level: str, title: str, message: str) -> str:
    return f"::{level} title={_escape(title).replace(':', '%3A').replace(',', '%2C')}::{_escape(message.strip())}"


def _escape(text: str) -> str:
    # The percent sign comes first; otherwise it would escape the escapes.
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

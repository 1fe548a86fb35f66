"""`raft-chaos explain --html` and `--svg`: the space-time diagram of a violation in a run, or of a file's steps."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.cli.read.explanation import explanation
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.execution.narrate import Narrator
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.reproduction.file import load
from raft_chaos.chaos.run.settings import program
from raft_chaos.invariants.verdict import EXIT_UNKNOWN, Violation
from raft_chaos.reports.commands.explain import Explanation, explanation_story
from raft_chaos.reports.html.explain import explain_html, explain_picture
from raft_chaos.reports.html.spacetime import NO_EVENTS
from raft_chaos.reports.spacetime.diagram import Diagram
from raft_chaos.reports.spacetime.of_run import diagram_of_run
from raft_chaos.reports.spacetime.of_steps import DoneStep, diagram_of_steps
from raft_chaos.reports.story.happens_before import Item

WIDTH = 120
"""The columns of the story in a page."""


@dataclass(frozen=True)
class Drawn:
    """What is drawn. `diagram` is None for a system whose nodes report no events."""

    diagram: Diagram | None
    explained: Explanation | None
    about: str
    commands: list[tuple[str, str]]

    @property
    def violation(self) -> Violation | None:
        return None if self.explained is None else self.explained.story.violation


def drawn_run(run: Path, items: Sequence[Item], explained: Explanation, most_rows: int) -> Drawn:
    """The diagram of a violation in a saved run with this trace."""
    commands = [
        ("Make it as small as it gets", shlex.join([program(), "shrink", str(run)])),
        ("All of its events", shlex.join([program(), "trace", str(run)])),
    ]
    return Drawn(diagram_of_run(items, explained.story, most_rows), explained, f"run {run}", commands)


def drawn_file(file: Path, edited: bool, invariant: str | None, most_rows: int) -> Drawn | None:
    """The diagram of a reproduction's execution, a row for each step; None if the file has only a schedule."""
    reproduction = load(file, edited=edited)
    execution = reproduction.execution
    if execution is None:
        return None
    narrator = Narrator(execution, parts_of(reproduction.mutant), since=len(execution.steps) - most_rows)
    done = [
        DoneStep(
            number=told.number,
            who=told.who,
            is_client=told.is_client,
            at_us=told.at_us,
            lines=told.lines,
            events=told.events,
            after=told.after,
        )
        for told in narrator.steps()
    ]
    items = [event for step in done for event in step.events]
    explained = explanation(items, narrator.verdicts(), invariant)
    violation = explained.story.violation if explained is not None else None
    diagram = diagram_of_steps(done, execution.nodes, violation, most_rows)
    commands = [("Run it again", shlex.join([program(), "repro", str(file)]))]
    return Drawn(diagram, explained, f"reproduction {file}", commands)


def write_drawn(drawn: Drawn, path: Path, out: Path | None, *, as_svg: bool) -> Result:
    """Writes the page or the image, and says where."""
    file = out or _beside(path, "svg" if as_svg else "html")
    if as_svg:
        if drawn.diagram is None:
            return Result(EXIT_UNKNOWN, notes=[f"raft-chaos: nothing to draw: {NO_EVENTS}"])
        text = explain_picture(drawn.diagram, drawn.violation)
    else:
        story = explanation_story(drawn.explained, WIDTH) if drawn.explained is not None else []
        text = explain_html(drawn.diagram, drawn.violation, story, drawn.about, drawn.commands)
    return write_page(text, file)


def write_page(text: str, file: Path) -> Result:
    """Writes a page or an image, and says where."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"--out: cannot write {file} ({error.strerror})")
    return Result(page=[f"Written to {file}"])


def _beside(path: Path, suffix: str) -> Path:
    return path / f"explain.{suffix}" if path.is_dir() else path.with_suffix(f".{suffix}")

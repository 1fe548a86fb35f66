"""`raft-chaos explain --causality`: at which step of a reproduction's execution the failure was decided."""

from __future__ import annotations

from pathlib import Path

from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.cli.read.drawn import write_page
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.execution.narrate import Narrator
from raft_chaos.chaos.exploration.causality import Causality, causality
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.reproduction.file import DEFAULT_NAME, Reproduction, load
from raft_chaos.chaos.reproduction.reproduce import JUDGED_BY_TIME
from raft_chaos.reports.html.causality import causality_html
from raft_chaos.reports.story.causality import CausalityView, ChanceAt, causality_document, causality_page


def explain_causality(
    path: Path, edited: bool, seed: int, budget_s: float, out: Path | None, *, as_html: bool, as_json: bool
) -> Result:
    """Raises ReproductionError."""
    file = path / DEFAULT_NAME if path.is_dir() else path
    if not file.is_file():
        fail(f"--causality: {path} has no {DEFAULT_NAME}; raft-chaos shrink {path} makes one, whose steps it looks at")
    reproduction = load(file, edited=edited)
    invariant = reproduction.expected.invariant
    if reproduction.execution is None or invariant in JUDGED_BY_TIME:
        fail(f"--causality: {file} has no steps that break {invariant}, only a schedule; steps have no time")
    measured = causality(reproduction.execution, invariant, parts_of(reproduction.mutant), seed=seed, budget_s=budget_s)
    view = _view(reproduction, measured, f"reproduction {file}")
    if as_html:
        return write_page(causality_html(view), out or file.with_name("causality.html"))
    return Result(page=causality_page(view, columns()), document=causality_document(view), as_json=as_json)


def _view(reproduction: Reproduction, measured: Causality, about: str) -> CausalityView:
    assert reproduction.execution is not None
    told = {one.number: one.lines[0] for one in Narrator(reproduction.execution, parts_of(reproduction.mutant)).steps()}
    jump = measured.jump
    return CausalityView(
        invariant=measured.invariant,
        about=about,
        chances=[
            ChanceAt(
                steps=one.after,
                what=told.get(one.after - 1, ""),
                percent=round(100 * one.probability, 1),
                error=round(100 * one.error, 1),
            )
            for one in measured.chances
        ],
        jump=None if jump is None else measured.chances.index(jump[1]),
        walked=measured.chances[0].walked,
        length=measured.steps,
        broken=len(reproduction.execution.steps) - 1,
    )

"""The verdicts on a run that was judged again: from its files (`check`), or re-executed (`replay --as sim`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from raft_chaos.invariants.verdict import Outcome, Verdict, overall
from raft_chaos.reports.facts.around import first_violation
from raft_chaos.reports.facts.left_out import left_out
from raft_chaos.reports.run.layout import vacuous
from raft_chaos.reports.tables import Column, Table, command_lines, flowing, text_table
from raft_chaos.reports.text import UNSEALED, count, prose, visible


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A run judged from its files. `vacuous`: why it proves nothing; `repro`: the command that repeats it.

    `sealed`: run.json says what its files were like at the end, so any change was seen. `program`: how raft-chaos was
    called. `can_shrink`: `raft-chaos shrink` can make a failure of it smaller.
    """

    run: Path
    verdict: Outcome
    invariants: Sequence[Verdict]
    vacuous: Sequence[str]
    stats: Mapping[str, float | int | str]
    repro: str
    sealed: bool
    program: str
    can_shrink: bool


def judged_page(judged: Judged, width: int) -> Iterator[str]:
    if (first := first_violation(judged.invariants)) is not None:
        yield from prose(visible(f"VIOLATED {first.invariant}: {first.message}"), width, "", "  ")
        yield ""
    rows = [[v.invariant, shown(v.outcome), str(v.judged), _why(v)] for v in judged.invariants]
    columns = [Column("invariant"), Column("verdict"), Column("judged", "right"), Column("finding", wraps=True)]
    yield from _table(columns, rows, judged.invariants, width)
    yield from flowing((f"missing: {visible(reason)}" for reason in vacuous(judged.vacuous)), width)
    if not judged.sealed:
        yield from prose(UNSEALED, width)
    yield f"{judged.verdict}: {judged.run}"
    if judged.verdict == "violated":
        yield from next_commands(judged.program, judged.run, width, can_shrink=judged.can_shrink)
        yield from command_lines("The witnesses", [judged.program, "check", str(judged.run), "--json"], width)
        yield "To reproduce:"
        yield judged.repro


def next_commands(program: str, run: Path, width: int, *, can_shrink: bool) -> list[str]:
    """The commands that show more about a violation in a run, ready to be copied."""
    shrink = command_lines("As small as it gets", [program, "shrink", str(run)], width)
    return [*command_lines("What happened", [program, "explain", str(run)], width), *(shrink if can_shrink else [])]


def judged_document(judged: Judged) -> dict[str, Any]:
    return {
        "verdict": judged.verdict,
        "run_dir": str(judged.run),
        "invariants": _outcomes(judged.invariants),
        "vacuous": judged.vacuous,
        "sealed": judged.sealed,
        "stats": judged.stats,
        "violations": _violations(judged.invariants),
    }


class ReExecuted(msgspec.Struct, frozen=True, kw_only=True):
    """A run re-executed in one process. `recorded` are the saved verdicts, `invariants` the new ones.

    `turns`: the number of recorded turns that were equal; 0 for a run without journals.
    """

    run: Path
    recorded: Sequence[Verdict]
    invariants: Sequence[Verdict]
    steps: int
    turns: int
    trace_sha256: str
    remarks: Sequence[str]

    @property
    def verdict(self) -> Outcome:
        return overall(one.outcome for one in self.invariants)


def re_executed_page(done: ReExecuted, width: int) -> Iterator[str]:
    recorded = _outcomes(done.recorded)
    rows = [[v.invariant, recorded.get(v.invariant, ""), shown(v.outcome), _why(v)] for v in done.invariants]
    columns = [Column("invariant"), Column("recorded"), Column("now"), Column("finding", wraps=True)]
    yield from _table(columns, rows, done.invariants, width)
    yield ""
    same = f"{count(done.turns, 'turn')} equal to the recorded ones" if done.turns else "the same trace"
    yield from prose(f"{count(done.steps, 'step')} re-executed, {same}", width)
    yield from flowing((f"Note: {visible(remark)}" for remark in done.remarks), width)
    yield f"{done.verdict}: {done.run} as sim, SHA-256 {done.trace_sha256}"


def re_executed_document(done: ReExecuted) -> dict[str, Any]:
    return {
        "verdict": done.verdict,
        "run_dir": str(done.run),
        "invariants": _outcomes(done.invariants),
        "recorded": _outcomes(done.recorded),
        "steps": done.steps,
        "turns_equal": done.turns,
        "trace_sha256": done.trace_sha256,
        "remarks": done.remarks,
        "violations": _violations(done.invariants),
    }


def shown(outcome: Outcome) -> str:
    """An outcome as a table shows it: all but "valid" stand out."""
    return outcome if outcome == "valid" else outcome.upper()


def _table(columns: list[Column], rows: list[list[str]], verdicts: Sequence[Verdict], width: int) -> list[str]:
    """The verdicts, and below them what the valid ones do not cover."""
    note = "\n".join(left_out(verdicts))
    return text_table(Table("Invariants", columns, rows, note, longest=len(rows)), width) if rows else []


def _why(verdict: Verdict) -> str:
    """What was found; what a valid verdict does not cover stands below the table."""
    if verdict.violations:
        return verdict.violations[0].message
    return verdict.reason if verdict.outcome != "valid" else ""


def _outcomes(verdicts: Sequence[Verdict]) -> dict[str, Outcome]:
    return {verdict.invariant: verdict.outcome for verdict in verdicts}


def _violations(verdicts: Sequence[Verdict]) -> list[object]:
    return [violation for verdict in verdicts for violation in verdict.violations]

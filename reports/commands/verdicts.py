"""The verdicts on a run that was judged again: from its files (`check`), or re-executed (`replay --as sim`)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from tabulate import tabulate

from raft_chaos.invariants.verdict import Outcome, Verdict, overall
from raft_chaos.reports.text import UNSEALED, count, visible


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


def judged_page(judged: Judged) -> Iterator[str]:
    rows = [[v.invariant, v.outcome, v.judged, _why(v)] for v in judged.invariants]
    yield from _table(rows, ["invariant", "verdict", "judged", ""], 60) if rows else []
    yield from (f"missing: {reason}" for reason in judged.vacuous)
    if not judged.sealed:
        yield UNSEALED
    yield f"{judged.verdict}: {judged.run}"
    if judged.verdict == "violated":
        yield from next_commands(judged.program, judged.run, can_shrink=judged.can_shrink)
        yield f"The witnesses: {shlex.join([judged.program, 'check', str(judged.run), '--json'])}"
        yield f"To reproduce:\n{judged.repro}"


def next_commands(program: str, run: Path, *, can_shrink: bool) -> list[str]:
    """The commands that show more about a violation in a run, ready to be copied."""
    explain, shrink = (shlex.join([program, command, str(run)]) for command in ("explain", "shrink"))
    return [f"What happened: {explain}", *([f"As small as it gets: {shrink}"] if can_shrink else [])]


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


def re_executed_page(done: ReExecuted) -> Iterator[str]:
    recorded = _outcomes(done.recorded)
    rows = [[v.invariant, recorded.get(v.invariant, ""), v.outcome, visible(_why(v))] for v in done.invariants]
    yield from _table(rows, ["invariant", "recorded", "now", ""], 50)
    yield ""
    same = f"{count(done.turns, 'turn')} equal to the recorded ones" if done.turns else "the same trace"
    yield f"{count(done.steps, 'step')} re-executed, {same}"
    yield from (f"Note: {visible(remark)}" for remark in done.remarks)
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


def _table(rows: Sequence[Sequence[object]], headers: Sequence[str], widest: int) -> list[str]:
    return tabulate(rows, headers, tablefmt="simple", maxcolwidths=[None, None, None, widest]).split("\n")


def _why(verdict: Verdict) -> str:
    """What was found; what a valid verdict does not cover stands below the table."""
    if verdict.violations:
        return verdict.violations[0].message
    return verdict.reason if verdict.outcome != "valid" else ""


def _outcomes(verdicts: Sequence[Verdict]) -> dict[str, Outcome]:
    return {verdict.invariant: verdict.outcome for verdict in verdicts}


def _violations(verdicts: Sequence[Verdict]) -> list[object]:
    return [violation for verdict in verdicts for violation in verdict.violations]

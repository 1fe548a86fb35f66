"""The result of `selfcheck`: what happened in the runs of each seed, and the first difference of two of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec

from raft_chaos.invariants.rundir import RunDirError
from raft_chaos.invariants.trace import Difference
from raft_chaos.invariants.verdict import EXIT_HARNESS, EXIT_UNKNOWN, EXIT_VALID, EXIT_VIOLATED
from raft_chaos.reports.campaign.seeds import HAPPENED
from raft_chaos.reports.commands.difference import difference_page
from raft_chaos.reports.tables import Column, Table, text_table
from raft_chaos.reports.text import prose, visible

SUMMED = (
    "simulated_s",
    "deliveries",
    "elections",
    "truncations",
    "restarts",
    "lost_writes",
    "torn_writes",
    "frames_lost",
    "frames_duplicated",
    "frames_reordered",
    "frames_stale",
)
"""What must have happened for equal traces to mean something."""


class AnswerLike(Protocol):
    """One run of a seed. It has a digest, or the reason for having none: the run `diverged` or the harness `failed`."""

    @property
    def side(self) -> str: ...
    @property
    def trace_sha256(self) -> str: ...
    @property
    def stats(self) -> Mapping[str, float | int | str]: ...
    @property
    def diverged(self) -> str: ...
    @property
    def failed(self) -> str: ...
    @property
    def run(self) -> str | None: ...


class CheckedLike(Protocol):
    """One seed: its runs, and recordings of two runs that differ. `every` has both."""

    @property
    def seed(self) -> int: ...
    @property
    def answers(self) -> Sequence[AnswerLike]: ...
    @property
    def parted(self) -> tuple[AnswerLike, AnswerLike] | None: ...
    @property
    def every(self) -> Sequence[AnswerLike]: ...
    @property
    def outcome(self) -> Literal["equal", "different", "failed"]: ...
    def difference(self) -> Difference | None: ...


@dataclass
class SelfcheckTotals:
    """The results of all seeds. Of a seed with equal runs it keeps only the sums of its first run.

    `options` are the options of the command line that decide what is run; `program` is how raft-chaos was called.
    """

    program: str
    seeds: str
    total: int
    options: Sequence[str]
    done: int = 0
    unequal: list[CheckedLike] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SUMMED, 0))
    stopped: str = ""
    """Why the command ended before it compared all seeds, or ""."""
    broken: bool = False
    """Whether it ended because the harness failed."""

    def observe(self, checked: CheckedLike) -> None:
        self.done += 1
        if checked.outcome != "equal":
            self.unequal.append(checked)
        for name in SUMMED:
            value = checked.answers[0].stats.get(name, 0)
            self.sums[name] += 0 if isinstance(value, str) else value

    def of(self, outcome: str) -> list[CheckedLike]:
        return [checked for checked in self.unequal if checked.outcome == outcome]

    def failures(self) -> Iterator[tuple[int, AnswerLike]]:
        """The seeds on which the harness failed, and the runs in which it did."""
        return ((c.seed, answer) for c in self.of("failed") for answer in c.every if answer.failed)

    @property
    def exit_code(self) -> int:
        """A difference outranks a failure of the harness."""
        if self.of("different"):
            return EXIT_VIOLATED
        if self.unequal or self.broken:
            return EXIT_HARNESS
        return EXIT_UNKNOWN if self.stopped else EXIT_VALID

    @property
    def repro(self) -> str:
        """The command that repeats the seed to look at first, or ""."""
        first = (self.of("different") or self.of("failed"))[:1]
        return shlex.join([self.program, "selfcheck", "--seeds", str(first[0].seed), *self.options]) if first else ""

    def diff(self, checked: CheckedLike) -> str:
        """The command that compares the recorded runs."""
        return shlex.join([self.program, "diff", *(answer.run or "" for answer in checked.parted or ())])


def selfcheck_page(totals: SelfcheckTotals, width: int) -> Iterator[str]:
    """What happened, the first difference, the failures, and the command that repeats it."""
    rows = [[HAPPENED[name], f"{totals.sums[name]:.0f}"] for name in SUMMED]
    yield from text_table(Table("", [Column("in these runs"), Column("sum", "right")], rows), width)
    different = totals.of("different")
    for checked in different[:1]:
        yield from ("", f"seed {checked.seed}: different")
        yield from (f"  {row}" for row in _parting(checked, width - 2))
        yield f"  {totals.diff(checked)}"
        yield ""
    for seed, answer in totals.failures():
        yield from prose(f"HARNESS FAILED on seed {seed}, {answer.side}: {visible(answer.failed)}", width, "", "  ")
        if answer.run is not None:
            yield f"  {answer.run}"
    if totals.stopped:
        yield from prose(f"STOPPED: {visible(totals.stopped)}", width, "", "  ")
    all_of_them = f" ({totals.total} were asked for)" if totals.done < totals.total else ""
    equal = f"{totals.done - len(totals.unequal)} of {totals.done} equal"
    yield from prose(f"seeds {totals.seeds}: {equal}{all_of_them}", width, "", "  ")
    if different:
        yield from prose(f"different: {' '.join(str(checked.seed) for checked in different)}", width, "", "  ")
    if totals.repro:
        yield from ("Reproduce:", totals.repro)


def selfcheck_document(totals: SelfcheckTotals) -> dict[str, Any]:
    return {
        "seeds": totals.seeds,
        "total": totals.total,
        "compared": totals.done,
        "equal": totals.done - len(totals.unequal),
        "different": [_different(checked, totals.diff(checked)) for checked in totals.of("different")],
        "failed": [
            {"seed": seed, "side": answer.side, "error": answer.failed, "run": answer.run}
            for seed, answer in totals.failures()
        ],
        "stopped": totals.stopped,
        "sums": totals.sums,
        "repro": totals.repro,
    }


def _parting(checked: CheckedLike, width: int) -> Iterator[str]:
    """The traces of a seed, the first event in which they differ, and what led to it."""
    assert checked.parted is not None
    yield from (f"{answer.side}: {answer.diverged or answer.trace_sha256}" for answer in checked.answers)
    before = {answer.trace_sha256 for answer in checked.answers}
    yield from (f"{a.side}, recorded: {a.trace_sha256}" for a in checked.parted if a.trace_sha256 not in before)
    found, unknown = _difference(checked)
    if found is not None:
        left, right = checked.parted
        yield from difference_page(found, left.side, right.side, width)
    if unknown:
        yield from prose(unknown, width)


def _difference(checked: CheckedLike) -> tuple[Difference | None, str]:
    """The first difference of the recorded runs, or why it is not known."""
    try:
        found = checked.difference()
    except RunDirError as error:
        return None, str(error)
    return found, "" if found is not None else "The difference did not occur again: the recorded runs are equal."


def _different(checked: CheckedLike, diff: str) -> dict[str, Any]:
    assert checked.parted is not None
    found, unknown = _difference(checked)
    return {
        "seed": checked.seed,
        "sides": [_side(answer) for answer in checked.answers],
        "recorded": [_side(answer) for answer in checked.parted],
        "difference": found
        and {
            "events_equal": found.common,
            "left": found.left and msgspec.json.decode(found.left.line),
            "right": found.right and msgspec.json.decode(found.right.line),
            "fields": found.fields,
            "before": [{"relation": relation, "event": item.event} for relation, item in found.before],
        },
        "unknown": unknown,
        "diff": diff,
    }


def _side(answer: AnswerLike) -> dict[str, str | None]:
    return {"side": answer.side, "trace_sha256": answer.trace_sha256, "diverged": answer.diverged, "run": answer.run}

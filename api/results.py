"""What the functions of the Python API return. Everything in these objects is read from a run directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from raft_chaos.api import notebook
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.invariants.verdict import Outcome, overall
from raft_chaos.invariants.verdict import Verdict as InvariantVerdict
from raft_chaos.reports import tables as drawn
from raft_chaos.reports.facts.violations import violation_rows
from raft_chaos.reports.run.layout import headline, tables
from raft_chaos.reports.run.model import RunReport, build
from raft_chaos.reports.text import visible
from raft_chaos.reports.write import Format, render_report

MOST_SHOWN = 3
"""How many violations the text of a run shows; the report has all."""


class ViolatedError(AssertionError):
    """A run violated an invariant. `run` is the run."""

    def __init__(self, run: Run) -> None:
        super().__init__(str(run))
        self.run = run


class UndecidedError(AssertionError):
    """Whether a run violated an invariant is unknown; mostly it did not exercise the system enough. See `run`."""

    def __init__(self, run: Run) -> None:
        super().__init__(str(run))
        self.run = run


@dataclass(frozen=True)
class Violation:
    """One violation: a sentence, the rule that it breaks, and the witness, the fewest events that show it.

    `witness` has them as lines of text, `events` as plain dicts, as they stand in the run's files.
    """

    invariant: str
    message: str
    rule: str
    witness: tuple[str, ...]
    events: tuple[Any, ...]

    def __str__(self) -> str:
        rule = [f"   rule: {self.rule}"] if self.rule else []
        return "\n".join([f"{self.invariant}: {self.message}", *rule, *(f"   {line}" for line in self.witness)])

    def _repr_html_(self) -> str:
        return notebook.violation(self)


@dataclass(frozen=True)
class Table:
    """One table of a report. `rows` hold texts: `pandas.DataFrame(table.rows, columns=table.columns)`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str
    _drawn: drawn.Table

    @classmethod
    def of(cls, table: drawn.Table) -> Table:
        columns = tuple(column.header for column in table.columns)
        rows = tuple(tuple(cell.strip() for cell in row) for row in table.rows)
        return cls(table.title, columns, rows, table.note, table)

    @property
    def aligned(self) -> tuple[str, ...]:
        """ "left" or "right" (numbers) for each column."""
        return tuple(column.align for column in self._drawn.columns)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, str]]:
        """The rows as dicts."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)

    def __repr__(self) -> str:
        return f"<Table {self.title!r}: {len(self)} rows of {', '.join(self.columns)}>"

    def __str__(self) -> str:
        return "\n".join(drawn.text_table(self._drawn))

    def _repr_html_(self) -> str:
        return notebook.table(self)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Run:
    """One run, saved in the directory `path`.

    `verdict` is "valid", "violated" or "unknown"; `invariants` has that of each invariant. `vacuous` says why the run
    shows too little, a sentence each. `repro` is the command that repeats it.
    """

    path: Path
    seed: int
    world: str
    target: str
    mutant: str | None
    verdict: Outcome
    invariants: dict[str, Outcome]
    violations: tuple[Violation, ...]
    vacuous: tuple[str, ...]
    stats: dict[str, float | int | str]
    repro: str

    @property
    def valid(self) -> bool:
        return self.verdict == "valid"

    @property
    def violated(self) -> list[str]:
        """The names of the violated invariants."""
        return [name for name, outcome in self.invariants.items() if outcome == "violated"]

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables of its report, by title."""
        return {table.title: Table.of(table) for table in tables(self._report)}

    def report(self, format: Format = "text") -> str:
        """Its report, as `raft-chaos report --format` writes it."""
        return render_report(self._report, format)

    def expect_valid(self) -> Run:
        """Returns itself. Raises ViolatedError for a violated run, and UndecidedError for an unknown one."""
        if self.verdict == "violated":
            raise ViolatedError(self)
        if self.verdict == "unknown":
            raise UndecidedError(self)
        return self

    @cached_property
    def _report(self) -> RunReport:
        return build(RunDir(self.path))

    def __repr__(self) -> str:
        broken = f" {', '.join(self.violated)}" if self.violated else ""
        return f"<Run {self.verdict}{broken}: seed {self.seed}, {self.world}, {self.path}>"

    def __str__(self) -> str:
        """The verdict, the first violations with their witnesses, and the command that repeats the run."""
        return "\n".join(self.summary())

    def summary(self) -> Iterator[str]:
        yield self.headline
        for violation in self.violations[:MOST_SHOWN]:
            yield from ("", str(violation))
        if (more := len(self.violations) - MOST_SHOWN) > 0:
            yield f"... and {more} more; the report has all of them"
        if self.vacuous and self.verdict != "violated":
            yield from ("", *self.vacuous)
        if not self.valid:
            yield from ("", f"run directory: {self.path}")
        if not self.valid and self.repro:
            exact = "the schedule, not the interleaving" if self.world == "live" else "event for event"
            yield from (f"repeat it ({exact}):", f"    {visible(self.repro)}")

    @property
    def headline(self) -> str:
        """The verdict, and which run it is about, in one line."""
        if self.verdict == self._report.verdict:
            return headline(self._report)
        return f"{self.verdict.upper()} when judged again (seed {self.seed}, {self.world}, {self.path})"

    def _repr_html_(self) -> str:
        return notebook.run(self)


def saved_run(path: Path, verdicts: Sequence[InvariantVerdict] | None = None, **judged: Any) -> Run:
    """The run of this directory, with the verdict in its run.json or as it was `judged` again.

    Raises RunDirError.
    """
    directory = RunDir(path)
    info = directory.load_info()
    every = info.invariants if verdicts is None else list(verdicts)
    fields: dict[str, Any] = {
        "verdict": info.verdict or "unknown",
        "vacuous": tuple(info.vacuous),
        "stats": dict(info.stats),
        **judged,
    }
    return Run(
        path=path,
        seed=info.seed,
        world=info.world,
        target=info.target,
        mutant=info.mutant,
        invariants={verdict.invariant: verdict.outcome for verdict in every},
        violations=tuple(violations_of(every)),
        repro=info.repro,
        **fields,
    )


def violations_of(verdicts: Sequence[InvariantVerdict]) -> Iterator[Violation]:
    """All that were saved, each invariant's earliest first."""
    for verdict in verdicts:
        plain = msgspec.convert(msgspec.to_builtins(verdict), InvariantVerdict)
        for place, row in enumerate(violation_rows([plain])):
            events = plain.violations[place].witness if plain.violations else ()
            yield Violation(row.invariant, row.message, row.rule, tuple(row.witness), tuple(events))


@dataclass(frozen=True, eq=False)
class SeedResult:
    """One seed of a campaign. `run` is None for a valid seed in sim, which leaves no directory."""

    seed: int
    verdict: Outcome
    violated: list[str]
    run: Run | None


@dataclass(frozen=True, eq=False, repr=False)
class Campaign:
    """Many seeds of one configuration. `stopped` says why it ended before its last seed, or ""."""

    seeds: tuple[SeedResult, ...]
    stopped: str = ""

    @property
    def verdict(self) -> Outcome:
        outcomes: list[Outcome] = [seed.verdict for seed in self.seeds]
        return overall([*outcomes, "unknown"] if self.stopped else outcomes)

    @property
    def valid(self) -> bool:
        return self.verdict == "valid"

    @property
    def runs(self) -> list[Run]:
        """The saved runs, the violated ones first."""
        kept = [seed.run for seed in self.seeds if seed.run is not None]
        return sorted(kept, key=lambda run: ("violated", "unknown", "valid").index(run.verdict))

    def expect_valid(self) -> Campaign:
        """Returns itself. Raises ViolatedError or UndecidedError with the first run that is not valid."""
        for run in self.runs:
            run.expect_valid()
        return self

    def __len__(self) -> int:
        return len(self.seeds)

    def __iter__(self) -> Iterator[SeedResult]:
        return iter(self.seeds)

    def __repr__(self) -> str:
        counts = {verdict: sum(seed.verdict == verdict for seed in self.seeds) for verdict in self._order()}
        stopped = f"; {self.stopped}" if self.stopped else ""
        return f"<Campaign {self.verdict}: {', '.join(f'{n} {name}' for name, n in counts.items())}{stopped}>"

    def _order(self) -> list[Outcome]:
        there = {seed.verdict for seed in self.seeds}
        every: list[Outcome] = ["violated", "unknown", "valid"]
        return [verdict for verdict in every if verdict in there]

    def _repr_html_(self) -> str:
        return notebook.campaign(self)

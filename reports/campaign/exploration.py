"""An exploration as tables: the states that it reached over time, what each way of making a schedule led to, and its
failures.

`ExplorationTotals` takes one attempt after the other and keeps only sums. The states over time are kept at few points,
which move apart as the exploration goes on, so an exploration of days is shown in the same space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from raft_chaos.invariants.verdict import EXIT_CODE, Outcome
from raft_chaos.reports.tables import Column, Table, flowing, titled
from raft_chaos.reports.text import USUAL, count, visible

MOST_POINTS = 240
SHOWN_POINTS = 12
LONGEST_BAR = 30


class AttemptLike(Protocol):
    """One attempt, as in an exploration's journal."""

    @property
    def number(self) -> int: ...
    @property
    def way(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def cpu_s(self) -> float: ...
    @property
    def verdict(self) -> Outcome: ...
    @property
    def violated(self) -> Sequence[str]: ...
    @property
    def run(self) -> str | None: ...
    @property
    def repro(self) -> str: ...


@dataclass(frozen=True)
class Point:
    """The states reached after so many attempts and seconds of CPU time."""

    attempts: int
    cpu_s: float
    states: int


@dataclass
class Way:
    """What one way of making a schedule led to."""

    attempts: int = 0
    new: int = 0
    cpu_s: float = 0.0
    failures: int = 0


@dataclass
class Alike:
    """Failures that violate the same invariants: their number, the first of them, and the CPU time until then."""

    failures: int
    first: AttemptLike
    cpu_s: float


@dataclass
class ExplorationTotals:
    """All attempts so far. `stopped` says why it ended before its budget did, "" if it did not."""

    target: str
    seed: int
    folder: str
    stopped: str = ""
    attempts: int = 0
    states: int = 0
    cpu_s: float = 0.0
    failures: int = 0
    unknown: int = 0
    points: list[Point] = field(default_factory=list)
    ways: dict[str, Way] = field(default_factory=dict)
    alike: dict[tuple[str, ...], Alike] = field(default_factory=dict)
    _apart: int = 1

    def observe(self, attempt: AttemptLike, new: int) -> None:
        """An attempt that was the first to reach so many states."""
        self.attempts += 1
        self.states += new
        self.cpu_s += attempt.cpu_s
        way = self.ways.setdefault(attempt.way, Way())
        way.attempts, way.new, way.cpu_s = way.attempts + 1, way.new + new, way.cpu_s + attempt.cpu_s
        if attempt.violated:
            self.failures += 1
            way.failures += 1
            known = self.alike.setdefault(tuple(attempt.violated), Alike(0, attempt, self.cpu_s))
            known.failures += 1
        self.unknown += attempt.verdict == "unknown"
        if self.attempts % self._apart == 0:
            self.points.append(self.now)
            if len(self.points) > MOST_POINTS:
                self.points, self._apart = self.points[1::2], 2 * self._apart

    @property
    def now(self) -> Point:
        return Point(self.attempts, self.cpu_s, self.states)

    @property
    def verdict(self) -> Outcome:
        return "violated" if self.failures else "valid" if self.attempts > self.unknown else "unknown"

    @property
    def exit_code(self) -> int:
        return EXIT_CODE[self.verdict]

    @property
    def repro(self) -> str:
        """The command that repeats the first failure, or ""."""
        return next((alike.first.repro for alike in self.alike.values()), "")

    @property
    def curve(self) -> list[Point]:
        """The states over time, up to now."""
        return [*self.points, *([self.now] if self.attempts and self.points[-1:] != [self.now] else [])]


def exploration_headline(totals: ExplorationTotals) -> str:
    unknown = f", {totals.unknown} unknown" if totals.unknown else ""
    return (
        f"{totals.verdict.upper()} ({count(totals.attempts, 'run')}{unknown}, {count(totals.states, 'state')}, "
        f"{count(totals.failures, 'failure')})"
    )


def exploration_tables(totals: ExplorationTotals, *, bars: bool = True) -> list[Table]:
    """The tables that have something to show. Without `bars`: for a page that has the curve."""
    tables = [_over_time(totals, bars), _ways(totals), _failures(totals)]
    return [table for table in tables if table.rows]


def exploration_text(totals: ExplorationTotals, width: int = USUAL) -> list[str]:
    """The page for a terminal. Its last line is the command that repeats a failure, or what goes on."""
    lines = [exploration_headline(totals), *flowing([f"target: {totals.target}", f"seed: {totals.seed}"], width)]
    for table in exploration_tables(totals):
        lines += ["", *titled(table, width)]
    if totals.stopped:
        lines += ["", *flowing([f"stopped: {totals.stopped}"], width)]
    lines += ["", *flowing([f"The same command goes on from here; everything is in {visible(totals.folder)}"], width)]
    return [*lines, *(["", totals.repro] if totals.repro else [])]


def exploration_document(totals: ExplorationTotals) -> dict[str, Any]:
    """The same for scripts."""
    return {
        "verdict": totals.verdict,
        "target": totals.target,
        "seed": totals.seed,
        "folder": totals.folder,
        "stopped": totals.stopped,
        "runs": totals.attempts,
        "states": totals.states,
        "cpu_s": round(totals.cpu_s, 3),
        "unknown": totals.unknown,
        "over_time": [
            {"runs": point.attempts, "cpu_s": round(point.cpu_s, 3), "states": point.states} for point in totals.curve
        ],
        "ways": {
            name: {"runs": way.attempts, "new_states": way.new, "cpu_s": round(way.cpu_s, 3), "failures": way.failures}
            for name, way in totals.ways.items()
        },
        "failures": [
            {
                "violated": list(violated),
                "runs": alike.failures,
                "first_after_cpu_s": round(alike.cpu_s, 3),
                "run": alike.first.run,
                "repro": alike.first.repro,
            }
            for violated, alike in totals.alike.items()
        ],
    }


def _over_time(totals: ExplorationTotals, bars: bool) -> Table:
    curve = totals.curve
    shown = [curve[(len(curve) * row - 1) // SHOWN_POINTS] for row in range(1, SHOWN_POINTS + 1)] if curve else []
    rows, before = [], Point(0, 0.0, 0)
    for point in dict.fromkeys(shown):
        fresh = (point.states - before.states) / max(1, point.attempts - before.attempts)
        bar = "#" * max(1, round(LONGEST_BAR * point.states / max(1, totals.states))) if bars else ""
        rows.append([f"{point.cpu_s:.1f}", f"{point.attempts}", f"{point.states}", f"{fresh:.1f}", bar])
        before = point
    right = [Column(header, "right") for header in ("CPU s", "runs", "states", "new a run")]
    return Table("States over time" if bars else "In numbers", [*right, Column("")], rows)


def _ways(totals: ExplorationTotals) -> Table:
    rows = [
        [name, f"{way.attempts}", f"{way.new}", f"{way.new / max(way.cpu_s, 1e-9):.0f}", f"{way.failures}"]
        for name, way in sorted(totals.ways.items(), key=lambda item: -item[1].attempts)
    ]
    right = [Column(header, "right") for header in ("runs", "new states", "a CPU s", "failures")]
    return Table("How the schedules were made", [Column("way"), *right], rows)


def _failures(totals: ExplorationTotals) -> Table:
    rows = [
        [", ".join(violated), f"{alike.failures}", f"{alike.cpu_s:.1f}", alike.first.way, alike.first.run or ""]
        for violated, alike in totals.alike.items()
    ]
    right = [Column("runs", "right"), Column("first at CPU s", "right")]
    columns = [Column("violated", wraps=True), *right, Column("way"), Column("run", wraps=True)]
    return Table("Failures", columns, rows)

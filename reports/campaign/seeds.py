"""A campaign of many seeds: the verdicts, and what happened in the runs, so that nobody mistakes a calm run for a test.

`SeedTotals` takes one result after the other and keeps only sums, since a campaign may have millions of seeds. At the
end the pages are made from the sums. Lists of seeds show the lowest ones, so a campaign gives the same page regardless
of the order in which its seeds end.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from raft_chaos.invariants.exposure import Exposure, added
from raft_chaos.invariants.verdict import EXIT_CODE, EXIT_HARNESS, Outcome
from raft_chaos.reports.campaign.exposure import exposure_table, inert
from raft_chaos.reports.campaign.groups import FIRST, Group, Groups, groups_table, shape
from raft_chaos.reports.campaign.paired import Paired, paired_table
from raft_chaos.reports.tables import Column, Table, flowing, markdown_table, titled
from raft_chaos.reports.text import USUAL, count, fenced, markdown, visible

HIGHEST = frozenset({"max_term"})
"""The statistics whose sum has no meaning."""

HAPPENED: dict[str, str] = {
    "simulated_s": "simulated seconds",
    "elections": "leaders elected",
    "max_term": "highest term",
    "truncations": "logs cut back",
    "restarts": "restarts",
    "faults_effective": "faults with effect",
    "lost_writes": "crashes that lost writes",
    "torn_writes": "of these, torn writes",
    "deliveries": "frames delivered",
    "frames_lost": "frames lost",
    "frames_duplicated": "frames duplicated",
    "frames_reordered": "frames reordered",
    "frames_stale": "frames of an old term",
    "committed": "entries committed",
    "ops_ok": "operations ok",
    "ops_fail": "operations failed",
    "ops_info": "operations unknown",
    "events": "events judged",
}
"""The statistics in the table, in order, with their labels. The JSON document also has all others.
The table leaves out statistics that no seed reported. It shows zeros: a zero tells the reader what was not tested."""


class SeedLike(Protocol):
    """The result of one seed, as in a campaign's file."""

    @property
    def seed(self) -> int: ...
    @property
    def verdict(self) -> Outcome: ...
    @property
    def violated(self) -> Sequence[str]: ...
    @property
    def unknown(self) -> Sequence[str]: ...
    @property
    def vacuous(self) -> Sequence[str]: ...
    @property
    def stats(self) -> Mapping[str, float | int | str]: ...
    @property
    def baseline(self) -> Mapping[str, int]: ...
    @property
    def found(self) -> str: ...
    @property
    def exposure(self) -> Sequence[Exposure]: ...
    @property
    def run(self) -> str | None: ...
    @property
    def repro(self) -> str: ...


@dataclass
class Amount:
    """One statistic over all seeds: its sum, its highest value, and in how many seeds it was not zero.

    The sum is exact, in millionths: that of floating-point numbers depends on their order, and seeds end in any order.
    """

    most: float = 0
    seeds: int = 0
    _millionths: int = 0
    _is_whole: bool = True

    def add(self, value: float) -> None:
        self._millionths += round(value * 1_000_000)
        self._is_whole &= isinstance(value, int)
        self.most = max(self.most, value)
        self.seeds += value > 0

    @property
    def total(self) -> float:
        return self._millionths // 1_000_000 if self._is_whole else self._millionths / 1_000_000


@dataclass
class Seen:
    """Something that several seeds have in common: the number of these seeds, and the lowest of them."""

    seeds: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, seed: int) -> None:
        self.seeds += 1
        insort(self.first, seed)
        del self.first[FIRST:]


class SeedTotals:
    """The sums of a campaign. `seeds` is the text that names its seeds, such as "1..200", `total` is their number.

    `stopped` says why the campaign ended early; `failed` are the seeds on which the harness itself failed.
    """

    def __init__(self, *, world: str, target: str, seeds: str, total: int) -> None:
        self.world = world
        self.target = target
        self.seeds = seeds
        self.total = total
        self.stopped = ""
        self.file = ""
        """The campaign's file, from which the same command continues."""
        self.outcomes: dict[Outcome, int] = {"violated": 0, "unknown": 0, "valid": 0}
        self.failed: list[tuple[int, str, str]] = []
        self.amounts: dict[str, Amount] = {}
        self.violated: dict[str, Seen] = {}
        self.reasons: dict[str, Seen] = {}
        self._groups = Groups()
        self.paired = Paired()
        self.exposure: list[Exposure] = []
        """What the faults of all seeds met, by kind."""
        self.worst: SeedLike | None = None
        """The seed to look at first: the lowest violated one, or else the lowest unknown one."""

    @property
    def done(self) -> int:
        return sum(self.outcomes.values())

    @property
    def complete(self) -> bool:
        return self.done == self.total

    @property
    def verdict(self) -> Outcome:
        """The worst verdict of the seeds; a campaign that did not finish is never valid."""
        if self.outcomes["violated"]:
            return "violated"
        return "unknown" if self.outcomes["unknown"] or not self.complete else "valid"

    @property
    def exit_code(self) -> int:
        """The verdict's exit code. A failure of the harness outranks every verdict except violated."""
        return EXIT_HARNESS if self.failed and self.verdict != "violated" else EXIT_CODE[self.verdict]

    def observe(self, result: SeedLike) -> None:
        """Adds the result of one seed. Results may come in any order."""
        self.outcomes[result.verdict] += 1
        for name, value in result.stats.items():
            if not isinstance(value, str):
                self.amounts.setdefault(name, Amount()).add(value)
        self.paired.add(result.stats, result.baseline)
        self.exposure = added(self.exposure, result.exposure)
        if result.violated and result.found:  # a file of an earlier version does not say what was found
            self._groups.add(result.violated[0], result.found, result.seed, result.run, result.repro)
        for invariant in result.violated:
            self.violated.setdefault(invariant, Seen()).add(result.seed)
        if result.verdict == "unknown":
            for reason in dict.fromkeys(_reasons(result)):
                self.reasons.setdefault(reason, Seen()).add(result.seed)
        if result.verdict != "valid" and (self.worst is None or _rank(result) < _rank(self.worst)):
            self.worst = result

    @property
    def groups(self) -> list[Group]:
        """The violated seeds by cause, the most frequent cause first."""
        return self._groups.all

    def observe_failure(self, seed: int, error: str, repro: str) -> None:
        """Adds a seed on which the harness itself failed, and the command that repeats it."""
        insort(self.failed, (seed, error, repro))

    @property
    def repro(self) -> str:
        """The command that repeats the seed to look at first; "" if all seeds are valid."""
        if self.worst is not None and (self.worst.verdict == "violated" or not self.failed):
            return visible(self.worst.repro)
        return visible(self.failed[0][2]) if self.failed else ""


def seeds_text(totals: SeedTotals, width: int = USUAL) -> str:
    """The campaign for a terminal of `width` columns. Commands never wrap, so that they can be copied."""
    lines = flowing([seeds_headline(totals), *seeds_caveats(totals)], width)
    for table in seeds_tables(totals):
        lines += ["", *titled(table, width)]
    if totals.repro:
        lines += ["", *flowing([_first(totals), "Reproduce:"], width), totals.repro]
    else:
        lines += ["", *flowing([_end(totals)], width)]
    return "\n".join(lines) + "\n"


def seeds_markdown(totals: SeedTotals) -> str:
    """The campaign for GitHub."""
    lines = [f"# {markdown(seeds_headline(totals))}", ""]
    lines += [line for caveat in seeds_caveats(totals) for line in (f"> {markdown(caveat)}", "")]
    for table in seeds_tables(totals):
        lines += [f"## {table.title}", "", *markdown_table(table), ""]
    if totals.repro:
        lines += [markdown(_first(totals)), "", "Reproduce:", "", *fenced([totals.repro], "sh")]
    return "\n".join(lines).rstrip() + "\n"


def seeds_document(totals: SeedTotals) -> dict[str, Any]:
    """The campaign as plain JSON values."""
    worst = totals.worst
    return {
        "verdict": totals.verdict,
        "world": totals.world,
        "target": totals.target,
        "seeds": totals.seeds,
        "total": totals.total,
        "done": totals.done,
        "complete": totals.complete,
        "stopped": totals.stopped,
        "violated": totals.outcomes["violated"],
        "unknown": totals.outcomes["unknown"],
        "valid": totals.outcomes["valid"],
        "stats": {
            name: {"total": None if name in HIGHEST else amount.total, "most": amount.most, "seeds": amount.seeds}
            for name, amount in totals.amounts.items()
        },
        "compared": totals.paired.document(),
        "violations": _listed(totals.violated),
        "groups": msgspec.to_builtins(totals.groups),
        "faults": msgspec.to_builtins(totals.exposure),
        "reasons": _listed(totals.reasons),
        "harness_failures": [{"seed": seed, "error": error, "repro": repro} for seed, error, repro in totals.failed],
        "first": None if worst is None else {"seed": worst.seed, "verdict": worst.verdict, "run": worst.run},
        "repro": totals.repro,
    }


# ---- lines of text -----------------------------------------------------------------------------------------------


def seeds_headline(totals: SeedTotals) -> str:
    ends = [f"{number} {outcome}" for outcome, number in totals.outcomes.items() if number]
    if totals.failed:
        ends.append(f"{len(totals.failed)} failed in the harness")
    done = f"{totals.done} of {count(totals.total, 'seed')}" if not totals.complete else count(totals.total, "seed")
    hours = totals.amounts.get("simulated_s", Amount()).total / 3600
    simulated = f"; {_number(hours)} simulated hours" if hours else ""
    about = f"{totals.world}, {totals.target}, {done}{': ' if ends else ''}{', '.join(ends)}{simulated}"
    return visible(f"{totals.verdict.upper()} seeds {totals.seeds} ({about})")


def seeds_caveats(totals: SeedTotals) -> list[str]:
    lines = []
    if not totals.complete:
        why = f": {totals.stopped}" if totals.stopped else ""
        anew = f" To start over, remove {totals.file}." if totals.file else ""
        lines.append(visible(f"STOPPED{why}. The same command continues with the seeds that have no result.{anew}"))
    if lacking := inert(totals.exposure):
        lines.append(lacking)
    if totals.failed:
        lines.append("HARNESS FAILED: this says nothing about the system under test. The campaign's file says where.")
    return lines


def seeds_tables(totals: SeedTotals) -> list[Table]:
    """The tables that have something to show."""
    failed = [[str(seed), error] for seed, error, _ in totals.failed]
    every = [
        _seen("Violated", "invariant", totals.violated),
        groups_table(totals.groups),
        _seen("Unknown", "reason", totals.reasons),
        Table("Harness failures", [Column("seed", "right"), Column("error", wraps=True)], failed),
        paired_table(totals.paired),
        exposure_table(totals.exposure),
        _happened(totals),
    ]
    return [table for table in every if table.rows]


def _happened(totals: SeedTotals) -> Table:
    rows = []
    for name, label in HAPPENED.items():
        if (amount := totals.amounts.get(name)) is not None:
            total = "" if name in HIGHEST else _number(amount.total)
            rows.append([label, total, _number(amount.total / totals.done), _number(amount.most), str(amount.seeds)])
    columns = [
        Column("what", wraps=True),
        Column("total", "right"),
        Column("mean", "right"),
        Column("most", "right"),
        Column("seeds", "right"),
    ]
    return Table(
        "What happened",
        columns,
        rows,
        "mean and most: per seed; seeds: the number of seeds in which it happened",
        longest=len(rows),
    )


def _seen(title: str, what: str, seen: Mapping[str, Seen]) -> Table:
    rows = [
        [name, str(one.seeds), ", ".join(map(str, one.first)) + (" ..." if one.seeds > len(one.first) else "")]
        for name, one in _most_first(seen)
    ]
    return Table(title, [Column(what, wraps=True), Column("seeds", "right"), Column("first", wraps=True)], rows)


def _listed(seen: Mapping[str, Seen]) -> list[dict[str, Any]]:
    return [{"name": name, "seeds": one.seeds, "first": one.first} for name, one in _most_first(seen)]


def _most_first(seen: Mapping[str, Seen]) -> list[tuple[str, Seen]]:
    return sorted(seen.items(), key=lambda item: (-item[1].seeds, item[0]))


def _first(totals: SeedTotals) -> str:
    """Which seed the command repeats."""
    worst = totals.worst
    if worst is not None and visible(worst.repro) == totals.repro:
        where = f", saved in {worst.run}" if worst.run else ""
        return visible(f"First {worst.verdict}: seed {worst.seed}{where}")
    return f"First failure of the harness: seed {totals.failed[0][0]}"


def _end(totals: SeedTotals) -> str:
    """The last line of a campaign that has nothing to repeat."""
    return f"seeds {totals.seeds}: {totals.verdict}" + ("" if totals.complete else f", {totals.done} of {totals.total}")


def _rank(result: SeedLike) -> tuple[bool, int]:
    return result.verdict != "violated", result.seed


def _reasons(result: SeedLike) -> list[str]:
    """Why the seed is unknown, without the numbers that differ between seeds: "only # of # operations ..."."""
    unsure = [f"{invariant} could not be judged" for invariant in result.unknown]
    return [shape(reason) for reason in (*result.vacuous, *unsure)]


def _number(value: float) -> str:
    """A whole number as it is, another with two or three significant digits."""
    if value == int(value) or value >= 1000:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"

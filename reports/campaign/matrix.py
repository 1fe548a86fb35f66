"""The kill matrix as tables: who convicts whom, what each invariant, kind of fault and episode is needed for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from statistics import median

from raft_chaos.reports.campaign.matrix_view import SLOWER, Hunted, MatrixView, Slower, median_of
from raft_chaos.reports.tables import Column, Table, flowing, markdown_table, titled
from raft_chaos.reports.text import count

SOON_S = 60.0
"""A mutant should be convicted within this CPU time."""
SLOWEST = 10

OF_QUEUES = ("total_queue",)
"""Invariants of systems with queues. Our Raft has none, so no mutant of it can break them."""


def matrix_tables(view: MatrixView) -> list[Table]:
    """The tables that have something to show."""
    tables = [_mutants(view), _invariants(view), _parts(view), _worlds(view)]
    return [table for table in tables if table.rows]


def matrix_summary(view: MatrixView) -> list[str]:
    """The sums, a sentence each: the mutants that are convicted soon, how soon, the slowest, and the invariants."""
    hunted = view.hunted
    if not hunted:
        return []
    hunts = max(len(view.of(mutant)) for mutant in hunted)
    times = {mutant: view.cpu_s(mutant) for mutant in hunted}
    soon = sum(cpu_s <= SOON_S for cpu_s in times.values())
    slowest = sorted(hunted, key=lambda mutant: -times[mutant])[:SLOWEST]
    lines = [
        f"{soon} of {count(len(hunted), 'mutant')} convicted within {SOON_S:.0f} CPU s, each by an invariant that fits "
        f"it (median of {count(hunts, 'campaign')}).",
        f"All mutants: median {_seconds(median(times.values()))} CPU s.",
        f"The slowest: {', '.join(f'{mutant} {_seconds(times[mutant])}' for mutant in slowest)}.",
    ]
    own = [one for one in view.invariants if view.alone(one)]
    idle = [one for one in view.invariants if not view.convicts(one) and one not in OF_QUEUES]
    of_queues = [one for one in view.invariants if one in OF_QUEUES]
    redundant = [one for one in view.invariants if one not in own and one not in idle and one not in OF_QUEUES]
    return [
        *lines,
        f"{len(own)} of {count(len(view.invariants), 'invariant')} each convict a mutant that no other convicts.",
        *([f"Redundant here: {', '.join(redundant)}."] if redundant else []),
        *([f"Convict nobody here: {', '.join(idle)}."] if idle else []),
        *([f"For systems with queues, which our Raft has not: {', '.join(of_queues)}."] if of_queues else []),
    ]


def matrix_page(view: MatrixView, width: int, more: Sequence[Table] = ()) -> list[str]:
    """The sums and the tables as text."""
    lines = flowing(matrix_summary(view), width)
    for table in (*matrix_tables(view), *more):
        lines += ["", *titled(table, width)]
    return lines


def matrix_markdown(view: MatrixView, command: str, more: Sequence[Table] = ()) -> str:
    """The same as a page of Markdown, made by `command`."""
    lines = ["# The kill matrix", "", f"Made by `{command}`.", "", *(f"- {line}" for line in matrix_summary(view))]
    for table in (*matrix_tables(view), *more):
        lines += ["", f"## {table.title}", "", *markdown_table(table)]
    return "\n".join(lines) + "\n"


def _mutants(view: MatrixView) -> Table:
    rows = []
    for mutant in view.hunted:
        hunts = view.of(mutant)
        ends = [sum(map(counts, hunts)) for counts in (lambda one: bool(one.violated), view.fits)]
        by = ", ".join(
            f"{_marked(view, mutant, name)} {view.share(mutant, name):.0%}" for name in view.convictors(mutant)
        )
        needs = ", ".join(f"{one.part} {one.words}" for one in view.all_slower(mutant=mutant))
        rows.append([mutant, *(f"{number}/{len(hunts)}" for number in ends), *_medians(hunts), by or "nobody", needs])
    columns = [
        Column("mutant"),
        Column("convicted", "right"),
        Column("fitting", "right"),
        Column("seeds", "right"),
        Column("CPU s", "right"),
        Column("by, in so many of its hunts", wraps=True),
        Column("without it slower", wraps=True),
    ]
    notes = [
        "Sim; seeds and CPU seconds to conviction are medians; >: the median hunt did not end within its budget.",
        "fitting: by an invariant that the mutant should break; others have a *.",
    ]
    return Table("Who convicts whom", columns, rows, "\n".join(notes), longest=len(rows))


def _marked(view: MatrixView, mutant: str, invariant: str) -> str:
    return invariant + ("" if invariant in view.mutants[mutant] else "*")


def _medians(hunts: Sequence[Hunted]) -> list[str]:
    """The median seeds and seconds of the hunts."""
    values: list[tuple[Callable[[Hunted], float], str]] = [
        (lambda one: one.seeds, ".0f"),
        (lambda one: one.seconds, ".1f"),
    ]
    cells = []
    for value, digits in values:
        middle = median_of(hunts, value)
        cells.append(f"> {max(map(value, hunts)):.0f}" if middle == inf else format(middle, digits))
    return cells


def _seconds(seconds: float) -> str:
    return "never" if seconds == inf else f"{seconds:.1f}"


def _invariants(view: MatrixView) -> Table:
    rows = []
    for invariant in view.invariants if view.hunted else []:
        convicts, alone = view.convicts(invariant), view.alone(invariant)
        lacking = "redundant here" if convicts else "convicts nobody here"
        lacking = "for systems with queues" if invariant in OF_QUEUES else lacking
        rows.append([invariant, str(len(convicts)), str(len(alone)), ", ".join(alone) or lacking])
    columns = [
        Column("invariant"),
        Column("convicts", "right"),
        Column("alone", "right"),
        Column("only it convicts", wraps=True),
    ]
    notes = [
        "Redundant here: each mutant that it convicts is convicted by another invariant too.",
        "Convicts nobody here: none of these mutants breaks it in sim.",
        "For systems with queues: our Raft has none, so no mutant of it can break such an invariant.",
    ]
    return Table("What each invariant is needed for", columns, rows, "\n".join(notes), longest=len(rows))


def _parts(view: MatrixView) -> Table:
    rows = []
    hunted = {one.without for one in view.hunts}  # used only for membership tests
    nowhere = []
    for part, sort in view.parts.items():
        met = sum(any(part in one.parts for one in view.of(mutant)) for mutant in view.mutants)
        nowhere += [] if met else [part]
        found = view.all_slower(part=part)
        needing = [f"{one.mutant} ({one.words})" for one in found if one.needed]
        slowed = [f"{one.mutant} ({one.words})" for one in found if one.ended]
        unsure = [f"{one.mutant} ({one.words})" for one in found if _unsure(one)]
        if part in hunted:
            rows.append([part, sort, str(met), ", ".join(needing), ", ".join(slowed), ", ".join(unsure)])
    columns = [
        Column("left out"),
        Column("a"),
        Column("in the seeds of", "right"),
        Column("needed by", wraps=True),
        Column("without it slower", wraps=True),
        Column("cannot tell", wraps=True),
    ]
    notes = [
        "in the seeds of: so many mutants have it in the schedule of a seed that convicts them.",
        "needed by: without it they were not convicted in so many times the seeds.",
        f"without it slower: convicted after so many times the seeds, {SLOWER:g}x or more (medians).",
        f"cannot tell: not convicted without it, but the budget ended before {SLOWER:g}x the seeds.",
        *([f"In no convicting seed, so needed by none: {', '.join(nowhere)}."] if nowhere else []),
    ]
    title = "What each kind of fault and each episode is needed for"
    return Table(title, columns, rows, "\n".join(notes), longest=len(rows))


def _unsure(one: Slower) -> bool:
    return not one.ended and not one.needed


def _worlds(view: MatrixView) -> Table:
    worlds = [world for world in ("lockstep", "live") if any(one.world == world for one in view.hunts)]
    rows = []
    for mutant in view.mutants:
        cells = [_in_world(view, view.of(mutant, world)) for world in worlds]
        if any(cells):
            rows.append([mutant, *cells])
    columns = [Column("mutant"), *(Column(world, wraps=True) for world in worlds)]
    sums = [
        f"{world}: {sum(bool(one.violated) for one in there)} of {len(there)} convicted."
        for world in worlds
        if (there := [one for one in view.hunts if one.world == world])
    ]
    note = "\n".join(["One campaign each; s: seconds of real time; *: not an invariant that fits.", *sums])
    return Table("With real processes", columns, rows, note, longest=len(rows))


def _in_world(view: MatrixView, hunts: Sequence[Hunted]) -> str:
    if not hunts:
        return ""
    one = hunts[0]
    after = f"{count(one.seeds, 'seed')}, {one.seconds:.0f} s"
    by = ", ".join(_marked(view, one.mutant, name) for name in one.violated)
    return f"{by} after {after}" if by else f"not after {after}"

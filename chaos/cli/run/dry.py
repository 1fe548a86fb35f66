"""`raft-chaos run --dry-run`: the schedules of the runs, and no run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.describe import drawn
from raft_chaos.reports.commands.plan import Plan, plan_page, plans_document

Planned = tuple[int, Schedule]
"""A seed and its schedule."""


def dry_run(settings: Settings, planned: Iterator[Planned], *, as_json: bool) -> Result:
    """One page for each run; with --json the lines of each schedule.jsonl. Makes a schedule when it is printed."""
    if as_json:
        return Result(document=plans_document([_plan(settings, one) for one in planned]), as_json=True)
    return Result(page=_pages(settings, planned))


def _pages(settings: Settings, planned: Iterator[Planned]) -> Iterator[str]:
    for number, one in enumerate(planned):
        if number:
            yield ""
        yield from page(settings, one)


def page(settings: Settings, planned: Planned) -> Iterator[str]:
    """The schedule of one run as text."""
    return plan_page(_plan(settings, planned), columns())


def _plan(settings: Settings, planned: Planned) -> Plan:
    seed, schedule = planned
    lines: Sequence[msgspec.Struct] = [schedule.header, *schedule.faults, *schedule.operations]
    return Plan(
        seed=seed,
        world=settings.world,
        target=settings.target().name,
        mutant=settings.mutant,
        drawn=drawn(schedule),
        schedule=[msgspec.to_builtins(line) for line in lines],
    )

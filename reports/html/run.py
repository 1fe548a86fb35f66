"""The page of one run: what was found, the run over time, then the tables."""

from __future__ import annotations

import re
import shlex
from typing import Any

import msgspec

from raft_chaos.reports.facts.around import around_lines
from raft_chaos.reports.facts.histories import Histories
from raft_chaos.reports.facts.violations import ViolationRow
from raft_chaos.reports.html.library import packed
from raft_chaos.reports.html.page import Picture, page
from raft_chaos.reports.html.spacetime import SpacetimePart, spacetime_part
from raft_chaos.reports.html.timeline.legend import legend
from raft_chaos.reports.html.timeline.rows import MOST_ELECTIONS, MOST_FAULTS
from raft_chaos.reports.html.timeline.spec import DRAWN, timeline_spec
from raft_chaos.reports.run.layout import caveats, duration, tables, under_test, vacuous
from raft_chaos.reports.run.model import RunReport
from raft_chaos.reports.run.pages import repro, reproduces
from raft_chaos.reports.tables import Column, Table
from raft_chaos.reports.text import count, visible
from raft_chaos.reports.window.content import Window
from raft_chaos.reports.window.picture import svg

_COLUMNS = 120


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the template `run.html.j2` shows, in its order. Lists may be empty, and the other parts None."""

    verdict: str
    seed: int
    world: str
    about: str
    sentence: str
    rule: str
    caveats: list[str]
    witness: list[str]
    commands: list[tuple[str, str]]
    facts: list[tuple[str, str]]
    timeline: Picture | None
    timeline_notes: list[str]
    legend: list[tuple[str, str]]
    spacetime: SpacetimePart | None
    window: str | None
    operations: Table | None
    around: list[str]
    violations: list[ViolationRow]
    histories: Histories | None
    packed_histories: str
    tables: list[tuple[str, Table]]
    sections: list[tuple[str, str]]


def run_page(report: RunReport) -> str:
    """The page of a run, as one HTML document."""
    content = run_content(report)
    return page("run", pictures=content.timeline is not None or content.spacetime is not None, run=content)


def run_content(report: RunReport) -> RunPage:
    first = report.violations[0] if report.violations else None
    drawn = report.timeline.end_us > 0 and bool(report.timeline.lanes or report.timeline.service.points)
    picture = None
    if drawn:
        spec = timeline_spec(report)
        picture = Picture(id="picture", label=spec["description"], spec=spec)
    parts: dict[str, Any] = {
        "timeline": picture,
        "spacetime": spacetime_part(report.diagram) if report.diagram is not None else None,
        "window": svg(report.window) if report.window is not None else None,
        "around": around_lines(report.around, _COLUMNS) if report.around is not None else [],
        "violations": report.violations if len(report.violations) > 1 else [],
        "histories": report.histories if report.histories.keys else None,
        "tables": [(_id(table.title), table) for table in [*tables(report), _schedule(report)] if table.rows],
    }
    return RunPage(
        verdict=report.verdict,
        seed=report.info.seed,
        world=visible(report.info.world),
        about=_about(report),
        sentence=_sentence(report),
        rule=first.rule if first else "",
        caveats=caveats(report),
        witness=first.witness if first else [],
        commands=_commands(report),
        facts=_facts(report),
        timeline_notes=_notes(report) if drawn else [],
        legend=legend(report),
        sections=_sections(parts),
        packed_histories=packed(msgspec.json.encode(report.histories.keys).decode()),
        operations=_operations(report.window) if report.window is not None else None,
        **parts,
    )


def _about(report: RunReport) -> str:
    info = report.info
    return visible(
        f"seed {info.seed}, {info.world}, {under_test(info)}, {count(len(report.nodes), 'node')}, {duration(report)}"
    )


def _sentence(report: RunReport) -> str:
    """What was found, in one sentence."""
    if report.violations:
        first = report.violations[0]
        return visible(f"{first.invariant}: {first.message}")
    if report.verdict == "valid":
        held, operations = count(len(report.invariants), "invariant"), count(int(report.stats["ops"]), "operation")
        events = int(report.stats["events"])
        over = f"{count(events, 'event')} of the nodes and {operations}" if events else operations
        return f"{held} held, over {over} of clients"
    unjudged = [f"{one.invariant}: {one.reason}" for one in report.invariants if one.outcome == "unknown"]
    reasons = [*vacuous(report.info.vacuous), *unjudged]
    return visible(f"Not known: {reasons[0]}" if reasons else "Not known: the run was not judged to its end")


def _commands(report: RunReport) -> list[tuple[str, str]]:
    """What to do next, and the command for it."""
    commands = [(reproduces(report).removesuffix(":"), command)] if (command := repro(report)) else []
    if report.verdict == "violated":
        program = (shlex.split(command) if command else ["raft-chaos"])[0]
        commands.append(("What led to it", visible(shlex.join([program, "explain", str(report.path)]))))
        commands.append(("As small as it gets", visible(shlex.join([program, "shrink", str(report.path)]))))
    return commands


def _facts(report: RunReport) -> list[tuple[str, str]]:
    info, stats = report.info, report.stats
    facts = {
        "Seed": str(info.seed),
        "World": {"live": "live: real time", "sim": "sim: virtual time", "lockstep": "lockstep: real processes"}.get(
            info.world, info.world
        ),
        "System": under_test(info),
        "Faults": f"{stats['faults_effective']} with effect of {stats['faults_fired']} that fired",
        "Elections": f"{stats['leaders_elected']} won in {count(int(stats['contested_terms']), 'term')}"
        if stats["contested_terms"]
        else "",
        "Operations": f"{stats['ops_ok']} ok, {stats['ops_fail']} failed, {stats['ops_info']} unknown",
        "Started": info.started_at,
        "Directory": str(report.path),
    } | {f"Drawn from the seed: {what}": values for what, _, values in (line.partition(": ") for line in report.drawn)}
    return [(name, visible(value)) for name, value in facts.items() if value]


def _notes(report: RunReport) -> list[str]:
    """What the picture leaves out."""
    timeline = report.timeline
    points = len(timeline.service.points)
    fired = sum(row.injected_us is not None for row in report.faults)
    notes = []
    if points > DRAWN or timeline.service.unshown:
        of = f"{points} of {points + timeline.service.unshown}" if timeline.service.unshown else str(points)
        notes.append(
            f"About {DRAWN} operations are drawn at a time, of the {of} in this file: the slowest of each moment, and "
            "a fair selection of the rest. Zoom in to see more."
        )
    if fired > MOST_FAULTS:
        notes.append(f"The {MOST_FAULTS} longest faults are drawn, of {fired}.")
    if len(report.elections) > MOST_ELECTIONS:
        notes.append(f"{MOST_ELECTIONS} elections are drawn, of {len(report.elections)}.")
    if not report.info.reports_events:
        notes.append("The nodes report no events: who leads is what the harness observed.")
    return notes


def _operations(window: Window) -> Table:
    """The operations of the picture, for those who do not see it and for those who sort."""
    rows = [
        [
            bar.text,
            "core" if bar.core else "",
            _clock(bar.place.called_clock, window.ticks),
            _clock(bar.place.returned_clock, window.ticks) or "never",
            str(bar.operation.process),
        ]
        for bar in window.bars
    ]
    columns = [
        Column("operation", wraps=True),
        Column("in the contradiction"),
        Column("called s", "right"),
        Column("returned s", "right"),
        Column("process", "right"),
    ]
    return Table("The same operations as a table", columns, rows)


def _schedule(report: RunReport) -> Table:
    rows = [[one.id, one.due, one.kind, one.on, one.how, one.lasts_ms] for one in report.plan]
    columns = [
        Column("fault"),
        Column("due"),
        Column("kind"),
        Column("on"),
        Column("how", wraps=True),
        Column("lasts ms", "right"),
    ]
    note = "Times count from the start of the run; a fault with an anchor is due so long after that event."
    return Table("Schedule", columns, rows, note)


def _clock(clock: int | None, ticks: int) -> str:
    return "" if clock is None or not ticks else f"{clock / ticks:.6f}"


def _sections(parts: dict[str, Any]) -> list[tuple[str, str]]:
    titles = {
        "timeline": "Timeline",
        "spacetime": "What led to the violation",
        "window": "The operations that have no order",
        "around": "Around the first violation",
        "violations": "Violations",
        "histories": "What clients saw",
    }
    ids = {"window": "operations"}
    listed = [(ids.get(name, name), title) for name, title in titles.items() if parts[name]]
    return listed + [(id_, table.title) for id_, table in parts["tables"]]


def _id(title: str) -> str:
    return "table-" + re.sub(r"[^a-z]+", "-", title.lower())

"""The page of a run that goes on: its phase, nodes, faults in force, what was found so far, and the timeline."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from raft_chaos.invariants.events import AnyEvent
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.rundir import RunInfo
from raft_chaos.invariants.verdict import Verdict, Violation
from raft_chaos.reports.facts.elections import ElectionRow, election_rows
from raft_chaos.reports.facts.faults import FaultRow, fault_rows
from raft_chaos.reports.facts.moments import witness_times
from raft_chaos.reports.facts.timeline import Timeline, timeline
from raft_chaos.reports.html.page import Picture, Served, page
from raft_chaos.reports.html.timeline.legend import legend
from raft_chaos.reports.html.timeline.spec import IN_NUMBERS, timeline_spec
from raft_chaos.reports.html.timeline.tracks import Spec
from raft_chaos.reports.run.layout import under_test
from raft_chaos.reports.text import count, moment, visible

EVERY_MS = 1_000
MOST_POINTS = 3_000
"""The most operations of the picture, which is sent again and again."""
MOST_FAULTS, MOST_VIOLATIONS = 12, 8


class NodeLike(Protocol):
    """A node as a live view shows it."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def incarnation(self) -> int: ...
    @property
    def term(self) -> int: ...
    @property
    def commit_index(self) -> int: ...
    @property
    def applied_index(self) -> int: ...


class StatusLike(Protocol):
    """A run at one moment, as a live view shows it."""

    @property
    def phase(self) -> str: ...
    @property
    def elapsed_s(self) -> float: ...
    @property
    def left_s(self) -> float: ...
    @property
    def nodes(self) -> Sequence[NodeLike]: ...
    @property
    def faults(self) -> Sequence[str]: ...
    @property
    def ops(self) -> Mapping[str, int]: ...
    @property
    def events(self) -> int: ...
    @property
    def violations(self) -> Sequence[Violation]: ...


class Drawn(msgspec.Struct, frozen=True):
    """The picture as a Vega specification, and its legend: the class of each sample, and words."""

    spec: Spec
    legend: list[tuple[str, str]]


class LivePage(msgspec.Struct, frozen=True, kw_only=True):
    """What the template `live.html.j2` shows. `part` is how much of the run is over, from 0 to 1; `drawn` the number of
    the picture: a new one has another. `picture` is None where the page has one already."""

    name: str
    title: str
    verdict: str
    finding: str
    progress: str
    part: float
    nodes: list[list[str]]
    faults: list[str]
    facts: list[tuple[str, str]]
    violations: list[tuple[str, str]]
    notes: list[str]
    drawn: int
    legend: list[tuple[str, str]]
    picture: Picture | None


def live_html(
    name: str,
    info: RunInfo,
    now: StatusLike,
    before: StatusLike | None,
    notes: Iterable[str],
    number: int,
    drawn: Drawn,
    *,
    whole: bool,
) -> str:
    """The page of the run `name`; without `whole`, its news alone, without the picture.

    `before` is an earlier status, for rates; `number` that of the picture.
    """
    whole_s = now.elapsed_s + now.left_s
    found = sorted(now.violations, key=lambda one: max(witness_times(one), default=0))
    label = drawn.spec["description"]
    content = LivePage(
        name=visible(name),
        title=visible(f"Seed {info.seed}, {info.world}, {under_test(info)}, {count(len(info.nodes), 'node')}"),
        verdict="violated" if found else "running",
        finding=visible(f"{found[0].invariant}: {found[0].message}") if found else "No violation so far.",
        progress=_progress(now),
        part=min(1.0, now.elapsed_s / whole_s) if whole_s > 0 else 0.0,
        nodes=[_node(node) for node in now.nodes],
        faults=_bounded([visible(fault) for fault in now.faults], MOST_FAULTS),
        facts=[
            ("Operations", f"{_operations(now.ops)}{_rate(now, before)}"),
            ("Events judged", f"{now.events:,}"),
            ("Violations", str(len(found)) if found else "none"),
            ("Started", moment(info.started_at)),
        ],
        violations=[(visible(one.invariant), visible(one.message)) for one in found[:MOST_VIOLATIONS]],
        notes=[visible(note) for note in notes],
        drawn=number,
        legend=drawn.legend,
        picture=Picture(id="picture", label=label, spec=drawn.spec) if whole else None,
    )
    served = Served(links=[("/", "All runs"), ("files/", "Files of this run")], every_ms=EVERY_MS)
    return page("live", pictures=whole, served=served, run=content)


def _progress(now: StatusLike) -> str:
    left = f", about {now.left_s:.0f} s left" if now.left_s >= 1 else ""
    return f"{visible(now.phase)}, {now.elapsed_s:.0f} s{left}"


def _node(node: NodeLike) -> list[str]:
    role = node.role if node.state in ("up", "paused") else ""
    numbers = (node.term, node.commit_index, node.applied_index, node.incarnation)
    return [visible(node.name), visible(node.state), visible(role), *map(str, numbers)]


def _bounded(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[: most - 1], f"and {len(lines) - most + 1} more"]


def _operations(ops: Mapping[str, int]) -> str:
    elsewhere = ops["elsewhere"]
    parts = {"ok": ops["ok"], "failed": ops["fail"] - elsewhere, "elsewhere": elsewhere, "unknown": ops["info"]}
    return ", ".join(f"{number:,} {end}" for end, number in parts.items() if number or end != "elsewhere")


def _rate(now: StatusLike, before: StatusLike | None) -> str:
    if before is None or now.elapsed_s <= before.elapsed_s:
        return ""
    return f"; {(now.ops['ok'] - before.ops['ok']) / (now.elapsed_s - before.elapsed_s):.0f} ok a second"


# ---- the picture -------------------------------------------------------------------------------------------------


class SoFar(msgspec.Struct, frozen=True, kw_only=True):
    """What the picture shows of a run that goes on."""

    timeline: Timeline
    faults: list[FaultRow]
    elections: list[ElectionRow]
    stats: dict[str, float | int | str]


def picture_so_far(
    nodes: Sequence[str],
    streams: Sequence[list[AnyEvent]],
    harness: list[AnyEvent],
    ops: Sequence[Op],
    violations: Sequence[Violation],
    end_us: int,
) -> Drawn:
    """The timeline of a run up to `end_us`: that of a report, with fewer operations."""
    verdicts = [Verdict(one.invariant, "violated", 0, violations=(one,)) for one in violations]
    whole = timeline(nodes, streams, harness, ops, verdicts, end_us)
    service = whole.service
    points = sorted(heapq.nsmallest(MOST_POINTS, service.points, key=lambda p: p.rank), key=lambda p: p.t_us)
    drawn = msgspec.structs.replace(service, points=points, unshown=service.unshown + len(service.points) - len(points))
    faults, elections = fault_rows(harness, []), election_rows([*streams, harness])
    ends = [op.type for op in ops]
    so_far = SoFar(
        timeline=msgspec.structs.replace(whole, service=drawn),
        faults=faults,
        elections=elections,
        stats={
            "faults_fired": sum(row.injected_us is not None for row in faults),
            "leaders_elected": sum(len(row.leaders) for row in elections),
            "ops": ends.count("invoke"),
            "ops_ok": ends.count("ok"),
        },
    )
    spec = timeline_spec(so_far)
    return Drawn({**spec, "description": spec["description"].removesuffix(IN_NUMBERS)}, legend(so_far))

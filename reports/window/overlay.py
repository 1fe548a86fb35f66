"""The faults and the leaders of a run, drawn behind the bars of a window."""

from __future__ import annotations

from raft_chaos.invariants.events import AnyEvent, NodeExited, NodeKilled, RoleChanged
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.facts.faults import fault_rows
from raft_chaos.reports.window.content import Span


def spans_of(run: RunDir) -> list[Span]:
    """Times are in µs since the run began, as in its history. Raises RunDirError if the run cannot be read."""
    harness = run.harness_events()
    return _faults(harness) + _leaders(run.node_streams(), harness)


def _faults(harness: list[AnyEvent]) -> list[Span]:
    return [
        Span("fault", f"{row.id} {row.kind} {' '.join(row.targets)}".rstrip(), row.injected_us, row.healed_us)
        for row in fault_rows(harness, [])
        if row.injected_us is not None and not row.moot
    ]


def _leaders(streams: list[list[AnyEvent]], harness: list[AnyEvent]) -> list[Span]:
    """The spans in which a node led: until it reports another role, or ends."""
    gone = [event for event in harness if isinstance(event, NodeKilled | NodeExited)]
    spans = []
    for stream in streams:
        led: RoleChanged | None = None
        for event in stream:
            if isinstance(event, RoleChanged):
                if led is not None:
                    spans.append(_led(led, event.t_us, gone))
                led = event if event.role == "leader" else None
        if led is not None:
            spans.append(_led(led, None, gone))
    return spans


def _led(event: RoleChanged, until_us: int | None, gone: list[NodeKilled | NodeExited]) -> Span:
    ends = [end.t_us for end in gone if (end.subject, end.subject_inc) == (event.node, event.inc)]
    if until_us is not None:
        ends.append(until_us)
    return Span("leader", f"{event.node} leads in term {event.term}", event.t_us, min(ends, default=None))

"""`Timeline`: all that a picture of the run over time shows, bounded for a run of any length."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from raft_chaos.invariants.events import AnyEvent
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.verdict import Verdict
from raft_chaos.reports.facts.commits import Commit, commits
from raft_chaos.reports.facts.lanes import Lane, lanes
from raft_chaos.reports.facts.logs import LogState, logs
from raft_chaos.reports.facts.moments import Moment, PhaseSpan, moments, phase_spans
from raft_chaos.reports.facts.service import Service, service


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The run from 0 to `end_us`. The faults and the elections over time are the rows of their tables."""

    end_us: int
    phases: list[PhaseSpan]
    lanes: list[Lane]
    commits: list[Commit]
    logs: list[LogState]
    service: Service
    moments: list[Moment]


def timeline(
    nodes: Sequence[str],
    streams: Sequence[Sequence[AnyEvent]],
    harness: Sequence[AnyEvent],
    history: Sequence[Op],
    verdicts: Sequence[Verdict],
    end_us: int,
) -> Timeline:
    """`end_us` is the time of the last event."""
    marked = moments(verdicts)
    exact_us = [moment.t_us for moment in marked]
    return Timeline(
        end_us=end_us,
        phases=phase_spans(harness, end_us),
        lanes=lanes(nodes, streams, harness, end_us),
        commits=commits(streams, end_us, exact_us),
        logs=logs(streams, end_us, exact_us),
        service=service(history, end_us),
        moments=marked,
    )

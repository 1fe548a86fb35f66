"""The nodes: the roles that each had, the faults that hit it, when it caught up, and the resources it used."""

from __future__ import annotations

import msgspec

from raft_chaos.invariants.events import (
    AnyEvent,
    CommitAdvanced,
    EntryAppended,
    LogTruncated,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeSampled,
    PhaseStarted,
    RoleChanged,
    SnapshotInstalled,
    Started,
    VoteGranted,
)

RESTART = "/"
"""Separates the roles of two incarnations."""

_LETTER = {"follower": "F", "candidate": "C", "leader": "L"}


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """A node's resources over all samples: CPU in percent of one core, RSS in bytes, most open files and threads."""

    samples: int
    cpu_mean: float
    cpu_max: float
    rss_max_bytes: int
    open_files: int
    threads: int


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One node.

    `roles` has one letter (F, C, L) for each change of role, "/" for a restart. `term` and `commit_index` are the last
    reported values, None for a node that never reported. Catching up begins with the liveness phase, or with the
    node's last restart if that was later: `behind` is the number of entries up to the commit target that its log
    lacked then, `catch_up_us` the time until its commit index reached the target. Both are None if the phase never
    began; `catch_up_us` is also None if the node did not catch up.
    `exits` counts those that nothing excused; `excused` is what lets the node be down at the end, or "". `lost_bytes`
    and `lost_names` are what kills took from its disk that was not synced; None if its disk loses nothing.
    """

    node: str
    roles: list[str]
    kills: int
    restarts: int
    pauses: int
    exits: int
    term: int | None
    commit_index: int | None
    behind: int | None
    catch_up_us: int | None
    resources: Resources | None
    excused: str = ""
    lost_bytes: int | None = None
    lost_names: int | None = None


def node_rows(nodes: list[str], streams: list[list[AnyEvent]], harness: list[AnyEvent]) -> list[NodeRow]:
    """A row for each node of run.json, in its order, then for any other node that reported something."""
    by_node = {stream[0].node: stream for stream in streams}
    names = dict.fromkeys([*nodes, *by_node])
    liveness = next((e for e in harness if isinstance(e, PhaseStarted) and e.phase == "liveness"), None)
    return [_row(name, by_node.get(name, []), harness, liveness) for name in names]


def _row(name: str, stream: list[AnyEvent], harness: list[AnyEvent], liveness: PhaseStarted | None) -> NodeRow:
    term, commit_index = _last_reported(stream)
    losses = [e for e in harness if isinstance(e, NodeKilled) and e.subject == name and e.lost_bytes is not None]
    behind, catch_up_us = _catch_up(stream, liveness) if liveness and stream else (None, None)
    return NodeRow(
        node=name,
        roles=_roles(stream),
        kills=sum(isinstance(e, NodeKilled) and e.subject == name for e in harness),
        restarts=sum(isinstance(e, NodeLaunched) and e.subject == name and e.subject_inc > 1 for e in harness),
        pauses=sum(isinstance(e, NodePaused) and e.subject == name for e in harness),
        exits=sum(isinstance(e, NodeExited) and e.subject == name and not e.excused for e in harness),
        term=term,
        commit_index=commit_index,
        behind=behind,
        catch_up_us=catch_up_us,
        resources=_resources([e for e in harness if isinstance(e, NodeSampled) and e.subject == name]),
        excused=_excused(name, harness),
        lost_bytes=sum(e.lost_bytes or 0 for e in losses) if losses else None,
        lost_names=sum(e.lost_names or 0 for e in losses) if losses else None,
    )


def _excused(name: str, harness: list[AnyEvent]) -> str:
    """Why the node may be down at the end, if it is."""
    why = ""
    for event in harness:
        if isinstance(event, NodeLaunched) and event.subject == name:
            why = ""
        elif isinstance(event, NodeExited) and event.subject == name:
            why = event.excused
    return why


def _roles(stream: list[AnyEvent]) -> list[str]:
    """Each change of role, not of the term or the leader alone. Every incarnation starts as follower (§5.2)."""
    roles: list[str] = []
    for event in stream:
        if isinstance(event, Started):
            roles += [RESTART, "F"] if roles else ["F"]
        elif isinstance(event, RoleChanged) and roles[-1:] != [_LETTER[event.role]]:
            roles.append(_LETTER[event.role])
    return roles


def _last_reported(stream: list[AnyEvent]) -> tuple[int | None, int | None]:
    """The last term and commit index. The commit index is volatile (Fig. 2), so a restart takes it back to 0, or to
    what the snapshot replaces."""
    term: int | None = None
    commit_index: int | None = None
    for event in stream:
        if isinstance(event, Started | RoleChanged | VoteGranted | CommitAdvanced):
            term = event.term
        if isinstance(event, Started):
            commit_index = event.base_index
        elif isinstance(event, CommitAdvanced | SnapshotInstalled):
            commit_index = event.index
    return term, commit_index


def _catch_up(stream: list[AnyEvent], liveness: PhaseStarted) -> tuple[int, int | None]:
    """The number of entries up to the commit target that the log lacked, and the µs until the node committed them."""
    restarts_us = [event.t_us for event in stream if isinstance(event, Started)]
    since_us = max([liveness.t_us, *restarts_us[-1:]])
    last_index = commit_index = behind_at_since = 0
    reached_us: int | None = None
    for event in stream:
        if isinstance(event, Started):
            last_index, commit_index, reached_us = event.last_index, event.base_index, None
        elif isinstance(event, EntryAppended):
            # Recovered entries are reported again from index 1 on; meanwhile the log is as long as `started` said.
            last_index = max(last_index, event.index)
        elif isinstance(event, LogTruncated):
            last_index = event.from_index - 1
        elif isinstance(event, CommitAdvanced):
            commit_index = event.index
        elif isinstance(event, SnapshotInstalled):
            last_index, commit_index = max(last_index, event.index), event.index
        if event.t_us <= since_us:
            behind_at_since = max(0, liveness.commit_target - last_index)
        if reached_us is None and commit_index >= liveness.commit_target:
            reached_us = event.t_us
    if reached_us is None:
        return behind_at_since, None
    return behind_at_since, max(0, reached_us - since_us)


def _resources(samples: list[NodeSampled]) -> Resources | None:
    if not samples:
        return None
    return Resources(
        samples=len(samples),
        cpu_mean=sum(sample.cpu_percent for sample in samples) / len(samples),
        cpu_max=max(sample.cpu_percent for sample in samples),
        rss_max_bytes=max(sample.rss_bytes for sample in samples),
        open_files=max(sample.open_files for sample in samples),
        threads=max(sample.threads for sample in samples),
    )

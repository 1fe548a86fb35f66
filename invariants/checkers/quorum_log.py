"""The quorum log: what is committed is durable on a majority (§5.3, §5.4.2), and whoever commits it can know that.

A node holds an entry from its report that the entry is durable, until its report that it deletes the entry. A crash
ends nothing: the node had the entry durable, and if its disk has lost the entry since, `durability` convicts that node,
not those that relied on it. A snapshot holds all entries that it replaces; `log_matching` and `state_machine_safety`
judge whether it is of the log, and of the state, that everybody has there.

Each commit is judged, a follower's too. A leader reports its own commit only once its own copy is durable, so it can
look right by then although it has counted too early; its followers hear of the commit at once.

Which voters are a majority, the configuration says that the leader used at the time of the commit (§6). Its report may
wait for its disk while it begins to use the next one; where that was at the same time, either must be satisfied. A
follower may know of other
configurations than the leader that told it of the commit, so for it any counts of which it can know.

A correct cluster is never convicted. A leader counts an acknowledgement, which left its sender once the entry was
durable and reported, and itself once its own write is, so what it counts is in its causal past; its followers learn of
the commit by a message that it sent after that. None of the nodes that it counts deletes the entry later: each of them
acknowledged it before it voted in a higher term, so all leaders of higher terms have it (§5.4.3). A line that is torn
or lost, a pause, or a disk that is ahead of its events changes nothing: see `causal_past`.
"""

from __future__ import annotations

from math import inf

from raft_chaos.invariants.checkers.base import who
from raft_chaos.invariants.checkers.causal_past import CausalChecker, CausalPast, Clock, OnClaim, OnFact
from raft_chaos.invariants.checkers.configuration import Configuration
from raft_chaos.invariants.checkers.node_logs import Held, ReportedLog, base_of, holds, up_to
from raft_chaos.invariants.events import (
    CommitAdvanced,
    EntryAppended,
    Event,
    LogTruncated,
    RoleChanged,
    SnapshotInstalled,
    Started,
)


class QuorumLog(CausalChecker):
    """Whoever commits an entry can know that a majority of the voters holds it, with the same log before it."""

    invariant = "quorum_log"
    rule = "An entry is committed once it is durable on a majority of the servers (§5.3, §5.4.2; QuorumLogInv)."
    nothing_judged = "nothing was committed"

    def __init__(self, past: CausalPast, configuration: Configuration) -> None:
        super().__init__(past, configuration)
        # By the node's place: the log that it holds, each entry with the number of the fact that made it durable, and
        # entries that left that log, with the numbers of the facts since and until which the node held them.
        self._held: list[ReportedLog] = [[] for _ in configuration.nodes]
        self._since: list[list[int]] = [[] for _ in configuration.nodes]
        self._left: list[list[tuple[Held, int, float]]] = [[] for _ in configuration.nodes]
        self._leads = [False] * len(configuration.nodes)

    def facts(self) -> dict[type[Event], OnFact]:
        return {
            EntryAppended: self._on_appended,
            LogTruncated: self._on_truncated,
            SnapshotInstalled: self._on_installed,
            Started: self._on_started,
        }

    def claims(self) -> dict[type[Event], OnClaim]:
        return {CommitAdvanced: self._on_commit, RoleChanged: self._on_role}

    # ---- what is held -----------------------------------------------------------------------------------------------

    def _on_appended(self, event: EntryAppended, place: int, number: int) -> None:
        held, before = self._held[place], event.index - 1
        if 0 <= before < len(held):
            known = held[before]
            if known is not None and known.digest == event.digest:
                return  # recovered, and reported once more
            self._shorten(place, before, until=inf)  # overwritten: `log_matching` or `durability` judges it
        if before == len(held):
            held.append(event)
            self._since[place].append(number)

    def _on_truncated(self, event: LogTruncated, place: int, number: int) -> None:
        self._shorten(place, event.from_index - 1, until=number)

    def _on_role(self, event: RoleChanged, place: int, known: Clock) -> None:
        self._leads[place] = event.role == "leader"

    def _on_started(self, event: Started, place: int, number: int) -> None:
        self._leads[place] = False
        if (base := base_of(event)) is not None:
            self._on_installed(base, place, number)
        self._shorten(place, event.last_index, until=inf)  # what is lost, `durability` judges

    def _on_installed(self, event: SnapshotInstalled, place: int, number: int) -> None:
        if not holds(self._held[place], event):
            self._shorten(place, 0, until=inf)
            self._held[place] = up_to(event, [])
            self._since[place] = [number] * event.index

    def _shorten(self, place: int, length: int, until: float) -> None:
        held, numbers, kept = self._held[place], self._since[place], max(length, 0)
        left = zip(held[kept:], numbers[kept:], strict=True)
        self._left[place] += [(entry, since, until) for entry, since in left if entry is not None]
        del held[kept:], numbers[kept:]

    # ---- what is committed ------------------------------------------------------------------------------------------

    def _on_commit(self, event: CommitAdvanced, place: int, known: Clock) -> None:
        own, before = self._held[place], event.index - 1
        if not 0 <= before < len(own):
            return  # `monotonicity` judges it
        self.judged += 1
        entry = own[before]
        digest = entry.digest if entry is not None else ""
        holders = [
            node
            for node, held, since, last in zip(self._configuration.nodes, self._held, self._since, known, strict=True)
            if before < len(held)
            and since[before] <= last
            and ((entry := held[before]) is None or not digest or entry.digest == digest)
        ]
        if not self._configuration.is_quorum(holders, self._past.used[place].members):
            held_by = dict(zip(self._configuration.nodes, self._held, strict=True))
            self._doubt(event, {node: _shown(held_by[node], before) for node in holders}, digest, place, known)

    def _doubt(self, event: CommitAdvanced, holders: dict[str, Held], digest: str, place: int, known: Clock) -> None:
        """Too few hold the entry now. But a node that held it when it was last heard of counts, too."""
        for left, last in zip(self._left, known, strict=True):
            for entry, since, until in left:
                if entry.index == event.index and entry.digest == digest and since <= last < until:
                    holders[entry.node] = entry
        used = self._past.used[place]
        may_be_before = used.before is not None and event.t_us <= used.since_us
        of_leader = (used.members, used.before) if may_be_before else (used.members,)
        allowed = of_leader if self._leads[place] else self._past.known_members(known)
        if not any(self._configuration.is_quorum(holders, members) for members in allowed):
            share = self._configuration.share(sorted(holders), used.members)
            self.violate(
                f"{who(event)} committed entry {event.index}, which is durable on {share}, as far as it can know",
                *holders.values(),
                event,
            )


def _shown(held: ReportedLog, before: int) -> Held:
    """The entry at this place, or the snapshot that replaces it."""
    return next(entry for entry in held[before:] if entry is not None)

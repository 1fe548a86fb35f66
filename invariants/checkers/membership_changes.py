"""membership_changes: each change of the members keeps the rules of §6 and of Ongaro's thesis, chapter 4.

A node reports each configuration that it begins to use, at once, and each configuration among its entries, once it is
durable. Nine rules:

1. A node uses the latest configuration in its log, whether it is committed or not: at the latest when the entry is
   durable, and no longer than the entry is in the log.
2. A leader begins a change only once the change before it is committed, and an entry of its own term (Ongaro, raft-dev,
   July 2015). The end of joint consensus begins none, so it needs no entry of the leader's own term: only one
   configuration can follow a joint one that is committed, and whatever an earlier leader has appended behind it is the
   same. A leader that was elected with it in its log may append the end before its first entry is committed.
3. Voters change by joint consensus, or one at a time: any majority before the change and any after it have a node in
   common.
4. Joint consensus ends with the new voters alone, and the leader that has committed it, whoever began it, ends it.
5. A leader that removed itself does not lead on once that is committed.
6. A snapshot has the configuration of the prefix that it replaces: the latest one up to its last entry (§7). So all
   snapshots of one prefix have the same.
7. A node that starts uses the latest configuration that it has recovered, of an entry or of its snapshot.
8. A node that never had a vote does not stand for election. One that had one may: its removal may not be committed.
9. A change is answered as done once its last configuration is committed, and not while old and new voters are joint:
   the old ones are still needed then. So the answer names an entry, which holds no joint configuration, and the node
   that answers knew that it is committed.

Why no correct node is convicted: what a node uses is reported at the time when it begins. Commits, truncations and
entries may be reported later, since they wait for the disk, but with the time by which the core acted, and in order. So
rules 2 to 4 are judged when the first later commit is reported: all earlier ones are known then. A configuration
that a node recovers with its log is used at once if it is the latest, and the others are older than its first report.
What a snapshot replaces was applied, so all of it is durable, and was reported before. A leader ends joint consensus in
the very step in which it commits that, so it has when it commits again. An entry that is committed is never replaced,
so an answer is judged by what is committed at its index, whoever reports that, and whenever. A node answers once it has
applied the entry, so it has reported a commit up to there or beyond, of that time or before; times are the run's, and
in real time the answer has that of its arrival.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.configuration import Configuration
from raft_chaos.invariants.checkers.node_logs import ReportedLog, holds
from raft_chaos.invariants.events import (
    ChangeAnswered,
    CommitAdvanced,
    ConfigurationUsed,
    EntryAppended,
    LogTruncated,
    Members,
    PreVoteStarted,
    RoleChanged,
    SnapshotInstalled,
    SnapshotTaken,
    Started,
)


@dataclass(slots=True)
class _Begun:
    """A leader began a change in `term`, from the configuration at index `before`, the members `old`. `commit` is its
    last commit by then, as far as it is reported."""

    used: ConfigurationUsed
    term: int
    before: int
    old: Members
    commit: CommitAdvanced | None

    def is_before(self, event: CommitAdvanced) -> bool:
        """Whether the leader began before this commit. Many things may happen at one time."""
        return self.used.t_us < event.t_us or self.term < event.term


@dataclass(slots=True)
class _Node:
    """One incarnation: what it uses, since when it used each configuration, its leadership, and its last commit. `base`
    is the configuration of the snapshot with which its log begins (None: nobody reported it), and `entries` are the
    indices of those in its log. `recovered` is the latest one that it started with, and `at_first` the one that it used
    then."""

    started: Started
    members: Members
    base: int | None
    entries: list[int] = field(default_factory=list)
    recovered: int = 0
    at_first: ConfigurationUsed | None = None
    is_judged: bool = False
    used: ConfigurationUsed | None = None
    durable: dict[int, Members] = field(default_factory=dict)  # by index; those that are not known to be committed
    since_us: dict[int, int] = field(default_factory=dict)
    leads_in: int = 0
    commit: CommitAdvanced | None = None
    begun: list[_Begun] = field(default_factory=list)

    @property
    def index(self) -> int:
        return self.used.index if self.used is not None else 0


class MembershipChanges(Checker):
    """Each change of the members is begun, used and ended as the paper says. Judged where somebody reports one."""

    invariant = "membership_changes"
    rule = "A server always uses the latest configuration in its log, and one change is under way at a time (§6)."
    nothing_judged = "no node used other members than the first"
    only_if_judged = True

    def __init__(self, logs: Mapping[str, ReportedLog], configuration: Configuration) -> None:
        super().__init__()
        self._logs = logs
        self._first = configuration.first
        self._nodes: dict[str, _Node] = {}
        self._snapshots: dict[tuple[str, int], int] = {}  # a node, the last entry, and the index of the configuration
        self._committed: dict[int, Members] = {}  # the configuration of each such entry that is known to be committed
        self._answers: list[ChangeAnswered] = []  # those whose entry is not yet
        self._unknown: dict[str, list[ChangeAnswered]] = {}  # those of nodes that have not reported such a commit yet
        self._of_prefix: dict[tuple[int, str], SnapshotTaken | SnapshotInstalled] = {}  # by the last entry and digest
        self._voters = set(self._first.voters)  # whoever has had a vote, as far as it knew

    def handlers(self) -> Handlers:
        return {
            Started: self._on_started,
            RoleChanged: self._on_role,
            PreVoteStarted: self._on_stands,
            ConfigurationUsed: self._on_used,
            EntryAppended: self._on_appended,
            LogTruncated: self._on_truncated,
            SnapshotInstalled: self._on_installed,
            SnapshotTaken: self._on_taken,
            CommitAdvanced: self._on_commit,
            ChangeAnswered: self._on_answered,
        }

    def _on_started(self, event: Started) -> None:
        base = self._snapshots.get((event.node, event.base_index)) if event.base_index else 0
        self._nodes[event.node] = _Node(event, self._first, base, recovered=base or 0)
        self._unknown.pop(event.node, None)

    def _on_role(self, event: RoleChanged) -> None:
        if event.role == "candidate":
            self._on_stands(event)
        if (node := self._nodes.get(event.node)) is not None:
            self._check_start(node, event)
            node.leads_in = event.term if event.role == "leader" else 0
            # The report waited for the disk: what the node used since then, it did not begin as a leader.
            node.begun = [begun for begun in node.begun if begun.used.t_us < event.t_us]

    def _on_stands(self, event: RoleChanged | PreVoteStarted) -> None:
        node = self._nodes.get(event.node)
        if node is None or event.node in self._voters or not self._first.voters:
            return  # or nobody said who votes at first
        self.violate(
            f"{who(event)} stands for election in term {event.term}, and never had a vote; it uses the configuration "
            f"of entry {node.index} ({node.members})",
            node.used,
            event,
        )

    # ---- what is used -----------------------------------------------------------------------------------------------

    def _on_used(self, event: ConfigurationUsed) -> None:
        node = self._nodes.get(event.node)
        if node is None:
            return
        self.judged += 1
        if node.leads_in and event.index > node.index:
            node.begun.append(_Begun(event, node.leads_in, node.index, node.members, node.commit))
        node.used, node.members = event, event.members
        if event.t_us == node.started.t_us:
            node.at_first = event
        if event.members.votes(event.node):
            self._voters.add(event.node)
        node.since_us.setdefault(event.index, event.t_us)

    def _check_step(self, old: Members, event: ConfigurationUsed) -> None:
        new = event.members
        changed = set(old.voters) ^ set(new.voters)  # used only for its size
        if old.old_voters:
            wrong = "" if new.voters == old.voters and not new.old_voters else "joint consensus ends with the new alone"
        elif new.old_voters:
            wrong = "" if new.old_voters == old.voters else "the old voters of joint consensus are those before it"
        else:
            wrong = "" if len(changed) <= 1 else "more than one voter changes without joint consensus"
        if wrong:
            self.violate(f"{who(event)} went from {old} to {new} (entry {event.index}): {wrong}", event)

    def _on_appended(self, event: EntryAppended) -> None:
        node = self._nodes.get(event.node)
        if node is None or event.members is None:
            return
        node.entries.append(event.index)
        node.durable[event.index] = event.members
        if event.members.votes(event.node):
            self._voters.add(event.node)
        if event.index <= node.started.last_index and event.t_us == node.started.t_us:
            node.recovered = max(node.recovered, event.index)
            return  # only the latest one is used
        self.judged += 1
        since_us = node.since_us.get(event.index)
        if since_us is None or since_us > event.t_us:
            self.violate(
                f"{who(event)} appended a configuration, entry {event.index} ({event.members}), and still uses that of "
                f"entry {node.index} ({node.members})",
                event,
            )

    def _on_truncated(self, event: LogTruncated) -> None:
        node = self._nodes.get(event.node)
        if node is None:
            return
        node.entries = [index for index in node.entries if index < event.from_index]
        node.durable = {index: members for index, members in node.durable.items() if index < event.from_index}
        if node.used is None:
            return
        if node.used.index >= event.from_index and node.used.t_us < event.t_us:
            self.violate(
                f"{who(event)} still uses the configuration of entry {node.used.index} ({node.members}), which it "
                f"deletes: its log ends at {event.from_index - 1}",
                node.used,
                event,
            )

    def _on_installed(self, event: SnapshotInstalled) -> None:
        self._snapshots[event.node, event.index] = event.members_index
        # The shared view of the logs gets this event after the checkers.
        node = self._nodes.get(event.node)
        if node is None:
            return
        if event.members_index > event.index:
            self._has_wrong_members(node, event, "no configuration behind its last entry")
        self._compare_with_others(node, event)
        node.base = event.members_index
        node.entries = [index for index in node.entries if index > event.index]
        if node.used is None or holds(self._logs.get(event.node) or [], event):
            return  # all that is behind the snapshot stays
        right = event.members or self._first
        if node.used.t_us < event.t_us and (node.used.index, node.members) != (event.members_index, right):
            self.violate(
                f"{who(event)} still uses the configuration of entry {node.used.index} ({node.members}), and not that "
                f"of the snapshot in place of its log, entry {event.members_index} ({right})",
                node.used,
                event,
            )

    def _on_taken(self, event: SnapshotTaken) -> None:
        self._snapshots[event.node, event.index] = event.members_index
        node = self._nodes.get(event.node)
        if node is None:
            return
        self._compare_with_others(node, event)
        if node.base is None or not event.members_index:
            return
        right = max((index for index in node.entries if index <= event.index), default=node.base)
        if event.members_index != right:
            self._has_wrong_members(node, event, f"that of entry {right}")

    def _compare_with_others(self, node: _Node, event: SnapshotTaken | SnapshotInstalled) -> None:
        other = self._of_prefix.setdefault((event.index, event.digest), event)
        if other.members_index != event.members_index:
            self._has_wrong_members(node, event, f"that of entry {other.members_index}, as at {other.node}")

    def _has_wrong_members(self, node: _Node, event: SnapshotTaken | SnapshotInstalled, right: str) -> None:
        self.violate(
            f"{who(event)} has a snapshot up to entry {event.index} with the configuration of entry "
            f"{event.members_index}; expected {right}",
            node.used,
            event,
        )

    def _check_start(self, node: _Node, event: RoleChanged) -> None:
        """It has recovered, and goes on."""
        if node.is_judged:
            return
        node.is_judged = True
        index, members = (node.at_first.index, node.at_first.members) if node.at_first else (0, self._first)
        if index < node.recovered:
            self.violate(
                f"{who(event)} has started with the configuration of entry {node.recovered} in its log or snapshot, "
                f"and used that of entry {index} ({members})",
                node.started,
                node.at_first,
                event,
            )

    # ---- what is committed ------------------------------------------------------------------------------------------

    def _on_answered(self, event: ChangeAnswered) -> None:
        if not event.index:
            self.violate(f"{event.subject} answered that a change is done, and no entry says so", event)
            return
        node = self._nodes.get(event.subject)
        is_by_this = node is None or node.started.t_us <= event.t_us  # and not by an earlier incarnation
        if is_by_this and (node is None or node.commit is None or node.commit.index < event.index):
            self._unknown.setdefault(event.subject, []).append(event)
        self._judge_answer(event)

    def _judge_answer(self, event: ChangeAnswered) -> None:
        members = self._committed.get(event.index)
        if members is None:
            self._answers.append(event)
        elif members.old_voters:
            self.violate(
                f"{event.subject} answered that a change is done with entry {event.index}, which is a joint "
                f"configuration ({members})",
                event,
            )

    def _know_committed(self, node: _Node, index: int) -> None:
        """The node has committed up to there: what it has of configurations is that of every node."""
        for at in [at for at in node.durable if at <= index]:
            self._committed[at] = node.durable.pop(at)
        waiting, self._answers = self._answers, []
        for answer in waiting:
            self._judge_answer(answer)

    def _judge_knowledge(self, event: CommitAdvanced) -> None:
        """The node reports a commit: of the entries that it has named before, this is the first that covers some."""
        covered = [answer for answer in self._unknown[event.node] if answer.index <= event.index]
        self._unknown[event.node] = [answer for answer in self._unknown[event.node] if answer not in covered]
        for answer in covered:
            if answer.t_us < event.t_us:
                self.violate(
                    f"{event.node} answered that a change is done with entry {answer.index}, and did not know yet that "
                    f"this is committed",
                    answer,
                    event,
                )

    def _on_commit(self, event: CommitAdvanced) -> None:
        node = self._nodes.get(event.node)
        if node is None:
            return
        if node.durable:
            self._know_committed(node, event.index)
        if self._unknown.get(event.node):
            self._judge_knowledge(event)
        for begun in node.begun:
            if begun.is_before(event):
                self._check_step(begun.old, begun.used)
                self._check_begun(begun)
            else:
                begun.commit = event
        if node.begun:
            node.begun = [begun for begun in node.begun if not begun.is_before(event)]
        if node.used is not None and node.leads_in == event.term and node.commit is not None:
            self._check_leads(node, node.used, node.commit, event)
        node.commit = event

    def _check_begun(self, begun: _Begun) -> None:
        used, commit = begun.used, begun.commit
        committed = commit.index if commit is not None else 0
        if committed < begun.before:
            self.violate(
                f"{who(used)} began a change (entry {used.index}: {used.members}) although that of entry "
                f"{begun.before} was not committed; it had committed up to {committed}",
                *([commit] if commit is not None else []),
                used,
            )
            return
        if begun.old.old_voters:
            return
        log = self._logs.get(used.node) or []
        entry = log[committed - 1] if 0 < committed <= len(log) else None
        if committed == 0 or (entry is not None and entry.term != begun.term):
            self.violate(
                f"{who(used)}, the leader of term {begun.term}, began a change (entry {used.index}: {used.members}) "
                f"before it had committed an entry of its term; it had committed up to {committed}",
                *([commit] if commit is not None else []),
                used,
            )

    def _check_leads(self, node: _Node, used: ConfigurationUsed, last: CommitAdvanced, event: CommitAdvanced) -> None:
        """It commits more, although it had committed a configuration without itself, or a joint one."""
        if last.index < used.index or last.term != event.term or last.t_us >= event.t_us:
            return
        if used.members.old_voters and used.t_us < event.t_us:
            self.violate(
                f"{who(event)} has committed a joint configuration (entry {used.index}: {used.members}), and leads on "
                "without an end of joint consensus",
                used,
                last,
                event,
            )
        has_vote = used.members.votes(event.node)
        if not has_vote:
            self.violate(
                f"{who(event)} leads on although it has committed a configuration without itself (entry {used.index}: "
                f"{used.members})",
                used,
                last,
                event,
            )

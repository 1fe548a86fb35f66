"""Runs of a cluster that is correct by construction, or has exactly one bug, as the events that its nodes report.

It is not a Raft: one function drives all nodes, and elections, replication and commits are single steps that keep the
paper's rules. It has the situations that are difficult for checkers: deposed leaders that do not know it, diverging
tails, truncations, crashes with a disk that is ahead of the events, and reports of a recovery that end early.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from random import Random

from raft_chaos.invariants.events import (
    HARNESS,
    CommitAdvanced,
    EntryAppended,
    EntryApplied,
    Event,
    LogTruncated,
    MessageReceived,
    MessageSent,
    NodeExited,
    NodeLaunched,
    PhaseStarted,
    RoleChanged,
    RunEnded,
    Started,
    VoteGranted,
)

Entry = tuple[int, int]  # term, and a number that no other entry has

BUGS = {
    "leads_without_majority": "election_safety",
    "votes_twice": "one_vote_per_term",
    "forgets_vote": "one_vote_per_term",
    "leader_truncates": "leader_append_only",
    "no_consistency_check": "log_matching",
    "no_up_to_date_check": "leader_completeness",
    "commits_alone": "state_machine_safety",
    "applies_nondeterministically": "state_machine_safety",
    "forgets_term": "monotonicity",
    "commit_goes_back": "monotonicity",
    "loses_synced_entries": "durability",
    "deletes_committed_entries": "committed_log_append_only",
    "leads_by_hearsay": "leader_votes_quorum",
    "commits_by_hearsay": "quorum_log",
    "commits_older_terms": "leader_commits_own_term",
    "exits": "unexpected_exit",
    "one_node_stuck": "recovery",
}
"""Each bug that a tiny cluster can have, and an invariant that it must break sooner or later."""


def digest(entries: list[Entry]) -> str:
    return hashlib.blake2b(repr(entries).encode(), digest_size=8).hexdigest()


@dataclass
class Node:
    name: str
    inc: int = 0
    term: int = 0
    voted_for: str | None = None
    leads: bool = False
    log: list[Entry] = field(default_factory=list)
    commit: int = 0
    applied: int = 0
    sent: int = 0
    events: list[Event] = field(default_factory=list)


class TinyCluster:
    """`run` makes a whole run; afterwards `streams` holds each node's events, the harness's last."""

    def __init__(self, seed: int, bug: str | None = None, size: int = 3) -> None:
        self.random = Random(seed)
        self.bug = bug
        self.t_us = 0
        self.entries = 0
        self.nodes = [Node(f"n{number}") for number in range(1, size + 1)]
        self.harness: list[Event] = []

    @property
    def streams(self) -> list[list[Event]]:
        return [*(node.events for node in self.nodes), self.harness]

    def run(self, steps: int) -> TinyCluster:
        for node in self.nodes:
            self.start(node)
        for _ in range(steps):
            node, other = self.random.sample(self.nodes, 2)
            step = self.random.choices(
                [self.elect, self.propose, self.replicate, self.crash, self.go_wrong], [2, 4, 8, 1, 1]
            )[0]
            self.t_us += self.random.randrange(3)
            step(node, other)
        self.heal()
        return self

    def heal(self) -> None:
        """The liveness phase: a leader with the best log, and everything reaches everyone."""
        target = max(node.commit for node in self.nodes)
        owed = tuple(node.name for node in self.nodes)
        self.tell(PhaseStarted, phase="liveness", commit_target=target, owed=owed, bound_us=1_000)
        self.t_us += 1
        leader = max(self.nodes, key=lambda node: (node.log[-1][0] if node.log else 0, len(node.log)))
        while not leader.leads or leader.term < max(node.term for node in self.nodes):
            self.elect(leader, leader)
        self.propose(leader, leader)
        reached = [node for node in self.nodes if node is not leader and self.bug != "one_node_stuck"]
        for node in reached * (len(leader.log) + 1):  # each step brings at least one entry, and the commit index
            self.replicate(leader, node)
        self.t_us += 2_000
        self.tell(RunEnded, reason="done", max_late_us=0)

    # ---- steps ----

    def start(self, node: Node, reported: int | None = None) -> None:
        node.inc += 1
        node.leads, node.commit, node.applied = False, 0, 0
        self.tell(NodeLaunched, subject=node.name, subject_inc=node.inc)
        log = node.log
        last = digest(log) if log else ""
        self.say(node, Started, term=node.term, voted_for=node.voted_for, last_index=len(log), digest=last)
        for index in range(1, len(log) + 1)[:reported]:
            self.say_appended(node, index)

    def crash(self, node: Node, other: Node) -> None:
        if self.random.random() < 0.3 and other.leads and other.term >= node.term:
            # Durable, but the crash comes before the report.
            heard = len(node.events)
            self.store(other, node)
            appended = [type(event) is EntryAppended for event in node.events[heard:]]
            if True in appended:
                del node.events[heard + appended.index(True) :]
        if self.bug == "forgets_vote":
            node.voted_for = None
        if self.bug == "forgets_term":
            node.term, node.voted_for = 0, None
        if self.bug == "loses_synced_entries":
            del node.log[-1:]
        if self.bug == "exits":
            self.tell(NodeExited, subject=node.name, subject_inc=node.inc, exit_code=1)
        if self.random.random() < 0.3:
            self.start(node, reported=self.random.randrange(len(node.log) + 1))
        self.start(node)

    def elect(self, candidate: Node, _: Node) -> None:
        self.join_term(candidate, candidate.term + 1)
        willing = [node for node in self.nodes if self.may_vote(node, candidate)]
        if candidate not in willing:
            return
        for node in willing:
            self.join_term(node, candidate.term)
            node.voted_for = candidate.name
            self.say(node, VoteGranted, term=node.term, candidate=candidate.name)
            if node is not candidate and self.bug != "leads_by_hearsay":
                self.send(node, candidate)
        if len(willing) * 2 > len(self.nodes) or self.bug == "leads_without_majority":
            candidate.leads = True
            self.say(candidate, RoleChanged, role="leader", term=candidate.term, leader=candidate.name)

    def may_vote(self, node: Node, candidate: Node) -> bool:
        def up_to_date(log: list[Entry]) -> tuple[int, int]:
            return (log[-1][0] if log else 0, len(log))

        fresh = node.term < candidate.term or (
            node.term == candidate.term and (node.voted_for in (None, candidate.name) or self.bug == "votes_twice")
        )
        return fresh and (up_to_date(candidate.log) >= up_to_date(node.log) or self.bug == "no_up_to_date_check")

    def join_term(self, node: Node, term: int) -> None:
        if term > node.term:
            node.term, node.voted_for, node.leads = term, None, False
            self.say(node, RoleChanged, role="follower", term=term, leader=None)

    def propose(self, leader: Node, _: Node) -> None:
        if leader.leads:
            self.entries += 1
            leader.log.append((leader.term, self.entries))
            self.say_appended(leader, len(leader.log))
            self.advance(leader)

    def replicate(self, leader: Node, follower: Node) -> None:
        if not leader.leads or follower.term > leader.term:
            return
        self.store(leader, follower)
        self.advance(leader)
        agreed = min(len(follower.log), len(leader.log))
        self.send(leader, follower)
        self.commit(follower, min(leader.commit, agreed))

    def store(self, leader: Node, follower: Node) -> None:
        self.send(leader, follower)
        self.join_term(follower, leader.term)
        if follower.leads and self.bug is None:
            raise AssertionError("two leaders of one term")
        same = 0
        if self.bug == "no_consistency_check":
            same = min(len(follower.log), len(leader.log))
        else:
            while same < min(len(follower.log), len(leader.log)) and follower.log[same] == leader.log[same]:
                same += 1
        if same < min(len(follower.log), len(leader.log)):
            self.say(follower, LogTruncated, from_index=same + 1)
            del follower.log[same:]
        for entry in leader.log[len(follower.log) :][: self.random.randint(1, 3) if same else None]:
            follower.log.append(entry)
            self.say_appended(follower, len(follower.log))

    def advance(self, leader: Node) -> None:
        for index in range(len(leader.log), leader.commit, -1):
            known = [node for node in self.nodes if node.term <= leader.term and node.log[:index] == leader.log[:index]]
            own = leader.log[index - 1][0] == leader.term or self.bug == "commits_older_terms"
            counts = own and len(known) * 2 > len(self.nodes)
            if counts and self.bug != "commits_by_hearsay":
                for node in known:
                    self.send(node, leader)
            if self.bug == "commits_alone" or counts:
                self.commit(leader, index)
                return

    def commit(self, node: Node, index: int) -> None:
        if index <= node.commit:
            return
        node.commit = index
        self.say(node, CommitAdvanced, index=index, term=node.term)
        while node.applied < node.commit:
            node.applied += 1
            state = digest(node.log[: node.applied])
            if self.bug == "applies_nondeterministically":
                state += node.name
            self.say(node, EntryApplied, index=node.applied, term=node.log[node.applied - 1][0], digest=state)

    def go_wrong(self, node: Node, _: Node) -> None:
        if self.bug == "leader_truncates" and node.leads and len(node.log) > node.commit:
            self.say(node, LogTruncated, from_index=len(node.log))
            del node.log[-1:]
        if self.bug == "deletes_committed_entries" and node.commit and not node.leads:
            self.say(node, LogTruncated, from_index=node.commit)
            del node.log[node.commit - 1 :]
            self.start(node)
        if self.bug == "commit_goes_back" and node.commit > 1:
            self.say(node, CommitAdvanced, index=node.commit - 1, term=node.term)

    # ---- reports ----

    def say_appended(self, node: Node, index: int) -> None:
        self.say(node, EntryAppended, index=index, term=node.log[index - 1][0], digest=digest(node.log[:index]))

    def say(self, node: Node, kind: type[Event], **fields: object) -> None:
        node.events.append(kind(node=node.name, inc=node.inc, t_us=self.t_us, **fields))

    def send(self, sender: Node, to: Node) -> None:
        """A message that arrives at once. Nobody sends to itself."""
        if sender is to:
            return
        sender.sent += 1
        self.say(sender, MessageSent, to=to.name, number=sender.sent, type="Message")
        sending = {"sender": sender.name, "sender_inc": sender.inc, "number": sender.sent, "type": "Message"}
        self.say(to, MessageReceived, **sending)

    def tell(self, kind: type[Event], **fields: object) -> None:
        self.harness.append(kind(node=HARNESS, inc=1, t_us=self.t_us, **fields))

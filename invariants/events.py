"""What a node must report to be judged, and what the harness reports about itself.

An event is one JSON object on one line; `kind` names its type and the other keys are the fields below.
Any system in any language may write these lines. The rules that a reporter must keep:

1. Each incarnation of a node has one file, written in the order in which things happened on the node. The position of a
   line is the event's number, so an event's id is (node, inc, line number).
2. A node reports terms, votes and appended entries once they are durable, and before any message that depends on
   them leaves the node. It reports a truncation before doing it.
3. An incarnation starts with `started`, followed by one `entry_appended` for each recovered entry, from index 1 on, or
   from the one after the base if a snapshot replaces those before.
   After a crash the disk may be ahead of the reported events, never behind them.
4. All events of an incarnation are in its one file. Only the last line may be torn.
5. Either all nodes report all messages between them or none does. A node reports a message before it sends it, and the
   arrival of one before its effects. Messages show what a node can know; without them two invariants are unknown.

Times are integer microseconds since the run began. Digests are hexadecimal strings, and are only compared.
An entry's digest is chained over its whole prefix: equal digests at an index mean equal logs up to that index. A state
digest covers the state machine's state itself, not the commands that led to it.

Events carry no version of their own: `schema` in run.json is the version of all events of the directory, and
`RunDir.load_info` refuses a newer one than this program reads. Whoever changes the fields below in a way that an older
reader would misunderstand raises `RUN_SCHEMA` in `invariants.rundir`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Role: TypeAlias = Literal["follower", "candidate", "leader"]
Phase: TypeAlias = Literal["warmup", "safety", "liveness", "services", "settled"]

MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes from outside that are not as expected; the last, for arrays nested without end."""

HARNESS = "harness"
"""The `node` of every event that the harness reports."""


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="kind"):
    """The fields of every event: the node that reports it, its incarnation (from 1), and the time (µs)."""

    node: str
    inc: int
    t_us: int


class Members(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """A configuration of the cluster (§6): who votes, who must agree too while old and new are joint, and who only gets
    the log (learners; Ongaro's thesis, §4.2.1)."""

    voters: tuple[str, ...]
    old_voters: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()

    def votes(self, node: str) -> bool:
        """Whether the node has a vote, in the new configuration or in the old one."""
        return node in self.voters or node in self.old_voters

    def includes(self, node: str) -> bool:
        """Whether the node gets the log, with a vote or without."""
        return self.votes(node) or node in self.learners

    def __str__(self) -> str:
        parts = [f"voters {' '.join(self.voters)}"]
        if self.old_voters:
            parts.append(f"jointly with {' '.join(self.old_voters)}")
        if self.learners:
            parts.append(f"learners {' '.join(self.learners)}")
        return ", ".join(parts)


# ---- reported by a node ------------------------------------------------------------------------------------------


class Started(Event, frozen=True, gc=False, kw_only=True, tag="started"):
    """The node recovered from its disk: its hard state, and the index and digest of its last entry ("" if none).

    Its log begins after the base, the last entry that its snapshot replaces (§7): `base_digest` covers entries 1 to
    `base_index`. Without a snapshot it begins at index 1, and the base is (0, 0, "").
    """

    term: int
    voted_for: str | None
    last_index: int
    digest: str
    base_index: int = 0
    base_term: int = 0
    base_digest: str = ""


class RoleChanged(Event, frozen=True, gc=False, kw_only=True, tag="role_changed"):
    """Role, term or known leader changed (§5.1, §5.2). `term` is durable when this is reported."""

    role: Role
    term: int
    leader: str | None


class PreVoteStarted(Event, frozen=True, gc=False, kw_only=True, tag="pre_vote_started"):
    """The election timer ran out, and the node asks whether it would win the election of `term`, which it has not
    entered (Ongaro's thesis, §9.6). Its question tells the last entry of its log; None in files of older versions."""

    term: int
    last_term: int | None = None
    last_index: int | None = None


class VoteGranted(Event, frozen=True, gc=False, kw_only=True, tag="vote_granted"):
    """The node voted for `candidate` (possibly itself) in `term`, and the vote is durable (§5.2)."""

    term: int
    candidate: str


class EntryAppended(Event, frozen=True, gc=False, kw_only=True, tag="entry_appended"):
    """The entry (index, term) is durable in this node's log; `digest` covers entries 1 to `index`.

    `size` is the length of its command in bytes; not every system reports it. `members` is the configuration that the
    entry is, if it is one (§6).
    """

    index: int
    term: int
    digest: str
    size: int = 0
    members: Members | None = None


class ConfigurationUsed(Event, frozen=True, gc=False, kw_only=True, tag="configuration_used"):
    """From now on the node uses this configuration, of the entry at `index` (0: that with which the cluster began).

    It is reported at once, although the entry may not be durable yet: a node uses the latest configuration in its log
    (§6). A node that starts reports it only if it is not the first one.
    """

    index: int
    members: Members


class LogTruncated(Event, frozen=True, gc=False, kw_only=True, tag="log_truncated"):
    """The node is about to delete the entries from `from_index` on (§5.3)."""

    from_index: int


class SnapshotTaken(Event, frozen=True, gc=False, kw_only=True, tag="snapshot_taken"):
    """A snapshot of the node's own state machine is durable in place of the entries up to `index` (§7).

    `digest` covers these entries, of which the last is of `term`; `state` covers the state machine's state.
    `members_index` is the entry of the configuration in it; 0 if that is the one with which the cluster began (§6), or
    if the system does not say.
    """

    index: int
    term: int
    digest: str
    state: str
    members_index: int = 0


class SnapshotInstalled(Event, frozen=True, gc=False, kw_only=True, tag="snapshot_installed"):
    """A snapshot that another node sent is durable in place of the entries up to `index` (§7). The log then holds that
    prefix, which `digest` covers, and is committed up to there. Entries behind it stay only if the log held it before.

    `via` is the type of the message that brought its last part. `members` is the configuration of that prefix, entry
    `members_index`; None if it is the one with which the cluster began (§6).
    """

    index: int
    term: int
    digest: str
    via: str
    members: Members | None = None
    members_index: int = 0


class SnapshotRestored(Event, frozen=True, gc=False, kw_only=True, tag="snapshot_restored"):
    """The state machine has the state of the snapshot that replaces the entries up to `index`, the last one of `term`:
    the node starts, or has installed it. `digest` covers the state, made anew from the data."""

    index: int
    term: int
    digest: str


class CommitAdvanced(Event, frozen=True, gc=False, kw_only=True, tag="commit_advanced"):
    """commit_index became `index`. `term` is the node's current term, not the entry's."""

    index: int
    term: int


class EntryApplied(Event, frozen=True, gc=False, kw_only=True, tag="entry_applied"):
    """The entry (index, term) was applied; `digest` covers the state machine's state after it."""

    index: int
    term: int
    digest: str


class MessageSent(Event, frozen=True, gc=False, kw_only=True, tag="message_sent"):
    """A message left for `to`. Its id is (node, inc, number); `type` is the message's name.

    Our own nodes also say, of an AppendEntries, after which entry its entries come, and how many bytes their commands
    have together; of an InstallSnapshot, the last entry that the snapshot replaces, and the bytes of the part.
    """

    to: str
    number: int
    type: str
    prev_log_index: int = 0
    size: int = 0


class MessageReceived(Event, frozen=True, gc=False, kw_only=True, tag="message_received"):
    """The message (sender, sender_inc, number) arrived. Reported before any of its effects.

    Our own nodes also say the term of an AppendEntriesReply that acknowledges entries, and up to which one it does;
    likewise of an InstallSnapshotReply that says that the snapshot is durable. Of an AppendEntriesReply that rejects
    entries they say its term, and the prev_log_index that did not match; of a TimeoutNow the term, and of a
    PreVoteReply the term that it grants.
    """

    sender: str
    sender_inc: int
    number: int
    type: str
    term: int = 0
    match_index: int = 0
    rejected_index: int = 0


# ---- reported by the harness (node is HARNESS; `subject` names the node meant) ------------------------------------


class NodeLaunched(Event, frozen=True, gc=False, kw_only=True, tag="node_launched"):
    """Incarnation `subject_inc` of `subject` is running and answers."""

    subject: str
    subject_inc: int


class NodeKilled(Event, frozen=True, gc=False, kw_only=True, tag="node_killed"):
    """The harness killed that incarnation (SIGKILL to its process group) and saw it gone.

    A disk that the harness serves then lost so many unsynced bytes, and so many unsynced changes of names (files that
    were created, renamed or removed); None if the node has no such disk.
    """

    subject: str
    subject_inc: int
    lost_bytes: int | None = None
    lost_names: int | None = None


class NodePaused(Event, frozen=True, gc=False, kw_only=True, tag="node_paused"):
    """The harness stopped that incarnation (SIGSTOP) and saw it in the stopped state."""

    subject: str
    subject_inc: int


class NodeResumed(Event, frozen=True, gc=False, kw_only=True, tag="node_resumed"):
    """The harness resumed that incarnation (SIGCONT)."""

    subject: str
    subject_inc: int


class NodeExited(Event, frozen=True, gc=False, kw_only=True, tag="node_exited"):
    """That incarnation ended by itself. `exit_code` is negative for a signal.

    `log_tail` holds the last lines that it wrote to stderr. `excused` says what the harness had done to it that lets it
    end with this exit code: a node whose disk fails must stop.
    """

    subject: str
    subject_inc: int
    exit_code: int
    log_tail: str = ""
    excused: str = ""


class NodeSampled(Event, frozen=True, gc=False, kw_only=True, tag="node_sampled"):
    """The resources of that incarnation: CPU (percent of a core since the last sample), RSS (bytes), files, threads."""

    subject: str
    subject_inc: int
    cpu_percent: float
    rss_bytes: int
    open_files: int
    threads: int


class LeaderObserved(Event, frozen=True, gc=False, kw_only=True, tag="leader_observed"):
    """A node that reports no events says that it leads, and did not say so before. `term` is 0 if it does not say.

    The harness saw it in the node's status, or in a line of a log, which is then `said`: line number `line` of `file`,
    in the log of the `reporter` ("": of the node itself).
    """

    subject: str
    subject_inc: int
    term: int = 0
    said: str = ""
    file: str = ""
    line: int = 0
    reporter: str = ""


class LogsFollowed(Event, frozen=True, gc=False, kw_only=True, tag="logs_followed"):
    """The harness reads in the nodes' logs who became leader. `checked` says whether `raft-chaos target check TARGET`
    has shown that the lines which it takes for that mean it; without that they convict nobody."""

    checked: bool
    target: str


class LogsLost(Event, frozen=True, gc=False, kw_only=True, tag="logs_lost"):
    """Not all lines of the logs were read, and `why`."""

    why: str


class FaultInjected(Event, frozen=True, gc=False, kw_only=True, tag="fault_injected"):
    """The harness injected a fault of the schedule. `type` is its kind, `targets` the nodes that it hit.

    `detail` describes it for people. `leader` is the leader at that time, if one was known. `links` are the directed
    links (sender, receiver) that it cuts or holds, for a fault that leaves its targets as they are.
    """

    fault: str
    type: str
    targets: tuple[str, ...]
    detail: str = ""
    leader: str | None = None
    links: tuple[tuple[str, str], ...] = ()


class FaultHealed(Event, frozen=True, gc=False, kw_only=True, tag="fault_healed"):
    """The fault is over. `effective` says whether an effect was seen, `effect` which one.

    `moot` names what prevented an effect: other faults (for example, a cut link to a node that was down), or the end of
    the safety phase.
    """

    fault: str
    type: str
    effective: bool
    effect: str = ""
    moot: str = ""


class AnsweredAgain(Event, frozen=True, gc=False, kw_only=True, tag="answered_again"):
    """The answered command of the operation `op` arrived once more, and this is the second answer.

    `first_value` and `first_index` are those of the first one: its result, and its log entry if the system names one.
    `refused`: the system did not carry it out, and gives `error`; `first_refused`: nor did it the first time, for what
    it found then.
    """

    client: str
    op: str
    refused: bool
    first_refused: bool = False
    first_value: str | list[str] | None = None
    first_index: int | None = None
    value: str | list[str] | None = None
    index: int | None = None
    error: str | None = None


class ChangeAnswered(Event, frozen=True, gc=False, kw_only=True, tag="change_answered"):
    """The node `subject` answered the harness that a change of the members is done (§6), with the entry at `index`."""

    subject: str
    index: int


class PhaseStarted(Event, frozen=True, gc=False, kw_only=True, tag="phase_started"):
    """A phase of the run began.

    When `liveness` begins, all faults are healed. `commit_target` is the highest commit index seen by then. `owed` are
    the nodes that must reach it (each was killed, paused or cut off). Catching up counts as failed after `bound_us`
    without any progress.

    When `services` begins, nothing is owed any more, and the harness asks for what a cluster does beside commands, the
    transfer of the leadership among it. When `settled` begins, no client asks for anything any more. All members that
    are up owe `commit_target`.

    `without_vote` are nodes that should have a vote again by then (§6): the harness asked for that again and again, in
    vain.

    `within_us` is used in virtual time and is 0 elsewhere: all owed nodes must catch up within exactly this time from
    the start of the phase, and `bound_us` is ignored. A run with nodes that have not caught up ends then, and no
    earlier.
    """

    phase: Phase
    commit_target: int = 0
    owed: tuple[str, ...] = ()
    bound_us: int = 0
    within_us: int = 0
    without_vote: tuple[str, ...] = ()


class RunEnded(Event, frozen=True, gc=False, kw_only=True, tag="run_ended"):
    """The run ended as planned. `max_late_us` is the longest delay of the harness's sentinel in the liveness phase,
    `max_safety_late_us` the longest one in the safety phase; None if it is not known. `unserved` is what the cluster
    would not do, beside commands, once all was healed and nothing was owed any more: reads of some kind, a transfer,
    answers to requests that nodes took."""

    reason: str
    max_late_us: int = 0
    max_safety_late_us: int | None = None
    unserved: tuple[str, ...] = ()


NodeEvent: TypeAlias = (
    Started
    | RoleChanged
    | PreVoteStarted
    | VoteGranted
    | EntryAppended
    | ConfigurationUsed
    | LogTruncated
    | CommitAdvanced
    | EntryApplied
    | SnapshotTaken
    | SnapshotInstalled
    | SnapshotRestored
    | MessageSent
    | MessageReceived
)
HarnessEvent: TypeAlias = (
    NodeLaunched
    | NodeKilled
    | NodePaused
    | NodeResumed
    | NodeExited
    | NodeSampled
    | LeaderObserved
    | LogsFollowed
    | LogsLost
    | FaultInjected
    | FaultHealed
    | AnsweredAgain
    | ChangeAnswered
    | PhaseStarted
    | RunEnded
)
AnyEvent: TypeAlias = NodeEvent | HarnessEvent

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def encode(event: Event) -> bytes:
    """One event as one JSON line, newline included."""
    return _encoder.encode(event) + b"\n"


def decode(line: bytes) -> AnyEvent:
    """The event of one line. Raises one of `MALFORMED`, which says what is wrong."""
    return _decoder.decode(line)

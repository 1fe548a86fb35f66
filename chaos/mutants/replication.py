"""Mistakes in log replication: what a follower keeps and acknowledges, and what a leader assumes about it (§5.3)."""

from __future__ import annotations

from collections.abc import Sequence

from raft_chaos.chaos.mutants.mutant import LOST_COMMIT, Mutant
from raft_chaos.raft.core import Core, Progress
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.log import CACHE_BYTES
from raft_chaos.raft.state.messages import MAX_ENTRIES, AppendEntries, AppendEntriesReply, Entry

# ---- the follower's side --------------------------------------------------------------------------------------------


class AckBeforeSync(Core):
    def _ack_needs_lsn(self, match_index: int) -> int:
        return 0


class TruncateOnStaleAppend(Core):
    def _store_entries(self, prev_log_index: int, entries: Sequence[Entry]) -> int:
        last_new_index = super()._store_entries(prev_log_index, entries)
        if last_new_index < self.log.last_index:
            self._truncate(last_new_index + 1)
        return last_new_index


class ConflictCutTooFar(Core):
    def _rejection(self, m: AppendEntries) -> AppendEntriesReply:
        conflict = m.prev_log_index <= self.log.last_index
        if conflict and self.commit_index < self.log.last_index:
            self._truncate(self.commit_index + 1)
        return super()._rejection(m)


class ConflictCutCommitted(Core):
    def _rejection(self, m: AppendEntries) -> AppendEntriesReply:
        rejection = super()._rejection(m)
        if m.prev_log_index <= self.log.last_index:
            self._truncate(rejection.conflict_index)
        return rejection


class DurableCursorSurvivesTruncation(Core):
    def _truncate(self, from_index: int) -> None:
        durable_index = self.log.durable_index
        super()._truncate(from_index)
        self.log.durable_index = durable_index
        self.log._cache_bytes = CACHE_BYTES  # or it lets go of what is not on the disk, and cannot read it back


class RollbackCommitted(Core):
    def _become_follower(self, term: int, leader: str | None) -> None:
        stepping_down = self.role != "follower"
        super()._become_follower(term, leader)
        # More entries may be committed than this node knows.
        if stepping_down and self.commit_index < self.log.last_index:
            self._truncate(self.commit_index + 1)


# ---- the leader's side ----------------------------------------------------------------------------------------------


class WithdrawBeforeStepDown(Core):
    def _become_follower(self, term: int, leader: str | None) -> None:
        if self.role == "leader":
            # Not those of earlier terms, which others may have committed; an own one needs acknowledgements for that.
            known = max(self.commit_index, *(progress.match_index for progress in self.progress.values()))
            own = self.log.first_index_of_term_at(self.log.last_index)
            if known < self.log.last_index:
                self._truncate(max(known + 1, own))
        super()._become_follower(term, leader)


class HintAsMatch(Core):
    def _on_rejection(self, progress: Progress, m: AppendEntriesReply) -> bool:
        if not super()._on_rejection(progress, m):
            return False
        progress.match_index = progress.next_index - 1
        return True


class NextIndexBelowMatch(Core):
    def _on_rejection(self, progress: Progress, m: AppendEntriesReply) -> bool:
        progress.move_back(max(1, min(m.conflict_index, m.rejected_index)))
        return True


class MatchStartsValid(Core):
    def _reset_progress(self) -> None:
        first = self.log.last_index + 1
        self.progress = {peer: Progress(next_index=first, match_index=first) for peer in self.peers}


class StaleProgressKept(Core):
    def _reset_progress(self) -> None:
        earlier = self.progress
        super()._reset_progress()
        for peer, progress in self.progress.items():
            if peer in earlier:
                # Bounded by the entry that this leader is about to append: its log may have been truncated meanwhile,
                # and an index beyond its end would cause a crash instead of this mistake.
                progress.match_index = min(earlier[peer].match_index, self.log.last_index + 1)


class RetransmissionStorm(Core):
    def _on_ack(self, progress: Progress, match_index: int) -> None:
        brings_nothing_new = match_index <= progress.match_index
        super()._on_ack(progress, match_index)
        if brings_nothing_new:
            progress.next_index = progress.match_index + 1


class WholeLogEachTime(Core):
    def _send_append(self, peer: str, next_index: int, entries: list[Entry]) -> None:
        super()._send_append(peer, 1, self.log.slice(1, MAX_ENTRIES, self.timing.max_bytes_per_message))


class HeartbeatWithoutCommit(Core):
    def _send_append(self, peer: str, next_index: int, entries: list[Entry]) -> None:
        commit_index = self.commit_index
        if not entries:
            self.commit_index = 0
        super()._send_append(peer, next_index, entries)
        self.commit_index = commit_index


class EntriesPutOffHeartbeats(Core):
    def _send_append(self, peer: str, next_index: int, entries: list[Entry]) -> None:
        super()._send_append(peer, next_index, entries)
        if entries:  # to this peer alone
            self._heartbeat_deadline_us = self.now_us + self.timing.heartbeat_us


class SilentFollowersLeftAlone(Core):
    def _broadcast_heartbeat(self) -> None:
        everybody, silent_us = self.progress, 3 * self.timing.election_timeout_max_us
        self.progress = {
            peer: progress for peer, progress in everybody.items() if self.now_us - progress.contact_us < silent_us
        }
        super()._broadcast_heartbeat()
        self.progress = everybody


class BytesInFlightLeak(Core):
    def _on_ack(self, progress: Progress, match_index: int) -> None:
        size = progress.bytes_in_flight
        super()._on_ack(progress, match_index)
        progress.bytes_in_flight = max(size, progress.bytes_in_flight)


class AnyAnswerOpensWindow(Core):
    def _on_ack(self, progress: Progress, match_index: int) -> None:
        super()._on_ack(progress, match_index)
        progress.flight.clear()
        progress.bytes_in_flight = 0


REPLICATION = (
    Mutant(
        "ack_before_sync",
        "an AppendEntries is acknowledged before its entries are durable",
        "PySyncObj #84",
        ("quorum_log", "consistency_check", *LOST_COMMIT),
        Parts(core=AckBeforeSync),
    ),
    Mutant(
        "truncate_on_stale_append",
        "a delayed, shorter AppendEntries truncates the log to its own length",
        "akka-raft #66, RaftOS #26",
        (*LOST_COMMIT, "quorum_log", "consistency_check"),
        Parts(core=TruncateOnStaleAppend),
    ),
    Mutant(
        "conflict_cut_too_far",
        "a conflict truncates the log to the commit index, although entries before the conflict match",
        "nebula #2483",
        (*LOST_COMMIT, "consistency_check"),
        Parts(core=ConflictCutTooFar),
    ),
    Mutant(
        "conflict_cut_committed",
        "a conflict truncates the log from the first entry of its term on, although the node has committed some of it",
        "openraft #511, akka-entity-replication #152",
        ("committed_log_append_only", "consistency_check", "recovery", "unexpected_exit", *LOST_COMMIT),
        Parts(core=ConflictCutCommitted),
    ),
    Mutant(
        "durable_cursor_survives_truncation",
        "a truncation does not lower the durable index, so a later leader counts its new entries as durable at once",
        "rabbitmq/ra #637",
        ("quorum_log", *LOST_COMMIT),
        Parts(core=DurableCursorSurvivesTruncation),
    ),
    Mutant(
        "rollback_committed",
        "stepping down deletes all entries that the node does not know to be committed",
        "CCF #5674",
        LOST_COMMIT,
        Parts(core=RollbackCommitted),
    ),
    Mutant(
        "withdraw_before_step_down",
        "a leader that hears of a later term first deletes its entries that nobody has acknowledged, although some may "
        "hold them",
        "CCF #5674, in a milder form",
        ("leader_append_only",),
        Parts(core=WithdrawBeforeStepDown),
    ),
    Mutant(
        "hint_as_match",
        "the conflict hint in a rejection, where the logs may match, is taken as the match index",
        "CCF #5325",
        ("quorum_log", "consistency_check", "recovery", *LOST_COMMIT),
        Parts(core=HintAsMatch),
    ),
    Mutant(
        "next_index_below_match",
        "a late rejection moves next_index back below match_index, and acknowledged entries are sent again",
        "etcd-io/raft #148, raft-rs #555",
        ("efficiency",),
        Parts(core=NextIndexBelowMatch),
    ),
    Mutant(
        "match_starts_valid",
        "match_index starts at the index of the new leader's first entry, so that entry commits at once",
        "RATIS-1767",
        ("quorum_log", "consistency_check", *LOST_COMMIT),
        Parts(core=MatchStartsValid),
    ),
    Mutant(
        "stale_progress_kept",
        "match_index is kept from an earlier leadership, although followers have lost these entries since",
        "akka-raft #58, copycat #29",
        ("quorum_log", "consistency_check", "recovery", *LOST_COMMIT),
        Parts(core=StaleProgressKept),
    ),
    Mutant(
        "retransmission_storm",
        "the answer to a batch of duplicates does not count: the leader sends all that is in flight again, at once",
        "yugabyte-db #32876, KUDU-1469",
        ("efficiency",),
        Parts(core=RetransmissionStorm),
    ),
    Mutant(
        "whole_log_each_time",
        "each new entry and each heartbeat brings the whole log again, from the first entry on",
        "Truxify #10681",
        ("efficiency",),
        Parts(core=WholeLogEachTime),
    ),
    Mutant(
        "heartbeat_without_commit",
        "heartbeats do not say what is committed: followers learn it with the next entry",
        "classic",
        ("recovery",),
        Parts(core=HeartbeatWithoutCommit),
    ),
    Mutant(
        "entries_put_off_heartbeats",
        "entries that go to one follower put off the next heartbeat to all of them",
        "willemt/raft #89",
        ("heartbeats",),
        Parts(core=EntriesPutOffHeartbeats),
    ),
    Mutant(
        "silent_followers_left_alone",
        "a leader sends no more heartbeats to a follower that has not answered for a while",
        "Zeebe #7175",
        ("heartbeats", "recovery", "stable_leadership", "leader_recognized"),
        Parts(core=SilentFollowersLeftAlone),
    ),
    Mutant(
        "bytes_in_flight_leak",
        "what is acknowledged still counts as on its way: once the bytes of the window are used up, nothing is sent",
        "a classic mistake of flow control (etcd's Inflights)",
        ("recovery", "liveness_under_fault"),
        Parts(core=BytesInFlightLeak),
    ),
    Mutant(
        "any_answer_opens_window",
        "any answer opens the whole window of bytes on their way again, whatever it acknowledges",
        "a classic mistake of flow control (etcd's Inflights)",
        ("efficiency",),
        Parts(core=AnyAnswerOpensWindow),
    ),
)

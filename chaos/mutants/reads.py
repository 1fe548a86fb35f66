"""Mistakes in reads: a client's answer is not what the cluster agreed on (§8)."""

from __future__ import annotations

from typing import Any

from raft_chaos.chaos.mutants.mutant import Mutant
from raft_chaos.raft.core import Core
from raft_chaos.raft.replica.machine import decode_command
from raft_chaos.raft.replica.replica import Replica, Reply
from raft_chaos.raft.server.parts import Parts


class DeposedLeaderReads(Replica):
    def submit(self, token: Any, command: bytes, now_us: int) -> bool:
        if self.core.role != "leader" or decode_command(command).op != "get":
            return super().submit(token, command, now_us)
        # A leader that was cut off still believes that it leads, and its applied state is stale.
        self.core.now_us = now_us
        result = self.machine._execute(decode_command(command))
        self._replies.append(Reply(token, self.core.last_applied, self.core.current_term, result))
        return True


class ReadIndexTooEarly(Core):
    def _knows_commits(self) -> bool:
        return True


class ReadIndexWithoutRound(Core):
    def _is_confirmed(self, number: int) -> bool:
        return True


READS = (
    Mutant(
        "deposed_leader_reads",
        "a leader answers reads from its own state, without asking whether it still leads",
        "Xraft-KV #40",
        ("linearizability", "acknowledged_writes", "monotonic_reads", "repeated_answers"),
        Parts(replica=DeposedLeaderReads),
    ),
    Mutant(
        "read_index_too_early",
        "a new leader takes its commit index as a read index before it has committed an entry of its own term",
        "etcd #7331, TiKV #6340",
        ("linearizability", "acknowledged_writes", "monotonic_reads"),
        Parts(core=ReadIndexTooEarly),
    ),
    Mutant(
        "read_index_without_round",
        "a leader answers a read by ReadIndex at once, and hears only later from a majority that it still leads",
        "d-engine #381, akka-raft #65",
        ("linearizability", "acknowledged_writes", "monotonic_reads"),
        Parts(core=ReadIndexWithoutRound),
    ),
)

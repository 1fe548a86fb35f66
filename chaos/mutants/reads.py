"""Mistakes in reads: a client's answer is not what the cluster agreed on (§8)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from raft_chaos.chaos.mutants.mutant import Mutant
from raft_chaos.raft.core import Core
from raft_chaos.raft.replica.command import decode_command
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.configuration import decode_change
from raft_chaos.raft.state.messages import AppendEntriesReply, Message


class DeposedLeaderReads(Replica):
    def submit(self, token: Any, command: bytes, now_us: int) -> bool:
        is_change = decode_change(command) is not None
        if self.core.role != "leader" or is_change or decode_command(command).op != "get":
            return super().submit(token, command, now_us)
        # A leader that was cut off still believes that it leads, and its applied state is stale.
        self.core.now_us = now_us
        result = self.machine._execute(decode_command(command))
        self._replies.append(Reply(token, self.core.last_applied, self.core.current_term, result))
        return True


class ReadIndexTooEarly(Core):
    def _knows_commits(self) -> bool:
        return True


class ReadIndexIsApplied(Core):
    def _begin_round(self) -> None:
        super()._begin_round()
        self._reads.read_index = min(self._reads.read_index, self.last_applied)


class ReadIndexWithoutRound(Core):
    def _is_confirmed(self, number: int) -> bool:
        return True


class ReadJoinsRoundUnderWay(Core):
    def read(self, token: Any, now_us: int) -> bool:
        if not super().read(token, now_us):
            return False
        if self._reads.confirming and self._reads.term == self.current_term:
            self._reads.confirming.append(self._reads.asked.pop())
        return True


class ReadConfirmedByOne(Core):
    def _is_confirmed(self, number: int) -> bool:
        return super()._is_confirmed(number) or any(one.round >= number for one in self.progress.values())


class ReadConfirmedByEarlierRound(Core):
    def _is_confirmed(self, number: int) -> bool:
        return super()._is_confirmed(number - 1)


class LeaseTooLong(Core):
    def _lease_us(self) -> int:
        return 2 * self.timing.election_timeout_max_us


class PhantomContact(Core):
    def receive(self, source: str, message: Message, now_us: int) -> None:
        if type(message) is AppendEntriesReply and self.role == "leader" and message.term > self.current_term:
            message = replace(message, term=self.current_term, round=self.round)
        super().receive(source, message, now_us)


class LeaseSurvivesTransfer(Core):
    def _give_up_lease(self) -> None:
        pass


class NoReadIndex(Core):
    def read(self, token: Any, now_us: int) -> bool:
        self.now_us = now_us
        return False


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
        ("read_index", "linearizability", "acknowledged_writes", "monotonic_reads"),
        Parts(core=ReadIndexTooEarly),
    ),
    Mutant(
        "read_index_is_applied",
        "a leader takes what it has applied as a read index, although more is committed",
        "a classic mistake of ReadIndex (thesis, §6.4)",
        ("read_index",),
        Parts(core=ReadIndexIsApplied),
    ),
    Mutant(
        "read_index_without_round",
        "a leader answers a read by ReadIndex at once, and hears only later from a majority that it still leads",
        "d-engine #381, akka-raft #65",
        ("linearizability", "acknowledged_writes", "monotonic_reads", "read_index"),
        Parts(core=ReadIndexWithoutRound),
    ),
    Mutant(
        "read_joins_round_under_way",
        "a read joins the round of heartbeats that is under way, although these were sent before it came",
        "a classic mistake of ReadIndex (thesis, §6.4)",
        ("linearizability", "acknowledged_writes", "monotonic_reads", "read_index"),
        Parts(core=ReadJoinsRoundUnderWay),
    ),
    Mutant(
        "read_confirmed_by_one",
        "a leader answers a read by ReadIndex once one other node has answered its round, whatever a majority is",
        "a classic mistake of ReadIndex (thesis, §6.4)",
        ("read_index",),
        Parts(core=ReadConfirmedByOne),
    ),
    Mutant(
        "read_confirmed_by_earlier_round",
        "the answers to the round before confirm a read by ReadIndex, although that was sent before it came",
        "a classic mistake of ReadIndex (thesis, §6.4)",
        ("read_index",),
        Parts(core=ReadConfirmedByEarlierRound),
    ),
    Mutant(
        "lease_too_long",
        "a leader's lease outlives the election timeout, so another leader may have been elected meanwhile",
        "sofa-jraft #34, etcd #6005",
        ("linearizability", "acknowledged_writes", "monotonic_reads"),
        Parts(core=LeaseTooLong),
    ),
    Mutant(
        "phantom_contact",
        "an answer of a later term, which rejects the leader, counts as contact, and prolongs its lease",
        "hashicorp/raft #666",
        ("linearizability", "acknowledged_writes", "monotonic_reads", "liveness_under_fault", "recovery"),
        Parts(core=PhantomContact),
    ),
    Mutant(
        "lease_survives_transfer",
        "a leader that has told another node to stand answers reads by its lease",
        "raft-rs #234, openraft #1747",
        ("linearizability", "acknowledged_writes", "monotonic_reads"),
        Parts(core=LeaseSurvivesTransfer),
    ),
    Mutant(
        "no_read_index",
        "a leader refuses each read by ReadIndex",
        "classic",
        ("recovery",),
        Parts(core=NoReadIndex),
    ),
)

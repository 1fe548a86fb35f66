"""Leadership transfer (Ongaro's thesis, §3.10): a leader hands over to a node of its choice, without a time in which
nobody leads.

The leader takes no more proposals, and brings the target's log up to its own, as it does for any follower. Once the
target has acknowledged all of it, the leader tells it to stand for election at once (`TimeoutNow`): its log is as up to
date as any, so all can vote for it. Its request for votes says that its leader wants it, so that voters who hear this
leader heed it all the same (CheckQuorum). It asks for no pre-votes: nobody would grant any while the leader is there.

The old leader leads until it hears of the target's term. If it has not after the shortest election timeout, it gives
the transfer up, and takes proposals again. A `TimeoutNow` that is late can still make the target stand, which is safe:
that is one more election. One of an earlier term does nothing.
"""

from __future__ import annotations

from raft_chaos.raft.core.lease import Lease
from raft_chaos.raft.state.configuration import TRY_AGAIN, Change, ChangeError
from raft_chaos.raft.state.messages import Message, RequestVote, TimeoutNow


class Transfer(Lease):
    """How a leader hands over, and how a node takes over."""

    successor: str | None = None
    """To whom this leader hands over now; None if it does not. Valid only while it leads."""
    _transfer_term = 0  # the term in which the latest transfer began
    _transfer_deadline_us = 0  # when it is given up
    _timeout_now_is_sent = False

    # ---- the leader -------------------------------------------------------------------------------------------------

    def transfer(self, target: str | None, now_us: int) -> bool:
        """Somebody asks this leader to hand over to `target`; None: to the follower that is most up to date. False:
        `why_no_transfer` says why not."""
        self.now_us = now_us
        if self.why_no_transfer(target):
            return False
        self.successor = target if target is not None else self._most_up_to_date()
        self._transfer_term = self.current_term
        self._transfer_deadline_us = now_us + self.timing.election_timeout_min_us
        self._timeout_now_is_sent = False
        return True

    def why_no_transfer(self, target: str | None) -> str:
        """Why this node cannot hand over to `target` now; "" if it can."""
        if self.role != "leader":
            return f"{self.node} does not lead"
        if target == self.node:
            return f"{self.node} leads already"
        if not self.other_voters:
            return f"{self.node} is the only voter"
        if target is not None and target not in self.other_voters:
            return f"{target!r} is no voter of this cluster; expected one of {', '.join(self.other_voters)}"
        if self.successor is not None and self._transfer_term == self.current_term:
            return f"{self.node} hands over to {self.successor} already"
        return ""

    def _most_up_to_date(self) -> str:
        """Of several that are equally up to date the one that was heard last: one that is down cannot take over."""
        known = self.progress
        return max(self.other_voters, key=lambda peer: (known[peer].match_index, known[peer].contact_us))

    def _takes_proposals(self) -> bool:
        """A leader that hands over takes none: the target might never catch up, and what it lacks could not commit."""
        return self.successor is None or self._transfer_term != self.current_term

    def change_members(self, change: Change, now_us: int) -> tuple[int, int] | None:
        """A change of the members is a proposal like any other."""
        if self.role == "leader" and not self._takes_proposals():
            raise ChangeError(f"this leader hands over to {self.successor}; {TRY_AGAIN}")
        return super().change_members(change, now_us)

    def _advance_transfer(self) -> None:
        """Brings the transfer as far as it can get. It is over if another leadership has begun, or none is left, or if
        the target has no vote any more."""
        target = self.successor
        if self._takes_proposals() or self.role != "leader" or target not in self.other_voters or self._gives_up():
            self.successor = None
        elif not self._timeout_now_is_sent and self._has_all(target):
            self._timeout_now_is_sent = True
            self._give_up_lease()
            self._send(target, TimeoutNow(self.current_term))

    def _gives_up(self) -> bool:
        """Otherwise a target that is down, or whose election fails, would block the cluster for ever."""
        return self.now_us >= self._transfer_deadline_us

    def _has_all(self, peer: str) -> bool:
        """Whether the target has acknowledged all of this leader's log. Without that, others could have newer logs: its
        election would fail, or entries that clients wait for would be lost."""
        return self.progress[peer].match_index == self.log.last_index

    # ---- the target, and the voters ---------------------------------------------------------------------------------

    def _on_timeout_now(self, m: TimeoutNow) -> None:
        """Stands for election at once. After a later election the message is void: its leader leads no longer."""
        if m.term == self.current_term and self.role == "follower" and self.configuration.is_voter(self.node):
            self._start_election(is_transfer=True)

    def _heed(self, message: Message) -> bool:
        """The leader itself wants this candidate, so it disturbs nobody."""
        if type(message) is RequestVote and message.transfer:
            self._become_follower(message.term, leader=None)
            return True
        return super()._heed(message)

"""Changes of the members (§6; Ongaro's thesis, chapter 4): by joint consensus, or one voter at a time.

A node uses the latest configuration in its log, whether it is committed or not (`Base._use_configuration`), so a leader
has begun a change once it has appended the entry.

Joint consensus (§6): the leader appends the old and the new voters together; from then on each decision needs a
majority of both. Once that is committed, it appends the new ones alone. Any change is possible that way.

One voter at a time (thesis, §4.1): any majority of the old voters and any majority of the new ones have a node in
common then, so one entry is enough.

Both need the same two conditions. No other change is under way. And the leader has committed an entry of its own term:
otherwise an earlier leader's change, which it does not know of, may still become committed, and the two together could
leave two majorities without a node in common (Ongaro, raft-dev, July 2015).

New nodes first become learners, which get the log and have no vote, so that nobody waits for them meanwhile (§4.2.1).
"""

from __future__ import annotations

from raft_chaos.raft.core.reads import Reads
from raft_chaos.raft.state.configuration import TRY_AGAIN, Change, ChangeError, Configuration, encode_configuration
from raft_chaos.raft.state.messages import Entry


class Membership(Reads):
    """How a leader changes the configuration, and what a node does that does not vote."""

    _is_in_transition = False

    def change_members(self, change: Change, now_us: int) -> tuple[int, int] | None:
        """A client's change. Returns the (index, term) of its first entry, or None if this is not the leader.

        Raises ChangeError if the change is refused; then nothing has happened.
        """
        self.now_us = now_us
        if self.role != "leader":
            return None
        self._check_change(change)
        configuration = change.applied_to(self.configuration, (self.node, *self.others))
        index = self._append_configuration(self._first_step_to(configuration))
        return index, self.current_term

    def next_configuration_after(self, index: int) -> int | None:
        """The index of the first configuration in the log behind `index`."""
        return self._configurations.after(index)

    def _check_change(self, change: Change) -> None:
        if not self.features.membership:
            raise ChangeError("the members of this cluster are fixed; start its nodes with the feature membership")
        if not self._may_change():
            raise ChangeError(f"this leader has not committed an entry of its term yet; {TRY_AGAIN}")
        if self._is_changing():
            raise ChangeError(f"another change is under way; {TRY_AGAIN}")
        for node in change.promote:
            if node in self.configuration.learners and not self._has_caught_up(node):
                raise ChangeError(f"promote {node}: it has not caught up yet; {TRY_AGAIN}")

    def _may_change(self) -> bool:
        return self._knows_commits()

    def _is_changing(self) -> bool:
        return self.configuration_index > self.commit_index or self.configuration.is_joint

    def _has_caught_up(self, node: str) -> bool:
        progress = self.progress.get(node)
        return progress is not None and progress.is_caught_up and not self._is_silent(progress)

    def _first_step_to(self, new: Configuration) -> Configuration:
        """What to append for this change. Raises ChangeError."""
        old = self.configuration
        changed = set(old.voters) ^ set(new.voters)  # used only for its size
        if self.features.membership == "single":
            if len(changed) > 1:
                raise ChangeError("this cluster changes one voter at a time; ask for one, and then for the next")
            return new
        return Configuration(new.voters, old.voters, new.learners) if changed else new

    def _append_configuration(self, configuration: Configuration) -> int:
        self._replicate = True
        return self._append(Entry(self.current_term, encode_configuration(configuration)))

    # ---- the end of a change ----------------------------------------------------------------------------------------

    def _set_configuration(self, index: int, configuration: Configuration) -> None:
        super()._set_configuration(index, configuration)
        self._is_in_transition = configuration.is_joint or not configuration.is_voter(self.node)

    def _advance_commit(self) -> None:
        super()._advance_commit()
        if self._is_in_transition and self.commit_index >= self.configuration_index:
            self._end_transition()

    def _end_transition(self) -> None:
        """The leader has committed a configuration after which something remains to be done."""
        if self.configuration.is_joint:
            self._append_configuration(self.configuration.after_joint)
        else:
            # It removed itself. Until now it led a cluster in which it did not count (§6). The others learn from this
            # heartbeat that it is done.
            self._broadcast_heartbeat()
            self._become_follower(self.current_term, leader=None)

    # ---- nodes without a vote ---------------------------------------------------------------------------------------

    def _campaign(self) -> None:
        """The election timer has run out. A learner, or a node that was removed, waits until it hears a leader."""
        if self._may_stand():
            super()._campaign()
        else:
            self._become_follower(self.current_term, leader=None)
            self._reset_election_timer()

    def _may_stand(self) -> bool:
        """Whether the node votes, or voted before a change that may not be committed.

        A leader that removed itself may be the only one that has the entry. If it falls then, the old voters may need
        its vote, and it gives that to no log that is older than its own: so it must stand itself until the change is
        committed (thesis, §4.2.2). Its own vote does not count. If it wins, it leads until it knows of the commit.
        """
        if self.configuration.is_voter(self.node):
            return True
        before = self._configurations.before_latest
        return before is not None and before.is_voter(self.node) and self.configuration_index > self.commit_index

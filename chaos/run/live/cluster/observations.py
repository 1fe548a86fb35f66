"""What the harness sees of running nodes without asking them: what they use of the machine, and who leads."""

from __future__ import annotations

import psutil

from raft_chaos.chaos.run.live.cluster.exits import Exits
from raft_chaos.chaos.run.live.log_reader import Claim
from raft_chaos.invariants.events import HARNESS, LeaderObserved, NodeSampled


class Observations(Exits):
    """Reports what is seen, and points the faults on "the leader" at it."""

    def sample(self) -> None:
        """Reports what each running node uses of the machine."""
        for one in self._nodes.values():
            if one.state != "up":
                continue
            info = self._child(one).info
            try:
                with info.oneshot():
                    event = NodeSampled(
                        node=HARNESS,
                        inc=1,
                        t_us=self._now_us(),
                        subject=one.name,
                        subject_inc=one.incarnation,
                        cpu_percent=info.cpu_percent(),
                        rss_bytes=info.memory_info().rss,
                        open_files=info.num_fds(),
                        threads=info.num_threads(),
                    )
            except psutil.Error:
                continue  # it has just ended; `find_exits` reports that
            self._report(event)

    def leader_observed(self, node: str, term: int) -> None:
        """Reports that the node says now that it leads."""
        inc = self._nodes[node].incarnation
        self._report(LeaderObserved(node=HARNESS, inc=1, t_us=self._now_us(), subject=node, subject_inc=inc, term=term))

    def claimed(self, claim: Claim) -> None:
        """Reports a line of a log that says who leads. Faults on "the leader" follow it, if no later term is known."""
        leads_itself = claim.leader == claim.node
        inc = claim.inc if leads_itself else self._nodes[claim.leader].incarnation
        self._report(
            LeaderObserved(
                node=HARNESS,
                inc=1,
                t_us=self._now_us(),
                subject=claim.leader,
                subject_inc=inc,
                term=claim.term,
                said=claim.said,
                file=claim.file,
                line=claim.at,
                reporter="" if leads_itself else claim.node,
            )
        )
        is_news = claim.term >= self._watcher.nodes[claim.leader].term
        is_here = inc == self._nodes[claim.leader].incarnation
        if is_news and is_here and (leads_itself or claim.term not in self._watcher.view.leaders):
            self._watcher.status(claim.leader, "leader", claim.term)

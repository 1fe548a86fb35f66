"""Nodes that end by themselves: the harness finds them, and says whether the node, or something else, is to blame."""

from __future__ import annotations

import signal

from raft_chaos.chaos.processes.shortage import HarnessError, oom_kills
from raft_chaos.chaos.run.live.cluster.nodes import LiveNode, Nodes
from raft_chaos.chaos.run.nodes.driver import ASKED, FAILING_DISK, excuse
from raft_chaos.chaos.targets.protocol import tail
from raft_chaos.invariants.events import HARNESS, NodeExited


class Exits(Nodes):
    """Finds the ends that no fault is about."""

    def find_exits(self) -> None:
        """Reports nodes that ended by themselves. Raises HarnessError for an end that is no mistake of the node, and if
        the data of a node is out of its reach."""
        for one in self._nodes.values():
            if one.state in ("up", "paused"):
                self._check_disk(one)
                if (code := self._child(one).exit_code) is not None:
                    self._child(one).kill()  # its group may still have processes
                    self._exited(one, code, tail(self._run.node(one.name) / "stderr.log"))

    def _check_disk(self, one: LiveNode) -> None:
        """Raises HarnessError if the node cannot reach its data: it is not to blame for what it does then."""
        if one.lossy is not None and not self._supervisor.is_closed:
            one.lossy.check()

    def _exited(self, one: LiveNode, exit_code: int, log_tail: str) -> None:
        """Reports the end of a node that is seen to be gone. Raises HarnessError if that is no mistake of the node."""
        self._check_disk(one)  # it may have failed since it was last looked at
        excused = excuse(exit_code, one.disk.failing, damaged=one.disk.damaged)
        if not excused and one.asked is not None and exit_code in one.asked.exit_codes:
            excused = ASKED
        one.state = "down" if excused in (FAILING_DISK, ASKED) else "exited"
        one.exit_code = exit_code if excused != ASKED else None
        self._end_disk(one)
        self._watcher.gone(one.name)
        self._report(
            NodeExited(
                node=HARNESS,
                inc=1,
                t_us=self._now_us(),
                subject=one.name,
                subject_inc=one.incarnation,
                exit_code=exit_code,
                log_tail=log_tail,
                excused=excused,
            )
        )
        self._refuse_starved(one, exit_code)

    def _refuse_starved(self, one: LiveNode, exit_code: int) -> None:
        """Raises HarnessError if this machine, and not the node, is to blame for its end."""
        running = one.running
        if excuse(exit_code, one.disk.failing, damaged=one.disk.damaged):
            return
        if running is not None and exit_code == running.starved:
            lines = tail(self._run.node(one.name) / "stderr.log", lines=3).split("\n")
            said = next((line.strip() for line in reversed(lines) if line.strip()), "it did not say why")
            raise HarnessError(f"{one.name} had too little of this machine to continue: {said}")
        if exit_code == -signal.SIGKILL and oom_kills() > self._oom_kills:
            raise HarnessError(f"this machine ran out of memory, and its system killed {one.name}")

    def _end_disk(self, one: LiveNode) -> None:
        """A process that ends by itself loses nothing: the power is still there."""
        if one.lossy is not None:
            one.lossy.end()
            one.lossy = None

    def close(self) -> None:
        """All processes have been ended: nothing that disks needed is left."""
        for one in self._nodes.values():
            self._end_disk(one)

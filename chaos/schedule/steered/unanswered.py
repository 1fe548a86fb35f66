"""A leader dies between commit and answer; the client tries again at the next one (a steered episode)."""

from __future__ import annotations

from raft_chaos.chaos.faults.names import LEADER
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.schedule.steered.plot import Plot, Steered, at_next


def _build(plot: Plot) -> None:
    """The command is in the log, and its client does not know. The next leader gets it once more, and also dies before
    it answers. In real time, where there are no failpoints, the kill comes soon after a commit."""

    def kill() -> Kill:
        return Kill([LEADER], [plot.lasting(1, 3)], failpoint="before_answer")

    first = plot.step(kill(), 0)
    plot.step(kill(), 0, at_next("leader_committed", first, plot.rng.randint(0, 2_000)))


EPISODE = Steered(
    name="unanswered",
    about="A leader dies between commit and answer, and so does the next one, which got the command again",
    source="Raft, section 8; akka-raft #64",
    kinds=("kill",),
    timeouts=6,
    build=_build,
)

"""A leader that others have replaced believes in its lease (steered episodes): for each way into that one.

Clients ask all nodes for the value of a register by their leases meanwhile, and others write it (`probes`). A
correct leader has no lease then; it asks a majority, and gets no answer.
"""

from __future__ import annotations

from raft_chaos.chaos.faults.names import LEADER, OTHERS, PIVOT
from raft_chaos.chaos.faults.network import Network
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.transfer import Transfer
from raft_chaos.chaos.schedule.steered.plot import SOON_US, Plot, Steered, after, at_next, then

SLOW = (0.15, 0.2)
"""How long answers take, in longest election timeouts: some are always on their way, and all come in time."""
PAUSED_AFTER, PAUSED = 0.4, 1.3
"""The leader is paused so long after its network became slow, and for so long: others elect one meanwhile."""
CUT_AFTER = 0.45
"""After its pause has begun, all answers to what it had sent have come by then."""
RESUMES = PAUSED_AFTER + PAUSED


def _pause(plot: Plot) -> list[str]:
    """The leader is paused, with answers on their way. Returns it, and all others."""
    slow = Network([LEADER], *(round(part * plot.unit) for part in SLOW))
    begun = plot.step(slow, round((PAUSED_AFTER + 0.1) * plot.unit))
    paused = plot.step(
        Pause(then(begun, LEADER)), round(PAUSED * plot.unit), after(begun, round(PAUSED_AFTER * plot.unit))
    )
    return [*then(begun, LEADER, OTHERS), paused]


def _of_answers(plot: Plot) -> None:
    """When it resumes, it finds the old answers, and nothing else: it believes that it is heard, and hears nobody."""
    leader, others, paused = _pause(plot)
    lasts_us = round((PAUSED - CUT_AFTER + 0.8) * plot.unit)
    plot.step(Partition("one_way", {leader: [others]}), lasts_us, after(paused, round(CUT_AFTER * plot.unit)))


def _of_rejections(plot: Plot) -> None:
    """When it resumes, it does not hear the new leader, only those that reject it for its term."""
    leader, others, paused = _pause(plot)
    cut_us = round((PAUSED - CUT_AFTER) * plot.unit)
    cut = plot.step(Partition("one_way", {leader: [others]}), cut_us, after(paused, round(CUT_AFTER * plot.unit)))
    plot.step(Partition("one_way", {leader: [LEADER]}), plot.lasting(2, 2.2), at_next("leader_elected", cut))


def _of_transfer(plot: Plot) -> None:
    """It hands over, and does not hear that it has succeeded."""
    cut = plot.step(Partition("one_way", {LEADER: [OTHERS]}), plot.lasting(1, 1.2))
    plot.step(Transfer(then(cut, PIVOT)), plot.lasting(1, 1.2), after(cut, SOON_US))


EPISODES = (
    Steered(
        name="lease_of_answers",
        about="A leader is paused until others have elected one, and then finds old answers; it hears nobody",
        source="thesis, section 6.4.1; sofa-jraft #34",
        kinds=("network", "pause", "partition"),
        timeouts=4,
        build=_of_answers,
    ),
    Steered(
        name="lease_of_rejections",
        about="The same, but then it hears those that reject it for its term, and only its successor not",
        source="hashicorp/raft #666",
        kinds=("network", "pause", "partition"),
        timeouts=4,
        build=_of_rejections,
    ),
    Steered(
        name="lease_of_transfer",
        about="A leader hands over, and does not hear that its successor is elected",
        source="raft-rs #234; openraft #1747",
        kinds=("partition", "transfer"),
        timeouts=4,
        build=_of_transfer,
    ),
)

PROBED = {"lease_of_answers": (1.45, 2.3), "lease_of_rejections": (1.45, 2.5), "lease_of_transfer": (0.01, 0.6)}
"""When such a leader may answer, after the episode has begun, in longest election timeouts."""

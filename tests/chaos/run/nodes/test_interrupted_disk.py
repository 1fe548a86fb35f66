"""A start may be interrupted after any operation on the disk, again and again: recovery comes to the same state."""

from __future__ import annotations

from itertools import product

import pytest

from builders.stepped import config
from raft_chaos.chaos.run.nodes.interrupted_disk import InterruptedNodeError
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.step import StepConfig
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.storage.disk import MemoryDisk
from raft_chaos.raft.storage.log_file import FILE

MOST_STEPS = 12


def interrupted(disk: MemoryDisk, dies_after: int) -> bool:
    """Starts the node of this disk until it dies; False if it had no more steps, and is up."""
    start = StepConfig.of("n1", ["n1"], 2, seed=1, timing=config().timing, cluster="by-hand", dies_after=dies_after)
    try:
        SteppedNode(start, Parts(), disk, 0)
    except InterruptedNodeError:
        return True
    return False


def copied(disk: MemoryDisk) -> MemoryDisk:
    copy = MemoryDisk()
    copy.files = {name: bytearray(data) for name, data in disk.files.items()}
    return copy


def torn() -> MemoryDisk:
    """The disk of a node that was killed in the middle of a write, which holds its vote."""
    driver = MemoryDriver(Parts())
    node = driver.start(config(), 0)
    now_us = node.first.deadline_us
    vote = node.tick(now_us, None)
    no_op = node.persisted(vote.write_lsn, now_us, None)
    elected = node.persisted(no_op.write_lsn, now_us, None)
    assert elected.events
    node.submit(7, b'{"op":"put","key":"a","value":"1"}', now_us, None)
    kept, lost = node.crash(500)
    assert kept and lost
    return driver.disk("n1")


@pytest.mark.parametrize("disk", [MemoryDisk(), torn()], ids=["an empty folder", "a torn tail"])
def test_interrupted_twice_anywhere_the_next_start_recovers_what_one_start_does(disk: MemoryDisk) -> None:
    at_once = copied(disk)
    right = SteppedNode(config(incarnation=3), Parts(), at_once, 0)
    seen = set()
    for first, second in product(range(MOST_STEPS), repeat=2):
        left = copied(disk)
        seen |= {first for _ in range(interrupted(left, first))}
        interrupted(left, second)
        node = SteppedNode(config(incarnation=3), Parts(), left, 0)
        assert node.first == right.first, (first, second)
        assert node.disk.read(FILE) == right.disk.read(FILE), (first, second)
    assert len(seen) >= 7 and max(seen) + 1 == len(seen) < MOST_STEPS, "every step of the start was interrupted"


def test_a_node_whose_start_is_interrupted_has_cut_its_torn_tail_or_has_it_whole() -> None:
    disk = torn()
    whole, sizes = len(disk.files[FILE]), set()
    for step in range(MOST_STEPS):
        left = copied(disk)
        interrupted(left, step)
        sizes.add(len(left.files[FILE]))
    assert len(sizes) == 2 and max(sizes) == whole

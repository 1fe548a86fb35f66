"""One node, step by step, under any driver."""

from __future__ import annotations

from collections.abc import Callable

from builders.schedules import TIMING
from raft_chaos.chaos.run.nodes.driver import Driver, exit_status
from raft_chaos.chaos.run.nodes.step import StepConfig


def config(node: str = "n1", peers: tuple[str, ...] = (), incarnation: int = 1) -> StepConfig:
    return StepConfig(
        cluster="by-hand",
        node=node,
        peers=list(peers),
        incarnation=incarnation,
        timing=TIMING,
        seed=incarnation,
    )


def last_words(step: Callable[[], object]) -> tuple[int, str]:
    """The error of which the node dies in this step."""
    try:
        step()
    except Exception as error:
        return exit_status(error)
    raise AssertionError("the node lives")


def torn_and_damaged(driver: Driver, damage: Callable[[], None]) -> list[object]:
    """A cluster of one node: it is elected, killed in the middle of a write, dies of a command that is none, and then
    of a damaged log. Returns all that was seen of it."""
    node = driver.start(config(), 0)
    now_us = node.first.deadline_us
    vote = node.tick(now_us, None)
    no_op = node.persisted(vote.write_lsn, now_us, None)
    elected = node.persisted(no_op.write_lsn, now_us, None)
    seen = [node.first, vote, no_op, elected, node.submit(7, b"no command", now_us, None), node.crash(500)]

    again = driver.start(config(incarnation=2), now_us)
    due_us = again.change_clock(now_us, 100_000, 5_000)
    vote = again.tick(due_us, None)
    no_op = again.persisted(vote.write_lsn, due_us, None)
    submitted = again.submit(8, b"no command", due_us, None)
    written = again.persisted(no_op.write_lsn, due_us, None)
    seen += [again.first, due_us, vote, no_op, submitted, written]
    seen.append(last_words(lambda: again.persisted(written.write_lsn, due_us, None)))

    damage()
    seen.append(last_words(lambda: driver.start(config(incarnation=3), due_us)))
    return seen

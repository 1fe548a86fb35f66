"""The end of a run with queues: what is still inside comes out, so that nothing that is missing may be there unseen."""

from __future__ import annotations

from collections.abc import Iterator

from raft_chaos.chaos.run.client_records import RETRY_S
from raft_chaos.chaos.run.clients import Client
from raft_chaos.chaos.run.tasks import Tasks
from raft_chaos.chaos.schedule.data import Operation, Schedule
from raft_chaos.invariants.history import QUEUE_FUNCTIONS

EMPTY_FOR_US = 1_000_000
"""How long a queue must be empty: an element that a broken connection took comes back only a moment later."""
GIVE_UP_US = 10_000_000
"""How long nothing may come out of a queue that is not seen empty either."""
RETRY_US = round(RETRY_S * 1e6)
MOST_TIMES = 10
"""A queue that gives out each element this often is never empty."""


def queues_of(schedule: Schedule) -> list[str]:
    """The queues on which the clients work."""
    return sorted({operation.key for operation in schedule.operations if operation.f in QUEUE_FUNCTIONS})


async def drain(client: Client, queue: str, tasks: Tasks, numbers: Iterator[int], most: int) -> None:
    """Dequeues until the queue has been empty for a while; gives up if it neither gives anything out nor is empty, and
    after `most` elements. The history says which, by how the last dequeue ended."""
    came_out, came_out_us, empty_from_us = 0, tasks.now_us, None
    while came_out < most:
        dequeue = Operation(
            id=f"drain/{next(numbers)}", client=client.name, at_us=0, f="dequeue", key=queue, final=True
        )
        outcome = await client.perform(dequeue)
        now_us = tasks.now_us
        if outcome.type == "ok" and outcome.value is not None:
            came_out, came_out_us, empty_from_us = came_out + 1, now_us, None
            continue
        if outcome.type == "ok":
            empty_from_us = now_us if empty_from_us is None else empty_from_us
            if now_us - empty_from_us >= EMPTY_FOR_US:
                return
        else:
            empty_from_us = None
            if now_us - came_out_us >= GIVE_UP_US:
                return
        await tasks.sleep_until(now_us + RETRY_US)

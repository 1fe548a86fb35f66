"""The end of a queue: it is emptied, and seen empty for a while, or the run says that it was not."""

from __future__ import annotations

from itertools import count
from typing import Any

from raft_chaos.chaos.run.drain import EMPTY_FOR_US, GIVE_UP_US, RETRY_US, drain
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.run.sim.tasks import VirtualTasks
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets.door import Outcome

EMPTY = Outcome("ok")
FAILED = Outcome("fail")


class ScriptedClient:
    """Answers as the script says, and then for ever as `rest` says."""

    name = "final"

    def __init__(self, script: list[Outcome], rest: Outcome) -> None:
        self.script, self.rest = script, rest
        self.asked: list[Operation] = []

    async def perform(self, operation: Operation) -> Outcome:
        assert operation.final
        self.asked.append(operation)
        return self.script.pop(0) if self.script else self.rest


def drained(script: list[Outcome], rest: Outcome = EMPTY, most: int = 100) -> tuple[ScriptedClient, int]:
    """The client at the end, and how long that took (µs)."""
    scheduler = Scheduler()
    tasks, client, done = VirtualTasks(scheduler), ScriptedClient(script, rest), []

    async def main() -> None:
        scripted: Any = client
        await drain(scripted, "queue", tasks, count(), most)
        done.append(tasks.now_us)

    tasks.spawn(main(), "drain")
    while not done:
        scheduler.run_until(scheduler.now_us + RETRY_US)
    return client, done[0]


def test_it_ends_once_the_queue_was_empty_for_a_while() -> None:
    client, took_us = drained([Outcome("ok", "a"), Outcome("ok", "b")])
    assert EMPTY_FOR_US <= took_us <= EMPTY_FOR_US + RETRY_US
    assert [operation.id for operation in client.asked[:3]] == ["drain/0", "drain/1", "drain/2"]
    assert {(operation.f, operation.key) for operation in client.asked} == {("dequeue", "queue")}


def test_an_element_that_comes_back_late_comes_out_too() -> None:
    client, took_us = drained([EMPTY, EMPTY, Outcome("ok", "late")])
    assert took_us > EMPTY_FOR_US + RETRY_US
    assert not client.script


def test_an_error_is_no_empty_queue() -> None:
    _, took_us = drained([EMPTY, FAILED, Outcome("info")])
    assert took_us >= EMPTY_FOR_US + 3 * RETRY_US


def test_a_queue_that_answers_nothing_is_given_up() -> None:
    client, took_us = drained([Outcome("ok", "a")], FAILED)
    assert GIVE_UP_US <= took_us <= GIVE_UP_US + RETRY_US
    assert len(client.asked) < GIVE_UP_US // RETRY_US + 3


def test_a_queue_that_never_ends_is_given_up() -> None:
    client, _ = drained([], Outcome("ok", "again and again"), most=7)
    assert len(client.asked) == 7

"""What the example for RabbitMQ says of an operation, given what the broker answers."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets.api import Answer, Elsewhere, Fail, Info, Ok

if importlib.util.find_spec("pika") is None:
    pytest.skip("the package pika is not installed: pip install 'raft-chaos[systems]'", allow_module_level=True)

NODE = SimpleNamespace(name="n1", address=("127.0.0.1", 1))


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, with channels that do as the test says."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))
    from examples import rabbitmq_target

    monkeypatch.setattr(rabbitmq_target, "Channel", Scripted)
    Scripted.made, Scripted.opens, Scripted.says = [], None, None
    yield rabbitmq_target
    sys.modules.pop("examples.rabbitmq_target", None)


class Scripted:
    """A channel that raises or returns `says` for what it is asked; it cannot be opened if `opens` is an error."""

    made: list[Scripted]
    opens: Exception | None
    says: Any

    def __init__(self) -> None:
        self.is_open, self.is_closed = False, False
        Scripted.made.append(self)

    async def open(self, *_: object) -> None:
        if self.opens is not None:
            raise self.opens
        self.is_open = True

    async def publish(self, *_: object) -> Any:
        return self._said()

    async def get(self, queue: str) -> Any:
        return self._said()

    def _said(self) -> Any:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def close(self) -> None:
        self.is_open, self.is_closed = False, True


def asked(target: Any, f: Any, says: Any) -> Answer:
    Scripted.says = says
    value = "a" if f == "enqueue" else None
    operation = Operation(id="c/0", client="c", at_us=0, f=f, key="queue", value=value)
    answer: Answer = asyncio.run(target.invoke(NODE, operation))
    return answer


def test_a_message_is_enqueued_once_the_broker_confirms_it(example: Any) -> None:
    target = example.Quorum()
    assert asked(target, "enqueue", "acked") == Ok()
    assert isinstance(asked(target, "enqueue", "nacked"), Info), "the broker does not say that it is gone"
    assert isinstance(asked(target, "enqueue", "returned"), Elsewhere)


def test_a_message_is_dequeued_once_it_is_here(example: Any) -> None:
    target = example.Quorum()
    assert asked(target, "dequeue", "a") == Ok("a")
    assert asked(target, "dequeue", None) == Ok(None)


def test_without_an_answer_a_message_may_be_inside_and_none_was_taken_out(example: Any) -> None:
    """A dequeue acknowledges what it has seen; what it has not seen goes back to the queue with its connection."""
    for error in (TimeoutError(), ConnectionResetError()):
        target = example.Quorum()
        assert isinstance(asked(target, "enqueue", error), Info)
        assert isinstance(asked(target, "dequeue", error), Fail)
        assert all(channel.is_closed for channel in Scripted.made)


def test_without_a_channel_another_node_is_asked(example: Any) -> None:
    Scripted.opens = ConnectionRefusedError()
    assert isinstance(asked(example.Quorum(), "enqueue", "acked"), Elsewhere)
    assert isinstance(asked(example.Quorum(), "dequeue", None), Elsewhere)


def test_a_channel_is_used_again_until_it_closes(example: Any) -> None:
    target = example.Quorum()
    for _ in range(3):
        asked(target, "enqueue", "acked")
    assert len(Scripted.made) == 1
    Scripted.made[0].close()
    asked(target, "enqueue", "acked")
    assert len(Scripted.made) == 2
